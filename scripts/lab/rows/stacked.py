"""The rows of stacked MNIST: 1,000 modes, by a small discriminator and by one of full size."""

import dataclasses
import functools

import numpy as np

from gan_keras import data, evaluation, losses, metrics, networks, plots, recipes, regularizers, toys
from gan_keras.classifier import DigitClassifier
from rows.base import Row, mean, picture, trained, trained_figures, values


def modes_of_digits(images):
    return values(evaluation.stacked_metrics(images, DigitClassifier()))


# A discriminator a quarter of the generator.


def stacked(packing):
    def run(seed):
        recipe = recipes.get("stacked_mnist")
        if packing > 1:
            judge = functools.partial(networks.stacked_discriminator, packing=packing)
            recipe = dataclasses.replace(recipe, discriminator=judge)
        gan, seconds = trained(recipe, seed)
        images = plots.to_uint8(gan.sample(25_600, seed=seed), gan.value_range)
        if packing == 1:
            picture("stacked_mnist", seed, lambda path: plots.grid(images[:100]).save(path))
        cases = {"ours": {**modes_of_digits(images), "seconds": seconds}}
        if seed == 0:
            cases["test digits"] = modes_of_digits(data.load("stacked_mnist", f"test[:{len(images)}]")[0])
        return cases

    return run


FIGURES = {"modes": "{:.0f}", "sure_modes": "{:.0f}", "kl": "{:.3f}", "confidence": "{:.3f}"}

SMALL = [
    Row(
        name="stacked_mnist",
        title="Stacked MNIST, discriminator a quarter of the generator",
        source="Metz et al. 2017, Unrolled GAN, table 1; Lin et al. 2018, PacGAN, table 3",
        protocol=(
            "25,600 samples; a digit classifier reads each colour; the number of modes, of 1,000, and the KL divergence of their "
            "shares from uniform ones"
        ),
        published="modes / KL: DCGAN 30.6 / 5.99, Unrolled-10 327 / 4.66, PacGAN4 667 / 1.81",
        differs=(
            "layer widths as published; loss, optimizer, 64 latents instead of 256 and the number of steps are ours (recipe "
            "stacked_mnist); 128,000 stacks of training digits, drawn once and not for each batch; the classifier is ours. It "
            "reads shapes that are no digit as some digit too: the second column counts only digits with a confidence over 0.9"
        ),
        run=stacked(packing=1),
        figures=FIGURES,
        goal=("ours", "modes", "more than 800, mean", lambda runs: mean(runs, "modes") > 800),
        uses=("stacked_mnist",),
        pictures=("stacked_mnist",),
    ),
    Row(
        name="stacked_packed",
        title="Stacked MNIST, the same with a discriminator that judges four at once",
        source="Lin et al. 2018, PacGAN, table 3",
        protocol="as above",
        published="modes / KL: PacGAN4 667 / 1.81",
        differs="as above",
        run=stacked(packing=4),
        figures=FIGURES,
        uses=("stacked_mnist",),
    ),
]


# A discriminator of full size.

SAMPLES = 26_000  # Lin et al. 2018, and those after them


def full(seed):
    gan, seconds = trained(recipes.get("stacked_mnist_full"), seed)
    images = samples(gan, seed)
    picture("stacked_full", seed, lambda path: plots.grid(images[:100]).save(path))
    cases = {"ours": {**modes_of_digits(images), "seconds": seconds}, "perfect samples": perfect(seed)}
    if seed == 0:
        cases["test digits"] = modes_of_digits(data.load("stacked_mnist", f"test[:{SAMPLES}]")[0])
    return cases


def samples(gan, seed):
    blocks = gan.sample_batches(SAMPLES, seed=seed)
    return np.concatenate([plots.to_uint8(images, gan.value_range) for images, _ in blocks])


def perfect(seed):
    """What samples of the data's own distribution have, read without an error."""
    labels = toys.stack_digits(*data.load("mnist", "train"), SAMPLES, seed=2 + seed)[1]  # 0 and 1 are of the data sets
    return {"modes": len(np.unique(labels)), "kl": metrics.kl_from_uniform(labels, 1000)}


# A quarter of the recipe's length, for each of twelve trainings.
SHORT_STEPS = 5000

LOSSES = {"paired": losses.Relativistic(), "separate": losses.NonSaturating()}
PENALTIES = {"R1": (regularizers.R1,), "R1 + R2": (regularizers.R1, regularizers.R2)}


def ablated(loss, penalties):
    def run(seed):
        recipe = recipes.get("stacked_mnist_full")
        kept = tuple(term for term in recipe.regularizers if isinstance(term, PENALTIES[penalties]))
        recipe = dataclasses.replace(recipe, loss=LOSSES[loss], regularizers=kept)
        figures = trained_figures(recipe, seed, lambda gan: modes_of_digits(samples(gan, seed)), steps=SHORT_STEPS)
        return {f"{loss}, {penalties}": figures}

    return run


FULL = [
    Row(
        name="stacked_full",
        title="Stacked MNIST, discriminator of full size",
        source="Huang et al. 2024, R3GAN",
        protocol=(
            f"{SAMPLES:,} samples; a digit classifier reads each colour; the number of modes, of 1,000, and the KL divergence of their "
            "shares from uniform ones"
        ),
        published=(
            "modes / KL: DCGAN 99 / 3.40, WGAN-GP 959 / .73, PacGAN 992 / .28, StyleGAN2 940 / .42, PresGAN 1000 / .12, DDGAN "
            "1000 / .071, MEG 1000 / .031, R3GAN 1000 / .029"
        ),
        differs=(
            "networks and training are ours (recipe stacked_mnist_full); R3GAN has 20.7 million "
            "weights in each network and trains on 10 million images. 128,000 stacks, of training digits only; the classifier is "
            "ours. The penalties are computed on a quarter of each batch, R3GAN's on the whole. "
            f"Perfect samples are the true labels of {SAMPLES:,} random stacks: with so few samples, the KL divergence is above 0"
        ),
        run=full,
        figures=FIGURES,
        goal=(
            "ours",
            "kl",
            "1,000 modes and a KL of .08 or less after 30 minutes on one core, in every run",
            lambda runs: all(r["modes"] == 1000 and r["kl"] <= 0.08 and r["seconds"] <= 1800 for r in runs),
        ),
        uses=("stacked_mnist_full",),
        pictures=("stacked_full",),
    ),
    *(
        Row(
            name=f"ablation.{loss}_{penalties.replace(' + ', '_').lower()}",
            title="Pairing and penalties on stacked MNIST",
            source="Huang et al. 2024, R3GAN",
            protocol=(
                f"as above, after the first {SHORT_STEPS:,} of the recipe's steps, in which the rate falls by a seventh; networks, "
                "optimizer and weights of the penalties are the same for all"
            ),
            published=(
                "modes / KL, one run each: paired (RpGAN) with R1 + R2 1000 / .0781, separate (GAN) with R1 + R2 693 / .927, "
                "R1 alone with either: diverged"
            ),
            differs=(
                "as above. Theirs are residual networks without normalization, and R1 alone was tried with weights from .1 to "
                "100; here the generator has BatchNorm, the weight is that of the recipe, and each penalty is computed on a quarter of "
                "the batch. A run has diverged if a loss or a weight is not finite; the other columns are of the runs that have not"
            ),
            run=ablated(loss, penalties),
            figures={**FIGURES, "diverged": "{}"},
            uses=("stacked_mnist_full",),
            constants={"steps": SHORT_STEPS},
        )
        for loss in LOSSES
        for penalties in PENALTIES
    ),
]

ROWS = SMALL + FULL
