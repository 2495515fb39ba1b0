"""Functional-API generators and discriminators. Builders return a `keras.Model`; every discriminator puts out logits.

Every builder takes `shape`, that of one image or point, and `num_classes`: with it the network has a second input, integer
labels (batch,). Dense networks get the label concatenated to their data (Mirza and Osindero 2014, "Conditional Generative
Adversarial Nets"); convolutional discriminators project on it (Miyato and Koyama 2018, "cGANs with Projection Discriminator").

Convolutional networks fit the shape: the larger side of an image is halved until at most 7 pixels are left (at most 4 in
critics), and channels double at each halving. 28 > 14 > 7; 32 > 16 > 8 > 4; 64 > 32 > 16 > 8 > 4, as in Radford et al. 2016.
The sizes in the docstrings are those of 28x28 images.
"""

import contextlib
import math

import keras
from keras import layers

from gan_keras.layers import Packing, SpectralNormalization

_MNIST = (28, 28, 1)
_STACKED = (28, 28, 3)
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


def mlp_generator(latent_dim=100, num_classes=None, shape=_MNIST):
    """Dense 256 relu > Dense 784 sigmoid: the generator of the Keras tutorial. Images in [0, 1], 28x28x1 only."""
    _check_fixed(shape, _MNIST, "mlp_generator")
    inputs, x = _generator_inputs(latent_dim, num_classes)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dense(784, activation="sigmoid", dtype="float32")(x)
    return keras.Model(inputs, layers.Reshape(shape, dtype="float32")(x), name="generator")


def mlp_discriminator(num_classes=None, shape=_MNIST):
    """Dense 256 relu > Dense 1: the discriminator of the Keras tutorial, with logits instead of a sigmoid. 28x28x1 only."""
    _check_fixed(shape, _MNIST, "mlp_discriminator")
    inputs, images, label = _discriminator_inputs(num_classes, shape)
    x = layers.Flatten()(images)
    if label is not None:
        x = layers.Concatenate()([x, layers.Embedding(num_classes, _LABEL_DIM)(label)])
    x = layers.Dense(256, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32")(x), name="discriminator")


def tutorial_generator(latent_dim=100, num_classes=None, shape=_MNIST):
    """Dense 256 > Dense 512, each with LeakyReLU .2 and BatchNorm > Dense 784 tanh: the generator of the PyTorch tutorial.

    Images in [-1, 1], 28x28x1 only.
    """
    _check_fixed(shape, _MNIST, "tutorial_generator")
    inputs, x = _generator_inputs(latent_dim, num_classes)
    for units in (256, 512):
        x = layers.Dense(units)(x)
        x = layers.LeakyReLU(0.2)(x)
        x = _batch_norm()(x)
    x = layers.Dense(784, activation="tanh", dtype="float32")(x)
    return keras.Model(inputs, layers.Reshape(shape, dtype="float32")(x), name="generator")


def tutorial_discriminator(num_classes=None, shape=_MNIST):
    """Conv 16, 32, 64 (3x3, LeakyReLU .2, MaxPool 2) > Dense 1: the discriminator of the PyTorch tutorial. 28x28x1 only.

    28 > 14 > 7 > 3: the last layer has 3 * 3 * 64 = 576 inputs, where the tutorial says 1024 and cannot run.
    """
    _check_fixed(shape, _MNIST, "tutorial_discriminator")
    inputs, images, label = _discriminator_inputs(num_classes, shape)
    x = images
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.MaxPooling2D(2)(x)
        # After the pooling, with which it commutes: the same values from a quarter of the work.
        x = layers.LeakyReLU(0.2)(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, _score(x, label, num_classes), name="discriminator")


def dcgan_generator(latent_dim=100, width=64, num_classes=None, shape=_MNIST):
    """Dense 7x7 > transposed convolutions 14x14, 28x28 (5x5, stride 2), BatchNorm and relu between, tanh. In [-1, 1].

    Radford, Metz, Chintala 2016, "Unsupervised Representation Learning with DCGANs": four upsamplings for 64x64 as in the
    paper, two for 28x28.

    Args:
        latent_dim: Size of a latent.
        width: Channels of the last hidden layer, at 14x14; twice as many at 7x7. The paper has 128.
        num_classes: Number of labels, or `None`.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
    """
    inputs, x = _generator_inputs(latent_dim, num_classes)
    x = _upsampled(x, shape, width, kernel=5, initializer="dcgan")
    return keras.Model(inputs, x, name="generator")


def dcgan_discriminator(width=64, normalization="batch", num_classes=None, shape=_MNIST):
    """Convolutions 14x14, 7x7 (5x5, stride 2, LeakyReLU .2) > Dense 1. Radford, Metz, Chintala 2016.

    Args:
        width: Channels at 14x14; twice as many at 7x7.
        normalization: "batch" as in the paper (not at the input), "spectral" (every layer; Miyato et al. 2018), or `None`, which
            gradient penalties ask for.
        num_classes: Number of labels, or `None`.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
    """
    if normalization not in ("batch", "spectral", None):
        raise ValueError(f"normalization is 'batch', 'spectral' or None. Received: {normalization!r}")

    def normalized(layer):
        return SpectralNormalization(layer) if normalization == "spectral" else layer

    inputs, x, label = _discriminator_inputs(num_classes, shape)
    # 0.02 is made for BatchNorm, which undoes the scale; without it signals would die out.
    initializer = _initializer("dcgan" if normalization == "batch" else None)
    for k in range(_halvings(shape, 7)):
        x = normalized(layers.Conv2D(width * 2**k, 5, strides=2, padding="same", kernel_initializer=initializer))(x)
        if normalization == "batch" and k:
            x = _batch_norm()(x)
        x = layers.LeakyReLU(0.2)(x)
    return keras.Model(inputs, _score(layers.Flatten()(x), label, num_classes, normalized), name="discriminator")


def wgan_gp_critic(width=64, num_classes=None, shape=_MNIST):
    """Convolutions 14x14, 7x7, 4x4 (5x5, stride 2, LeakyReLU .2) > Dense 1, without BatchNorm.

    Gulrajani et al. 2017, the MNIST critic of the authors' gan_mnist.py.

    Args:
        width: Channels at 14x14; doubled at each of the next layers.
        num_classes: Number of labels, or `None`.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
    """
    inputs, images, label = _discriminator_inputs(num_classes, shape)
    x = _downsampled(images, shape, width, kernel=5)
    return keras.Model(inputs, _score(x, label, num_classes), name="discriminator")


def default_generator(latent_dim=16, num_classes=None, mapping=4, shape=_MNIST):
    """Dense 256 four times > Dense 7x7x64 > transposed convolutions 14x14x32, 28x28 (4x4, stride 2), tanh. In [-1, 1].

    BatchNorm and relu between all. A narrow DCGAN behind a mapping network (Karras, Laine, Aila 2019, StyleGAN, section 2):
    cheap dense layers let it part the latents of different digits sharply, where convolutions alone leave blends between.

    Args:
        latent_dim: Size of a latent.
        num_classes: Number of labels, or `None`.
        mapping: Dense layers before the convolutions. With fewer samples become varied sooner, with more, clear.
        shape: (height, width, channels) of the images, sides of 8 pixels or more.
    """
    if not isinstance(mapping, int) or mapping < 0:
        raise ValueError(f"mapping, a number of layers, must be an integer of 0 or more. Received: mapping={mapping!r}")
    inputs, x = _generator_inputs(latent_dim, num_classes)
    for _ in range(mapping):
        x = layers.ReLU()(_batch_norm()(layers.Dense(256, use_bias=False)(x)))
    return keras.Model(inputs, _upsampled(x, shape, width=32, kernel=4), name="generator")


def default_discriminator(num_classes=None, shape=_MNIST):
    """Convolutions 14x14x32, 7x7x64, 4x4x128 (4x4, stride 2, LeakyReLU .2) > Dense 1, without BatchNorm.

    WGAN-GP's critic at half its width and with smaller kernels, for two CPU cores.
    """
    inputs, images, label = _discriminator_inputs(num_classes, shape)
    x = _downsampled(images, shape, width=32, kernel=4)
    return keras.Model(inputs, _score(x, label, num_classes), name="discriminator")


def points_generator(latent_dim=2, num_classes=None, width=128, depth=4, scale=1.0, shape=(2,)):
    """`depth` x Dense `width` relu > Dense of as many as a point has dimensions, for the toys. Points of any range.

    Args:
        latent_dim: Size of a latent.
        num_classes: Number of labels, or `None`.
        width, depth: Units of a hidden layer, and their number.
        scale: Unit of the points: what the network puts out is multiplied by it.
        shape: (dimensions,) of a point.
    """
    _check_points(shape)
    inputs, x = _generator_inputs(latent_dim, num_classes)
    for _ in range(depth):
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Dense(shape[0], dtype="float32")(x)
    return keras.Model(inputs, layers.Rescaling(scale, dtype="float32")(x), name="generator")


def points_discriminator(num_classes=None, width=128, depth=4, scale=1.0, packing=1, shape=(2,)):
    """`depth` x Dense `width` LeakyReLU .2 > Dense 1, for the toys.

    Args:
        num_classes: Number of labels, or `None`.
        width, depth, scale, shape: As in `points_generator`; points are divided by `scale`.
        packing: Points judged at once, as in `layers.Packing`; without labels only.
    """
    _check_points(shape)
    _check_packing(packing, num_classes)
    inputs, x, label = _discriminator_inputs(num_classes, shape)
    x = layers.Rescaling(1.0 / scale)(x)
    x = Packing(packing)(x) if packing > 1 else x
    for _ in range(depth):
        x = layers.LeakyReLU(0.2)(layers.Dense(width, kernel_initializer="he_normal")(x))
    return keras.Model(inputs, _score(x, label, num_classes), name="discriminator")


def stacked_generator(latent_dim=64, num_classes=None, shape=_STACKED):
    """Dense 4x4x64 > transposed convolutions 32, 16, 8 (7x7, 14x14, 28x28) > 3, BatchNorm and relu between, tanh. In [-1, 1].

    Metz et al. 2017, "Unrolled Generative Adversarial Networks", appendix E: the stacked-MNIST generator. 28x28x3 only.
    """
    _check_fixed(shape, _STACKED, "stacked_generator")
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


def stacked_discriminator(num_classes=None, width=2, packing=1, shape=_STACKED):
    """Convolutions 14x14, 7x7, 4x4 (7x7, stride 2, LeakyReLU .2) > Dense 1, of 28x28x3 images, without BatchNorm.

    Args:
        num_classes: Number of labels, or `None`.
        width: Channels at 14x14, doubled at each of the next two layers. 2 is the quarter of `stacked_generator`, the setting in
            which Metz et al. 2017 count modes; 4 their half.
        packing: Images judged at once, as in `layers.Packing`; without labels only.
    """
    _check_fixed(shape, _STACKED, "stacked_discriminator")
    _check_packing(packing, num_classes)
    inputs, x, label = _discriminator_inputs(num_classes, shape)
    x = Packing(packing)(x) if packing > 1 else x
    x = _downsampled(x, shape, width, kernel=7)
    return keras.Model(inputs, _score(x, label, num_classes), name="discriminator")


def _generator_inputs(latent_dim, num_classes):
    if not isinstance(latent_dim, int) or latent_dim < 1:
        raise ValueError(f"latent_dim must be an integer of 1 or more. Received: latent_dim={latent_dim!r}")
    z = keras.Input((latent_dim,), name="z")
    if num_classes is None:
        return z, z
    label = keras.Input((), dtype="int32", name="label")
    return [z, label], layers.Concatenate()([z, layers.Embedding(num_classes, _LABEL_DIM)(label)])


def _discriminator_inputs(num_classes, shape):
    images = keras.Input(shape, name="images")
    if num_classes is None:
        return images, images, None
    label = keras.Input((), dtype="int32", name="label")
    return [images, label], images, label


def _upsampled(x, shape, width, kernel, initializer=None):
    """Dense > transposed convolutions of stride 2 up to `shape`, BatchNorm and relu between, tanh; `width` channels in the last."""
    number = _halvings(shape, 7)
    height, breadth = (math.ceil(side / 2**number) for side in shape[:2])

    def hidden(x):
        return layers.ReLU()(_batch_norm()(x))

    def doubled(filters, **options):
        kind = dict(strides=2, padding="same", kernel_initializer=_initializer(initializer))
        return layers.Conv2DTranspose(filters, kernel, **kind, **options)

    first, *others = (width * 2**k for k in reversed(range(number)))
    x = layers.Dense(height * breadth * first, use_bias=False, kernel_initializer=_initializer(initializer))(x)
    x = hidden(layers.Reshape((height, breadth, first))(x))
    for filters in others:
        x = hidden(doubled(filters, use_bias=False)(x))
    x = doubled(shape[-1], activation="tanh", dtype="float32")(x)
    extra = [side - wanted for side, wanted in zip(x.shape[1:3], shape)]
    if any(extra):  # sides that do not halve evenly
        x = layers.Cropping2D([(n // 2, n - n // 2) for n in extra], dtype="float32")(x)
    return x


def _downsampled(x, shape, width, kernel):
    """Convolutions of stride 2 with LeakyReLU .2, without BatchNorm, down to 4x4 or less; flattened."""
    for k in range(_halvings(shape, 4)):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(width * 2**k, kernel, strides=2, padding="same")(x))
    return layers.Flatten()(x)


def _halvings(shape, most):
    """How often the larger side of an image is halved, rounded up, until `most` pixels or fewer are left."""
    if len(shape) != 3 or min(shape[:2]) < 8 or shape[2] < 1:
        raise ValueError(
            f"Convolutional networks are for images: shape=(height, width, channels), sides of 8 pixels or more. "
            f"Received: shape={tuple(shape)}"
        )
    side, number = max(shape[:2]), 0
    while side > most:
        side, number = math.ceil(side / 2), number + 1
    return number


def _check_fixed(shape, wanted, name):
    if tuple(shape) != wanted:
        raise ValueError(
            f"{name} is a published network of one shape, {wanted}. Received: shape={tuple(shape)}; dcgan, wgan_gp and default "
            "have networks for images of other shapes."
        )


def _check_points(shape):
    if len(shape) != 1:
        raise ValueError(f"Dense networks of points have shape=(dimensions,). Received: shape={tuple(shape)}")


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


def _initializer(name):
    return keras.initializers.RandomNormal(stddev=0.02) if name == "dcgan" else "glorot_uniform"
