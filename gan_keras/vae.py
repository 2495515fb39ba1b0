"""The variational autoencoder, for comparisons: it is sampled, evaluated, exported and resumed like a GAN."""

import keras
import tensorflow as tf

from gan_keras import checks, replicas, sizes
from gan_keras.forward import float32
from gan_keras.generative import GenerativeModel, frozen_copy
from gan_keras.random import EVALUATION, TRAINING, Random, seed_layers, seed_states, seeded


@keras.saving.register_keras_serializable(package="gan_keras")
class VAE(GenerativeModel):
    """A variational autoencoder: `compile(optimizer)`, `fit`, `sample`.

    Minimises `loss = reconstruction + kl`, means over the batch of

        reconstruction = sum over pixels of (x - generator(z))^2 / (2 deviation^2), z = mean + exp(log_variance / 2) noise
        kl             = KL(N(mean, exp(log_variance)) || N(0, 1)) = sum of (mean^2 + exp(log_variance) - log_variance - 1) / 2

    Kingma and Welling 2014, "Auto-Encoding Variational Bayes", equation 10, with a Gaussian decoder.

    Args:
        generator: The decoder, as in `GenerativeModel`; without labels.
        encoder: Functional `keras.Model` from images to (batch, 2 latent_dim): means, followed by logarithms of variances.
        deviation: Standard deviation of a pixel around the decoder's output. A smaller one gives sharper reconstructions, and
            latents that match the prior less.
        seed, ema, value_range: As in `GenerativeModel`; with `ema` there is also a moving average of the encoder. The prior is
            standard normal.
    """

    def __init__(self, generator, encoder, deviation=1.0, seed=0, ema=None, value_range=None, **kwargs):
        super().__init__(generator, None, seed, ema, None, value_range, **kwargs)
        checks.check_encoder(encoder, generator, deviation)
        self.encoder, self.deviation = encoder, deviation
        self.ema_encoder = None if ema is None else frozen_copy(encoder, "ema_encoder")

    @property
    def recognizer(self):
        """The encoder that evaluates: its moving average if there is one, else the encoder."""
        return self.encoder if self.ema_encoder is None else self.ema_encoder

    def averages(self):
        return [*super().averages(), *([] if self.ema_encoder is None else [(self.encoder, self.ema_encoder)])]

    def compile(self, optimizer="adam", jit_compile="auto", steps_per_execution=1, run_eagerly=False):
        """As `keras.Model.compile`, with one optimizer for both networks and the loss above."""
        replicas.check_execution(jit_compile, steps_per_execution)
        self._execution = {
            "jit_compile": jit_compile,
            "steps_per_execution": steps_per_execution,
            "run_eagerly": run_eagerly,
        }
        optimizer = replicas.loss_scaled(keras.optimizers.get(optimizer), self.generator, self.encoder)
        super().compile(optimizer, loss=None, **self._execution)
        self.optimizer.build(self._variables())
        self.measure(["loss", "reconstruction", "kl"])

    def train_step(self, data):
        images, random = self._images(data), Random(self.seed, TRAINING, self.step.value)
        seed_layers(random, self.encoder, self.generator)
        with tf.GradientTape() as tape:
            logs = self._measured(images, random, training=True)
            scaled = replicas.scaled(self.optimizer, logs["loss"])
        checks.check_no_losses([self.generator, self.encoder], "VAE")
        gradients = tape.gradient(scaled, self._variables())
        self.optimizer.apply_gradients(zip(replicas.agreed(self.optimizer, gradients), self._variables()))
        with tf.control_dependencies([logs["loss"]]):  # a step that fails does not count
            self.finish_step()
        return self.report(logs, images)

    def test_step(self, data):
        images, random = self._images(data), Random(self.seed, EVALUATION, self.examples_seen)
        states = seed_states(self.recognizer, self.sampler)
        with seeded(states, random.layer_seeds(len(states))):
            logs = self._measured(images, random, training=False)
        return self.report(logs, images)

    def _images(self, data):
        return sizes.divisible(float32(self.unpack(data)[0]))

    def _measured(self, images, random, training):
        encoder = self.encoder if training else self.recognizer
        mean, log_variance = tf.split(float32(encoder(images, training=training)), 2, axis=-1)
        z = mean + tf.exp(log_variance / 2) * random.normal((tf.shape(images)[0], self.latent_dim))
        errors = tf.square(images - float32(self(z, training=training)))
        reconstruction = tf.reduce_mean(tf.reduce_sum(tf.reshape(errors, (tf.shape(images)[0], -1)), axis=1))
        reconstruction /= 2 * self.deviation**2
        kl = tf.reduce_mean(tf.reduce_sum(tf.square(mean) + tf.exp(log_variance) - log_variance - 1, axis=-1)) / 2
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    def _variables(self):
        return [*self.generator.trainable_variables, *self.encoder.trainable_variables]

    def get_config(self):
        config = super().get_config()
        del config["prior"], config["num_classes"]
        return {**config, "encoder": keras.saving.serialize_keras_object(self.encoder), "deviation": self.deviation}

    def get_compile_config(self):
        if not self.compiled:
            return None
        return {"optimizer": keras.saving.serialize_keras_object(self.optimizer), **self._execution}
