"""Toys: points whose distribution is known, and stacked MNIST with its 1,000 modes."""

import functools
from dataclasses import replace

from gan_keras import losses, networks, regularizers, schedules
from gan_keras.recipe import Recipe, adam, cosine_decay


def ring():
    """Eight Gaussians on a ring.

    The toy of Lin et al. 2018, PacGAN; hinge loss with a gradient penalty.
    """
    return Recipe(
        data="ring",  # Lin et al. 2018, section 4.1
        generator=functools.partial(networks.points_generator, scale=0.25),  # chosen here
        discriminator=functools.partial(networks.points_discriminator, scale=0.25),  # chosen here
        latent_dim=2,  # Lin et al. 2018, authors' code
        # Betas of Karras et al. 2018; rate and decay chosen here, so that the samples converge.
        d_optimizer=adam(cosine_decay(3e-3, 30_000), 0.0, 0.99),
        g_optimizer=adam(cosine_decay(3e-3, 30_000), 0.0, 0.99),  # as d_optimizer
        loss=losses.Hinge(),  # Lim and Ye 2017, Geometric GAN; non-saturating with R1 left modes of uneven size
        regularizers=(regularizers.GradientPenalty(0.1),),  # Gulrajani et al. 2017, algorithm 1; weight of the authors' toys
        ema=0.999,  # Karras et al. 2018
        batch_size=128,  # chosen here; Lin et al. have 100
        steps=30_000,  # chosen here
        steps_per_execution=20,  # measured, docs/performance.md
    )


def grid():
    """Twenty-five Gaussians on a grid.

    The toy of Lin et al. 2018, PacGAN; trained as the ring.
    """
    return replace(
        ring(),
        data="grid",  # Lin et al. 2018, section 4.1
        generator=networks.points_generator,  # ring's, at the scale of the grid
        discriminator=networks.points_discriminator,  # ring's, at the scale of the grid
        d_optimizer=adam(cosine_decay(3e-3, 20_000), 0.0, 0.99),  # ring's, for fewer steps
        g_optimizer=adam(cosine_decay(3e-3, 20_000), 0.0, 0.99),  # as d_optimizer
        steps=20_000,  # chosen here
    )


def swiss_roll():
    """A spiral: a thin curve instead of modes.

    A toy of Gulrajani et al. 2017; trained as the ring.
    """
    return replace(
        ring(),
        data="swiss_roll",  # Gulrajani et al. 2017, figure 1
    )


def gaussians():
    """Three Gaussians on a line, where the Wasserstein distance is exact.

    A toy of one dimension; trained as the ring.
    """
    return replace(
        ring(),
        data="gaussians",  # chosen here
        generator=networks.points_generator,  # ring's, in one dimension
        discriminator=networks.points_discriminator,  # ring's, in one dimension
        latent_dim=1,  # the dimension of the data
    )


def stacked_mnist():
    """1,000 modes against a discriminator a quarter of the generator's size.

    The setting of Metz et al. 2017, Unrolled GAN; R1 of Mescheder et al. 2018.
    """
    return Recipe(
        data="stacked_mnist",  # Metz et al. 2017, section 3.3.1; number of stacks of VEEGAN
        generator=networks.stacked_generator,  # Metz et al. 2017, appendix E; kernels chosen here
        discriminator=networks.stacked_discriminator,  # as the generator, a quarter of the size; no BatchNorm
        latent_dim=64,  # chosen here
        d_optimizer=adam(8e-3, 0.0, 0.99),  # betas of Karras et al. 2018; a small discriminator needs a high rate, chosen here
        g_optimizer=adam(2e-3, 0.0, 0.99),  # betas of Karras et al. 2018; rate chosen here
        loss=losses.NonSaturating(),  # Mescheder et al. 2018, authors' configuration
        regularizers=(regularizers.R1(0.05),),  # Mescheder et al. 2018, equation 9; weight chosen here
        schedule=schedules.Alternating(n_critic=2),  # chosen here, to help the small discriminator
        ema=0.999,  # Karras et al. 2018
        batch_size=32,  # chosen here
        steps=5000,  # chosen here
    )


def stacked_mnist_full():
    """All 1,000 modes, with a discriminator of the generator's size.

    The setting of Srivastava et al. 2017, VEEGAN; the loss and penalties of Huang et al. 2024, R3GAN.
    """
    return Recipe(
        data="stacked_mnist",  # Srivastava et al. 2017, section 4; number of stacks
        # Those of plain; without the mapping network, chosen here
        generator=functools.partial(networks.default_generator, mapping=0),
        discriminator=networks.default_discriminator,  # that of plain
        latent_dim=64,  # Huang et al. 2024, authors' configuration
        # Betas of Karras et al. 2018; rate and decay chosen here
        d_optimizer=adam(cosine_decay(2e-3, 20_000), 0.0, 0.99),
        g_optimizer=adam(cosine_decay(2e-3, 20_000), 0.0, 0.99),  # as d_optimizer
        loss=losses.Relativistic(),  # Huang et al. 2024, equation 2
        # Huang et al. 2024, both; weight and part of the batch chosen here
        regularizers=(regularizers.R1(1.0, one_in=4), regularizers.R2(1.0, one_in=4)),
        ema=0.999,  # Karras et al. 2018
        batch_size=32,  # chosen here
        steps=20_000,  # chosen here; a quarter of an hour on one core
    )
