"""Fidelity and diversity: is each sample near real ones, and is each real one near a sample?"""

import numpy as np

from gan_keras.metrics.arrays import pair, squared_distances


def precision_recall(real, generated, k=3):
    """Fraction of samples inside the real manifold (precision), and of real examples inside the generated one (recall).

        precision = mean_j [g_j is in the ball of some r_i],    recall = mean_i [r_i is in the ball of some g_j]

    The radius of a ball is the distance of a point to its k-th nearest neighbour in its own set. Both are from 0 to 1, higher is
    better. High precision with low recall is mode collapse; the reverse is junk around the data. The large ball of an outlier can
    raise either; `density_coverage` is more robust.

    Args:
        real, generated: Arrays of features (n, d), more than k rows each. Use the same number of rows: both metrics depend on it.
        k: Number of the neighbour.

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
    """How many real examples are near each sample (density), and the fraction of real examples with a sample nearby (coverage).

        density = mean_j sum_i [g_j is in the ball of r_i] / k,    coverage = mean_i [some g_j is in the ball of r_i]

    Only balls of real examples are used, so outliers among the samples have no effect. Density is 0 or more; it is about 1 for the
    real distribution, and larger if samples concentrate in dense regions. Coverage is from 0 to 1; it is about `1 - 2^-k` for two
    draws of one distribution. Higher is better for both; coverage is the metric for missing modes.

    Args:
        real, generated: Arrays of features (n, d), more than k real rows. Use the same number of rows: coverage depends on it.
        k: Number of the neighbour.

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
    """Squared distance of each point to its k-th nearest neighbour, not counting the point itself."""
    radii = np.empty(len(points))
    for part, distances in squared_distances(points, points):
        radii[part] = np.partition(distances, k, axis=1)[:, k]
    return radii
