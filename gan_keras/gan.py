"""The GAN: a generator and a discriminator as one `keras.Model`, and the game between them."""

import functools
import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from gan_keras import checks, losses, regularizers, schedules
from gan_keras.random import EVALUATION, SAMPLING, TRAINING, Random, bits, normal, stateless_seed

# Samples are drawn in blocks and computed in groups of these sizes, so that sample i of a seed is the same bytes however many
# are asked for.
BLOCK, _GROUP = 256, 32


class Batch(NamedTuple):
    """The data of one step, or of a part of it, and the random draws that go with it."""

    images: tf.Tensor
    labels: tf.Tensor | None
    random: Random

    def split(self, number):
        """`number` minibatches of equal size.

        Minibatch k takes the examples k, k + number, k + 2 number, ...: the same ones whether the batch lies on one replica or
        is shared out over several.

        Raises:
            ValueError: number does not divide the batch.
        """
        if number == 1:
            return [self]
        images = checks.divisible(self.images, number)
        return [
            Batch(images[k::number], None if self.labels is None else self.labels[k::number], self.random)
            for k in range(number)
        ]


@keras.saving.register_keras_serializable(package="gan_keras")
class GAN(keras.Model):
    """A generative adversarial network: build, `compile`, `fit`, `evaluate`, `predict`, `save`, `sample`.

    `gan(z)` is the generator (its moving average where `ema` is set), so `predict`, `summary` and `export` mean what they
    say. Goodfellow et al. 2014, "Generative Adversarial Networks".

    Args:
        generator: Functional `keras.Model` from latents (batch, latent_dim) to images; for a conditional GAN from
            [latents, integer labels (batch,)].
        discriminator: Functional `keras.Model` from images, or [images, labels], to scores (logits).
        seed: Integer from 0 to 2^31 - 1. Everything random in training is a pure function of (seed, step, replica).
        ema: Decay in (0, 1) of a moving average of the generator's weights, BatchNorm statistics included, which samples and
            evaluates in the generator's place: `average += (1 - d) (weight - average)` after each step, with
            `d = min(ema, (1 + step) / (10 + step))` so that early averages are not those of the initial weights. `None`: none.
            If you load weights into `gan.generator` after training has begun, call `gan.reset_average()`.
        num_classes: Number of labels of a conditional GAN; `None` for an unconditional one.

    Attributes:
        step: Training steps made so far, a weight: saved, and the place from which training and its data go on.
        latent_dim: Size of a latent.
        value_range: (low, high) of the images: (-1, 1) where the generator ends in tanh, (0, 1) for sigmoid, else `None`.

    Logged (means over the epoch, in `fit` and, with the prefix `val_`, on validation data):
        d_loss, g_loss: What the players minimise; d_loss contains the penalties.
        d_acc_real, d_acc_fake: Share of real and of generated examples that the discriminator tells rightly; 0.5 is the ideal.
        wasserstein: `mean D(real) - mean D(fake)`, for the Wasserstein loss only.
        One key for each penalty, such as gradient_penalty: the weighted term.

    Example:

    ```python
    gan = gan_keras.GAN(generator, discriminator, ema=0.99)
    gan.compile("adam", "adam", loss="non_saturating", regularizers="r1")
    gan.fit(images, batch_size=64, epochs=5)
    images = gan.sample(16, seed=1)
    ```
    """

    def __init__(self, generator, discriminator, seed=0, ema=None, num_classes=None, **kwargs):
        checks.check_arguments("GAN", kwargs.keys() - {"name", "dtype", "trainable"})
        super().__init__(**kwargs)
        checks.check_players(generator, discriminator, num_classes)
        if ema is not None and not 0.0 < ema < 1.0:
            raise ValueError(f"ema is a decay between 0 and 1, such as 0.999, or None. Received: ema={ema}")
        checks.check_seed(seed)
        self.generator = generator
        self.discriminator = discriminator
        self.num_classes = num_classes
        self.ema = ema
        self.seed = seed
        self.ema_generator = None
        if ema is not None:
            self.ema_generator = _copy(generator, "ema_generator")
        self.latent_dim = generator.inputs[0].shape[-1]
        self.value_range = checks.output_range(generator)
        self.step = self.add_weight(
            shape=(), dtype="int64", initializer="zeros", trainable=False, aggregation="only_first_replica", name="step"
        )
        # Both players were built when they were made. Not by build(), after which a subclass could add no state.
        self.built = True

    @property
    def conditional(self):
        """Whether the players see labels."""
        return self.num_classes is not None

    @property
    def sampler(self):
        """The network that samples: the moving average of the generator where there is one, else the generator."""
        return self.generator if self.ema_generator is None else self.ema_generator

    def call(self, inputs, training=False):
        """Images for latents (or [latents, labels]); with `training=True` from the generator itself, not its average."""
        return (self.generator if training else self.sampler)(inputs, training=training)

    def sample(self, n, seed=0, labels=None):
        """`n` images, a pure function of the weights, `seed` and `labels`.

        Args:
            n: Number of images, 1 or more.
            seed: Integer from 0 to 2^31 - 1. The i-th image of a seed is the same, byte for byte, for every n.
            labels: Conditional GANs only: an integer for all images, n integers, or `None` for 0, 1, 2, ... in turn.

        Returns:
            NumPy array (n, height, width, channels), float32 in `value_range`.

        Raises:
            ValueError: n below 1, a seed out of range, or labels of the wrong number or range.
        """
        return np.concatenate([images for images, _ in self.sample_batches(n, seed, labels)])

    def sample_batches(self, n, seed=0, labels=None, start=0):
        """An iterator of what `sample` returns, as (images, labels or `None`) of up to 256: a million in bounded memory.

        Args:
            n, seed, labels: As in `sample`.
            start: The first sample wanted, a multiple of 256 below n: those before it are not made.

        Raises:
            ValueError: As in `sample`, when it is called; or another start.
        """
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(f"n, the number of samples, must be an integer of 1 or more. Received: n={n!r}")
        if start % BLOCK or not 0 <= start < n:
            raise ValueError(f"start must be a multiple of {BLOCK} from 0 to n - 1. Received: start={start}, n={n}")
        checks.check_seed(seed)
        labels = self._sample_labels(n, labels)
        self._start_average()

        def blocks():
            for first in range(start, n, BLOCK):
                size = min(BLOCK, n - first)
                some = labels[first : first + size] if self.conditional else None
                inputs = [tf.constant(seed, tf.int64), tf.constant(first // BLOCK, tf.int64), tf.constant(size)]
                inputs += [tf.constant(np.resize(some, BLOCK))] if self.conditional else []
                yield self._compiled_block(*inputs).numpy(), some

        return blocks()

    @functools.cached_property
    def _compiled_block(self):
        # Unlike predict_on_batch it makes the images once, not once on every replica.
        return tf.function(lambda *inputs: self.block_of_samples(*inputs), autograph=False)

    def block_of_samples(self, seed, block, n, labels=None):
        """Samples 256 block to 256 block + n - 1 of a seed, as a graph: what `sample` runs and `serving.export` writes.

        Args:
            seed, block, n: Integers or scalar tensors; n from 1 to 256.
            labels: Integer tensor (256,), for a conditional GAN.
        """
        inputs = self.latents(seed, block)
        if self.conditional:
            inputs = [inputs, labels]
        groups = (n + _GROUP - 1) // _GROUP
        inputs = tf.nest.map_structure(lambda x: tf.reshape(x, (-1, _GROUP, *x.shape[1:]))[:groups], inputs)
        states = _seed_states(self.sampler)
        seeds = bits((BLOCK // _GROUP, len(states), 2), stateless_seed(seed, SAMPLING, block, draw=1))[:groups]

        def group_of_samples(elements):
            group, seeds_of_group = elements
            with _seeded(states, seeds_of_group):
                return self(group, training=False)

        made = tf.TensorSpec((_GROUP, *self.generator.outputs[0].shape[1:]), self.generator.outputs[0].dtype)
        images = tf.map_fn(group_of_samples, (inputs, seeds), fn_output_signature=made)
        return _float32(tf.reshape(images, (-1, *made.shape[1:]))[:n])

    def latents(self, seed=0, block=0):
        """The latents of samples 256 block to 256 block + 255 of a seed: tensor (256, latent_dim), standard normal."""
        return normal((BLOCK, self.latent_dim), stateless_seed(seed, SAMPLING, block))

    def _sample_labels(self, n, labels):
        if not self.conditional:
            if labels is not None:
                raise ValueError("labels were passed to a GAN that was made without num_classes. Leave labels out.")
            return None
        if labels is None:
            return np.arange(n, dtype="int32") % self.num_classes
        labels = np.asarray(labels)
        if labels.ndim == 0:
            labels = np.full(n, labels)
        if labels.shape != (n,):
            raise ValueError(f"labels must be one integer or {n} of them. Received: shape {labels.shape}")
        self.check_labels(labels)
        return labels.astype("int32")

    # The game: compile, and the two steps that Keras calls.

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
        """Choose how the game is played. Every part is a name, an instance, or a saved config.

        Args:
            d_optimizer, g_optimizer: Keras optimizers, one for each player; learning-rate schedules are welcome. Where a player
                computes in float16, each is put into a `keras.optimizers.LossScaleOptimizer`.
            loss: "non_saturating", "minimax", "least_squares", "hinge", "wasserstein", "jeffreys" or an `AdversarialLoss`.
            regularizers: One or several of "gradient_penalty", "r1", "dragan", "weight_clipping" or `Regularizer` objects.
            schedule: "alternating", "simultaneous", "three_phase", "three_step" or a `Schedule`.
            jit_compile, steps_per_execution, run_eagerly: As in `keras.Model.compile`.

        Raises:
            ValueError: The parts contradict each other; the message says which and what to change.
        """
        checks.check_arguments("GAN.compile", unknown)
        if d_optimizer is None or g_optimizer is None:
            raise TypeError("Each player needs an optimizer: compile(d_optimizer, g_optimizer, ...).")
        parts = {
            "d_optimizer": self._loss_scaled(keras.optimizers.get(d_optimizer)),
            "g_optimizer": self._loss_scaled(keras.optimizers.get(g_optimizer)),
            "loss": losses.get(loss),
            "regularizers": _get_regularizers(regularizers),
            "schedule": schedules.get(schedule),
        }
        checks.check_game(self.generator, self.discriminator, **parts)
        if jit_compile is True and tf.distribute.has_strategy():
            raise ValueError(
                "Under a strategy XLA cannot reach the weights of other devices. Received: jit_compile=True; use False or 'auto'."
            )
        if not isinstance(steps_per_execution, int) or steps_per_execution < 1:
            raise ValueError(
                f"steps_per_execution must be an integer of 1 or more. Received: steps_per_execution={steps_per_execution!r}"
            )
        if steps_per_execution > 1 and tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise ValueError(
                "Keras cannot run several steps at once on several replicas (TensorFlow loses a placeholder of its loop). Received: "
                f"steps_per_execution={steps_per_execution}; leave it out."
            )
        super().compile(
            optimizer=None,
            loss=None,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
            run_eagerly=run_eagerly,
        )
        self._execution = {
            "jit_compile": jit_compile,
            "steps_per_execution": steps_per_execution,
            "run_eagerly": run_eagerly,
        }
        self.d_optimizer, self.g_optimizer = parts["d_optimizer"], parts["g_optimizer"]
        # `loss` and `regularizers` are names that Keras uses itself.
        self.adversarial_loss = parts["loss"]
        self.discriminator_regularizers = parts["regularizers"]
        self.schedule = parts["schedule"]
        # Built here, so that loading finds variables to put the saved state in.
        self.d_optimizer.build(self.discriminator.trainable_variables)
        self.g_optimizer.build(self.generator.trainable_variables)
        names = ["d_loss", "g_loss", "d_acc_real", "d_acc_fake", *(p.name for p in checks.penalties(parts["regularizers"]))]
        if self.adversarial_loss.distance:
            names.append(self.adversarial_loss.distance)
        names += self.schedule.logs
        # Past Keras' attribute tracking: means of the running epoch are no state of the model.
        object.__setattr__(self, "_means", {name: keras.metrics.Mean(name=name) for name in names})

    def _loss_scaled(self, optimizer):
        """An optimizer whose loss is scaled so that float16 gradients do not vanish, where there are any."""
        layers = [layer for player in (self.generator, self.discriminator) for layer in player._flatten_layers()]
        half = any(layer.compute_dtype == "float16" for layer in layers)
        if half and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            return keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer

    @property
    def metrics(self):
        # A subclass' own as well, but not the mean of the one loss that other Keras models have.
        own = [metric for metric in super().metrics if metric.name != "loss"]
        return [*self._means.values(), *own] if self.compiled else own

    def train_step(self, data):
        """One step of the schedule."""
        batch = self._batch(data, Random(self.seed, TRAINING, self.step.value))
        logs = self.schedule.step(self, batch)
        with _after((), logs):  # a step that is refused while it runs does not count
            if self.ema_generator is not None:
                self._update_average()
            self.step.assign_add(1)
        return self._report(logs)

    def test_step(self, data):
        """The game on held-out data, between the sampling generator and the discriminator, with nothing updated."""
        # Evaluations start by resetting their means: the count is the number of batches seen.
        random = Random(self.seed, EVALUATION, self._means["d_loss"].count)
        batch = self._batch(data, random)
        states = _seed_states(self.sampler, self.discriminator)
        with _seeded(states, random.layer_seeds(len(states))):
            fake = _float32(self(self._latents(batch), training=False))
            _, logs, scores = self._discriminator_loss(batch, fake, on=("real", "fake"), training=False)
        return self._report({**logs, "g_loss": self._generator_loss(scores["fake"])})

    def _batch(self, data, random):
        images, labels = checks.unpack(data, self.discriminator, self.num_classes, self.value_range)
        return Batch(checks.divisible(_float32(images)), labels, random)

    # The moves, which schedules call.

    def update_discriminator(self, batch, on=("real", "fake")):
        """One update of the discriminator. `on="real"` or `on="fake"` takes one half of its loss. Returns logs."""
        gradients, logs = self._discriminator_gradients(batch, on)
        with _after(gradients, logs):
            self._apply_to_discriminator(gradients)
        return logs

    def update_generator(self, batch):
        """One update of the generator against the scores of as many examples as `batch` has. Returns logs."""
        gradients, logs = self._generator_gradients(batch)
        with _after(gradients, logs):
            self._apply_to_generator(gradients)
        return logs

    def update_both(self, batch):
        """Both gradients at the same point and from the same generated images, then both updates. Returns logs."""
        self._seed_layers(batch.random)
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            fake = _float32(self.generator(self._latents(batch), training=True))
            loss, logs, scores = self._discriminator_loss(batch, fake, on=("real", "fake"), training=True)
            logs["g_loss"] = self._generator_loss(scores["fake"])
            d_scaled = self.d_optimizer.scale_loss(_share_of_replica(loss))
            g_scaled = self.g_optimizer.scale_loss(_share_of_replica(logs["g_loss"]))
        d_gradients = self._gradients("discriminator", d_tape, d_scaled)
        g_gradients = self._gradients("generator", g_tape, g_scaled)
        with _after(d_gradients + g_gradients, logs):
            self._apply_to_discriminator(d_gradients)
            self._apply_to_generator(g_gradients)
        return logs

    def _discriminator_gradients(self, batch, on=("real", "fake")):
        self._seed_layers(batch.random)
        # A scope that keeps what a model assigns: the generator plays, but its BatchNorm statistics stay.
        with keras.StatelessScope():
            fake = _float32(self.generator(self._latents(batch), training=True))
        with tf.GradientTape() as tape:
            loss, logs, _ = self._discriminator_loss(batch, fake, on, training=True)
            scaled = self.d_optimizer.scale_loss(_share_of_replica(loss))
        return self._gradients("discriminator", tape, scaled), logs

    def _generator_gradients(self, batch):
        self._seed_layers(batch.random)
        z = self._latents(batch)
        with tf.GradientTape() as tape:
            fake = _float32(self.generator(z, training=True))
            with keras.StatelessScope():  # the discriminator plays
                scores = self._scores(fake, batch.labels, training=True)
            loss = self._generator_loss(scores)
            scaled = self.g_optimizer.scale_loss(_share_of_replica(loss))
        return self._gradients("generator", tape, scaled), {"g_loss": loss}

    def _gradients(self, role, tape, loss):
        """The gradients of a player's loss, with what can only be refused once the player was called."""
        player = getattr(self, role)
        checks.check_trainable(player, role)
        checks.check_no_losses(player, role)
        return tape.gradient(loss, player.trainable_variables)

    def _apply_to_discriminator(self, gradients):
        variables = self.discriminator.trainable_variables
        self.d_optimizer.apply_gradients(zip(_agreed(self.d_optimizer, gradients), variables))
        for regularizer in self.discriminator_regularizers:
            if isinstance(regularizer, regularizers.Projection):
                regularizer.project(variables)

    def _apply_to_generator(self, gradients):
        gradients = _agreed(self.g_optimizer, gradients)
        self.g_optimizer.apply_gradients(zip(gradients, self.generator.trainable_variables))

    def _discriminator_loss(self, batch, fake, on, training):
        """The discriminator's loss on a batch and generated images, its logs and its scores. `on` names the halves that count."""
        loss, logs, scores = 0.0, {}, {}
        if "real" in on:
            scores["real"] = self._scores(batch.images, batch.labels, training)
            loss += checks.scalar(self.adversarial_loss.real(scores["real"]), self.adversarial_loss)
        if "fake" in on:
            scores["fake"] = self._scores(fake, batch.labels, training)
            loss += checks.scalar(self.adversarial_loss.fake(scores["fake"]), self.adversarial_loss)

            for penalty in checks.penalties(self.discriminator_regularizers):
                some = slice(None, None, penalty.every)
                labels = None if batch.labels is None else batch.labels[some]
                scores_of = functools.partial(self._scores, labels=labels, training=training)
                term = penalty(scores_of, batch.images[some], fake[some], batch.random)
                logs[penalty.name] = checks.scalar(term, penalty)
                loss += logs[penalty.name]
        means = {side: tf.reduce_mean(s) for side, s in scores.items()}
        threshold = self.adversarial_loss.threshold
        if threshold is None:
            threshold = (means["real"] + means["fake"]) / 2
        if "real" in on:
            logs["d_acc_real"] = tf.reduce_mean(tf.cast(scores["real"] > threshold, tf.float32))
        if "fake" in on:
            logs["d_acc_fake"] = tf.reduce_mean(tf.cast(scores["fake"] < threshold, tf.float32))
        if self.adversarial_loss.distance:
            logs[self.adversarial_loss.distance] = means["real"] - means["fake"]
        return loss, {"d_loss": loss, **logs}, scores

    def _generator_loss(self, scores):
        return checks.scalar(self.adversarial_loss.generator_loss(scores), self.adversarial_loss)

    def _scores(self, images, labels, training):
        return _float32(self.discriminator([images, labels] if self.conditional else images, training=training))

    def _latents(self, batch):
        """Fresh inputs of the generator for each example of a batch: latents, with the batch's labels where it has them."""
        z = batch.random.normal((tf.shape(batch.images)[0], self.latent_dim))
        return [z, batch.labels] if self.conditional else z

    def _seed_layers(self, random):
        """Give Dropout and its like their seeds for this move; Keras would count them on in state that it does not save."""
        states = _seed_states(self.generator, self.discriminator)
        for state, seed in zip(states, tf.unstack(random.layer_seeds(len(states)))):
            state.assign(seed)

    def reset_average(self):
        """Set the moving average to the generator's weights. Call it after you have given the generator other weights.

        Before the first training step `sample` and `evaluate` do it themselves.
        """
        if self.ema_generator is not None:
            self.ema_generator.set_weights(self.generator.get_weights())

    def _start_average(self):
        if not int(self.step.numpy()):
            self.reset_average()

    def _update_average(self):
        step = tf.cast(self.step.value, tf.float32)
        decay = tf.minimum(self.ema, (1.0 + step) / (10.0 + step))
        for average, weight in zip(self.ema_generator.weights, self.generator.weights):
            average.assign_add(tf.cast(1.0 - decay, average.dtype) * (weight - average))

    def _report(self, logs):
        for name, value in logs.items():
            checks.check_log(name, self._means, self.schedule)
            self._means[name].update_state(value)
        logs = {name: self._means[name].result() for name in logs}
        strategy = tf.distribute.get_strategy()
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        if several and strategy.extended._in_multi_worker_mode():
            # Keras averages them over their first axis here, which scalars do not have (keras-team/keras#20585).
            logs = {name: tf.reshape(value, (1,)) for name, value in logs.items()}
        return logs

    # What comes in: refused early, with a message that says how to put it right.

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        **kwargs,
    ):
        """As `keras.Model.fit`. The first batch is looked at before anything else happens.

        With `steps_per_execution` above 1 Keras rounds `steps_per_epoch` up to a multiple of it.

        Args:
            x: Images in `value_range`, (batch, height, width, channels): an array, or a data set of images or (images, labels):
                a `tf.data.Dataset`, a `keras.utils.PyDataset`, a Python generator, PyTorch's `DataLoader`.
            y: Integer labels, for a conditional GAN with `x` an array; ignored by an unconditional one.
            steps_per_epoch: As in Keras, but 0 trains no step: what is left of a run that has ended.

        Raises:
            ValueError: The data are not what this GAN can train on, or a callback cannot work on a GAN.
        """
        checks.check_callbacks(callbacks)
        x = self.check_data(x, y, batch_size, validation_split)
        if validation_data is not None:
            held_out, *rest = keras.utils.unpack_x_y_sample_weight(validation_data)
            held_out = self._check_source(held_out, rest[0], kwargs.get("validation_batch_size") or batch_size)
            validation_data = keras.utils.pack_x_y_sample_weight(held_out, *rest)
        if not (checks.is_array(x) or isinstance(x, keras.utils.PyDataset)):
            kwargs.setdefault("shuffle", False)  # Keras warns that it leaves the shuffling to the source
        steps = kwargs.get("steps_per_epoch")
        if steps is not None and steps < 1:
            if steps < 0:
                raise ValueError(f"steps_per_epoch must be 0 or more. Received: steps_per_epoch={steps}; the run has ended.")
            # Without end to Keras.
            kwargs.update(steps_per_epoch=None, initial_epoch=epochs)
        with checks.readable_errors():
            history = super().fit(
                x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, **kwargs
            )
        # As Keras does for `model.optimizer`, where use_ema is set.
        self.d_optimizer.finalize_variable_values(self.discriminator.trainable_variables)
        self.g_optimizer.finalize_variable_values(self.generator.trainable_variables)
        return history

    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """As `keras.Model.evaluate`, on held-out images. The first batch is looked at as in `fit`."""
        if not kwargs.get("_use_cached_eval_dataset"):  # then `fit` is asking, and has looked
            x = self._check_source(x, y, batch_size)
            self._start_average()
        with checks.readable_errors():
            return super().evaluate(x, y, batch_size, *args, **kwargs)

    def train_on_batch(self, x, y=None, *args, **kwargs):
        """As `keras.Model.train_on_batch`: one step."""
        self.check_data(x, y, batch_size=len(x))
        with checks.readable_errors():
            return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(self, x, y=None, *args, **kwargs):
        """As `keras.Model.test_on_batch`."""
        self._check_source(x, y, batch_size=len(x))
        with checks.readable_errors():
            return super().test_on_batch(x, y, *args, **kwargs)

    def check_data(self, x, y=None, batch_size=None, validation_split=0.0):
        """Raise ValueError if the first batch is not what this GAN can train on. `fit` begins with it.

        Returns:
            x; for a Python generator another one, which begins with the batch that was looked at.
        """
        if not self.compiled:
            raise ValueError("Call compile() before fit().")
        replicas = self.distribute_strategy.num_replicas_in_sync
        parts = self.schedule.batches_per_step * replicas
        if replicas > 1:
            # So that they see together the examples that a penalty sees on one.
            parts *= math.lcm(*(penalty.every for penalty in checks.penalties(self.discriminator_regularizers)))
        return self._check_source(x, y, batch_size, validation_split, parts)

    def check_labels(self, labels):
        """Raise ValueError unless the array `labels` holds integers from 0 to num_classes - 1."""
        checks.check_labels(labels, self.num_classes)

    def _check_source(self, x, y, batch_size=None, validation_split=0.0, parts=None):
        """Raise ValueError unless the first batch of `x` is good and its batches are multiples of `parts`; returns `x`."""
        if isinstance(x, tf.distribute.DistributedDataset):
            return x
        first, x = checks.first_batch(x, y if self.conditional else None)
        if first is None:
            raise ValueError(
                "The data set is empty: it yielded no batch. Is it smaller than one batch with drop_remainder?"
            )
        first = keras.tree.map_structure(np.asarray, first)
        images, labels = checks.unpack(first, self.discriminator, self.num_classes, self.value_range)
        checks.check_values(images, labels, self.num_classes, self.value_range)
        replicas = self.distribute_strategy.num_replicas_in_sync
        parts = parts or replicas
        if parts > 1:
            sizes = checks.batch_sizes(x, first, batch_size, validation_split)
            if replicas == 1 and not self.jit_compile and not isinstance(x, tf.data.Dataset):
                sizes.discard(None)  # the step itself will see
            checks.check_sizes(sizes, parts, replicas)
        return x

    # Saving: everything that a run needs to go on.

    def save(self, filepath, *args, **kwargs):
        """As `keras.Model.save`, to a .keras file."""
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"The HDF5 format holds one optimizer, and a GAN has two. Received: filepath={str(filepath)!r}; end it in .keras."
            )
        super().save(filepath, *args, **kwargs)

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        """As `keras.Model.export`: the function from latents (and labels) to images. `serving.export` writes more endpoints."""
        if input_signature is None:
            inputs = [keras.InputSpec(shape=x.shape, dtype=x.dtype) for x in self.generator.inputs]
            input_signature = [inputs if self.conditional else inputs[0]]
        super().export(filepath, format, verbose, input_signature, **kwargs)

    def get_config(self):
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "num_classes": self.num_classes,
            "ema": self.ema,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        players = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("generator", "discriminator")
        }
        return cls(**{**config, **players})

    def get_compile_config(self):
        if not self.compiled:
            return None
        parts = {
            "d_optimizer": self.d_optimizer,
            "g_optimizer": self.g_optimizer,
            "loss": self.adversarial_loss,
            "regularizers": list(self.discriminator_regularizers),
            "schedule": self.schedule,
        }
        return {**keras.saving.serialize_keras_object(parts), **self._execution}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))


def _copy(network, name):
    """A frozen copy with the same weights. Layers without weights are shared, so that they need not be serializable."""

    def clone(layer):
        return layer.from_config(layer.get_config()) if layer.variables else layer

    copy = keras.models.clone_model(network, clone_function=clone, recursive=True)
    copy.name = name
    copy.set_weights(network.get_weights())
    copy.trainable = False
    return copy


def _seed_states(*networks):
    """The states of the seed generators of Dropout and its like."""
    return [v for network in networks for v in network.variables if v.name == "seed_generator_state"]


def _seeded(states, seeds):
    """A scope in which seed generators begin with these seeds, and which leaves them as they are."""
    return keras.StatelessScope(state_mapping=list(zip(states, tf.unstack(seeds), strict=True)))


def _after(gradients, logs):
    """Weights are assigned only when everything that reads them has been computed.

    tf.function promises this order, but its graph optimizer merges equal reads (R1's pass over the real images is the same as
    the loss's) and loses it: a generator's gradient then sees some of the discriminator's new weights, in some runs.
    """
    return tf.control_dependencies([g for g in gradients if g is not None] + list(logs.values()))


def _agreed(optimizer, gradients):
    """Gradients that overflow on one replica, NaN on all: a LossScaleOptimizer asks its own alone whether to skip the step."""
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if not scaled or tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return gradients
    broken = [tf.logical_not(tf.reduce_all(tf.math.is_finite(g))) for g in gradients if g is not None]
    replicas = tf.distribute.get_replica_context().all_reduce("SUM", tf.cast(tf.reduce_any(broken), tf.float32))
    return [None if g is None else tf.where(replicas > 0.0, tf.cast(np.nan, g.dtype), g) for g in gradients]


def _float32(tensor):
    """Losses and penalties are computed in float32, whatever the players compute in."""
    return tf.cast(tensor, tf.float32)


def _share_of_replica(loss):
    """Optimizers sum gradients over replicas; the loss of the whole batch is the mean of the replicas' losses."""
    return loss / tf.distribute.get_strategy().num_replicas_in_sync


def _get_regularizers(identifiers):
    if not isinstance(identifiers, (list, tuple)):
        identifiers = [identifiers]
    return tuple(regularizers.get(identifier) for identifier in identifiers)
