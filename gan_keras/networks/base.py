"""Shared by the builders: inputs, scores, convolutions for any shape."""

import contextlib
import math

import keras
from keras import layers

from gan_keras import identifiers

MNIST = (28, 28, 1)
STACKED = (28, 28, 3)
LABEL_DIM = 50  # size of a label's embedding in generators; BigGAN's shared embeddings have 128 for 1,000 classes


@contextlib.contextmanager
def precision(policy):
    """A context in which networks are built with a Keras dtype policy, such as "mixed_bfloat16"; their outputs stay float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def generator_inputs(latent_dim, num_classes):
    latent_dim = identifiers.count("latent_dim", latent_dim)
    z = keras.Input((latent_dim,), name="z")
    if num_classes is None:
        return z, z
    label = keras.Input((), dtype="int32", name="label")
    return [z, label], layers.Concatenate()([z, layers.Embedding(num_classes, LABEL_DIM)(label)])


def discriminator_inputs(num_classes, shape):
    images = keras.Input(shape, name="images")
    if num_classes is None:
        return images, images, None
    label = keras.Input((), dtype="int32", name="label")
    return [images, label], images, label


def upsampled(x, shape, width, kernel, initializer=None):
    """Dense > transposed convolutions of stride 2 up to `shape`, BatchNorm and relu between, tanh; `width` channels in the last."""
    number = halvings(shape, 7)
    height, breadth = (math.ceil(side / 2**number) for side in shape[:2])

    def hidden(x):
        return layers.ReLU()(batch_norm()(x))

    def doubled(filters, **options):
        kind = dict(strides=2, padding="same", kernel_initializer=initializer_of(initializer))
        return layers.Conv2DTranspose(filters, kernel, **kind, **options)

    first, *others = (width * 2**k for k in reversed(range(number)))
    x = layers.Dense(height * breadth * first, use_bias=False, kernel_initializer=initializer_of(initializer))(x)
    x = hidden(layers.Reshape((height, breadth, first))(x))
    for filters in others:
        x = hidden(doubled(filters, use_bias=False)(x))
    x = doubled(shape[-1], activation="tanh", dtype="float32")(x)
    extra = [side - wanted for side, wanted in zip(x.shape[1:3], shape)]
    if any(extra):  # odd sides
        x = layers.Cropping2D([(n // 2, n - n // 2) for n in extra], dtype="float32")(x)
    return x


def downsampled(x, shape, width, kernel):
    """Convolutions of stride 2 with LeakyReLU .2, without BatchNorm, down to 4x4 or less; flattened."""
    for k in range(halvings(shape, 4)):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(width * 2**k, kernel, strides=2, padding="same")(x))
    return layers.Flatten()(x)


def halvings(shape, most):
    """How often the larger side of an image is halved, rounded up, until it has at most `most` pixels."""
    if len(shape) != 3 or min(shape[:2]) < 8 or shape[2] < 1:
        raise ValueError(
            f"Convolutional networks are for images: shape=(height, width, channels), sides of 8 pixels or more. "
            f"Received: shape={tuple(shape)}"
        )
    side, number = max(shape[:2]), 0
    while side > most:
        side, number = math.ceil(side / 2), number + 1
    return number


def check_fixed(shape, wanted, name):
    if tuple(shape) != wanted:
        raise ValueError(
            f"{name} is a published network of one shape, {wanted}. Received: shape={tuple(shape)}; dcgan, wgan_gp and default "
            "have networks for images of other shapes."
        )


def check_packing(packing, num_classes):
    if identifiers.count("packing", packing) > 1 and num_classes is not None:
        raise ValueError(f"A pack has several labels, so packing={packing} and num_classes={num_classes} exclude each other.")


def score_of(features, label=None, num_classes=None, normalized=lambda layer: layer, label_dim=None):
    """One logit for each example: a linear layer, plus the projection of the features on the label's embedding."""
    score = normalized(layers.Dense(1, dtype="float32"))(features)
    if label is None:
        return score
    if label_dim is not None:
        features = normalized(layers.Dense(label_dim, use_bias=False, dtype="float32"))(features)
    embedding = normalized(layers.Embedding(num_classes, features.shape[-1], dtype="float32"))(label)
    return layers.Add(dtype="float32")([score, layers.Dot(axes=1, dtype="float32")([features, embedding])])


def batch_norm():
    # Synchronized, so that replicas agree. Momentum 0.9 is the 0.1 of the authors' Torch code; with Keras' 0.99, short runs would
    # end with statistics of the first steps.
    return layers.BatchNormalization(momentum=0.9, synchronized=True)


def initializer_of(name):
    return keras.initializers.RandomNormal(stddev=0.02) if name == "dcgan" else "glorot_uniform"
