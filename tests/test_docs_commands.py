"""The commands in the blocks of README.md and docs/ run: with fewer steps and samples, on few digits."""

import importlib
import json
import pathlib
import re
import shlex
import shutil
import struct
import sys

import keras
import numpy as np
import pytest
from helpers import train_run

from gan_keras import serving, shards
from gan_keras.runs import Run
from gan_keras_scripts import serve

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

NOT_RUN = {
    "-m venv": "README.md: .ci/run does it",
    "pip install": "there may be no network; .ci/run installs these extras",
    "-m pytest": "README.md: .ci/run does it",
    "scripts/serve.py": "it does not end; test_serve.py",
    "scripts/lab/": "they take minutes to hours; test_benchmark.py, test_time_to_quality.py, test_reproduce.py, test_search.py, "
    "test_classifier.py",
    "--strategy multiworker": "needs several machines; test_scale.py has workers",
    "export TF_CONFIG": "needs several machines",
    "srun": "needs SLURM",
    "export HOSTS": "needs SLURM",
    "docker": "needs Docker",
    "tensorboard --logdir": "it does not end",
    "curl": "test_the_requests_on_the_page_of_serving",
}
# What makes a command short; later options replace those of the page.
SHORTER = {
    "train_mnist": ["--steps", "2", "--batch-size", "8", "--jit", "off", "--checkpoint-every", "1"],
    "sample": ["--num", "20"],
    "evaluate": ["--num", "100"],
    "explore": [],
    "export": [],
}
TOYS = ("ring",)


def lines_of(page):
    """The commands of a page's blocks, without comments; lines that are one command are joined."""
    found = "\n".join(re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)).replace("\\\n", "")
    found = re.sub(r"bash -c '\n(.*?)'", lambda quoted: f"bash -c {quoted[1]!r}", found, flags=re.DOTALL)
    found = re.sub(r"(?m)(^|\s)\s*#.*$", "", found)
    return [part for line in found.splitlines() if line.strip() for part in line.split(" && ")]


def shortened(line):
    """The name of a script, and its arguments with fewer steps and samples."""
    program, *argv = shlex.split(line.partition("scripts/")[2])
    name, more = program.removesuffix(".py"), SHORTER[program.removesuffix(".py")]
    if "--minutes" in argv:
        more = [*more[2:], "--minutes", "0.001"]
    if "--resume" in argv:
        more = ["--steps", "3"]
    elif name == "train_mnist" and "--data" not in argv and not set(TOYS) & set(argv):
        more = [*more, "--data", "few.npz"]
    if "--shards" in argv:
        more = ["--num", "512", "--shard-size", "256"]
    if "--samples" in argv:
        more = []
    return name, argv + more


COMMANDS = [
    (str(page.relative_to(ROOT)), line) for page in PAGES for line in lines_of(page) if not any(key in line for key in NOT_RUN)
]


@pytest.fixture(scope="session")
def workplace(few_digits, tmp_path_factory):
    """A folder with what the pages name: runs of a few steps, images, and files of one's own."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(few_digits, folder / "few.npz")
    for name in ("default", "cgan", "infogan"):
        assert train_run(folder / "runs" / name, few_digits, "--recipe", name, "--steps", 2) == 0
    Run.new(folder / "runs" / "ring", recipe="ring", steps=2, batch_size=8).train(verbose=0)
    shards.write(Run(folder / "runs" / "default").load(), folder / "samples", 512, size=256)
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for k in range(30):
            path = folder / "photographs" / part / "ab"[k % 2] / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            keras.utils.save_img(path, rng.integers(0, 256, (70, 64, 3), "uint8"), scale=False)
    shutil.copytree(folder / "photographs", folder / "path" / "to" / "photographs")
    fashion = folder / "path" / "to" / "fashion-mnist"
    fashion.mkdir()
    with np.load(few_digits) as digits:
        for part, ours in (("train", "train"), ("t10k", "test")):
            for kind, array in (("images-idx3", digits[f"x_{ours}"]), ("labels-idx1", digits[f"y_{ours}"])):
                array = array.astype("uint8").squeeze()
                header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
                (fashion / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    (recipe,) = re.findall(r"```python\n# my_recipes.py\n(.*?)```", (ROOT / "docs" / "concepts.md").read_text(), re.DOTALL)
    (folder / "my_recipes.py").write_text(recipe)
    (folder / "my_features.py").write_text(
        "def features(images):\n    return images.reshape(len(images), -1)[:, ::999] / 255.0\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = {"recipe": "my_recipes.py:faces", "data": "photographs", "shape": (64, 64, 3)}
        Run.new("runs/faces", **settings, steps=1, batch_size=8).train(verbose=0)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page, line", COMMANDS)
def test_a_command_runs(page, line, workplace, tmp_path, monkeypatch, capsys):
    shutil.copytree(workplace, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    for module in ("my_recipes", "my_features"):  # of another folder
        monkeypatch.delitem(sys.modules, module, raising=False)
    name, argv = shortened(line)
    if name == "train_mnist" and "--resume" not in argv:
        shutil.rmtree("runs")
    if "--samples" not in argv and "--shards" in argv:
        shutil.rmtree("samples")
    script = importlib.import_module(f"gan_keras_scripts.{name}")
    assert script.main(argv) == 0, capsys.readouterr().err


@pytest.mark.slow
def test_the_requests_on_the_page_of_serving(workplace, tmp_path):
    page = (ROOT / "docs" / "serving.md").read_text()
    requests = re.findall(r"curl -d '([^']+)'.*?/v1/models/(\w+):predict\n(?:# (\{[^\n]*\}))?", page, re.DOTALL)
    assert len(requests) == page.count("curl ") > 3
    exports = {"digits": "default", "infogan": "infogan"}
    for name, run in exports.items():
        serving.export(Run(workplace / "runs" / run).load(), tmp_path / name)
    endpoints = {name: serve.Endpoints(tmp_path / name) for name in exports}
    for body, name, error in requests:
        body = json.loads(body)
        if error:
            with pytest.raises(serve.Refused) as refused:
                endpoints[name].answer(body)
            assert json.loads(error) == {"error": str(refused.value)}
        else:
            (images,) = endpoints[name].answer(body).values()
            assert len(images) == body["inputs"]["n"]


def test_what_is_not_run_has_a_reason():
    for key in NOT_RUN:
        assert any(key in line for page in PAGES for line in lines_of(page)), f"no command has {key}"
    for page, line in COMMANDS:
        assert shortened(line)[0] in SHORTER, f"{page}: {line}"
