"""What the scripts share: a quiet start, errors in one line, and reading a run folder."""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import platform
import sys
import tempfile
import zipfile

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

    tf.config.list_physical_devices()  # the search for devices is the noisiest part


# What --mixed-precision sets: the name in config.json, and Keras' for it.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def command(main):
    """Decorator of a script's main(argv): errors a user can mend are one line on stderr and exit code 2; Ctrl-C is 130."""

    @functools.wraps(main)
    def run(argv=None):
        try:
            return main(argv)
        except (ValueError, OSError, ImportError, FloatingPointError, tf.errors.OpError) as error:
            print(f"error: {error}", file=sys.stderr)
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
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ValueError(
            f"{folder} is not a run folder: it has no config.json. Train one with scripts/train_mnist.py."
        ) from error
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
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
    if model.exists():
        try:
            return keras.models.load_model(model)
        except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{model} cannot be read: {error}. Delete it to take the newest checkpoint instead."
            ) from error
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
