"""Networks of InfoGAN and AC-GAN, and the encoder of a VAE."""

import keras
from keras import layers

from gan_keras.layers import DiffAugment
from gan_keras.networks.base import MNIST, discriminator_inputs, downsampled, halvings, score_of


def infogan_discriminator(num_classes=None, shape=MNIST, width=32, hidden=512, codes=None):
    """Convolutions 14x14x32, 7x7x64 (4x4, stride 2) > Dense 512 > Dense 1, and Dense 128 > one output for each code.

    LeakyReLU .1 between. In training, images are first augmented by `layers.DiffAugment`. Chen et al. 2016, "InfoGAN", table 1, at
    half its width and without BatchNorm: Q shares all layers of D except the last, and has one hidden layer of its own.

    Args:
        num_classes: Number of labels, for regularizers; they are not an input.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
        width: Channels at 14x14; twice as many at 7x7. The paper has 64.
        hidden: Units of the last layer that D and Q share; the paper has 1,024.
        codes: {name: size of the output}, for `regularizers.MutualInformation`; default: {"code": 10}.
    """
    inputs, x, _ = discriminator_inputs(None, shape)
    x = DiffAugment(("affine", "translation"), fill_value=-1.0)(x)
    for k in range(halvings(shape, 7)):
        x = layers.LeakyReLU(0.1)(layers.Conv2D(width * 2**k, 4, strides=2, padding="same")(x))
    shared = layers.LeakyReLU(0.1)(layers.Dense(hidden)(layers.Flatten()(x)))
    own = layers.LeakyReLU(0.1)(layers.Dense(128)(shared))
    heads = {name: layers.Dense(size, dtype="float32")(own) for name, size in (codes or {"code": 10}).items()}
    return keras.Model(inputs, {"score": score_of(shared), **heads}, name="discriminator")


def acgan_discriminator(num_classes=10, shape=MNIST, projection=False, width=32):
    """The convolutions of `default_discriminator` > Dense 1, and a Dense layer with a logit for each class, "label".

    Odena, Olah, Shlens 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs", section 4.

    Args:
        num_classes: Number of labels.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
        projection: Whether the label is also an input, with a projection in the score. Miyato and Koyama 2018.
        width: Channels at 14x14; doubled at each of the next layers.
    """
    inputs, x, label = discriminator_inputs(num_classes if projection else None, shape)
    features = downsampled(x, shape, width, kernel=4)
    outputs = {
        "score": score_of(features, label, num_classes),
        "label": layers.Dense(num_classes, dtype="float32")(features),
    }
    return keras.Model(inputs, outputs, name="discriminator")


def default_encoder(latent_dim=16, shape=MNIST):
    """The convolutions of `default_discriminator` > Dense 2 latent_dim: means, followed by logarithms of variances, for `VAE`."""
    inputs, x, _ = discriminator_inputs(None, shape)
    x = layers.Dense(2 * latent_dim, dtype="float32")(downsampled(x, shape, width=32, kernel=4))
    return keras.Model(inputs, x, name="encoder")
