"""Networks of the tasks: InfoGAN's, AC-GAN's, and the encoder of a VAE."""

import keras
from keras import layers

from gan_keras.networks.base import (
    MNIST,
    batch_norm,
    discriminator_inputs,
    downsampled,
    generator_inputs,
    halvings,
    score_of,
    upsampled,
)


def infogan_generator(latent_dim=74, num_classes=None, width=32, hidden=512, shape=MNIST):
    """Dense 512 > Dense 7x7x64 > transposed convolutions 14x14x32, 28x28 (4x4, stride 2), BatchNorm and relu between, tanh.

    Chen et al. 2016, "InfoGAN", table 1, at half its width. Images in [-1, 1].

    Args:
        latent_dim: Size of a latent, codes included.
        num_classes: For labels that a term reads; the network takes none.
        width: Channels of the last hidden layer; the paper has 64.
        hidden: Units of the first layer; the paper has 1,024.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
    """
    z, x = generator_inputs(latent_dim, None)
    x = layers.ReLU()(batch_norm()(layers.Dense(hidden, use_bias=False)(x)))
    return keras.Model(z, upsampled(x, shape, width, kernel=4), name="generator")


def infogan_discriminator(num_classes=None, shape=MNIST, width=32, hidden=512, codes=None):
    """Convolutions 14x14x32, 7x7x64 (4x4, stride 2) > Dense 512 > Dense 1, and Dense 128 > one output for each code.

    LeakyReLU .1 between, BatchNorm in all but the first. Chen et al. 2016, "InfoGAN", table 1, at half its width: Q is all of D but
    its last layer, and one hidden layer of its own.

    Args:
        num_classes: For labels that a term reads; the network takes none.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
        width: Channels at 14x14; twice as many at 7x7. The paper has 64.
        hidden: Units of the last layer that D and Q share; the paper has 1,024.
        codes: {name: size of the output}, as `regularizers.MutualInformation` reads them; default: {"code": 10}.
    """
    inputs, x, _ = discriminator_inputs(None, shape)
    for k in range(halvings(shape, 7)):
        x = layers.Conv2D(width * 2**k, 4, strides=2, padding="same")(x)
        x = layers.LeakyReLU(0.1)(batch_norm()(x) if k else x)
    features = _hidden(layers.Flatten()(x), hidden)
    read = _hidden(features, 128)
    heads = {name: layers.Dense(size, dtype="float32")(read) for name, size in (codes or {"code": 10}).items()}
    return keras.Model(inputs, {"score": score_of(features), **heads}, name="discriminator")


def acgan_discriminator(num_classes=10, shape=MNIST):
    """The trunk of `default_discriminator` > Dense 1, and Dense of as many logits as classes, "label".

    Odena, Olah, Shlens 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs", section 4.
    """
    inputs, x, _ = discriminator_inputs(None, shape)
    features = downsampled(x, shape, width=32, kernel=4)
    outputs = {"score": score_of(features), "label": layers.Dense(num_classes, dtype="float32")(features)}
    return keras.Model(inputs, outputs, name="discriminator")


def default_encoder(latent_dim=16, shape=MNIST):
    """The trunk of `default_discriminator` > Dense 2 latent_dim: means, then logarithms of variances, for `VAE`."""
    inputs, x, _ = discriminator_inputs(None, shape)
    x = layers.Dense(2 * latent_dim, dtype="float32")(downsampled(x, shape, width=32, kernel=4))
    return keras.Model(inputs, x, name="encoder")


def _hidden(x, units):
    return layers.LeakyReLU(0.1)(batch_norm()(layers.Dense(units)(x)))
