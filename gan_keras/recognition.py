"""What a model recognises in images that it was not trained on: classes, codes, the images themselves."""

import math

import numpy as np

from gan_keras import inputs, priors
from gan_keras.gan import GAN
from gan_keras.metrics import matched_errors
from gan_keras.regularizers import MutualInformation
from gan_keras.vae import VAE


def recognition_metrics(model, images, labels=None):
    """{name: value} of what this kind of model can recognise; empty for a GAN that only draws.

    - "test_errors": images whose class the head "label" gets wrong (AC-GAN, semi-supervised learning);
    - "code_errors": those that the head of a categorical code puts elsewhere than its digit's class, for the best pairing of codes
      and classes (InfoGAN), as "code_errors" for the code named "code", else "NAME_errors"; of a code with as many values as
      there are classes;
    - "reconstruction", "bound": of a VAE, see `reconstruction_and_bound`.

    Args:
        model: `GAN` or `VAE`. The moving average of the discriminator recognises, or that of the encoder, where there is one.
        images: uint8, or floats in `model.value_range`, (n, height, width, channels), not of the training data.
        labels: Integers (n,), or `None`: no errors can be counted.
    """
    if isinstance(model, VAE):
        return reconstruction_and_bound(model, images)
    if not isinstance(model, GAN) or labels is None or not isinstance(model.judge.output, dict) or len(model.judge.inputs) > 1:
        return {}  # also of a discriminator that is told the labels
    read = model.judge.predict(inputs.scaled(images, model.value_range), batch_size=500, verbose=0)
    found = {}
    if "label" in read:
        found["test_errors"] = float(np.sum(read["label"].argmax(axis=1) != labels))
    terms = getattr(model, "game_regularizers", ())  # of a GAN that is compiled
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
        decoder's constant: `-(loss + d / 2 * log(2 pi deviation^2))`, d the number of pixels. Pixels are taken for continuous
        numbers, so it may be positive, and compares only models of the same range. Kingma and Welling 2014, equation 3.
    """
    logs = vae.evaluate(inputs.scaled(images, vae.value_range), batch_size=500, verbose=0, return_dict=True)
    pixels = math.prod(images.shape[1:])
    constant = pixels / 2 * math.log(2 * math.pi * vae.deviation**2)
    return {
        "reconstruction": math.sqrt(2 * vae.deviation**2 * logs["reconstruction"] / pixels),
        "bound": -(logs["loss"] + constant),
    }
