"""The GAN: a generator and a discriminator as one `keras.Model`, and their training."""

import math

import keras
import tensorflow as tf

from gan_keras import checks, losses, regularizers, replicas, schedules, sizes
from gan_keras.forward import Batch, ForwardPass, float32
from gan_keras.generative import GenerativeModel, frozen_copy
from gan_keras.random import EVALUATION, TRAINING, Random, seed_layers, seed_states, seeded


@keras.saving.register_keras_serializable(package="gan_keras")
class GAN(GenerativeModel):
    """A generative adversarial network: build, `compile`, `fit`, `evaluate`, `predict`, `save`, `sample`.

    `gan(z)`, `predict` and `export` are those of the generator (of its moving average if `ema` is set). Goodfellow et al.
    2014, "Generative Adversarial Networks".

    Args:
        generator: Functional `keras.Model` from latents (batch, latent_dim) to images; for a conditional GAN from
            [latents, integer labels (batch,)].
        discriminator: Functional `keras.Model` from images, or [images, labels], to scores (logits); or to a dict with the output
            "score" and others, which regularizers read.
        seed: Integer from 0 to 2^31 - 1. All random numbers of training are a pure function of (seed, step, replica).
        ema: Decay in (0, 1) of a moving average of the generator's weights, used for sampling and evaluation; `None`: no
            average. More about it in `GenerativeModel`.
        num_classes: Number of classes: labels are integers from 0 to num_classes - 1. `None` for a GAN without labels.
        prior: `priors.Prior`, the distribution of the latents; `None`: standard normal.
        value_range: (low, high) of the images; by default that of the generator's last activation: (-1, 1) for tanh, (0, 1) for
            sigmoid, else `None`, unbounded.
        with_generator, with_discriminator: {name: `keras.Model`}, networks that are trained together with one of the players.
            Regularizers call them as `forward.network(name, inputs)`.
        averaged: Names of more networks of which a moving average is kept, for `evaluate`: "discriminator", or those of
            `with_generator` and `with_discriminator`; needs `ema`. `gan.averaged` is the dict {name: averaged network}.

    Attributes:
        step: Number of training steps so far; a weight, and saved. Resumed training continues from it.

    Logged (means over the steps of the epoch; of several updates in a step, the last; on validation data with the prefix `val_`):
        d_loss, g_loss: The losses of the players, terms of regularizers included.
        d_acc_real, d_acc_fake: Accuracy of the discriminator on real and on generated examples; at 0.5 it cannot distinguish them.
        wasserstein: `mean D(real) - mean D(fake)`, for the Wasserstein loss only.
        One key for each term, such as gradient_penalty: the weighted term.

    Example:

    ```python
    gan = gan_keras.GAN(generator, discriminator, ema=0.99)
    gan.compile("adam", "adam", loss="non_saturating", regularizers="r1")
    gan.fit(images, batch_size=64, epochs=5)
    images = gan.sample(16, seed=1)
    ```
    """

    def __init__(
        self,
        generator,
        discriminator,
        seed=0,
        ema=None,
        num_classes=None,
        prior=None,
        value_range=None,
        with_generator=None,
        with_discriminator=None,
        averaged=(),
        **kwargs,
    ):
        checks.check_players(generator, discriminator, num_classes, with_generator or {}, with_discriminator or {})
        super().__init__(generator, prior, seed, ema, num_classes, value_range, **kwargs)
        checks.check_label_inputs(generator, discriminator, self.needs_labels)
        self.discriminator = discriminator
        self.with_generator, self.with_discriminator = dict(with_generator or {}), dict(with_discriminator or {})
        checks.check_averaged(averaged, ema)
        self.averaged = {name: frozen_copy(self.companion(name)[1], f"ema_{name}") for name in averaged}

    # compile, and the two steps that Keras calls.

    def compile(
        self,
        d_optimizer=None,
        g_optimizer=None,
        loss="non_saturating",
        regularizers=(),
        schedule="alternating",
        jit_compile="auto",
        steps_per_execution=1,
        run_eagerly=False,
        **unknown,
    ):
        """Configure the training. Each part is a name, an instance, or a saved config.

        Args:
            d_optimizer, g_optimizer: Required: Keras optimizers, one for each player. If a network computes in float16, they are
                wrapped in a `keras.optimizers.LossScaleOptimizer`.
            loss: "non_saturating", "minimax", "least_squares", "hinge", "wasserstein", "jeffreys",
                "relativistic", "discriminator_only" or an `AdversarialLoss`.
            regularizers: One or several names, such as "r1" or "gradient_penalty" (`gan_keras.regularizers`), or `Regularizer` objects.
            schedule: "alternating", "simultaneous", "three_phase", "three_step" or a `Schedule`.
            jit_compile, steps_per_execution, run_eagerly: As in `keras.Model.compile`.

        Raises:
            TypeError: An optimizer is missing, or an argument is unknown.
            ValueError: Parts that do not work together; the message says which, and what to change.
        """
        checks.check_compile(unknown, d_optimizer, g_optimizer, steps_per_execution)
        checks.check_memories(self.memories if self.compiled else ())
        replicas.check_execution(jit_compile, steps_per_execution)
        networks = {role: self._networks(role) for role in ("generator", "discriminator")}
        all_networks = [*networks["generator"], *networks["discriminator"]]
        parts = {
            "d_optimizer": replicas.loss_scaled(keras.optimizers.get(d_optimizer), *all_networks),
            "g_optimizer": replicas.loss_scaled(keras.optimizers.get(g_optimizer), *all_networks),
            "loss": losses.get(loss),
            "regularizers": _regularizers(regularizers),
            "schedule": schedules.get(schedule),
        }
        checks.check_game(networks, **parts)
        execution = {"jit_compile": jit_compile, "steps_per_execution": steps_per_execution, "run_eagerly": run_eagerly}
        super().compile(optimizer=None, loss=None, **execution)
        self._execution = execution
        self.d_optimizer, self.g_optimizer = parts["d_optimizer"], parts["g_optimizer"]
        # `loss` and `regularizers` are names that Keras uses itself.
        self.adversarial_loss = parts["loss"]
        self.game_regularizers = parts["regularizers"]
        self.schedule = parts["schedule"]
        # Built here, so that loading finds variables to put the saved state in.
        for optimizer, variables in self.optimizers.values():
            optimizer.build(variables)
        self.memories = [regularizer.prepare(self) for regularizer in self.game_regularizers]
        measured = self.adversarial_loss.metrics(tf.zeros((2, 1)), tf.zeros((2, 1)))
        names = ["d_loss", "g_loss", *measured, *(term.name for term in self._terms()), *self.schedule.logs]
        self.measure(names)

    @property
    def optimizers(self):
        return {
            "d_optimizer": (self.d_optimizer, self._variables("discriminator")),
            "g_optimizer": (self.g_optimizer, self._variables("generator")),
        }

    def averages(self):
        return [*super().averages(), *((self.companion(name)[1], average) for name, average in self.averaged.items())]

    @property
    def batch_parts(self):
        number = replicas.number(self.distribute_strategy)
        # On several replicas the terms see together the examples that they see on one.
        shares = [term.one_in for term in self._terms()] if number > 1 else []
        return self.schedule.batches_per_step * number * math.lcm(*shares)

    def train_step(self, data):
        """One step of the schedule."""
        batch = self._batch(data, Random(self.seed, TRAINING, self.step.value))
        logs = self.schedule.step(self, batch)
        with _after((), logs):  # a step that fails does not count
            self.finish_step()
        return self.report(logs, batch.images)

    def test_step(self, data):
        """The losses on held-out data, without updates, of the generator that samples and the discriminator that evaluates."""
        random = Random(self.seed, EVALUATION, self.examples_seen)
        forward = ForwardPass(self, self._batch(data, random), training=False)
        states = seed_states(self.sampler, self.judge)
        with seeded(states, random.layer_seeds(len(states))):
            forward.latents  # drawn first, as in training
            _, logs = self._discriminator_loss(forward)
            _, more = self._generator_loss(forward)
        return self.report({**logs, **more}, forward.images)

    @property
    def judge(self):
        """The discriminator that evaluates: its moving average if `averaged` has it, else the discriminator."""
        return self.averaged.get("discriminator", self.discriminator)

    # The updates, which schedules call.

    def update_discriminator(self, batch, on=("real", "fake")):
        """One update of the discriminator; the generator does not change.

        Args:
            batch: `gan_keras.forward.Batch`, the real images.
            on: The halves of the loss that are used, on real and on generated examples; by default both. Terms of regularizers
                belong to "fake".

        Returns:
            {name: scalar}, the logs of the update, such as d_loss.

        Raises:
            ValueError: The discriminator is frozen, or `on` is one half and the loss is not a `SeparableLoss`.
        """
        forward = self._begin(batch, "discriminator")
        forward.fake  # computed outside of the tape, which does not need it
        with tf.GradientTape() as tape:
            loss, logs = self._discriminator_loss(forward, on)
            scaled = replicas.scaled(self.d_optimizer, loss)
        return self._update(logs, discriminator=(tape, scaled))

    def update_generator(self, batch):
        """One update of the generator, with as many generated examples as `batch` has; the discriminator does not change.

        Args:
            batch: `gan_keras.forward.Batch`, which has the labels for a conditional GAN.

        Returns:
            {name: scalar}, the logs of the update, such as g_loss.

        Raises:
            ValueError: The generator is frozen.
        """
        forward = self._begin(batch, "generator")
        with tf.GradientTape() as tape:
            loss, logs = self._generator_loss(forward)
            scaled = replicas.scaled(self.g_optimizer, loss)
        return self._update(logs, generator=(tape, scaled))

    def update_both(self, batch):
        """Both gradients at the same point and from the same generated images, then both updates.

        Args:
            batch: `gan_keras.forward.Batch`.

        Returns:
            {name: scalar}, the logs of both updates.

        Raises:
            ValueError: A player is frozen.
        """
        forward = self._begin(batch, "discriminator", "generator")
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            forward.fake
            d_loss, logs = self._discriminator_loss(forward)
            g_loss, more = self._generator_loss(forward)
            d_scaled, g_scaled = replicas.scaled(self.d_optimizer, d_loss), replicas.scaled(self.g_optimizer, g_loss)
        return self._update({**logs, **more}, discriminator=(d_tape, d_scaled), generator=(g_tape, g_scaled))

    def _begin(self, batch, *moving):
        """The forward pass of an update. Sets the seeds of layers such as Dropout, which Keras keeps in state that is not saved."""
        seed_layers(
            batch.random, self.generator, self.discriminator, *self.with_generator.values(), *self.with_discriminator.values()
        )
        forward = ForwardPass(self, batch, moving)
        forward.latents  # drawn first, whatever is computed first
        return forward

    def _discriminator_loss(self, forward, on=("real", "fake")):
        """The discriminator's loss and logs. `on` has the halves of the loss that are used."""
        loss = self.adversarial_loss
        real = forward.on_real["score"] if "real" in on else None
        fake = forward.on_fake["score"] if "fake" in on else None
        if real is None or fake is None:
            checks.check_separable(loss)
            value = loss.real(real) if fake is None else loss.fake(fake)
        else:
            value = loss.discriminator(real, fake)
        terms = self._terms_of("discriminator", forward) if "fake" in on else {}
        total = sum(terms.values(), checks.scalar(value, loss))
        return total, {"d_loss": total, **terms, **loss.metrics(real, fake)}

    def _generator_loss(self, forward):
        loss, fake = self.adversarial_loss, forward.on_fake["score"]
        value = checks.scalar(loss.generator(forward.on_real["score"], fake), loss)
        terms = self._terms_of("generator", forward)
        total = sum(terms.values(), value)
        return total, {"g_loss": total, **terms}

    def _update(self, logs, **moves):
        """Update players, given as role=(tape, scaled loss), after everything that the updates depend on is computed."""
        gradients = {}
        for role, (tape, loss) in moves.items():
            checks.check_trainable(getattr(self, role), role)
            checks.check_no_losses(self._networks(role), role)
            gradients[role] = tape.gradient(loss, self._variables(role))
        with _after(sum(gradients.values(), []), logs):
            for role, values in gradients.items():
                optimizer, variables = self.optimizers[f"{role[0]}_optimizer"]
                optimizer.apply_gradients(zip(replicas.agreed(optimizer, values), variables))
                for regularizer, memory in zip(self.game_regularizers, self.memories):
                    regularizer.after_update(role, getattr(self, role).trainable_variables, memory)
        return logs

    def _terms(self):
        return [r for r in self.game_regularizers if isinstance(r, regularizers.Term)]

    def _terms_of(self, role, forward):
        return {term.name: checks.scalar(term(forward), term) for term in self._terms() if role in term.players}

    def _networks(self, role):
        return [getattr(self, role), *getattr(self, f"with_{role}").values()]

    def _variables(self, role):
        return [variable for network in self._networks(role) for variable in network.trainable_variables]

    def companion(self, name):
        """(role, network) for the name "discriminator", or one of `with_generator` or `with_discriminator`."""
        if name == "discriminator":
            return name, self.discriminator
        for role in ("generator", "discriminator"):
            if name in getattr(self, f"with_{role}"):
                return role, getattr(self, f"with_{role}")[name]
        raise ValueError(
            f"There is no network {name!r}. Pass it to GAN as with_generator or with_discriminator. The generator has an average by "
            "ema alone."
        )

    def _batch(self, data, random):
        images, labels = self.unpack(data)
        labels = None if labels is None else tf.cast(labels, tf.int32)
        return Batch(sizes.divisible(float32(images)), labels, random)

    # Saving.

    def get_config(self):
        networks = ("discriminator", "with_generator", "with_discriminator")
        networks = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in networks}
        return {**super().get_config(), **networks, "averaged": list(self.averaged)}

    def get_compile_config(self):
        if not self.compiled:
            return None
        parts = {
            "d_optimizer": self.d_optimizer,
            "g_optimizer": self.g_optimizer,
            "loss": self.adversarial_loss,
            "regularizers": list(self.game_regularizers),
            "schedule": self.schedule,
        }
        return {**keras.saving.serialize_keras_object(parts), **self._execution}


_regularizers = regularizers.get_all  # `compile` has an argument of the module's name


def _after(gradients, logs):
    """A context in which weights are assigned only after everything that reads them has been computed.

    tf.function promises this order, but its graph optimizer merges equal reads (R1 and the loss both call the discriminator on the
    real images) and loses it: in some runs, a generator's gradient then used some of the discriminator's new weights.
    """
    return tf.control_dependencies([g for g in gradients if g is not None] + list(logs.values()))
