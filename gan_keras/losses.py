"""Adversarial losses: what each player minimises, as a function of the scores.

A score is the discriminator's raw output, a logit; no loss expects a sigmoid.

    loss.discriminator(real, fake)   the discriminator's loss on the scores of real and of generated examples
    loss.generator(real, fake)       the generator's loss on the same two

Each returns a scalar, which its player minimises. Losses in which each score counts by itself are a `SeparableLoss` with three
functions, each a mean over the batch: `real` and `fake` for the discriminator and `fool` for the generator.
"""

import abc

import keras
from keras import ops

from gan_keras import identifiers


class AdversarialLoss(abc.ABC):
    """Base of the adversarial losses: implement `discriminator` and `generator`.

    Subclass it if real scores are compared with generated ones, as in `Relativistic`; else subclass `SeparableLoss`.
    Register your class with `keras.saving.register_keras_serializable`; its `get_config` returns all its arguments.
    """

    @abc.abstractmethod
    def discriminator(self, real, fake):
        """The discriminator's loss: a scalar. `real` and `fake` are scores of the same shape, (batch, ...)."""

    @abc.abstractmethod
    def generator(self, real, fake):
        """The generator's loss: a scalar."""

    def metrics(self, real, fake):
        """{name: scalar} to log: the accuracies of the discriminator.

        A score above the midpoint of the two means counts as "real", since scores that are compared have no fixed zero.
        """
        return _accuracies(real, fake, (ops.mean(real) + ops.mean(fake)) / 2)

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _accuracies(real, fake, boundary):
    logs = {}
    if real is not None:
        logs["d_acc_real"] = ops.mean(ops.cast(real > boundary, "float32"))
    if fake is not None:
        logs["d_acc_fake"] = ops.mean(ops.cast(fake < boundary, "float32"))
    return logs


class SeparableLoss(AdversarialLoss):
    """Base of the losses in which each score counts by itself: implement `real`, `fake` and `fool`, means over all scores.

    `ThreeStep` needs such a loss, since it trains on the two halves of the discriminator's loss separately.

    Attributes:
        boundary: Scores above it count as "real".
    """

    boundary = 0.0

    @abc.abstractmethod
    def real(self, scores):
        """The discriminator's loss on the scores of real examples: a scalar."""

    @abc.abstractmethod
    def fake(self, scores):
        """The discriminator's loss on the scores of generated examples: a scalar."""

    @abc.abstractmethod
    def fool(self, scores):
        """The generator's loss on the scores of generated examples: a scalar."""

    def discriminator(self, real, fake):
        return self.real(real) + self.fake(fake)

    def generator(self, real, fake):
        return self.fool(fake)

    def metrics(self, real=None, fake=None):
        """{name: scalar} to log: the accuracies of the discriminator, for the scores that are passed."""
        return _accuracies(real, fake, self.boundary)


class LogisticLoss(SeparableLoss):
    """Base of the losses whose discriminator is a logistic classifier of real against generated.

    `real = mean(softplus(-s)) + label_smoothing * mean(s)`, `fake = mean(softplus(s))`: the cross-entropy with target
    `1 - label_smoothing` for real examples and 0 for generated ones.

    Args:
        label_smoothing: In [0, 1). One-sided: the target of generated examples stays 0, since smoothing it would reinforce the
            generator's present modes. Salimans et al. 2016, "Improved Techniques for Training GANs", section 3.4.

    Raises:
        ValueError: label_smoothing is not in [0, 1).
    """

    def __init__(self, label_smoothing=0.0):
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must be in [0, 1); 0.1 is usual. Received: {label_smoothing}")
        self.label_smoothing = label_smoothing

    def real(self, scores):
        # (1 - a) softplus(-s) + a softplus(s) = softplus(-s) + a s
        return ops.mean(ops.softplus(-scores) + self.label_smoothing * scores)

    def fake(self, scores):
        return ops.mean(ops.softplus(scores))

    def get_config(self):
        return {"label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="gan_keras")
class Minimax(LogisticLoss):
    """The original two-player game: the generator minimises what the discriminator maximises.

    Use it to study the game. The gradient of its generator vanishes where the samples are worst, for s << 0: the "vanishing
    gradient" of GANs. For training use `NonSaturating`.

    `fool = -mean(softplus(s))`, that is mean(log(1 - D)); at the optimal discriminator the value of the game is
    `2 JS(p, g) - 2 log 2`. Goodfellow et al. 2014, equation 1.
    """

    def fool(self, scores):
        return -ops.mean(ops.softplus(scores))


@keras.saving.register_keras_serializable(package="gan_keras")
class NonSaturating(LogisticLoss):
    """The usual GAN loss: the generator maximises log D instead of minimising log(1 - D).

    `fool = mean(softplus(-s))`, which is also KL(delta_1 || Bernoulli(sigmoid(s))). Its derivative is -1 for s << 0, where that
    of `Minimax` is 0. Goodfellow et al. 2014, section 3.
    """

    def fool(self, scores):
        return ops.mean(ops.softplus(-scores))


@keras.saving.register_keras_serializable(package="gan_keras")
class Jeffreys(LogisticLoss):
    """The symmetric Kullback-Leibler divergence between data p and generated g.

    With a logistic discriminator s estimates log(p / g), and the generator descends (KL(g, p) + KL(p, g)) / 2:
    `fool = -mean(s + exp(s)) / 2`. At fixed s its gradient is that of the divergence (Nowozin, Cseke, Tomioka 2016,
    "f-GAN", tables 1 and 2: the conjugates of both KLs at their optimal T).

    Args:
        label_smoothing: As in `LogisticLoss`.
        max_log_ratio: Above this score, exp is replaced by its tangent, so that it cannot overflow. 10 means 22,026 times as likely
            under the data.

    Raises:
        ValueError: label_smoothing is not in [0, 1), or max_log_ratio is not in (0, 80].
    """

    def __init__(self, label_smoothing=0.0, max_log_ratio=10.0):
        super().__init__(label_smoothing)
        if not 0.0 < max_log_ratio <= 80.0:
            raise ValueError(f"max_log_ratio must be in (0, 80], where exp is finite in float32. Received: {max_log_ratio}")
        self.max_log_ratio = max_log_ratio

    def fool(self, scores):
        bounded = ops.minimum(scores, self.max_log_ratio)
        ratio = ops.exp(bounded) * (1.0 + scores - bounded)
        return -0.5 * ops.mean(scores + ratio)

    def get_config(self):
        return {**super().get_config(), "max_log_ratio": self.max_log_ratio}


@keras.saving.register_keras_serializable(package="gan_keras")
class LeastSquares(SeparableLoss):
    """LSGAN: regression to 1 for real and 0 for generated examples.

    Examples that are far from the boundary and classified correctly still get a gradient; it is 0 at the target.

    `real = mean((s - 1)^2) / 2`, `fake = mean(s^2) / 2`, `fool = mean((s - 1)^2) / 2`.
    Mao et al. 2017, "Least Squares Generative Adversarial Networks", equation 9.
    """

    boundary = 0.5

    def real(self, scores):
        return 0.5 * ops.mean(ops.square(scores - 1.0))

    def fake(self, scores):
        return 0.5 * ops.mean(ops.square(scores))

    def fool(self, scores):
        return 0.5 * ops.mean(ops.square(scores - 1.0))


@keras.saving.register_keras_serializable(package="gan_keras")
class Hinge(SeparableLoss):
    """The hinge loss: the discriminator ignores scores beyond the margin. Usual with spectral normalization.

    `real = mean(relu(1 - s))`, `fake = mean(relu(1 + s))`, `fool = -mean(s)`.
    Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018, equations 16 and 17.
    """

    def real(self, scores):
        return ops.mean(ops.relu(1.0 - scores))

    def fake(self, scores):
        return ops.mean(ops.relu(1.0 + scores))

    def fool(self, scores):
        return -ops.mean(scores)


@keras.saving.register_keras_serializable(package="gan_keras")
class Wasserstein(AdversarialLoss):
    """The Wasserstein loss: the difference of a 1-Lipschitz critic's mean scores estimates W1(data, generated).

    It needs something that makes the critic Lipschitz: `WeightClipping` (WGAN), `GradientPenalty` (WGAN-GP), spectral
    normalization or your own layers; `compile` warns if it finds none.

    `discriminator = mean(fake) - mean(real)`, `generator = -mean(fake)`; `wasserstein`, mean(real) - mean(fake), is logged.
    Arjovsky, Chintala, Bottou 2017, "Wasserstein GAN", algorithm 1; by Kantorovich and Rubinstein the infimum over
    couplings of E|x - y| is the supremum of that difference over 1-Lipschitz critics.
    """

    def discriminator(self, real, fake):
        return ops.mean(fake) - ops.mean(real)

    def generator(self, real, fake):
        return -ops.mean(fake)

    def metrics(self, real, fake):
        return {**super().metrics(real, fake), "wasserstein": ops.mean(real) - ops.mean(fake)}


@keras.saving.register_keras_serializable(package="gan_keras")
class Relativistic(AdversarialLoss):
    """The relativistic pairing loss: each real score is compared with a generated one. With R1 and R2 it is R3GAN.

    The discriminator learns to score each real example above its generated partner, so the generator pays for a missing mode. Use
    gradient penalties on both sides, `regularizers=["r1", "r2"]`.

    `discriminator = mean(softplus(-(real - fake)))`, `generator = mean(softplus(real - fake))` with constant real scores; both are
    log 2 if the scores are equal. Jolicoeur-Martineau 2019, "The relativistic discriminator"; Huang, Gokaslan, Kuleshov,
    Tompkin 2024, "The GAN is dead; long live the GAN! A Modern GAN Baseline", equation 2, in the non-saturating form of the
    authors' code.
    """

    def discriminator(self, real, fake):
        return ops.mean(ops.softplus(fake - real))

    def generator(self, real, fake):
        return ops.mean(ops.softplus(ops.stop_gradient(real) - fake))


@keras.saving.register_keras_serializable(package="gan_keras")
class DiscriminatorOnly(LogisticLoss):
    """A logistic discriminator; the generator learns only from regularizers, such as `FeatureMatching`.

    `fool = 0`. Salimans et al. 2016, "Improved Techniques for Training GANs", section 3.1, as in the authors' code.
    """

    def fool(self, scores):
        return ops.zeros(())


_LOSSES = {
    "minimax": Minimax,
    "non_saturating": NonSaturating,
    "least_squares": LeastSquares,
    "hinge": Hinge,
    "wasserstein": Wasserstein,
    "jeffreys": Jeffreys,
    "relativistic": Relativistic,
    "discriminator_only": DiscriminatorOnly,
}


def get(identifier):
    """The loss with this name, such as "hinge"; or the instance or saved config that is passed.

    Raises:
        ValueError: The name is unknown, or it is no loss.
    """
    return identifiers.get("loss", AdversarialLoss, _LOSSES, identifier)
