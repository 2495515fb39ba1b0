"""Trained models that come with the package: digits without a training.

Each is a run folder without checkpoints: settings, weights, the report of its evaluation, and a card that says what it is, how
good, and which command of scripts/lab/pretrain.py made it.
"""

import pathlib

from gan_keras.identifiers import unknown
from gan_keras.runs import Run

_FOLDER = pathlib.Path(__file__).parent
PREFIX = "pretrained:"


def names():
    """The models there are."""
    return sorted(path.parent.name for path in _FOLDER.glob("[!.]*/config.json"))


def run(name):
    """The run of a model, as `gan_keras.runs.Run`; to be read, not written to.

    Raises:
        ValueError: There is no such model.
    """
    if name not in names():
        raise unknown("pretrained model", name, names())
    return Run(_FOLDER / name)


def load(name):
    """A trained GAN: sample it, explore it, export it, train it on.

    It sets Keras' global random seed, as every model does that is built from a recipe.

    Args:
        name: One of `names()`.

    Raises:
        ValueError: There is no such model.

    Example:

    ```python
    sevens = gan_keras.pretrained.load("cgan").sample(10, labels=7)  # (10, 28, 28, 1), from -1 to 1
    ```
    """
    return run(name).load()


def opened(text):
    """The run that a command line names: a folder, or "pretrained:NAME".

    Raises:
        ValueError: There is no such run or model.
    """
    return run(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else Run(text)
