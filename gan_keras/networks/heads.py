"""Discriminators with further outputs, which `regularizers.heads` reads, and the encoder of a VAE."""

import keras
from keras import layers

from gan_keras.networks.base import MNIST, discriminator_inputs, downsampled


def infogan_discriminator(num_classes=None, shape=MNIST, codes=None):
    """The trunk of `default_discriminator` > Dense 1, and Dense 128 LeakyReLU .2 > one output for each code.

    Chen et al. 2016, "InfoGAN", appendix C.1: Q is all of D but its last layer, and one hidden layer of its own.

    Args:
        num_classes: For labels that a term reads; the network takes none.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
        codes: {name: size of the output}, as `regularizers.MutualInformation` reads them; default: {"code": 10}.
    """
    inputs, x, _ = discriminator_inputs(None, shape)
    features = downsampled(x, shape, width=32, kernel=4)
    hidden = layers.LeakyReLU(0.2)(layers.Dense(128)(features))
    heads = {name: layers.Dense(size, dtype="float32")(hidden) for name, size in (codes or {"code": 10}).items()}
    return keras.Model(inputs, {"score": _score(features), **heads}, name="discriminator")


def acgan_discriminator(num_classes=10, shape=MNIST):
    """The trunk of `default_discriminator` > Dense 1, and Dense of as many logits as classes, "label".

    Odena, Olah, Shlens 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs", section 4.
    """
    inputs, x, _ = discriminator_inputs(None, shape)
    features = downsampled(x, shape, width=32, kernel=4)
    outputs = {"score": _score(features), "label": layers.Dense(num_classes, dtype="float32")(features)}
    return keras.Model(inputs, outputs, name="discriminator")


def default_encoder(latent_dim=16, shape=MNIST):
    """The trunk of `default_discriminator` > Dense 2 latent_dim: means, then logarithms of variances, for `VAE`."""
    inputs, x, _ = discriminator_inputs(None, shape)
    x = layers.Dense(2 * latent_dim, dtype="float32")(downsampled(x, shape, width=32, kernel=4))
    return keras.Model(inputs, x, name="encoder")


def _score(features):
    return layers.Dense(1, dtype="float32")(features)
