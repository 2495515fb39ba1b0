"""Predictions of a model for images that it was not trained on: classes, codes, reconstructions."""

import math

import numpy as np

from gan_keras import inputs, priors
from gan_keras.gan import GAN
from gan_keras.metrics import matched_errors
from gan_keras.regularizers import MutualInformation
from gan_keras.vae import VAE


def recognition_metrics(model, images, labels=None):
    """{name: value} of the predictions of this kind of model; empty for a plain GAN.

    - "test_errors": number of images that the head "label" classifies wrongly (AC-GAN, semi-supervised learning);
    - "code_errors": number of errors of a categorical code, with the best matching of codes and classes (InfoGAN). For a code with
      another name it is "NAME_errors". The code must have as many categories as there are classes;
    - "reconstruction", "bound": for a VAE, see `reconstruction_and_bound`.

    Args:
        model: `GAN` or `VAE`. The moving average of the discriminator or the encoder is used, if there is one.
        images: uint8, or floats in `model.value_range`, (n, height, width, channels), not from the training data.
        labels: Integers (n,), or `None`: then errors are not counted.
    """
    if isinstance(model, VAE):
        return reconstruction_and_bound(model, images)
    if not isinstance(model, GAN) or labels is None or not isinstance(model.judge.output, dict) or len(model.judge.inputs) > 1:
        return {}  # also for a discriminator that takes labels
    read = model.judge.predict(inputs.scaled(images, model.value_range), batch_size=500, verbose=0)
    found = {}
    if "label" in read:
        found["test_errors"] = float(np.sum(read["label"].argmax(axis=1) != labels))
    terms = getattr(model, "game_regularizers", ())  # of a compiled GAN
    heads = {term.code: term.head for term in terms if isinstance(term, MutualInformation)}
    for name, part in model.prior.parts.items():
        head = heads.get(name, name)
        if isinstance(part, priors.Categorical) and head in read and part.size == len(np.unique(labels)):
            found[f"{name}_errors"] = float(matched_errors(read[head].argmax(axis=1), labels))
    return found


def reconstruction_and_bound(vae, images):
    """{"reconstruction": ..., "bound": ...} of a VAE on images.

    reconstruction: root mean squared error of a pixel, in units of `value_range`.
    bound: evidence lower bound of the mean log-likelihood of an image in nats, with one latent for each image and the Gaussian
        decoder's constant: `-(loss + d / 2 * log(2 pi deviation^2))`, d the number of pixels. Pixels are continuous here,
        so the bound may be positive; compare only models of the same range. Kingma and Welling 2014, equation 3.
    """
    logs = vae.evaluate(inputs.scaled(images, vae.value_range), batch_size=500, verbose=0, return_dict=True)
    pixels = math.prod(images.shape[1:])
    constant = pixels / 2 * math.log(2 * math.pi * vae.deviation**2)
    return {
        "reconstruction": math.sqrt(2 * vae.deviation**2 * logs["reconstruction"] / pixels),
        "bound": -(logs["loss"] + constant),
    }
