"""Which module imports which, as docs/concepts.md has it."""

import ast
import configparser
import importlib
import pathlib
import re
import subprocess
import sys

import keras
import pytest
import versions
from helpers import environment

import gan_keras

PACKAGE = pathlib.Path(__file__).parents[1] / "gan_keras"

MAY_IMPORT = {
    "files": set(),
    "identifiers": set(),
    "identity": set(),
    "inside": set(),
    "sizes": set(),
    "replicas": {"inside"},
    "random": {"inside", "replicas"},
    "priors": {"identifiers"},
    "toys": set(),
    "data": {"files", "random", "toys"},
    "metrics": set(),
    "classifier": {"networks"},
    "clusters": {"identifiers"},
    "explore": {
        "checks",
        "forward",
        "gan",
        "generative",
        "identifiers",
        "inputs",
        "inside",
        "layers",
        "metrics",
        "priors",
        "vae",
    },
    "evaluation": {"classifier", "explore", "identifiers", "metrics", "plots"},
    "recognition": {"gan", "inputs", "metrics", "priors", "regularizers", "vae"},
    "plots": set(),
    "layers": {"identifiers", "inside", "random", "replicas", "sizes"},
    "losses": {"identifiers"},
    "regularizers": {"identifiers", "inside", "layers", "random", "replicas"},
    "schedules": {"identifiers"},
    "networks": {"identifiers", "layers"},
    "checks": {"identifiers", "layers", "losses", "priors", "regularizers", "schedules"},
    "inputs": {"checks", "sizes"},
    "forward": {"inside", "priors", "random", "sizes"},
    "generative": {"checks", "forward", "inputs", "priors", "random", "replicas", "sizes"},
    "gan": {"checks", "forward", "generative", "losses", "random", "regularizers", "replicas", "schedules", "sizes"},
    "clustered": {"checks", "gan", "priors", "replicas"},
    "vae": {"checks", "forward", "generative", "random", "replicas", "sizes"},
    "recipe": {
        "clustered",
        "clusters",
        "data",
        "gan",
        "identifiers",
        "identity",
        "losses",
        "priors",
        "replicas",
        "schedules",
        "vae",
    },
    "recipes": {"identifiers", "losses", "networks", "priors", "recipe", "regularizers", "schedules"},
    "settings": {"data", "random", "recipes", "replicas", "_version"},
    "weights": {"clustered", "files", "generative"},
    "runs": {"callbacks", "data", "files", "identifiers", "networks", "plots", "recipes", "replicas", "settings", "weights"},
    "pretrained": {"identifiers", "runs"},
    "callbacks": {"files", "identifiers", "plots", "replicas"},
    "serving": {"clustered", "files", "forward", "gan", "generative", "identifiers", "identity", "losses"},
    "shards": {"files", "generative", "identifiers", "plots"},
    "_version": set(),
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def files_of(module):
    folder = PACKAGE / module
    return sorted(folder.glob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def modules_of_ours(path):
    names = {name.split(".")[1] for name in imports(path) if name.startswith("gan_keras.")}
    return names & set(MAY_IMPORT)


@pytest.mark.parametrize("module", sorted(MAY_IMPORT))
def test_arrows_point_one_way(module):
    for path in files_of(module):
        assert modules_of_ours(path) - {module} <= MAY_IMPORT[module]


def test_every_module_is_in_the_table():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"} | packages == set(MAY_IMPORT)


def test_the_table_of_the_docs_has_each_module_before_those_that_it_imports():
    _, table = (PACKAGE.parent / "docs" / "concepts.md").read_text().split("Imports go one way.")
    _, *names = re.findall(r"`(\w+)`", table.partition("`metrics/`")[0])
    assert sorted(names) == sorted(set(MAY_IMPORT) - {"_version"})
    later = [
        (name, other) for name in names for other in MAY_IMPORT[name] - {"_version"} if names.index(other) < names.index(name)
    ]
    assert later == []


def test_losses_know_nothing_of_tensorflow():
    assert not any(name.split(".")[0] == "tensorflow" for name in imports(PACKAGE / "losses.py"))


def test_import_is_light_and_needs_the_tensorflow_backend(monkeypatch):
    # Keras imports matplotlib itself where it finds it; barred from it, Keras does without, and so must we.
    code = "import sys; sys.modules['matplotlib'] = None; import gan_keras"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment(), capture_output=True)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ImportError, match="KERAS_BACKEND=tensorflow"):
        importlib.reload(gan_keras)


def test_the_oldest_versions_that_are_allowed_are_those_that_are_tested():
    config = configparser.ConfigParser()
    config.read(PACKAGE.parent / "setup.cfg")
    lowest = {line.split(",")[0] for line in config["options"]["install_requires"].split("\n")}
    for pin in versions.PAIRS["oldest"]:
        assert pin.replace("==", " >=").removesuffix(".*") in lowest
