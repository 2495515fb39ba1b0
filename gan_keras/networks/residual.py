"""Residual networks without normalization: R3GAN's, at the size of digits."""

import math

import keras
from keras import layers

from gan_keras.networks.base import MNIST, discriminator_inputs, generator_inputs, halvings, score_of


def r3gan_generator(latent_dim=64, num_classes=None, width=16, blocks=1, shape=MNIST):
    """Dense 7x7x64 > residual blocks at 7x7, 14x14x32, 28x28x16, bilinear upsampling between > convolution 1x1. No tanh.

    Huang, Gokaslan, Kuleshov, Tompkin 2024, "The GAN is dead; long live the GAN!", section 3: no normalization, no activation at
    the end, residual branches that are 0 initially. Pass `value_range` to the GAN, which the last layer does not bound.

    Args:
        latent_dim: Dimensions of a latent.
        num_classes: Number of labels, or `None`.
        width: Channels at the full size of the image, doubled at each halving. The paper has 768 at all sizes.
        blocks: Residual blocks at each size, 2 in the paper.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
    """
    inputs, x = generator_inputs(latent_dim, num_classes)
    number = halvings(shape, 7)
    height, breadth = (math.ceil(side / 2**number) for side in shape[:2])
    channels = width * 2**number
    x = layers.Reshape((height, breadth, channels))(layers.Dense(height * breadth * channels)(x))
    for k in reversed(range(number + 1)):
        if k < number:
            x = layers.UpSampling2D(interpolation="bilinear")(_convolution(width * 2**k, 1)(x))
        for _ in range(blocks):
            x = _residual(x)
    extra = [side - wanted for side, wanted in zip(x.shape[1:3], shape)]
    if any(extra):  # odd sides
        x = layers.Cropping2D([(n // 2, n - n // 2) for n in extra])(x)
    return keras.Model(inputs, layers.Conv2D(shape[-1], 1, dtype="float32")(x), name="generator")


def r3gan_discriminator(num_classes=None, width=16, blocks=1, shape=MNIST):
    """Convolution 3x3 > residual blocks at 28x28x16, 14x14x32, 7x7x64, average pooling between > Dense 1.

    The counterpart of `r3gan_generator`. The paper ends in a 4x4 convolution of each channel and a Dense layer.

    Args:
        num_classes: Number of labels, or `None`.
        width, blocks, shape: As in `r3gan_generator`.
    """
    inputs, x, label = discriminator_inputs(num_classes, shape)
    x = _convolution(width, 3)(x)
    number = halvings(shape, 7)
    for k in range(number + 1):
        for _ in range(blocks):
            x = _residual(x)
        if k < number:
            x = _convolution(2 * x.shape[-1], 1)(layers.AveragePooling2D(2, padding="same")(x))
    return keras.Model(inputs, score_of(layers.Flatten()(x), label, num_classes), name="discriminator")


def _residual(x):
    """x + 1x1(LeakyReLU(3x3(LeakyReLU(1x1(x))))), the last convolution initially 0."""
    inside = x.shape[-1] // 2
    y = layers.LeakyReLU(0.2)(_convolution(inside, 1)(x))
    y = layers.LeakyReLU(0.2)(_convolution(inside, 3)(y))
    return layers.Add()([x, layers.Conv2D(x.shape[-1], 1, kernel_initializer="zeros")(y)])


def _convolution(filters, kernel):
    return layers.Conv2D(filters, kernel, padding="same", kernel_initializer="he_normal")
