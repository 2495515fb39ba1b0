"""Trained models that come with the package: digits without training.

Each is a run folder without checkpoints: settings, weights, the report of its evaluation, and a card with its metrics and the
command of scripts/lab/pretrain.py that made it.
"""

import pathlib

from gan_keras.identifiers import unknown
from gan_keras.runs import Run

_FOLDER = pathlib.Path(__file__).parent
PREFIX = "pretrained:"


def names():
    """The names of the models."""
    return sorted(path.parent.name for path in _FOLDER.glob("[!.]*/config.json"))


def run(name):
    """The run folder of a model, as a `gan_keras.runs.Run` that must not be changed.

    Raises:
        ValueError: There is no such model.
    """
    if name not in names():
        raise unknown("pretrained model", name, names())
    return Run(_FOLDER / name)


def load(name):
    """Load a trained model, to sample, explore or export it.

    "default" and "cgan" are GANs, which can be trained further; "infogan" is a generator without its discriminator.

    This sets Keras' global random seed, as building a model from a recipe does.

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


def opened(text, written=False):
    """The run for an argument of the command line: a folder, or "pretrained:NAME".

    Args:
        text: The argument.
        written: Whether files are to be written into the folder: those of the package must not be changed.

    Raises:
        ValueError: There is no such run or model, or it is one of the package that is to be written into.
    """
    if not text.startswith(PREFIX):
        return Run(text)
    if written:
        raise ValueError(
            f"{text} is a model of the package, and nothing is written into its folder. Sample it, export it, serve it, or explore "
            "it with --out FOLDER; its metrics are in its card, which an export contains."
        )
    return run(text.removeprefix(PREFIX))
