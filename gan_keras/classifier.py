"""The digit classifier of the metrics: features and class probabilities of 28x28 digits."""

import functools
import hashlib
import pathlib

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from gan_keras import networks

_BATCH = 256
_WEIGHTS = pathlib.Path(__file__).with_name("classifier.weights.h5")


def build():
    """The untrained network: two outputs, features (batch, 64) and logits (batch, 10), of images (batch, 28, 28, 1) in [0, 1]."""
    images = keras.Input((28, 28, 1), name="images")
    x = _convolution(images, 32)
    x = layers.MaxPooling2D()(x)
    x = _convolution(x, 64, padding="same")
    x = _convolution(x, 64)
    x = layers.MaxPooling2D()(x)
    x = _convolution(x, 96)
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    features = layers.ReLU(name="features")(layers.BatchNormalization()(layers.Dense(64, use_bias=False)(x)))
    logits = layers.Dense(10, name="logits")(features)
    return keras.Model(images, [features, logits], name="classifier")


def _convolution(x, filters, padding="valid"):
    x = layers.Conv2D(filters, 3, padding=padding, use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


class DigitClassifier:
    """Features and class probabilities of digits, from the network that comes with the package.

    A small convolutional network, 168,106 weights, trained by scripts/lab/train_classifier.py on the 60,000 training digits of
    MNIST only, with small shifts, rotations and zooms; its accuracy on the test digits is 99.69 %. Features are its 64 activations
    before the logits, like those of Inception in FID.

    Args:
        weights: Path of a .weights.h5 file that scripts/lab/train_classifier.py wrote; the default comes with the package.

    Attributes:
        identity: "digits-" and twelve hexadecimal digits of the SHA-256 of the weights. Only distances with the same
            identity can be compared.
    """

    num_classes = 10

    def __init__(self, weights=_WEIGHTS):
        with networks.precision("float32"):  # features are comparable for any precision of the GANs
            self._network = build()
        try:
            self._network.load_weights(weights)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{weights} cannot be read as the classifier's weights: {error}. If it came with the package, install the package "
                "anew; else write it with scripts/lab/train_classifier.py of the sources."
            ) from error
        digest = hashlib.sha256(b"".join(array.tobytes() for array in self._network.get_weights()))
        self.identity = f"digits-{digest.hexdigest()[:12]}"

    def __call__(self, images):
        """Features (n, 64) and probabilities (n, 10), float32, of uint8 images (n, 28, 28, 1).

        Raises:
            ValueError: Images of another shape or type.
        """
        images = np.asarray(images)
        if images.shape[1:] != (28, 28, 1) or images.dtype != np.uint8 or not len(images):
            raise ValueError(
                "The digit classifier reads uint8 images of shape (n, 28, 28, 1), white on black. Received: "
                f"{images.dtype} of shape {images.shape}. For other images pass an extractor of your own."
            )
        # Batches of one size, so that the features of an image do not depend on its position.
        padded = np.zeros((-(-len(images) // _BATCH) * _BATCH, 28, 28, 1), "uint8")
        padded[: len(images)] = images
        parts = [self._compute(padded[k : k + _BATCH]) for k in range(0, len(padded), _BATCH)]
        return tuple(np.concatenate([part[k].numpy() for part in parts])[: len(images)] for k in (0, 1))

    @functools.cached_property
    def _compute(self):
        @tf.function(autograph=False)
        def compute(images):
            features, logits = self._network(tf.cast(images, tf.float32) / 255.0, training=False)
            return features, tf.nn.softmax(logits)

        return compute
