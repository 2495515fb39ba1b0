"""Make one of the trained models that come with the package.

    python scripts/lab/pretrain.py cgan
    python scripts/lab/pretrain.py infogan --generator-only

It trains the recipe, evaluates the model, and writes gan_keras/pretrained/NAME. Interrupted, the same command continues.
"""

import argparse
import pathlib
import shutil
import sys

from lab import common  # first: it sets the environment up

import numpy as np

from gan_keras import files, plots, pretrained, recipes, weights
from gan_keras.gan import GAN
from gan_keras.recipe import Recipe
from gan_keras.runs import Run
from gan_keras_scripts import evaluate, export

FOLDER = pathlib.Path(pretrained.__file__).parent


def card(name, model, run):
    """The model's card: as that of an export, and the command that made it."""
    command = f"python scripts/lab/pretrain.py {name} --seed {run.settings['seed']}"
    stored = "Weights are stored in float16; the metrics were measured before, in float32."
    if not isinstance(model, GAN):
        command += " --generator-only"
        stored += " The discriminator, which the errors of the code were measured with, is not stored; "
        stored += "the model cannot be trained further."
    return export.card(model, run) + f"\n## Made by\n\n`{command}`, in a copy of the repository\n\n{stored}\n"


def store(name, run, generator_only=False):
    """Write the package's folder of a trained and measured run. `generator_only` leaves the discriminator out.

    Raises:
        ValueError: Samples of the stored weights differ by more than a grey level.
    """
    gan = run.load()
    gan = weights.generator_alone(gan) if generator_only else gan
    with files.replacing(FOLDER / name) as folder:
        folder.mkdir()
        for path in (run.folder / "config.json", run.report):
            shutil.copy(path, folder)
        stored = Run(folder)
        weights.write(gan, stored.weights)
        (folder / "card.md").write_text(card(name, gan, run))
        images = [plots.to_uint8(model.sample(1000, seed=1), gan.value_range).astype(int) for model in (gan, stored.load())]
        most = np.abs(images[0] - images[1]).max()
        if most > 1:
            raise ValueError(f"Stored in 16 bits, samples differ by up to {most} grey levels.")
    return most


@common.command
def main(argv=None):
    parser = common.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    gans = [name for name in recipes.RECIPES if recipes.get(name).data == "mnist" and isinstance(recipes.get(name), Recipe)]
    parser.add_argument("name", choices=gans, metavar="RECIPE", help=f"of {', '.join(gans)}")
    parser.add_argument("--seed", type=common.SEED, default=0, metavar="S", help="default: %(default)s")
    parser.add_argument("--generator-only", action="store_true", help="leave the discriminator out: for a smaller file")
    args = parser.parse_args(argv)
    if (FOLDER / args.name).exists():
        raise ValueError(f"{FOLDER / args.name} exists. Delete it, and runs/pretrained-{args.name}, to make it again.")
    if args.generator_only and recipes.get(args.name).clusters:
        raise ValueError(f"{args.name} has clusters, which sampling needs as well. Leave --generator-only out.")
    folder, chosen = pathlib.Path("runs", f"pretrained-{args.name}"), {"recipe": args.name, "seed": args.seed}
    if (folder / "config.json").exists():  # from before an interruption
        run = Run(folder)
        run.go_on(**chosen)
    else:
        run = Run.new(folder, **chosen)
    print(f"Training {args.name} for {run.settings['steps']:,} steps, in {run.folder}.", flush=True)
    run.train(verbose=int(sys.stdout.isatty()))
    if code := evaluate.main([str(run.folder)]):
        return code
    most = store(args.name, Run(run.folder), args.generator_only)
    print(f"Model {FOLDER / args.name}; its samples differ from those in 32 bits by at most {most} grey level.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
