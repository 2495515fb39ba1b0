"""Measure the samples of a trained run, every figure beside its ceiling. See docs/evaluation.md."""

import argparse
import json
import os
import pathlib
import sys
import time

import common  # first: it sets the environment up

import numpy as np

import gan_keras
from gan_keras import data, evaluation, metrics, plots
from gan_keras.toys import TOYS

GROUPS = evaluation.Evaluator.GROUPS


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("run", metavar="DIR", help="run folder of scripts/train_mnist.py")
    parser.add_argument("--num", type=int, default=10_000, metavar="N", help="number of samples")
    parser.add_argument(
        "--metrics",
        nargs="+",
        choices=list(GROUPS),
        metavar="NAME",
        help=f"only these: {', '.join(GROUPS)}; default: all",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the samples")
    args = parser.parse_args(argv)
    if args.num < 100:
        raise ValueError(f"--num must be 100 or more. Received: {args.num}; figures of fewer samples say nothing.")
    return args


@common.command
def main(argv=None):
    args = parse(argv)
    started = time.perf_counter()
    folder = pathlib.Path(args.run)
    config = common.read_config(folder)
    gan = common.load_gan(folder)
    step = int(gan.step.numpy())
    print(f"Run       {folder}: recipe {config['recipe']}, step {step:,}")
    print(f"Samples   {args.num:,}, seed {args.seed}", flush=True)
    report = {
        "recipe": config["recipe"],
        "step": step,
        "training": {"data": config["data"], "split": config["split"], "seed": config["seed"]},
        "samples": args.num,
        "seed": args.seed,
    }
    if config["data"] in TOYS or config["data"] == "stacked_mnist":
        if args.metrics:
            raise ValueError(f"--metrics chooses among figures of digits; {config['data']} has its own. Leave it out.")
        measure = evaluate_points if config["data"] in TOYS else evaluate_stacked
    else:
        measure = evaluate_images
    report.update(measure(gan, config, args, folder))
    report["versions"] = common.versions()

    temporary = folder / "report.json.new"
    temporary.write_text(json.dumps(report, indent=2) + "\n")
    os.replace(temporary, folder / "report.json")
    print_table(report)
    print(
        f"\n{time.perf_counter() - started:.0f} seconds.\n  report   {folder / 'report.json'}\n  picture  {folder / 'report.png'}"
    )
    return 0


def evaluate_images(gan, config, args, folder):
    train, _ = data.load(config["data"], config["split"])
    test, _ = data.load(config["data"], "test")
    evaluator = evaluation.Evaluator(train, test)
    samples = evaluator.sample(gan, args.num, args.seed)
    figures = evaluator.figures(samples, args.metrics)
    ceiling = evaluator.ceiling(args.num, args.metrics)
    nearest, _ = metrics.nearest_neighbours(samples.images[:50], train)
    plots.sheets(
        samples.images,
        train[nearest],
        folder / "report.png",
        confidence=samples.probabilities[: len(samples.images)].max(axis=1),
        classes=samples.probabilities.argmax(axis=1),
        real_classes=evaluator.reference.probabilities.argmax(axis=1),
        title=f"{folder.resolve().name}, {args.num:,} samples",
    )
    return {"classifier": evaluator.identity, "figures": table(figures, ceiling)}


def evaluate_points(gan, config, args, folder):
    toy = TOYS[config["data"]]
    points = gan.sample(args.num, args.seed)
    real, _ = toy.sample(args.num, seed=1)
    plots.points(points, real, folder / "report.png", f"{folder.resolve().name}, {args.num:,} samples")
    return {"figures": table(evaluation.toy_figures(toy, points), evaluation.toy_figures(toy, real))}


def evaluate_stacked(gan, config, args, folder):
    classifier = gan_keras.classifier.DigitClassifier()
    images = np.concatenate([plots.to_uint8(x, gan.value_range) for x, _ in gan.sample_batches(args.num, args.seed)])
    real, _ = data.load(config["data"], f"test[:{args.num}]")
    plots.grid(images[:100]).save(folder / "report.png")
    figures, ceiling = (evaluation.stacked_figures(x, classifier) for x in (images, real))
    return {"classifier": classifier.identity, "figures": table(figures, ceiling)}


def table(figures, ceiling):
    """What report.json holds of each figure."""
    return {
        name: {
            "value": value,
            "error": error,
            "ceiling": ceiling.get(name, (None,))[0],
            "better": evaluation.FIGURES[name].better,
        }
        for name, (value, error) in figures.items()
    }


def print_table(report):
    if "classifier" in report:
        print(f"Features  {report['classifier']}")
    print(f"\n{'':34}{'samples':>20}{'ceiling':>12}  better")
    for name, figure in report["figures"].items():
        value = f"{figure['value']:.4g}" + (f" +- {figure['error']:.2g}" if figure["error"] else "")
        ceiling = "" if figure["ceiling"] is None else f"{figure['ceiling']:.4g}"
        print(f"{evaluation.FIGURES[name].title:34}{value:>20}{ceiling:>12}  {figure['better']}")


if __name__ == "__main__":
    sys.exit(main())
