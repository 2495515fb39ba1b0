"""gan_keras.runs: a run folder in one's own code."""

import json
import sys

import filelock
import keras
import numpy as np
import pytest

import gan_keras
from gan_keras.runs import Run

FEW = {"recipe": "tutorial_mlp", "batch_size": 8, "split": "train[:40]", "jit": "off"}


def bits(gan):
    return b"".join(w.tobytes() for w in gan.get_weights())


def test_a_run_is_trained_opened_and_taken_up_without_a_script(tmp_path):
    straight = Run.new(tmp_path / "straight", **FEW, steps=5).train(verbose=0)
    first = Run.new(tmp_path / "run", **FEW, steps=2)
    assert not first.folder.exists(), "nothing is written before training"
    first.train(verbose=0)
    second = Run(tmp_path / "run")
    assert int(second.load().step.numpy()) == 2 and second.recipe.batch_size == 8 and second.seconds > 0
    second.go_on(steps=5, seed=0)
    assert bits(second.train(verbose=0)) == bits(straight) == bits(Run(tmp_path / "run").load())
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 5
    assert all(path.exists() for path in (second.model, second.history, second.curves, second.animation, second.samples))
    images, labels = second.data("test[:3]")
    assert images.shape == (3, 28, 28, 1) and labels.shape == (3,) and second.training_data[0].shape == (40, 28, 28, 1)


def test_the_newest_checkpoint_is_loaded_where_there_is_no_model_yet(tmp_path):
    run = Run.new(tmp_path / "run", **FEW, steps=3)
    trained = run.train(verbose=0)
    run.model.unlink()
    assert bits(Run(run.folder).load()) == bits(trained)
    for path in run.checkpoints.glob("*.index"):
        path.unlink()
    with pytest.raises(ValueError, match="neither model.keras nor a checkpoint"):
        Run(run.folder).load()


@pytest.mark.parametrize(
    "changed, recipe", [("x_train", "tutorial_mlp"), pytest.param("y_train", "cgan", marks=pytest.mark.slow)]
)
def test_a_run_goes_on_with_the_images_and_labels_that_it_began_with(changed, recipe, tmp_path):
    arrays = {"x_train": np.arange(40 * 784, dtype="uint8").reshape(40, 28, 28), "y_train": np.arange(40, dtype="uint8") % 10}
    np.savez(tmp_path / "own.npz", **arrays)
    own = {**FEW, "split": "train", "recipe": recipe, "data": str(tmp_path / "own.npz")}
    run = Run.new(tmp_path / "run", **own, steps=1)
    run.train(verbose=0)
    other = arrays[changed].copy()
    other[7] ^= 1
    np.savez(tmp_path / "own.npz", **{**arrays, changed: other})
    longer = Run(run.folder)
    longer.go_on(steps=2)
    with pytest.raises(ValueError, match="own.npz, or their labels, have changed since .*run was begun.*Put them back"):
        longer.train(verbose=0)
    np.savez(tmp_path / "own.npz", **arrays)
    longer = Run(run.folder)
    longer.go_on(steps=2)
    assert int(longer.train(verbose=0).step.numpy()) == 2


def test_callbacks_see_every_step_and_can_stop(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    gan = Run.new(tmp_path / "run", **FEW, steps=40).train(log_every=1, callbacks=[Stop()], verbose=0)
    assert int(gan.step.numpy()) == 1 and (tmp_path / "run" / "checkpoints" / "ckpt-1.index").exists()


@pytest.mark.parametrize(
    "given, message",
    [
        ({"recipe": "wgan-gp"}, "Did you mean 'wgan_gp'"),
        ({"seed": -1}, "seed, in these settings, must be an integer from 0 to"),
        ({"steps": 0}, "steps, in these settings"),
        ({"batch_size": 2.0}, "batch_size, in these settings"),
        ({"minutes": float("nan")}, "minutes, in these settings"),
        ({"split": "test"}, "test images are not for training"),
        ({"jit": "maybe"}, "jit, in these settings"),
        ({"precision": "int8"}, "precision, in these settings"),
        ({"shape": (64, 64)}, "shape, in these settings"),
        ({"shape": 64}, "shape, in these settings"),
        ({"shape": (64, 64, 3)}, r"mnist has examples of shape \(28, 28, 1\), where \(64, 64, 3\) is expected"),
        ({"data": "nowhere"}, "No data at .*nowhere"),
    ],
)
def test_a_setting_out_of_range_is_refused(given, message, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Run.new(tmp_path / "run", **{**FEW, **given})
    assert not (tmp_path / "run").exists()


def test_a_taken_folder_is_refused(tmp_path):
    run = Run.new(tmp_path / "run", **FEW, steps=1)
    run.train(verbose=0)
    with pytest.raises(ValueError, match="holds a run already"):
        Run.new(tmp_path / "run", **FEW)
    for given, message in (
        ({"seed": 1}, "holds a run with seed 0, not 1"),
        ({"sed": 1}, "Unknown setting: 'sed'. Did you mean 'seed'"),
        ({"steps": -1}, "steps, in these settings"),
        ({"minutes": 0.0}, "minutes, in these settings"),
    ):
        with pytest.raises(ValueError, match=message):
            run.go_on(**given)
    with pytest.raises(ValueError, match="has made 2 steps already. Received: steps=1"):
        run.go_on(steps=2)
        run.train(verbose=0)
        run.go_on(steps=1)
        run.train(verbose=0)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 2, "the refused settings were not written"
    run = Run(tmp_path / "run")
    run.go_on(steps=3)
    with filelock.FileLock(tmp_path / "run" / ".lock"), pytest.raises(ValueError, match="Another process is training"):
        run.train(verbose=0)
    assert int(run.load().step.numpy()) == 2


def test_two_that_begin_in_one_folder_at_once(tmp_path):
    first, second = (Run.new(tmp_path / "run", **FEW, steps=1) for _ in range(2))
    first.train(verbose=0)
    before = (tmp_path / "run" / "config.json").read_bytes()
    with pytest.raises(ValueError, match="Another process has begun a run"):
        second.train(verbose=0)
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_runs_of_earlier_versions_go_on(tmp_path):
    """They know no shape, and hold the recipe's values as text."""
    run = Run.new(tmp_path / "run", **FEW, steps=2)
    run.train(verbose=0)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    del config["shape"], config["precision"]
    config["values"] = {**config["values"], "generator": "mlp_generator", "schedule": "Alternating(n_critic=1)", "ema": "none"}
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    older = Run(tmp_path / "run")
    older.go_on(steps=3)
    assert int(older.train(verbose=0).step.numpy()) == 3
    config["values"]["generator"] = "dcgan_generator"
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="has changed since .* in generator"):
        Run(tmp_path / "run").go_on(steps=4)


def test_runs_of_earlier_versions_have_the_shape_of_their_data(tmp_path):
    points = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    np.savez(tmp_path / "points.npz", x_train=points, x_test=points)
    given = {"recipe": "ring", "batch_size": 8, "data": tmp_path / "points.npz"}
    Run.new(tmp_path / "run", **given, steps=1).train(verbose=0)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config.pop("shape") == [3]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    older = Run(tmp_path / "run")
    older.go_on(steps=2)
    assert older.train(verbose=0).generator.output_shape == (None, 3)
    older.model.unlink()
    assert Run(tmp_path / "run").load().generator.output_shape == (None, 3)


OWN = """
import dataclasses
import keras
import gan_keras
from gan_keras import networks, recipes

class Unregistered(keras.layers.Layer):
    def call(self, x):
        return x

def discriminator(kind):
    def build(num_classes=None, shape=(28, 28, 1)):
        images = keras.Input(shape)
        return keras.Model(images, keras.layers.Dense(1)(keras.layers.Flatten()(kind()(images))))
    return build

def linear(latent_dim, num_classes=None, shape=(28, 28, 1)):
    z = keras.Input((latent_dim,))
    return keras.Model(z, keras.layers.Reshape(shape)(keras.layers.Dense(784)(z)))

@keras.saving.register_keras_serializable(package="mine")
class Labels(gan_keras.regularizers.Term):
    name = "labels"
    def term(self, forward):
        return keras.ops.mean(keras.ops.cast(forward.labels, "float32"))

base = dataclasses.replace(recipes.tutorial_mlp(), batch_size=8, steps=2)

def plain():
    return base

def unregistered():
    return dataclasses.replace(base, discriminator=discriminator(Unregistered))

def without_range():
    return dataclasses.replace(base, generator=linear)

def with_range():
    return dataclasses.replace(base, generator=linear, value_range=(-1.0, 1.0))

def coded():
    return dataclasses.replace(base, latent_dim=6, prior=gan_keras.priors.Joint(z=gan_keras.priors.Normal(4), code=gan_keras.priors.Categorical(2)))

def labelled():
    def generator(latent_dim, num_classes=None, shape=None):
        return networks.mlp_generator(latent_dim)
    def judge(num_classes=None, shape=None):
        return networks.mlp_discriminator()
    return dataclasses.replace(base, generator=generator, discriminator=judge, num_classes=10, regularizers=(Labels(),))

def clustered():
    def judge(num_classes=None, shape=None):
        return networks.default_discriminator(num_classes=num_classes)
    return dataclasses.replace(base, discriminator=judge, clusters=4)
"""


@pytest.fixture
def own(tmp_path, monkeypatch, request):
    """The path of a file of recipes, under a module name of its own for each test."""
    path = tmp_path / f"own_{abs(hash(request.node.nodeid))}.py"
    path.write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return path


SPLIT = {"split": "train[:40]", "jit": "off"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("with_range", marks=pytest.mark.slow),
        pytest.param("coded", marks=pytest.mark.slow),
        pytest.param("labelled", marks=pytest.mark.slow),
        "clustered",
    ],
)
def test_a_recipe_of_ones_own_is_trained_loaded_and_taken_up(name, own):
    straight = Run.new("straight", recipe=f"{own.name}:{name}", **SPLIT, steps=3).train(verbose=0)
    Run.new("run", recipe=f"{own.name}:{name}", **SPLIT).train(verbose=0)
    run = Run("run")
    run.go_on(steps=3)
    assert bits(run.train(verbose=0)) == bits(straight) == bits(Run("run").load())


def test_too_few_images_are_refused_before_clusters_are_found(own, monkeypatch):
    monkeypatch.setattr(gan_keras.clusters, "spectral", lambda images, number, seed: 1 / 0)
    with pytest.raises(ValueError, match="A batch of 8 needs at least as many images"):
        Run.new("run", recipe=f"{own.name}:clustered", split="train[:5]", jit="off").train(verbose=0)


def test_a_run_goes_on_with_the_clusters_that_it_began_with(own, monkeypatch):
    run = Run.new("run", recipe=f"{own.name}:clustered", **SPLIT)
    trained = run.train(verbose=0)
    told = np.load(run.clusters)
    seen = np.concatenate([labels for _, labels in gan_keras.data.batches(run.training_data[0], told, 8).take(2)])
    assert trained.label_shares.numpy() == pytest.approx(np.bincount(seen, minlength=4) / 16, abs=1e-6)
    monkeypatch.setattr(gan_keras.clusters, "spectral", lambda images, number, seed: 1 / 0)
    again = Run("run")
    again.go_on(steps=3)
    assert int(again.train(verbose=0).step.numpy()) == 3 and (np.load(run.clusters) == told).all()
    for damaged in (told + 1, told[:-1], told / 2):
        np.save(run.clusters, damaged)
        with pytest.raises(ValueError, match="clusters.npy cannot be read: it does not hold 40 integers from 0 to 3"):
            Run("run").train(verbose=0)
    run.clusters.write_bytes(b"no array")
    for _ in range(2):
        with pytest.raises(ValueError, match="clusters.npy cannot be read.*begin another run if they are lost"):
            Run("run").train(verbose=0)
        run.clusters.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "name, message",
    [
        ("unregistered", "register_keras_serializable"),
        ("without_range", r"Recipe\(value_range=\(-1, 1\)\)"),
    ],
)
def test_a_recipe_that_could_not_be_saved_or_sampled_is_refused_before_training(name, message, own):
    with pytest.raises(ValueError, match=message):
        Run.new("run", recipe=f"{own.name}:{name}", **SPLIT).train(verbose=0)
    assert not own.with_name("run").exists()


def test_the_file_of_a_recipe_may_be_moved_and_its_changes_are_told(own, monkeypatch):
    Run.new("run", recipe=f"{own}:plain", **SPLIT).train(verbose=0)
    moved = own.rename(own.with_name(f"{own.stem}_moved.py"))
    monkeypatch.delitem(sys.modules, own.stem)
    assert int(Run("run").load().step.numpy()) == 2, "nothing in the model is of that file"
    with pytest.raises(ValueError, match="there is no file"):
        Run("run").go_on(steps=3)
    run = Run("run")
    run.go_on(steps=3, recipe=f"{moved}:plain")
    run.train(verbose=0)
    assert Run("run").settings["recipe"] == f"{moved}:plain"
    with pytest.raises(ValueError, match="holds a run with recipe"):
        Run("run").go_on(steps=4, recipe=f"{moved}:with_range")
    moved.write_text(OWN + "# changed\n")
    with pytest.warns(UserWarning, match="has changed since run was begun. The run may not"):
        Run("run").go_on(steps=4)


@pytest.mark.parametrize("name", ["ring", "default", "of:mine"])
def test_a_path_of_data_is_kept_absolute_whatever_it_is_called(name, tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), "uint8")
    folder = tmp_path / f"data {name}"
    folder.mkdir()
    np.savez(folder / "images.npz", x_train=images)
    monkeypatch.chdir(tmp_path)
    run = Run.new("run", **{**FEW, "data": f"data {name}/images.npz", "split": "train"}, steps=1)
    assert run.settings["data"] == str(folder / "images.npz")


def test_only_a_folder_that_is_empty_takes_a_new_run(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an empty folder"):
        Run.new(tmp_path, **FEW)
    with pytest.raises(ValueError, match="not a run folder"):
        Run(tmp_path)
