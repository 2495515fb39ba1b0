"""The recipes of the two tutorials."""

from dataclasses import replace

from gan_keras import losses, networks
from gan_keras.recipe import Recipe, adam


def tutorial_mlp():
    """The Keras tutorial's dense networks, made to train.

    Goodfellow et al. 2014, with the sizes of the tutorial.
    """
    return Recipe(
        generator=networks.mlp_generator,  # the Keras tutorial
        discriminator=networks.mlp_discriminator,  # the Keras tutorial; logits out
        latent_dim=100,  # the Keras tutorial
        d_optimizer=adam(2e-4, 0.5),  # the tutorial gives none; DCGAN's
        g_optimizer=adam(2e-4, 0.5),  # the tutorial gives none; DCGAN's
        loss=losses.NonSaturating(),  # Goodfellow et al. 2014, section 3
        batch_size=128,  # the tutorial gives none; DCGAN's
        steps=10_000,  # chosen here
        steps_per_execution=20,  # measured, docs/performance.md
        jit_on_cpu=True,  # measured, docs/performance.md
    )


def tutorial_conv():
    """The PyTorch tutorial's networks with the cross-entropy it describes.

    The tutorial, with the non-saturating loss of Goodfellow et al. 2014.
    """
    return Recipe(
        generator=networks.tutorial_generator,  # the PyTorch tutorial
        discriminator=networks.tutorial_discriminator,  # the PyTorch tutorial; 576 features where it has 1024; logits out
        latent_dim=100,  # the PyTorch tutorial
        d_optimizer=adam(2e-4, 0.5),  # the tutorial names Adam; values of DCGAN
        g_optimizer=adam(2e-4, 0.5),  # the tutorial names Adam; values of DCGAN
        loss=losses.NonSaturating(),  # the PyTorch tutorial: KL(label || probability) = -log p
        batch_size=128,  # the tutorial gives none; DCGAN's
        steps=10_000,  # chosen here
        bfloat16_on_cpu=True,  # measured, docs/performance.md and docs/results.md
    )


def jeffreys():
    """The "mutual information" of the PyTorch tutorial, which is the Jeffreys divergence, put right.

    The tutorial; gradients after Nowozin, Cseke, Tomioka 2016, f-GAN.
    """
    return replace(
        tutorial_conv(),
        loss=losses.Jeffreys(),  # the PyTorch tutorial; exp continued by its tangent above 10, against overflow
        bfloat16_on_cpu=False,  # not measured
    )
