"""What the tests share: a quiet, self-contained environment and networks small enough to train in a moment."""

import os
import pathlib
import subprocess
import sys
import textwrap

SCRIPTS = pathlib.Path(__file__).parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS))

# OpenVINO and ONNX Runtime report their use, and keep files for that in the home directory, unless these are set.
os.environ.update(CI="true", ORT_DISABLE_TELEMETRY="1")

import common  # noqa: E402, F401  the scripts' environment: nothing outside the virtual environment is touched

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

import gan_keras  # noqa: E402
from keras import layers  # noqa: E402

LATENT_DIM = 8


@pytest.fixture(autouse=True)
def fresh_names():
    """Layer names and global seeds that do not depend on which tests ran before."""
    keras.utils.clear_session(
        free_memory=False
    )  # collecting garbage before every test took a third of the suite's time
    keras.utils.set_random_seed(0)


def tiny_generator(num_classes=None, batch_norm=True):
    z = keras.Input((LATENT_DIM,), name="z")
    inputs, x = z, z
    if num_classes:
        label = keras.Input((), dtype="int32", name="label")
        inputs, x = [z, label], layers.Concatenate()([z, layers.Embedding(num_classes, 4)(label)])
    x = layers.Dense(16)(x)
    if batch_norm:
        x = layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
    x = layers.Dense(64, activation="tanh")(layers.ReLU()(x))
    return keras.Model(inputs, layers.Reshape((8, 8, 1))(x), name="generator")


def tiny_discriminator(num_classes=None, dropout=0.0, batch_norm=False, spectral=False, activation=None, flip=False):
    wrap = gan_keras.layers.SpectralNormalization if spectral else (lambda layer: layer)
    images = keras.Input((8, 8, 1), name="images")
    inputs = images
    x = layers.RandomFlip()(images) if flip else images
    x = wrap(layers.Conv2D(4, 3, strides=2))(x)
    if batch_norm:
        x = layers.BatchNormalization(synchronized=True)(x)
    x = layers.LeakyReLU(0.2)(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    x = layers.Flatten()(x)
    if num_classes:
        label = keras.Input((), dtype="int32", name="label")
        inputs, x = [images, label], layers.Concatenate()([x, layers.Embedding(num_classes, 4)(label)])
        x = layers.LeakyReLU(0.2)(layers.Dense(16)(x))
    return keras.Model(inputs, wrap(layers.Dense(1, activation=activation))(x), name="discriminator")


def tiny_gan(
    d_optimizer="adam",
    g_optimizer="adam",
    num_classes=None,
    ema=None,
    seed=0,
    discriminator=None,
    generator=None,
    **compiled,
):
    keras.utils.set_random_seed(seed)
    gan = gan_keras.GAN(
        generator or tiny_generator(num_classes),
        discriminator or tiny_discriminator(num_classes),
        num_classes=num_classes,
        ema=ema,
        seed=seed,
    )
    gan.compile(d_optimizer, g_optimizer, **compiled)
    return gan


def tiny_images(n=48, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 8, 8, 1)).astype("float32")


def state(gan):
    """Everything that training changes, by name."""
    variables = [*gan.weights, *gan.d_optimizer.variables, *gan.g_optimizer.variables]
    return {f"{k} {v.path}": keras.ops.convert_to_numpy(v) for k, v in enumerate(variables)}


def assert_same_bits(one, other):
    one, other = list(one.values()), list(other.values())
    assert len(one) == len(other) > 10
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other))


def environment():
    """For child processes: the package and the scripts importable, TensorFlow quiet."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(pathlib.Path(__file__).parent), str(SCRIPTS)])}


def child(code, *arguments):
    """Run code in a fresh process; returns what it printed."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import conftest\nfrom conftest import *\n" + textwrap.dedent(code),
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
