"""The outputs of the networks on a batch, as one record that losses and terms read."""

import contextlib
from typing import NamedTuple

import keras
import tensorflow as tf

from gan_keras import sizes
from gan_keras.inside import heads
from gan_keras.priors import join
from gan_keras.random import Random


class Batch(NamedTuple):
    """The data of one step, or of a part of it, and its random numbers."""

    images: tf.Tensor
    labels: tf.Tensor | None
    random: Random

    def split(self, number):
        """`number` minibatches of equal size.

        Minibatch k has the examples k, k + number, k + 2 number, ...: the same ones whether the batch is on one replica or split
        over several.

        Raises:
            ValueError: number does not divide the batch.
        """
        if number == 1:
            return [self]
        whole = self._replace(images=sizes.divisible(self.images, number))
        return [whole.part(number, k) for k in range(number)]

    def part(self, number, first=0):
        """Every `number`-th example from the `first` on."""
        labels = None if self.labels is None else self.labels[first::number]
        return Batch(self.images[first::number], labels, self.random)


class lazy:
    """A property that is computed once. Until Python 3.12, the lock of `functools.cached_property` is a deadlock for replicas."""

    def __init__(self, compute):
        self.compute = compute

    def __get__(self, instance, owner):
        value = instance.__dict__[self.compute.__name__] = self.compute(instance)
        return value


class ForwardPass:
    """The outputs of the networks on a minibatch, computed when they are first read.

    Args:
        gan: `GAN`.
        batch: `Batch`.
        moving: The players that are updated: "discriminator", "generator" or both. State of the other player does not change.
        training: `False` on held-out data: layers run in inference mode, and the generator is the one that samples.

    Attributes:
        images: Real images, (batch, ...).
        labels: Integers (batch,), -1 for an unknown label; or `None`.
        fake_labels: The labels of the generated images, which are those of the real ones; `None` unless training needs the label
            of every image, as for a conditional GAN.
        prior: `gan_keras.priors.Prior` that latents are drawn from.
        latents: {name: tensor}, the latents of the generated images; "z" if the prior has one part.
        fake: Generated images, as many as real ones.
        on_real, on_fake: {name: tensor}, the discriminator's outputs on both: "score", and other heads.
        random: `gan_keras.random.Random`, for random draws.
        step: Number of training steps so far, for schedules.
    """

    def __init__(self, gan, batch, moving=(), training=True):
        self._gan, self._moving, self._training = gan, moving, training
        self._batch = batch
        self.images, self.labels, self.random = batch
        self.fake_labels, self.prior = self.labels if gan.needs_labels else None, gan.prior
        self.step = gan.step.value
        # Collect assignments of a network that is not updated, such as BatchNorm's statistics: its variables do not change.
        self._scopes = {role: keras.StatelessScope() for role in ("generator", "discriminator")}

    @lazy
    def latents(self):
        return self._gan.draw_latents(self.random, tf.shape(self.images)[0], self.fake_labels)

    @lazy
    def fake(self):
        generator = self._gan.generator if self._training else self._gan.sampler
        with self._playing("generator"):
            return float32(self._call(generator, join(self.latents), self._training))

    @lazy
    def on_real(self):
        return self.outputs(self.images)

    @lazy
    def on_fake(self):
        return self.outputs(self.fake)

    def outputs(self, images):
        """The discriminator's outputs on images, as {name: float32 tensor}; a single output is the "score"."""
        if not self._training:
            return self.judged(images)
        with self._playing("discriminator"):
            return named(self._call(self._gan.discriminator, images, training=True))

    def judged(self, images):
        """As `outputs`, with the discriminator that evaluates (its moving average if there is one), in inference mode."""
        return named(self._call(self._gan.judge, images, training=False))

    def network(self, name, x):
        """A network of `with_generator` or `with_discriminator`, on `x`; on held-out data its moving average, if there is one."""
        role, network = self._gan.companion(name)
        network = network if self._training else self._gan.averaged.get(name, network)
        with self._playing(role):
            return float32(network(x, training=self._training))

    def memory(self, regularizer):
        """The state of a regularizer, which its method `prepare` returned."""
        return next(m for r, m in zip(self._gan.game_regularizers, self._gan.memories) if r is regularizer)

    def subset(self, one_in):
        """The forward pass of one in `one_in` examples, with the same generated images."""
        if one_in == 1:
            return self
        part = ForwardPass(self._gan, self._batch.part(one_in), self._moving, self._training)
        part._scopes = self._scopes  # so that its random draws differ
        part.latents = {name: latent[::one_in] for name, latent in self.latents.items()}
        part.fake = self.fake[::one_in]
        return part

    def _call(self, network, x, training):
        return network([x, self.labels] if len(network.inputs) > 1 else x, training=training)

    def _playing(self, role):
        # One scope for all calls of the pass, so that their random draws differ.
        return contextlib.nullcontext() if role in self._moving or not self._training else self._scopes[role]


def named(made):
    """The outputs of a discriminator, as {name: float32 tensor}."""
    return float32(heads(made))


def float32(structure):
    """Casts to float32: losses and terms are computed in it, whatever the precision of the networks."""
    return keras.tree.map_structure(lambda tensor: tf.cast(tensor, tf.float32), structure)
