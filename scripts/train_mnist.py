"""Train a GAN on MNIST, on other 28x28 images or on a toy, by a recipe. See docs/train.md."""

import contextlib
import csv
import json
import math
import os
import pathlib
import shlex
import signal
import sys

try:
    import fcntl
except ImportError:
    fcntl = None

import common  # first: it sets the environment up
import distribution

import keras
import tensorflow as tf

import gan_keras
from gan_keras import callbacks, data, evaluation, plots, recipes, replicas
from gan_keras.random import MAX_STEPS

# What decides the weights: a run goes on only with the values it began with.
TOLD = ("steps", "data")  # of the recipe's values, by config.json itself
IDENTITY = ("recipe", "seed", "batch_size", "latent_dim", "data", "split", "jit", "precision")


def parse(argv):
    steps, minutes = common.between(1, MAX_STEPS), common.between(0.001, 60 * 24 * 365, float)
    parser = common.Parser(description=__doc__)
    parser.add_argument("--list-recipes", action="store_true", help="list the recipes and stop")
    parser.add_argument("--show-recipe", metavar="NAME", help="print a recipe with the source of each value and stop")
    parser.add_argument("--recipe", help="what to train; default: default")
    parser.add_argument("--out", metavar="DIR", help="run folder; default: runs/RECIPE")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=steps, metavar="N", help="training steps in all; default: the recipe's")
    length.add_argument("--minutes", type=minutes, metavar="M", help="train for this long instead")
    parser.add_argument(
        "--batch-size",
        type=common.between(1, 1_000_000),
        metavar="B",
        help="examples for each update; default: the recipe's",
    )
    parser.add_argument(
        "--latent-dim",
        type=common.between(1, 10_000),
        metavar="L",
        help="size of a latent; default: the recipe's. 2 draws a map of digits",
    )
    parser.add_argument("--seed", type=common.SEED, metavar="S", help="default: 0")
    parser.add_argument(
        "--data",
        metavar="NAME|PATH",
        help="mnist, a toy such as ring, an .npz file, a folder of IDX files or images; default: the recipe's",
    )
    parser.add_argument("--split", help='part of the data to train on, such as "train[:50000]"; default: train')
    parser.add_argument(
        "--jit", choices=("auto", "on", "off"), help="XLA compilation; default: auto, see docs/performance.md"
    )
    parser.add_argument(
        "--mixed-precision",
        dest="precision",
        choices=("bfloat16", "float16"),
        help="compute in 16 bits and keep weights in 32; faster on GPUs, and in bfloat16 on some CPUs",
    )
    parser.add_argument(
        "--strategy",
        choices=distribution.STRATEGIES,
        default="none",
        help="share each batch among the GPUs of this machine, or among several machines; default: none, see docs/scale.md",
    )
    parser.add_argument(
        "--wait",
        type=common.between(1, 86_400),
        default=300,
        metavar="SECONDS",
        help="how long workers of --strategy multiworker wait for each other at the start; default: %(default)s",
    )
    parser.add_argument("--deterministic", action="store_true", help="refuse operations whose bits may differ; slower")
    parser.add_argument("--tensorboard", action="store_true", help="write DIR/tensorboard as well")
    parser.add_argument("--resume", action="store_true", help="go on with the run in DIR")
    parser.add_argument(
        "--log-every",
        type=steps,
        default=100,
        metavar="N",
        help="steps between rows of history.csv; default: %(default)s",
    )
    parser.add_argument(
        "--sample-every", type=steps, default=250, metavar="N", help="steps between sample grids; default: %(default)s"
    )
    parser.add_argument(
        "--checkpoint-every",
        type=steps,
        default=500,
        metavar="N",
        help="steps between checkpoints; default: %(default)s",
    )
    args = parser.parse_args(argv)
    if (args.split or "").startswith("test"):
        raise ValueError(f"Test images are not for training. Received: --split {args.split}; use a part of 'train'.")
    if args.minutes is not None and args.strategy == "multiworker":
        raise ValueError("Workers stop at the same step only if it is given: use --steps instead of --minutes.")
    return args


def new_config(args):
    """The fully resolved settings of a new run."""
    recipe = recipes.get(args.recipe or "default")
    given = {name: getattr(args, name) for name in IDENTITY if getattr(args, name) is not None}
    defaults = {
        "recipe": recipe.name,
        "seed": 0,
        "batch_size": recipe.batch_size,
        "latent_dim": recipe.latent_dim,
        "data": recipe.data,
        "split": "train",
        "jit": "auto",
        "precision": "float32",
    }
    config = {**defaults, **given}
    config["data"] = resolved(config["data"])
    if config["jit"] == "auto":
        # Settled when the run begins: bits differ between the two.
        faster = recipe.jit_on_cpu or tf.config.list_physical_devices("GPU")
        config["jit"] = "on" if faster and not why_no_jit(args) else "off"
    return {
        **config,
        "steps": None if args.minutes else args.steps or recipe.steps,
        "minutes": args.minutes,
        "values": values_of(config),
        "versions": common.versions(),
    }


def why_no_jit(args):
    """What speaks against XLA, or `None`."""
    if args.strategy != "none":
        return f"--strategy {args.strategy}: XLA cannot reach the weights of other devices"
    return "--deterministic: XLA does not promise it" if args.deterministic else None


def steps_at_once(config, args, begin):
    """Steps in one call of TensorFlow: as many as the recipe says, if everything that is done between calls falls between them.

    `begin` are the steps from which the run may go on.
    """
    if args.strategy != "none":
        return 1  # more is refused on several replicas
    periods = (args.log_every, args.sample_every, args.checkpoint_every, config["steps"] or 0, *begin)
    return math.gcd(recipes.get(config["recipe"]).steps_per_execution, *periods)


def resolved(source):
    """A name of `data.load` as it is, a path as an absolute one."""
    return source if source in data.NAMES else str(pathlib.Path(source).resolve())


def flag(name):
    return "mixed-precision" if name == "precision" else name.replace("_", "-")


def values_of(config):
    """What the run's recipe says, but for what config.json tells by itself."""
    return {name: value for name, value in common.recipe_of(config).values().items() if name not in TOLD}


def old_config(args, out):
    """The settings of the run in `out`; what is given on the command line must not contradict them."""
    config = common.read_config(out)
    for name in IDENTITY:
        given = getattr(args, name)
        if name == "data" and given is not None:
            given = resolved(given)
        if given not in (None, config[name]) and (name, given) != ("jit", "auto"):
            raise ValueError(
                f"{out} holds a run with {name} {config[name]!r}, not {given!r}. Leave --{flag(name)} out to go on "
                "with it, or choose another --out."
            )
    changed = [name for name in common.recipe_of(config).differs_from(config["values"]) if name not in TOLD]
    if changed:
        raise ValueError(
            f"The recipe {config['recipe']} has changed since {out} was begun, in {', '.join(changed)}; the run cannot go on as "
            "it began. Use the version of gan_keras in its config.json, or begin another run."
        )
    if args.steps:
        config.update(steps=args.steps, minutes=None)
    elif args.minutes:
        config.update(steps=None, minutes=args.minutes)
    return config


@contextlib.contextmanager
def claimed(out):
    """Hold a run folder until the block or the process ends: two trainings in one would spoil each other's files."""
    with writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
    if fcntl is None:  # Windows
        yield
        return
    folder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(folder)
        raise ValueError(f"Another process is training in {out}. Wait for it, or choose another --out.") from error
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(folder)


def write_config(config, out):
    with writing_to(out):
        temporary = out / "config.json.new"
        temporary.write_text(json.dumps(config, indent=2) + "\n")
        os.replace(temporary, out / "config.json")


@contextlib.contextmanager
def writing_to(out):
    try:
        yield
    except OSError as error:
        raise ValueError(f"Cannot write to {out}: {error.strerror}. Choose another --out.") from error


def seconds_so_far(out):
    """Training seconds of a run, by its history.csv, whose last row a killed process may have left incomplete."""
    try:
        with open(out / "history.csv", newline="") as file:
            return max((float(row["seconds"] or 0) for row in csv.DictReader(file)), default=0.0)
    except FileNotFoundError:
        return 0.0


class StopWhen(keras.callbacks.Callback):
    """Ends training after the call of TensorFlow (up to 20 steps of a toy) in which a condition has become true."""

    def __init__(self, condition):
        super().__init__()
        self.condition = condition

    def on_train_batch_end(self, batch, logs=None):
        if self.condition():
            self.model.stop_training = True


class Lines(callbacks.EverySteps):
    """A line of text every so many steps, where there is no terminal to draw a progress bar on."""

    def act(self, step, logs):
        values = "  ".join(f"{name} {float(value):.4g}" for name, value in logs.items())
        print(f"step {step:,}  {values}", flush=True)


@common.command
def main(argv=None):
    args = parse(argv)
    if args.list_recipes:
        for recipe in recipes.RECIPES.values():
            print(f"{recipe.name:14} {recipe.summary}\n{'':14} {recipe.source}")
        return 0
    if args.show_recipe:
        print(recipes.get(args.show_recipe))
        return 0
    out = pathlib.Path(args.out or f"runs/{args.recipe or 'default'}")
    if args.deterministic:
        tf.config.experimental.enable_op_determinism()
    again = shlex.join(["python", "scripts/train_mnist.py", *(sys.argv[1:] if argv is None else argv)])
    with distribution.lost_workers_told(args.strategy), contextlib.ExitStack() as held:
        return run(args, out, distribution.get(args.strategy, args.wait), held, again)


def run(args, out, strategy, held, again):
    """Train, from what the run folder holds to what it is to hold.

    `held` keeps the folder for this process; `again` is the command that it was started with.
    """
    chief = replicas.is_chief(strategy)
    if args.resume:
        config = old_config(args, out)
        if chief:
            held.enter_context(claimed(out))
    elif not chief:
        config = new_config(args)  # the folder is the chief's to look at: it may have begun already
    elif (out / "config.json").exists():
        raise ValueError(f"{out} holds a run already. Add --resume to go on with it, or choose another --out.")
    elif out.exists() and (not out.is_dir() or any(path.name != "config.json.new" for path in out.iterdir())):
        raise ValueError(f"{out} exists and is not an empty folder. Choose another --out.")
    else:
        config = new_config(args)
    if config["jit"] == "on" and why_no_jit(args):
        raise ValueError(f"A run with --jit on cannot go with {why_no_jit(args)}. Leave one of them out.")
    if config["minutes"] and args.strategy == "multiworker":
        raise ValueError(
            f"{out} holds a run of so many minutes, and workers would stop at different steps. Give --steps."
        )

    # Everything that can be refused is, before anything is written.
    options = {name: config[name] for name in (*IDENTITY, "steps")}
    options.update(log_every=args.log_every, sample_every=args.sample_every, checkpoint_every=args.checkpoint_every)
    distribution.check_same(strategy, options)
    images, labels = data.load(config["data"], config["split"])
    checkpoint = callbacks.Checkpoint(out / "checkpoints", args.checkpoint_every)
    with strategy.scope():
        gan = common.build_gan(config, steps_at_once(config, args, checkpoint.steps() if args.resume else ()))
    takes = gan.discriminator.inputs[0].shape[1:]
    if len(takes) != images.ndim - 1:
        raise ValueError(
            f"The recipe {config['recipe']} takes data of shape {takes}. Received: {config['data']}, of shape "
            f"{images.shape[1:]}. Leave --data out for the recipe's own, or choose another --recipe."
        )
    batch = common.recipe_of(config).batch_per_step
    start = checkpoint.restore(gan) if args.resume else 0
    inputs = (images, labels if gan.conditional else None, batch, gan.value_range, config["seed"], start)
    gan.check_data(data.batches(*inputs))
    stream = replicas.share(lambda shard: data.batches(*inputs, shard), strategy)
    if gan.conditional:
        gan.check_labels(labels)
    if config["steps"] and start > config["steps"]:
        raise ValueError(f"The run in {out} has made {start:,} steps already. Give a larger --steps to go on.")
    extra = [tensorboard(out, config, args)] if args.tensorboard and chief else []
    distribution.check_same(strategy, {"first step": start})
    if not chief:
        if start != config["steps"]:
            train(gan, stream, config, start, checkpoint, out, args, [], None, [])
        print(f"Worker    done after step {int(gan.step.numpy()):,}; the chief has written {out}")
        return 0
    if not args.resume:
        held.enter_context(claimed(out))
        if (out / "config.json").exists():
            raise ValueError(f"Another process has begun a run in {out}. Choose another --out.")
    write_config(config, out)

    goal = f"{config['steps']:,} steps" if config["steps"] else f"{config['minutes']:g} minutes"
    print(f"Recipe    {config['recipe']}: {recipes.get(config['recipe']).summary}")
    print(
        f"Networks  generator {gan.generator.count_params():,} weights, "
        f"discriminator {gan.discriminator.count_params():,}"
    )
    print(
        f"Data      {config['data']} {config['split']}: {len(images):,} {'points' if images.ndim == 2 else 'images'}, {batch} for each step, "
        f"seed {config['seed']}"
    )
    print(
        f"Training  {goal}"
        + (f", going on after step {start:,}" if start else "")
        + f", on {devices()}"
        + (f", {strategy.num_replicas_in_sync} replicas" if args.strategy != "none" else "")
        + (f", mixed {config['precision']}" if config["precision"] != "float32" else "")
    )
    print(f"Output    {out}")

    interrupted = []
    spent = config["minutes"] and seconds_so_far(out) >= 60 * config["minutes"]
    if start != config["steps"] and not spent:
        (out / "model.keras").unlink(missing_ok=True)  # of an earlier part of the run: the checkpoints are ahead of it
        points = images[:10_000] if images.ndim == 2 else None
        train(gan, stream, config, start, checkpoint, out, args, interrupted, points, extra)
    conclude(gan, out)
    step = int(gan.step.numpy())
    if interrupted:
        print(f"\nStopped after step {step:,}. Everything is saved. Go on with:")
        print(f"  {again}{'' if args.resume else ' --resume'}")
        return 128 + interrupted[0]
    seconds = seconds_so_far(out)
    print(f"\nTrained {step:,} steps in {f'{seconds / 60:.1f} minutes' if seconds > 60 else f'{seconds:.0f} seconds'}.")
    print(f"  samples    {max((out / 'samples').glob('step-*.png'))}\n  animation  {out / 'samples.gif'}")
    print(f"  curves     {out / 'losses.png'}, {out / 'history.csv'}\n  model      {out / 'model.keras'}")
    print(f"More samples: python scripts/sample.py {out} --num 100 --out digits.png")
    return 0


def train(gan, stream, config, start, checkpoint, out, args, interrupted, points, extra):
    """Fit, until the steps are made, the time is up, or a signal arrives; its number is appended to `interrupted`.

    `points` are real ones of a toy, to show samples over; `None` for images. `extra` are more callbacks.
    """

    def stop(signum, frame):
        interrupted.append(signum)
        signal.signal(signum, signal.default_int_handler)  # a second one ends at once

    chief, alone = replicas.is_chief(gan.distribute_strategy), args.strategy != "multiworker"
    # One of several workers ends at once, since the others could not go on: all begin again at the newest checkpoint.
    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM) if alone}
    history = callbacks.HistoryFile(out / "history.csv", args.log_every)
    terminal = sys.stdout.isatty() and chief
    try:
        gan.fit(
            stream,
            verbose=1 if terminal else 0,
            steps_per_epoch=config["steps"] - start if config["steps"] else None,
            callbacks=[
                callbacks.NonFiniteGuard(),
                StopWhen(lambda: interrupted or (config["minutes"] and history.seconds >= 60 * config["minutes"])),
                callbacks.SampleGrid(out / "samples", args.sample_every, seed=config["seed"], real=points),
                history,
                *([] if terminal or not chief else [Lines(args.log_every)]),
                *extra,
                checkpoint,  # last, so that what it resumes from has its picture and its row
            ],
        )
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def tensorboard(out, config, args):
    """The callback of --tensorboard; quality is measured where the classifier's features mean something."""
    evaluator = None
    if config["data"] == "mnist":
        evaluator = evaluation.Evaluator(*(data.load("mnist", split)[0] for split in (config["split"], "test")))
    return callbacks.TensorBoard(out / "tensorboard", args.log_every, args.sample_every, evaluator, seed=config["seed"])


def conclude(gan, out):
    """Write what a finished or interrupted run leaves: the model, and the pictures of the whole run."""
    gan.save(out / "model.new.keras")
    os.replace(out / "model.new.keras", out / "model.keras")
    plots.animation(sorted((out / "samples").glob("step-*.png")), out / "samples.gif")
    plots.curves(out / "history.csv", out / "losses.png")
    if gan.latent_dim == 2 and not gan.conditional and len(gan.generator.outputs[0].shape) == 4:
        plots.manifold(gan).save(out / "manifold.png")


def devices():
    gpus = len(tf.config.list_physical_devices("GPU"))
    return f"{gpus} GPU" if gpus else f"CPU ({os.cpu_count()} cores)"


if __name__ == "__main__":
    sys.exit(main())
