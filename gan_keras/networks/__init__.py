"""Builders of generators and discriminators: functions that return Functional models. Discriminators return logits.

Every builder takes the `shape` of an image or point, and `num_classes`: with it, the network has a second input, integer labels
(batch,). Dense networks concatenate the label to their input (Mirza and Osindero 2014, "Conditional Generative
Adversarial Nets"); convolutional discriminators project on it (Miyato and Koyama 2018, "cGANs with Projection Discriminator").

Convolutional networks fit the shape: the larger side of an image is halved until at most 7 pixels are left (at most 4 in
critics), and channels double at each halving. 28 > 14 > 7; 32 > 16 > 8 > 4; 64 > 32 > 16 > 8 > 4, as in Radford et al. 2016.
The sizes in the docstrings are those of 28x28 images.
"""

from gan_keras.networks.base import precision
from gan_keras.networks.convolutional import (
    dcgan_discriminator,
    dcgan_generator,
    default_discriminator,
    default_generator,
    stacked_discriminator,
    stacked_generator,
    tutorial_discriminator,
    wgan_gp_critic,
)
from gan_keras.networks.dense import (
    mlp_discriminator,
    mlp_generator,
    points_discriminator,
    points_generator,
    semi_supervised_discriminator,
    semi_supervised_generator,
    tutorial_generator,
)
from gan_keras.networks.residual import r3gan_discriminator, r3gan_generator
from gan_keras.networks.tasks import acgan_discriminator, default_encoder, infogan_discriminator

__all__ = [
    "acgan_discriminator",
    "dcgan_discriminator",
    "dcgan_generator",
    "default_discriminator",
    "default_encoder",
    "default_generator",
    "infogan_discriminator",
    "mlp_discriminator",
    "mlp_generator",
    "points_discriminator",
    "points_generator",
    "precision",
    "r3gan_discriminator",
    "r3gan_generator",
    "semi_supervised_discriminator",
    "semi_supervised_generator",
    "stacked_discriminator",
    "stacked_generator",
    "tutorial_discriminator",
    "tutorial_generator",
    "wgan_gp_critic",
]
