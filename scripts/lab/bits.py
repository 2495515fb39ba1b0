"""Do the recipes still train to the same bytes? The SHA-256 of all weights after 20 steps of each, on one thread.

    python scripts/lab/bits.py record          # before a change that is to keep them: writes scripts/lab/bits.json
    python scripts/lab/bits.py compare         # after it: says which recipes differ; exit code 1 if one does

Bytes differ between processors and between versions of TensorFlow: the file says which it was recorded with, and `compare`
refuses others. `--recipes NAME ...` takes some alone; what is recorded of the others stays.
"""

import argparse
import hashlib
import json
import pathlib
import sys

from lab import common, use_threads  # first: it sets the environment up

import keras
import tensorflow as tf

from gan_keras import data, recipes

FILE = pathlib.Path(__file__).with_suffix(".json")
STEPS, EXAMPLES = 20, 6000


def digest(recipe):
    """SHA-256 of the weights of a model, its average and its optimizers after a few steps of a recipe."""
    gan = recipe.build(seed=0, jit_compile=False)
    images, labels = data.load(recipe.data, f"train[:{EXAMPLES}]")
    gan.fit(recipe.stream(gan, images, labels), steps_per_epoch=STEPS, verbose=0)
    networks = [getattr(gan, name, None) for name in ("generator", "discriminator", "encoder", "ema_generator")]
    variables = [w for network in networks if network for w in network.weights]
    variables += [gan.step, *(v for optimizer, _ in gan.optimizers.values() for v in optimizer.variables)]
    return hashlib.sha256(b"".join(keras.ops.convert_to_numpy(v).tobytes() for v in variables)).hexdigest()


def conditions():
    """What bytes depend on besides the code."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), sys.platform)
    return {"processor": processor, "tensorflow": tf.__version__, "keras": keras.__version__}


@common.command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("--recipes", nargs="+", metavar="NAME")
    args = parser.parse_args(argv)
    anew = args.action == "record" and not args.recipes
    recorded = {"conditions": conditions(), "digests": {}} if anew else json.loads(FILE.read_text())
    if recorded["conditions"] != conditions():
        raise ValueError(f"{FILE} was recorded with {recorded['conditions']}. Received: {conditions()}; record it here first.")
    use_threads(1)
    changed = []
    for name in args.recipes or recipes.RECIPES:
        keras.backend.clear_session()
        found = digest(recipes.get(name))
        if args.action == "record":
            recorded["digests"][name] = found
        elif recorded["digests"].get(name) != found:
            changed.append(name)
        print(f"{name:14} {found[:16]}{'  differs' if name in changed else ''}", flush=True)
    if args.action == "record":
        FILE.write_text(json.dumps(recorded, indent=1) + "\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
