"""scripts/train_mnist.py: what a run leaves behind, how it goes on, and what is refused."""

import dataclasses
import hashlib
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
import warnings

import filelock
import keras
import numpy as np
import pytest
from helpers import SCRIPTS, child, environment, train_run
from PIL import Image

from gan_keras import recipes, settings
from gan_keras.runs import Run
from gan_keras_scripts import train_mnist


def test_the_run_folder_holds_what_the_docs_say(mlp_run):
    names = {path.name for path in mlp_run.iterdir()}
    assert names == {
        ".lock",
        "config.json",
        "checkpoints",
        "samples",
        "samples.gif",
        "history.csv",
        "losses.png",
        "model.keras",
    }
    assert sorted(p.name for p in (mlp_run / "samples").iterdir()) == [f"step-000000{k}.png" for k in (3, 6, 7)]
    config = json.loads((mlp_run / "config.json").read_text())
    assert set(config) == {*settings.NAMES, "training_set"} and config["shape"] == [28, 28, 1]
    assert config["recipe"] == "tutorial_mlp" and config["batch_size"] == 8 and config["latent_dim"] == 100
    assert (
        config["steps"] == 7
        and config["versions"]["keras"] == keras.__version__
        and config["values"]["d_optimizer"]["call"] == "Adam"
    )
    assert int(keras.models.load_model(mlp_run / "model.keras").step.numpy()) == 7
    table = np.genfromtxt(mlp_run / "history.csv", delimiter=",", names=True)
    assert table["step"].tolist() == [2, 4, 6, 7]
    with Image.open(mlp_run / "samples" / "step-0000007.png") as picture:
        assert picture.size[0] == picture.size[1] > 280


def test_says_what_it_will_do_and_where_everything_is(few_digits, tmp_path, capsys):
    train_run(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 2)
    printed = capsys.readouterr().out
    for text in (
        "tutorial_mlp",
        "227,344",
        "600 images",
        "2 steps",
        "CPU",
        "samples.gif",
        "model.keras",
        "gan-keras sample",
    ):
        assert text in printed


def test_resuming_reaches_the_same_bits(mlp_run, few_digits, tmp_path, capsys):
    assert train_run(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 4) == 0
    assert train_run(tmp_path / "run", few_digits, "--resume", "--steps", 7) == 0
    one, other = (keras.models.load_model(run / "model.keras") for run in (mlp_run, tmp_path / "run"))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one.get_weights(), other.get_weights()))
    assert train_run(tmp_path / "run", few_digits, "--resume") == 0, "nothing left to do is no error"
    assert "Nothing to train: the run has made its 7 steps" in capsys.readouterr().out


def test_resuming_from_any_step_makes_exactly_the_steps_asked_for(few_digits, tmp_path):
    periods = ["--log-every", 10, "--sample-every", 10, "--checkpoint-every", 10]
    assert train_run(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 7, *periods) == 0
    # 33 steps are left, and TensorFlow would take 20 at once.
    assert train_run(tmp_path / "run", few_digits, "--resume", "--steps", 40, *periods) == 0
    assert int(keras.models.load_model(tmp_path / "run" / "model.keras").step.numpy()) == 40
    table = np.genfromtxt(tmp_path / "run" / "history.csv", delimiter=",", names=True)
    assert table["step"].tolist() == [7, 10, 20, 30, 40]


def test_jit_is_settled_when_the_run_begins(few_digits, tmp_path, capsys):
    assert train_run(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 1, "--jit", "auto") == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["jit"] == "on"
    assert train_run(tmp_path / "run", few_digits, "--resume", "--jit", "auto") == 0, "nothing is left to train"
    assert train_run(tmp_path / "run", few_digits, "--resume", "--steps", 2, "--jit", "off") == 2
    assert "jit 'on', not 'off'" in capsys.readouterr().err


@pytest.mark.parametrize("precision, other", [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_precision_is_settled_when_the_run_begins(precision, other, few_digits, tmp_path, monkeypatch, capsys):
    recipe = dataclasses.replace(recipes.get("tutorial_mlp"), bfloat16_on_cpu=True)
    monkeypatch.setitem(recipes.RECIPES, "tutorial_mlp", lambda: recipe)
    monkeypatch.setattr(settings, "multiplies_bfloat16", lambda: precision == "bfloat16")
    assert train_run(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 1) == 0
    assert ("mixed bfloat16" in capsys.readouterr().out) == (precision == "bfloat16")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["precision"] == precision
    monkeypatch.setattr(settings, "multiplies_bfloat16", lambda: precision != "bfloat16")  # it goes on elsewhere
    assert train_run(tmp_path / "run", few_digits, "--resume", "--steps", 2, "--mixed-precision", "auto") == 0
    assert ("no instructions for bfloat16" in capsys.readouterr().out) == (precision == "bfloat16")
    assert train_run(tmp_path / "run", few_digits, "--resume", "--steps", 3, "--mixed-precision", other) == 2
    assert f"precision '{precision}', not '{other}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, multiplies", [("fma avx512_bf16", True), ("amx_bf16 amx_tile", True), ("avx512f avx_vnni", False)]
)
def test_processors_that_multiply_in_bfloat16(flags, multiplies, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : fpu {flags} sse\n")
    assert settings.multiplies_bfloat16(tmp_path / "cpuinfo") == multiplies
    assert not settings.multiplies_bfloat16(tmp_path / "elsewhere")


def test_two_latent_dimensions_make_a_map(few_digits, tmp_path):
    assert train_run(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 2, "--latent-dim", 2) == 0
    assert (tmp_path / "run" / "manifold.png").exists()


def test_minutes(few_digits, tmp_path):
    out = tmp_path / "run"

    def steps():
        return int(keras.models.load_model(out / "model.keras").step.numpy())

    assert train_run(out, few_digits, "--recipe", "tutorial_mlp", "--minutes", 0.02) == 0
    made = steps()
    assert made >= 1 and Run(out).seconds >= 1.2
    assert train_run(out, few_digits, "--resume") == 0 and steps() == made, "the time is up"
    assert train_run(out, few_digits, "--resume", "--minutes", 0.04) == 0 and steps() > made
    assert 2.4 <= Run(out).seconds


def test_lists_and_shows_recipes(capsys):
    assert train_mnist.main(["--list-recipes"]) == 0
    assert "wgan_gp" in capsys.readouterr().out
    assert train_mnist.main(["--show-recipe", "wgan_gp"]) == 0
    assert "regularizers.GradientPenalty(10.0),),  # Gulrajani et al. 2017, algorithm 1" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_saves_and_says_how_to_go_on(number, few_digits, tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [
            sys.executable,
            SCRIPTS / "train_mnist.py",
            "--recipe",
            "tutorial_mlp",
            "--data",
            few_digits,
            "--out",
            out,
            "--steps",
            "100000",
        ]
        + ["--checkpoint-every", "50", "--batch-size", "8", "--jit", "off"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("checkpoints/*.index")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, errors
    assert "Traceback" not in errors
    assert shlex.join(["gan-keras", "train", *map(str, process.args[2:]), "--resume"]) in printed
    step = int(keras.models.load_model(out / "model.keras").step.numpy())
    assert step >= 50 and (out / f"checkpoints/ckpt-{step}.index").exists()


@pytest.mark.slow
def test_killed_five_times_the_final_weights_are_the_same_bytes(few_digits, tmp_path):
    command = [
        sys.executable,
        SCRIPTS / "train_mnist.py",
        "--data",
        few_digits,
        "--steps",
        "400",
        "--batch-size",
        "8",
        "--recipe",
        "tutorial_mlp",
    ]
    command += ["--checkpoint-every", "10", "--sample-every", "100", "--log-every", "10"]
    subprocess.run([*command, "--out", tmp_path / "straight"], check=True, env=environment(), capture_output=True)
    rng, out = np.random.default_rng(0), tmp_path / "killed"

    def newest():
        return max((int(p.stem[5:]) for p in out.glob("checkpoints/ckpt-*.index")), default=0)

    for _ in range(5):
        more = ["--resume", "--out", out] if (out / "config.json").exists() else ["--out", out]
        process = subprocess.Popen([*command, *more], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        reached, deadline = newest(), time.monotonic() + 60
        while newest() < min(reached + 30, 390) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        assert process.poll() is None, "killed while it trained"
        process.kill()
        process.wait()
    subprocess.run([*command, "--resume", "--out", out], check=True, env=environment(), capture_output=True)
    weights = [
        b"".join(w.tobytes() for w in keras.models.load_model(run / "model.keras").get_weights())
        for run in (tmp_path / "straight", out)
    ]
    assert hashlib.sha256(weights[0]).digest() == hashlib.sha256(weights[1]).digest()
    # All columns of the history but the seconds.
    tables = [
        [line.split(",")[:1] + line.split(",")[2:] for line in (run / "history.csv").read_text().splitlines()]
        for run in (tmp_path / "straight", out)
    ]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--recipe", "wgan-gp"], "Did you mean 'wgan_gp'"),
        (["--steps", "0"], "--steps: must be from 1 to 281,474,976,710,656. Received: 0"),
        (["--steps", str(10**30)], "--steps: must be from 1 to 281,474,976,710,656"),
        (["--steps", "1" * 5000], "--steps: invalid int value"),
        (["--minutes", "-1"], "--minutes: must be from 0.001 to 525,600"),
        (["--minutes", "inf"], "--minutes: must be from"),
        (["--minutes", "nan"], "--minutes: must be from"),
        (["--seed", "-1"], "--seed: must be from 0 to 2,147,483,647"),
        (["--log-every", str(10**30)], "--log-every: must be from"),
        (["--sample-every", "0"], "--sample-every: must be from"),
        (["--checkpoint-every", str(10**30)], "--checkpoint-every: must be from"),
        (["--batch-size", str(10**30)], "--batch-size: must be from"),
        (["--latent-dim", str(10**30)], "--latent-dim: must be from"),
        (["--recipe", ""], "--recipe: must not be empty"),
        (["--data", ""], "--data: must not be empty"),
        (["--recipe", "x" * 5000], "Unknown recipe: 'xxx"),
        (["--data", "/a\n\x1b[1mb"], "No data at /a [1mb"),
        (["--split", "test"], "Test images are not for training"),
        (["--split", "trian"], "Unknown split"),
        (["--data", "/nowhere"], "No data at /nowhere"),
        (["--batch-size", "601"], "Received: 600"),
        (["--recipe", "cgan", "--data", "{unlabelled}"], "needs labels"),
        (
            ["--recipe", "tutorial_mlp", "--data", "{large}"],
            "published network of one shape, (28, 28, 1). Received: shape=(32, 32, 1)",
        ),
        (["--recipe", "ring"], "Dense networks of points have shape=(dimensions,). Received: shape=(28, 28, 1)"),
        (["--image-size", "64"], "has examples of shape (28, 28, 1), where (64, 64, 1) is expected"),
        (["--channels", "3"], "where (28, 28, 3) is expected"),
        (["--image-size", "7"], "--image-size: must be a number of pixels from 8 to 4096, or HEIGHTxWIDTH. Received: 7"),
        (["--image-size", "64x"], "--image-size: must be"),
        (["--channels", "2"], "--channels: invalid choice"),
        (["--recipe", "no_file.py:mine"], "there is no file no_file.py"),
        (["--recipe", "json:dump"], "a function without arguments"),
        (["--jit", "on", "--deterministic"], "cannot go with --deterministic"),
        (["--resume"], "not a run folder"),
    ],
)
def test_train_refuses(arguments, message, few_digits, tmp_path, capsys):
    np.savez(tmp_path / "unlabelled.npz", x_train=np.zeros((100, 28, 28), "uint8"))
    np.savez(tmp_path / "large.npz", x_train=np.zeros((100, 32, 32), "uint8"))
    arguments = [a.format(unlabelled=tmp_path / "unlabelled.npz", large=tmp_path / "large.npz") for a in arguments]
    arguments += ["--out", str(tmp_path / "run")]
    arguments += [] if "--data" in arguments else ["--data", str(few_digits)]
    assert train_mnist.main(arguments) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1 and len(told) <= 501
    assert not (tmp_path / "run").exists()


def test_train_refuses_a_folder_in_use(mlp_run, few_digits, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in mlp_run.rglob("*")}
    assert train_run(mlp_run, few_digits) == 2
    assert "holds a run already. Add --resume" in capsys.readouterr().err
    assert train_run(mlp_run, few_digits, "--resume", "--recipe", "dcgan") == 2
    assert "holds a run with recipe 'tutorial_mlp', not 'dcgan'" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in mlp_run.rglob("*")}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    assert train_run(tmp_path / "other", few_digits) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_train_refuses_a_folder_that_another_process_trains_in(mlp_run, few_digits, tmp_path, capsys):
    shutil.copytree(mlp_run, tmp_path / "run")
    with filelock.FileLock(tmp_path / "run" / ".lock"):
        assert train_run(tmp_path / "run", few_digits, "--resume", "--steps", 9) == 2
    assert "Another process is training" in capsys.readouterr().err
    assert train_run(tmp_path / "run", few_digits, "--resume", "--steps", 9) == 0
    (tmp_path / "begins").mkdir()
    with filelock.FileLock(tmp_path / "begins" / ".lock"):  # both saw an empty folder, and the other was faster
        assert train_run(tmp_path / "begins", few_digits, "--recipe", "tutorial_mlp", "--steps", 1) == 2
    assert "Another process is training" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "begins").iterdir()] == [".lock"]


@pytest.mark.parametrize("recipe", ["tutorial_mlp", "default"])
def test_train_refuses_a_place_it_cannot_write_to_before_any_work(few_digits, tmp_path, capsys, recipe):
    (tmp_path / "file").write_text("")
    assert train_run(tmp_path / "file" / "run", few_digits, "--recipe", recipe) == 2
    told = capsys.readouterr()
    assert "Cannot write to" in told.err and "Clusters" not in told.out


def test_train_refuses_checkpoints_of_another_recipe(mlp_run, cgan_run, tmp_path, capsys):
    shutil.copytree(mlp_run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    shutil.copytree(cgan_run / "checkpoints", tmp_path / "run" / "checkpoints")
    assert train_mnist.main(["--resume", "--out", str(tmp_path / "run")]) == 2
    assert "belongs to another GAN" in capsys.readouterr().err


def test_train_refuses_to_go_on_by_a_changed_recipe(mlp_run, tmp_path, capsys):
    shutil.copytree(mlp_run, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["values"]["g_optimizer"]["learning_rate"] = 0.5
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert train_mnist.main(["--resume", "--out", str(tmp_path / "run")]) == 2
    assert "has changed since" in capsys.readouterr().err


def test_a_run_killed_after_its_last_checkpoint_is_finished_by_resuming(mlp_run, tmp_path):
    shutil.copytree(mlp_run, tmp_path / "run")
    for name in ("model.keras", "samples.gif", "losses.png"):
        (tmp_path / "run" / name).unlink()
    assert train_mnist.main(["--resume", "--out", str(tmp_path / "run")]) == 0
    assert {p.name for p in mlp_run.iterdir()} == {p.name for p in (tmp_path / "run").iterdir()}


def test_equal_points_are_drawn_without_warnings(tmp_path):
    points = np.ones((300, 2), "float32")
    np.savez(tmp_path / "equal.npz", x_train=points, x_test=points)
    arguments = ["--recipe", "ring", "--data", str(tmp_path / "equal.npz"), "--batch-size", "32", "--steps", "2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # matplotlib's
        assert train_mnist.main([*arguments, "--out", str(tmp_path / "run")]) == 0


RECIPE = """
import dataclasses
import neighbour_of_mine  # beside this file
import keras
from gan_keras import recipes

@keras.saving.register_keras_serializable(package="mine")
class Halved(keras.layers.Layer):
    def call(self, x):
        return 0.5 * x

def discriminator(num_classes=None, shape=(28, 28, 1)):
    images = keras.Input(shape)
    x = keras.layers.Dense(16, activation="relu")(Halved()(keras.layers.Flatten()(images)))
    return keras.Model(images, keras.layers.Dense(1)(x))

def colours():
    \"\"\"Small colour pictures.\"\"\"
    return dataclasses.replace(
        recipes.plain(),
        discriminator=discriminator,  # small
        batch_size=8,  # small
        steps=2,  # few
    )
"""

FEATURES = """
def features(images):
    return images[:, ::8, ::8].reshape(len(images), -1).astype("float32")
"""


@pytest.fixture
def photographs(tmp_path):
    rng = np.random.default_rng(0)
    for side, number in (("train", 12), ("test", 110)):
        (tmp_path / "photographs" / side).mkdir(parents=True)
        for k in range(number):
            Image.fromarray(rng.integers(0, 256, (40, 50, 3), "uint8")).save(tmp_path / "photographs" / side / f"{k}.png")
    return tmp_path / "photographs"


@pytest.mark.slow
def test_ones_own_recipe_and_images_through_all_scripts(photographs, tmp_path, monkeypatch):
    """Colour, 32x48. What follows the training is in another process, which has to find the recipe again."""
    for name, text in (("recipe_of_mine", RECIPE), ("neighbour_of_mine", ""), ("features_of_mine", FEATURES)):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    begin = ["--recipe", "recipe_of_mine.py:colours", "--data", "photographs", "--image-size", "32x48", "--channels", "3"]
    assert train_mnist.main([*begin, "--out", "straight", "--steps", "4"]) == 0
    assert train_mnist.main(begin) == 0
    child(
        """
        from gan_keras_scripts import evaluate, export, sample, train_mnist
        assert train_mnist.main(["--out", "runs/colours", "--resume", "--steps", "4"]) == 0
        assert sample.main(["runs/colours", "--num", "3", "--out", "samples.npz"]) == 0
        options = ["--num", "100", "--extractor", "features_of_mine.py:features", "--metrics", "frechet", "memorisation"]
        assert evaluate.main(["runs/colours", *options]) == 0
        assert export.main(["runs/colours", "--out", "exported"]) == 0
        """
    )
    run = Run("runs/colours")
    assert run.settings["shape"] == [32, 48, 3] and run.recipe.batch_size == 8
    assert run.settings["recipe"] == f"{tmp_path / 'recipe_of_mine.py'}:colours"
    resumed, straight = (Run(folder).load() for folder in ("runs/colours", "straight"))
    assert int(resumed.step.numpy()) == 4
    assert all(a.tobytes() == b.tobytes() for a, b in zip(resumed.get_weights(), straight.get_weights()))
    assert np.load("samples.npz")["images"].shape == (3, 32, 48, 3)
    report = json.loads(run.report.read_text())
    assert report["classifier"] == "features_of_mine.py:features" and run.report_picture.exists()
    assert (tmp_path / "exported" / "1" / "saved_model.pb").exists()


def test_it_is_told_that_images_of_a_folder_are_resized(photographs, tmp_path, capsys):
    for options, told in (([], True), (["--image-size", "28"], False)):
        run = tmp_path / f"run{told}"
        assert train_run(run, photographs, "--recipe", "tutorial_mlp", "--steps", 1, *options) == 0
        assert ("Images are resized to 28x28 and made grey" in capsys.readouterr().out) == told


def test_names_of_classes_and_what_few_images_need_are_told(tmp_path, capsys):
    for k, image in enumerate(np.random.default_rng(0).integers(0, 256, (24, 28, 28), "uint8")):
        folder = tmp_path / "own" / ("dogs", "cats")[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{k}.png")
    for recipe, hint in (("plain", True), ("tutorial_mlp", False)):
        run = tmp_path / recipe
        assert train_run(run, tmp_path / "own", "--recipe", recipe, "--split", "train[:20]", "--steps", 1) == 0
        told = capsys.readouterr().out
        assert "Labels    0 cats, 1 dogs\n" in told
        assert ("The recipe few augments them" in told) == hint
    assert len(Run(run).held_out[0]) == 4
    next((tmp_path / "own" / "cats").iterdir()).unlink()  # then others would be in the first twenty
    with pytest.raises(ValueError, match="have changed since .* was begun. Put them back"):
        Run(run).held_out  # noqa: B018


def test_lines_tell_the_pace(few_digits, tmp_path, monkeypatch, capsys):
    train_run(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 6, "--log-every", 2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert len(lines) == 3 and "steps a second" not in lines[0]
    assert lines[-1].endswith(" 0.0 minutes left")
    monkeypatch.setattr(train_mnist.time, "perf_counter", lambda: 14.0)
    for steps, left in ((2000, ", 0.7 minutes left"), (None, "")):
        told = train_mnist.Lines(100, steps)
        told.before = (10.0, 900)
        assert told.pace(1000) == f"  25.0 steps a second{left}"


def test_classes_are_those_of_ones_own_images(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32), "uint8")
    np.savez(tmp_path / "own.npz", x_train=images, y_train=np.arange(40) % 13)
    arguments = ["--recipe", "cgan", "--data", str(tmp_path / "own.npz"), "--batch-size", "8", "--steps", "1"]
    assert train_mnist.main([*arguments, "--out", str(tmp_path / "run")]) == 0
    assert Run(tmp_path / "run").load().num_classes == 13
