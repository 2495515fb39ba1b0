"""Measure the samples of a trained run, every metric beside its value on real images. See docs/evaluation.md."""

import json
import sys
import time

from gan_keras_scripts import common  # first: it sets the environment up

import numpy as np

from gan_keras import evaluation, files, identifiers, metrics, plots, recognition, settings, shards
from gan_keras.classifier import DigitClassifier
from gan_keras.pretrained import opened
from gan_keras.toys import TOYS

# Held-out images below which metrics are refused, since they need five neighbours; and below which a distance is uncertain:
# Heusel et al. 2017 ask for 2,048 at least, for Inception's features.
LEAST, ENOUGH = 10, 2048

GROUPS = [*evaluation.Evaluator.GROUPS, "recognition"]


def parse(argv):
    parser = common.Parser(description=__doc__)
    parser.add_argument("run", metavar="DIR", help="run folder of gan-keras train")
    parser.add_argument(
        "--num", type=common.between(100, common.SAMPLES), metavar="N", help="number of samples; default: 10000"
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        choices=GROUPS,
        metavar="NAME",
        help=f"only these: {', '.join(GROUPS)}; default: all",
    )
    parser.add_argument("--seed", type=common.SEED, metavar="S", help="of the samples; default: 1")
    parser.add_argument(
        "--samples", metavar="FOLDER", help="measure these, written by gan-keras sample --shards, instead of drawing new ones"
    )
    parser.add_argument(
        "--extractor",
        metavar="FILE.py:NAME",
        help="your function of uint8 images (n, height, width, channels) to features (n, d), or to (features, class "
        "probabilities); default: the digit classifier",
    )
    args = parser.parse_args(argv)
    if args.samples and (args.num, args.seed) != (None, None):
        raise ValueError("--samples measures all samples of the folder. Leave --num and --seed out.")
    if args.samples and "recognition" in (args.metrics or ()):
        raise ValueError("--metrics recognition looks at the model itself, not at --samples. Leave one of them out.")
    if not args.samples:
        args.num, args.seed = 10_000 if args.num is None else args.num, 1 if args.seed is None else args.seed
    return args


@common.command
def main(argv=None):
    args = parse(argv)
    started = time.perf_counter()
    run = opened(args.run, written=True)
    gan, measure = run.load(), measure_for(run, args)
    step = int(gan.step.numpy())
    print(f"Run       {run.folder}: recipe {run.settings['recipe']}, step {step:,}")
    print(f"Samples   {args.samples or f'{args.num:,}, seed {args.seed}'}", flush=True)
    measured = measure(gan, run, args)
    report = {
        "recipe": run.settings["recipe"],
        "step": step,
        "training": {name: run.settings[name] for name in ("data", "split", "seed")},
        "samples": args.num,
        "seed": args.seed,
        **measured,
        "versions": settings.versions(),
    }
    known = measured_before(report, run.report)
    with files.replacing(run.report) as temporary:
        whole = {**report, "metrics": {**known, **report["metrics"]}}
        temporary.write_text(json.dumps(whole, indent=2, allow_nan=False) + "\n")
    print_table(report)
    print(f"\n{time.perf_counter() - started:.0f} seconds.\n  report   {run.report}\n  picture  {run.report_picture}")
    return 0


def measured_before(report, path):
    """The metrics that the file of an earlier report has of the same samples; none if it is of others."""
    try:
        old = files.read_json(path)
        same = all(old[name] == value for name, value in report.items() if name != "metrics")
        return dict(old["metrics"]) if same else {}
    except files.DAMAGED:  # or there is no report yet
        return {}


def measure_for(run, args):
    """The function that measures samples of the run's data."""
    name = run.settings["data"]
    if name not in TOYS and name != "stacked_mnist":
        return evaluate_images
    for option in ("samples", "extractor", "metrics"):
        if getattr(args, option):
            raise ValueError(f"{name} has metrics of its own, which take no --{option}. Leave it out.")
    return evaluate_points if name in TOYS else evaluate_stacked


def evaluate_images(gan, run, args):
    (train, labels), (test, test_labels) = run.training_data, run.held_out
    if not gan.makes_images:
        raise ValueError(
            f"Points are measured against the toy that they come from. Received: {run.settings['data']}, of shape "
            f"{train.shape[1:]}; use gan_keras.metrics in your own code."
        )
    if train.dtype != np.uint8:
        train, test = (plots.to_uint8(images, gan.value_range) for images in (train, test))
    extractor = extractor_for(train.shape[1:], run.settings["data"], args.extractor)
    if len(test) < LEAST:
        raise ValueError(f"There must be {LEAST} held-out images or more. Received: {len(test)} of {run.settings['data']}.")
    if len(test) < ENOUGH and set(args.metrics or ("frechet",)) & {"frechet", "kernel"}:
        print(
            f"Note      With {len(test):,} held-out images distances are large and uncertain: compare them with those of real data"
        )
    evaluator = evaluation.Evaluator(train, test, extractor, train_labels=labels if gan.conditional else None)
    if args.samples:
        samples = evaluator.describe(shards.read(args.samples))
        args.num = len(samples.features)
        if args.num < 100:
            raise ValueError(f"There must be 100 samples or more. Received: {args.num}; metrics of fewer say nothing.")
    else:
        samples = evaluator.sample(gan, args.num, args.seed)
    if (samples.images == samples.images.flat[0]).all():
        raise ValueError("Every pixel of every sample has the same value: there is nothing to measure.")
    groups = args.metrics and [group for group in args.metrics if group != "recognition"]
    print("Measuring the samples", flush=True)
    made = evaluator.metrics(samples, groups)
    print("Measuring training images in the same way, for the column of real data", flush=True)
    real = evaluator.real(args.num, groups)
    if not args.samples and (args.metrics is None or "recognition" in args.metrics):
        made |= {name: (value, None) for name, value in recognition.recognition_metrics(gan, test, test_labels).items()}
    if not made:
        raise ValueError(
            f"There is nothing to report. Received: --metrics {' '.join(args.metrics)}; this model recognises nothing."
        )
    nearest, _ = metrics.nearest_neighbours(samples.images[:50], train)
    read = {}
    if samples.probabilities is not None:
        read = {
            "confidence": samples.probabilities[: len(samples.images)].max(axis=1),
            "classes": samples.probabilities.argmax(axis=1),
            "real_classes": evaluator.reference.probabilities.argmax(axis=1),
        }
    title = f"{run.folder.resolve().name}, {args.num:,} samples"
    plots.sheets(samples.images, train[nearest], run.report_picture, **read, title=title)
    return {
        "classifier": getattr(evaluator.extractor, "identity", args.extractor),
        "real_samples": min(args.num, len(train)),
        "metrics": table(made, real),
    }


def extractor_for(shape, name, given):
    """The function of --extractor, or the digit classifier where it can read the images."""
    if given:
        extractor = identifiers.imported(given)
        if not callable(extractor):
            raise ValueError(f"--extractor must name a function of images. Received: {given}, which is {extractor!r}")
        return extractor
    if shape != (28, 28, 1):
        raise ValueError(
            f"The digit classifier reads images of 28x28x1. Received: {name}, of shape {shape}; pass --extractor "
            "FILE.py:NAME, a function of these images to features. More: gan-keras docs evaluation"
        )
    if name != "mnist":
        print(
            "Note      The features are those of a classifier of digits. For other images pass --extractor (gan-keras docs evaluation)"
        )
    return None


def evaluate_points(gan, run, args):
    toy = TOYS[run.settings["data"]]
    points = gan.sample(args.num, args.seed)
    real, _ = toy.sample(args.num, seed=1)
    plots.points(points, real, run.report_picture, f"{run.folder.resolve().name}, {args.num:,} samples")
    return {"metrics": table(evaluation.toy_metrics(toy, points), evaluation.toy_metrics(toy, real))}


def evaluate_stacked(gan, run, args):
    if args.num < 5000:
        raise ValueError(
            f"1,000 modes are counted among 5,000 samples or more. Received: --num {args.num}; papers have 25,600."
        )
    classifier = DigitClassifier()
    images = np.concatenate([plots.to_uint8(x, gan.value_range) for x, _ in gan.sample_batches(args.num, args.seed)])
    digits, _ = run.data(f"test[:{args.num}]")
    plots.grid(images[:100]).save(run.report_picture)
    made, real = (evaluation.stacked_metrics(x, classifier) for x in (images, digits))
    return {"classifier": classifier.identity, "real_samples": len(digits), "metrics": table(made, real)}


def table(made, real):
    """What report.json holds of each metric."""
    return {
        name: {
            "value": finite(value),
            "error": finite(error),
            "real": finite(real.get(name, (None,))[0]),
            "better": evaluation.metric_of(name).better,
        }
        for name, (value, error) in made.items()
    }


def finite(value):
    """JSON knows neither NaN nor infinity: what is not defined is null there."""
    return value if value is not None and np.isfinite(value) else None


def print_table(report):
    if "classifier" in report:
        print(f"Features  {report['classifier']}")
    if report.get("real_samples", report["samples"]) < report["samples"]:
        print(f"Real      all {report['real_samples']:,} training images")
    print(f"\n{'':34}{'samples':>20}{'real data':>12}  better")
    for name, metric in report["metrics"].items():
        value, real = ("-" if v is None else f"{v:.4g}" for v in (metric["value"], metric["real"]))
        value += f" +- {metric['error']:.2g}" if metric["error"] else ""
        print(f"{evaluation.metric_of(name).title:34}{value:>20}{real:>12}  {metric['better']}")


if __name__ == "__main__":
    sys.exit(main())
