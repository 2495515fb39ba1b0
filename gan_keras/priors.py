"""Priors: the distributions of latents; one, or several with names.

    Normal(16)                                                 the latents of most GANs
    Joint(z=Normal(62), digit=Categorical(10), style=Uniform(2))  InfoGAN's: noise, and a code with a meaning

The generator takes one tensor, (batch, size), the concatenation of the parts. Regularizers read them by name, and
`gan.sample(n, digit=7)` fixes one.
"""

import abc
import math
import numbers

import keras
import numpy as np
import tensorflow as tf

from gan_keras import identifiers


class Prior(abc.ABC):
    """Base of the priors: implement `draw`.

    Args:
        size: Dimensions of a latent.

    Raises:
        ValueError: size is not an integer of 1 or more.
    """

    def __init__(self, size):
        self.size = identifiers.count("size", size)

    @abc.abstractmethod
    def draw(self, random, rows):
        """`rows` latents: float32 tensor (rows, size). `random` is a `gan_keras.random.Random`."""

    def value(self, given):
        """A fixed value of this part, as float32 array (size,).

        Args:
            given: A finite number, or an array (size,); for a `Categorical` the number of the class.

        Raises:
            ValueError: `given` has another shape, is not finite, or is not a class.
        """
        array = np.asarray(given, "float32")
        if array.shape not in ((), (self.size,)) or not np.isfinite(array).all():
            raise ValueError(f"A fixed part of a latent is a number, or an array of shape ({self.size},). Received: {given!r}")
        return np.broadcast_to(array, (self.size,))

    def truncated(self, latents, threshold):
        """`latents` of this prior, changed to typical ones, for `gan.sample(n, truncation=threshold)`; here they stay as they are.

        Args:
            latents: float32 tensor (rows, size), as `draw` returns them.
            threshold: Scalar tensor above 0, in standard deviations.
        """
        return latents

    def cross_entropy(self, latents, predicted):
        """`-mean(log q(latents))` in nats, a scalar, where a network predicts q from the image: see `MutualInformation`.

        `predicted` is (batch, size), the means of normal distributions of variance 1, or (batch, 2 size), means followed by
        logarithms of variances.
        """
        mean, log_variance = predicted, 0.0
        if predicted.shape[-1] == 2 * self.size:
            mean, log_variance = tf.split(predicted, 2, axis=-1)
        _check_predicted(mean, self.size)
        squares = tf.square(latents - mean) * tf.exp(-log_variance) + log_variance + math.log(2 * math.pi)
        return 0.5 * tf.reduce_mean(tf.reduce_sum(squares, axis=-1))

    def between(self, a, b, t):
        """Interpolation from `a` (t = 0) to `b` (t = 1): linear, unless the prior overrides it.

            (1 - t) a + t b

        Args:
            a, b: Arrays (..., size) of one shape.
            t: Number from 0 to 1.

        Returns:
            float32 array (..., size).

        Raises:
            ValueError: Other shapes, t out of range.
        """
        a, b = self._ends(a, b, t)
        return ((1.0 - t) * a + t * b).astype("float32")

    def _ends(self, a, b, t):
        a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
        if a.shape != b.shape or a.shape[-1:] != (self.size,):
            raise ValueError(f"Both must be latents (..., {self.size}) of one shape. Received: shapes {a.shape} and {b.shape}")
        if not 0.0 <= t <= 1.0:
            raise ValueError(f"t, the place between two latents, is a number from 0 to 1. Received: t={t!r}")
        return a, b

    @property
    def parts(self):
        """{name: prior}, in the order of their concatenation."""
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
    """A normal distribution with mean 0.

    Args:
        size: Dimensions of a latent.
        stddev: Standard deviation. Beside a code in a `Joint` prior, use a small one, such as 0.1: then each category of the code
            is a small region of the latents, and the noise matters less. Mukherjee et al. 2019, ClusterGAN, section 3.1.

    Raises:
        ValueError: stddev is not a finite number above 0, or as in `Prior`.
    """

    def __init__(self, size, stddev=1.0):
        super().__init__(size)
        if not (isinstance(stddev, numbers.Real) and 0 < stddev < math.inf):
            raise ValueError(f"stddev must be a number greater than 0. Received: stddev={stddev!r}")
        self.stddev = stddev

    def draw(self, random, rows):
        return self.stddev * random.normal((rows, self.size))

    def truncated(self, latents, threshold):
        """Latents of the normal distribution truncated at `threshold` standard deviations on both sides of its mean.

            stddev F^-1(F(-threshold) + (F(threshold) - F(-threshold)) F(latents / stddev)),    F: distribution function of N(0, 1)

        Brock, Donahue, Simonyan 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", section 3.1. They draw
        values outside anew. This has the same distribution, and changes each latent continuously with the threshold.
        """

        def below(x):  # F(-x)
            return 0.5 * tf.math.erfc(x / math.sqrt(2.0))

        # By the lower half, where float32 is precise.
        outside = below(threshold)
        lower = outside + (1.0 - 2.0 * outside) * below(tf.abs(latents) / self.stddev)
        return -tf.sign(latents) * self.stddev * tf.math.ndtri(lower)

    def between(self, a, b, t):
        """Spherical interpolation: along the great circle through the directions of a and b, as `Prior.between`.

            u, v      = a / |a|, b / |b|
            direction = (sin((1 - t) angle) u + sin(t angle) v) / sin(angle),    cos(angle) = <u, v>
            between   = ((1 - t) |a| + t |b|) direction

        Normal latents of many dimensions have a length near sqrt(size). The midpoint of a straight line between two of them has a
        length of sqrt(size / 2): such latents are hardly ever drawn, so the generator was not trained on them. Between opposite
        vectors, one of many great circles is used. A zero vector gets the direction of the other end.

        White 2016, "Sampling Generative Networks", section 2.1, for ends of equal length.
        """
        a, b = self._ends(a, b, t)
        lengths = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b)]
        u, v = (_divided(x, length) for x, length in zip((a, b), lengths))
        u, v = np.where(lengths[0] > 0, u, v), np.where(lengths[1] > 0, v, u)
        cosine = (u * v).sum(axis=-1, keepdims=True)
        # Equal to a rotation of u towards the unit vector w that is orthogonal to it, without a division by a sine.
        w = v - cosine * u
        sine = np.linalg.norm(w, axis=-1, keepdims=True)
        axis = np.eye(self.size)[np.abs(u).argmin(axis=-1)]
        w = np.where(sine > 1e-12, w, axis - (axis * u).sum(axis=-1, keepdims=True) * u)
        w = _divided(w, np.linalg.norm(w, axis=-1, keepdims=True))
        angle = t * np.arctan2(sine, cosine)
        length = (1.0 - t) * lengths[0] + t * lengths[1]
        return (length * (np.cos(angle) * u + np.sin(angle) * w)).astype("float32")

    def get_config(self):
        return {**super().get_config(), "stddev": self.stddev}


@keras.saving.register_keras_serializable(package="gan_keras")
class Uniform(Prior):
    """A uniform distribution on [low, high). Radford et al. 2016 draw latents from U[-1, 1].

    Args:
        size: Dimensions of a latent.
        low, high: Bounds.

    Raises:
        ValueError: low is not below high, or as in `Prior`.
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
    """One of `size` equally likely classes, as a one-hot vector. A fixed value is the number of the class.

    Interpolation between two classes is linear, so a linear layer maps it to the interpolation of their embeddings.

    Args:
        size: Number of classes.
    """

    def draw(self, random, rows):
        chosen = tf.cast(random.uniform((rows, 1))[:, 0] * self.size, tf.int32)
        return tf.one_hot(chosen, self.size)

    def value(self, given):
        if not isinstance(given, (int, np.integer)) or not 0 <= given < self.size:
            raise ValueError(
                f"A fixed class, such as a code or a cluster, is an integer from 0 to {self.size - 1}. Received: {given!r}"
            )
        return np.eye(self.size, dtype="float32")[given]

    def cross_entropy(self, latents, predicted):
        """As in `Prior`; `predicted` are logits (batch, size)."""
        _check_predicted(predicted, self.size)
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(latents, predicted))


@keras.saving.register_keras_serializable(package="gan_keras")
class Joint(Prior):
    """Several independent priors with names: `Joint(z=Normal(62), code=Categorical(10))`.

    Args:
        parts: Priors by name, in the order in which their latents are joined.

    Raises:
        ValueError: No part; a `Joint` among them; a name that `sample` or an export uses itself.
    """

    def __init__(self, **parts):
        parts = {name: get(part) for name, part in parts.items()}
        if not parts or any(isinstance(part, Joint) for part in parts.values()):
            raise ValueError(f"Joint takes one or more priors by name, none of which is a Joint. Received: {parts}")
        taken = {"n", "seed", "label", "labels", "truncation"} & set(parts)
        if taken:
            raise ValueError(
                "A part must not be called n, seed, label, labels or truncation, which sample() and exports use themselves. Received: "
                f"{sorted(taken)[0]!r}"
            )
        super().__init__(sum(part.size for part in parts.values()))
        self._parts = parts

    @property
    def parts(self):
        return self._parts

    def draw(self, random, rows):
        return join(self.draw_parts(random, rows))

    def truncated(self, latents, threshold):
        """Each part by its own rule."""
        pieces = tf.split(latents, [part.size for part in self.parts.values()], axis=-1)
        return tf.concat([part.truncated(piece, threshold) for part, piece in zip(self.parts.values(), pieces)], axis=-1)

    def between(self, a, b, t):
        """Each part by its own rule."""
        ends = (np.split(x, np.cumsum([part.size for part in self.parts.values()])[:-1], axis=-1) for x in self._ends(a, b, t))
        return np.concatenate([part.between(*pair, t) for part, *pair in zip(self.parts.values(), *ends)], axis=-1)

    def get_config(self):
        return {name: keras.saving.serialize_keras_object(part) for name, part in self._parts.items()}


def _check_predicted(predicted, size):
    if predicted.shape[-1] != size:
        raise ValueError(
            f"The prediction of a code must have as many values as the code, {size} (or twice as many, with variances, if the code "
            f"is not categorical). Received: shape {tuple(predicted.shape)}"
        )


def _divided(vectors, lengths):
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def join(latents):
    """The concatenation of {name: latents}, which the generator takes."""
    parts = list(latents.values())
    return tf.concat(parts, axis=1) if parts[1:] else parts[0]


def get(identifier):
    """The prior that is passed, or that of a saved config.

    Raises:
        ValueError: It is neither.
    """
    if not isinstance(identifier, (Prior, dict)):
        raise ValueError(f"A prior is an object such as gan_keras.priors.Normal(size). Received: {identifier!r}")
    return identifiers.get("prior", Prior, {}, identifier)
