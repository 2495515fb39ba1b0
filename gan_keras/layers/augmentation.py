"""Augmentation inside the discriminator, through which the generator's gradient flows."""

import math

import keras
import tensorflow as tf

from gan_keras import random
from gan_keras.identifiers import unknown

# The changes. `uniform(number)` returns that many draws from U[0, 1) for each image: a tensor (number, batch, 1, 1, 1).


def _color(x, uniform, fill_value):
    brightness, saturation, contrast = tf.unstack(uniform(3))
    x = x + brightness - 0.5
    x = _scaled(x, 2.0 * saturation, axes=3)
    return _scaled(x, contrast + 0.5, axes=(1, 2, 3))


def _scaled(x, factor, axes):
    mean = tf.reduce_mean(x, axes, keepdims=True)
    return mean + (x - mean) * factor


def _translation(x, uniform, fill_value):
    for axis, draw in zip((1, 2), tf.unstack(uniform(2))):
        size = x.shape[axis]
        most = int(size / 8 + 0.5)
        source = _positions(x, axis) - _integers(draw, -most, most)
        inside = (source >= 0) & (source < size)
        index = tf.reshape(tf.clip_by_value(source, 0, size - 1), (-1, size))
        x = tf.where(inside, tf.gather(x, index, axis=axis, batch_dims=1), fill_value)
    return x


def _cutout(x, uniform, fill_value):
    cut = True
    for axis, draw in zip((1, 2), tf.unstack(uniform(2))):
        size = x.shape[axis]
        side = int(size / 2 + 0.5)
        # The middle of an even side is between two pixels, or at an edge of the image.
        first = _integers(draw, 0, size - side % 2) - side // 2
        cut &= (_positions(x, axis) >= first) & (_positions(x, axis) < first + side)
    return tf.where(cut, fill_value, x)


def _affine(x, uniform, fill_value):
    angle, tall, wide, shear = (2.0 * draw - 1.0 for draw in tf.unstack(uniform(4)[..., 0]))
    angle *= math.pi / 12
    tall, wide, shear = 1.0 + 0.2 * tall, 1.0 + 0.2 * wide, 0.35 * shear
    # From each position in the result to that in the image, both relative to the middle.
    middle = [(side - 1) / 2 for side in x.shape[1:3]]
    down, right = tf.range(x.shape[1], dtype=tf.float32)[:, None], tf.range(x.shape[2], dtype=tf.float32)
    down, right = (down - middle[0]) * tall, (right - middle[1]) * wide + shear * (down - middle[0])
    rows = tf.cos(angle) * down - tf.sin(angle) * right + middle[0]
    columns = tf.sin(angle) * down + tf.cos(angle) * right + middle[1]
    return _between_pixels(x, rows, columns, fill_value)


def _between_pixels(x, rows, columns, fill_value):
    """The images at positions (batch, height, width) between pixels, by bilinear interpolation."""
    height, width, channels = x.shape[1:]
    pixels, total = tf.reshape(x, (-1, height * width, channels)), 0.0
    for row in (tf.floor(rows), tf.floor(rows) + 1.0):
        for column in (tf.floor(columns), tf.floor(columns) + 1.0):
            weight = (1.0 - tf.abs(rows - row)) * (1.0 - tf.abs(columns - column))
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = tf.cast(tf.where(inside, row * width + column, 0.0), tf.int32)
            found = tf.gather(pixels, tf.reshape(index, (-1, height * width)), axis=1, batch_dims=1)
            total += weight[..., None] * tf.where(inside[..., None], tf.reshape(found, tf.shape(x)), fill_value)
    return total


def _integers(draw, low, high):
    """Integers from low to high, equally likely, from draws of U[0, 1)."""
    return low + tf.cast(draw * (high - low + 1), tf.int32)


def _positions(x, axis):
    """0, 1, 2, ... along an axis of images, for broadcasting."""
    return tf.reshape(tf.range(x.shape[axis]), [-1 if k == axis else 1 for k in range(4)])


_CHANGES = {"color": _color, "translation": _translation, "cutout": _cutout, "affine": _affine}


@keras.saving.register_keras_serializable(package="gan_keras")
class DiffAugment(keras.layers.Layer):
    """Random, differentiable augmentation of the images that a discriminator sees, real and generated: for small data sets.

    Use it as the first layer of the discriminator, which then cannot memorise a small data set. The generator does not learn the
    changes, since real and generated images both have them. It is active in training only, and every image of every call has its
    own random draws. For images (batch, height, width, channels) in [-1, 1]; "color" may leave this range. Gradient penalties are
    with respect to the images before the changes. Computed in float32.

    - "color": brightness, `x + U[-0.5, 0.5]`; saturation, `mean + (x - mean) U[0, 2]` with the mean over channels, which leaves
      grey images as they are; contrast, `mean + (x - mean) U[0.5, 1.5]` with the mean of the image.
    - "translation": by an integer number of pixels along each axis, up to one eighth of the side, rounded.
    - "cutout": a rectangle with half of each side, rounded, at a random position; it may be partly outside the image.
    - "affine": rotation by U[-15, 15] degrees, each side scaled by 1 / U[0.8, 1.2], shear U[-0.35, 0.35], about the middle, with
      bilinear interpolation. Not in Zhao et al.; from Karras et al. 2020, "Training Generative Adversarial Networks with Limited
      Data", in ranges chosen here so that digits stay digits.

    Zhao, Liu, Lin, Zhu, Han 2020, "Differentiable Augmentation for Data-Efficient GAN Training", section 3.2, and the authors'
    code.

    Args:
        policy: Names of the changes, in order. The authors use the first three for small data sets.
        fill_value: The value of the cutout, and of pixels from outside the image. 0, the middle of the range, in the authors'
            code; -1 is the background of MNIST.
        seed: Integer seed of the draws. In training, a GAN sets another seed for each of its updates.

    Raises:
        ValueError: An unknown change, or an input that is not a batch of images of a fixed size.
    """

    def __init__(self, policy=("color", "translation", "cutout"), fill_value=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.policy = [policy] if isinstance(policy, str) else list(policy)
        for name in self.policy:
            if name not in _CHANGES:
                raise unknown("change in the policy of DiffAugment", name, _CHANGES)
        self.fill_value, self.seed = fill_value, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        if len(input_shape) != 4 or None in input_shape[1:]:
            raise ValueError(
                "DiffAugment takes images (batch, height, width, channels) of a fixed size. Received: an input of shape "
                f"{tuple(input_shape)}."
            )

    def call(self, images, training=False):
        if not training:
            return images

        def uniform(number):
            # Not keras.random, whose floats are different under XLA.
            seed = tf.cast(self.seed_generator.next(), tf.int64)
            return random.uniform((number, tf.shape(images)[0], 1, 1, 1), seed)

        x = tf.cast(images, tf.float32)
        for name in self.policy:
            x = _CHANGES[name](x, uniform, self.fill_value)
        return tf.cast(x, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "policy": self.policy, "fill_value": self.fill_value, "seed": self.seed}
