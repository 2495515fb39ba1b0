"""What the scripts share: errors in one line, and reading a run folder."""

import io
import json
import os
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf
from helpers import environment

from gan_keras_scripts import common, evaluate, export, sample, train_mnist


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


def test_the_command_is_named_as_it_can_be_started(tmp_path, monkeypatch):
    for folder in ("own", "other"):
        (tmp_path / folder).mkdir()
        for name in ("python", "gan-keras"):
            (tmp_path / folder / name).touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "own" / "python"))
    for path, named in (("own", "gan-keras"), ("other", "own/gan-keras"), ("nowhere", "own/gan-keras")):
        monkeypatch.setenv("PATH", str(tmp_path / path))
        assert common.program() == named
    (tmp_path / "own" / "gan-keras").unlink()
    assert common.program() == "gan-keras"


def test_a_terminal_without_unicode_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert common.command(lambda argv: print("r\xe9seau \u6570"))() is None
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue() == b"r\\xe9seau \\u6570\n"


@pytest.mark.parametrize(
    "content, message",
    [
        (b"{", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"recipe": "\xff"}', "cannot be read"),
        (None, "no regular file"),
        (b"[]", "lacks recipe"),
        (b"{}", "lacks recipe"),
        (b'"jit": "maybe"', "jit, in"),
        (b'"minutes": NaN', "minutes, in"),
        (b'"split": "test"', "split, in"),
        (b'"shape": [28, 28]', "shape, in"),
    ],
)
def test_a_spoilt_config_is_told(content, message, mlp_run, tmp_path, capsys):
    shutil.copytree(mlp_run, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    if content and content.startswith(b'"'):  # one value of a good file
        content = json.dumps({**json.loads(path.read_text()), **json.loads(b"{%s}" % content)}).encode()
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


@pytest.mark.parametrize("given, found", [(None, "1"), ("0", "0")])
def test_the_scripts_turn_onednn_on_unless_the_user_has_decided(given, found):
    code = "import os, gan_keras_scripts; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    without = {name: value for name, value in environment().items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    chosen = {} if given is None else {"TF_ENABLE_ONEDNN_OPTS": given}
    done = subprocess.run([sys.executable, "-c", code], env=without | chosen, capture_output=True, text=True, check=True)
    assert done.stdout == f"{found}\n"


@pytest.mark.parametrize(
    "versions, told",
    [
        ({"keras": "3.0.0"}, "The run began with Keras 3.0.0, and this is Keras"),
        ({}, "take the newest checkpoint.\n"),
        ([], "must be an object"),
    ],
)
def test_another_keras_is_named_where_a_model_cannot_be_read(versions, told, mlp_run, tmp_path, capsys):
    run = shutil.copytree(mlp_run, tmp_path / "run")
    (run / "model.keras").write_bytes(b"no model")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "versions": versions}))
    assert sample.main([str(run), "--num", "1", "--out", str(tmp_path / "out.npz")]) == 2
    assert told in capsys.readouterr().err
