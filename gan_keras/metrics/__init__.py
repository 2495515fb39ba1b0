"""Metrics of sample quality: functions from arrays to numbers, independent of GANs.

There is a file for each family: `frechet` and `kernel` compare distributions of features, `neighbours` measures fidelity and
diversity, `score` uses the probabilities of a classifier, `parzen`, `memorisation`, `two_sample` and `latent` use pixels, `modes`
counts the modes of toys, `transport` is exact optimal transport in one dimension and along random directions, `classes` counts the
errors of clusters.
"""

from gan_keras.metrics.classes import matched_errors
from gan_keras.metrics.frechet import Moments, frechet_bias, frechet_distance
from gan_keras.metrics.kernel import kernel_distance
from gan_keras.metrics.latent import recover_latents
from gan_keras.metrics.memorisation import nearest_neighbours
from gan_keras.metrics.modes import kl_from_uniform, mode_counts
from gan_keras.metrics.neighbours import density_coverage, precision_recall
from gan_keras.metrics.parzen import choose_bandwidth, parzen_log_likelihood
from gan_keras.metrics.score import class_shares, classifier_score, label_accuracy, label_cross_entropy
from gan_keras.metrics.transport import sliced_wasserstein, wasserstein_1d
from gan_keras.metrics.two_sample import two_sample_accuracy

__all__ = [
    "Moments",
    "choose_bandwidth",
    "class_shares",
    "classifier_score",
    "density_coverage",
    "frechet_bias",
    "frechet_distance",
    "kernel_distance",
    "kl_from_uniform",
    "label_accuracy",
    "label_cross_entropy",
    "matched_errors",
    "mode_counts",
    "nearest_neighbours",
    "parzen_log_likelihood",
    "precision_recall",
    "recover_latents",
    "sliced_wasserstein",
    "two_sample_accuracy",
    "wasserstein_1d",
]
