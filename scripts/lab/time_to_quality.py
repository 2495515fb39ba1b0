"""How good are the samples after so many seconds? Trains for equal time and measures. See docs/performance.md."""

import json
import sys
import time

from lab import common, json_file, machine  # first: it sets the environment up

import keras
import numpy as np
import peers
import tensorflow as tf
from matplotlib.figure import Figure

from gan_keras import evaluation, files, plots, recipes, settings
from gan_keras.classifier import DigitClassifier
from rows.base import digits_evaluator, values, with_ratio

# Seconds of training after which samples are looked at.
MARKS = (15, 30, 60, 120, 300, 600, 1200, 2400, 3600)
GUIDE_BATCH, TUTORIAL_BATCH, SAMPLES = 64, 256, 10_000


# Each contestant is a function of images, labels and a seed to a model, its stream, and a function that draws samples for an
# `Evaluator`.


def recipe(name):
    def prepare(images, labels, seed):
        chosen = recipes.get(name)
        gan = chosen.build(seed=seed, steps_per_execution=chosen.steps_per_execution)
        stream = chosen.stream(gan, images, labels, seed=seed)
        return gan, stream, lambda evaluator: evaluator.sample(gan, SAMPLES)

    return prepare


def described(networks, kind, rate, beta_1, batch, value_range):
    """The set-up of another project: its networks, step, Adam, batch, and the usual shuffled pipeline."""

    def prepare(images, labels, seed):
        keras.utils.set_random_seed(seed)
        generator, discriminator = networks()
        model = kind(generator, discriminator)
        model.compile(keras.optimizers.Adam(rate, beta_1), keras.optimizers.Adam(rate, beta_1))
        low, high = value_range
        floats = (images / 255.0 * (high - low) + low).astype("float32")
        stream = tf.data.Dataset.from_tensor_slices(floats).shuffle(len(floats), seed=seed)
        z = np.random.default_rng(1).normal(size=(SAMPLES, model.latent_dim)).astype("float32")

        def draw(evaluator):
            drawn = plots.to_uint8(generator.predict(z, batch_size=250, verbose=0), value_range)
            return evaluator.describe([(drawn, None)])

        return model, stream.batch(batch, drop_remainder=True).repeat().prefetch(1), draw

    return prepare


CONTESTANTS = {
    "default": recipe("default"),
    "best": recipe("best"),
    "cgan": recipe("cgan"),
    # keras.io, "DCGAN to generate face images" for 28x28 digits, as in "Customizing what happens in fit": Adam 3e-4.
    "keras_guide": described(peers.guide_networks, peers.GuideGAN, 3e-4, 0.9, GUIDE_BATCH, (0.0, 1.0)),
    # tensorflow.org/tutorials/generative/dcgan: Adam 1e-4.
    "dcgan_tutorial": described(peers.tutorial_networks, peers.TutorialGAN, 1e-4, 0.9, TUTORIAL_BATCH, (-1.0, 1.0)),
    "tutorial_conv": recipe("tutorial_conv"),
    "tutorial_mlp": recipe("tutorial_mlp"),
}


class Quality(keras.callbacks.Callback):
    """Looks at samples when the training has lasted so long; the time that takes does not count.

    Args:
        marks: Seconds.
        look: Function to the figures of a look.
        spent: Seconds that have passed before the first step.
    """

    def __init__(self, marks, look, spent):
        super().__init__()
        self.marks, self.look = list(marks), look
        self.spent, self.steps, self.points = spent, 0, []

    def on_train_batch_begin(self, batch, logs=None):
        self.begin = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 > self.steps > 0:  # the first call compiles
            self.spent += time.perf_counter() - self.begin
        self.steps = batch + 1
        if self.spent >= self.marks[0]:
            self.points.append({"seconds": self.spent, "steps": self.steps, **self.look()})
            self.marks.pop(0)
            self.model.stop_training = not self.marks


class Progress(keras.callbacks.Callback):
    """A line for each look."""

    def __init__(self, quality):
        super().__init__()
        self.quality, self.shown = quality, 0

    def on_train_batch_end(self, batch, logs=None):
        for point in self.quality.points[self.shown :]:
            self.shown += 1
            print(
                f"  {point['seconds']:6.0f} s {point['steps']:8,} steps   Frechet distance {point['frechet_distance']:8.2f}   "
                f"coverage {point['coverage']:.3f}",
                flush=True,
            )


def train(name, seed, minutes, evaluator):
    """The looks at one training: [{"seconds", "steps", "frechet_distance", ...}, ...]."""
    keras.backend.clear_session()
    begin = time.perf_counter()
    images, labels = evaluator.train, evaluator.train_labels
    model, stream, draw = CONTESTANTS[name](images, labels, seed)  # where a recipe has clusters, it finds them here
    prepared = time.perf_counter() - begin

    def look():
        samples = draw(evaluator)
        groups = ["frechet", "score", "manifold", *(["labels"] if samples.labels is not None else [])]
        found = values(evaluator.metrics(samples, groups))
        return with_ratio(found, evaluator)

    end = 60 * minutes
    quality = Quality([*(mark for mark in MARKS if mark < end), end], look, spent=prepared)
    model.fit(stream, shuffle=False, steps_per_epoch=10**7, verbose=0, callbacks=[quality, Progress(quality)])
    return quality.points


def begun(out, conditions):
    """The report in `out`, to which trainings are added, or a new one."""
    if not out.exists():
        return {**conditions, "runs": {}}
    with files.reading(f"{out} exists and is no JSON", "Choose another --out."):
        report = files.read_json(out)
    old = report if isinstance(report, dict) else {}
    same = all(old.get(key) == value for key, value in conditions.items() if key != "recipes")
    if not same or not isinstance(old.get("runs"), dict) or not recipes.unchanged(old["recipes"], old["recipes"]):
        raise ValueError(f"{out} holds something else, or trainings under other conditions. Choose another --out.")
    return {**report, "recipes": conditions["recipes"]}


def draw_curves(report, path):
    """The median over seeds of each figure against seconds."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    panels = zip(figure.subplots(1, 2), ("frechet_distance", "coverage"), ("log", "linear"))
    for axes, key, scale in panels:
        for name, runs in report["runs"].items():
            looks = list(zip(*runs.values()))
            middles = [[np.median([point[of] for point in look]) for look in looks] for of in ("seconds", key)]
            axes.plot(*middles, marker="o", markersize=3, label=name)
        axes.set(xlabel="seconds of training", ylabel=evaluation.METRICS[key].title, xscale="log", yscale=scale)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=100)


def parse(argv):
    minutes, default = common.between(0.001, 60 * 24, float), "default: %(default)s"
    parser = common.Parser(description=__doc__)
    parser.add_argument("--minutes", type=minutes, default=20.0, metavar="M", help=f"of each training; {default}")
    known = {"choices": CONTESTANTS, "default": list(CONTESTANTS), "metavar": "NAME"}
    parser.add_argument("--contestants", nargs="+", **known, help=f"of {', '.join(CONTESTANTS)}; default: all")
    seeds = common.between(1, 1000)
    parser.add_argument("--seeds", type=seeds, default=1, metavar="K", help=f"trainings of each contestant; {default}")
    out = {"type": json_file, "default": "time_to_quality.json", "metavar": "FILE"}
    parser.add_argument("--out", **out, help=f"results, added to what is there; a chart is drawn beside it; {default}")
    return parser.parse_args(argv)


@common.command
def main(argv=None):
    args = parse(argv)
    conditions = {"versions": settings.versions(), **machine(), "minutes": args.minutes}
    conditions["recipes"] = {name: recipes.get(name).values() for name in CONTESTANTS if name in recipes.RECIPES}
    report = begun(args.out, {**conditions, "features": DigitClassifier().identity, "samples": SAMPLES})
    asked = [(name, seed) for name in args.contestants for seed in range(args.seeds)]
    todo = [(name, seed) for name, seed in asked if str(seed) not in report["runs"].get(name, {})]
    made = len(asked) - len(todo)
    print(f"{', '.join(args.contestants)}: {args.seeds} seed(s) each, {made} training(s) already in {args.out}.")
    print(f"{len(todo)} to do, {args.minutes:g} minutes each, {len(todo) * args.minutes:g} minutes in all.")
    evaluator = digits_evaluator()
    for name, seed in todo:
        print(f"\n{name}, seed {seed}", flush=True)
        report["runs"].setdefault(name, {})[str(seed)] = train(name, seed, args.minutes, evaluator)
        args.out.write_text(json.dumps(report, indent=2) + "\n")
    draw_curves(report, args.out.with_suffix(".png"))
    print(f"\nResults {args.out}\nPicture {args.out.with_suffix('.png')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
