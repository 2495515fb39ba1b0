"""The rows of stacked MNIST, whose modes are 1,000."""

import dataclasses
import functools

from gan_keras import data, evaluation, networks, plots, recipes
from gan_keras.classifier import DigitClassifier
from rows.base import Row, mean, picture, trained, values


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

ROWS = [
    Row(
        name="stacked_mnist",
        title="Stacked MNIST, discriminator a quarter of the generator",
        source="Metz et al. 2017, Unrolled GAN, table 1; Lin et al. 2018, PacGAN, table 3",
        protocol=(
            "25,600 samples, a digit classifier reads each colour; modes hit of 1,000 and KL of their shares from uniform"
        ),
        published="modes / KL: DCGAN 30.6 / 5.99, Unrolled-10 327 / 4.66, PacGAN4 667 / 1.81",
        differs=(
            "layer widths as published; loss, optimizer, 64 latents (256) and length are ours (recipe stacked_mnist); 128,000 "
            "stacks, of training digits only, drawn once (drawn anew for each batch); the classifier is ours. It reads "
            "doubtful shapes as some digit too: see the modes read with over 0.9"
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
