"""The command gan-keras, and what pip installs: a wheel that works where there is no clone."""

import os
import shutil
import subprocess
import sys
import sysconfig

import pytest
from helpers import SCRIPTS

import gan_keras
from gan_keras_scripts import console


FILES = (
    *("setup.cfg", "pyproject.toml", "MANIFEST.in", "requirements.txt"),
    *("README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md"),
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The unpacked wheel, built from the source distribution, as of a stranger who has no more than that."""
    folder = tmp_path_factory.mktemp("wheel")
    clone, unpacked = folder / "clone", folder / "unpacked"
    clone.mkdir()
    for name in ("gan_keras", "scripts", "docs", "tests", "examples", ".ci"):
        shutil.copytree(SCRIPTS.parent / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(SCRIPTS.parent / name, clone)
    shutil.unpack_archive(built("sdist", clone, folder), folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    brought = {path.relative_to(clone) for path in clone.rglob("*") if path.is_file()}
    missing = {path for path in brought if not (source / path).exists() and not path.parts[0].endswith(".egg-info")}
    assert not missing, "the source distribution has the tests and what they need"
    shutil.unpack_archive(built("wheel", source, folder), unpacked, format="zip")
    return unpacked


def built(kind, source, folder):
    """The path of a distribution of a source folder."""
    code = f"import setuptools.build_meta; print(setuptools.build_meta.build_{kind}({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def test_the_wheel_has_all_files_of_the_package(wheel):
    for name, package in (("gan_keras", "gan_keras"), ("scripts", "gan_keras_scripts")):
        folder = SCRIPTS.parent / name
        files = {
            path.relative_to(folder) for path in folder.rglob("[!.]*") if path.is_file() and "__pycache__" not in path.parts
        }
        packed = {path.relative_to(wheel / package) for path in (wheel / package).rglob("*") if path.is_file()}
        assert packed == {file for file in files if name == "gan_keras" or "lab" not in file.parts}
    pages = {path.relative_to(wheel / "gan_keras_docs") for path in (wheel / "gan_keras_docs").rglob("*") if path.is_file()}
    docs = SCRIPTS.parent / "docs"
    assert pages == {path.relative_to(docs) for path in docs.rglob("*.md")}
    (info,) = wheel.glob("*.dist-info")
    assert {path.name for path in info.rglob("*LICENSE*")} == {"LICENSE", "MNIST_LICENSE.md"}
    assert "License: Apache-2.0 AND CC-BY-SA-3.0\n" in (info / "METADATA").read_text()
    assert "gan-keras = gan_keras_scripts.console:main" in (info / "entry_points.txt").read_text()


def test_a_picture_from_the_wheel_alone(wheel, tmp_path):
    code = f"""
import sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path.insert(0, {str(wheel)!r})
from gan_keras_scripts import console
sys.argv = ["gan-keras", "sample", "pretrained:cgan", "--num", "4", "--label", "7", "--out", "sevens.png"]
code = console.main()
import gan_keras
assert gan_keras.__file__.startswith({str(wheel)!r})
sys.exit(code)
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sevens.png").exists() and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", console.COMMANDS)
def test_a_command_has_the_options_of_its_script(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gan-keras", name, "--help"])
    with pytest.raises(SystemExit) as ended:
        console.main()
    told = capsys.readouterr().out
    assert ended.value.code == 0 and f"usage: gan-keras {name} " in told
    assert (SCRIPTS / f"{console.COMMANDS[name][0]}.py").exists()


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_commands_are_listed(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gan-keras", *arguments])
    assert console.main() == 0
    told = capsys.readouterr().out
    assert all(f"\n  {name} " in told for name in (*console.COMMANDS, "docs"))


@pytest.mark.parametrize("name", ["train", "docs/train.md", "methods/wgan"])
def test_a_page_of_the_documentation_is_printed(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gan-keras", "docs", name])
    assert console.main() == 0
    page = SCRIPTS.parent / "docs" / f"{name.removeprefix('docs/').removesuffix('.md')}.md"
    assert capsys.readouterr().out == page.read_text()


@pytest.mark.parametrize("names", [[], ["--help"], ["nothing"], ["train", "sample"], ["../README"]])
def test_the_pages_are_listed(names, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gan-keras", "docs", *names])
    asked = names in ([], ["--help"])
    assert console.main() == (0 if asked else 2)
    told = capsys.readouterr()
    told = told.out if asked else told.err
    assert ": concepts, " in told and ", methods/wgan, " in told and ", train, " in told
    assert asked or f"There is no page {' '.join(names)!r}." in told


def test_the_version_is_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gan-keras", "--version"])
    assert console.main() == 0 and capsys.readouterr().out == f"gan_keras {gan_keras.__version__}\n"


def test_an_unknown_command_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gan-keras", "tarin"])
    assert console.main() == 2
    assert capsys.readouterr().err == f"error: 'tarin' is no command. Choose from: {', '.join(console.COMMANDS)}, docs.\n"


def test_the_installed_command_starts():
    command = shutil.which("gan-keras", path=sysconfig.get_path("scripts"))
    done = subprocess.run([command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("usage: gan-keras COMMAND")
