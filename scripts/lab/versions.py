"""Run the tests with the oldest and the newest versions of TensorFlow, Keras and NumPy that setup.cfg allows.

    python scripts/lab/versions.py -n 2 --dist loadfile         # the fast suite with both: 20 minutes on two cores
    python scripts/lab/versions.py oldest tests/test_layers.py  # a part of it with one

What is not the name of a pair goes to pytest. Each pair has a virtual environment, `build/versions/NAME`, which is kept.
"""

import pathlib
import platform
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).parents[2]

# TensorFlow 2.20 is the first for Python 3.13, as NumPy 2.1 is.
OLDEST = ["tensorflow==2.18.*", "numpy==2.0.*"] if sys.version_info < (3, 13) else ["tensorflow==2.20.*", "numpy==2.1.*"]
PAIRS = {
    "oldest": [*OLDEST, "keras==3.13.*"],
    "newest": ["tensorflow==2.21.*", "keras==3.15.*", "numpy"],
}

VERSIONS = """
from importlib.metadata import version
print(*(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy")), sep=", ", end="")
"""


def row(name, arguments):
    """(versions, last line of pytest, its exit code) of a pair."""
    folder = ROOT / "build" / "versions" / name
    python = folder / "bin" / "python"
    venv.create(folder, with_pip=True)
    project = f"{ROOT}[test,onnx,litert,openvino,serve]"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-cache-dir", *PAIRS[name], "-e", project], check=True)
    versions = subprocess.run([python, "-c", VERSIONS], stdout=subprocess.PIPE, text=True, check=True).stdout
    tests = subprocess.Popen([python, "-m", "pytest", "-q", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in tests.stdout:
        print(line, end="", flush=True)
    return versions, line.strip(), tests.wait()


def main(arguments):
    names = [name for name in PAIRS if name in arguments] or PAIRS
    rest = [argument for argument in arguments if argument not in PAIRS]
    rows = {name: row(name, rest) for name in names}
    print(f"\nPython {platform.python_version()}")
    for name, (versions, outcome, _) in rows.items():
        print(f"{name:8} {versions:50} {outcome}")
    return max(code for *_, code in rows.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
