"""The recipes of the best digits."""

import functools
from dataclasses import replace

from gan_keras import losses, networks, regularizers
from gan_keras.recipe import Recipe, adam


def default():
    """The best digits in six minutes on two CPU cores.

    R1 of Mescheder et al. 2018 on convolutional networks, with a moving average of the generator.
    """
    return Recipe(
        generator=networks.default_generator,  # DCGAN at half its width, behind StyleGAN's mapping network at half its width
        discriminator=networks.default_discriminator,  # WGAN-GP's critic at half its width, 4x4 kernels, for speed
        latent_dim=16,  # chosen here, docs/default_recipe.md
        d_optimizer=adam(1e-3, 0.0, 0.99),  # rate and betas of Karras et al. 2018, appendix A.1
        g_optimizer=adam(1e-3, 0.0, 0.99),  # as d_optimizer
        loss=losses.NonSaturating(),  # Mescheder et al. 2018, authors' configuration
        # Mescheder et al. 2018, equation 9; weight and part of the batch chosen here, docs/default_recipe.md
        regularizers=(regularizers.R1(2.0, one_in=4),),
        ema=0.999,  # Karras et al. 2018
        batch_size=32,  # chosen here: more and smaller steps in the same time
        steps=8000,  # about six minutes on two cores
    )


def cgan():
    """Digits on demand: the default recipe with labels.

    Mirza and Osindero 2014; projection of Miyato and Koyama 2018.
    """
    return replace(
        default(),
        num_classes=10,  # the ten digits; embedded in the generator, projected in the discriminator
    )


def parzen():
    """The default recipe, shallower and longer, for Goodfellow's log-likelihood."""
    return replace(
        default(),
        generator=functools.partial(networks.default_generator, mapping=2),  # a quarter of the depth of StyleGAN's mapping
        latent_dim=10,  # chosen here
        regularizers=(regularizers.R1(1.0),),  # Mescheder et al. 2018, equation 9; weight for small images chosen here
        steps=12_000,  # chosen here; a quarter to half an hour on one core
    )
