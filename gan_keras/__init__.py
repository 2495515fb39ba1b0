"""Generative adversarial networks for Keras 3 on TensorFlow."""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"gan_keras trains with tf.GradientTape and needs the TensorFlow backend of Keras. Received: {keras.backend.backend()!r}. "
        "Set the environment variable KERAS_BACKEND=tensorflow, or change ~/.keras/keras.json."
    )

from gan_keras import (
    callbacks,
    classifier,
    clusters,
    data,
    evaluation,
    explore,
    layers,
    losses,
    metrics,
    networks,
    plots,
    pretrained,
    priors,
    recipes,
    recognition,
    regularizers,
    replicas,
    runs,
    schedules,
    serving,
    shards,
    toys,
)
from gan_keras._version import __version__
from gan_keras.clustered import ClusteredGAN
from gan_keras.gan import GAN
from gan_keras.generative import GenerativeModel
from gan_keras.vae import VAE

__all__ = [
    "__version__",
    "GAN",
    "ClusteredGAN",
    "GenerativeModel",
    "VAE",
    "callbacks",
    "classifier",
    "clusters",
    "data",
    "evaluation",
    "explore",
    "layers",
    "losses",
    "metrics",
    "networks",
    "plots",
    "pretrained",
    "priors",
    "recipes",
    "recognition",
    "regularizers",
    "replicas",
    "runs",
    "schedules",
    "serving",
    "shards",
    "toys",
]
