import dataclasses
import hashlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time
import warnings

import common
import evaluate
import export
import keras
import numpy as np
import pytest
import reproduce
import sample
import tensorflow as tf
import train_mnist
from conftest import SCRIPTS, environment
from PIL import Image

from gan_keras import data, recipes


@pytest.fixture(scope="module")
def few_digits(tmp_path_factory):
    """600 real digits: enough to train on for a moment."""
    path = tmp_path_factory.mktemp("data") / "few.npz"
    images, labels = data.load(split="train[:600]")
    test = data.load(split="test[:300]")[0]
    np.savez_compressed(path, x_train=images, y_train=labels, x_test=test)
    return path


def train(out, few_digits, *more):
    return train_mnist.main(
        ["--out", str(out), "--data", str(few_digits), "--batch-size", "8", "--log-every", "2", "--sample-every", "3"]
        + ["--checkpoint-every", "3", "--jit", "off", *map(str, more)]
    )


@pytest.fixture(scope="module")
def mlp_run(few_digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "mlp"
    assert train(out, few_digits, "--recipe", "tutorial_mlp", "--steps", 7) == 0
    return out


@pytest.fixture(scope="module")
def cgan_run(few_digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "cgan"
    assert train(out, few_digits, "--recipe", "cgan", "--steps", 2) == 0
    return out


# Training.


def test_the_run_folder_holds_what_the_docs_say(mlp_run):
    names = {path.name for path in mlp_run.iterdir()}
    assert names == {"config.json", "checkpoints", "samples", "samples.gif", "history.csv", "losses.png", "model.keras"}
    assert sorted(p.name for p in (mlp_run / "samples").iterdir()) == [f"step-000000{k}.png" for k in (3, 6, 7)]
    config = json.loads((mlp_run / "config.json").read_text())
    assert set(config) == {*common.SETTINGS, "precision"}
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
    train(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 2)
    printed = capsys.readouterr().out
    for text in (
        "tutorial_mlp",
        "227,344",
        "600 images",
        "2 steps",
        "CPU",
        "samples.gif",
        "model.keras",
        "scripts/sample.py",
    ):
        assert text in printed


def test_resuming_reaches_the_same_bits(mlp_run, few_digits, tmp_path):
    assert train(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 4) == 0
    assert train(tmp_path / "run", few_digits, "--resume", "--steps", 7) == 0
    one, other = (keras.models.load_model(run / "model.keras") for run in (mlp_run, tmp_path / "run"))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one.get_weights(), other.get_weights()))
    assert train(tmp_path / "run", few_digits, "--resume") == 0, "nothing left to do is no error"


def test_resuming_from_any_step_makes_exactly_the_steps_asked_for(few_digits, tmp_path):
    periods = ["--log-every", 10, "--sample-every", 10, "--checkpoint-every", 10]
    assert train(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 7, *periods) == 0
    # 33 steps are left, and TensorFlow would take 20 at once.
    assert train(tmp_path / "run", few_digits, "--resume", "--steps", 40, *periods) == 0
    assert int(keras.models.load_model(tmp_path / "run" / "model.keras").step.numpy()) == 40
    table = np.genfromtxt(tmp_path / "run" / "history.csv", delimiter=",", names=True)
    assert table["step"].tolist() == [7, 10, 20, 30, 40]


def test_jit_is_settled_when_the_run_begins(few_digits, tmp_path, capsys):
    assert train(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 1, "--jit", "auto") == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["jit"] == "on"
    assert train(tmp_path / "run", few_digits, "--resume", "--steps", 2, "--jit", "auto") == 0
    assert train(tmp_path / "run", few_digits, "--resume", "--steps", 3, "--jit", "off") == 2
    assert "jit 'on', not 'off'" in capsys.readouterr().err


def test_two_latent_dimensions_make_a_map(few_digits, tmp_path):
    assert train(tmp_path / "run", few_digits, "--recipe", "tutorial_mlp", "--steps", 2, "--latent-dim", 2) == 0
    assert (tmp_path / "run" / "manifold.png").exists()


def test_minutes(few_digits, tmp_path):
    out = tmp_path / "run"

    def steps():
        return int(keras.models.load_model(out / "model.keras").step.numpy())

    assert train(out, few_digits, "--recipe", "tutorial_mlp", "--minutes", 0.02) == 0
    made = steps()
    assert made >= 1 and train_mnist.seconds_so_far(out) >= 1.2
    assert train(out, few_digits, "--resume") == 0 and steps() == made, "the time is up"
    assert train(out, few_digits, "--resume", "--minutes", 0.04) == 0 and steps() > made
    assert 2.4 <= train_mnist.seconds_so_far(out)


def test_lists_and_shows_recipes(capsys):
    assert train_mnist.main(["--list-recipes"]) == 0
    assert "wgan_gp" in capsys.readouterr().out
    assert train_mnist.main(["--show-recipe", "wgan_gp"]) == 0
    assert "GradientPenalty(weight=10.0)" in capsys.readouterr().out


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
        + ["--checkpoint-every", "50", "--batch-size", "8"],
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
    assert shlex.join(["python", "scripts/train_mnist.py", *map(str, process.args[2:]), "--resume"]) in printed
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

    for kill in range(5):
        more = ["--resume", "--out", out] if (out / "config.json").exists() else ["--out", out]
        process = subprocess.Popen(
            [*command, *more], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
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


# Sampling.


def test_samples_as_arrays(mlp_run, tmp_path):
    for name in ("a", "b"):
        assert sample.main([str(mlp_run), "--num", "1500", "--out", str(tmp_path / f"{name}.npz"), "--seed", "3"]) == 0
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert a.files == ["images"] and a["images"].shape == (1500, 28, 28, 1) and a["images"].dtype == np.uint8
        assert (a["images"] == b["images"]).all() and a["images"].std() > 1
    gan = keras.models.load_model(mlp_run / "model.keras")
    expected = np.rint(gan.sample(1500, seed=3) * 255)
    with np.load(tmp_path / "a.npz") as a:
        assert np.abs(a["images"] - expected).max() <= 1


def test_samples_with_labels(cgan_run, tmp_path):
    assert sample.main([str(cgan_run), "--num", "25", "--out", str(tmp_path / "all.npz")]) == 0
    with np.load(tmp_path / "all.npz") as arrays:
        assert arrays["labels"].tolist() == [k % 10 for k in range(25)]
    assert sample.main([str(cgan_run), "--num", "5", "--label", "7", "--out", str(tmp_path / "sevens.npz")]) == 0
    with np.load(tmp_path / "sevens.npz") as arrays:
        assert arrays["labels"].tolist() == [7] * 5


def test_samples_as_a_picture(mlp_run, tmp_path):
    assert sample.main([str(mlp_run), "--num", "16", "--out", str(tmp_path / "grid.png")]) == 0
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size == (244, 244)


def test_samples_of_a_run_that_is_under_way(mlp_run, tmp_path):
    shutil.copytree(mlp_run, tmp_path / "run")
    (tmp_path / "run" / "model.keras").unlink()
    for run, name in ((mlp_run, "a"), (tmp_path / "run", "b")):
        assert sample.main([str(run), "--num", "9", "--out", str(tmp_path / f"{name}.npz")]) == 0
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert (a["images"] == b["images"]).all()


@pytest.mark.slow
def test_many_samples_in_bounded_memory(mlp_run, tmp_path):
    code = (
        "import resource, sys, sample\n"
        "for n in ('2000', sys.argv[3]):\n"
        "    assert sample.main([sys.argv[1], '--num', n, '--out', sys.argv[2] + n + '.npz']) == 0\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, mlp_run, str(tmp_path) + "/", "300000"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    few, many = (int(line) for line in done.stdout.split() if line.isdigit())
    assert many - few < 100_000, "kilobytes; the images alone are 235,000"
    with np.load(tmp_path / "300000.npz") as arrays:
        assert arrays["images"].shape == (300_000, 28, 28, 1)


# Exporting.


def test_export_writes_a_servable_folder_with_a_card(cgan_run, tmp_path, capsys):
    assert export.main([str(cgan_run), "--out", str(tmp_path / "digits")]) == 0
    assert "scripts/serve.py" in capsys.readouterr().out
    version = tmp_path / "digits" / "1"
    model = tf.saved_model.load(str(version))
    inputs = {"seed": tf.constant(3, tf.int64), "n": tf.constant(4), "label": tf.constant(7)}
    expected = keras.models.load_model(cgan_run / "model.keras").sample(4, seed=3, labels=7)
    assert (model.signatures["generate"](**inputs)["images"].numpy() == expected).all()
    card = (version / "model_card.md").read_text()
    for told in ("cgan, step 2", "not known to gan_keras", "Adam", "tensorflow", "Not measured", "Limits"):
        assert told in card, told
    assert export.main([str(cgan_run), "--out", str(tmp_path / "digits")]) == 2
    assert "exists" in capsys.readouterr().err
    assert export.main([str(cgan_run), "--out", str(tmp_path / "digits"), "--overwrite"]) == 0


def test_the_card_holds_the_figures(mlp_run, tmp_path):
    shutil.copytree(mlp_run, tmp_path / "run")
    figures = {"frechet_distance": {"value": 12.345, "error": None, "ceiling": 0.5, "better": "lower"}}
    report = {"step": 6, "samples": 500, "figures": figures}
    (tmp_path / "run" / "report.json").write_text(json.dumps(report))
    assert export.main([str(tmp_path / "run"), "--out", str(tmp_path / "digits")]) == 0
    card = (tmp_path / "digits" / "1" / "model_card.md").read_text()
    assert "| Frechet distance | 12.35 | 0.5 | lower |" in card or "| Frechet distance | 12.34 | 0.5 | lower |" in card
    assert "500 samples of step 6, which is not this one (7)" in card
    (tmp_path / "run" / "report.json").write_text("{}")
    assert export.main([str(tmp_path / "run"), "--out", str(tmp_path / "digits"), "--overwrite"]) == 2
    assert (tmp_path / "digits" / "1" / "model_card.md").read_text() == card, "the old one stays"


def test_a_run_under_way_is_exported_at_its_newest_whole_checkpoint(mlp_run, tmp_path):
    shutil.copytree(mlp_run, tmp_path / "run")
    (tmp_path / "run" / "model.keras").unlink()
    for out, step in (("newest", 7), ("before", 6)):
        assert export.main([str(tmp_path / "run"), "--out", str(tmp_path / out)]) == 0
        assert f"step {step}" in (tmp_path / out / "1" / "model_card.md").read_text()
        for path in (tmp_path / "run" / "checkpoints").glob("ckpt-7.data*"):
            path.write_bytes(b"")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert export.main([str(tmp_path / "run"), "--out", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


def test_samples_in_shards_are_measured(mlp_run, tmp_path, capsys):
    shutil.copytree(mlp_run, tmp_path / "run")
    arguments = [str(mlp_run), "--num", "600", "--seed", "5", "--out"]
    assert sample.main([*arguments, str(tmp_path / "shards"), "--shards", "npz", "--shard-size", "256"]) == 0
    assert sample.main([*arguments, str(tmp_path / "plain.npz")]) == 0
    parts = sorted((tmp_path / "shards").glob("*.npz"))
    with np.load(tmp_path / "plain.npz") as plain:
        assert (np.concatenate([np.load(part)["images"] for part in parts]) == plain["images"]).all() and len(
            parts
        ) == 3
    reports = []
    for more in (["--samples", str(tmp_path / "shards")], ["--num", "600", "--seed", "5"]):
        assert evaluate.main([str(tmp_path / "run"), "--metrics", "frechet", *more]) == 0
        reports.append(json.loads((tmp_path / "run" / "report.json").read_text()))
    assert reports[0] == reports[1] and reports[0]["samples"] == 600
    assert sample.main([*arguments, str(tmp_path / "shards"), "--shards", "tfrecord"]) == 2
    assert "holds other samples" in capsys.readouterr().err


# Bad input: an error in one line, exit code 2, and nothing written.


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
        (["--data", "{large}"], r"takes images of shape (batch, 28, 28, 1). Received: shape (32, 32, 32, 1)"),
        (["--recipe", "ring"], "The recipe ring takes data of shape (2,)"),
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


@pytest.mark.parametrize(
    "script, arguments, message",
    [
        (train_mnist, ["--out", ""], "--out: must not be empty"),
        (train_mnist, ["--out", "r\udcc3\udca9seau"], "Set the environment variable PYTHONUTF8=1"),
        (sample, ["run", "--num", "300", "--shards", "npz", "--out", ""], "--out: must not be empty"),
        (evaluate, ["run", "--samples", ""], "--samples: must not be empty"),
        (evaluate, [""], "DIR: must not be empty"),
        (export, ["run", "--out", ""], "--out: must not be empty"),
    ],
)
def test_a_text_that_is_no_path_is_refused(script, arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert script.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not os.listdir(tmp_path)


def test_errors_of_tensorflow_are_one_line(capsys):
    @common.command
    def main(argv):
        raise tf.errors.InvalidArgumentError(None, None, "first\n  second\n" + 1000 * "much " + "last")

    assert main([]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: first second much") and told.endswith("much last\n")
    assert told.count("\n") == 1 and len(told) <= 501


def test_a_terminal_without_unicode_is_no_error():
    code = "import common, sys; sys.exit(common.command(lambda argv: print('r\xe9seau \u6570'))())"
    encoding = {**environment(), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=encoding, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("r\\xe9seau \\u6570\n", "")


def test_train_refuses_a_folder_in_use(mlp_run, few_digits, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in mlp_run.rglob("*")}
    assert train(mlp_run, few_digits) == 2
    assert "holds a run already. Add --resume" in capsys.readouterr().err
    assert train(mlp_run, few_digits, "--resume", "--recipe", "dcgan") == 2
    assert "holds a run with recipe 'tutorial_mlp', not 'dcgan'" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in mlp_run.rglob("*")}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    assert train(tmp_path / "other", few_digits) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_train_refuses_a_folder_that_another_process_trains_in(mlp_run, few_digits, tmp_path, capsys):
    shutil.copytree(mlp_run, tmp_path / "run")
    with train_mnist.claimed(tmp_path / "run"):
        assert train(tmp_path / "run", few_digits, "--resume", "--steps", 9) == 2
    assert "Another process is training" in capsys.readouterr().err
    assert train(tmp_path / "run", few_digits, "--resume", "--steps", 9) == 0
    with train_mnist.claimed(tmp_path / "begins"):  # both saw an empty folder, and the other was faster
        assert train(tmp_path / "begins", few_digits, "--recipe", "tutorial_mlp", "--steps", 1) == 2
    assert "Another process is training" in capsys.readouterr().err
    assert not list((tmp_path / "begins").iterdir())


def test_train_refuses_a_place_it_cannot_write_to(few_digits, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert train(tmp_path / "file" / "run", few_digits, "--recipe", "tutorial_mlp") == 2
    assert "Cannot write to" in capsys.readouterr().err


def test_train_refuses_checkpoints_of_another_recipe(mlp_run, cgan_run, tmp_path, capsys):
    shutil.copytree(mlp_run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    shutil.copytree(cgan_run / "checkpoints", tmp_path / "run" / "checkpoints")
    assert train_mnist.main(["--resume", "--out", str(tmp_path / "run")]) == 2
    assert "belongs to another GAN" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content, message",
    [
        (b"{", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"recipe": "\xff"}', "cannot be read"),
        (None, "no regular file"),
        (b"[]", "lacks recipe"),
        (b"{}", "lacks recipe"),
    ],
)
def test_a_spoilt_config_is_told(content, message, mlp_run, tmp_path, capsys):
    shutil.copytree(mlp_run, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    path.unlink()
    path.write_bytes(content) if content else os.mkfifo(path)
    run = str(tmp_path / "run")
    for script, options in (
        (train_mnist, ["--resume", "--out", run]),
        (evaluate, [run]),
        (export, [run, "--out", str(tmp_path / "digits")]),
    ):
        assert script.main(options) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "digits").exists()


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


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--num", "0", "--out", "x.npz"], "--num: must be from 1 to 1,000,000,000"),
        (["--num", str(10**30), "--out", "x.npz"], "--num: must be from 1 to 1,000,000,000"),
        (["--num", "3", "--out", "x.jpg"], "must end in .npz or .png"),
        (["--num", "3", "--out", "nowhere/x.npz"], "There is no folder nowhere"),
        (["--num", "3", "--out", "x.npz", "--label", "3"], "without num_classes"),
        (["--num", "3", "--out", "x.npz", "--seed", "-3"], "--seed: must be from 0"),
        (["--num", "20000", "--out", "x.png"], "at most 10,000"),
        (["--num", "300", "--out", "x", "--shards", "npz", "--overwrite"], "Leave --overwrite out"),
    ],
)
def test_sample_refuses(arguments, message, mlp_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert sample.main([str(mlp_run), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not os.listdir(tmp_path)


def test_sample_refuses_what_is_no_run(mlp_run, cgan_run, tmp_path, capsys):
    out = str(tmp_path / "x.npz")
    assert sample.main([str(tmp_path), "--num", "3", "--out", out]) == 2
    assert "not a run folder" in capsys.readouterr().err
    assert sample.main([str(cgan_run), "--num", "3", "--label", "10", "--out", out]) == 2
    assert "from 0 to 9" in capsys.readouterr().err
    pathlib.Path(out).write_text("mine")
    assert sample.main([str(mlp_run), "--num", "3", "--out", out]) == 2
    assert "--overwrite" in capsys.readouterr().err and pathlib.Path(out).read_text() == "mine"


# Evaluating.

GROUPS = ["frechet", "kernel", "score", "manifold", "memorisation"]


def test_evaluate_writes_a_report_and_a_picture(mlp_run, capsys):
    assert evaluate.main([str(mlp_run), "--num", "200", "--metrics", *GROUPS]) == 0
    printed = capsys.readouterr().out
    # Strict: JSON has no NaN.
    report = json.loads((mlp_run / "report.json").read_text(), parse_constant=pytest.fail)
    assert report["figures"]["kernel_distance"]["error"] > 0 and report["ceiling_samples"] == 200
    assert report["classifier"].startswith("digits-") and report["step"] == 7 and report["samples"] == 200
    for name, figure in report["figures"].items():
        assert np.isfinite(figure["value"]) and np.isfinite(figure["ceiling"]), name
        assert evaluate.evaluation.FIGURES[name].title in printed
    # Seven steps make no digits.
    figures = report["figures"]
    assert figures["frechet_distance"]["value"] > 10 * figures["frechet_distance"]["ceiling"]
    assert figures["coverage"]["value"] < 0.1 < 0.5 < figures["coverage"]["ceiling"]
    with Image.open(mlp_run / "report.png") as picture:
        assert picture.size[0] > 1000
    first = (mlp_run / "report.json").read_bytes()
    assert evaluate.main([str(mlp_run), "--num", "200", "--metrics", *GROUPS]) == 0
    assert (mlp_run / "report.json").read_bytes() == first


def test_evaluate_measures_labels_of_a_conditional_run(cgan_run):
    assert evaluate.main([str(cgan_run), "--num", "120", "--metrics", "labels"]) == 0
    figures = json.loads((cgan_run / "report.json").read_text())["figures"]
    assert set(figures) == {"label_accuracy", "label_cross_entropy"}
    assert 0 <= figures["label_accuracy"]["value"] < 0.5


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["RUN", "--num", "3"], "--num: must be from 100"),
        (["RUN", "--num", "200", "--samples", "RUN"], "Leave --num and --seed out"),
        (["RUN", "--metrics", "labels", "--num", "100"], "Only conditional GANs"),
        (["nowhere"], "not a run folder"),
        (["RUN", "--seed", "-1", "--num", "100"], "--seed: must be from 0"),
    ],
)
def test_evaluate_refuses_nonsense(mlp_run, arguments, message, capsys):
    before = sorted(path.name for path in mlp_run.iterdir())
    assert evaluate.main([str(mlp_run) if a == "RUN" else a for a in arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in mlp_run.iterdir()) == before


def test_evaluate_needs_held_out_images(mlp_run, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(mlp_run / "model.keras", run)
    config = json.loads((mlp_run / "config.json").read_text())
    images = data.load(split="train[:50]")[0]
    for arrays, message in (
        ({"pictures": images}, "has no array 'x_train'"),
        ({"x_train": images}, "has no array 'x_test'"),
        ({"x_train": images, "x_test": images[:, :14]}, "of one shape"),
        ({"x_train": images, "x_test": images * 0}, "Every pixel of test has the same value"),
    ):
        np.savez(tmp_path / "foreign.npz", **arrays)
        (run / "config.json").write_text(json.dumps({**config, "data": str(tmp_path / "foreign.npz")}))
        assert evaluate.main([str(run), "--num", "100"]) == 2
        assert message in capsys.readouterr().err
    assert not (run / "report.json").exists()


@pytest.fixture(scope="module")
def ring_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "ring"
    assert train_mnist.main(["--recipe", "ring", "--steps", "3", "--batch-size", "32", "--out", str(out)]) == 0
    return out


def test_toys_are_trained_evaluated_and_sampled(ring_run, tmp_path):
    assert json.loads((ring_run / "config.json").read_text())["data"] == "ring"
    assert (ring_run / "samples" / "step-0000003.png").exists() and not (ring_run / "manifold.png").exists()
    assert evaluate.main([str(ring_run), "--num", "500"]) == 0
    report = json.loads((ring_run / "report.json").read_text())
    assert report["figures"]["modes"]["ceiling"] == 8 and report["figures"]["high_quality"]["ceiling"] > 0.97
    assert evaluate.main([str(ring_run), "--num", "500", "--metrics", "frechet"]) == 2
    assert sample.main([str(ring_run), "--num", "300", "--out", str(tmp_path / "points.npz")]) == 0
    with np.load(tmp_path / "points.npz") as archive:
        np.testing.assert_array_equal(archive["points"], keras.models.load_model(ring_run / "model.keras").sample(300))
    assert sample.main([str(ring_run), "--num", "300", "--out", str(tmp_path / "points.png")]) == 0


def test_equal_points_are_drawn_without_warnings(tmp_path):
    points = np.ones((300, 2), "float32")
    np.savez(tmp_path / "equal.npz", x_train=points, x_test=points)
    arguments = ["--recipe", "ring", "--data", str(tmp_path / "equal.npz"), "--batch-size", "32", "--steps", "2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # matplotlib's
        assert train_mnist.main([*arguments, "--out", str(tmp_path / "run")]) == 0


def test_points_of_no_known_toy_have_no_figures(ring_run, tmp_path, capsys):
    shutil.copytree(ring_run, tmp_path / "run")
    points = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
    np.savez(tmp_path / "points.npz", x_train=points, x_test=points)
    config = json.loads((ring_run / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, "data": str(tmp_path / "points.npz")}))
    assert evaluate.main([str(tmp_path / "run"), "--num", "100"]) == 2
    assert "Points are measured against the toy" in capsys.readouterr().err


# The ledger.


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """A ledger of one row in a folder of its own."""
    calls = []

    def run(seed):
        calls.append(seed)
        return {"ours": {"modes": 6 + seed, "seconds": 10.0}, "others": {"modes": 0}}

    row = reproduce.Row(
        name="toy",
        title="A toy",
        source="a paper",
        protocol="counting",
        published="5 modes",
        differs="nothing",
        run=run,
        figures={"modes": "{:.1f}"},
        goal=("ours", "modes", "8 in every run", lambda runs: all(run["modes"] >= 8 for run in runs)),
        uses=("ring",),
        seeds=2,
    )
    monkeypatch.setattr(reproduce, "ROWS", [row])
    monkeypatch.setattr(reproduce, "DOCS", tmp_path)
    return tmp_path, calls


def test_the_ledger_holds_what_the_runs_say(ledger):
    folder, calls = ledger
    assert reproduce.main(["--seeds", "1"]) == 0
    assert "**1 of 2 seeds run** (6.0)" in (folder / "results.md").read_text()
    assert reproduce.main([]) == 0
    text = (folder / "results.md").read_text()
    assert "| ours | 6.5 +- 0.7 | 10 +- 0 |" in text and "| others | 0.0 +- 0.0 |  |" in text
    assert "**Falls short** (6.0, 7.0)" in text and "Seeds 0, 1" in text
    # What is there is not run again, but enters the ledger.
    assert reproduce.main(["--seeds", "3"]) == 0
    assert calls == [0, 1, 2] and "Seeds 0, 1, 2" in (folder / "results.md").read_text()
    assert reproduce.main(["--only", "toy", "--seeds", "1", "--again"]) == 0
    assert calls == [0, 1, 2, 0]


def test_runs_of_a_recipe_that_has_changed_do_not_count(ledger, monkeypatch):
    folder, calls = ledger
    assert reproduce.main([]) == 0
    changed = dataclasses.replace(recipes.get("ring"), batch_size=7)
    monkeypatch.setitem(recipes.RECIPES, "ring", changed)
    reproduce.write_ledger()
    assert "Not run yet" in (folder / "results.md").read_text()
    assert reproduce.main([]) == 0 and calls == [0, 1, 0, 1]


def test_a_row_that_fails_does_not_stop_the_others(ledger, monkeypatch, capsys):
    folder, calls = ledger

    def fail(seed):
        raise FloatingPointError("weights are not finite")

    monkeypatch.setattr(
        reproduce, "ROWS", [dataclasses.replace(reproduce.ROWS[0], name="bad", run=fail), *reproduce.ROWS]
    )
    assert reproduce.main([]) == 1
    assert calls == [0, 1] and "bad seed 0 failed: weights are not finite" in capsys.readouterr().err


def test_reproduce_refuses_nonsense(capsys):
    assert reproduce.main(["--only", "ringg"]) == 2
    assert "Did you mean 'ring'" in capsys.readouterr().err
    for seeds in ("0", str(10**30)):
        assert reproduce.main(["--seeds", seeds]) == 2


def test_the_ledger_is_written_from_the_runs(tmp_path, monkeypatch):
    docs = SCRIPTS.parent / "docs"
    written = (docs / "results.md").read_text()
    monkeypatch.setattr(reproduce, "DOCS", tmp_path)
    shutil.copytree(docs / "results", tmp_path / "results")
    reproduce.write_ledger()
    assert (tmp_path / "results.md").read_text() == written


def test_centroids_are_those_of_k_means():
    rng = np.random.default_rng(0)
    images = np.concatenate(
        [np.full((50, 2, 2, 1), level) + 0.01 * rng.normal(size=(50, 2, 2, 1)) for level in (0.2, 0.8)]
    )
    centers = reproduce.centroids(images, [0, 60])
    np.testing.assert_allclose(centers, [images[:50].mean(axis=0), images[50:].mean(axis=0)], rtol=1e-5)
