"""Nearest neighbours in pixels: whether samples repeat training images."""

import numpy as np

from gan_keras.metrics.arrays import squared_distances, vectors


def nearest_neighbours(images, references, exclude_self=False):
    """The nearest reference of each image, and the mean squared error to it.

        index_i = argmin_j mean_p (x_ip - y_jp)^2

    The ratio of the mean error to training images and that to held-out images shows memorisation: it is 0 for copies, and about
    1 for new images (somewhat less if there are more training images, since then some of them are nearer). The errors
    themselves do not measure quality: a blurred mean digit has a small one.

    Args:
        images: (n, ...), uint8 or floats; (m, ...) for `references`, of the same shape and scale. uint8 is scaled to [0, 1].
        exclude_self: Whether `images` are the first n references, which are not their own neighbours: for the ratio of real images.

    Returns:
        indices: (n,) integers into `references`.
        errors: (n,) float64.

    Raises:
        ValueError: Different shapes or types, NaN.

    Theis, van den Oord, Bethge 2016, "A Note on the Evaluation of Generative Models", section 3.4, on what it can and cannot show.
    """
    images, references = np.asarray(images), np.asarray(references)
    if images.dtype != references.dtype or images.shape[1:] != references.shape[1:]:
        raise ValueError(
            f"Both sets must be of one type and shape. Received: {images.dtype} {images.shape[1:]} and {references.dtype} "
            f"{references.shape[1:]}."
        )
    if exclude_self and len(images) > len(references):
        raise ValueError(f"With exclude_self images are the first references. Received: {len(images)} of {len(references)}.")
    scale = 1.0 / 255.0 if images.dtype == np.uint8 else 1.0
    references = vectors("references", references, at_least=1 + exclude_self).astype("float32") * np.float32(scale)
    images = vectors("images", images, width=references.shape[1]).astype("float32") * np.float32(scale)
    indices = np.empty(len(images), int)
    # float32 is enough to find the neighbour; the error itself is exact.
    for part, distances in squared_distances(images, references, block=500):
        if exclude_self:
            rows = np.arange(len(distances))
            distances[rows, rows + part.start] = np.inf
        indices[part] = distances.argmin(axis=1)
    errors = ((images - references[indices]).astype("float64") ** 2).mean(axis=1)
    return indices, errors
