"""Layers of a discriminator that compare the examples of a batch, and so detect mode collapse."""

import keras
from keras import ops

from gan_keras import replicas, sizes
from gan_keras.identifiers import count

_ADVICE = "The schedule splits batch_size before, and so does one_in of a penalty: change one of them."


@keras.saving.register_keras_serializable(package="gan_keras")
class Packing(keras.layers.Layer):
    """Concatenates neighbouring examples, so that a discriminator scores several at once: PacGAN.

    Use it as the first layer of a discriminator, against mode collapse. (batch, ..., channels) becomes
    (batch / number, ..., number * channels), so the discriminator returns batch / number scores; generator, losses and schedules
    stay the same. Gradient penalties use the gradient with respect to each example separately.
    Lin, Khetan, Fanti, Oh 2018, "PacGAN: The power of two samples in generative adversarial networks", section 2.

    Args:
        number: Examples in a pack, 1 or more. It must divide every batch.

    Raises:
        ValueError: number is below 1, or does not divide the batch.
    """

    def __init__(self, number, **kwargs):
        super().__init__(**kwargs)
        self.number = count("number", number)

    def call(self, inputs):
        inputs = sizes.divisible(inputs, self.number, "the examples of a pack", _ADVICE)
        # Neighbours, so that each replica has complete packs.
        packs = ops.reshape(inputs, (-1, self.number, *inputs.shape[1:]))
        packs = ops.moveaxis(packs, 1, -2)
        return ops.reshape(packs, (-1, *inputs.shape[1:-1], self.number * inputs.shape[-1]))

    def compute_output_shape(self, input_shape):
        batch = input_shape[0]
        return (batch and batch // self.number, *input_shape[1:-1], self.number * input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "number": self.number}


@keras.saving.register_keras_serializable(package="gan_keras")
class MinibatchStandardDeviation(keras.layers.Layer):
    """Appends a channel that shows a discriminator how much the examples of a batch differ.

    Use it near the end of a discriminator, before the last convolution or the last but one Dense layer. It has no weights and
    takes hardly any time. (batch, ..., channels) becomes (batch, ..., channels + 1). The new channel has one value for each group
    of examples:

        mean(sqrt(variance(group, axis=0) + 1e-8))

    the standard deviation over the group, averaged over features and positions. Replicas use the variance of the whole batch, so
    the result does not depend on their number. Computed in float32.
    Karras, Aila, Laine, Lehtinen 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", section 3;
    in groups of 4 in the authors' code.

    Args:
        group_size: Number of neighbouring examples in a group, 2 or more. It must divide the batch of every replica. `None`: the
            whole batch is one group.

    Raises:
        ValueError: group_size is below 2, or does not divide the batch.
    """

    def __init__(self, group_size=None, **kwargs):
        super().__init__(**kwargs)
        self.group_size = None if group_size is None else count("group_size", group_size, 2)

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        if self.group_size is None:
            groups = x[None]
        else:
            x = sizes.divisible(x, self.group_size, "the examples of a group", _ADVICE)
            groups = ops.reshape(x, (-1, self.group_size, *inputs.shape[1:]))
        variance = self._mean(ops.square(groups - self._mean(groups)))
        # 1e-8 inside the root: the derivative of sqrt at 0 is infinite.
        deviation = ops.mean(ops.sqrt(variance + 1e-8), axis=tuple(range(2, len(groups.shape))), keepdims=True)
        channel = ops.reshape(ops.zeros_like(groups[..., :1]) + deviation, (-1, *inputs.shape[1:-1], 1))
        return ops.concatenate([inputs, ops.cast(channel, inputs.dtype)], axis=-1)

    def _mean(self, groups):
        mean = ops.mean(groups, axis=1, keepdims=True)
        return replicas.mean(mean) if self.group_size is None else mean

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self):
        return {**super().get_config(), "group_size": self.group_size}


@keras.saving.register_keras_serializable(package="gan_keras")
class MinibatchDiscrimination(keras.layers.Layer):
    """Appends to each example's features how close it is to the others of the batch, by learned distances.

    Use it before the last Dense layer of a discriminator. It detects more than `MinibatchStandardDeviation`, and costs
    features * kernels * dimensions weights and batch^2 * kernels * dimensions operations. (batch, features) becomes
    (batch, features + kernels):

        m = x @ kernel                                                # (batch, kernels, dimensions)
        o[i, k] = sum(exp(-sum(abs(m[i, k] - m[j, k]))) for j)        # over all j, j = i included, which adds 1

    o is 1 for an example that is far from all others, and the batch size if all are equal. Replicas compare the examples of the
    whole batch, so the result does not depend on their number. Distances are computed in float32.
    Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen 2016, "Improved Techniques for Training GANs", section 3.2.

    Args:
        kernels: Number of distances, the paper's B. 100 in the authors' code.
        dimensions: Dimensions of the space of each distance, the paper's C. 5 in the authors' code.

    Raises:
        ValueError: An argument is below 1, or the input is not of shape (batch, features).
    """

    def __init__(self, kernels=100, dimensions=5, **kwargs):
        super().__init__(**kwargs)
        self.kernels, self.dimensions = count("kernels", kernels), count("dimensions", dimensions)

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise ValueError(
                f"MinibatchDiscrimination takes features (batch, features). Received: an input of shape {tuple(input_shape)}. "
                "Put a keras.layers.Flatten before it."
            )
        self.kernel = self.add_weight(shape=(input_shape[-1], self.kernels * self.dimensions), name="kernel")

    def call(self, inputs):
        measured = ops.reshape(ops.matmul(inputs, self.kernel), (-1, self.kernels, self.dimensions))
        measured = ops.cast(measured, "float32")
        distances = ops.sum(ops.abs(measured[:, None] - replicas.gathered(measured)), axis=-1)
        nearness = ops.sum(ops.exp(-distances), axis=1)
        return ops.concatenate([inputs, ops.cast(nearness, inputs.dtype)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1] + self.kernels)

    def get_config(self):
        return {**super().get_config(), "kernels": self.kernels, "dimensions": self.dimensions}
