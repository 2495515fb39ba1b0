"""The generative adversarial networks from 2014 to 2018."""

import functools
from dataclasses import replace

from gan_keras import losses, networks, regularizers, schedules
from gan_keras.recipe import Recipe, adam, rmsprop


def dcgan():
    """The classic convolutional GAN.

    Radford, Metz, Chintala 2016, DCGAN.
    """
    return Recipe(
        generator=networks.dcgan_generator,  # Radford et al. 2016, section 4; two upsamplings, for 28x28
        discriminator=networks.dcgan_discriminator,  # Radford et al. 2016, section 4; two strided convolutions, for 28x28
        latent_dim=100,  # Radford et al. 2016, figure 1; normal instead of uniform
        d_optimizer=adam(2e-4, 0.5),  # Radford et al. 2016, section 4
        g_optimizer=adam(2e-4, 0.5),  # Radford et al. 2016, section 4
        loss=losses.NonSaturating(),  # Goodfellow et al. 2014, section 3, as in the authors' code
        batch_size=128,  # Radford et al. 2016, section 4
        steps=10_000,  # chosen here
        bfloat16_on_cpu=True,  # measured, docs/performance.md and docs/results.md
    )


def minimax():
    """The original game, generator's vanishing gradient included.

    Goodfellow et al. 2014, algorithm 1.
    """
    return replace(
        dcgan(),
        loss=losses.Minimax(),  # Goodfellow et al. 2014, equation 1
        bfloat16_on_cpu=False,  # not measured
    )


def lsgan():
    """DCGAN with least squares instead of cross-entropy.

    Mao et al. 2017, LSGAN.
    """
    return replace(
        dcgan(),
        loss=losses.LeastSquares(),  # Mao et al. 2017, equation 9
        bfloat16_on_cpu=False,  # not measured
    )


def sngan():
    """Hinge loss, spectral normalization in every layer of the discriminator.

    Miyato, Kataoka, Koyama, Yoshida 2018, SNGAN. Optimizers of table 1, setting C.
    """
    return replace(
        dcgan(),
        discriminator=functools.partial(networks.dcgan_discriminator, normalization="spectral"),  # Miyato et al. 2018
        loss=losses.Hinge(),  # Miyato et al. 2018, equations 16 and 17
        d_optimizer=adam(2e-4, 0.5),  # Miyato et al. 2018, table 1, setting C
        g_optimizer=adam(2e-4, 0.5),  # Miyato et al. 2018, table 1, setting C
        schedule=schedules.Alternating(n_critic=1),  # Miyato et al. 2018, table 1, setting C
        batch_size=64,  # authors' configuration
        bfloat16_on_cpu=False,  # not measured
    )


def wgan():
    """Wasserstein GAN with weight clipping.

    Arjovsky, Chintala, Bottou 2017, WGAN, algorithm 1.
    """
    return Recipe(
        generator=networks.dcgan_generator,  # Radford et al. 2016, section 4; two upsamplings, for 28x28
        discriminator=functools.partial(networks.wgan_gp_critic, width=32),  # WGAN-GP's at half its width, chosen here
        latent_dim=100,  # Radford et al. 2016, figure 1; normal instead of uniform
        d_optimizer=rmsprop(5e-5, 0.99),  # Arjovsky et al. 2017, algorithm 1; rho of the authors' code
        g_optimizer=rmsprop(5e-5, 0.99),  # Arjovsky et al. 2017, algorithm 1; rho of the authors' code
        loss=losses.Wasserstein(),  # Arjovsky et al. 2017, algorithm 1
        regularizers=(regularizers.WeightClipping(0.01),),  # Arjovsky et al. 2017, algorithm 1
        schedule=schedules.Alternating(n_critic=5),  # Arjovsky et al. 2017, algorithm 1
        batch_size=64,  # Arjovsky et al. 2017, algorithm 1
        steps=10_000,  # chosen here
        steps_per_execution=1,  # a step is long
    )


def wgan_gp():
    """Wasserstein GAN with gradient penalty.

    Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville 2017, WGAN-GP.
    """
    return Recipe(
        generator=networks.dcgan_generator,  # Radford et al. 2016, section 4; two upsamplings, for 28x28
        discriminator=networks.wgan_gp_critic,  # authors' gan_mnist.py
        latent_dim=100,  # Radford et al. 2016, figure 1; Gulrajani et al. have 128
        d_optimizer=adam(1e-4, 0.5, 0.9),  # authors' gan_mnist.py
        g_optimizer=adam(1e-4, 0.5, 0.9),  # authors' gan_mnist.py
        loss=losses.Wasserstein(),  # Gulrajani et al. 2017, algorithm 1
        regularizers=(regularizers.GradientPenalty(10.0),),  # Gulrajani et al. 2017, algorithm 1
        schedule=schedules.Alternating(n_critic=5),  # Gulrajani et al. 2017, algorithm 1
        batch_size=50,  # authors' gan_mnist.py
        steps=10_000,  # chosen here
        steps_per_execution=1,  # a step is long
        bfloat16_on_cpu=True,  # measured, docs/performance.md and docs/results.md
    )


def dragan():
    """DCGAN without BatchNorm in the discriminator, gradient norms held at 1 near the data.

    Kodali, Abernethy, Hays, Kira 2017, DRAGAN.
    """
    return replace(
        dcgan(),
        discriminator=functools.partial(networks.dcgan_discriminator, normalization=None),  # penalties need no BatchNorm
        regularizers=(regularizers.DRAGAN(10.0),),  # Kodali et al. 2017, algorithm 1; scale of the authors' code
        bfloat16_on_cpu=False,  # not measured
    )


def r1():
    """DCGAN without BatchNorm in the discriminator, flat on the data.

    Mescheder, Geiger, Nowozin 2018, R1.
    """
    return replace(
        dcgan(),
        discriminator=functools.partial(networks.dcgan_discriminator, normalization=None),  # penalties need no BatchNorm
        loss=losses.NonSaturating(),  # Mescheder et al. 2018, authors' configuration
        regularizers=(regularizers.R1(10.0),),  # Mescheder et al. 2018, equation 9; gamma of the authors' configuration
        d_optimizer=adam(1e-4, 0.0, 0.99),  # rate of Mescheder et al.'s configuration; betas of Karras et al. 2018
        g_optimizer=adam(1e-4, 0.0, 0.99),  # as d_optimizer
        ema=0.999,  # Mescheder et al. 2018, authors' configuration
        batch_size=64,  # Mescheder et al. 2018, authors' configuration
        bfloat16_on_cpu=False,  # not measured
    )
