"""Base classes of regularizers: a term of a player's loss, or a projection of the discriminator's weights."""

import abc
import inspect
import math
import numbers

import keras

from gan_keras import identifiers


class Regularizer:
    """Base of terms and projections."""

    def prepare(self, gan):
        """Called at the end of `compile`. Raise a ValueError if the GAN lacks something that the regularizer needs.

        Returns:
            The state that is kept between steps: a `keras.layers.Layer`, whose weights are saved with the GAN; or `None`.
        """
        return None

    def after_update(self, role, variables, memory):
        """Called after each update of a player.

        Args:
            role: "discriminator" or "generator".
            variables: Trainable variables of this player.
            memory: The state that `prepare` returned.
        """

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Term(Regularizer, abc.ABC):
    """Base of the terms: implement `term`, and set `name` and `players`.

    The weighted term is logged under `name`.
    Register your class with `keras.saving.register_keras_serializable`; its `get_config` returns all its arguments.

    Args:
        weight: Non-negative coefficient, or a `keras.optimizers.schedules.LearningRateSchedule` of the training step.
        one_in: An integer k: evaluate the term on every k-th example of the batch only. For a gradient penalty, which is a mean
            over examples, this is an unbiased estimate in a fraction of the time. Karras et al. 2020, StyleGAN2, section 3.1, skip
            steps instead.

    Attributes:
        name: The key under which the term is logged.
        players: The players to whose losses it is added: "discriminator", "generator" or both.

    Raises:
        ValueError: The weight is negative or neither a number nor a schedule; one_in is not an integer of 1 or more.

    Example, InfoGAN's term for a discriminator with a second output "code":

    ```python
    @keras.saving.register_keras_serializable(package="mine")
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
        schedule = isinstance(weight, keras.optimizers.schedules.LearningRateSchedule)
        if not schedule and not (isinstance(weight, numbers.Real) and 0 <= weight < math.inf):
            raise ValueError(
                f"The weight of {type(self).__name__} must be a number of 0 or more, or a schedule of "
                f"keras.optimizers.schedules. Received: weight={weight!r}"
            )
        self.weight = weight
        self.one_in = identifiers.count("one_in", one_in)

    @abc.abstractmethod
    def term(self, forward):
        """The term, without its weight: a scalar.

        Args:
            forward: `gan_keras.forward.ForwardPass`. It has `images`, `labels`, `latents` {name: tensor}, `fake` (the generated
                images), `on_real` and `on_fake` ({name: output of the discriminator}, "score" among them), `random` and `step`.
        """

    def __call__(self, forward):
        """The weighted term, on one in `one_in` examples."""
        weight = self.weight(forward.step) if callable(self.weight) else self.weight
        return weight * self.term(forward.subset(self.one_in))

    def get_config(self):
        weight = keras.saving.serialize_keras_object(self.weight) if callable(self.weight) else self.weight
        # `one_in` only if it is set: a user's subclass need not have it.
        return {"weight": weight, **({"one_in": self.one_in} if self.one_in != 1 else {})}

    @classmethod
    def from_config(cls, config):
        # Models of earlier versions have "every"; so may a user's subclass.
        own = "every" in inspect.signature(cls).parameters
        return cls(**{"one_in" if name == "every" and not own else name: value for name, value in config.items()})


class Projection(Regularizer, abc.ABC):
    """Base of the projections, which change the discriminator's weights after each of its updates."""

    @abc.abstractmethod
    def project(self, variables):
        """Assign the nearest allowed values to the trainable `variables`."""

    def after_update(self, role, variables, memory):
        if role == "discriminator":
            self.project(variables)
