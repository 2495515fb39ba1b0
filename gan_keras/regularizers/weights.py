"""Regularizers of the players' weights."""

import math
import numbers

import keras
import tensorflow as tf

from gan_keras.regularizers.base import Projection, Term


@keras.saving.register_keras_serializable(package="gan_keras")
class WeightClipping(Projection):
    """WGAN: every weight of the critic clipped to [-limit, limit] after each of its updates.

    Makes the critic Lipschitz with an unknown constant, so `wasserstein` is known up to a factor. `GradientPenalty` usually works
    better. Arjovsky, Chintala, Bottou 2017, "Wasserstein GAN", algorithm 1.

    Args:
        limit: The paper's c, 0.01.

    Raises:
        ValueError: limit is not a number above 0.
    """

    def __init__(self, limit=0.01):
        if not (isinstance(limit, numbers.Real) and 0 < limit < math.inf):
            raise ValueError(f"The limit of WeightClipping must be a number above 0. Received: limit={limit!r}")
        self.limit = limit

    def project(self, variables):
        for variable in variables:
            variable.assign(keras.ops.clip(variable, -self.limit, self.limit))

    def get_config(self):
        return {"limit": self.limit}


@keras.saving.register_keras_serializable(package="gan_keras")
class HistoricalAveraging(Term):
    """Historical averaging: weights stay near the mean of their past values, which damps oscillations of the players.

    `weight * sum((w - mean of w over the updates so far)^2)` over the weights of both players. The gradient for a player has
    only the part of its own weights; the logged value is the sum. Salimans et al. 2016, "Improved Techniques for Training GANs",
    section 3.3, which gives no weight.

    Args:
        weight: As in `Term`.
    """

    name = "historical_averaging"
    players = ("discriminator", "generator")

    def __init__(self, weight=1.0):
        super().__init__(weight)

    def prepare(self, gan):
        roles = zip(("discriminator", "generator"), gan.optimizers.values(), strict=True)
        return _Means({role: variables for role, (_, variables) in roles})

    def term(self, forward):
        return forward.memory(self).distance()

    def after_update(self, role, variables, memory):
        memory.update(role)


class _Means(keras.layers.Layer):
    """The mean of each weight over the updates of its player; the initial weights count as one."""

    def __init__(self, variables):
        super().__init__(trainable=False, name="historical_averaging")
        # In a function, since an attribute would make them weights of this layer too.
        self.pairs = lambda role: zip(variables[role], self.means[role])

        def weight(**options):
            return self.add_weight(trainable=False, aggregation="only_first_replica", **options)

        self.counts = {role: weight(shape=(), initializer="ones") for role in variables}
        self.means = {
            role: [weight(shape=v.shape, initializer=lambda *_, v=v, **__: tf.identity(v.value)) for v in of_role]
            for role, of_role in variables.items()
        }
        self.built = True

    def distance(self):
        squares = [tf.reduce_sum(tf.square(v - mean)) for role in self.means for v, mean in self.pairs(role)]
        return tf.add_n(squares)

    def update(self, role):
        self.counts[role].assign_add(1.0)
        for variable, mean in self.pairs(role):
            mean.assign_add((variable - mean) / self.counts[role])
