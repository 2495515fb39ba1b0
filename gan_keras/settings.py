"""The settings of a run, which determine its result, complete and checked. They are in config.json of the run folder."""

import hashlib
import math
import pathlib
import platform

import keras
import numpy as np
import tensorflow as tf

from gan_keras import data as data_sets
from gan_keras import recipes, replicas
from gan_keras._version import __version__
from gan_keras.random import MAX_STEPS

# The name of a precision > Keras' dtype policy.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}

# The keys of config.json. Some runs also have num_classes (with labels), recipe_file (a user's recipe) and training_set (the
# digest of images and labels, once the run has begun).
NAMES = "recipe seed batch_size latent_dim data split shape jit precision steps minutes values versions".split()

# Attributes of a recipe that are settings themselves.
OWN = ("batch_size", "latent_dim", "num_classes", "data", "split", "steps")


def resolve(
    recipe="default",
    *,
    steps=None,
    minutes=None,
    seed=0,
    batch_size=None,
    latent_dim=None,
    data=None,
    split=None,
    shape=None,
    jit="auto",
    precision="auto",
):
    """The settings of a new run, as JSON, with the recipe's defaults and absolute paths.

    Args:
        recipe: As in `recipes.get`.
        steps: Total number of training steps; `None`: the recipe's.
        minutes: Training time, instead of steps.
        seed: Integer from 0 to 2^31 - 1, the seed of the initial weights, the order of the data and the noise.
        batch_size, latent_dim, data, split: `None`: the recipe's. `split` is the part of the data to train on, as in `data.load`.
        shape: (height, width, channels) to which the images of a folder are converted; other data keep their shape.
        jit: XLA "on" or "off"; "auto": on with a GPU, and for recipes that are faster with it.
        precision: Precision of the layers: "float32", "bfloat16" or "float16"; weights are float32. "auto": bfloat16 for recipes
            that are faster with it on this CPU, else float32.

    Raises:
        ValueError: An unknown recipe, or a setting out of range.
    """
    chosen = recipes.get(recipe)
    gpu = bool(tf.config.list_physical_devices("GPU"))
    compiled = not replicas.distributed() and (chosen.jit_on_cpu or gpu)
    half = chosen.bfloat16_on_cpu and not gpu and multiplies_bfloat16()
    settings = {
        "recipe": recipe_name(recipe),
        "seed": seed,
        "batch_size": chosen.batch_size if batch_size is None else batch_size,
        "latent_dim": chosen.latent_dim if latent_dim is None else latent_dim,
        "data": data_name(chosen.data if data is None else data),
        "split": chosen.split if split is None else split,
        "shape": list(shape) if isinstance(shape, tuple) else shape,
        # Resolved now, because the bits of the result depend on it.
        "jit": ("on" if compiled else "off") if jit == "auto" else jit,
        "precision": ("bfloat16" if half else "float32") if precision == "auto" else precision,
        "steps": chosen.steps if steps is None and minutes is None else steps,
        "minutes": minutes,
        "values": {name: value for name, value in chosen.values().items() if name not in OWN},
        "versions": versions(),
    }
    if digest := file_digest(settings["recipe"]):
        settings["recipe_file"] = digest
    check(settings, "these settings")
    return settings


def completed(found, where):
    """Settings from the file `where`, completed by what runs of earlier versions lack.

    Raises:
        ValueError: Something is missing, of another type, or out of range.
    """
    missing = [n for n in NAMES if n not in ("shape", "precision") and not (isinstance(found, dict) and n in found)]
    if missing:
        raise ValueError(f"{where} is not what a training writes. It lacks {', '.join(missing)}.")
    settings = {"precision": "float32", "shape": None, **found}
    check(settings, where)
    return settings


def check(settings, where):
    """Raise ValueError if a setting has a wrong type or is out of range."""

    def integer(low, high):
        return lambda value: type(value) is int and low <= value <= high

    def sizes(value):
        return isinstance(value, (list, tuple)) and len(value) in (1, 3) and all(map(integer(1, 2**20), value))

    def text(value):
        return isinstance(value, str) and value != ""

    rules = {
        "recipe": (text, "a name"),
        "seed": (integer(0, 2**31 - 1), "an integer from 0 to 2^31 - 1"),
        "batch_size": (integer(1, 2**31 - 1), "an integer of 1 or more"),
        "latent_dim": (integer(1, 2**31 - 1), "an integer of 1 or more"),
        "data": (text, "a name or a path"),
        "split": (
            lambda value: text(value) and not value.startswith("test"),
            "a part of 'train': test images are not for training",
        ),
        "shape": (lambda value: value is None or sizes(value), "(height, width, channels)"),
        "jit": (("on", "off").__contains__, "'on', 'off' or, at the beginning, 'auto'"),
        "precision": (
            lambda value: isinstance(value, str) and value in POLICIES,
            f"one of {', '.join(POLICIES)} or, at the beginning, auto",
        ),
        "steps": (lambda value: value is None or integer(1, MAX_STEPS)(value), f"an integer from 1 to {MAX_STEPS:,}"),
        "minutes": (lambda value: value is None or isinstance(value, (int, float)) and 0 < value < math.inf, "above 0"),
        "values": (lambda value: isinstance(value, dict), "an object"),
        "versions": (lambda value: isinstance(value, dict), "an object"),
    }
    for name, (good, expected) in rules.items():
        if not good(settings[name]):
            raise ValueError(f"{name}, in {where}, must be {expected}. Received: {settings[name]!r}")
    if settings["steps"] is None and settings["minutes"] is None:
        raise ValueError(f"{where} name neither steps nor minutes.")


def data_name(source):
    """The name of a data set as it is; a path as an absolute one."""
    return source if source in data_sets.NAMES else str(pathlib.Path(source).resolve())


def recipe_name(name):
    """The name of a recipe, with the path of its file as an absolute one."""
    path, _, function = name.rpartition(":")
    return f"{pathlib.Path(path).resolve()}:{function}" if path.endswith(".py") else name


def file_digest(name):
    """SHA-256 of the file of a user's recipe; `None` for another recipe."""
    path = pathlib.Path(name.rpartition(":")[0])
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix == ".py" and path.is_file() else None


def multiplies_bfloat16(cpuinfo="/proc/cpuinfo"):
    """Whether the processor has instructions for bfloat16, AVX-512 BF16 or AMX; detected on Linux."""
    path = pathlib.Path(cpuinfo)
    return path.exists() and not {"avx512_bf16", "amx_bf16"}.isdisjoint(path.read_text().split())


def versions():
    """The versions of the packages that a result depends on."""
    return {
        "gan_keras": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
