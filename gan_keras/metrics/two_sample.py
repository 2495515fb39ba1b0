"""Classifier two-sample test: can a newly trained network distinguish held-out real images from samples?"""

import keras
import numpy as np
from keras import layers

_SHARE = 0.5  # fraction of the images that train the network; the rest tests it


def two_sample_accuracy(real, generated, epochs=8, seed=0):
    """Accuracy of a new classifier of real against generated, on images that it was not trained on; 0.5 is the ideal, 1 the worst.

    A GAN's own discriminator cannot measure this, since it was trained against the generator. The test detects any difference
    that a small convolutional network can learn, even a faint texture, so GANs that were trained briefly rarely have less than
    0.9. Chance is 0.5 +- sqrt(0.25 / tested).

    Args:
        real: Images (n, height, width, channels), uint8 or in [0, 1], that the generator was not trained on; at least 20.
        generated: At least as many images; the rest is left out.
        epochs: Epochs of training on one half of the images.
        seed: Seed of the network, the halves and the order.

    Returns:
        (accuracy, standard error): floats.

    Raises:
        ValueError: Fewer than 20 images, different shapes or types, NaN.

    Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests", section 3.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be 1 or more. Received: epochs={epochs}")
    if np.asarray(real).dtype != np.asarray(generated).dtype:
        raise ValueError(
            f"Both sets must be of one type. Received: {np.asarray(real).dtype} and {np.asarray(generated).dtype}."
        )
    real, generated = _images(real), _images(generated)
    n = min(len(real), len(generated))
    if real.shape[1:] != generated.shape[1:] or n < 20:
        raise ValueError(
            f"The test needs at least 20 images of one shape in each set. Received: shapes {real.shape} and {generated.shape}."
        )
    rng = np.random.default_rng(seed)
    images = np.concatenate([real[rng.permutation(len(real))[:n]], generated[rng.permutation(len(generated))[:n]]])
    labels = np.repeat([1.0, 0.0], n).astype("float32")
    order = rng.permutation(2 * n)
    images, labels = images[order], labels[order]
    cut = int(_SHARE * 2 * n)

    model = _network(images.shape[1:], seed)
    for _ in range(epochs):
        order = rng.permutation(cut)
        model.fit(images[order], labels[order], batch_size=min(64, cut), shuffle=False, verbose=0)
    right = (model.predict(images[cut:], batch_size=500, verbose=0)[:, 0] > 0) == (labels[cut:] > 0)
    accuracy = right.mean()
    return float(accuracy), float(np.sqrt(accuracy * (1 - accuracy) / len(right)))


def _network(shape, seed):
    def kernel(k):
        return keras.initializers.GlorotUniform(seed=seed + k)

    images = keras.Input(shape)
    x = layers.Conv2D(16, 5, strides=2, padding="same", activation="relu", kernel_initializer=kernel(0))(images)
    x = layers.Conv2D(32, 5, strides=2, padding="same", activation="relu", kernel_initializer=kernel(1))(x)
    x = layers.Dense(64, activation="relu", kernel_initializer=kernel(2))(layers.Flatten()(x))
    model = keras.Model(images, layers.Dense(1, kernel_initializer=kernel(3))(x))
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def _images(images):
    images = np.asarray(images)
    if images.ndim != 4 or not np.isfinite(images).all():
        raise ValueError(f"Images must be finite numbers (n, height, width, channels). Received: shape {images.shape}.")
    images = images.astype("float32") / (255.0 if images.dtype == np.uint8 else 1.0)
    if images.size and (images.min() < 0 or images.max() > 1):
        raise ValueError(f"Float images must be in [0, 1]. Received: from {images.min():g} to {images.max():g}.")
    return images
