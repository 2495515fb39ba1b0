"""What a trained model has learned: images between its latents, the meaning of its codes, reconstructions, features.

Functions take and return arrays. Input images are uint8, or floats in the model's `value_range`; output images are such floats,
which `plots.to_uint8(images, model.value_range)` converts to uint8.
"""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from gan_keras import checks, identifiers, metrics
from gan_keras.forward import float32
from gan_keras.gan import GAN
from gan_keras.generative import BLOCK
from gan_keras.inputs import scaled
from gan_keras.inside import heads
from gan_keras.layers import MinibatchDiscrimination, MinibatchStandardDeviation, Packing, inside
from gan_keras.priors import Categorical, Normal, Uniform
from gan_keras.vae import VAE


def generate(model, latents, labels=None):
    """The images of latents.

    Args:
        model: `GenerativeModel`.
        latents: Floats (n, latent_dim).
        labels: For a conditional model: an integer for all, n integers, or `None` for 0, 1, 2, ... in turn.

    Returns:
        float32 array (n, height, width, channels) in the model's `value_range`.

    Raises:
        ValueError: Latents of another size; labels of a wrong number or range, or for a model without labels.
    """
    latents = np.asarray(latents, "float32")
    if latents.ndim != 2 or latents.shape[1] != model.latent_dim or not len(latents):
        raise ValueError(f"latents must be of shape (n, {model.latent_dim}), n at least 1. Received: shape {latents.shape}.")
    labels = checks.sample_labels(len(latents), labels, model.num_classes if model.conditional else None)
    return _in_batches(model, latents, labels)


def interpolate(model, first, last, steps=11, labels=None):
    """Images between pairs of latents. They change smoothly if the model has learned more than its training images.

    Latents are interpolated by `Prior.between`: for a normal prior along a great circle.

    Args:
        model: `GenerativeModel`.
        first, last: Floats (rows, latent_dim), for example from `model.latents(seed)` or `invert`.
        steps: Number of images in a row, with both ends; 2 or more.
        labels: As in `generate`, one for each row.

    Returns:
        float32 array (rows, steps, height, width, channels).

    Raises:
        ValueError: Latents of other shapes, fewer steps; labels as in `generate`.

    White 2016, "Sampling Generative Networks", section 2.1.
    """
    identifiers.count("steps", steps, 2)
    if np.ndim(first) != 2:
        raise ValueError(f"first and last must be of shape (rows, {model.latent_dim}). Received: shape {np.shape(first)}.")
    ways = np.stack([model.prior.between(first, last, t) for t in np.linspace(0.0, 1.0, steps)], axis=1)
    labels = checks.sample_labels(len(ways), labels, model.num_classes if model.conditional else None)
    return _sheet(model, ways, None if labels is None else np.repeat(labels, steps))


def code_sheet(model, name, dimension=0, noise=10, values=10, seed=0, labels=None):
    """A latent traversal: images for many values of one part of the latents, and different noise in the other parts.

    A code has a meaning if a value has the same effect for all noise. Chen et al. 2016, "InfoGAN", figure 2.

    Args:
        model: `GenerativeModel`.
        name: Name of the part in the model's prior; "z" if the prior has one part.
        dimension: The dimension of a continuous part that is changed.
        noise: Number of different latents.
        values: Number of values of a continuous part: over twice the range of a `Uniform` prior, or two standard deviations of a
            `Normal` one; from -2 to 2 for [-1, 1] and the standard normal, as in the paper.
        seed: Seed of the noise.
        labels: For a conditional model: as in `generate`, one for each noise.

    Returns:
        images: float32 array: (classes, noise, ...) for a `Categorical`; (noise, values, ...) for a continuous part.
        values: The classes, or the values.

    Raises:
        ValueError: There is no such part or dimension.
    """
    parts = model.prior.parts
    if name not in parts:
        raise identifiers.unknown("part of the latents", name, parts)
    part, first = parts[name], sum(parts[other].size for other in list(parts)[: list(parts).index(name)])
    if not identifiers.count("dimension", dimension, 0) < part.size:
        raise ValueError(f"dimension must be from 0 to {part.size - 1}. Received: dimension={dimension}")
    identifiers.count("noise", noise)
    identifiers.count("values", values)
    latents = _drawn(model, noise, seed)
    labels = checks.sample_labels(noise, labels, model.num_classes if model.conditional else None)
    one_hot = isinstance(part, Categorical)
    values = np.arange(part.size) if one_hot else _spread(part, values)
    given = np.eye(part.size) if one_hot else values[:, np.newaxis]
    place = slice(first, first + part.size) if one_hot else slice(first + dimension, first + dimension + 1)
    table = np.repeat(latents[np.newaxis], len(values), axis=0)  # (values, noise, latent_dim)
    table[..., place] = given[:, np.newaxis]
    images = _sheet(model, table, None if labels is None else np.tile(labels, len(values)))
    return (images if one_hot else images.swapaxes(0, 1)), values


class Found(NamedTuple):
    """The result of `invert` for n images."""

    latents: np.ndarray  # float32 (n, latent_dim)
    labels: np.ndarray | None  # int32 (n,), of a conditional model
    images: np.ndarray  # float32 (n, height, width, channels): the images of the latents
    errors: np.ndarray  # float32 (n,): weighted mean squares of the differences, of pixels from 0 to 1


def invert(model, images, labels=None, weights=None, starts=4, steps=200, learning_rate=0.1, candidates=1024, seed=0):
    """The latents of the images that are nearest to given ones: reconstruction without an encoder.

        argmin_z mean_p w_p (G(z)_p - x_p)^2,    by Adam, from each of the nearest of many random latents

    Continuous parts may leave the region of the prior; a `Categorical` part and a label stay as in the start. Use it on held-out
    images: large errors show what the model has not learned.

    Args:
        model: `GenerativeModel` with a known `value_range`.
        images: uint8, or floats in `value_range`, (n, height, width, channels).
        labels: For a conditional model: an integer for all, n integers, or `None` if they are unknown: then those of the
            nearest random latents are taken.
        weights: Weights of the pixels, as in `metrics.recover_latents`.
        starts, steps, learning_rate: Number of searches for each image; Adam's steps and learning rate.
        candidates: Number of random latents; the searches start from the best of them.
        seed: Seed of the candidates.

    Returns:
        `Found`.

    Raises:
        ValueError: Images of another shape, type or range; wrong labels; no `value_range`.

    Metz et al. 2017, "Unrolled Generative Adversarial Networks", section 3.4.1; Creswell and Bharath 2018, "Inverting the
    Generator of a Generative Adversarial Network".
    """
    for name, value in {"starts": starts, "steps": steps, "candidates": candidates}.items():
        identifiers.count(name, value)
    goals, low, high = _floats(model, images)
    goals = (goals - low) / (high - low)
    classes = model.num_classes if model.conditional else None
    labels = None if labels is None else checks.sample_labels(len(goals), labels, classes)
    number = max(candidates, starts * (classes or 1))
    drawn, allowed = _drawn(model, number, seed), None
    free = [np.full(part.size, not isinstance(part, Categorical)) for part in model.prior.parts.values()]
    if classes:  # a label is one more dimension, which does not change
        every = np.arange(number) % classes
        drawn, free = np.concatenate([drawn, every[:, np.newaxis]], axis=1, dtype="float32"), [*free, [False]]
        allowed = None if labels is None else labels[:, np.newaxis] == every

    def made(z):
        inputs = [z[:, :-1], tf.cast(z[:, -1], tf.int32)] if classes else z
        return (float32(model(inputs, training=False)) - low) / (high - low)

    found, errors = metrics.recover_latents(
        made, goals, drawn, starts, steps, learning_rate, weights, np.concatenate(free), allowed
    )
    latents, labels = (found[:, :-1], found[:, -1].astype("int32")) if classes else (found, None)
    return Found(latents, labels, generate(model, latents, labels), errors)


def inpaint(model, images, visible, labels=None, **search):
    """Complete images with hidden pixels: visible pixels are kept, hidden ones are the model's.

        z* = argmin_z mean over visible p of (G(z)_p - x_p)^2
        completed = x where visible, G(z*) elsewhere

    Args:
        model, images, labels: As in `invert`. Hidden pixels of `images` are not used.
        visible: Booleans (height, width) or (n, height, width), `True` for known pixels.
        search: More arguments of `invert`.

    Returns:
        float32 array (n, height, width, channels) in `value_range`.

    Raises:
        ValueError: As in `invert`; `visible` has another shape or type, or no pixel is visible.

    Yeh et al. 2017, "Semantic Image Inpainting with Deep Generative Models", section 3; differences are in docs/deviations.md.
    """
    images, visible = _shaped(model, images), np.asarray(visible)
    shapes = images.shape[1:3], images.shape[:3]
    if visible.dtype != bool or visible.shape not in shapes:
        raise ValueError(
            f"visible must be booleans of shape {' or '.join(map(str, shapes))}, True where a pixel is known. Received: "
            f"{visible.dtype} of shape {visible.shape}."
        )
    visible = np.broadcast_to(visible[..., np.newaxis], images.shape)
    if not visible.any(axis=(1, 2, 3)).all():
        raise ValueError("visible must be True for one pixel or more of every image. Received: an image with none.")
    blank = 0 if images.dtype == np.uint8 else model.value_range[0]
    known, *_ = _floats(model, np.where(visible, images, images.dtype.type(blank)))
    found = invert(model, known, labels, weights=visible, **search)
    return np.where(visible, known, found.images)


def features(model, images, label=0):
    """Features of images, for `neighbours` or a classifier.

    For a GAN, the discriminator's output "features", or else the input of its last layer. For a VAE, the means of its encoder. The
    moving average is used if there is one.

    Args:
        model: `GAN` or `VAE`.
        images: uint8, or floats in `value_range`, (n, height, width, channels).
        label: The label for all images, if the discriminator takes labels. With the true labels, its features would contain them.

    Returns:
        float32 array (n, d).

    Raises:
        ValueError: Another kind of model; a discriminator whose features depend on the other images of a batch, or whose last
            layer is inside another model.

    Radford, Metz, Chintala 2016, "Unsupervised Representation Learning with DCGANs", section 5.1, use those of all layers.
    """
    images, *_ = _floats(model, images)
    if isinstance(model, VAE):
        return _in_batches(model.recognizer, images)[:, : model.latent_dim]
    if not isinstance(model, GAN):
        raise ValueError(
            f"Features are those of a GAN's discriminator or a VAE's encoder. Received: {type(model).__name__}, which has neither."
        )
    network = _until_features(model.judge)
    for layer in inside(network, (Packing, MinibatchDiscrimination, MinibatchStandardDeviation)):
        raise ValueError(
            f"The discriminator judges several images together (layers.{type(layer).__name__}), so it has no features of a single "
            "image."
        )
    told = checks.sample_labels(len(images), label, model.num_classes) if len(network.inputs) > 1 else None
    return _in_batches(network, images, told).reshape(len(images), -1)


def neighbours(queries, references, k=10):
    """The k nearest references of each query, the nearest first, by cosine similarity.

        cosine(x, y) = <x, y> / (|x| |y|)

    The length of a discriminator's features depends on contrast and stroke width, so it is ignored.

    Args:
        queries, references: Arrays (n, ...), (m, ...) of features or images.
        k: Number of neighbours, at most m.

    Returns:
        indices: Integers (n, k) into `references`.
        cosines: Floats (n, k), in descending order.

    Raises:
        ValueError: Different shapes, NaN, k out of range.
    """
    queries, references = np.asarray(queries, "float32"), np.asarray(references, "float32")
    if not (queries.size and references.size):
        raise ValueError(f"Queries and references must not be empty. Received: shapes {queries.shape} and {references.shape}.")
    queries, references = (x.reshape(len(x), -1) for x in (queries, references))
    if queries.shape[1] != references.shape[1]:
        raise ValueError(
            "Queries and references must have the same number of features. Received: "
            f"{queries.shape[1]} and {references.shape[1]}."
        )
    if not (np.isfinite(queries).all() and np.isfinite(references).all()):
        raise ValueError("Queries and references must be finite. Received: NaN or infinity.")
    if not identifiers.count("k", k) <= len(references):
        raise ValueError(f"k must be from 1 to {len(references)}, the number of references. Received: k={k}")
    queries, references = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (queries, references))
    cosines = queries @ references.T
    indices = (-cosines).argsort(axis=1, kind="stable")[:, :k]
    return indices, np.take_along_axis(cosines, indices, axis=1)


def _until_features(discriminator):
    """The discriminator up to its features, as a `keras.Model`."""
    outputs = heads(discriminator.output)
    if "features" in outputs:
        return keras.Model(discriminator.input, outputs["features"])
    tensor = outputs["score"]
    while len(tensor.shape) < 2 or tensor.shape[-1] == 1:  # the score itself, and the terms of its sum
        layer = next((layer for layer in discriminator.layers if _makes(layer, tensor)), None)
        if layer is None:
            raise ValueError(
                "The last layer of the discriminator is inside another model, or shared. Make its input one of the outputs: "
                'keras.Model(images, {"score": ..., "features": ...}).'
            )
        tensor = keras.tree.flatten(layer.input)[0]
    return keras.Model(discriminator.input, tensor)


def _makes(layer, tensor):
    try:
        return layer.output is tensor and layer.input is not tensor
    except (AttributeError, ValueError):  # a layer that is called several times has several inputs
        return False


def _spread(part, number):
    """Values over twice the range of a uniform part, or from -2 to 2 standard deviations."""
    stddev = part.stddev if isinstance(part, Normal) else 1.0
    low, high = (part.low, part.high) if isinstance(part, Uniform) else (-stddev, stddev)
    return np.linspace(1.5 * low - 0.5 * high, 1.5 * high - 0.5 * low, number)


def _drawn(model, number, seed):
    """Latents of the prior: the first `number` of those of `sample`."""
    checks.check_sampling(number, seed)
    blocks = [model.latents(seed, block).numpy() for block in range(-(-number // BLOCK))]
    return np.concatenate(blocks)[:number]


def _sheet(model, latents, labels):
    """Images (rows, columns, ...) of latents (rows, columns, latent_dim) and labels (rows * columns,)."""
    images = generate(model, latents.reshape(-1, latents.shape[-1]), labels)
    return images.reshape(*latents.shape[:2], *images.shape[1:])


def _in_batches(network, *inputs):
    """The output of a network for one or several arrays, in batches, as a float32 array."""
    inputs = [x for x in inputs if x is not None]
    parts = [[x[k : k + BLOCK] for x in inputs] for k in range(0, len(inputs[0]), BLOCK)]
    return np.concatenate([float32(network(part if part[1:] else part[0], training=False)).numpy() for part in parts])


def _shaped(model, images):
    images, shape = np.asarray(images), tuple(model.generator.outputs[0].shape[1:])
    if images.shape[1:] != shape or not len(images):
        raise ValueError(f"The model makes images of shape (n, {', '.join(map(str, shape))}). Received: shape {images.shape}.")
    if model.value_range is None:
        raise ValueError("The model does not know the range of its images. Give it one, such as GAN(value_range=(-1, 1), ...).")
    return images


def _floats(model, images):
    """(images as float32 in the model's `value_range`, low, high)."""
    images = _shaped(model, images)
    low, high = model.value_range
    if images.dtype != np.uint8 and not (
        images.dtype.kind == "f" and images.min() >= low - 1e-3 and images.max() <= high + 1e-3
    ):
        raise ValueError(
            f"Images must be uint8, or floats from {low:g} to {high:g}. Received: {images.dtype}, from {images.min():g} to "
            f"{images.max():g}."
        )
    return scaled(images, model.value_range), low, high
