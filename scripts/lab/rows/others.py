"""The rows of the other recipes of digits, each of which counts by itself: those that rows/digits.py does not have."""

from gan_keras import recipes
from rows import digits
from rows.base import Row, digits_evaluator, quality, trained_figures

MINUTES = 10  # the 10,000 steps of wgan_gp would take five hours on one core


def recipe_figures(name):
    def run(seed):
        def measure(model):
            return {**quality(model, digits_evaluator(), seed), "steps": int(model.step.numpy())}

        return {name: trained_figures(recipes.get(name), seed, measure, seconds=60 * MINUTES)}

    return run


ROWS = [
    Row(
        name=f"recipes.{name}",
        title="The other recipes of digits",
        source="none: recipes of this project against each other",
        protocol=(
            f"each recipe for its own number of steps, or for as many as fit into {MINUTES} minutes, compilation not counted; "
            "10,000 samples against the 10,000 test digits. A run has diverged if a loss or a weight is not finite"
        ),
        published="",
        differs=(
            "default, best and cgan have a table of their own, trained to the end, and are left out. Recipes with long steps need much "
            "more time than 10 minutes. Their number of steps, and so their results, depend on the machine and its load, and falling "
            "learning rates do not reach their end. Labels and clusters occur in the samples as often as in training. The distance is "
            "that of our classifier"
        ),
        run=recipe_figures(name),
        figures={
            "frechet_distance": "{:.2f}",
            "coverage": "{:.3f}",
            "precision": "{:.3f}",
            "recall": "{:.3f}",
            "steps": "{:.0f}",
            "diverged": "{}",
        },
        uses=(name,),
        constants={"minutes": MINUTES},
    )
    for name in recipes.RECIPES
    if recipes.get(name).data == "mnist" and f"digits.{name}" not in {row.name for row in digits.ROWS}
]
