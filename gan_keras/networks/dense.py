"""Dense networks: those of the two tutorials, the toys, and semi-supervised learning."""

import math

import keras
from keras import layers

from gan_keras.layers import DiffAugment, Packing
from gan_keras.networks.base import (
    LABEL_DIM,
    MNIST,
    batch_norm,
    check_fixed,
    check_packing,
    discriminator_inputs,
    generator_inputs,
    score_of,
)


def mlp_generator(latent_dim=100, num_classes=None, shape=MNIST):
    """Dense 256 relu > Dense 784 sigmoid: the generator of the Keras tutorial. Images in [0, 1], 28x28x1 only."""
    check_fixed(shape, MNIST, "mlp_generator")
    inputs, x = generator_inputs(latent_dim, num_classes)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dense(784, activation="sigmoid", dtype="float32")(x)
    return keras.Model(inputs, layers.Reshape(shape, dtype="float32")(x), name="generator")


def mlp_discriminator(num_classes=None, shape=MNIST):
    """Dense 256 relu > Dense 1: the discriminator of the Keras tutorial, with logits instead of a sigmoid. 28x28x1 only."""
    check_fixed(shape, MNIST, "mlp_discriminator")
    inputs, images, label = discriminator_inputs(num_classes, shape)
    x = layers.Flatten()(images)
    if label is not None:
        x = layers.Concatenate()([x, layers.Embedding(num_classes, LABEL_DIM)(label)])
    x = layers.Dense(256, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(1, dtype="float32")(x), name="discriminator")


def tutorial_generator(latent_dim=100, num_classes=None, shape=MNIST):
    """Dense 256 > Dense 512, each with LeakyReLU .2 and BatchNorm > Dense 784 tanh: the generator of the PyTorch tutorial.

    Images in [-1, 1], 28x28x1 only.
    """
    check_fixed(shape, MNIST, "tutorial_generator")
    inputs, x = generator_inputs(latent_dim, num_classes)
    for units in (256, 512):
        x = layers.Dense(units)(x)
        x = layers.LeakyReLU(0.2)(x)
        x = batch_norm()(x)
    x = layers.Dense(784, activation="tanh", dtype="float32")(x)
    return keras.Model(inputs, layers.Reshape(shape, dtype="float32")(x), name="generator")


def points_generator(latent_dim=2, num_classes=None, width=128, depth=4, scale=1.0, shape=(2,)):
    """`depth` x Dense `width` relu > Dense with the dimensions of a point, for the toys. Points of any range.

    Args:
        latent_dim: Dimensions of a latent.
        num_classes: Number of labels, or `None`.
        width, depth: Units of a hidden layer, and number of hidden layers.
        scale: Unit of the points: the output is multiplied by it.
        shape: (dimensions,) of a point.
    """
    check_points(shape)
    inputs, x = generator_inputs(latent_dim, num_classes)
    for _ in range(depth):
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Dense(shape[0], dtype="float32")(x)
    return keras.Model(inputs, layers.Rescaling(scale, dtype="float32")(x), name="generator")


def points_discriminator(num_classes=None, width=128, depth=4, scale=1.0, packing=1, shape=(2,)):
    """`depth` x Dense `width` LeakyReLU .2 > Dense 1, for the toys.

    Args:
        num_classes: Number of labels, or `None`.
        width, depth, scale, shape: As in `points_generator`; points are divided by `scale`.
        packing: Points that are scored together, as in `layers.Packing`; only without labels.
    """
    check_points(shape)
    check_packing(packing, num_classes)
    inputs, x, label = discriminator_inputs(num_classes, shape)
    x = layers.Rescaling(1.0 / scale)(x)
    x = Packing(packing)(x) if packing > 1 else x
    for _ in range(depth):
        x = layers.LeakyReLU(0.2)(layers.Dense(width, kernel_initializer="he_normal")(x))
    return keras.Model(inputs, score_of(x, label, num_classes), name="discriminator")


def check_points(shape):
    if len(shape) != 1:
        raise ValueError(f"Dense networks of points have shape=(dimensions,). Received: shape={tuple(shape)}")


def semi_supervised_generator(latent_dim=100, num_classes=None, shape=MNIST):
    """Dense 500 BatchNorm softplus twice > Dense sigmoid. Images in [0, 1].

    Salimans et al. 2016, "Improved Techniques for Training GANs", the authors' MNIST code; without weight normalization.
    """
    inputs, x = generator_inputs(latent_dim, None)
    for _ in range(2):
        x = layers.Activation("softplus")(batch_norm()(layers.Dense(500, use_bias=False)(x)))
    x = layers.Dense(math.prod(shape), activation="sigmoid", dtype="float32")(x)
    return keras.Model(inputs, layers.Reshape(shape, dtype="float32")(x), name="generator")


def semi_supervised_discriminator(num_classes=10, shape=MNIST, noise=(0.2, 0.3)):
    """Dense 1000, 500, 250, 250, 250 relu, noise at the input and after each > a logit for each class. For images in [0, 1].

    In training, images are first augmented by `layers.DiffAugment("affine")`. Outputs: "label", the class logits; "score", their
    logsumexp, which is the logit of "real" if generated images are another class with logit 0; "features", the last hidden layer
    before its noise. Salimans et al. 2016, section 5 and the authors' MNIST code; without weight normalization.

    Args:
        num_classes: Number of labels, for `regularizers.Classification`; they are not an input.
        shape: (height, width, channels) of the images.
        noise: Standard deviations at the input and after each layer. The authors have 0.3 and 0.5, without augmentation.
    """
    inputs, x, _ = discriminator_inputs(None, shape)
    x = layers.GaussianNoise(noise[0])(layers.Flatten()(DiffAugment("affine")(x)))
    for units in (1000, 500, 250, 250, 250):
        features = layers.Dense(units, activation="relu", kernel_initializer="he_normal")(x)
        x = layers.GaussianNoise(noise[1])(features)
    logits = layers.Dense(num_classes, dtype="float32")(x)
    score = keras.ops.logsumexp(logits, axis=-1, keepdims=True)
    return keras.Model(inputs, {"score": score, "label": logits, "features": features}, name="discriminator")
