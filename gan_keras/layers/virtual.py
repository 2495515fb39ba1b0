"""Virtual batch normalization: each example is normalized with the statistics of a fixed batch."""

import keras
import numpy as np
from keras import ops

from gan_keras.identifiers import count
from gan_keras.inside import inside


@keras.saving.register_keras_serializable(package="gan_keras")
class VirtualBatchNormalization(keras.layers.Layer):
    """BatchNormalization with the statistics of a fixed reference batch, so that examples of a batch do not affect each other.

    Use it in a generator whose samples within a batch are too similar, or in a discriminator with a gradient penalty, where each
    score must depend on one example only. Wrap the network in a `ReferenceBatch`. Training and inference are the same.

    With m and q the mean of an example and the mean of its square over positions, for each channel, and `number` examples in
    the reference batch, whose averages of m and q are M and Q:

        mean, square = (m + number * M) / (number + 1), (q + number * Q) / (number + 1)
        output = gamma * (x - mean) / sqrt(square - mean^2 + epsilon) + beta

    The examples of the reference batch themselves are normalized by M and Q. Computed in float32.
    Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen 2016, "Improved Techniques for Training GANs", section 3.5, and the
    authors' code.

    Args:
        epsilon: Added to the variance, 1e-5 in the authors' code.

    Raises:
        ValueError: It is called outside of a `ReferenceBatch`.
    """

    def __init__(self, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.number = None  # set by the ReferenceBatch

    def build(self, input_shape):
        channels = (input_shape[-1],)
        self.gamma = self.add_weight(shape=channels, initializer="ones", autocast=False, name="gamma")
        self.beta = self.add_weight(shape=channels, initializer="zeros", autocast=False, name="beta")

    def call(self, inputs):
        if self.number is None:
            raise ValueError(
                "VirtualBatchNormalization needs a reference batch. Put the network that contains it into "
                "gan_keras.layers.ReferenceBatch(network, number)."
            )
        x = ops.cast(inputs, "float32")
        mean, square = self._shared(x), self._shared(ops.square(x))
        # Rounding may make this difference of large numbers negative.
        variance = ops.maximum(square - ops.square(mean), 0.0)
        x = (x - mean) * ops.rsqrt(variance + self.epsilon)
        return ops.cast(x * ops.cast(self.gamma, "float32") + ops.cast(self.beta, "float32"), self.compute_dtype)

    def _shared(self, x):
        """The means over positions of all rows, as they are normalized: of the reference, and of each other row with it."""
        own = ops.mean(x, axis=tuple(range(1, len(x.shape) - 1)), keepdims=True) if len(x.shape) > 2 else x
        reference = ops.mean(own[: self.number], axis=0, keepdims=True)
        others = (own[self.number :] + self.number * reference) / (self.number + 1)
        return ops.concatenate([ops.repeat(reference, self.number, axis=0), others], axis=0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="gan_keras")
class ReferenceBatch(keras.layers.Wrapper):
    """Puts a fixed reference batch in front of every batch of a network, for the `VirtualBatchNormalization` in it.

    The reference examples are non-trainable weights, which are saved with the network. Initially they are standard normal, as
    latents are; for a discriminator, call `adapt` before you make the GAN. Every call of the network computes `number` more
    examples. The network must have one input, so it cannot take labels; it may have several outputs.
    Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen 2016, "Improved Techniques for Training GANs", section 3.5.

    Args:
        layer: The network or layer, with one `VirtualBatchNormalization` or more, however deep.
        number: Examples in the reference batch.

    Raises:
        ValueError: The network has no `VirtualBatchNormalization`, or number is below 1.

    Example:

    ```python
    body = keras.Sequential(
        [
            keras.layers.Dense(128),
            gan_keras.layers.VirtualBatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dense(2),
        ]
    )
    z = keras.Input((32,))
    generator = keras.Model(z, gan_keras.layers.ReferenceBatch(body, number=64)(z))
    ```
    """

    def __init__(self, layer, number, **kwargs):
        super().__init__(layer, **kwargs)
        self.number = count("number", number)
        users = inside(layer, VirtualBatchNormalization)
        if not users:
            raise ValueError(
                "ReferenceBatch is for networks with gan_keras.layers.VirtualBatchNormalization. Received: a "
                f"{type(layer).__name__} without; put it in the place of BatchNormalization."
            )
        for user in users:
            user.number = self.number

    def build(self, input_shape):
        super().build(input_shape)
        self.reference = self.add_weight(
            shape=(self.number, *input_shape[1:]),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False,
            name="reference",
        )

    def adapt(self, examples):
        """Use the first `number` of an array of examples, such as real images, as the reference batch.

        Raises:
            ValueError: There are fewer, or they are of another shape than the network takes; they are not finite floats.
        """
        examples = np.asarray(examples)
        if examples.dtype.kind != "f" or not np.isfinite(examples).all():
            raise ValueError(
                f"The reference batch is finite floats, in the range that the network is trained on. Received: {examples.dtype}, "
                f"from {examples.min()} to {examples.max()}. gan_keras.data.batches converts uint8."
            )
        if not self.built:
            self.build(examples.shape)
        if len(examples) < self.number or tuple(examples.shape[1:]) != tuple(self.reference.shape[1:]):
            raise ValueError(
                f"The reference batch takes {self.number} examples or more of shape {tuple(self.reference.shape[1:])}. "
                f"Received: an array of shape {tuple(examples.shape)}."
            )
        self.reference.assign(examples[: self.number])

    def call(self, inputs):
        outputs = self.layer(ops.concatenate([self.reference, inputs], axis=0))
        return keras.tree.map_structure(lambda rows: rows[self.number :], outputs)

    def get_config(self):
        return {**super().get_config(), "number": self.number}
