"""Labels for images that have none: clusters of images that look alike."""

import warnings

import numpy as np
import scipy
import tensorflow as tf

from gan_keras import identifiers

# Images are compared by 30 principal components of 14x14 pixels: small differences of place and stroke do not count, and large
# images cost no more.
SIDE, COMPONENTS, PASSES, BLOCK = 14, 30, 20, 8192


def kmeans(images, number, seed=0):
    """The cluster of each image, by k-means: twenty times each image to the nearest centre, each centre to the mean of its images.

    A GAN whose players are told the cluster need not part the data into kinds itself, which is where GANs leave kinds out and make
    blends between them: `GAN(label_part=...)`. Sage, Agustsson, Timofte, Van Gool 2018, "Logo Synthesis and Manipulation with
    Clustered Generative Adversarial Networks".

    Args:
        images: (n, height, width, channels), bytes or floats; or points (n, dimensions).
        number: Of clusters. With too few, a cluster has images of several kinds. With too many, it has too few images to learn
            more from than these: see the memorisation ratio of `evaluation`.
        seed: Of the images that the first centres are.

    Returns:
        int32 array (n,), from 0 to number - 1.

    Raises:
        ValueError: Fewer images than clusters.
    """
    if identifiers.count("number", number) > len(images):
        raise ValueError(f"There must be an image for each cluster. Received: {len(images)} images, number={number}")
    points = _components(images)
    centres = points[np.random.default_rng(seed).permutation(len(points))[:number]]
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # a cluster without images stays as it is
        _, chosen = scipy.cluster.vq.kmeans2(points, centres, iter=PASSES, minit="matrix")
    return chosen


def _components(images):
    """The first principal components of small images: float32 array (n, 30 or fewer)."""
    images = np.asarray(images)
    if images.ndim == 4:
        size = [min(SIDE, side) for side in images.shape[1:3]]
        images = np.concatenate([tf.image.resize(images[k : k + BLOCK], size, "area") for k in range(0, len(images), BLOCK)])
    points = images.reshape(len(images), -1).astype("float32")
    points -= points.mean(axis=0)
    _, axes = np.linalg.eigh(points.T @ points)
    return points @ axes[:, -COMPONENTS:]
