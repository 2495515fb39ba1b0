"""Shared by the metrics: checks of arrays, and distances of all pairs in blocks."""

import numpy as np


def vectors(name, array, at_least=1, width=None):
    """`array` as float64 (n, d), or ValueError: wrong shape, too few rows, NaN or infinite values.

    Args:
        name: Name of the array in messages.
        array: Array (n, ...); axes after the first are flattened.
        at_least: Number of rows that the metric needs.
        width: Required number of columns, or `None`.
    """
    array = np.asarray(array)
    if array.ndim < 2 or array.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} must be a numeric array (n, d). Received: shape {array.shape}, {array.dtype}. One-dimensional points are "
            "an array (n, 1)."
        )
    if len(array) < at_least:
        raise ValueError(f"{name} must have at least {at_least} rows for this metric. Received: {len(array)}.")
    array = array.reshape(len(array), -1).astype("float64")
    if width is not None and array.shape[1] != width:
        raise ValueError(f"{name} must have {width} columns, as the other set. Received: shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinite values.")
    return array


def pair(real, generated, at_least=1):
    """Both sets as float64 (n, d) of the same width; also a ValueError if all real rows are equal."""
    real = vectors("real", real, at_least)
    generated = vectors("generated", generated, at_least, real.shape[1])
    if len(real) > 1 and (real == real[0]).all():
        raise ValueError("All rows of real are the same, so there is nothing to compare with. Look at the real data.")
    return real, generated


def squared_distances(rows, columns, block=1000):
    """Iterate over (slice of rows, squared Euclidean distances of these rows to all columns), one matrix product each."""
    # Centering does not change differences, and the products lose fewer digits.
    center = columns.mean(axis=0)
    columns = columns - center
    lengths = (columns**2).sum(axis=1)
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        x = rows[part] - center
        products = x @ columns.T
        products *= -2.0
        products += (x**2).sum(axis=1)[:, np.newaxis]
        products += lengths
        yield part, np.maximum(products, 0.0, out=products)
