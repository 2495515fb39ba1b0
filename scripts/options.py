"""The command line of train_mnist.py."""

from gan_keras.random import MAX_STEPS
from gan_keras.settings import POLICIES
from gan_keras_scripts import common, distribution

STEPS, MINUTES = common.between(1, MAX_STEPS), common.between(0.001, 60 * 24 * 365, float)


def parse(description, argv):
    parser = common.Parser(description=description)
    add = parser.add_argument
    add("--list-recipes", action="store_true", help="list the recipes and stop")
    add("--show-recipe", metavar="NAME", help="print a recipe with the source of each value and stop")
    add("--recipe", metavar="NAME", help="what to train, or my_recipes.py:NAME for one of your own; default: default")
    add("--out", metavar="DIR", help="run folder; default: runs/RECIPE")
    add_run(parser)
    add_execution(parser)
    add("--log-every", type=STEPS, default=100, metavar="N", help="steps between rows of history.csv; default: %(default)s")
    add("--sample-every", type=STEPS, default=250, metavar="N", help="steps between sample grids; default: %(default)s")
    add("--checkpoint-every", type=STEPS, default=500, metavar="N", help="steps between checkpoints; default: %(default)s")
    args = parser.parse_args(argv)
    if (args.split or "").startswith("test"):
        raise ValueError(f"Test images are not for training. Received: --split {args.split}; use a part of 'train'.")
    if args.strategy == "multiworker" and args.minutes:
        raise ValueError("Workers stop at the same step only if it is given: use --steps instead of --minutes.")
    if args.jit == "on":
        check_jit(args)
    return args


def add_run(parser):
    """The options that decide the result. They are left out, or the same, when a run goes on."""
    add = parser.add_argument
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=STEPS, metavar="N", help="training steps in all; default: the recipe's")
    length.add_argument("--minutes", type=MINUTES, metavar="M", help="train for this long instead")
    size = common.between(1, 1_000_000)
    add("--batch-size", type=size, metavar="B", help="examples for each update; default: the recipe's")
    size = common.between(1, 10_000)
    add(
        "--latent-dim", type=size, metavar="L", help="size of a latent; default: the recipe's. 2 of plain draws a map of digits"
    )
    add("--seed", type=common.SEED, metavar="S", help="default: 0")
    add(
        "--data",
        metavar="NAME|PATH",
        help="mnist, a toy such as ring, an .npz file, a folder of IDX files or images; default: the recipe's",
    )
    add("--image-size", type=common.sides, metavar="N|HxW", help="read a folder of images in this size; default: 28")
    add("--channels", type=int, choices=(1, 3), help="read a folder of images as grey (1) or colour (3); default: 1")
    add("--split", help='part of the data to train on, such as "train[:50000]"; default: train')
    add("--jit", choices=("auto", "on", "off"), help="XLA compilation; default: auto, see docs/performance.md")
    add(
        "--mixed-precision",
        dest="precision",
        choices=("auto", *POLICIES),
        help="what is computed in; weights have 32 bits. 16 are faster on GPUs, and in bfloat16 on some CPUs. default: auto, see "
        "docs/scale.md",
    )


def add_execution(parser):
    """The options that say where and how to train."""
    add = parser.add_argument
    add(
        "--strategy",
        choices=distribution.STRATEGIES,
        default="none",
        help="split each batch among the GPUs of this machine, or among several machines; default: none, see docs/scale.md",
    )
    add(
        "--wait",
        type=common.between(1, 86_400),
        default=300,
        metavar="SECONDS",
        help="how long workers of --strategy multiworker wait for each other at the start; default: %(default)s",
    )
    add("--deterministic", action="store_true", help="refuse operations whose bits may differ; slower")
    add("--tensorboard", action="store_true", help="write DIR/tensorboard as well")
    add("--resume", action="store_true", help="continue the run in DIR")


def check_jit(args):
    """Raise ValueError where XLA cannot be used."""
    if args.strategy != "none" or args.deterministic:
        reason = "does not promise the same bits" if args.deterministic else "cannot reach the weights of other devices"
        other = "--deterministic" if args.deterministic else f"--strategy {args.strategy}"
        raise ValueError(f"A run with --jit on cannot go with {other}: XLA {reason}. Leave one of them out.")
