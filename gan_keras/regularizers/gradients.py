"""Gradient penalties: terms of the gradient of the discriminator's score with respect to images."""

import keras
import tensorflow as tf

from gan_keras import replicas
from gan_keras.regularizers.base import Term

# Inside the root: the derivative of sqrt at 0 is infinite, and 0 * inf is NaN.
_EPSILON = 1e-12


class GradientTerm(Term):
    """Base of the terms of the gradient of the score with respect to an image.

    They need a discriminator that scores each example by itself, so `compile` raises an error for BatchNormalization.
    """

    def squared_norms(self, forward, images):
        """The squared norm of the gradient at each image: float32 tensor (batch,)."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            scores = forward.outputs(images)["score"]
        gradients = tf.cast(tape.gradient(scores, images), tf.float32)
        return tf.reduce_sum(tf.square(gradients), axis=list(range(1, gradients.shape.rank)))

    def distance_from_one(self, forward, images, one_sided=False):
        """`mean((||gradient|| - 1)^2)`; with `one_sided`, norms below 1 count as 1."""
        excess = tf.sqrt(self.squared_norms(forward, images) + _EPSILON) - 1.0
        return tf.reduce_mean(tf.square(tf.nn.relu(excess) if one_sided else excess))


def _per_example(images):
    """The shape of one number for each image, for broadcasting."""
    return (tf.shape(images)[0],) + (1,) * (images.shape.rank - 1)


@keras.saving.register_keras_serializable(package="gan_keras")
class GradientPenalty(GradientTerm):
    """WGAN-GP: a gradient norm of 1 on the lines between real and generated examples.

    `weight * mean((||grad D(x)|| - 1)^2)` at `x = real + u (fake - real)`, u ~ U[0, 1], one u for each example.
    Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", algorithm 1.

    For one-dimensional points, use `one_sided=True`: the two-sided penalty also accepts a slope of -1, and the critic may never
    leave the wrong sign. See docs/methods/wgan.md.

    Args:
        weight: The paper's lambda, 10.
        one_in: As in `Term`.
        one_sided: Whether only norms above 1 are penalised: `weight * mean(max(0, ||grad D(x)|| - 1)^2)`, convex in D. WGAN-LP,
            Petzka, Fischer, Lukovnicov 2018, "On the regularization of Wasserstein GANs". Gulrajani et al. (section 4) found the
            two-sided penalty slightly better.
    """

    name = "gradient_penalty"

    def __init__(self, weight=10.0, one_in=1, one_sided=False):
        super().__init__(weight, one_in)
        self.one_sided = one_sided

    def term(self, forward):
        real, fake = forward.images, forward.fake
        between = real + forward.random.uniform(_per_example(real)) * (fake - real)
        return self.distance_from_one(forward, between, self.one_sided)

    def get_config(self):
        # Only if it is set, as `one_in`: a user's subclass need not have it.
        return {**super().get_config(), **({"one_sided": True} if self.one_sided else {})}


@keras.saving.register_keras_serializable(package="gan_keras")
class R1(GradientTerm):
    """R1: small gradients on real examples. Simple, and proven to converge locally; use it with the logistic losses.

    `weight / 2 * mean(||grad D(real)||^2)`. Mescheder, Geiger, Nowozin 2018, "Which Training Methods for GANs do actually
    Converge?", equation 9.

    Args:
        weight: The paper's gamma, 10 there for natural images; 1 is enough for small ones.
        one_in: As in `Term`.
    """

    name = "r1"

    def term(self, forward):
        return 0.5 * tf.reduce_mean(self.squared_norms(forward, forward.images))


@keras.saving.register_keras_serializable(package="gan_keras")
class R2(GradientTerm):
    """R2: small gradients on generated examples. Together with R1 and `losses.Relativistic` it is R3GAN.

    `weight / 2 * mean(||grad D(fake)||^2)`. Mescheder, Geiger, Nowozin 2018, equation 10; Huang, Gokaslan, Kuleshov, Tompkin
    2024, "The GAN is dead; long live the GAN!", equation 4.

    Args:
        weight: The paper's gamma, the same as for R1.
        one_in: As in `Term`.
    """

    name = "r2"

    def term(self, forward):
        return 0.5 * tf.reduce_mean(self.squared_norms(forward, forward.fake))


@keras.saving.register_keras_serializable(package="gan_keras")
class DRAGAN(GradientTerm):
    """DRAGAN: a gradient norm of 1 in a neighbourhood of the data, against the sharp local optima that lead to collapse.

    `weight * mean((||grad D(x)|| - 1)^2)` at `x = real + u noise`, u ~ U[0, 1] for each example and
    `noise = scale * std(real) * U[0, 1]` for each pixel. Kodali, Abernethy, Hays, Kira 2017, "On Convergence and Stability
    of GANs", algorithm 1; noise as in the authors' code.

    Args:
        weight: The paper's lambda, 10.
        scale: Size of the neighbourhood in standard deviations of the batch's pixels, 0.5 in the authors' code.
        one_in: As in `Term`.

    Raises:
        ValueError: scale is not above 0, or as in `Term`.
    """

    name = "dragan"

    def __init__(self, weight=10.0, scale=0.5, one_in=1):
        super().__init__(weight, one_in)
        if not scale > 0:
            raise ValueError(f"The scale of DRAGAN must be above 0. Received: scale={scale}")
        self.scale = scale

    def term(self, forward):
        real, random = forward.images, forward.random
        # Over the pixels of all replicas, so that the neighbourhood does not depend on how the batch is split.
        mean, mean_square = replicas.mean([tf.reduce_mean(real), tf.reduce_mean(tf.square(real))])
        deviation = tf.sqrt(tf.maximum(mean_square - tf.square(mean), 0.0))
        noise = self.scale * deviation * random.uniform(tf.unstack(tf.shape(real)))
        nearby = real + random.uniform(_per_example(real)) * noise
        return self.distance_from_one(forward, nearby)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}
