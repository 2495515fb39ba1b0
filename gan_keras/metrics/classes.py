"""Classes that are found without their names."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def matched_errors(found, labels):
    """Examples that a grouping puts outside of their class, for the pairing of groups and classes that makes them fewest.

    `min over permutations p of sum(p(found) != labels)`: each group stands for one class and each class for one group; more groups
    than classes, or fewer, leave some without partner. The test of InfoGAN's code (Chen et al. 2016, section 7.2), and of
    clustering. It misleads where two groups share a class: both cannot be right.

    Args:
        found: Integers (n,), the group of each example.
        labels: Integers (n,), its class.

    Returns:
        Integer from 0 to n.
    """
    found, labels = np.asarray(found), np.asarray(labels)
    if found.shape != labels.shape or found.ndim != 1 or not len(found):
        raise ValueError(f"There must be one group for each label. Received: shapes {found.shape} and {labels.shape}")
    counts = np.zeros((found.max() + 1, labels.max() + 1), int)
    np.add.at(counts, (found, labels), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return int(len(labels) - counts[rows, columns].sum())
