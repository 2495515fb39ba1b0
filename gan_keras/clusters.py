"""Labels for images that have none: clusters of images that look alike, all of about the same size."""

import numpy as np
import tensorflow as tf

from gan_keras import identifiers

# Images are compared by 30 principal components of 14x14 pixels: small differences of place and stroke do not count, and large
# images cost no more.
SIDE, COMPONENTS, PASSES, BLOCK = 14, 30, 30, 8192


def balanced(images, number, seed=0):
    """The cluster of each image, by k-means with clusters of about equal size.

    A GAN whose players are told the cluster need not part the data into kinds itself, which is where GANs leave kinds out and make
    blends between them: `GAN(label_part=...)`. Clusters are of equal size because a `priors.Categorical` draws them equally often.

        cluster[x] = argmin over k of |x - centre[k]|^2 + price[k]
        centre[k]  = mean of the images of cluster k
        share[x]   = softmax over k of -(|x - centre[k]|^2 + price[k]) / t
        price[k]  += t log(number * mean over x of share[x, k])

    thirty times, while t falls from a fifth to a fiftieth of the mean squared distance. Training on clusters as labels: Sage,
    Agustsson, Timofte, Van Gool 2018, "Logo Synthesis and Manipulation with Clustered Generative Adversarial Networks". Prices
    that make sizes equal: Cuturi 2013, "Sinkhorn Distances".

    Args:
        images: (n, height, width, channels), bytes or floats; or points (n, dimensions).
        number: Of clusters.
        seed: Of the images that the first centres are.

    Returns:
        int32 array (n,), from 0 to number - 1.

    Raises:
        ValueError: Fewer images than clusters.
    """
    if identifiers.count("number", number) > len(images):
        raise ValueError(f"There must be an image for each cluster. Received: {len(images)} images, number={number}")
    points = _components(images)
    centres, prices = points[np.random.default_rng(seed).permutation(len(points))[:number]], tf.zeros(number)
    blocks = [tf.constant(points[k : k + BLOCK]) for k in range(0, len(points), BLOCK)]
    mean_distance = np.square(points).sum(axis=1).mean()
    for part in np.geomspace(0.2, 0.02, PASSES):
        temperature = part * mean_distance
        mass, sums, sizes, distance = 1e-30, 0.0, 0.0, 0.0  # never 0, of which there is no logarithm
        for block in blocks:
            distances = _distances(block, centres)
            mass += tf.reduce_sum(tf.nn.softmax(-(distances + prices) / temperature), axis=0)
            chosen = tf.argmin(distances + prices, axis=1)
            sums += tf.math.unsorted_segment_sum(block, chosen, number)
            sizes += tf.math.unsorted_segment_sum(tf.ones(len(block)), chosen, number)
            distance += tf.reduce_sum(tf.gather(distances, chosen, batch_dims=1))
        mean_distance = distance / len(points)
        centres = tf.where(sizes[:, tf.newaxis] > 0, sums / tf.maximum(sizes, 1.0)[:, tf.newaxis], centres)
        prices += temperature * tf.math.log(mass * number / len(points))
    return np.concatenate([tf.argmin(_distances(block, centres) + prices, axis=1, output_type=tf.int32) for block in blocks])


def _components(images):
    """The first principal components of small images: float32 array (n, 30 or fewer)."""
    images = np.asarray(images)
    if images.ndim == 4:
        size = [min(SIDE, side) for side in images.shape[1:3]]
        images = np.concatenate(
            [tf.image.resize(images[k : k + BLOCK], size, "area") for k in range(0, len(images), BLOCK)]
        )
    points = images.reshape(len(images), -1).astype("float32")
    points -= points.mean(axis=0)
    _, axes = np.linalg.eigh(points.T @ points)
    return points @ axes[:, -COMPONENTS:]


def _distances(points, centres):
    """|x - c|^2 of each point and each centre."""
    squares = tf.reduce_sum(tf.square(points), axis=1, keepdims=True) + tf.reduce_sum(tf.square(centres), axis=1)
    return squares - 2.0 * tf.matmul(points, centres, transpose_b=True)
