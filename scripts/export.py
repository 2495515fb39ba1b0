"""Write a trained run as a folder that model servers load. See docs/serving.md."""

import pathlib
import re
import shlex
import sys

from gan_keras_scripts import common  # first: it sets the environment up

from gan_keras import evaluation, files, identity, serving, settings, toys
from gan_keras.gan import GAN
from gan_keras.pretrained import PREFIX, opened
from gan_keras.vae import VAE

LICENCES = {
    "mnist": "MNIST by Yann LeCun and Corinna Cortes, CC BY-SA 3.0 (https://creativecommons.org/licenses/by-sa/3.0/)",
    **dict.fromkeys(toys.TOYS, "made by gan_keras, Apache-2.0"),
}
LICENCES["stacked_mnist"] = LICENCES["mnist"]


def parse(argv):
    parser = common.Parser(description=__doc__)
    parser.add_argument("run", metavar="DIR", help=common.RUN)
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="FOLDER/1 is written, or the next version; its name becomes the model's. default: exports/NAME, with the name of the "
        "run or model",
    )
    parser.add_argument("--format", choices=serving.FORMATS, default="savedmodel", help="default: savedmodel")
    args = parser.parse_args(argv)
    args.out = args.out or pathlib.Path("exports", pathlib.Path(args.run.removeprefix(PREFIX)).resolve().name)
    return args


@common.command
def main(argv=None):
    args = parse(argv)
    step, version = write(args.run, args.out, args.format)
    print(f"Step {step:,} of {args.run}, as {args.format}: {version}")
    for path in sorted(version.iterdir()):
        print(f"  {path.name}")
    if args.format == "savedmodel":
        print(f"Serve it: {common.program()} serve {shlex.quote(str(args.out))}")
    return 0


def write(name, out, format):
    """Export a run or a pretrained model with its card. Returns the training step and the folder of the version."""
    run = opened(name)
    if pathlib.Path(out, "config.json").exists():
        raise ValueError(f"{out} is a run folder. An export needs a folder of its own; choose another --out.")
    serving.check(format, out)
    gan = run.load()
    return int(gan.step.numpy()), serving.export(gan, out, format, card(gan, run) + made_by(run))


def card(gan, run):
    """The model card: what was trained on what, how good it is, under which licence, and what it is not for."""
    config = run.settings
    values = {**config["values"], "latent_dim": config["latent_dim"], "num_classes": config.get("num_classes")}
    kind = "variational autoencoder" if isinstance(gan, VAE) else "generative adversarial network"
    known = LICENCES.get(config["data"], "not known to gan_keras; ask where the data came from")
    images = ["- It makes pictures like its training data and nothing else; some are malformed, and none is real."]
    discriminator = [
        "- The discriminator tells this generator's samples from its training data. It is no detector of other forgeries."
    ]
    lines = [
        f"# {pathlib.PurePath(config['recipe']).name}, step {int(gan.step.numpy()):,}",
        "",
        f"A {kind} trained by gan_keras {config['versions']['gan_keras']}.",
        "",
        f"- data: {config['data']}, {config['split']}. Licence of the data: {known}",
        f"- seed {config['seed']}, {config['batch_size']} examples for each update, {config['precision']}",
        f"- versions in training: {', '.join(f'{name} {value}' for name, value in config['versions'].items())}",
        f"- versions in export: {', '.join(f'{name} {value}' for name, value in settings.versions().items())}",
        f"- weights: {gan.generator.count_params():,} in the generator"
        + (", exported as their moving average" if config["values"].get("ema") not in (None, "none") else ""),
        "",
        "## Recipe",
        "",
        *(f"- {name}: {identity.text(value)}" for name, value in values.items() if value not in (None, [])),
        "",
        "## Metrics",
        "",
        *metrics(gan, run.report),
        "",
        "## Limits",
        "",
        *(images if gan.makes_images else ()),
        "- Its samples hold what its data hold, their gaps included. Do not train or test a classifier of real images on them",
        "  without measuring what that does.",
        *(discriminator if isinstance(gan, GAN) else ()),
    ]
    return "\n".join(lines) + "\n"


def made_by(run):
    """The end of the card of a model of the package: the command that made it. Empty for other runs."""
    path = run.folder / "card.md"
    command = path.exists() and re.search(r"^`python scripts/lab/pretrain.py .*`", path.read_text(), re.MULTILINE)
    if not command:
        return ""
    return f"\n## Made by\n\n{command[0]}, in a copy of the repository; the weights were then rounded to float16.\n"


def metrics(gan, path):
    """The table of report.json, if the run was evaluated."""
    if not path.exists():
        return ["Not measured. Run `gan-keras evaluate` before the export."]
    with files.reading(f"{path} cannot be read", "Run `gan-keras evaluate` again."):
        report = files.read_json(path)
        values = report.get("metrics") or report["figures"]  # of earlier versions, as "ceiling" below
        report = {name: report[name] for name in ("step", "samples")}
    step = int(gan.step.numpy())
    earlier = "" if report["step"] == step else f", which is not this one ({step:,})"
    lines = [f"{report['samples']:,} samples of step {report['step']:,}{earlier}, by `gan-keras evaluate`.", ""]
    lines += ["| metric | samples | real data | better |", "|---|---|---|---|"]
    for name, metric in values.items():
        value, real = ("-" if v is None else f"{v:.4g}" for v in (metric["value"], metric.get("real", metric.get("ceiling"))))
        title, better = evaluation.metric_of(name)
        lines.append(f"| {title} | {value} | {real} | {better} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
