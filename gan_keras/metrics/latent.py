"""Latent recovery: how near a generator comes to images it has not seen."""

import keras
import numpy as np
import tensorflow as tf


def latent_recovery(generate, images, latent_dim, steps=100, learning_rate=0.1, candidates=1024, seed=0):
    """Mean over images of the smallest squared error that a search over latents finds; lower is better.

        mean_i min_z mean_p (G(z)_p - x_ip)^2

    Run it on held-out images: it is the reconstruction error of a model without an encoder, and sees modes that the generator
    cannot make. The search (the nearest of random candidates, then Adam) gives an upper bound. Latents are free to leave the
    region they are drawn from. Always look at it beside a figure of sample quality: a generator that makes everything wins.

    Args:
        generate: Function of a tensor (n, latent_dim) to images (n, ...), differentiable, in the range of `images`.
        images: Floats (n, ...).
        latent_dim: Size of a latent.
        steps, learning_rate: Of Adam.
        candidates: Standard normal latents among which each search begins at the nearest.
        seed: Of the candidates.

    Returns:
        float, in squared units of the images.

    Raises:
        ValueError: Images of another shape than the generator's, NaN.

    Metz et al. 2017, "Unrolled Generative Adversarial Networks", section 3.4.1, inference by optimization.
    """
    images = np.asarray(images)
    if images.dtype.kind != "f" or not len(images) or not np.isfinite(images).all():
        raise ValueError(f"images must be finite floats, one or more. Received: {images.dtype} of shape {images.shape}.")
    images = images.astype("float32")
    latents = np.random.default_rng(seed).standard_normal((candidates, latent_dim)).astype("float32")
    made = np.concatenate([np.asarray(generate(tf.constant(latents[k : k + 256]))) for k in range(0, candidates, 256)])
    if images.shape[1:] != made.shape[1:]:
        raise ValueError(f"images must be of shape {made.shape[1:]}, as the generator's. Received: {images.shape[1:]}.")
    if not np.isfinite(made).all():
        raise ValueError("The generator made NaN or infinite values.")
    flat, goals = made.reshape(candidates, -1), images.reshape(len(images), -1)
    nearest = ((flat**2).sum(axis=1) - 2.0 * goals @ flat.T).argmin(axis=1)
    z = tf.Variable(latents[nearest])
    best = tf.Variable(tf.fill([len(images)], np.float32(np.inf)))
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build([z])

    def errors():
        return tf.reduce_mean(tf.math.squared_difference(generate(z), images), axis=list(range(1, images.ndim)))

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            found = errors()
        gradient = tape.gradient(found, z)
        with tf.control_dependencies([found, gradient]):
            best.assign(tf.minimum(best, found))
            optimizer.apply([gradient], [z])

    for _ in range(steps):
        step()
    return float(tf.reduce_mean(tf.minimum(best, errors())))
