"""The programs in examples/, for a few steps."""

import ast
import json
import pathlib
import runpy
import sys

import keras
import numpy as np
import pytest
from PIL import Image

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


@pytest.fixture
def photographs(tmp_path):
    """A folder of colour images of different sizes."""
    random, folder = np.random.default_rng(0), tmp_path / "photographs"
    folder.mkdir()
    for k in range(34):
        Image.fromarray(random.integers(0, 256, (50 + k, 70, 3), "uint8")).save(folder / f"{k}.png")
    return folder


@pytest.mark.parametrize(
    "name, made",
    [
        ("wgan_gp", ["wgan_gp.keras", "wgan_gp/step-0000002.png"]),
        ("digits_on_demand", ["on_demand.png"]),
        pytest.param(
            "own_images", ["own_images/checkpoints/ckpt-2.index", "own_images/step-0000002.png"], marks=pytest.mark.slow
        ),
        ("own_loss_and_term", ["own.keras"]),
        pytest.param("run_to_server", ["runs/digits/model.keras", "exports/digits/1/saved_model.pb"], marks=pytest.mark.slow),
    ],
)
def test_it_runs(name, made, photographs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [photographs] if name == "own_images" else []
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments), "2"])
    names = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    assert names["gan"].step.numpy() == 2 and all((tmp_path / path).exists() for path in made)
    for model in tmp_path.glob("*.keras"):
        assert keras.models.load_model(model).step.numpy() == 2


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_it_is_short_and_imports_gan_keras_and_keras_alone(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imported |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else {node.module}
    assert {name.partition(".")[0] for name in imported} <= {"gan_keras", "keras", "sys"}
    assert len(path.read_text().splitlines()) <= 40


NOTEBOOK = json.loads((EXAMPLES / "digits.ipynb").read_text())


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join("".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code")
    for old, new in {"STEPS = 4000": "STEPS = 2", "5000": "200", "steps=100": "steps=1"}.items():
        assert old in code
        code = code.replace(old, new)
    names = {}
    exec(code, names)
    assert names["gan"].step.numpy() == 2 and names["found"].images.shape == (20, 28, 28, 1)
    assert (tmp_path / "exports" / "notebook" / "1" / "saved_model.pb").exists()


def test_the_notebook_was_executed_from_first_to_last_cell():
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"execute_result", "stream"}
    assert all(output.get("name") != "stderr" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 6
