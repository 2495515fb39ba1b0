"""The recipes of the best digits."""

import functools
from dataclasses import replace

from keras.optimizers.schedules import CosineDecay

from gan_keras import losses, networks, regularizers, schedules
from gan_keras.recipe import Recipe, adam, cosine_decay


def default():
    """The best digits in five to eight minutes on two CPU cores: the recipe cgan with clusters in place of labels.

    Sage et al. 2018, for the clusters.
    """
    return replace(
        cgan(),
        num_classes=None,  # no labels
        clusters=20,  # chosen here, docs/default_recipe.md
        generator=functools.partial(networks.default_generator, mapping=0, code=20),  # as cgan; an embedding of the cluster
        schedule=schedules.Simultaneous(),  # chosen here, docs/default_recipe.md
        batch_size=64,  # chosen here, docs/default_recipe.md
        steps=6000,  # chosen here: under five minutes on two cores with AVX-512
    )


def best():
    """The best digits, in about an hour on one CPU core: the recipe default on wider networks."""
    return replace(
        default(),
        clusters=30,  # chosen here, docs/default_recipe.md
        generator=functools.partial(networks.default_generator, mapping=0, code=30, width=48),  # 3/2 of default
        discriminator=functools.partial(networks.acgan_discriminator, projection=True, width=48),  # 3/2 of default
        # Weight of R1 chosen here, docs/default_recipe.md; the others as default
        regularizers=(regularizers.R1(1.0, one_in=4), *default().regularizers[1:]),
        steps=20_000,  # chosen here, docs/default_recipe.md
    )


def plain():
    """A small convolutional GAN with R1, a moving average and a mapping network.

    Mescheder et al. 2018, R1; Karras et al. 2019, StyleGAN, for the mapping network.
    """
    return Recipe(
        generator=networks.default_generator,  # DCGAN's, a quarter as wide, behind half of StyleGAN's mapping network
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
    """Digits on demand.

    Mirza and Osindero 2014; projection of Miyato and Koyama 2018, and the classifier of Odena et al. 2017, AC-GAN.
    """
    return replace(
        plain(),
        num_classes=10,  # the ten digits
        # Miyato and Koyama 2018, section 3, and Odena et al. 2017, section 4, on one trunk
        discriminator=functools.partial(networks.acgan_discriminator, projection=True),
        regularizers=(
            regularizers.R1(2.0, one_in=4),  # as plain
            # Odena et al. 2017, equation 3; weights chosen here, docs/default_recipe.md
            regularizers.Classification(0.5, on="real"),
            regularizers.Classification(0.2, on="generated"),
        ),
        # No mapping network: the labels separate the digits, docs/default_recipe.md
        generator=functools.partial(networks.default_generator, mapping=0),
        latent_dim=64,  # chosen here, docs/default_recipe.md
    )


def parzen():
    """The recipe plain, shallower and longer, for Goodfellow's log-likelihood."""
    return replace(
        plain(),
        generator=functools.partial(networks.default_generator, mapping=2),  # a quarter of the depth of StyleGAN's mapping
        latent_dim=10,  # chosen here
        regularizers=(regularizers.R1(1.0),),  # Mescheder et al. 2018, equation 9; weight for small images chosen here
        steps=12_000,  # chosen here; a quarter to half an hour on one core
    )


def few():
    """Digits from 1,000 images, or as few as 100: the recipe plain with differentiable augmentation.

    Zhao et al. 2020, DiffAugment; Karras et al. 2020, limited data. Choose how many with --split "train[:100]".
    """
    return replace(
        plain(),
        split="train[:1000]",  # chosen here
        # Chosen here, docs/default_recipe.md: the three changes of Zhao et al. 2020 lose modes
        discriminator=functools.partial(networks.default_discriminator, augmentation=("affine",)),
        generator=functools.partial(networks.default_generator, mapping=2),  # a quarter of the depth of StyleGAN's mapping
        latent_dim=64,  # chosen here, docs/default_recipe.md
    )


def r3gan():
    """The relativistic pairing loss with two zero-centred penalties, on residual networks without normalization.

    Huang, Gokaslan, Kuleshov, Tompkin 2024, R3GAN.
    """
    return Recipe(
        generator=networks.r3gan_generator,  # Huang et al. 2024, section 3; a network of our size
        discriminator=networks.r3gan_discriminator,  # Huang et al. 2024, section 3; a network of our size
        value_range=(-1.0, 1.0),  # of the data; no tanh at the end, as in Huang et al. 2024
        latent_dim=16,  # chosen here, docs/default_recipe.md; 64 in Huang et al. 2024, authors' configurations
        # Betas of Huang et al. 2024; rate chosen here, docs/default_recipe.md, 2e-4 there
        d_optimizer=adam(cosine_decay(2e-3, 8000, 0.01), 0.0, 0.99),
        g_optimizer=adam(cosine_decay(2e-3, 8000, 0.01), 0.0, 0.99),  # as d_optimizer
        loss=losses.Relativistic(),  # Huang et al. 2024, equation 2
        # Huang et al. 2024: both, with a weight that falls along a cosine from 1 to a tenth; part of the batch chosen here
        regularizers=(
            regularizers.R1(CosineDecay(1.0, 8000, alpha=0.1), one_in=4),
            regularizers.R2(CosineDecay(1.0, 8000, alpha=0.1), one_in=4),
        ),
        ema=0.999,  # Karras et al. 2018
        batch_size=32,  # as plain
        steps=8000,  # as plain
    )
