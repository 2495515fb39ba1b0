"""The rows of digits: of the recipes default, best and cgan beside real ones, of plain beside a VAE's, and from few training digits."""

import dataclasses

import numpy as np

from gan_keras import data, evaluation, networks, plots, pretrained, recipes
from rows.base import (
    SAMPLES,
    Row,
    digits_evaluator,
    means_within,
    picture,
    quality,
    recognised,
    trained,
    values,
    with_ratio,
)


def beside_real_ones(name, real_ones, *more):
    def run(seed):
        gan, seconds = trained(recipes.get(name), seed)
        evaluator, groups = digits_evaluator(), ["frechet", "score", "manifold", *more]
        samples = evaluator.sample(gan, SAMPLES, seed)
        picture(name, seed, lambda path: plots.grid(samples.images[:100]).save(path))
        cases = {name: values(evaluator.metrics(samples, groups)), real_ones: values(evaluator.real(SAMPLES, groups))}
        cases = {case: with_ratio(figures, evaluator) for case, figures in cases.items()}
        cases[name]["seconds"] = seconds
        return cases

    return run


def truncated(seed):
    gan, evaluator, cases, shown = pretrained.load("default"), digits_evaluator(), {}, {}
    for threshold in (None, 2.0, 1.5, 1.0, 0.5):
        blocks = gan.sample_batches(SAMPLES, seed, truncation=threshold)
        samples = evaluator.describe((plots.to_uint8(images, gan.value_range), labels) for images, labels in blocks)
        case = "the prior" if threshold is None else f"truncation {threshold}"
        cases[case] = values(evaluator.metrics(samples, ["frechet", "score", "manifold"]))
        shown[case] = samples.images[:20]
    panel = plots.Panel(np.stack(list(shown.values())), "the same samples with smaller thresholds", tuple(shown))
    picture("truncation", seed, lambda path: plots.labelled([panel], path))
    return cases


def vae(seed):
    evaluator, cases = digits_evaluator(), {}
    for name in ("plain", "vae"):
        model, seconds = trained(recipes.get(name), seed)
        cases[name] = {**quality(model, evaluator, seed), **recognised(model), "seconds": seconds}
    images = plots.to_uint8(model.sample(100, seed=seed), model.value_range)
    picture("vae", seed, lambda path: plots.grid(images).save(path))
    return cases


def few(number):
    def run(seed):
        split, cases = f"train[:{number}]", {}
        images, test = data.load("mnist", split)[0], data.load("mnist", "test")[0]
        evaluator = evaluation.Evaluator(images, test)
        groups = ["frechet", "manifold", "memorisation"]
        augmented = recipes.get("few")
        plain = dataclasses.replace(augmented, discriminator=networks.default_discriminator)
        for case, recipe in ((f"{number:,} digits", plain), (f"{number:,} digits, DiffAugment", augmented)):
            gan, seconds = trained(recipe, seed, split)
            cases[case] = {**quality(gan, evaluator, seed, groups), "seconds": seconds}
        if seed == 0:
            others = data.load("mnist", f"train[-{SAMPLES}:]")[0]  # in none of the training sets
            others = evaluator.describe([(others, None)])
            cases[f"{number:,} digits: other real digits"] = values(evaluator.metrics(others, groups))
        return cases

    return run


ROWS = [
    *(
        Row(
            name=f"digits.{name}",
            title="Digits of the recipes default, best and cgan beside real ones",
            source="TF-GAN's MNIST tutorial, for the ratio of scores",
            protocol=(
                "10,000 samples, and as many training digits, against the 10,000 test digits. Ratio: mean classifier score of batches "
                "of 32, over that of the test digits. The seed of the samples is that of the training"
            ),
            published="ratio 7.51 / 8.36 = 0.90 after 5,000 steps of batch 32",
            differs=(
                "both scores of the ratio are of our classifier; the recipes are ours. The clusters of default and best and the "
                "labels of cgan occur in the samples almost exactly as often as in the training data; if they were drawn at "
                "random, the distance would vary more (docs/evaluation.md)"
            ),
            run=run,
            figures={
                "frechet_distance": "{:.3f}",
                "coverage": "{:.3f}",
                "recall": "{:.3f}",
                "precision": "{:.3f}",
                "ratio": "{:.3f}",
                "sure_share": "{:.3f}",
                "share_gap": "{:.3f}",
                "label_accuracy": "{:.3f}",
            },
            goal=means_within(name, least, most),
            uses=(name,),
            pictures=(name,),
        )
        for name, least, most, run in (
            (
                "default",
                {"coverage": 0.9, "recall": 0.78, "precision": 0.85, "ratio": 0.98, "sure_share": 0.97},
                {"frechet_distance": 0.15, "share_gap": 0.01},
                beside_real_ones("default", "real training digits"),
            ),
            (
                "best",
                {"coverage": 0.92, "recall": 0.82, "precision": 0.86, "ratio": 0.985, "sure_share": 0.975},
                {"frechet_distance": 0.12, "share_gap": 0.01},
                beside_real_ones("best", "real training digits"),
            ),
            (
                "cgan",
                {"coverage": 0.9, "ratio": 0.985, "label_accuracy": 0.99},
                {"share_gap": 0.01},
                beside_real_ones("cgan", "real training digits with labels", "labels"),
            ),
        )
    ),
    Row(
        name="truncation",
        title="Samples from truncated latents",
        source="Brock et al. 2019, Large Scale GAN Training for High Fidelity Natural Image Synthesis, section 3.1",
        protocol=(
            "the pretrained model default; 10,000 samples against the 10,000 test digits. Truncation 1.0: normal latents within one "
            "standard deviation. The seeds are of the samples"
        ),
        published="none for MNIST. ImageNet: the smaller the threshold, the higher the Inception score",
        differs="sampling only: no other result is of truncated latents",
        run=truncated,
        figures={
            "frechet_distance": "{:.3f}",
            "precision": "{:.3f}",
            "recall": "{:.3f}",
            "density": "{:.3f}",
            "coverage": "{:.3f}",
            "sure_share": "{:.3f}",
        },
        pictures=("truncation",),
    ),
    Row(
        name="vae",
        title="A variational autoencoder beside the recipe plain",
        source="Lucic et al. 2018, Are GANs Created Equal?",
        protocol=(
            "10,000 samples against the 10,000 test digits; for the VAE also the root mean square error of a pixel of reconstructed "
            "test digits, in the range -1 to 1"
        ),
        published="FID, best of a wide search: VAE 23.8, non-saturating GAN 6.8",
        differs=(
            "the distance is that of our classifier, so only the order can be compared; there was no search; the VAE has the "
            "generator of the recipe plain and as many steps, with 64 images in each instead of 32. The recipe default is in the row "
            "digits"
        ),
        run=vae,
        figures={
            "frechet_distance": "{:.2f}",
            "coverage": "{:.3f}",
            "precision": "{:.3f}",
            "recall": "{:.3f}",
            "reconstruction": "{:.3f}",
        },
        uses=("plain", "vae"),
        pictures=("vae",),
    ),
    *(
        Row(
            name=f"few.{number}",
            title="Few training digits, with differentiable augmentation and without",
            source="Zhao et al. 2020, DiffAugment",
            protocol=(
                "trained on the first 100, 1,000 or 6,000 digits; 10,000 samples against the 10,000 test digits. Memorisation "
                "ratio: mean squared error to the nearest of these training digits, divided by that to the nearest test digit. "
                "Copies have 0. For new images it depends on the number of training digits, so its value for other real digits is "
                "listed too"
            ),
            published=(
                "none for MNIST. CIFAR-10, BigGAN, FID with 100, 20, 10 % of the data: 9.59, 21.58, 39.78 without, 8.70, "
                "14.04, 22.40 with it"
            ),
            differs=(
                "the recipe few, with its augmentation and without, for the same number of steps. The augmentation is affine, as in "
                "Karras et al. 2020; with the three of Zhao et al. 2020, modes are lost (docs/default_recipe.md)"
            ),
            run=few(number),
            figures={"frechet_distance": "{:.2f}", "coverage": "{:.3f}", "memorisation_ratio": "{:.3f}"},
            uses=("few",),
        )
        for number in (100, 1000, 6000)
    ),
]
