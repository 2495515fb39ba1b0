"""Fidelity and diversity apart: is a sample near real ones, and is every real one near a sample?"""

import numpy as np

from gan_keras.metrics.arrays import pair, squared_distances


def precision_recall(real, generated, k=3):
    """Share of samples inside the real manifold (precision), and of real examples inside the generated one (recall).

        precision = mean_j [g_j lies in the ball of some r_i],    recall = mean_i [r_i lies in the ball of some g_j]

    A ball reaches from a point to its k-th nearest neighbour in its own set. Both are shares from 0 to 1, higher is better.
    High precision with low recall is mode collapse; the reverse, junk around the data. One outlier's large ball can raise
    either; `density_coverage` is hardened against it.

    Args:
        real, generated: Arrays of features (n, d), more than k rows each. Use equal numbers: both depend on them.
        k: Neighbour that a ball reaches to.

    Returns:
        (precision, recall): floats.

    Raises:
        ValueError: k or fewer rows, different widths, NaN.

    Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models", section 2; k = 3 there.
    """
    real, generated = _sets(real, generated, k)
    real_radii, generated_radii = _radii(real, k), _radii(generated, k)
    inside = np.zeros(len(generated), bool)
    recalled = np.empty(len(real), bool)
    for part, distances in squared_distances(real, generated):
        inside |= (distances < real_radii[part, np.newaxis]).any(axis=0)
        recalled[part] = (distances < generated_radii).any(axis=1)
    return float(inside.mean()), float(recalled.mean())


def density_coverage(real, generated, k=5):
    """How deep samples lie among real examples (density), and the share of real examples with a sample near (coverage).

        density = mean_j sum_i [g_j lies in the ball of r_i] / k,    coverage = mean_i [some g_j lies in the ball of r_i]

    Only balls of real examples count, so outliers among the samples do no harm. Density is 0 or more, about 1 for the
    real distribution and above it where samples crowd into the dense parts; coverage is a share, `1 - 2^-k` or so for two
    equal draws of one distribution. Higher is better for both; coverage is the figure for missing modes.

    Args:
        real, generated: Arrays of features (n, d), more than k rows of real ones. Use equal numbers: coverage depends on them.
        k: Neighbour that a ball reaches to.

    Returns:
        (density, coverage): floats.

    Raises:
        ValueError: k or fewer rows, different widths, NaN.

    Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models", section 3.2; k = 5 there.
    """
    real, generated = _sets(real, generated, k)
    radii = _radii(real, k)
    balls = 0
    covered = np.empty(len(real), bool)
    for part, distances in squared_distances(real, generated):
        within = distances < radii[part, np.newaxis]
        balls += within.sum()
        covered[part] = within.any(axis=1)
    return float(balls / (k * len(generated))), float(covered.mean())


def _sets(real, generated, k):
    if k < 1:
        raise ValueError(f"k is the number of a neighbour, 1 or more. Received: k={k}")
    return pair(real, generated, at_least=k + 1)


def _radii(points, k):
    """Squared distance of each point to its k-th nearest neighbour; the nearest of all is the point itself."""
    radii = np.empty(len(points))
    for part, distances in squared_distances(points, points):
        radii[part] = np.partition(distances, k, axis=1)[:, k]
    return radii
