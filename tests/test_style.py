"""ruff, with the settings in pyproject.toml."""

import pathlib
import subprocess
import sys

import pytest
from helpers import needs

ROOT = pathlib.Path(__file__).parents[1]


@needs("ruff")
@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_has_no_complaints(command):
    done = subprocess.run([sys.executable, "-m", "ruff", *command, "--no-cache", str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
