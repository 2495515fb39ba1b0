"""Kernel distance (KID): an unbiased comparison of two sets of features."""

import numpy as np

from gan_keras.metrics.arrays import pair


def kernel_distance(real, generated, block=1000):
    """Squared maximum mean discrepancy with the kernel k(x, y) = (x.y / d + 1)^3, and its standard error; lower is better.

        mean_{i != j} k(r_i, r_j) + mean_{i != j} k(g_i, g_j) - 2 mean_{i, j} k(r_i, g_j)

    It is unbiased: 0 on average for two draws of one distribution, at every sample size; so it may be negative. Use it in
    addition to the Frechet distance if there are few samples.

    Both sets are split into blocks. The estimate is the mean over pairs of blocks; the error is their standard deviation divided by
    the root of their number. Rows must be in random order.

    Args:
        real, generated: Arrays of features (n, d), at least 2 rows each.
        block: Rows in a block, 2 or more; all rows if there are fewer. The rest is left out.

    Returns:
        (distance, standard error): floats; the error is NaN if there is only one block.

    Raises:
        ValueError: Fewer than 2 rows, different widths, NaN.

    Binkowski et al. 2018, "Demystifying MMD GANs", section 4.
    """
    if block < 2:
        raise ValueError(f"block, the rows in a block, must be 2 or more. Received: block={block}")
    real, generated = pair(real, generated, at_least=2)
    size = min(len(real), len(generated), block)
    number = min(len(real), len(generated)) // size
    estimates = [_block(real[k * size :][:size], generated[k * size :][:size]) for k in range(number)]
    error = np.std(estimates, ddof=1) / np.sqrt(number) if number > 1 else np.nan
    return float(np.mean(estimates)), float(error)


def _block(real, generated):
    n, width = real.shape
    within = [(x @ x.T / width + 1.0) ** 3 for x in (real, generated)]
    between = (real @ generated.T / width + 1.0) ** 3
    return sum((k.sum() - np.trace(k)) / (n * (n - 1)) for k in within) - 2.0 * between.mean()
