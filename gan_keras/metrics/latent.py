"""Latent recovery: how close a generator can come to images that it was not trained on."""

import keras
import numpy as np
import tensorflow as tf

_BLOCK, _IMAGES = 256, 64


def recover_latents(
    generate, images, candidates, starts=1, steps=100, learning_rate=0.1, weights=None, free=None, allowed=None
):
    """The latents of the images that are nearest to given ones, and their squared errors.

        argmin_z mean_p w_ip (G(z)_p - x_ip)^2

    On held-out images, large errors show modes that the generator lacks. Use it together with a metric of sample quality: a
    generator of arbitrary images has the smallest errors.

    Adam starts from each of the nearest candidates, and the best latent on its way is kept. The search is local, so the errors are
    upper bounds, which more starts can lower.

    Args:
        generate: Differentiable function from a tensor (n, latent_dim) to images (n, ...) in the range of `images`.
        images: Floats (n, ...).
        candidates: Latents (c, latent_dim), drawn from the prior.
        starts: Number of candidates from which each search starts.
        steps, learning_rate: Those of Adam.
        weights: Weights of the pixels, 0 or more, that broadcast to (n, ...), and are scaled to a mean of 1 for each image. `None`:
            all 1.
        free: Booleans (latent_dim,): the dimensions that Adam changes; the others stay as in the candidate. `None`: all.
        allowed: Booleans (n, c): the candidates from which the search for an image may start; `None`: all.

    Returns:
        latents: float32 (n, latent_dim).
        errors: float32 (n,), in squared units of the images.

    Raises:
        ValueError: Images of another shape than the generator's, NaN, an image without weights, fewer candidates than starts.

    Metz et al. 2017, "Unrolled Generative Adversarial Networks", section 3.4.1, inference by optimization.
    """
    images, candidates = _checked(images), np.asarray(candidates, "float32")
    weights = None if weights is None else _scaled(weights, images.shape)
    allowed = None if allowed is None else np.asarray(allowed)
    found = []
    for first in range(0, len(images), _IMAGES):  # all at once would not fit into memory
        block = slice(first, first + _IMAGES)
        some = (x if x is None else x[block] for x in (weights, allowed))
        found.append(_search(generate, images[block], candidates, starts, steps, learning_rate, *some, free))
    return tuple(map(np.concatenate, zip(*found)))


def _search(generate, images, candidates, starts, steps, learning_rate, weights, allowed, free):
    """`recover_latents` for a part of the images."""
    distances = np.concatenate(list(_distances(generate, images, candidates, weights)), axis=1)
    if allowed is not None:
        distances = np.where(allowed, distances, np.inf)
    if not 1 <= starts <= np.isfinite(distances).sum(axis=1).min():
        raise ValueError(f"There must be as many candidates as starts for each image, one or more. Received: starts={starts}.")
    nearest = distances.argsort(axis=1, kind="stable")[:, :starts]
    # One row for each start; those of an image are neighbours.
    goals, weights = (x if starts == 1 or x is None else np.repeat(x, starts, axis=0) for x in (images, weights))
    z = tf.Variable(candidates[nearest.ravel()])
    best, best_z = tf.Variable(tf.fill([len(goals)], np.float32(np.inf))), tf.Variable(z)
    moves = None if free is None else tf.constant(free, tf.float32)
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build([z])

    def errors():
        squares = tf.math.squared_difference(generate(z), goals)
        return tf.reduce_mean(squares if weights is None else weights * squares, axis=list(range(1, goals.ndim)))

    def keep(found):
        better = found < best
        return best.assign(tf.where(better, found, best)), best_z.assign(tf.where(better[:, tf.newaxis], z, best_z))

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            found = errors()
        gradient = tape.gradient(found, z)
        gradient = gradient if moves is None else moves * gradient
        with tf.control_dependencies([gradient, *keep(found)]):
            optimizer.apply([gradient], [z])

    for _ in range(steps):
        step()
    keep(errors())
    found = best.numpy().reshape(-1, starts)
    chosen = np.arange(len(images)), found.argmin(axis=1)
    return best_z.numpy().reshape(-1, starts, z.shape[1])[chosen], found[chosen]


def _checked(images):
    images = np.asarray(images)
    if images.dtype.kind != "f" or not len(images) or not np.isfinite(images).all():
        raise ValueError(f"images must be finite floats, one or more. Received: {images.dtype} of shape {images.shape}.")
    return images.astype("float32")


def _scaled(weights, shape):
    weights = np.broadcast_to(np.asarray(weights, "float32"), shape)
    means = weights.mean(axis=tuple(range(1, len(shape))), keepdims=True)
    if not (np.isfinite(weights).all() and weights.min() >= 0 and means.min() > 0):
        raise ValueError("weights must be finite and 0 or more, and some pixel of every image must have one above 0.")
    return weights / means


def _distances(generate, images, candidates, weights):
    """Blocks (n, 256) of squared errors of all candidates, without the term that is equal for all."""
    goals = images.reshape(len(images), -1)
    for start in range(0, len(candidates), _BLOCK):
        made = np.asarray(generate(tf.constant(candidates[start : start + _BLOCK])))
        if images.shape[1:] != made.shape[1:]:
            raise ValueError(f"images must be of shape {made.shape[1:]}, as the generator's. Received: {images.shape[1:]}.")
        if not np.isfinite(made).all():
            raise ValueError("The generator made NaN or infinite values.")
        flat = made.reshape(len(made), -1)
        if weights is None:
            yield (flat**2).sum(axis=1) - 2.0 * goals @ flat.T
        else:
            w = weights.reshape(len(images), -1)
            yield w @ (flat**2).T - 2.0 * (w * goals) @ flat.T
