"""What the metrics share: checked arrays, and distances of all pairs in blocks."""

import numpy as np


def vectors(name, array, at_least=1, width=None):
    """`array` as float64 (n, d), or ValueError: wrong shape, too few rows, NaN or infinite values.

    Args:
        name: What the array is called in the message.
        array: Array (n, ...); the further axes are flattened.
        at_least: Rows that the metric needs.
        width: Number of columns that another array dictates, or `None`.
    """
    array = np.asarray(array)
    if array.ndim < 2 or array.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} must be a numeric array (n, d). Received: shape {array.shape}, {array.dtype}. One-dimensional points are "
            "an array (n, 1)."
        )
    if len(array) < at_least:
        raise ValueError(f"{name} must have at least {at_least} rows for this figure. Received: {len(array)}.")
    array = array.reshape(len(array), -1).astype("float64")
    if width is not None and array.shape[1] != width:
        raise ValueError(f"{name} must have {width} columns, as the other set. Received: shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinite values.")
    return array


def pair(real, generated, at_least=1):
    """Both sets as float64 (n, d) of one width; ValueError also where all real rows are the same."""
    real = vectors("real", real, at_least)
    generated = vectors("generated", generated, at_least, real.shape[1])
    if len(real) > 1 and (real == real[0]).all():
        raise ValueError("All rows of real are the same, so there is nothing to compare with. Look at the real data.")
    return real, generated


def squared_distances(rows, columns, block=1000):
    """Iterate over (slice of rows, squared Euclidean distances of these rows to all columns), one matrix product each."""
    # Differences do not change; the products lose fewer digits about the mean.
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
