"""What a model recognises: on networks whose answers are known."""

import math

import keras
import numpy as np
import pytest
from helpers import tiny_discriminator, tiny_generator, tiny_images
from keras import layers

import gan_keras
from gan_keras import priors
from gan_keras.recognition import recognition_metrics


def brightness(**heads):
    """A discriminator whose heads put an image into one of three groups by its mean: below -0.5, between, above 0.5."""
    images = keras.Input((8, 8, 1))
    mean = layers.Rescaling(1 / 64)(layers.Dense(1, use_bias=False, kernel_initializer="ones")(layers.Flatten()(images)))
    made = {"score": mean}
    for name, order in heads.items():
        dense = layers.Dense(3)
        made[name] = dense(mean)
        weights = np.array([[-4.0, 0.0, 4.0]]), np.array([-2.0, 0.0, -2.0])
        dense.set_weights([weights[0][:, order], weights[1][list(order)]])
    return keras.Model(images, made)


LEVELS = np.repeat([-0.9, 0.0, 0.9], [4, 5, 6])
IMAGES = np.broadcast_to(LEVELS[:, None, None, None], (15, 8, 8, 1)).astype("float32")
CLASSES = np.repeat([0, 1, 2], [4, 5, 6])


def gan(**heads):
    prior = priors.Joint(z=priors.Normal(5), code=priors.Categorical(3))
    return gan_keras.GAN(tiny_generator(), brightness(**heads), prior=prior, num_classes=3)


def test_errors_of_a_class_and_of_a_code():
    model = gan(label=(0, 1, 2), code=(2, 0, 1))
    assert recognition_metrics(model, IMAGES, CLASSES) == {"test_errors": 0.0, "code_errors": 0.0}
    wrong = np.where(CLASSES == 2, 1, CLASSES)  # the six bright images belong to another class
    assert recognition_metrics(model, IMAGES, np.append(wrong[:-1], 2))["test_errors"] == 5.0
    # A head whose classes are exchanged is wrong as a class, and right as a code.
    model = gan(label=(1, 0, 2), code=(1, 0, 2))
    assert recognition_metrics(model, IMAGES, CLASSES) == {"test_errors": 9.0, "code_errors": 0.0}


def test_a_code_is_read_off_the_head_that_its_term_names():
    model = gan(told=(2, 0, 1))
    model.compile("adam", "adam", regularizers=gan_keras.regularizers.MutualInformation(head="told"))
    assert recognition_metrics(model, IMAGES, CLASSES) == {"code_errors": 0.0}


def test_the_average_of_the_discriminator_recognises():
    d = brightness(label=(0, 1, 2))
    model = gan_keras.GAN(tiny_generator(), d, num_classes=3, ema=0.9, averaged=["discriminator"])
    d.set_weights([0 * w for w in d.get_weights()])
    assert recognition_metrics(model, IMAGES, CLASSES) == {"test_errors": 0.0}
    model.reset_average()
    assert recognition_metrics(model, IMAGES, CLASSES)["test_errors"] > 0


def test_nothing_is_recognised_without_heads_or_labels():
    assert recognition_metrics(gan_keras.GAN(tiny_generator(), tiny_discriminator()), IMAGES, CLASSES) == {}
    assert recognition_metrics(gan(label=(0, 1, 2)), IMAGES) == {}


def test_a_discriminator_that_is_told_the_label_recognises_nothing():
    images, label = keras.Input((8, 8, 1)), keras.Input((), dtype="int32")
    x = layers.Concatenate()([layers.Flatten()(images), layers.Embedding(3, 2)(label)])
    d = keras.Model([images, label], {"score": layers.Dense(1)(x), "label": layers.Dense(3)(x)})
    assert recognition_metrics(gan_keras.GAN(tiny_generator(3), d, num_classes=3), IMAGES, CLASSES) == {}


def test_bytes_are_scaled_to_the_range_of_the_model():
    model = gan(label=(0, 1, 2))
    as_bytes = np.rint((IMAGES + 1) * 127.5).astype("uint8")
    assert recognition_metrics(model, as_bytes, CLASSES) == {"test_errors": 0.0}


@pytest.mark.parametrize("number", [40, 501])
def test_reconstruction_and_bound_of_a_vae_in_closed_form(number):
    # An encoder that says N(0, 1) of every image, and a generator that makes 0.25 of every latent.
    images, z = keras.Input((8, 8, 1)), keras.Input((2,))
    encoder = keras.Model(images, layers.Dense(4, kernel_initializer="zeros")(layers.Flatten()(images)))
    pixels = layers.Dense(64, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(0.25))(z)
    vae = gan_keras.VAE(keras.Model(z, layers.Reshape((8, 8, 1))(pixels)), encoder, deviation=0.5, value_range=(-1, 1))
    vae.compile("adam")
    x = tiny_images(number)
    x[500:] = -1.0  # a batch of its own, which counts as one image
    errors = (x - 0.25) ** 2
    density = -errors.sum(axis=(1, 2, 3)).mean() / (2 * 0.25) - 64 / 2 * math.log(2 * math.pi * 0.25)
    found = recognition_metrics(vae, x)
    assert found["reconstruction"] == pytest.approx(math.sqrt(errors.mean()), rel=1e-5)
    assert found["bound"] == pytest.approx(density, rel=1e-5)  # the latent says nothing: its divergence is 0
