"""Functional-API generators and discriminators. Builders return a `keras.Model`; every discriminator puts out logits.

Every builder takes `num_classes`: with it the network has a second input, integer labels (batch,). Dense networks get the
label concatenated to their data (Mirza and Osindero 2014, "Conditional Generative Adversarial Nets"); convolutional
discriminators project on it (Miyato and Koyama 2018, "cGANs with Projection Discriminator").
"""

import contextlib

import keras
from keras import layers

from gan_keras.layers import Packing, SpectralNormalization

_SHAPE = (28, 28, 1)
_LABEL_DIM = 50  # size of a label's embedding in generators; BigGAN's shared embeddings have 128 for 1,000 classes


@contextlib.contextmanager
def precision(policy):
    """Networks built inside it compute by a Keras dtype policy, such as "mixed_bfloat16"; what they put out stays float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def mlp_generator(latent_dim=100, num_classes=None):
    """Dense 256 relu > Dense 784 sigmoid: the generator of the Keras tutorial (T1). Images in [0, 1]."""
    inputs, x = _generator_inputs(latent_dim, num_classes)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dense(784, activation="sigmoid", dtype="float32")(x)
    return keras.Model(inputs, layers.Reshape(_SHAPE, dtype="float32")(x), name="generator")


def mlp_discriminator(num_classes=None):
    """Dense 256 relu > Dense 1: the discriminator of the Keras tutorial (T1), with logits out instead of a sigmoid."""
    inputs, images, label = _discriminator_inputs(num_classes)
    x = layers.Flatten()(images)
    if label is not None:
        x = layers.Concatenate()([x, layers.Embedding(num_classes, _LABEL_DIM)(label)])
    x = layers.Dense(256, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32")(x), name="discriminator")


def tutorial_generator(latent_dim=100, num_classes=None):
    """Dense 256 > Dense 512, each LeakyReLU .2 and BatchNorm > Dense 784 tanh: the PyTorch tutorial's (T0). In [-1, 1]."""
    inputs, x = _generator_inputs(latent_dim, num_classes)
    for units in (256, 512):
        x = layers.Dense(units)(x)
        x = layers.LeakyReLU(0.2)(x)
        x = _batch_norm()(x)
    x = layers.Dense(784, activation="tanh", dtype="float32")(x)
    return keras.Model(inputs, layers.Reshape(_SHAPE, dtype="float32")(x), name="generator")


def tutorial_discriminator(num_classes=None):
    """Conv 16, 32, 64 (3x3, LeakyReLU .2, MaxPool 2) > Dense 1: the PyTorch tutorial's (T0).

    28 > 14 > 7 > 3: the last layer has 3 * 3 * 64 = 576 inputs, where the tutorial says 1024 and cannot run.
    """
    inputs, images, label = _discriminator_inputs(num_classes)
    x = images
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.MaxPooling2D(2)(x)
        # After the pooling, with which it commutes: the same values from a quarter of the work.
        x = layers.LeakyReLU(0.2)(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, _score(x, label, num_classes), name="discriminator")


def dcgan_generator(latent_dim=100, width=64, num_classes=None):
    """Dense 7x7 > transposed convolutions 14x14, 28x28 (5x5, stride 2), BatchNorm and relu between, tanh. In [-1, 1].

    Radford, Metz, Chintala 2016, "Unsupervised Representation Learning with DCGANs", with two upsamplings instead of four.

    Args:
        latent_dim: Size of a latent.
        width: Channels at 14x14; twice as many at 7x7.
        num_classes: Number of labels, or `None`.
    """
    inputs, x = _generator_inputs(latent_dim, num_classes)
    x = layers.Dense(7 * 7 * 2 * width, use_bias=False, kernel_initializer=_dcgan_init())(x)
    x = layers.Reshape((7, 7, 2 * width))(x)
    x = layers.ReLU()(_batch_norm()(x))
    x = layers.Conv2DTranspose(width, 5, strides=2, padding="same", use_bias=False, kernel_initializer=_dcgan_init())(x)
    x = layers.ReLU()(_batch_norm()(x))
    x = layers.Conv2DTranspose(
        1, 5, strides=2, padding="same", activation="tanh", dtype="float32", kernel_initializer=_dcgan_init()
    )(x)
    return keras.Model(inputs, x, name="generator")


def dcgan_discriminator(width=64, normalization="batch", num_classes=None):
    """Convolutions 14x14, 7x7 (5x5, stride 2, LeakyReLU .2) > Dense 1. Radford, Metz, Chintala 2016.

    Args:
        width: Channels at 14x14; twice as many at 7x7.
        normalization: "batch" as in the paper (not at the input), "spectral" (every layer; Miyato et al. 2018), or `None`, which
            penalties on slopes ask for.
        num_classes: Number of labels, or `None`.
    """
    if normalization not in ("batch", "spectral", None):
        raise ValueError(f"normalization is 'batch', 'spectral' or None. Received: {normalization!r}")

    def normalized(layer):
        return SpectralNormalization(layer) if normalization == "spectral" else layer

    inputs, images, label = _discriminator_inputs(num_classes)
    # 0.02 is made for BatchNorm, which undoes the scale; without it signals would die out.
    initializer = _dcgan_init() if normalization == "batch" else "glorot_uniform"
    x = normalized(layers.Conv2D(width, 5, strides=2, padding="same", kernel_initializer=initializer))(images)
    x = layers.LeakyReLU(0.2)(x)
    x = normalized(layers.Conv2D(2 * width, 5, strides=2, padding="same", kernel_initializer=initializer))(x)
    if normalization == "batch":
        x = _batch_norm()(x)
    x = layers.LeakyReLU(0.2)(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, _score(x, label, num_classes, normalized), name="discriminator")


def wgan_gp_critic(width=64, num_classes=None):
    """Convolutions 14x14, 7x7, 4x4 (5x5, stride 2, LeakyReLU .2) > Dense 1, without BatchNorm.

    Gulrajani et al. 2017, the MNIST critic of the authors' gan_mnist.py.

    Args:
        width: Channels at 14x14; doubled at each of the next two layers.
        num_classes: Number of labels, or `None`.
    """
    inputs, images, label = _discriminator_inputs(num_classes)
    x = images
    for filters in (width, 2 * width, 4 * width):
        x = layers.Conv2D(filters, 5, strides=2, padding="same")(x)
        x = layers.LeakyReLU(0.2)(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, _score(x, label, num_classes), name="discriminator")


def default_generator(latent_dim=16, num_classes=None, mapping=4):
    """Dense 256 four times > Dense 7x7x64 > transposed convolutions 14x14x32, 28x28 (4x4, stride 2), tanh. In [-1, 1].

    BatchNorm and relu between all. A narrow DCGAN behind a mapping network (Karras, Laine, Aila 2019, StyleGAN, section 2):
    cheap dense layers let it part the latents of different digits sharply, where convolutions alone leave blends between.

    Args:
        latent_dim: Size of a latent.
        num_classes: Number of labels, or `None`.
        mapping: Dense layers before the convolutions. With fewer samples become varied sooner, with more, clear.
    """
    if not isinstance(mapping, int) or mapping < 0:
        raise ValueError(f"mapping, a number of layers, must be an integer of 0 or more. Received: mapping={mapping!r}")
    inputs, x = _generator_inputs(latent_dim, num_classes)
    for _ in range(mapping):
        x = layers.ReLU()(_batch_norm()(layers.Dense(256, use_bias=False)(x)))
    x = layers.Reshape((7, 7, 64))(layers.Dense(7 * 7 * 64, use_bias=False)(x))
    x = layers.ReLU()(_batch_norm()(x))
    x = layers.Conv2DTranspose(32, 4, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(_batch_norm()(x))
    x = layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="tanh", dtype="float32")(x)
    return keras.Model(inputs, x, name="generator")


def default_discriminator(num_classes=None):
    """Convolutions 14x14x32, 7x7x64, 4x4x128 (4x4, stride 2, LeakyReLU .2) > Dense 1, without BatchNorm.

    WGAN-GP's critic at half its width and with smaller kernels, for two CPU cores.
    """
    inputs, x, label = _discriminator_inputs(num_classes)
    for filters in (32, 64, 128):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(filters, 4, strides=2, padding="same")(x))
    return keras.Model(inputs, _score(layers.Flatten()(x), label, num_classes), name="discriminator")


def points_generator(latent_dim=2, num_classes=None, dimensions=2, width=128, depth=4, scale=1.0):
    """`depth` x Dense `width` relu > Dense `dimensions`, for the toys. Points of any range.

    Args:
        latent_dim: Size of a latent.
        num_classes: Number of labels, or `None`.
        dimensions: Of a point.
        width, depth: Units of a hidden layer, and their number.
        scale: Unit of the points: what the network puts out is multiplied by it.
    """
    inputs, x = _generator_inputs(latent_dim, num_classes)
    for _ in range(depth):
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Dense(dimensions, dtype="float32")(x)
    return keras.Model(inputs, layers.Rescaling(scale, dtype="float32")(x), name="generator")


def points_discriminator(num_classes=None, dimensions=2, width=128, depth=4, scale=1.0, packing=1):
    """`depth` x Dense `width` LeakyReLU .2 > Dense 1, for the toys.

    Args:
        num_classes: Number of labels, or `None`.
        dimensions, width, depth, scale: As in `points_generator`; points are divided by `scale`.
        packing: Points judged at once, as in `layers.Packing`; without labels only.
    """
    _check_packing(packing, num_classes)
    inputs, x, label = _discriminator_inputs(num_classes, (dimensions,))
    x = layers.Rescaling(1.0 / scale)(x)
    x = Packing(packing)(x) if packing > 1 else x
    for _ in range(depth):
        x = layers.LeakyReLU(0.2)(layers.Dense(width, kernel_initializer="he_normal")(x))
    return keras.Model(inputs, _score(x, label, num_classes), name="discriminator")


def stacked_generator(latent_dim=64, num_classes=None):
    """Dense 4x4x64 > transposed convolutions 32, 16, 8 (7x7, 14x14, 28x28) > 3, BatchNorm and relu between, tanh. In [-1, 1].

    Metz et al. 2017, "Unrolled Generative Adversarial Networks", appendix E: the stacked-MNIST generator.
    """
    inputs, x = _generator_inputs(latent_dim, num_classes)
    x = layers.Reshape((4, 4, 64))(layers.Dense(4 * 4 * 64)(x))
    x = layers.ReLU()(_batch_norm()(x))
    for filters, kernel, padding in ((32, 5, "valid"), (16, 4, "same"), (8, 4, "same")):
        x = layers.Conv2DTranspose(filters, kernel, strides=2, padding=padding)(x)
        if padding == "valid":
            # The middle 7x7 of 11x11. output_padding=0 gives the same, but Keras before 3.15 does not save it.
            x = layers.Cropping2D(2)(x)
        x = layers.ReLU()(_batch_norm()(x))
    x = layers.Conv2DTranspose(3, 3, padding="same", activation="tanh", dtype="float32")(x)
    return keras.Model(inputs, x, name="generator")


def stacked_discriminator(num_classes=None, width=2, packing=1):
    """Convolutions 14x14, 7x7, 4x4 (7x7, stride 2, LeakyReLU .2) > Dense 1, of three-channel images, without BatchNorm.

    Args:
        num_classes: Number of labels, or `None`.
        width: Channels at 14x14, doubled at each of the next two layers. 2 is the quarter of `stacked_generator`, the setting in
            which Metz et al. 2017 count modes; 4 their half.
        packing: Images judged at once, as in `layers.Packing`; without labels only.
    """
    _check_packing(packing, num_classes)
    inputs, x, label = _discriminator_inputs(num_classes, (28, 28, 3))
    x = Packing(packing)(x) if packing > 1 else x
    for filters in (width, 2 * width, 4 * width):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(filters, 7, strides=2, padding="same")(x))
    return keras.Model(inputs, _score(layers.Flatten()(x), label, num_classes), name="discriminator")


def _generator_inputs(latent_dim, num_classes):
    if not isinstance(latent_dim, int) or latent_dim < 1:
        raise ValueError(f"latent_dim must be an integer of 1 or more. Received: latent_dim={latent_dim!r}")
    z = keras.Input((latent_dim,), name="z")
    if num_classes is None:
        return z, z
    label = keras.Input((), dtype="int32", name="label")
    return [z, label], layers.Concatenate()([z, layers.Embedding(num_classes, _LABEL_DIM)(label)])


def _discriminator_inputs(num_classes, shape=_SHAPE):
    images = keras.Input(shape, name="images")
    if num_classes is None:
        return images, images, None
    label = keras.Input((), dtype="int32", name="label")
    return [images, label], images, label


def _check_packing(packing, num_classes):
    if packing > 1 and num_classes is not None:
        raise ValueError(
            f"A pack has several labels, so packing={packing} and num_classes={num_classes} exclude each other."
        )


def _score(features, label, num_classes, normalized=lambda layer: layer):
    """One logit for each example: linear in the features, plus their projection on the label's embedding."""
    score = normalized(layers.Dense(1, dtype="float32"))(features)
    if label is None:
        return score
    embedding = normalized(layers.Embedding(num_classes, features.shape[-1], dtype="float32"))(label)
    return layers.Add(dtype="float32")([score, layers.Dot(axes=1, dtype="float32")([features, embedding])])


def _batch_norm():
    # Synchronized, so that replicas agree. Momentum 0.9 is the 0.1 of the authors' Torch code; Keras' 0.99 still remembers the
    # first steps when a short run ends.
    return layers.BatchNormalization(momentum=0.9, synchronized=True)


def _dcgan_init():
    return keras.initializers.RandomNormal(stddev=0.02)
