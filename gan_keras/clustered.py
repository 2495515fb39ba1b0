"""A GAN whose labels are parts of latents: for labels that users do not give in sampling, such as clusters."""

import math

import keras
import tensorflow as tf

from gan_keras import checks, priors, replicas
from gan_keras.gan import GAN

_GOLDEN = (math.sqrt(5) - 1) / 2


@keras.saving.register_keras_serializable(package="gan_keras")
class ClusteredGAN(GAN):
    """A GAN that is trained with labels, like a conditional one, and sampled without them: for labels such as `clusters.spectral`.

    One part of the generator's latents is the label. In training, it is the label of the real image. In sampling, it is random:
    labels occur as often as in training, and evenly: among 100 samples, their counts differ from the expected ones by at most
    two. Sage, Agustsson, Timofte, Van Gool 2018, "Logo Synthesis and Manipulation with Clustered Generative Adversarial Networks".

    Args:
        generator: As in `GAN`; it takes latents alone.
        discriminator: As in `GAN`; it may take labels.
        prior: `priors.Joint` with the part that is the label.
        part: Name of this part, a `priors.Categorical`. Its size is `num_classes`.
        arguments: As in `GAN`, without `num_classes`.

    Attributes:
        label_shares: Frequency of each label in training; a weight, and saved.

    Raises:
        TypeError: An argument is unknown.
        ValueError: The prior has no such part; the generator takes labels.
    """

    def __init__(self, generator, discriminator, prior, part="cluster", **arguments):
        checks.check_arguments("ClusteredGAN", {"num_classes"} & arguments.keys())
        prior = priors.get(prior)
        number = checks.check_label_part(part, prior, generator)
        super().__init__(generator, discriminator, prior=prior, num_classes=number, **arguments)
        self.part = part
        self.label_shares = self.add_weight(
            shape=(number,),
            initializer=keras.initializers.Constant(1.0 / number),
            trainable=False,
            aggregation="only_first_replica",
            name="label_shares",
        )

    @property
    def needs_labels(self):
        return True

    def draw_latents(self, random, rows, labels=None):
        parts = super().draw_latents(random, rows)
        labels = self._draw_labels(random, rows) if labels is None else labels
        return {**parts, self.part: tf.one_hot(labels, self.num_classes)}

    def _draw_labels(self, random, rows):
        ends = tf.cumsum(self.label_shares.value)
        # Steps of the golden ratio from a random start: labels have nearly their frequencies in any number of successive samples.
        places = tf.math.floormod(random.uniform((1, 1)) + _GOLDEN * tf.range(rows, dtype=tf.float32)[:, tf.newaxis], 1.0)
        return tf.reduce_sum(tf.cast(places * ends[-1] >= ends[:-1], tf.int32), axis=1)

    def train_step(self, data):
        logs = super().train_step(data)
        _, labels = self.unpack(data)
        with tf.control_dependencies(list(logs.values())):  # a step that fails does not count
            (seen,) = replicas.mean([tf.reduce_mean(tf.one_hot(tf.cast(labels, tf.int32), self.num_classes), axis=0)])
            self.label_shares.assign_add((seen - self.label_shares) / tf.cast(self.step.value, tf.float32))
        return logs

    def get_config(self):
        config = super().get_config()
        del config["num_classes"]
        return {**config, "part": self.part}
