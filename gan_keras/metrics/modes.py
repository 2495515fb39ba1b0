"""Modes of toys: how many are hit, how well, how evenly."""

import numpy as np
import scipy

from gan_keras.metrics.arrays import vectors


def mode_counts(points, centers, deviation):
    """Number of modes hit, fraction of high-quality samples, and KL of the mode frequencies, for a mixture of known Gaussians.

    A sample has high quality if it is within 3 standard deviations of the nearest center; a mode is hit if it has such a sample. A
    perfect generator has a fraction of 0.9889 in two dimensions.

    Args:
        points: (n, d).
        centers: (modes, d).
        deviation: Standard deviation of every mode, above 0.

    Returns:
        modes: int, 0 to the number of centers; higher is better.
        high_quality: float, fraction of all samples, 0 to 1; higher is better.
        kl: `kl_from_uniform` of the modes of high-quality samples, in nats; lower is better. Infinite if there are none.

    Raises:
        ValueError: Wrong shapes, NaN, deviation not above 0.

    Srivastava et al. 2017, VEEGAN, section 4.1; Lin et al. 2018, PacGAN, section 4.1, and the authors' code.
    """
    if not deviation > 0:
        raise ValueError(f"deviation must be above 0. Received: {deviation}")
    centers = vectors("centers", centers)
    points = vectors("points", points, width=centers.shape[1])
    distances = np.linalg.norm(points[:, np.newaxis] - centers, axis=2)
    nearest = distances.argmin(axis=1)
    good = distances.min(axis=1) <= 3.0 * deviation
    modes = nearest[good]
    return len(np.unique(modes)), float(good.mean()), kl_from_uniform(modes, len(centers))


def kl_from_uniform(labels, number):
    """KL(frequencies of the labels || uniform over `number` labels), in nats: 0 if they are equal, log(number) for a single label.

    For n random labels of a uniform distribution, it is about (number - 1) / (2 n). Metz et al. 2017, "Unrolled Generative
    Adversarial Networks", section 3.3.1, for stacked MNIST.

    Args:
        labels: Integers (n,) from 0 to number - 1.
        number: Number of labels.

    Returns:
        A float; infinity for n = 0.

    Raises:
        ValueError: Labels of another shape, type or range.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size and (labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= number):
        raise ValueError(
            f"labels must be integers (n,) from 0 to {number - 1}. Received: shape {labels.shape}, {labels.dtype}."
        )
    if not labels.size:
        return float("inf")
    return float(scipy.stats.entropy(np.bincount(labels, minlength=number), np.ones(number)))
