"""What latents are drawn from: one distribution, or several with names, side by side.

    Normal(16)                                                 the latents of most GANs
    Joint(z=Normal(62), digit=Categorical(10), style=Uniform(2))  InfoGAN's: noise, and a code with a meaning

The generator takes one tensor, (batch, size): the parts in their order. Terms see them by name, and
`gan.sample(n, digit=7)` fixes one.
"""

import abc
import math

import keras
import numpy as np
import tensorflow as tf

from gan_keras import identifiers


class Prior(abc.ABC):
    """Base of the priors: implement `draw`.

    Args:
        size: Numbers in a latent.
    """

    def __init__(self, size):
        self.size = identifiers.count("size", size)

    @abc.abstractmethod
    def draw(self, random, rows):
        """`rows` latents: float32 tensor (rows, size). `random` is a `gan_keras.random.Random`."""

    def value(self, given):
        """What a user gives for a part of all samples, as float32 array (size,)."""
        array = np.asarray(given, "float32")
        if array.shape not in ((), (self.size,)) or not np.isfinite(array).all():
            raise ValueError(f"A fixed part of a latent is a number, or {self.size} of them. Received: {given!r}")
        return np.broadcast_to(array, (self.size,))

    def cross_entropy(self, latents, predicted):
        """`-mean(log q(latents))` in nats, a scalar, of what a network has predicted from the image: see `MutualInformation`.

        `predicted` is (batch, size), the means of normal distributions of variance 1, or (batch, 2 size), means and then
        logarithms of variances.
        """
        mean, log_variance = predicted, 0.0
        if predicted.shape[-1] == 2 * self.size:
            mean, log_variance = tf.split(predicted, 2, axis=-1)
        _check_predicted(mean, self.size)
        squares = tf.square(latents - mean) * tf.exp(-log_variance) + log_variance + math.log(2 * math.pi)
        return 0.5 * tf.reduce_mean(tf.reduce_sum(squares, axis=-1))

    @property
    def parts(self):
        """{name: prior}, in the order of the latent."""
        return {"z": self}

    def draw_parts(self, random, rows):
        """{name: latents} of each part."""
        return {name: part.draw(random, rows) for name, part in self.parts.items()}

    def get_config(self):
        return {"size": self.size}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="gan_keras")
class Normal(Prior):
    """The standard normal distribution."""

    def draw(self, random, rows):
        return random.normal((rows, self.size))


@keras.saving.register_keras_serializable(package="gan_keras")
class Uniform(Prior):
    """Uniform on [low, high). Radford et al. 2016 draw latents from U[-1, 1].

    Args:
        size: Numbers in a latent.
        low, high: Bounds.
    """

    def __init__(self, size, low=-1.0, high=1.0):
        super().__init__(size)
        if not low < high:
            raise ValueError(f"low must be below high. Received: low={low}, high={high}")
        self.low, self.high = low, high

    def draw(self, random, rows):
        return self.low + (self.high - self.low) * random.uniform((rows, self.size))

    def get_config(self):
        return {**super().get_config(), "low": self.low, "high": self.high}


@keras.saving.register_keras_serializable(package="gan_keras")
class Categorical(Prior):
    """One of `size` classes, all equally likely, as a one-hot vector. A fixed value is the number of the class."""

    def draw(self, random, rows):
        chosen = tf.cast(random.uniform((rows, 1))[:, 0] * self.size, tf.int32)
        return tf.one_hot(chosen, self.size)

    def value(self, given):
        if not isinstance(given, (int, np.integer)) or not 0 <= given < self.size:
            raise ValueError(f"A fixed class is an integer from 0 to {self.size - 1}. Received: {given!r}")
        return np.eye(self.size, dtype="float32")[given]

    def cross_entropy(self, latents, predicted):
        """As in `Prior`; `predicted` are logits (batch, size)."""
        _check_predicted(predicted, self.size)
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(latents, predicted))


@keras.saving.register_keras_serializable(package="gan_keras")
class Joint(Prior):
    """Several priors with names, side by side, independent of each other."""

    def __init__(self, **parts):
        parts = {name: get(part) for name, part in parts.items()}
        if not parts or any(isinstance(part, Joint) for part in parts.values()):
            raise ValueError(f"Joint takes one prior or more by name, and no Joint among them. Received: {parts}")
        taken = {"n", "seed", "label", "labels"} & set(parts)
        if taken:
            raise ValueError(f"A part must not have the name of an argument of sample(). Received: {sorted(taken)[0]!r}")
        super().__init__(sum(part.size for part in parts.values()))
        self._parts = parts

    @property
    def parts(self):
        return self._parts

    def draw(self, random, rows):
        return join(self.draw_parts(random, rows))

    def get_config(self):
        return {name: keras.saving.serialize_keras_object(part) for name, part in self._parts.items()}


def _check_predicted(predicted, size):
    if predicted.shape[-1] != size:
        raise ValueError(
            f"What is predicted of a code must have as many values as the code, {size} (or twice as many with variances, for one "
            f"that is not categorical). Received: shape {tuple(predicted.shape)}"
        )


def join(latents):
    """The one tensor that the generator takes, of {name: latents}."""
    parts = list(latents.values())
    return tf.concat(parts, axis=1) if parts[1:] else parts[0]


def get(identifier):
    """The prior that was passed, or of a saved config."""
    if not isinstance(identifier, (Prior, dict)):
        raise ValueError(f"A prior is an object such as gan_keras.priors.Normal(size). Received: {identifier!r}")
    return identifiers.get("prior", Prior, {}, identifier)
