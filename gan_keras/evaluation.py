"""Evaluation of samples: metrics, each with its value on real training images.

`Evaluator` has the real images and computes the metrics of samples, which docs/evaluation.md explains.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gan_keras import explore, metrics, plots
from gan_keras.classifier import DigitClassifier
from gan_keras.identifiers import unknown

# Metrics that compare all pairs use at most this many samples.
_PAIRS = 10_000
_LATENT_IMAGES = 64
_BLOCK = 256


class Metric(NamedTuple):
    """The printed name of a metric, and which values are better: "lower", "higher", "as real data", or the ideal value."""

    title: str
    better: str


METRICS = {
    "frechet_distance": Metric("Frechet distance", "lower"),
    "kernel_distance": Metric("kernel distance", "lower"),
    "classifier_score": Metric("classifier score", "higher"),
    "classifier_score_32": Metric("classifier score, batches of 32", "higher"),
    "sure_share": Metric("confidence over 0.9", "higher"),
    "share_gap": Metric("largest class gap", "lower"),
    "precision": Metric("precision", "higher"),
    "recall": Metric("recall", "higher"),
    "density": Metric("density", "as real data"),
    "coverage": Metric("coverage", "higher"),
    "parzen_log_likelihood": Metric("Parzen log-likelihood", "higher"),
    "train_neighbour_mse": Metric("nearest training image, MSE", "as real data"),
    "test_neighbour_mse": Metric("nearest held-out image, MSE", "as real data"),
    "memorisation_ratio": Metric("memorisation ratio", "as real data"),
    "two_sample_accuracy": Metric("two-sample accuracy", "0.5"),
    "latent_recovery_mse": Metric("latent recovery, MSE", "lower"),
    "label_accuracy": Metric("label accuracy", "higher"),
    "label_cross_entropy": Metric("label cross-entropy", "lower"),
    "test_errors": Metric("held-out images of the wrong class", "lower"),
    "code_errors": Metric("held-out images of the wrong code", "lower"),
    "reconstruction": Metric("reconstruction, RMSE of a pixel", "lower"),
    "bound": Metric("lower bound of the likelihood", "higher"),
    "modes": Metric("modes hit", "higher"),
    "sure_modes": Metric("modes hit, confidence over 0.9", "higher"),
    "confidence": Metric("classifier's confidence", "higher"),
    "high_quality": Metric("high-quality fraction", "as real data"),
    "kl": Metric("KL of modes from uniform", "lower"),
    "wasserstein": Metric("Wasserstein distance, sliced", "lower"),
}


def metric_of(name):
    """The `Metric` of a key; "NAME_errors" of any code are "code_errors"."""
    if name not in METRICS and name.endswith("_errors"):
        return METRICS["code_errors"]._replace(title=f"the same, code {name.removesuffix('_errors')}")
    return METRICS[name]


@dataclasses.dataclass
class Samples:
    """Samples, with all that the metrics need.

    Attributes:
        images: uint8; at most the first 10,000.
        features: float32 (n, d) of all n samples, or `None` without an extractor.
        probabilities: float32 (n, classes), or `None`.
        labels: Integers (n,), the labels of a conditional GAN's samples, or `None`.
        recover: Function from uint8 images and labels (or `None`) to the squared errors of the best latents, or `None`.
        own: The indices of samples that are training images, none of which is its own neighbour.
    """

    images: np.ndarray
    features: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    labels: np.ndarray | None = None
    recover: Callable | None = None
    own: np.ndarray | None = None


class Evaluator:
    """Metrics of samples against held-out images, in groups (docs/evaluation.md explains each):

        frechet        frechet_distance
        kernel         kernel_distance
        score          classifier_score, classifier_score_32, sure_share, share_gap; of an extractor that returns probabilities
        manifold       precision, recall, density, coverage
        parzen         parzen_log_likelihood
        memorisation   train_neighbour_mse, test_neighbour_mse, memorisation_ratio
        two_sample     two_sample_accuracy
        latent         latent_recovery_mse; of a model, not of its images alone
        labels         label_accuracy, label_cross_entropy; of a conditional model

    Args:
        train: uint8 images (n, height, width, channels) that the generator was trained on.
        test: uint8 images that it was not trained on; samples are compared with these.
        extractor: Function from uint8 images to features (n, d), or to (features, class probabilities). The default is the digit
            classifier that comes with the package, for images of 28x28x1. For other images, pass your own, such as a Keras
            application without its top. Its attribute `identity`, if it has one, is written to reports.
        seed: Seed of the random numbers in the metrics.
        train_labels: Integers (n,), the labels of `train`, for a conditional GAN: its samples have the same label frequencies, and
            the label metrics have a value on real images. `None`: the same number of samples for each label.

    Raises:
        ValueError: Images of the wrong type, rank or shape, or all of one value; labels that do not match them.

    Example:

    ```python
    evaluator = gan_keras.evaluation.Evaluator(data.load("mnist", "train")[0], data.load("mnist", "test")[0])
    values = evaluator.of_gan(gan, 10_000)  # {"frechet_distance": (5.1, None), "kernel_distance": (0.9, 0.02), ...}
    real = evaluator.real(10_000)
    ```
    """

    # Name of a group on the command line, and the attributes of `Samples` that it needs. The method `_NAME` computes it.
    GROUPS = {
        "frechet": (),
        "kernel": (),
        "score": ("probabilities",),
        "manifold": (),
        "parzen": (),
        "memorisation": (),
        "two_sample": (),
        "latent": ("recover",),
        "labels": ("probabilities", "labels"),
    }

    def __init__(self, train, test, extractor=None, seed=0, train_labels=None):
        self.train, self.test = _images("train", train), _images("test", test)
        if self.train.shape[1:] != self.test.shape[1:]:
            raise ValueError(
                f"train and test must be images of one shape. Received: {self.train.shape[1:]} and {self.test.shape[1:]}."
            )
        for name, images in (("train", self.train), ("test", self.test)):
            if (images == images.flat[0]).all():
                raise ValueError(f"Every pixel of {name} has the same value: there is nothing to compare with.")
        # Shuffled, so that a part is not a selection: MNIST's first test digits are easier than its last.
        self.test = self.test[np.random.default_rng(seed).permutation(len(self.test))]
        self.extractor = DigitClassifier() if extractor is None else extractor
        self.seed = seed
        self.train_labels = None if train_labels is None else np.asarray(train_labels)
        if train_labels is not None and (self.train_labels.shape != (len(train),) or self.train_labels.dtype.kind not in "iu"):
            raise ValueError(
                f"train_labels must be integers of shape ({len(train)},), one for each image of train. Received: "
                f"{self.train_labels.dtype} of shape {self.train_labels.shape}."
            )

    @property
    def identity(self):
        """The identity of the features: only distances of the same features can be compared."""
        name = getattr(self.extractor, "__name__", type(self.extractor).__name__)
        return getattr(self.extractor, "identity", f"unnamed extractor {name}")

    def of_gan(self, gan, n=10_000, groups=None, seed=1):
        """The metrics of a model: {name: (value, standard error or `None`)}.

        Args:
            gan, n, seed: As in `sample`.
            groups: As in `metrics`.

        Raises:
            ValueError: As in `sample` and `metrics`.
        """
        return self.metrics(self.sample(gan, n, seed), groups)

    def real(self, n=10_000, groups=None):
        """`metrics` of `n` random training images (or all, if there are fewer) instead of samples.

        A perfect generator would have these values. Latent recovery needs a generator, and is left out.

        Raises:
            ValueError: Unknown group.
        """
        groups = self._known(groups)
        chosen = np.random.default_rng(self.seed).permutation(len(self.train))[:n]
        labels = None if self.train_labels is None else self.train_labels[chosen]
        samples = self.describe([(self.train[chosen], labels)])
        samples.own = chosen
        return self.metrics(samples, [group for group in self._possible(samples) if group in groups])

    def sample(self, gan, n, seed=1):
        """`Samples` of a GAN, drawn and described in batches.

        Args:
            gan: A `GenerativeModel` of images, such as a `GAN`.
            n: Number of samples.
            seed: Seed of the latents, and of the order of a conditional GAN's labels.

        Raises:
            ValueError: The range of the images is unknown, or samples are not finite.
        """
        if gan.value_range is None:
            raise ValueError(
                "The GAN does not know the range of its images. Give it one, such as GAN(value_range=(-1, 1), ...)."
            )
        labels = None
        if gan.conditional:
            seen = np.arange(gan.num_classes) if self.train_labels is None else self.train_labels
            places = (np.arange(n) + 0.5) * len(seen) / n
            labels = np.random.default_rng(seed).permutation(np.sort(seen)[places.astype(int)])
        drawn = gan.sample_batches(n, seed, labels)
        samples = self.describe((plots.to_uint8(images, gan.value_range), some) for images, some in drawn)
        classes = None if samples.probabilities is None else samples.probabilities.shape[1]
        if not gan.conditional or gan.num_classes == classes:
            candidates = 1024 * (gan.num_classes if gan.conditional else 1)
            search = functools.partial(explore.invert, gan, starts=1, steps=100, candidates=candidates, seed=self.seed)
            samples.recover = lambda images, labels: search(images, labels).errors
        else:  # the extractor has other classes
            samples.labels = None
        return samples

    def describe(self, batches):
        """`Samples` of an iterable of (uint8 images, labels or `None`): their features, and the first 10,000 images.

        If any label is not a class of the extractor, all labels are left out.
        """
        images, features, probabilities, labels = [], [], [], []
        kept = 0
        for batch, batch_labels in _in_blocks(batches):
            batch = _images("samples", batch, self.test.shape[1:])
            described = self.extractor(batch)
            described = [np.asarray(part) for part in (described if isinstance(described, tuple) else (described,))]
            if any(part.shape[:1] != (len(batch),) for part in described):
                raise ValueError(
                    f"The extractor must return one row for each of {len(batch)} images. Received: "
                    f"{' and '.join(f'shape {part.shape}' for part in described)}."
                )
            features.append(described[0].reshape(len(batch), -1))
            probabilities.extend(described[1:2])
            labels.extend([] if batch_labels is None else [batch_labels])
            if kept < _PAIRS:
                images.append(batch[: _PAIRS - kept])
                kept += len(images[-1])
        if not images:
            raise ValueError("There are no samples to evaluate.")
        samples = Samples(
            np.concatenate(images),
            *(np.concatenate(part) if part else None for part in (features, probabilities, labels)),
        )
        if labels and probabilities and samples.labels.max() >= samples.probabilities.shape[1]:
            samples.labels = None
        return samples

    def metrics(self, samples, groups=None):
        """The metrics of `Samples`, by name: (value, standard error or `None`).

        Args:
            samples: From `sample` or `describe`.
            groups: Names in `GROUPS`; `None`: all that are possible.

        Raises:
            ValueError: An unknown group; too few samples; a group for which the samples lack something.
        """
        possible = self._possible(samples)
        groups = possible if groups is None else self._known(groups)
        for group in groups:
            if group not in possible:
                missing = next(need for need in self.GROUPS[group] if getattr(samples, need) is None)
                raise ValueError(f"The metrics {group!r} need {missing}, which these samples do not have. {_NEEDS[missing]}")
        return _with_errors({name: value for group in groups for name, value in getattr(self, f"_{group}")(samples).items()})

    def _possible(self, samples):
        """The names of the groups that are possible for samples."""
        return [g for g, needs in self.GROUPS.items() if all(getattr(samples, need) is not None for need in needs)]

    def _known(self, groups):
        """The names of groups in the order of `GROUPS`; all of them for `None`."""
        names = [groups] if isinstance(groups, str) else list(self.GROUPS if groups is None else groups)
        for name in names:
            if name not in self.GROUPS:
                raise unknown("group of metrics", name, self.GROUPS)
        return [group for group in self.GROUPS if group in names]

    @functools.cached_property
    def reference(self):
        """The held-out images as `Samples`."""
        return self.describe([(self.test, None)])

    # The groups. Each method returns {metric: value, or (value, standard error)}.

    def _frechet(self, samples):
        return {"frechet_distance": metrics.frechet_distance(self.reference.features, samples.features)}

    def _kernel(self, samples):
        real, made = self.reference.features, samples.features
        block = max(2, min(len(real) // 2, len(made) // 2, 1000))  # at least two, for a standard error
        return {"kernel_distance": metrics.kernel_distance(real, self._shuffled(made), block)}

    def _score(self, samples):
        made, real = samples.probabilities, self.reference.probabilities
        gaps = metrics.class_shares(made) - metrics.class_shares(real)
        return {
            "classifier_score": metrics.classifier_score(made),
            "classifier_score_32": metrics.classifier_score(self._shuffled(made), batch=32),
            "sure_share": (made.max(axis=1) > 0.9).mean(),
            "share_gap": abs(gaps).max(),
        }

    def _shuffled(self, samples):
        """Samples in random order: if labels are drawn evenly, a batch of successive samples is more even than real data."""
        return samples[np.random.default_rng(self.seed).permutation(len(samples))]

    def _manifold(self, samples):
        pair = self._pairs(self.reference.features, samples.features)
        values = *metrics.precision_recall(*pair), *metrics.density_coverage(*pair)
        return dict(zip(("precision", "recall", "density", "coverage"), values))

    def _parzen(self, samples):
        held_out, made = self.test[:_PAIRS] / 255.0, samples.images / 255.0
        # The bandwidth is chosen on held-out images, and others are measured: the generator was trained on neither.
        cut = max(1, len(held_out) // 10)
        bandwidth = metrics.choose_bandwidth(held_out[:cut], made)
        return {"parzen_log_likelihood": metrics.parzen_log_likelihood(held_out[cut:], made, bandwidth)}

    def _memorisation(self, samples):
        train, own = self.train, samples.own
        if own is not None:
            train = np.concatenate([train[own], np.delete(train, own, axis=0)])
        to_train = metrics.nearest_neighbours(samples.images, train, exclude_self=own is not None)[1].mean()
        to_test = metrics.nearest_neighbours(samples.images, self.test)[1].mean()
        ratio = to_train / to_test if to_test else np.inf
        return {"train_neighbour_mse": to_train, "test_neighbour_mse": to_test, "memorisation_ratio": ratio}

    def _two_sample(self, samples):
        real, made = self._pairs(self.test, samples.images)
        return {"two_sample_accuracy": metrics.two_sample_accuracy(real, made, seed=self.seed)}

    def _latent(self, samples):
        images, labels = self.test[:_LATENT_IMAGES], None
        if samples.labels is not None:  # each image with the label that the classifier predicts
            labels = self.reference.probabilities[: len(images)].argmax(axis=1)
        return {"latent_recovery_mse": samples.recover(images, labels).mean()}

    def _labels(self, samples):
        asked = samples.probabilities, samples.labels
        return {"label_accuracy": metrics.label_accuracy(*asked), "label_cross_entropy": metrics.label_cross_entropy(*asked)}

    def _pairs(self, real, made):
        n = min(len(real), len(made), _PAIRS)
        return real[:n], made[:n]


_NEEDS = {
    "probabilities": "Pass an extractor that returns (features, probabilities).",
    "labels": "They need samples of a conditional GAN, and an extractor of as many classes as it has.",
    "recover": "It needs the GAN, not only its images: evaluator.of_gan(gan, n), or evaluator.sample(gan, n). For a conditional GAN, "
    "the extractor must have as many classes as it.",
}


def toy_metrics(toy, points, seed=2):
    """The metrics of points of a `toys.Toy`, in the form of `Evaluator.metrics`.

    The sliced distance is to the same number of new points of the toy.
    """
    real, _ = toy.sample(len(points), seed)
    values = {"wasserstein": metrics.sliced_wasserstein(real, points)}
    if toy.centers is not None:
        values.update(zip(("modes", "high_quality", "kl"), metrics.mode_counts(points, toy.centers, toy.deviation)))
    return _with_errors(values)


def stacked_metrics(images, classifier):
    """Metrics of the modes of stacked digits, uint8 (n, height, width, 3), in the form of `Evaluator.metrics`.

    The classifier predicts the digit of each colour, also for junk. Therefore "sure_modes" counts only samples whose three digits
    all have a probability over 0.9, and "confidence" is the mean probability.
    """
    p = np.stack([classifier(images[..., [channel]])[1] for channel in range(3)], axis=1)
    labels = p.argmax(axis=2) @ [100, 10, 1]
    sure = p.max(axis=2)
    return _with_errors(
        {
            "modes": len(np.unique(labels)),
            "sure_modes": len(np.unique(labels[(sure > 0.9).all(axis=1)])),
            "kl": metrics.kl_from_uniform(labels, 1000),
            "confidence": float(sure.mean()),
        }
    )


def _with_errors(values):
    """{name: (value, standard error or `None`)} as Python numbers."""
    pairs = {name: value if isinstance(value, tuple) else (value, None) for name, value in values.items()}
    return {name: (value if isinstance(value, int) else float(value), error) for name, (value, error) in pairs.items()}


def _in_blocks(batches):
    """The same images in batches of at most 256, so that the extractor never gets a whole data set."""
    for images, labels in batches:
        for start in range(0, max(len(images), 1), _BLOCK):
            part = slice(start, start + _BLOCK)
            yield images[part], None if labels is None else labels[part]


def _images(name, images, shape=None):
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or not len(images):
        raise ValueError(
            f"{name} must be uint8 images (n, height, width, channels). Received: {images.dtype} of shape {images.shape}. "
            "gan_keras.plots.to_uint8 converts floats."
        )
    if shape is not None and images.shape[1:] != shape:
        raise ValueError(f"{name} must be images of shape {shape}, as the real ones. Received: {images.shape[1:]}.")
    return images
