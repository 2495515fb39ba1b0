"""Frechet distance: the distance of two Gaussians with the moments of two sets of features."""

import numpy as np

from gan_keras.metrics.arrays import vectors


class Moments:
    """Mean and covariance of features, updated in batches: a million samples need the memory of one batch.

    Example:

    ```python
    moments = Moments()
    for images in batches:
        moments.update(extract(images))
    distance = frechet_distance(real_features, moments)
    ```

    Attributes:
        n: Number of rows so far.
        mean: (d,), float64.
        covariance: (d, d), float64, unbiased (divided by n - 1).
    """

    def __init__(self):
        self.n = 0
        self.mean = None
        self._scatter = None

    def update(self, features, name="features"):
        """Add rows (n, d), which error messages call `name`; ValueError for NaN or another width."""
        features = vectors(name, features, width=None if self.n == 0 else len(self.mean))
        n, mean = len(features), features.mean(axis=0)
        scatter = (features - mean).T @ (features - mean)
        if self.n == 0:
            self.n, self.mean, self._scatter = n, mean, scatter
            return self
        # Chan, Golub, LeVeque 1979: sums of squares of two groups are added, plus a term for the distance of their means.
        apart = mean - self.mean
        total = self.n + n
        self._scatter += scatter + np.outer(apart, apart) * (self.n * n / total)
        self.mean = self.mean + apart * (n / total)
        self.n = total
        return self

    @property
    def covariance(self):
        if self.n < 2:
            raise ValueError(f"A covariance needs at least 2 rows. Received: {self.n}.")
        return self._scatter / (self.n - 1)


def frechet_distance(real, generated):
    """Squared Frechet (2-Wasserstein) distance of the Gaussians fitted to two sets of features; lower is better.

        |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2)

    The first metric to look at: it reacts to bad samples and to missing ones. It depends on the extractor of the features and
    on the number of samples, so compare only distances with the same of both. Finite sets of one distribution have a distance
    above 0, about `frechet_bias`.

    The root is that of a symmetric matrix, by its eigenvalues, in float64: no complex numbers, no epsilon on the diagonal.

    Args:
        real, generated: Arrays of features (n, d), or `Moments`. At least 2 rows each. With fewer rows than columns the
            covariance is singular, which is handled, but the bias is large.

    Returns:
        float, 0 or more.

    Raises:
        ValueError: Fewer than 2 rows, different widths, NaN.

    Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", section 3. (Dowson and Landau 1982 for the formula.)
    """
    one, other = _moments("real", real), _moments("generated", generated)
    if len(one.mean) != len(other.mean):
        raise ValueError(
            f"Both sets must have features of one width. Received: {len(one.mean)} (real), {len(other.mean)} (generated)."
        )
    root = _root(one.covariance)
    cross = np.linalg.eigvalsh(root @ other.covariance @ root)
    trace = np.trace(one.covariance) + np.trace(other.covariance) - 2.0 * np.sqrt(np.maximum(cross, 0.0)).sum()
    return float(max(0.0, ((one.mean - other.mean) ** 2).sum() + trace))


def frechet_bias(covariance, n, m):
    """The expected `frechet_distance` of n and m draws from one Gaussian, to first order in 1/n and 1/m.

        (1/n + 1/m) (tr C + sum_i l_i / 4 + sum_ij l_i l_j / (l_i + l_j) / 2),    l the eigenvalues of C

    Distances near this value mean nothing. For d features of unit variance and n = m, it is d (d + 5) / (2 n).

    Args:
        covariance: (d, d), of the real features.
        n, m: Sizes of the two sets.

    Returns:
        float.

    Derived here: E|m1 - m2|^2 = (1/n + 1/m) tr C, and the Bures distance's second-order expansion,
    sum_ij E[e_ij^2] / (2 (l_i + l_j)), for the difference e of two Wishart matrices.
    """
    values = np.maximum(np.linalg.eigvalsh(covariance), 0.0)
    sums = values[:, np.newaxis] + values
    products = np.divide(np.outer(values, values), sums, out=np.zeros_like(sums), where=sums > 0)
    return float((1 / n + 1 / m) * (values.sum() * 1.25 + products.sum() / 2))


def _moments(name, features):
    moments = features
    if not isinstance(features, Moments):
        features, moments = np.asarray(features), Moments()
        for start in range(0, len(features), 100_000):
            moments.update(features[start : start + 100_000], name)
    if moments.n < 2:
        raise ValueError(f"{name} must have at least 2 rows. Received: {moments.n}.")
    return moments


def _root(matrix):
    values, directions = np.linalg.eigh(matrix)
    return (directions * np.sqrt(np.maximum(values, 0.0))) @ directions.T
