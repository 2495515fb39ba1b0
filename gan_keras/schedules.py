"""Schedules: the order of the players' updates in one training step.

    gan.update_discriminator(batch)   one update of the discriminator; the generator does not change
    gan.update_generator(batch)       one update of the generator; the discriminator does not change
    gan.update_both(batch)            both gradients at the same point, from the same generated images, then both updates

Every update draws new latents and returns its logs. The batch of `fit` has the data of the whole step. `Alternating` and
`ThreePhase` split it: each update of the discriminator has examples of its own; updates of the generator alone reuse some of them.
"""

import abc

import keras

from gan_keras import identifiers
from gan_keras.identifiers import count


class Schedule(abc.ABC):
    """Base of the schedules: implement `step` and `batches_per_step`.

    Attributes:
        logs: Names of scalars that `step` logs besides those of the updates.
    """

    logs = ()

    @property
    @abc.abstractmethod
    def batches_per_step(self):
        """The number of minibatches into which a step splits its batch; it must divide the batch size."""

    @abc.abstractmethod
    def step(self, gan, batch):
        """Make one training step of `gan` on `batch` (a `gan_keras.forward.Batch`) and return its logs."""

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="gan_keras")
class Alternating(Schedule):
    """`n_critic` discriminator updates, each on fresh data, then one generator update. The usual schedule.

    Goodfellow et al. 2014, algorithm 1 (their k); Arjovsky et al. 2017, algorithm 1 (their n_critic).

    Args:
        n_critic: 1 for most losses, 5 for WGAN and WGAN-GP. It must divide the batch given to `fit`.

    Raises:
        ValueError: n_critic is not an integer of 1 or more.
    """

    def __init__(self, n_critic=1):
        self.n_critic = count("n_critic", n_critic)

    @property
    def batches_per_step(self):
        return self.n_critic

    def step(self, gan, batch):
        for minibatch in batch.split(self.n_critic):
            logs = gan.update_discriminator(minibatch)
        return {**logs, **gan.update_generator(minibatch)}

    def get_config(self):
        return {"n_critic": self.n_critic}


@keras.saving.register_keras_serializable(package="gan_keras")
class Simultaneous(Schedule):
    """Both players are updated at once, each against the other's old weights.

    Use it with R1 or R2, to save time: images are generated once for both updates. With these penalties it converges locally
    (Mescheder, Geiger, Nowozin 2018, theorem 4.1). Without them, use it to study the dynamics: on a bilinear game it spirals
    outwards where `Alternating` stays bounded (Mescheder, Nowozin, Geiger 2017, "The Numerics of GANs"; Gidel et al. 2019,
    "Negative Momentum for Improved Game Dynamics").
    """

    @property
    def batches_per_step(self):
        return 1

    def step(self, gan, batch):
        return gan.update_both(batch)


@keras.saving.register_keras_serializable(package="gan_keras")
class ThreePhase(Schedule):
    """Train the generator with a fixed discriminator; the discriminator with a fixed generator; then both together.

    Every step has the three phases, each with its number of updates. The weights of the fixed player, BatchNorm statistics
    included, do not change in its phase.

    Args:
        generator_updates, discriminator_updates, joint_updates: Updates in each phase, 0 or more, and at least one of them above
            0. The batch of `fit` is split over the last two, so their sum must divide it.

    Raises:
        ValueError: A number is not an integer of 0 or more, or all are 0.
    """

    def __init__(self, generator_updates=1, discriminator_updates=1, joint_updates=1):
        self.generator_updates = count("generator_updates", generator_updates, 0)
        self.discriminator_updates = count("discriminator_updates", discriminator_updates, 0)
        self.joint_updates = count("joint_updates", joint_updates, 0)
        if generator_updates + discriminator_updates + joint_updates == 0:
            raise ValueError("A step needs at least one update. Received: 0 in all three phases; set one of them to 1 or more.")

    @property
    def batches_per_step(self):
        return max(1, self.discriminator_updates + self.joint_updates)

    def step(self, gan, batch):
        minibatches = batch.split(self.batches_per_step)
        logs = {}
        for _ in range(self.generator_updates):
            logs.update(gan.update_generator(minibatches[0]))
        looks = iter(minibatches)
        for _ in range(self.discriminator_updates):
            logs.update(gan.update_discriminator(next(looks)))
        for _ in range(self.joint_updates):
            logs.update(gan.update_both(next(looks)))
        return logs

    def get_config(self):
        return {
            "generator_updates": self.generator_updates,
            "discriminator_updates": self.discriminator_updates,
            "joint_updates": self.joint_updates,
        }


@keras.saving.register_keras_serializable(package="gan_keras")
class ThreeStep(Schedule):
    """Update the discriminator on real examples, then on generated ones; then the generator.

    These are two discriminator updates, where `Alternating` makes one from their sum. Penalties are added to the second. It
    needs a `losses.SeparableLoss`, so it does not work with "wasserstein" or "relativistic".
    """

    @property
    def batches_per_step(self):
        return 1

    def step(self, gan, batch):
        on_real = gan.update_discriminator(batch, on="real")
        on_fake = gan.update_discriminator(batch, on="fake")
        d_loss = on_real["d_loss"] + on_fake["d_loss"]
        return {**on_real, **on_fake, "d_loss": d_loss, **gan.update_generator(batch)}


_SCHEDULES = {
    "alternating": Alternating,
    "simultaneous": Simultaneous,
    "three_phase": ThreePhase,
    "three_step": ThreeStep,
}


def get(identifier):
    """The schedule with this name, such as "alternating"; or the instance or saved config that is passed.

    Raises:
        ValueError: The name is unknown, or it is no schedule.
    """
    return identifiers.get("schedule", Schedule, _SCHEDULES, identifier)
