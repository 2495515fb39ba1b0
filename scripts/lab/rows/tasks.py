"""The rows of what GANs are used for: classes without labels, from few labels, and training data."""

import dataclasses
import os

import keras
import numpy as np

from gan_keras import classifier, data, plots, recipes
from rows.base import Row, digits_evaluator, mean, quality, recognised, trained


def infogan(seed):
    gan, seconds = trained(recipes.get("infogan"), seed)
    error = recognised(gan)["code_errors"] / len(data.load("mnist", "test")[0])
    figures = {"error": error, "failed": error > 0.2, **quality(gan, digits_evaluator(), seed)}
    return {"ours": {**figures, "seconds": seconds}}


def semi_supervised(seed):
    gan, seconds = trained(recipes.get("semi_supervised"), seed)
    return {"ours": {"errors": recognised(gan)["test_errors"], "seconds": seconds}}


# Fashion-MNIST does not come with the package: a folder of it, where there is one.
SOURCES = {"digits": "mnist", "Fashion-MNIST": os.environ.get("FASHION_MNIST")}
# Less than the digit classifier's 12 epochs with augmentation: about five minutes on one core for each of a run's two.
EPOCHS, BATCH, RATE = 5, 128, 2e-3  # the rate is the digit classifier's


def synthetic(name):
    def run(seed):
        source = SOURCES[name]
        if source is None:
            raise ValueError("Name a folder of Fashion-MNIST's four files in the environment variable FASHION_MNIST.")
        gan, seconds = trained(dataclasses.replace(recipes.get("cgan"), data=source), seed)
        images, labels = data.load(source, "train")
        blocks = gan.sample_batches(len(labels), seed=seed, labels=labels)
        made = np.concatenate([plots.to_uint8(block, gan.value_range) for block, _ in blocks])
        test = data.load(source, "test")
        on_made, on_real = (accuracy(training, labels, *test, seed) for training in (made, images))
        return {
            f"generated {name}": {"accuracy": on_made, "gap": 100 * (on_real - on_made), "seconds": seconds},
            f"real {name}": {"accuracy": on_real},
        }

    return run


def accuracy(images, labels, test_images, test_labels, seed):
    """The share of test images that a new classifier reads rightly, trained on `images`."""
    keras.utils.set_random_seed(seed)
    network = classifier.build()
    model = keras.Model(network.inputs[0], network.outputs[1])
    steps = len(images) // BATCH
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    stream = data.batches(images, labels, BATCH, value_range=(0.0, 1.0), seed=seed)
    model.fit(stream, epochs=EPOCHS, steps_per_epoch=steps, shuffle=False, verbose=0)
    logits = model.predict(test_images / np.float32(255), batch_size=500, verbose=0)
    return float(np.mean(logits.argmax(axis=1) == test_labels))


ROWS = [
    Row(
        name="infogan",
        title="InfoGAN: classes of digits without labels",
        source="Chen et al. 2016, InfoGAN, section 7.2",
        protocol=(
            "the ten categories of the code are matched to the ten digits; error of the code that is predicted for the 10,000 test "
            "digits. A run with an error over 20 % has failed"
        ),
        published="error 5 %",
        differs=(
            "smaller networks; a gradient penalty, augmentation, consistency of the code and narrow noise (recipe infogan, "
            "docs/deviations.md); the moving average of Q predicts the code; the mean is over all runs, also failed ones. The runs are "
            "of a processor with AVX-512; with AVX2 the last bits differ, and the same seeds had errors of 13.4, 2.6 and 2.6 %"
        ),
        run=infogan,
        figures={"error": "{:.1%}", "failed": "{}", "frechet_distance": "{:.2f}", "coverage": "{:.3f}"},
        goal=("ours", "error", "5 % or less, mean", lambda runs: mean(runs, "error") <= 0.05),
        uses=("infogan",),
    ),
    Row(
        name="semi_supervised",
        title="Semi-supervised learning from 100 labels",
        source="Salimans et al. 2016, table 1",
        protocol=(
            "10 labels of each digit, 60,000 digits without a label; errors of the discriminator's moving average among the 10,000 "
            "test digits; each seed chooses other labels"
        ),
        published="errors of 10 choices: feature matching 93 +- 6.5, Bad GAN (Dai et al. 2017) 79.5 +- 9.8, ladder 106 +- 37",
        differs=(
            "the discriminator has augmentation, and its moving average is a teacher (recipe semi_supervised, docs/deviations.md)"
        ),
        run=semi_supervised,
        figures={"errors": "{:.0f}"},
        goal=("ours", "errors", "93 or less, mean", lambda runs: mean(runs, "errors") <= 93),
        uses=("semi_supervised",),
    ),
    *(
        Row(
            name=f"synthetic.{name.lower().replace('-', '_')}",
            title="Train on synthetic, test on real",
            source="Ravuri and Vinyals 2019, Classification Accuracy Score; GaFi, arXiv 2305.10118",
            protocol=(
                "a classifier is trained on generated images, as many as there are training images, with the labels that they were "
                "generated for; a second one of the same network on the real training images. Both are tested on the real test images. The gap is in "
                "points of accuracy"
            ),
            published="GaFi: a gap of 2.03 points on Fashion-MNIST",
            differs=(
                f"the recipe cgan; the network of our digit classifier, {EPOCHS} epochs without augmentation. Fashion-MNIST does not "
                "come with the package: the environment variable FASHION_MNIST names a folder of it"
            ),
            run=synthetic(name),
            figures={"accuracy": "{:.2%}", "gap": "{:.2f}"},
            goal=goal,
            uses=("cgan",),
            constants={"epochs": EPOCHS, "batch": BATCH, "rate": RATE},
        )
        for name, goal in {
            "digits": ("generated digits", "gap", "1 point or less on MNIST, mean", lambda runs: mean(runs, "gap") <= 1.0),
            "Fashion-MNIST": None,
        }.items()
    ),
]
