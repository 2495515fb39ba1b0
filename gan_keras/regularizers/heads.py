"""Terms that read more outputs ("heads") of the discriminator: `keras.Model(images, {"score": ..., "features": ...})`."""

import keras
import tensorflow as tf

from gan_keras import replicas
from gan_keras.inside import heads, inside
from gan_keras.layers import Packing
from gan_keras.random import seed_states
from gan_keras.regularizers.base import Term


class HeadTerm(Term):
    """Base of the terms that read one head of the discriminator.

    Args:
        weight: As in `Term`.
        one_in: As in `Term`. The discriminator is called again on this part of the batch, so it saves no time here: the loss
            needs the scores of all examples anyway.
        head: The name of the discriminator's output.

    Raises:
        ValueError: As in `Term`; in `compile`, if the discriminator has no such output.
    """

    def __init__(self, weight=1.0, one_in=1, head=None):
        super().__init__(weight, one_in)
        self.head = head

    def prepare(self, gan):
        found = heads(gan.discriminator.output)
        if self.head not in found:
            raise ValueError(
                f"{type(self).__name__} reads the output {self.head!r} of the discriminator. Received: {', '.join(found)}. Give "
                f'the discriminator that output, keras.Model(images, {{"score": ..., "{self.head}": ...}}), or name another head.'
            )

    def get_config(self):
        return {**super().get_config(), "head": self.head}


@keras.saving.register_keras_serializable(package="gan_keras")
class FeatureMatching(HeadTerm):
    """Feature matching: the mean features of generated images approach those of the data.

    This target changes more slowly than the discriminator's score. Use it for semi-supervised learning.
    `weight * ||mean f(real) - mean f(fake)||^2`, with f the flattened head and means over the batch of all replicas.
    Salimans et al. 2016, "Improved Techniques for Training GANs", section 3.1.

    Args:
        weight, one_in: As in `Term`.
        head: The output with the features, a hidden layer of the discriminator.
    """

    name = "feature_matching"
    players = ("generator",)

    def __init__(self, weight=1.0, one_in=1, head="features"):
        super().__init__(weight, one_in, head)

    def term(self, forward):
        means = [tf.reduce_mean(outputs[self.head], axis=0) for outputs in (forward.on_real, forward.on_fake)]
        real, fake = replicas.mean(means)
        return tf.reduce_sum(tf.square(real - fake))


@keras.saving.register_keras_serializable(package="gan_keras")
class MutualInformation(HeadTerm):
    """InfoGAN: a part of the latents, the code, can be predicted from the generated image, so it gets a meaning.

    `-weight * mean(log q(code | G(z, code)))`, an upper bound of `weight * (H(code) - I(code; G))`, for both players. q is a head
    of the discriminator: logits for a `priors.Categorical`; else the means of normal distributions, or means followed by
    logarithms of variances. Chen et al. 2016, "InfoGAN", equations 5 and 6.

    Args:
        weight: The paper's lambda, 1. The term of a continuous code is half a squared error, so a narrow range needs a large weight.
        one_in: As in `Term`.
        code: The name of the part in `priors.Joint`. The term is logged as mutual_information_CODE.
        head: The name of the discriminator's output; by default the same as `code`.

    Raises:
        ValueError: As in `HeadTerm`; in `compile`, if the prior has no such part, the head does not fit it, or the discriminator
            has `Packing`.
    """

    players = ("discriminator", "generator")

    def __init__(self, weight=1.0, one_in=1, code="code", head=None):
        super().__init__(weight, one_in, head or code)
        self.code, self.name = code, f"mutual_information_{code}"

    def prepare(self, gan):
        super().prepare(gan)
        if self.code not in gan.prior.parts:
            raise ValueError(
                f"MutualInformation needs a named part of the latents. Received: code={self.code!r}, where the parts are "
                f"{', '.join(gan.prior.parts)}. Name it in the prior: GAN(prior=priors.Joint(z=..., {self.code}=...))."
            )
        _check_single(self, gan)
        part, width = gan.prior.parts[self.code], heads(gan.discriminator.output)[self.head].shape[-1]
        try:
            part.cross_entropy(tf.zeros((1, part.size)), tf.zeros((1, width)))
        except ValueError as error:
            raise ValueError(f"The output {self.head!r} does not fit the code {self.code!r}. {error}") from None

    def term(self, forward):
        prior = forward.prior.parts[self.code]
        return prior.cross_entropy(forward.latents[self.code], forward.on_fake[self.head])

    def get_config(self):
        return {**super().get_config(), "code": self.code}


@keras.saving.register_keras_serializable(package="gan_keras")
class Classification(HeadTerm):
    """A discriminator that also predicts the class: AC-GAN, and semi-supervised learning.

    `weight * mean(cross-entropy(label, head))`, where the head has logits (batch, classes).
    On real images, the term is the discriminator's, and images with the label -1 are left out. On generated images, it is a term
    of both players, with the labels of the generator's input. AC-GAN has both: Odena, Olah, Shlens 2017, "Conditional Image
    Synthesis with Auxiliary Classifier GANs", equation 3. For K + 1 classes (Salimans et al. 2016, section 5), use the term on
    real images and the score `logsumexp(logits)`.

    Args:
        weight, one_in: As in `Term`.
        on: "real" or "generated". The term is logged as classification_real or classification_generated.
        head: The name of the discriminator's output.

    Raises:
        ValueError: As in `HeadTerm`; `on` is neither "real" nor "generated"; in `compile`, if the GAN has no labels, the head has
            another number of classes, or the discriminator has `Packing`.
    """

    def __init__(self, weight=1.0, one_in=1, on="real", head="label"):
        super().__init__(weight, one_in, head)
        if on not in ("real", "generated"):
            raise ValueError(f"Classification is on 'real' or 'generated' images. Received: on={on!r}")
        self.on, self.name = on, f"classification_{on}"
        self.players = ("discriminator",) if on == "real" else ("discriminator", "generator")

    def prepare(self, gan):
        super().prepare(gan)
        if gan.num_classes is None or self.on == "generated" and not gan.needs_labels:
            networks = "" if self.on == "real" else " with a generator of [latents, labels], or a ClusteredGAN"
            raise ValueError(
                f"Classification on {self.on} images needs labels: GAN(num_classes=...){networks}. Received: num_classes="
                f"{gan.num_classes}, a generator of {len(gan.generator.inputs)} inputs."
            )
        _check_single(self, gan)
        classes = heads(gan.discriminator.output)[self.head].shape[-1]
        if classes != gan.num_classes:
            raise ValueError(
                f"The head {self.head!r} must have a logit for each of the num_classes={gan.num_classes}. Received: {classes}"
            )

    def term(self, forward):
        labels = forward.labels if self.on == "real" else forward.fake_labels
        logits = (forward.on_real if self.on == "real" else forward.on_fake)[self.head]
        known = tf.cast(labels >= 0, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
        (share,) = replicas.mean([tf.reduce_mean(known)])
        return tf.math.divide_no_nan(tf.reduce_mean(known * losses), share)

    def get_config(self):
        return {**super().get_config(), "on": self.on}


@keras.saving.register_keras_serializable(package="gan_keras")
class Consistency(HeadTerm):
    """The discriminator's answer is the same for two views of a real image.

    For a discriminator with layers that are random in training, such as DiffAugment, GaussianNoise or Dropout. Applied to the
    score, it makes the discriminator ignore these changes. Applied to class probabilities, it carries few labels over to similar
    images. It costs one more pass of the discriminator, and is 0 on held-out data.

        weight * mean(||a(head(x')) - a(head(x''))||^2)    for two views x', x'' of x and the activation a
        weight * mean(||a(head(x')) - a(average(x))||^2)    with average=True, for the moving average of the discriminator

    Zhang, Zhang, Odena, Lee 2020, "Consistency Regularization for Generative Adversarial Networks", section 2, where one of the
    views is x itself; Wei et al. 2018, "Improving the Improved Training of Wasserstein GANs", section 3, where Dropout makes the
    views, also for semi-supervised learning; Tarvainen and Valpola 2017, "Mean teachers are better role models", section 2, with
    the average.

    Args:
        weight: 10 in Zhang et al. 2020. For class probabilities, begin with a small one.
        one_in: As in `Term`.
        head: The name of the discriminator's output. The term is logged as consistency_HEAD.
        activation: A Keras activation by name, such as "softmax"; by default the head itself is compared.
        average: Whether to compare with the moving average of the discriminator, which sees the unchanged image and gets no
            gradient.

    Raises:
        ValueError: As in `HeadTerm`; `average` is not a bool, or the activation is unknown; in `compile`, if no layer of the
            discriminator is random, or it has no moving average.
    """

    def __init__(self, weight=10.0, one_in=1, head="score", activation=None, average=False):
        super().__init__(weight, one_in, head)
        if not isinstance(average, bool):
            raise ValueError(f"average is True or False. Received: average={average!r}")
        self.average = average
        self.activation, self.name = keras.activations.get(activation), f"consistency_{head}"

    def prepare(self, gan):
        super().prepare(gan)
        if not seed_states(gan.discriminator):
            raise ValueError(
                "Consistency compares two random views of an image, and this discriminator has no layer that is random in "
                "training. Give it one: layers.DiffAugment, keras.layers.GaussianNoise, keras.layers.Dropout."
            )
        if self.average and "discriminator" not in gan.averaged:
            raise ValueError(
                "Consistency(average=True) uses the moving average of the discriminator. Give the GAN one: "
                f'GAN(..., ema=0.999, averaged=["discriminator"]). Received: averaged={list(gan.averaged)}'
            )

    def term(self, forward):
        second = forward.judged if self.average else forward.outputs
        one, other = (self.activation(made[self.head]) for made in (forward.on_real, second(forward.images)))
        other = tf.stop_gradient(other) if self.average else other
        squares = tf.reduce_sum(tf.reshape(tf.square(one - other), (tf.shape(one)[0], -1)), axis=1)
        return tf.reduce_mean(squares)

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "activation": activation, "average": self.average}


def _check_single(term, gan):
    if inside(gan.discriminator, Packing):
        raise ValueError(
            f"{type(term).__name__} reads what each image is, and this discriminator judges several at once (layers.Packing). Leave "
            "one of the two out."
        )
