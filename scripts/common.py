"""What the scripts share: a quiet start, errors in one line, and reading a run folder."""

import argparse
import contextlib
import dataclasses
import functools
import os
import pathlib
import platform
import sys
import tempfile

# Keras writes ~/.keras and matplotlib its caches on import: keep them inside the virtual environment unless the user has them.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # 2 still shows the graph optimizer's complaints about itself
for _variable, _default, _name in (
    ("KERAS_HOME", "~/.keras", "keras"),
    ("MPLCONFIGDIR", "~/.config/matplotlib", "matplotlib"),
):
    if not os.path.exists(os.path.expanduser(_default)):
        os.environ.setdefault(_variable, os.path.join(sys.prefix, "var", _name))


@contextlib.contextmanager
def hidden_stderr():
    """Hold back what C++ libraries write to stderr; show it only if the block fails."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


with hidden_stderr():
    import keras
    import numpy as np
    import tensorflow as tf

    import gan_keras
    from gan_keras import files

    tf.config.list_physical_devices()  # the search for devices is the noisiest part


# What --mixed-precision sets: the name in config.json, and Keras' for it.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors `command` reports, and which takes no empty or undecoded text."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register("type", None, checked_text)

    def error(self, message):
        raise ValueError(f"{message}. See --help.")


def checked_text(text):
    """The `type` of an option that has none."""
    if text == "":
        raise argparse.ArgumentTypeError("must not be empty")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # TensorFlow's paths are UTF-8
        raise argparse.ArgumentTypeError("must be UTF-8. Set the environment variable PYTHONUTF8=1") from error
    return text


def between(low, high, kind=int):
    """The `type` of an option: a number from `low` to `high`."""

    def convert(text):
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low:,} to {high:,}. Received: {text}")
        return value

    convert.__name__ = kind.__name__  # argparse names it in its errors
    return convert


SEED = between(0, 2**31 - 1)
SAMPLES = 1_000_000_000  # what --num takes at most


def one_line(text, most=500):
    """A message without line breaks and control characters, shortened in its middle."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else f"{text[: most // 2 - 5]} [...] {text[len(text) - most // 2 + 5 :]}"


def command(main):
    """Decorator of a script's main(argv): errors a user can mend are one line on stderr and exit code 2; Ctrl-C is 130."""

    @functools.wraps(main)
    def run(argv=None):
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does; a path may have any letters
        try:
            return main(argv)
        except (ValueError, OSError, ImportError, FloatingPointError, MemoryError, tf.errors.OpError) as error:
            print(one_line(f"error: {error}"), file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    return run


def versions():
    """What a result was made with."""
    return {
        "gan_keras": gan_keras.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


# What config.json holds.
SETTINGS = "recipe seed batch_size latent_dim data split jit steps minutes values versions".split()


def read_config(folder):
    """The config.json of a run folder."""
    path = pathlib.Path(folder) / "config.json"
    if not path.exists():
        raise ValueError(
            f"{folder} is not a run folder: it has no config.json. Train one with scripts/train_mnist.py."
        )
    with files.reading(f"{path} cannot be read", "Begin another run."):
        config = files.read_json(path)
    missing = [name for name in SETTINGS if not isinstance(config, dict) or name not in config]
    if missing:
        raise ValueError(f"{path} is not what scripts/train_mnist.py writes. It lacks {', '.join(missing)}.")
    return {"precision": "float32", **config}


def load_gan(folder):
    """The GAN of a run folder: the finished model, or the newest whole checkpoint of a run that is still under way."""
    folder = pathlib.Path(folder)
    config = read_config(folder)
    checkpoint = gan_keras.callbacks.Checkpoint(folder / "checkpoints")
    model, steps = folder / "model.keras", checkpoint.steps()
    if model.is_file():
        with files.reading(f"{model} cannot be read", "If it is damaged, delete it to take the newest checkpoint."):
            return keras.models.load_model(model)
    if not steps:
        raise ValueError(f"{folder} has neither model.keras nor a checkpoint yet. Wait for the first one.")
    gan = build_gan(config)
    checkpoint.restore(gan)
    return gan


def recipe_of(config):
    """The recipe that a config.json describes."""
    recipe = gan_keras.recipes.get(config["recipe"])
    return dataclasses.replace(recipe, latent_dim=config["latent_dim"], batch_size=config["batch_size"])


def build_gan(config, steps_per_execution=1):
    """The compiled GAN that a config.json describes."""
    jit = {"auto": "auto", "on": True, "off": False}[config["jit"]]
    with gan_keras.networks.precision(POLICIES[config["precision"]]):
        return recipe_of(config).build(config["seed"], jit, steps_per_execution)
