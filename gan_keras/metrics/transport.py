"""Exact optimal transport in one dimension, and its mean over random directions."""

import numpy as np
import scipy

from gan_keras.metrics.arrays import vectors


def wasserstein_1d(x, y):
    """Wasserstein-1 distance of two sets of numbers, exact; lower is better, in the units of the numbers.

        integral |F_x^-1(u) - F_y^-1(u)| du,    which is mean |sorted(x) - sorted(y)| for equal sizes

    Args:
        x, y: (n,) and (m,).

    Returns:
        float, 0 or more.

    Raises:
        ValueError: Empty, NaN, not one-dimensional.

    Vallender 1974; Arjovsky et al. 2017, WGAN, equation 1 for the distance.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 1 or y.ndim != 1:
        raise ValueError(f"x and y must be one-dimensional. Received: shapes {x.shape} and {y.shape}.")
    x, y = vectors("x", x[:, np.newaxis]), vectors("y", y[:, np.newaxis])
    return float(scipy.stats.wasserstein_distance(x[:, 0], y[:, 0]))


def sliced_wasserstein(x, y, directions=256, seed=0):
    """Mean of the exact `wasserstein_1d` along random directions; lower is better.

        mean_k W1(x . u_k, y . u_k),    u_k uniform on the unit sphere

    In one dimension it is the exact distance. In d dimensions, it is the distance times about sqrt(2 / (pi d)) for a shift.

    Args:
        x, y: (n, d) and (m, d); axes after the first are flattened.
        directions: Number of directions, 1 or more.
        seed: Seed of the directions, which are the same in every call.

    Returns:
        float, 0 or more.

    Raises:
        ValueError: Different widths, NaN, no directions.

    Rabin et al. 2012, "Wasserstein Barycenter and its Application to Texture Mixing"; Bonneel et al. 2015.
    """
    x = vectors("x", x)
    y = vectors("y", y, width=x.shape[1])
    if directions < 1:
        raise ValueError(f"directions must be 1 or more. Received: {directions}")
    u = np.random.default_rng(seed).standard_normal((x.shape[1], directions))
    u /= np.linalg.norm(u, axis=0)
    return float(np.mean([scipy.stats.wasserstein_distance(x @ direction, y @ direction) for direction in u.T]))
