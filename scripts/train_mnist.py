"""Train a GAN on MNIST, on images of your own or on a toy, by a recipe. See docs/train.md."""

import inspect
import os
import pathlib
import shlex
import signal
import sys
import time

from gan_keras_scripts import common  # first: it sets the environment up

import keras
import tensorflow as tf

from gan_keras import callbacks, data, evaluation, recipes, replicas, settings
from gan_keras.runs import Run
from gan_keras_scripts import distribution, options


NETWORKS = ("generator", "discriminator", "encoder")

# Images up to which augmentation lowers the distance of samples to real images: docs/results.md, "Few training digits".
FEW = 1000


@common.command
def main(argv=None):
    args = options.parse(__doc__, argv)
    if args.list_recipes:
        for name, function in recipes.RECIPES.items():
            print(f"{name:14} " + inspect.getdoc(function).replace("\n\n", "\n" + 15 * " "))
        return 0
    if args.show_recipe:
        print(recipes.show(args.show_recipe))
        return 0
    if args.deterministic:
        tf.config.experimental.enable_op_determinism()
    with distribution.lost_workers_told(args.strategy):
        strategy = distribution.get(args.strategy, args.wait)
        with strategy.scope():
            run = open_run(args)
        periods = {name: getattr(args, name) for name in ("log_every", "sample_every", "checkpoint_every")}
        distribution.check_same(strategy, {**run.settings, **periods, "versions": None})
        with strategy.scope():
            gan = run.build(*periods.values())
        number, images = run.number_of_clusters, run.training_data[0]
        if number and not run.clusters.exists() and replicas.is_chief(strategy):
            print(f"Clusters  finding {number} of them in {len(images):,} images, without labels", flush=True)
        run.check(gan)
        with run.claimed(gan), Stop(args) as stop:
            start = run.restore(gan)
            distribution.check_same(strategy, {"first step": start, "training set": run.digest()})
            more = more_callbacks(args, run, stop)
            if replicas.is_chief(strategy):
                print_plan(run, gan, start, args)
            run.train(gan, **periods, callbacks=more, verbose=int(sys.stdout.isatty()))
    if not replicas.is_chief(strategy):
        print(f"Worker    done after step {int(gan.step.numpy()):,}; the chief has written {run.folder}")
        return 0
    return print_result(run, gan, start, stop, sys.argv[1:] if argv is None else argv)


def open_run(args):
    """The run that the command line describes: a new one, or the one in the folder."""
    out = args.out or pathlib.Path("runs", pathlib.Path((args.recipe or "default").split(":")[-1]).name)
    names = ("recipe", "seed", "batch_size", "latent_dim", "data", "split", "jit", "precision", "steps", "minutes")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    run = Run(out) if args.resume else None
    if args.image_size or args.channels:
        known = run.settings["shape"] if run else None
        height, width, channels = known if known and len(known) == 3 else (28, 28, 1)
        given["shape"] = (*(args.image_size or (height, width)), args.channels or channels)
    if run:
        run.go_on(**given)
    else:
        if args.deterministic:
            given["jit"] = "off"
        run = Run.new(out, **given)
    if run.settings["jit"] == "on":
        options.check_jit(args)
    if run.settings["minutes"] and args.strategy == "multiworker":
        raise ValueError(
            f"{out} has a run that ends after a number of minutes, and workers would stop at different steps. Give --steps."
        )
    return run


class Stop(keras.callbacks.Callback):
    """Ends training after the step in which Ctrl-C or SIGTERM arrives. A second one ends the process at once."""

    def __init__(self, args):
        super().__init__()
        # One of several workers ends at once, since the others could not go on: all begin again at the newest checkpoint.
        self.signals = () if args.strategy == "multiworker" else (signal.SIGINT, signal.SIGTERM)
        self.received = None

    def __enter__(self):
        self.before = {number: signal.signal(number, self.receive) for number in self.signals}
        return self

    def __exit__(self, *error):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def receive(self, number, frame):
        self.received = number
        signal.signal(number, signal.default_int_handler)

    def on_train_batch_end(self, batch, logs=None):
        if self.received:
            self.model.stop_training = True


class Lines(callbacks.EverySteps):
    """A line of text every so many steps, where there is no terminal to draw a progress bar on.

    Args:
        every: Steps between two lines.
        steps: Of the whole training, or `None`.
    """

    def __init__(self, every, steps):
        super().__init__(every)
        self.steps = steps

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.before = None

    def act(self, step, logs):
        values = "  ".join(f"{name} {float(value):.4g}" for name, value in logs.items())
        print(f"step {step:,}  {values}{self.pace(step)}", flush=True)

    def pace(self, step):
        """Steps in a second since the line before, and the time that is left."""
        now, before = time.perf_counter(), self.before
        self.before = now, step
        if before is None:  # the time so far is that of the compilation as well
            return ""
        rate = (step - before[1]) / (now - before[0])
        left = f", {(self.steps - step) / rate / 60:.1f} minutes left" if self.steps else ""
        return f"  {rate:,.1f} steps a second{left}"


def more_callbacks(args, run, stop):
    """What the script adds to the callbacks of a run."""
    evaluator = None
    if args.tensorboard and run.settings["data"] == "mnist":  # where the classifier's features mean something
        images, labels = run.training_data
        evaluator = evaluation.Evaluator(images, run.data("test")[0], train_labels=labels)
    more = [stop] if sys.stdout.isatty() else [stop, Lines(args.log_every, run.settings["steps"])]
    if args.tensorboard:
        seed = run.settings["seed"]
        more.append(callbacks.TensorBoard(run.tensorboard, args.log_every, args.sample_every, evaluator, seed=seed))
    return more


def print_plan(run, gan, start, args):
    """What will happen."""
    chosen, images = run.settings, run.training_data[0]
    kind = "images" if gan.makes_images else "points"
    shape = "x".join(map(str, images.shape[1:]))
    goal = f"{chosen['steps']:,} steps" if chosen["steps"] else f"{chosen['minutes']:g} minutes"
    gpus = len(tf.config.list_physical_devices("GPU"))
    details = [
        goal,
        *([f"continuing after step {start:,}"] if start else []),
        f"on {f'{gpus} GPU' if gpus else f'CPU ({os.cpu_count()} cores)'}",
        *([f"{gan.distribute_strategy.num_replicas_in_sync} replicas"] if args.strategy != "none" else []),
        f"{'' if chosen['precision'] == 'float32' else 'mixed '}{chosen['precision']}",
    ]
    print(f"Recipe    {chosen['recipe']}: {recipes.summary(chosen['recipe'])}")
    networks = [f"{name} {getattr(gan, name).count_params():,}" for name in NETWORKS if hasattr(gan, name)]
    print(f"Networks  {', '.join(networks)} weights")
    print(f"Data      {chosen['data']} {chosen['split']}: {len(images):,} {kind} of {shape}, ", end="")
    labels = run.recipe.labelled
    print(
        f"{f'{labels} of them with a label, ' if labels else ''}{run.recipe.batch_per_step} for each step, seed {chosen['seed']}"
    )
    if names := data.class_names(chosen["data"]):
        print(f"Labels    {common.one_line(', '.join(f'{label} {name}' for label, name in enumerate(names)), 200)}")
    if data.is_image_folder(chosen["data"]) and not (args.image_size or args.channels or args.resume):
        print("Note      Images are resized to 28x28 and made grey; --image-size and --channels choose another shape")
    if len(images) <= FEW and chosen["recipe"] in ("default", "best", "plain"):
        print("Note      With so few images the discriminator overfits. The recipe few augments them")
    if chosen["precision"] == "bfloat16" and not gpus and not settings.multiplies_bfloat16():
        print("Note      This CPU has no instructions for bfloat16: it is slower and less exact than float32 here")
    print(f"Training  {', '.join(details)}")
    print(f"Output    {run.folder}")


def print_result(run, gan, start, stop, argv):
    """What has happened, and where the files are. Returns the exit code."""
    step = int(gan.step.numpy())
    if stop.received:
        again = shlex.join([common.program(), "train", *argv, *([] if "--resume" in argv else ["--resume"])])
        print(f"\nStopped after step {step:,}. Everything is saved. Continue with:\n  {again}")
        return 128 + stop.received
    seconds = run.seconds
    took = f"{seconds / 60:.1f} minutes" if seconds > 60 else f"{seconds:.0f} seconds"
    if step == start:
        print(
            f"\nNothing to train: the run has made its {step:,} steps, in {took}. Give more --steps or --minutes to continue."
        )
    else:
        print(f"\nTrained {step:,} steps in {took}.")
    print(f"  samples    {max(run.samples.iterdir())}\n  animation  {run.animation}")
    print(f"  curves     {run.curves}, {run.history}\n  model      {run.model}")
    print(f"More samples: {common.program()} sample {shlex.quote(str(run.folder))} --out samples.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
