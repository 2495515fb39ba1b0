"""What the tests and the processes that they start share: networks small enough to train in a moment, and ways to run them."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import textwrap

from gan_keras_scripts import common  # noqa: F401  first: an environment that touches nothing outside the virtual one

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import gan_keras
from gan_keras_scripts import train_mnist

SCRIPTS = pathlib.Path(__file__).parents[1] / "scripts"
LATENT_DIM = 8


@keras.saving.register_keras_serializable(package="gan_keras_tests")
class Point(layers.Layer):
    """A generator's output that ignores its latent."""

    def build(self, shape):
        self.point = self.add_weight(shape=(1,), initializer="ones")

    def call(self, z):
        return 0.0 * z + self.point


@keras.saving.register_keras_serializable(package="gan_keras_tests")
class Relativistic(gan_keras.losses.AdversarialLoss):
    """R3GAN's: every real score against a generated one."""

    def discriminator(self, real, fake):
        return keras.ops.mean(keras.ops.softplus(fake - real))

    def generator(self, real, fake):
        return keras.ops.mean(keras.ops.softplus(real - fake))


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
    clustered=False,
    **compiled,
):
    """`clustered`: the generator takes the label as the part "kind" of its latents."""
    keras.utils.set_random_seed(seed)
    generator = generator or tiny_generator(None if clustered else num_classes)
    discriminator = discriminator or tiny_discriminator(num_classes)
    if clustered:
        prior = gan_keras.priors.Joint(
            z=gan_keras.priors.Normal(LATENT_DIM - num_classes), kind=gan_keras.priors.Categorical(num_classes)
        )
        gan = gan_keras.ClusteredGAN(generator, discriminator, prior, "kind", ema=ema, seed=seed)
    else:
        gan = gan_keras.GAN(generator, discriminator, num_classes=num_classes, ema=ema, seed=seed)
    gan.compile(d_optimizer, g_optimizer, **compiled)
    return gan


def tiny_images(n=48, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 8, 8, 1)).astype("float32")


def labels(n=48):
    return (np.arange(n) % 3).astype("int32")


def stream(start=0):
    """Three different batches, then the same again: a pure function of the step."""
    images = tiny_images(72)
    return tf.data.Dataset.range(start, 1000).map(lambda t: tf.constant(images.reshape(3, 24, 8, 8, 1))[t % 3])


def train(gan, steps, *used):
    gan.fit(stream(int(gan.step.numpy())), steps_per_epoch=steps, verbose=0, callbacks=list(used))


class SaveOnTheWay(keras.callbacks.Callback):
    """Saves a GAN within `fit`, after so many steps of it, and keeps its state there."""

    def __init__(self, path, after):
        super().__init__()
        self.path, self.after = path, after

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.after:
            self.model.save(self.path)
            self.state = state(self.model)


def state(gan):
    """Everything that training changes, by name."""
    variables = [*gan.weights, *gan.d_optimizer.variables, *gan.g_optimizer.variables]
    return {f"{k} {v.path}": keras.ops.convert_to_numpy(v) for k, v in enumerate(variables)}


def sgd(rate, policy="float32"):
    """An optimizer that shows a gradient that is wrong by the scale of the loss; Adam would hide it."""
    optimizer = keras.optimizers.SGD(rate)
    # At the usual 2**15 the first steps in float16 overflow and are skipped.
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=128.0) if policy == "mixed_float16" else optimizer


def movement(model, train):
    """How far `train` moves the weights that are numbers."""
    numbers = [weight for weight in model.weights if weight.dtype == "float32"]
    before = [weight.numpy() for weight in numbers]
    train()
    return np.concatenate([(weight.numpy() - b).ravel() for weight, b in zip(numbers, before)]).astype("float64")


def assert_same_bits(one, other):
    one, other = list(one.values()), list(other.values())
    assert len(one) == len(other) > 10
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other))


def environment():
    """For child processes: this module importable, TensorFlow quiet."""
    return {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent)}


def child(code, *arguments):
    """Run code in a fresh process; returns what it printed."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from helpers import *\n" + textwrap.dedent(code),
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def train_run(out, few_digits, *more):
    """scripts/train_mnist.py, which saves every few steps; returns its exit code."""
    return train_mnist.main(
        ["--out", str(out), "--data", str(few_digits), "--batch-size", "8", "--log-every", "2", "--sample-every", "3"]
        + ["--checkpoint-every", "3", "--jit", "off", *map(str, more)]
    )


def needs(*packages):
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}, an optional extra")
