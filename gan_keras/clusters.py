"""Clusters of images, as labels for a `ClusteredGAN`."""

import warnings

import numpy as np
import scipy
import tensorflow as tf
from scipy.cluster import vq

from gan_keras import identifiers

# Larger images are shrunk to this side. Cells have 4x4 pixels and 8 directions.
SIDE, CELL, DIRECTIONS, BLOCK = 28, 4, 8, 8192
# Chosen by the part of train[:50000] that is in a cluster of mostly its own digit. 2,000 to 4,000 centres, and 15 to 30 dimensions,
# change it by 1 % at most; the other numbers were tried less.
COMPONENTS, CENTRES, NEIGHBOURS, DIMENSIONS = 50, 3000, 10, 15


def spectral(images, number, seed=0):
    """The cluster of each image, by spectral clustering of histograms of oriented gradients.

    A GAN that is conditioned on clusters, a `ClusteredGAN`, drops fewer modes and generates fewer blends between them. Sage,
    Agustsson, Timofte, Van Gool 2018, "Logo Synthesis and Manipulation with Clustered Generative Adversarial Networks".

    First, k-means finds many centres. A graph connects each centre with its ten nearest. The first eigenvectors of the graph embed
    the centres, and k-means of this embedding gives the clusters. Yan, Huang,
    Jordan 2009, "Fast Approximate Spectral Clustering"; Ng, Jordan, Weiss 2001, "On Spectral Clustering"; Dalal, Triggs 2005,
    "Histograms of Oriented Gradients for Human Detection". 60,000 digits take ten seconds on two cores.

    Args:
        images: (n, height, width, channels) or (n, height, width), uint8 or floats; they are compared by their edges, not by colour
            alone. Or points (n, dimensions).
        number: Number of clusters. With too few, a cluster has images of several kinds. With too many, the GAN may memorise the few
            images of a cluster: see the memorisation ratio of `evaluation`.
        seed: Seed of the initial centres of k-means.

    Returns:
        int32 array (n,), from 0 to number - 1. A cluster may be empty.

    Raises:
        ValueError: Fewer images than clusters.
    """
    if identifiers.count("number", number) > len(images):
        raise ValueError(
            f"There must be an image for each cluster. Received: {len(images)} images, number={number}. Take fewer clusters, or a "
            "recipe without, such as plain."
        )
    if number == 1:
        return np.zeros(len(images), "int32")
    images = np.asarray(images)
    images = images[..., np.newaxis] if images.ndim == 3 else images
    points = _components(_gradients(images) if images.ndim == 4 else images)
    random = np.random.default_rng(seed)
    first = points[random.permutation(len(points))[: max(CENTRES, number)]]
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # a centre that is nearest to none stays where it is
        centres, nearest = vq.kmeans2(points, first, iter=5, minit="matrix")
    places = _places(centres, number)
    means, _ = vq.kmeans(places, number, seed=random)  # the best of twenty
    return vq.vq(places, means)[0][nearest]


def _gradients(images):
    """How steep each cell of 4x4 pixels is in each of eight directions: float32 array (n, rows, columns, 8)."""
    size = [min(SIDE, side) for side in images.shape[1:3]]
    found = []
    for k in range(0, len(images), BLOCK):
        down, right = tf.image.image_gradients(tf.image.resize(images[k : k + BLOCK], size, "area"))
        angles = [2 * np.pi * direction / DIRECTIONS for direction in range(DIRECTIONS)]
        steep = [tf.reduce_sum(tf.nn.relu(down * np.cos(angle) + right * np.sin(angle)), axis=-1) for angle in angles]
        # Smoothed before the mean of each cell is taken, so that an edge counts for the cells beside it too.
        smooth = tf.nn.avg_pool2d(tf.stack(steep, axis=-1), CELL, 1, "SAME")
        found.append(tf.nn.avg_pool2d(smooth, CELL, CELL, "SAME"))
    return np.concatenate(found)


def _components(points):
    """The first principal components, each divided by the square root of its deviation: float32 array (n, 50 or fewer)."""
    points = points.reshape(len(points), -1).astype("float32")
    points -= points.mean(axis=0)
    variances, axes = np.linalg.eigh(points.T @ points / len(points))
    # Half of whitening: the first components, slant and thickness of a stroke, count for less.
    return points @ axes[:, -COMPONENTS:] / np.maximum(variances[-COMPONENTS:], 1e-12) ** 0.25


def _places(centres, number):
    """Where the first eigenvectors of the graph of nearest neighbours place each centre: array (n, dimensions), rows of length 1."""
    n = len(centres)
    count = min(NEIGHBOURS, n - 1)
    _, near = scipy.spatial.cKDTree(centres).query(centres, range(1, count + 2))
    joined = (np.ones(n * count), (np.repeat(np.arange(n), count), near[:, 1:].ravel()))
    graph = scipy.sparse.coo_matrix(joined, (n, n))
    graph = graph + graph.T
    weights = scipy.sparse.diags(np.asarray(graph.sum(axis=1)).ravel() ** -0.5)
    laplacian = weights @ graph @ weights
    parts, _ = scipy.sparse.csgraph.connected_components(graph)
    dimensions = min(number, max(DIMENSIONS, parts))
    if parts == 1 and n > 2 * dimensions:  # of parts that nothing joins Lanczos' method does not find every eigenvector
        _, places = scipy.sparse.linalg.eigsh(laplacian, dimensions, which="LA", v0=np.ones(n))
    else:
        _, places = scipy.linalg.eigh(laplacian.toarray(), subset_by_index=[n - dimensions, n - 1])
    return places / np.linalg.norm(places, axis=1, keepdims=True)
