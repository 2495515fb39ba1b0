"""Errors of clusters, which have no names of classes."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def matched_errors(found, labels):
    """The number of examples outside of their class, for the best matching of clusters and classes.

    `min over permutations p of sum(p(found) != labels)`: each cluster is matched with one class; if their numbers differ, some
    have no match. The test error of InfoGAN's code (Chen et al. 2016, section 7.2), and of clusterings. It is misleading if two
    clusters share a class: only one of them counts as right.

    Args:
        found: Integers (n,), the cluster of each example.
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
