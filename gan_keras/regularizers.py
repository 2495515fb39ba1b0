"""What is added to a player's loss (terms), and what is applied to the discriminator's weights after an update (projections).

A loss and a regularizer are independent choices: WGAN and WGAN-GP are the same loss with another regularizer.
"""

import abc
import inspect

import keras
import tensorflow as tf

from gan_keras import identifiers, replicas

# Inside the root: the slope of sqrt at 0 is infinite, and 0 * inf is NaN.
_EPSILON = 1e-12


class Regularizer(abc.ABC):
    """Base of terms and projections."""

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Term(Regularizer):
    """Base of the terms: implement `term`, and set `name` and `players`.

    What is logged under `name` is the weighted term.

    Args:
        weight: Non-negative coefficient, or a `keras.optimizers.schedules.LearningRateSchedule` of the training step.
        one_in: The term is evaluated on one in so many examples of the batch: an unbiased estimate of it for a fraction of its
            time. Karras et al. 2020, StyleGAN2, section 3.1, save the time by leaving out steps instead.

    Attributes:
        name: The key under which the term is logged.
        players: Whose loss it is added to: "discriminator", "generator" or both.

    Example, InfoGAN's term for a discriminator with a second output "code":

    ```python
    class MutualInformation(gan_keras.regularizers.Term):
        name, players = "mutual_information", ("discriminator", "generator")

        def term(self, forward):
            return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(forward.latents["code"], forward.on_fake["code"]))
    ```
    """

    name = None
    players = ("discriminator",)

    def __init__(self, weight=1.0, one_in=1):
        if isinstance(weight, dict):
            weight = keras.saving.deserialize_keras_object(weight)
        if not isinstance(weight, keras.optimizers.schedules.LearningRateSchedule) and not weight >= 0:
            raise ValueError(f"The weight of {type(self).__name__} must be 0 or more. Received: weight={weight}")
        self.weight = weight
        self.one_in = identifiers.count("one_in", one_in)

    @abc.abstractmethod
    def term(self, forward):
        """The term, without its weight: a scalar.

        Args:
            forward: `gan_keras.forward.ForwardPass`: images, labels, latents, generated images, the discriminator's outputs.
        """

    def __call__(self, forward):
        """The weighted term of one in `one_in` examples."""
        weight = self.weight(forward.step) if callable(self.weight) else self.weight
        return weight * self.term(forward.subset(self.one_in))

    def get_config(self):
        weight = keras.saving.serialize_keras_object(self.weight) if callable(self.weight) else self.weight
        # `one_in` only where it says something: a term of a user's own need not know of it.
        return {"weight": weight, **({"one_in": self.one_in} if self.one_in != 1 else {})}

    @classmethod
    def from_config(cls, config):
        # Models of earlier versions say "every"; so may a class of a user's own.
        own = "every" in inspect.signature(cls).parameters
        return cls(**{"one_in" if name == "every" and not own else name: value for name, value in config.items()})


class Projection(Regularizer):
    """Base of the maps that are applied to the discriminator's weights after each of its updates."""

    @abc.abstractmethod
    def project(self, variables):
        """Assign to the trainable `variables` what is nearest to them and allowed."""


class GradientTerm(Term):
    """Base of the terms of the gradient of the score with regard to an image.

    They need a discriminator that scores each example by itself: `compile` refuses BatchNormalization.
    """

    def squared_norms(self, forward, images):
        """||gradient of the score at an image||^2, for each image: shape (batch,), float32."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            scores = forward.outputs(images)["score"]
        gradients = tf.cast(tape.gradient(scores, images), tf.float32)
        return tf.reduce_sum(tf.square(gradients), axis=list(range(1, gradients.shape.rank)))

    def distance_from_one(self, forward, images):
        """mean((||gradient|| - 1)^2)."""
        norms = tf.sqrt(self.squared_norms(forward, images) + _EPSILON)
        return tf.reduce_mean(tf.square(norms - 1.0))


def _per_example(images):
    """The shape of one number for each image, ready to broadcast against them."""
    return (tf.shape(images)[0],) + (1,) * (images.shape.rank - 1)


@keras.saving.register_keras_serializable(package="gan_keras")
class GradientPenalty(GradientTerm):
    """WGAN-GP: gradient norm 1 on the lines between real and generated examples.

    `weight * mean((||grad D(x)|| - 1)^2)` at `x = real + u (fake - real)`, u ~ U[0, 1], one u for each example.
    Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", algorithm 1.

    Args:
        weight: The paper's lambda, 10.
        one_in: As in `Term`.
    """

    name = "gradient_penalty"

    def __init__(self, weight=10.0, one_in=1):
        super().__init__(weight, one_in)

    def term(self, forward):
        real, fake = forward.images, forward.fake
        between = real + forward.random.uniform(_per_example(real)) * (fake - real)
        return self.distance_from_one(forward, between)


@keras.saving.register_keras_serializable(package="gan_keras")
class R1(GradientTerm):
    """R1: a flat discriminator on the data. The cheapest cure that converges; use it with the logistic losses.

    `weight / 2 * mean(||grad D(real)||^2)`. Mescheder, Geiger, Nowozin 2018, "Which Training Methods for GANs do actually
    Converge?", equation 9.

    Args:
        weight: The paper's gamma, 10 there for natural images; 1 serves small ones.
        one_in: As in `Term`.
    """

    name = "r1"

    def term(self, forward):
        return 0.5 * tf.reduce_mean(self.squared_norms(forward, forward.images))


@keras.saving.register_keras_serializable(package="gan_keras")
class DRAGAN(GradientTerm):
    """DRAGAN: gradient norm 1 in a neighbourhood of the data, against the sharp optima that precede collapse.

    `weight * mean((||grad D(x)|| - 1)^2)` at `x = real + u noise`, u ~ U[0, 1] for each example and
    `noise = scale * std(real) * U[0, 1]` for each pixel. Kodali, Abernethy, Hays, Kira 2017, "On Convergence and Stability
    of GANs", algorithm 1; noise as in the authors' code.

    Args:
        weight: The paper's lambda, 10.
        scale: Size of the neighbourhood in standard deviations of the batch's pixels, 0.5 in the authors' code.
        one_in: As in `Term`.
    """

    name = "dragan"

    def __init__(self, weight=10.0, scale=0.5, one_in=1):
        super().__init__(weight, one_in)
        if not scale > 0:
            raise ValueError(f"The scale of DRAGAN must be above 0. Received: scale={scale}")
        self.scale = scale

    def term(self, forward):
        real, random = forward.images, forward.random
        # All replicas' pixels, so that the neighbourhood does not depend on how the batch is shared out.
        mean, mean_square = replicas.mean([tf.reduce_mean(real), tf.reduce_mean(tf.square(real))])
        deviation = tf.sqrt(tf.maximum(mean_square - tf.square(mean), 0.0))
        noise = self.scale * deviation * random.uniform(tf.unstack(tf.shape(real)))
        nearby = real + random.uniform(_per_example(real)) * noise
        return self.distance_from_one(forward, nearby)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="gan_keras")
class WeightClipping(Projection):
    """WGAN: every weight of the critic clipped to [-limit, limit] after each of its updates.

    Makes the critic Lipschitz, for an unknown constant: `wasserstein` is then known up to a factor. GradientPenalty trains
    better. Arjovsky, Chintala, Bottou 2017, "Wasserstein GAN", algorithm 1.

    Args:
        limit: The paper's c, 0.01.
    """

    def __init__(self, limit=0.01):
        if not limit > 0:
            raise ValueError(f"The limit of WeightClipping must be above 0. Received: limit={limit}")
        self.limit = limit

    def project(self, variables):
        for variable in variables:
            variable.assign(keras.ops.clip(variable, -self.limit, self.limit))

    def get_config(self):
        return {"limit": self.limit}


_REGULARIZERS = {
    "gradient_penalty": GradientPenalty,
    "r1": R1,
    "dragan": DRAGAN,
    "weight_clipping": WeightClipping,
}


def get(identifier):
    """The regularizer of that name ("r1"), or the instance or saved config that was passed."""
    return identifiers.get("regularizer", Regularizer, _REGULARIZERS, identifier)


def get_all(identifiers):
    """A tuple of those of one identifier or several."""
    return tuple(map(get, identifiers if isinstance(identifiers, (list, tuple)) else [identifiers]))
