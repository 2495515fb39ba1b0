"""The rows of lazy penalties: a penalty that is computed on a part of the steps, or on a part of each batch."""

import dataclasses

import keras

from gan_keras import recipes
from rows import stacked, toys
from rows.base import Row, trained_figures


@keras.saving.register_keras_serializable(package="gan_keras_lab")
class EveryNth(keras.optimizers.schedules.LearningRateSchedule):
    """`number * value` at every `number`-th step, the first among them, and 0 at the others: `value` in the mean."""

    def __init__(self, value, number):
        self.value, self.number = value, number

    def __call__(self, step):
        return keras.ops.where(keras.ops.mod(step, self.number) == 0, float(self.number * self.value), 0.0)

    def get_config(self):
        return {"value": self.value, "number": self.number}


PART = 8  # the paper's number

WAYS = {
    "every step": lambda term: changed(term, one_in=1),
    "every 8th step": lambda term: changed(term, one_in=1, weight=EveryNth(term.weight, PART)),
    "an 8th of every batch": lambda term: changed(term, one_in=PART),
}


def changed(term, **arguments):
    return type(term).from_config({**term.get_config(), **arguments})


def lazily(name, recipe, measure, seed, steps=None):
    cases = {}
    for way, change in WAYS.items():
        found = recipes.get(recipe)
        found = dataclasses.replace(found, regularizers=tuple(map(change, found.regularizers)))
        cases[f"{name}, {way}"] = trained_figures(found, seed, measure, steps=steps)
        keras.backend.clear_session()
    return cases


def points(name):
    def run(seed):
        return lazily(name, name, lambda gan: toys.modes_of_points(gan.sample(2500, seed=seed), name), seed)

    return run


def digits(seed):
    def measure(gan):
        return stacked.modes_of_digits(stacked.samples(gan, seed))

    return lazily("stacked MNIST", "stacked_mnist_full", measure, seed, stacked.SHORT_STEPS)


def row(recipe, run, name, figure, aim, good):
    def reached(runs):
        return not any(figures["diverged"] for figures in runs) and all(map(good, runs))

    case = f"{name}, an 8th of every batch"
    return Row(
        name=f"lazy.{recipe}",
        title="Penalties on a part of the steps, or on a part of every batch",
        source="Huang et al. 2024, R3GAN, appendix E",
        protocol=(
            "as the ring, the grid and stacked MNIST above; the penalties on the whole of every batch, at every 8th step with 8 times their "
            "weight, or on an 8th of every batch"
        ),
        published='every 8th step: "complete convergence failure" on stacked MNIST and on toys; a part of every batch: none',
        differs=(
            f"the recipes ring, grid and stacked_mnist_full, the last one for its first {stacked.SHORT_STEPS:,} steps. ring and grid "
            "have the hinge loss and a penalty on gradient norms other than 1, not the pairing loss with R1 and R2. The seconds "
            "of every 8th step are too many, since the penalty is computed at the other steps too, with weight 0. A run has "
            "diverged if a loss or a weight is not finite; the other columns are of the runs that have not"
        ),
        run=run,
        figures={"modes": "{:.0f}", "high_quality": "{:.1%}", "sure_modes": "{:.0f}", "kl": "{:.4f}", "diverged": "{}"},
        goal=(case, figure, f"{case}: {aim} in every run", reached),
        uses=(recipe,),
        constants={"part": PART, **({"steps": stacked.SHORT_STEPS} if recipe == "stacked_mnist_full" else {})},
    )


def good_digits(figures):
    return figures["modes"] >= 990


ROWS = [
    row("ring", points("ring"), "ring", "high_quality", "8 modes and 98 %", toys.good_ring),
    row("grid", points("grid"), "grid", "high_quality", "25 modes and 95 %", toys.good_grid),
    row("stacked_mnist_full", digits, "stacked MNIST", "modes", "990 modes or more", good_digits),
]
