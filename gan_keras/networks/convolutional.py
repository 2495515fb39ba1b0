"""Convolutional networks: those of the PyTorch tutorial, DCGAN, WGAN-GP, the default recipe and stacked MNIST."""

import keras
from keras import layers

from gan_keras import identifiers
from gan_keras.layers import DiffAugment, Packing, SpectralNormalization
from gan_keras.networks.base import (
    LABEL_DIM,
    MNIST,
    STACKED,
    batch_norm,
    check_fixed,
    check_packing,
    discriminator_inputs,
    downsampled,
    generator_inputs,
    halvings,
    initializer_of,
    score_of,
    upsampled,
)


def tutorial_discriminator(num_classes=None, shape=MNIST):
    """Conv 16, 32, 64 (3x3, LeakyReLU .2, MaxPool 2) > Dense 1: the discriminator of the PyTorch tutorial. 28x28x1 only.

    28 > 14 > 7 > 3: the last layer has 3 * 3 * 64 = 576 inputs. The tutorial has 1024, with which it cannot run.
    """
    check_fixed(shape, MNIST, "tutorial_discriminator")
    inputs, images, label = discriminator_inputs(num_classes, shape)
    x = images
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.MaxPooling2D(2)(x)
        # After the pooling, with which it commutes: the same values with a quarter of the work.
        x = layers.LeakyReLU(0.2)(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, score_of(x, label, num_classes), name="discriminator")


def dcgan_generator(latent_dim=100, width=64, num_classes=None, shape=MNIST):
    """Dense 7x7 > transposed convolutions 14x14, 28x28 (5x5, stride 2), BatchNorm and relu between, tanh. In [-1, 1].

    Radford, Metz, Chintala 2016, "Unsupervised Representation Learning with DCGANs": four upsamplings for 64x64 as in the
    paper, two for 28x28.

    Args:
        latent_dim: Dimensions of a latent.
        width: Channels of the last hidden layer, at 14x14; twice as many at 7x7. The paper has 128.
        num_classes: Number of labels, or `None`.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
    """
    inputs, x = generator_inputs(latent_dim, num_classes)
    x = upsampled(x, shape, width, kernel=5, initializer="dcgan")
    return keras.Model(inputs, x, name="generator")


def dcgan_discriminator(width=64, normalization="batch", num_classes=None, shape=MNIST):
    """Convolutions 14x14, 7x7 (5x5, stride 2, LeakyReLU .2) > Dense 1. Radford, Metz, Chintala 2016.

    Args:
        width: Channels at 14x14; twice as many at 7x7.
        normalization: "batch" as in the paper (not at the input), "spectral" (every layer; Miyato et al. 2018), or `None`, for
            gradient penalties.
        num_classes: Number of labels, or `None`.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
    """
    if normalization not in ("batch", "spectral", None):
        raise ValueError(f"normalization is 'batch', 'spectral' or None. Received: {normalization!r}")

    def normalized(layer):
        return SpectralNormalization(layer) if normalization == "spectral" else layer

    inputs, x, label = discriminator_inputs(num_classes, shape)
    for k in range(halvings(shape, 7)):
        # A deviation of 0.02 needs BatchNorm, which undoes the scale; without it, signals would vanish. A new initializer for each
        # layer, since one returns the same values whenever it is called.
        initializer = initializer_of("dcgan" if normalization == "batch" else None)
        x = normalized(layers.Conv2D(width * 2**k, 5, strides=2, padding="same", kernel_initializer=initializer))(x)
        if normalization == "batch" and k:
            x = batch_norm()(x)
        x = layers.LeakyReLU(0.2)(x)
    return keras.Model(inputs, score_of(layers.Flatten()(x), label, num_classes, normalized), name="discriminator")


def wgan_gp_critic(width=64, num_classes=None, shape=MNIST):
    """Convolutions 14x14, 7x7, 4x4 (5x5, stride 2, LeakyReLU .2) > Dense 1, without BatchNorm.

    Gulrajani et al. 2017, the MNIST critic of the authors' gan_mnist.py.

    Args:
        width: Channels at 14x14; doubled at each of the next layers.
        num_classes: Number of labels, or `None`.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
    """
    inputs, images, label = discriminator_inputs(num_classes, shape)
    x = downsampled(images, shape, width, kernel=5)
    return keras.Model(inputs, score_of(x, label, num_classes), name="discriminator")


def default_generator(latent_dim=16, num_classes=None, mapping=4, shape=MNIST, width=32, code=0):
    """Dense 256 four times > Dense 7x7x64 > transposed convolutions 14x14x32, 28x28 (4x4, stride 2), tanh. In [-1, 1].

    BatchNorm and relu between all. A narrow DCGAN behind a mapping network (Karras, Laine, Aila 2019, StyleGAN, section 2): its
    dense layers cost little, and lead to fewer blends between digits than convolutions alone.

    Args:
        latent_dim: Dimensions of a latent.
        num_classes: Number of labels, or `None`.
        mapping: Number of dense layers before the convolutions. Fewer give more variety, more give clearer samples.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
        width: Channels of the last hidden layer, at 14x14; twice as many at 7x7.
        code: The last dimensions of a latent that are a one-hot code, which gets an embedding, as labels do.
    """
    inputs, x = generator_inputs(latent_dim, num_classes)
    if code:
        embedding = layers.Dense(LABEL_DIM, use_bias=False, kernel_initializer="uniform")
        x = layers.Concatenate()([x[:, :-code], embedding(x[:, -code:])])
    for _ in range(identifiers.count("mapping", mapping, least=0)):
        x = layers.ReLU()(batch_norm()(layers.Dense(256, use_bias=False)(x)))
    return keras.Model(inputs, upsampled(x, shape, width, kernel=4), name="generator")


def default_discriminator(num_classes=None, shape=MNIST, augmentation=(), width=32, label_dim=None):
    """Convolutions 14x14x32, 7x7x64, 4x4x128 (4x4, stride 2, LeakyReLU .2) > Dense 1, without BatchNorm.

    WGAN-GP's critic at half its width and with smaller kernels, for two CPU cores.

    Args:
        num_classes: Number of labels, or `None`.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
        augmentation: Policy of `layers.DiffAugment` in training, such as ("color", "translation"). Its fill_value is -1, the
            background of MNIST.
        width: Channels at 14x14; doubled at each of the next layers.
        label_dim: Dimensions of the label's embedding, to which the features are mapped linearly. `None`: those of the features.
    """
    inputs, x, label = discriminator_inputs(num_classes, shape)
    x = DiffAugment(augmentation, fill_value=-1.0)(x) if augmentation else x
    x = downsampled(x, shape, width, kernel=4)
    return keras.Model(inputs, score_of(x, label, num_classes, label_dim=label_dim), name="discriminator")


def stacked_generator(latent_dim=64, num_classes=None, shape=STACKED):
    """Dense 4x4x64 > transposed convolutions 32, 16, 8 (7x7, 14x14, 28x28) > 3, BatchNorm and relu between, tanh. In [-1, 1].

    Metz et al. 2017, "Unrolled Generative Adversarial Networks", appendix E: the stacked-MNIST generator. 28x28x3 only.
    """
    check_fixed(shape, STACKED, "stacked_generator")
    inputs, x = generator_inputs(latent_dim, num_classes)
    x = layers.Reshape((4, 4, 64))(layers.Dense(4 * 4 * 64)(x))
    x = layers.ReLU()(batch_norm()(x))
    for filters, kernel, padding in ((32, 5, "valid"), (16, 4, "same"), (8, 4, "same")):
        x = layers.Conv2DTranspose(filters, kernel, strides=2, padding=padding)(x)
        if padding == "valid":
            # The middle 7x7 of 11x11. output_padding=0 gives the same, but Keras before 3.15 does not save it.
            x = layers.Cropping2D(2)(x)
        x = layers.ReLU()(batch_norm()(x))
    x = layers.Conv2DTranspose(3, 3, padding="same", activation="tanh", dtype="float32")(x)
    return keras.Model(inputs, x, name="generator")


def stacked_discriminator(num_classes=None, width=2, packing=1, shape=STACKED):
    """Convolutions 14x14, 7x7, 4x4 (7x7, stride 2, LeakyReLU .2) > Dense 1, of 28x28x3 images, without BatchNorm.

    Args:
        num_classes: Number of labels, or `None`.
        width: Channels at 14x14, doubled at each of the next two layers. 2 makes it a quarter of the size of
            `stacked_generator`, a setting of Metz et al. 2017; 4 half of it, another.
        packing: Images that are scored together, as in `layers.Packing`; only without labels.
    """
    check_fixed(shape, STACKED, "stacked_discriminator")
    check_packing(packing, num_classes)
    inputs, x, label = discriminator_inputs(num_classes, shape)
    x = Packing(packing)(x) if packing > 1 else x
    x = downsampled(x, shape, width, kernel=7)
    return keras.Model(inputs, score_of(x, label, num_classes), name="discriminator")
