"""GANs that do more than draw: codes, classes, few labels; and the VAE beside them."""

import functools
from dataclasses import replace

from keras.optimizers.schedules import PolynomialDecay

from gan_keras import losses, networks, priors, regularizers
from gan_keras.recipe import Recipe, VAERecipe, adam, cosine_decay
from gan_keras.recipes.best import cgan, plain


def infogan():
    """Digits by a code that nobody has labelled, and two that change the style.

    Chen et al. 2016, InfoGAN.
    """
    return replace(
        plain(),
        generator=functools.partial(networks.default_generator, mapping=0),  # as plain, without the mapping network
        # Chen et al. 2016, table 1; half as wide, with augmentation instead of BatchNorm
        discriminator=functools.partial(networks.infogan_discriminator, codes={"code": 10, "style": 2}),
        latent_dim=42,  # that of the prior
        # Codes of Chen et al. 2016, appendix C.1; narrow noise beside them as in Mukherjee et al. 2019, ClusterGAN
        prior=priors.Joint(z=priors.Normal(30, 0.2), code=priors.Categorical(10), style=priors.Uniform(2, -0.4, 0.4)),
        regularizers=(
            regularizers.R1(1.0, one_in=4),  # as plain; weight chosen here
            # Chen et al. 2016, appendix C: lambda 1; chosen here that it rises, so that codes can still change places, and to 0.7
            regularizers.MutualInformation(PolynomialDecay(0.1, 10_000, 0.7)),
            regularizers.MutualInformation(0.6, code="style"),  # chosen here
            # Zhang et al. 2020, section 2, of the code instead of the score; weight chosen here
            regularizers.Consistency(2.0, head="code", activation="softmax"),
        ),
        averaged=("discriminator",),  # chosen here: the code is read by the average
        steps=10_000,  # chosen here
    )


def acgan():
    """Digits on demand, by a discriminator that also tells the digit.

    Odena, Olah, Shlens 2017, AC-GAN; otherwise the recipe cgan.
    """
    return replace(
        cgan(),
        discriminator=networks.acgan_discriminator,  # Odena et al. 2017, section 4
        regularizers=(
            regularizers.R1(2.0, one_in=4),  # as plain
            regularizers.Classification(on="real"),  # Odena et al. 2017, equation 3
            regularizers.Classification(on="generated"),  # Odena et al. 2017, equation 3
        ),
    )


def semi_supervised():
    """A classifier of digits from 100 labels, taught by a generator and by its own moving average.

    Salimans et al. 2016, feature matching; Tarvainen and Valpola 2017, mean teacher.
    """
    return Recipe(
        labelled=100,  # Salimans et al. 2016, table 1
        num_classes=10,  # the ten digits
        generator=networks.semi_supervised_generator,  # Salimans et al. 2016, authors' code
        discriminator=networks.semi_supervised_discriminator,  # Salimans et al. 2016, authors' code; noise chosen here
        latent_dim=100,  # Salimans et al. 2016, authors' code
        prior=priors.Uniform(100, 0.0, 1.0),  # Salimans et al. 2016, authors' code
        d_optimizer=adam(cosine_decay(1e-3, 30_000), 0.5),  # beta of Salimans et al. 2016, authors' code; rate chosen here
        g_optimizer=adam(cosine_decay(1e-3, 30_000), 0.5),  # as d_optimizer
        loss=losses.DiscriminatorOnly(),  # Salimans et al. 2016, authors' code
        regularizers=(
            regularizers.Classification(2.0),  # authors' code: the terms of real and generated images count half
            regularizers.FeatureMatching(),  # Salimans et al. 2016, section 3.1
            # Tarvainen and Valpola 2017, section 2: squared errors of probabilities; weight chosen here, larger ones leave the
            # generator nothing to teach
            regularizers.Consistency(1.0, head="label", activation="softmax", average=True),
        ),
        ema=0.999,  # Tarvainen and Valpola 2017
        averaged=("discriminator",),  # Salimans et al. 2016, authors' code: the test is of the average
        batch_size=100,  # Salimans et al. 2016, authors' code
        steps=30_000,  # chosen here: 40 epochs of the images without a label; Salimans et al. 2016 have 300
    )


def vae():
    """A variational autoencoder with the generator of the recipe plain, to compare with.

    Kingma and Welling 2014.
    """
    return VAERecipe(
        generator=networks.default_generator,  # as plain
        encoder=networks.default_encoder,  # the default discriminator's trunk
        latent_dim=16,  # as plain
        optimizer=adam(1e-3, 0.9),  # Kingma and Ba 2015
        deviation=0.5,  # chosen here
        ema=0.999,  # as plain
        batch_size=64,  # Lucic et al. 2018
        steps=8000,  # as plain
    )
