"""What a row of the ledger is, and what the rows share: models that are trained, and what is measured of them."""

import dataclasses
import math
import pathlib
import time
from collections.abc import Callable

import keras
import numpy as np

from gan_keras import callbacks, data, evaluation, metrics, recognition

DOCS = pathlib.Path(__file__).resolve().parents[3] / "docs"
SAMPLES = 10_000  # as many as there are test digits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A published figure and how ours beside it is made.

    Attributes:
        name: On the command line, and of the files of its runs. Rows in sequence that are named TABLE.CASE make one table, and
            each counts by itself; text and columns are those of the first.
        title: In the ledger.
        source, protocol: Where the figure stands, and how it is measured.
        published: Figures of others, as text.
        differs: What is not as in the source.
        run: Function of a seed to {case: {figure: value}}; cases that were trained have "seconds".
        uses: Recipes of which it is made: a run counts as long as these are what they were.
        constants: Numbers of the row itself that decide the result: a run counts as long as they are what they were.
        figures: {figure: format} in the order of the ledger's columns. Of booleans the number that are true is printed.
        goal: (case, figure to show or `None`, text of the aim, function of the case's figures in all runs to whether it is
            reached).
        seeds: Number of seeds unless told otherwise.
        pictures: Cases of which docs/results holds a picture of the first seed.
    """

    name: str
    title: str
    source: str
    protocol: str
    published: str
    differs: str
    run: Callable
    figures: dict
    uses: tuple = ()
    constants: dict = dataclasses.field(default_factory=dict)
    goal: tuple | None = None
    seeds: int = 3
    pictures: tuple = ()

    @property
    def table(self):
        return self.name.partition(".")[0]


def trained(recipe, seed, split=None, seconds=None, steps=None, jit_compile="auto"):
    """A model of a recipe, trained for its steps, at most for so many seconds, and the seconds that it took.

    Raises:
        FloatingPointError: It diverged: a loss or a weight is not finite.
    """
    images, labels = data.load(recipe.data, split or recipe.split)
    steps = steps or recipe.steps
    at_once = math.gcd(recipe.steps_per_execution, steps)
    model = recipe.build(seed, jit_compile, at_once, images.shape[1:])
    stream = recipe.stream(model, images, labels, seed)
    watch = StopAfter(seconds)
    model.fit(stream, steps_per_epoch=steps, verbose=0, callbacks=[callbacks.NonFiniteGuard(), watch])
    return model, watch.seconds


def trained_figures(recipe, seed, measure, **how):
    """The figures that `measure` takes of a trained model; where the training diverged, that it did and no others."""
    try:
        model, seconds = trained(recipe, seed, **how)
    except FloatingPointError:
        return {"diverged": True}
    return {**measure(model), "diverged": False, "seconds": seconds}


class StopAfter(keras.callbacks.Callback):
    """Counts the seconds from the end of the first call of TensorFlow, which compiles, and ends training after so many."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit or float("inf")
        self.started, self.seconds = None, 0.0

    def on_train_batch_end(self, batch, logs=None):
        self.started = self.started or time.perf_counter()
        self.seconds = time.perf_counter() - self.started
        if self.seconds > self.limit:
            self.model.stop_training = True


def quality(model, evaluator, seed, groups=("frechet", "manifold")):
    return values(evaluator.of_gan(model, SAMPLES, groups, seed=seed))


def digits_evaluator():
    train, labels = data.load("mnist", "train")
    return evaluation.Evaluator(train, data.load("mnist", "test")[0], train_labels=labels)


def recognised(model):
    """What a model recognises in the test digits."""
    return recognition.recognition_metrics(model, *data.load("mnist", "test"))


def values(metrics):
    """{name: value} of {name: (value, standard error)}."""
    return {name: value for name, (value, _) in metrics.items()}


def with_ratio(figures, evaluator):
    """`figures` and TF-GAN's ratio: the classifier score in batches of 32 over that of the test images."""
    real = metrics.classifier_score(evaluator.reference.probabilities, batch=32)
    return {**figures, "ratio": figures["classifier_score_32"] / real}


def picture(name, seed, draw):
    """Let `draw` make docs/results/NAME.png, of the first seed only."""
    if seed == 0:
        draw(DOCS / "results" / f"{name}.png")


def title(figure):
    """The title of a figure: that of the metric, if it is one."""
    return evaluation.METRICS[figure].title if figure in evaluation.METRICS else figure.replace("_", " ")


def means_within(case, least=None, most=None):
    """The goal of a row, that means of figures are at least, or at most, these: {figure: bound}."""
    least, most = least or {}, most or {}
    words = [f"{title(name)}: at least {bound:g}" for name, bound in least.items()]
    words += [f"{title(name)}: at most {bound:g}" for name, bound in most.items()]

    def reached(runs):
        return all(mean(runs, name) >= bound for name, bound in least.items()) and all(
            mean(runs, name) <= bound for name, bound in most.items()
        )

    return case, None, f"means of {case}. {'; '.join(words)}", reached


def mean(runs, figure):
    return np.mean([run[figure] for run in runs])
