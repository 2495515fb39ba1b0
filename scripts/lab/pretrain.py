"""Make one of the trained models that come with the package.

    python scripts/lab/pretrain.py cgan

It trains the recipe, evaluates the model, and writes gan_keras/pretrained/NAME.
"""

import argparse
import pathlib
import shutil
import sys

from lab import common  # first: it sets the environment up

import numpy as np

from gan_keras import files, plots, pretrained, recipes, weights
from gan_keras.recipe import Recipe
from gan_keras.runs import Run
from gan_keras_scripts import evaluate, export

FOLDER = pathlib.Path(pretrained.__file__).parent


def card(name, gan, run):
    """The model's card: as that of an export, and the command that made it."""
    command = f"python scripts/lab/pretrain.py {name} --seed {run.settings['seed']}"
    return (
        export.card(gan, run) + f"\n## Made by\n\n`{command}`, in a copy of the repository\n\nWeights are stored in float16.\n"
    )


def store(name, run):
    """Write the package's folder of a trained and measured run.

    Raises:
        ValueError: Samples of the stored weights differ by more than a grey level.
    """
    gan = run.load()
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
    args = parser.parse_args(argv)
    if (FOLDER / args.name).exists():
        raise ValueError(f"{FOLDER / args.name} exists. Delete it to make it again.")
    run = Run.new(pathlib.Path("runs", f"pretrained-{args.name}"), recipe=args.name, seed=args.seed)
    print(f"Training {args.name} for {run.settings['steps']:,} steps, in {run.folder}.", flush=True)
    run.train()
    if code := evaluate.main([str(run.folder)]):
        return code
    most = store(args.name, Run(run.folder))
    print(f"Model {FOLDER / args.name}; its samples differ from those in 32 bits by at most {most} grey level.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
