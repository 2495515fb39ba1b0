"""gan_keras.runs: a run folder in one's own code."""

import json

import filelock
import keras
import pytest

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


def test_only_a_folder_that_is_empty_takes_a_new_run(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an empty folder"):
        Run.new(tmp_path, **FEW)
    with pytest.raises(ValueError, match="not a run folder"):
        Run(tmp_path)
