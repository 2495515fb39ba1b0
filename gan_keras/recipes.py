"""Recipes: functions that return the networks and everything `compile` needs. The comment on a line is the source of its value.

A recipe of your own is such a function too. The scripts take it as `--recipe my_recipes.py:name`:

    import dataclasses
    from gan_keras import recipes

    def name():
        \"""What it is for.\"""
        return dataclasses.replace(recipes.default(), batch_size=64)  # chosen for this example
"""

import ast
import functools
import inspect
import textwrap
from dataclasses import replace

from gan_keras import identifiers, losses, networks, regularizers, schedules
from gan_keras.recipe import Recipe, adam, cosine_decay, rmsprop


# The best digits.


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


# The two tutorials.


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
    )


def jeffreys():
    """The "mutual information" of the PyTorch tutorial, which is the Jeffreys divergence, put right.

    The tutorial; gradients after Nowozin, Cseke, Tomioka 2016, f-GAN.
    """
    return replace(
        tutorial_conv(),
        loss=losses.Jeffreys(),  # the PyTorch tutorial; exp continued by its tangent above 10, against overflow
    )


# Generative adversarial networks from 2014 to 2018.


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
    )


def minimax():
    """The original game, generator's vanishing gradient included.

    Goodfellow et al. 2014, algorithm 1.
    """
    return replace(
        dcgan(),
        loss=losses.Minimax(),  # Goodfellow et al. 2014, equation 1
    )


def lsgan():
    """DCGAN with least squares instead of cross-entropy.

    Mao et al. 2017, LSGAN.
    """
    return replace(
        dcgan(),
        loss=losses.LeastSquares(),  # Mao et al. 2017, equation 9
    )


def sngan():
    """Hinge loss, spectral normalization in every layer of the discriminator.

    Miyato, Kataoka, Koyama, Yoshida 2018, SNGAN. Optimizers of table 1, setting C.
    """
    return replace(
        dcgan(),
        discriminator=functools.partial(networks.dcgan_discriminator, normalization="spectral"),  # Miyato et al. 2018; dcgan's layers
        loss=losses.Hinge(),  # Miyato et al. 2018, equations 16 and 17
        d_optimizer=adam(2e-4, 0.5),  # Miyato et al. 2018, table 1, setting C
        g_optimizer=adam(2e-4, 0.5),  # Miyato et al. 2018, table 1, setting C
        schedule=schedules.Alternating(n_critic=1),  # Miyato et al. 2018, table 1, setting C
        batch_size=64,  # authors' configuration
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
    )


def dragan():
    """DCGAN without BatchNorm in the discriminator, gradient norms held at 1 near the data.

    Kodali, Abernethy, Hays, Kira 2017, DRAGAN.
    """
    return replace(
        dcgan(),
        discriminator=functools.partial(networks.dcgan_discriminator, normalization=None),  # penalties need no BatchNorm
        regularizers=(regularizers.DRAGAN(10.0),),  # Kodali et al. 2017, algorithm 1; scale of the authors' code
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
    )


# Data whose modes are known.


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


RECIPES = {
    function.__name__: function
    for function in (
        *(default, tutorial_mlp, tutorial_conv, jeffreys, minimax, dcgan, lsgan, sngan, wgan, wgan_gp, dragan, r1, cgan, parzen),
        *(ring, grid, swiss_roll, gaussians, stacked_mnist),
    )
}


def find(name):
    """The function of a recipe: of one of `RECIPES`, or of your own as "my_recipes.py:name" or "package.module:name".

    Raises:
        ValueError: There is none of that name.
    """
    if ":" in name:
        return identifiers.imported(name)
    if name not in RECIPES:
        raise identifiers.unknown("recipe", name, RECIPES)
    return RECIPES[name]


def get(name):
    """The recipe of a name, as `find` takes it; `dataclasses.replace` changes parts of it.

    Raises:
        ValueError: There is none of that name, or it is not a function that returns a `Recipe`.
    """
    function = find(name)
    wanted = f"A recipe is a function without arguments that returns a gan_keras.recipes.Recipe. Received: {name}"
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{wanted}, {function!r}") from error
    found = function()
    if not isinstance(found, Recipe):
        raise ValueError(f"{wanted}, which returns {found!r}")
    return found


def summary(name):
    """The first line of a recipe's docstring."""
    return (inspect.getdoc(find(name)) or name).splitlines()[0]


def show(name):
    """The source of a recipe, followed by the recipes that it is made from."""
    get(name)  # refuses what is none
    function = find(name)
    source = textwrap.dedent(inspect.getsource(function))
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = dict.fromkeys(getattr(node, "attr", getattr(node, "id", None)) for node in called)
    return "\n\n".join([source.rstrip(), *(show(base) for base in names if base in RECIPES and base != function.__name__)])


def unchanged(saved, names):
    """Whether `saved`, {name: values of a recipe}, is of the recipes `names` as they are now."""
    return saved.keys() == set(names) and not any(get(name).differs_from(values) for name, values in saved.items())
