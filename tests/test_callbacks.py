import csv
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import (
    LATENT_DIM,
    assert_same_bits,
    environment,
    state,
    tiny_discriminator,
    tiny_gan,
    tiny_generator,
    tiny_images,
    train,
)
from keras import layers
from PIL import Image

from gan_keras import callbacks, data, plots
from gan_keras.callbacks import Checkpoint, HistoryFile, NonFiniteGuard, SampleGrid


# Checkpoint.


def test_keeps_the_newest_and_one_at_the_end(tmp_path):
    checkpoint = Checkpoint(tmp_path, every=3, keep=2)
    train(tiny_gan(), 10, checkpoint)
    assert checkpoint.steps() == [10, 9]


@pytest.fixture(scope="module")
def seven_steps():
    """The state of a GAN after seven steps in one go."""
    gan = tiny_gan(ema=0.9)
    train(gan, 7)
    return state(gan)


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_resumes_at_any_step_to_the_bit(tmp_path, stop, seven_steps):
    first, second = tiny_gan(ema=0.9), tiny_gan(ema=0.9)
    train(first, stop, Checkpoint(tmp_path, every=100))
    checkpoint = Checkpoint(tmp_path, every=100)
    assert checkpoint.restore(second) == stop
    assert_same_bits(state(first), state(second))
    train(second, 7 - stop, checkpoint)
    assert_same_bits(seven_steps, state(second))
    assert checkpoint.steps() == [7, stop]


class Block(layers.Layer):
    """Holds its layers in a list, where `tf.train.Checkpoint` does not see them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layers = [layers.Dense(16), layers.BatchNormalization(synchronized=True)]

    def call(self, x):
        return self.layers[1](self.layers[0](x))


def block_generator():
    z = keras.Input((LATENT_DIM,))
    return keras.Model(z, layers.Reshape((8, 8, 1))(layers.Dense(64, activation="tanh")(Block()(z))))


def test_layers_in_a_list_are_restored(tmp_path):
    first, second = (tiny_gan(generator=block_generator(), ema=0.9, seed=seed) for seed in (0, 1))
    train(first, 3, Checkpoint(tmp_path, every=100))
    Checkpoint(tmp_path).restore(second)
    assert_same_bits(state(first), state(second))


def test_nothing_to_restore_is_step_0(tmp_path):
    assert Checkpoint(tmp_path / "none").restore(tiny_gan()) == 0


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory):
    """A folder with checkpoints of steps 2 and 4, and the state at step 2."""
    folder, gan = tmp_path_factory.mktemp("checkpoints"), tiny_gan()
    train(gan, 2, Checkpoint(folder, every=100))
    at_2 = state(gan)
    train(gan, 2, Checkpoint(folder, every=100))
    return folder, at_2


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, part, damage, two_checkpoints):
    folder, wanted = two_checkpoints
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / f"ckpt-4.{part}"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes({"flip": content, "cut": content[: len(content) // 2], "empty": b""}[damage])
    told, other = [], tiny_gan()
    assert Checkpoint(tmp_path).restore(other, report=told.append) == 2
    assert_same_bits(wanted, state(other))
    assert "ckpt-4" in told[0] and "damaged" in told[0]


def test_all_damaged_is_an_error(tmp_path):
    train(tiny_gan(), 2, Checkpoint(tmp_path, every=1))
    for path in tmp_path.glob("*.data*"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="All 2 checkpoints .* are damaged"):
        Checkpoint(tmp_path).restore(tiny_gan(), report=lambda line: None)


def test_the_list_file_is_not_needed(tmp_path):
    train(tiny_gan(), 2, Checkpoint(tmp_path, every=100))
    (tmp_path / "checkpoint").write_text("")
    assert Checkpoint(tmp_path).restore(tiny_gan()) == 2


def test_another_gan_is_refused(tmp_path):
    train(tiny_gan(), 1, Checkpoint(tmp_path))
    for other in (
        tiny_gan(generator=tiny_generator(batch_norm=False)),
        tiny_gan(discriminator=tiny_discriminator(spectral=True)),
        tiny_gan(ema=0.5),
    ):
        with pytest.raises(ValueError, match="belongs to another GAN"):
            Checkpoint(tmp_path).restore(other)


def test_a_checkpoint_that_holds_more_is_refused(tmp_path):
    train(tiny_gan(ema=0.5), 1, Checkpoint(tmp_path))
    for other in (tiny_gan(), tiny_gan(ema=0.5, d_optimizer=keras.optimizers.SGD(0.1))):
        with pytest.raises(ValueError, match="belongs to another GAN"):
            Checkpoint(tmp_path).restore(other)


def test_a_broken_gan_is_not_saved(tmp_path):
    gan = tiny_gan()
    checkpoint = Checkpoint(tmp_path, every=1)
    train(gan, 2, checkpoint)
    gan.generator.layers[1].kernel.assign(gan.generator.layers[1].kernel * np.nan)
    with pytest.raises(FloatingPointError, match="kernel is not finite"):
        train(gan, 1, checkpoint)
    assert checkpoint.steps() == [2, 1]


KILLED = """
import sys
from helpers import *
gan = tiny_gan(ema=0.9)
checkpoint = gan_keras.callbacks.Checkpoint(sys.argv[1], every=1, keep=2)
step = checkpoint.restore(gan)
print("ready", step, flush=True)
if step < 60:
    gan.fit(stream(step), steps_per_epoch=60 - step, verbose=0, callbacks=[checkpoint])
"""


@pytest.mark.slow
def test_survives_kill_9(tmp_path):
    straight = tiny_gan(ema=0.9)
    train(straight, 60)
    rng = np.random.default_rng(0)
    steps = []
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )
        steps.append(int(process.stdout.readline().split()[1]))
        while Checkpoint(tmp_path).steps()[:1] <= steps[-1:] and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))  # saving takes most of a step here
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert steps == sorted(set(steps)) and steps[-1] > 0, "every run took up where the one before it was killed"
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=True, env=environment(), capture_output=True)
    assert not list(tmp_path.glob("*_temp")), "leftovers are swept away"
    gan = tiny_gan(ema=0.9)
    assert Checkpoint(tmp_path).restore(gan) == 60
    assert_same_bits(state(straight), state(gan))


# NonFiniteGuard.


class Poison(keras.callbacks.Callback):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.at:
            bias = self.model.discriminator.layers[-1].bias
            bias.assign(bias * np.inf + np.nan)


def test_stops_before_any_checkpoint_is_overwritten(tmp_path):
    gan = tiny_gan()
    checkpoint = Checkpoint(tmp_path / "ours", every=1, keep=1)
    stock = keras.callbacks.ModelCheckpoint(tmp_path / "stock-{batch}.weights.h5", save_weights_only=True, save_freq=1)
    with pytest.raises(FloatingPointError, match="Step 3: .*d_loss.* not finite.*resum"):
        train(gan, 6, Poison(2), NonFiniteGuard(), checkpoint, stock)
    assert checkpoint.steps() == [2]
    assert len(list(tmp_path.glob("stock-*"))) == 2
    fresh = tiny_gan()
    checkpoint.restore(fresh)
    callbacks.check_finite(fresh)


def test_is_silent_on_a_healthy_run():
    train(tiny_gan(), 3, NonFiniteGuard())


# SampleGrid, HistoryFile.


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_images_with_channels_first(channels, tmp_path):
    z, x = keras.Input((4,)), keras.Input((channels, 8, 6))
    pixels = layers.Dense(channels * 48, activation="tanh")(z)
    generator = keras.Model(z, layers.Reshape((channels, 8, 6))(pixels))
    gan = tiny_gan(generator=generator, discriminator=keras.Model(x, layers.Dense(1)(layers.Flatten()(x))))
    images = np.random.default_rng(0).uniform(-1, 1, (8, channels, 8, 6)).astype("float32")
    gan.fit(images, verbose=0, callbacks=[SampleGrid(tmp_path, every=1, n=4)])
    with Image.open(tmp_path / "step-0000001.png") as picture:
        assert picture.size == (2 * (2 * (6 + 2) + 2), 2 * (2 * (8 + 2) + 2))
        corner = np.asarray(picture).reshape(*picture.size[::-1], -1)[4:20:2, 4:16:2]
    expected = plots.to_uint8(gan.sample(4)[0], (-1, 1))
    assert (corner == np.moveaxis(expected, 0, -1)).all()


def test_pictures_of_the_same_latents_and_an_animation(tmp_path):
    gan = tiny_gan()
    train(gan, 5, SampleGrid(tmp_path / "samples", every=2, n=9, animation=tmp_path / "samples.gif"))
    names = [path.name for path in sorted((tmp_path / "samples").iterdir())]
    assert names == ["step-0000002.png", "step-0000004.png", "step-0000005.png"]
    pictures = [np.asarray(Image.open(tmp_path / "samples" / name)) for name in names]
    assert pictures[0].shape == pictures[1].shape and (pictures[0] != pictures[1]).any()
    with Image.open(tmp_path / "samples.gif") as animation:
        assert animation.n_frames == 3


def test_points_are_drawn_over_real_ones(tmp_path):
    z, x = keras.Input((4,)), keras.Input((2,))
    gan = tiny_gan(generator=keras.Model(z, layers.Dense(2)(z)), discriminator=keras.Model(x, layers.Dense(1)(x)))
    points = np.random.default_rng(0).normal(size=(48, 2)).astype("float32")
    with pytest.raises(ValueError, match="SampleGrid draws points over real ones. Received: real=None"):
        gan.fit(points, verbose=0, callbacks=[SampleGrid(tmp_path / "samples", every=1)])
    assert int(gan.step.numpy()) == 0
    gan.fit(points, batch_size=48, verbose=0, callbacks=[SampleGrid(tmp_path / "samples", every=1, real=points)])
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["step-0000001.png"]


@pytest.mark.parametrize("side, size", [(28, 2 * (10 * 30 + 2)), (700, 2 * 702 + 2)])
def test_pictures_of_large_images_show_fewer(side, size, tmp_path):
    z, x = keras.Input((4,)), keras.Input((side, side, 1))
    pixels = layers.UpSampling2D(side // 7)(layers.Reshape((7, 7, 1))(layers.Dense(49, activation="tanh")(z)))
    discriminator = keras.Model(x, layers.Dense(1)(layers.GlobalAveragePooling2D()(x)))
    gan = tiny_gan(generator=keras.Model(z, pixels), discriminator=discriminator)
    gan.fit(np.zeros((2, side, side, 1), "float32") - 0.5, verbose=0, callbacks=[SampleGrid(tmp_path, every=1)])
    with Image.open(tmp_path / "step-0000001.png") as picture:
        assert picture.size == (size, size)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_is_the_mean_of_its_own_steps(tmp_path):
    one, pairs = tiny_gan(), tiny_gan()
    train(one, 5, HistoryFile(tmp_path / "one.csv", every=1))
    train(pairs, 5, HistoryFile(tmp_path / "pairs.csv", every=2))
    single = [float(row["d_loss"]) for row in rows(tmp_path / "one.csv")]
    expected = [np.mean(single[:2]), np.mean(single[2:4]), single[4]]
    table = rows(tmp_path / "pairs.csv")
    assert [row["step"] for row in table] == ["2", "4", "5"]
    assert [float(row["d_loss"]) for row in table] == pytest.approx(expected, rel=1e-4)
    assert list(table[0]) == ["step", "seconds", "d_loss", "g_loss", "d_acc_real", "d_acc_fake"]


def test_a_resumed_run_tells_no_step_twice(tmp_path):
    gan = tiny_gan()
    train(gan, 4, Checkpoint(tmp_path, every=100), HistoryFile(tmp_path / "history.csv", every=1))
    train(gan, 2, HistoryFile(tmp_path / "history.csv", every=1))  # beyond the checkpoint, as if killed then
    with open(tmp_path / "history.csv", "a") as file:
        file.write("7,0.")  # and in the middle of a row
    again = tiny_gan()
    Checkpoint(tmp_path).restore(again)
    train(again, 3, HistoryFile(tmp_path / "history.csv", every=1))
    table = rows(tmp_path / "history.csv")
    assert [row["step"] for row in table] == list("1234567")
    assert all(np.isfinite(float(value)) for row in table for value in row.values())


def test_works_in_epochs_too(tmp_path):
    gan = tiny_gan()
    images = tiny_images(48)
    history = gan.fit(
        images,
        batch_size=16,
        epochs=3,
        verbose=0,
        validation_data=(images,),
        callbacks=[HistoryFile(tmp_path / "h.csv", every=2)],
    ).history
    table = rows(tmp_path / "h.csv")
    assert [row["step"] for row in table] == list("24689")
    # The last row is the training mean of the last step, not the validation's, which came after it.
    assert float(table[-1]["d_loss"]) == pytest.approx(history["d_loss"][-1], rel=1e-4)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Checkpoint("x", every=0), "every=0"),
        (lambda: Checkpoint("x", keep=0), "keep=0"),
        (lambda: SampleGrid("x", every=1.5), "every=1.5"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# TensorBoard.


def test_tensorboard_holds_curves_pictures_and_figures(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is an optional extra"
    )

    class Evaluator:
        def of_gan(self, gan, n, groups):
            return {"frechet_distance": (4.5, None)}

    gan = tiny_gan(loss="wasserstein", regularizers="gradient_penalty")
    board = callbacks.TensorBoard(tmp_path, every=2, sample_every=4, evaluator=Evaluator(), evaluate_every=6)
    gan.fit(data.batches(tiny_images(), batch_size=8), steps_per_epoch=8, verbose=0, callbacks=[board])
    events = accumulator.EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    steps = {tag: [event.step for event in events.Tensors(tag)] for tag in events.Tags()["tensors"]}
    assert steps["d_loss"] == steps["gradient_penalty"] == steps["steps_per_second"] == [2, 4, 6, 8]
    assert steps["samples"] == [4, 8] and steps["evaluation/frechet_distance"] == [6]
    assert {"g_loss", "wasserstein", "d_optimizer/learning_rate", "g_optimizer/learning_rate"} <= set(steps)
    value = tf.make_ndarray(events.Tensors("evaluation/frechet_distance")[0].tensor_proto)
    assert value == 4.5


def test_without_tensorboard_the_remedy_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        callbacks.TensorBoard(tmp_path)
