"""Layers of a discriminator that compare the examples of a batch, and so see missing variety."""

import keras
from keras import ops

from gan_keras.identifiers import count


def _check_divides(number, batch, what):
    if batch is not None and batch % number:
        raise ValueError(
            f"The batch must be divisible by the {number} examples of a {what}. Received: a batch of {batch}. Change "
            "batch_size, which the schedule splits before."
        )


@keras.saving.register_keras_serializable(package="gan_keras")
class Packing(keras.layers.Layer):
    """Lays neighbouring examples on top of each other, so that a discriminator judges several at once: PacGAN.

    Put it at the head of a discriminator to see, and so to punish, missing variety. (batch, ..., channels) becomes
    (batch / number, ..., number * channels), and the discriminator puts out batch / number scores; generator, losses and
    schedules stay as they are. Penalties on slopes take the slope with regard to each example by itself.
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
        _check_divides(self.number, inputs.shape[0], "pack")
        # Neighbours, so that a replica's share of the batch is made of whole packs.
        packs = ops.reshape(inputs, (-1, self.number, *inputs.shape[1:]))
        packs = ops.moveaxis(packs, 1, -2)
        return ops.reshape(packs, (-1, *inputs.shape[1:-1], self.number * inputs.shape[-1]))

    def compute_output_shape(self, input_shape):
        batch = input_shape[0]
        return (batch and batch // self.number, *input_shape[1:-1], self.number * input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "number": self.number}
