"""Measure how fast training is, beside other ways to train the same networks. See docs/performance.md."""

import importlib.metadata
import importlib.util
import json
import pathlib
import pickle
import subprocess
import sys
import tempfile
import threading
import time
import weakref

from lab import common, json_file, machine  # first: it sets the environment up

import floor
import keras
import numpy as np
import peers
import tensorflow as tf
from clock import in_a_loop
from matplotlib.figure import Figure

from gan_keras import data, recipes, settings
from gan_keras.networks import precision

# The recipes whose networks are measured, each in its own batches.
NETWORKS = ("tutorial_mlp", "tutorial_conv", "dcgan", "wgan_gp", "plain", "default")

# Of a peer in a round, however slow the network.
LEAST_STEPS = 5

# The peers that do nothing but steps, so that the time of the processor in a round is theirs.
LOOPS = ("step", "loop")

# Seconds after which a peer in a process of its own that has not answered is ended.
PATIENCE = 600

PEERS = {
    "fit": "fit of gan_keras",
    "bfloat16": "the same with --mixed-precision bfloat16",
    "step": "the step of gan_keras, without fit",
    "guide": "the step of Keras' guide, through fit",
    "loop": "a bare tf.function in a loop",
    "torch": "PyTorch, eager",
    "torch_compiled": "PyTorch, torch.compile",
    "floor": "the least time of the step at this machine's rates of arithmetic and of memory",
}


def parse(argv):
    number, default = common.between(1, 1000), "default: %(default)s"
    parser = common.Parser(description=__doc__)
    for name, known in (("networks", NETWORKS), ("peers", PEERS)):
        told = f"of {', '.join(known)}; default: all"
        parser.add_argument(f"--{name}", nargs="+", choices=known, default=list(known), metavar="NAME", help=told)
    parser.add_argument("--jit", choices=("auto", "on", "off"), default="auto", help=f"for fit and step; {default}")
    parser.add_argument("--builds", type=number, default=3, metavar="N", help=f"how often peers are built anew; {default}")
    parser.add_argument("--rounds", type=number, default=3, metavar="N", help=f"of a build, peers in turn; {default}")
    seconds = common.between(0.001, 3600, float)
    parser.add_argument("--seconds", type=seconds, default=1.0, metavar="S", help=f"of a peer in a round, about; {default}")
    out = {"type": json_file, "default": "benchmark.json", "metavar": "FILE"}
    parser.add_argument("--out", **out, help=f"results; a chart is drawn beside it; {default}")
    args = parser.parse_args(argv)
    for path in (args.out, args.out.with_suffix(".png")):
        if path.exists():
            raise ValueError(f"{path} exists. Choose another --out.")
    return args


# Each peer is a function of a number of steps that makes them and returns the seconds of one.


class StepTimer(keras.callbacks.Callback):
    """When each call of the training function ended."""

    def on_train_begin(self, logs=None):
        self.times = []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append((batch + 1, time.perf_counter()))


def through_fit(model, stream, at_once=1):
    """Seconds of a step in `fit`, without the start of `fit`: from the end of its first call to that of its last."""

    def run(steps):
        timer = StepTimer()
        calls = 1 + max(1, round(steps / at_once))
        model.fit(stream, shuffle=False, steps_per_epoch=calls * at_once, verbose=0, callbacks=[timer])
        (first, begin), (last, end) = timer.times[0], timer.times[-1]
        return (end - begin) / (last - first)

    return run


class Elsewhere:
    """A peer in a process of its own, which ends with it: PyTorch's CUDA builds and TensorFlow cannot share one.

    Args:
        program: Path of a Python program that reads pickled questions and answers each, the first of them `setup`, as
            torch_twin.py does.

    Raises:
        Missing: The process told what went wrong, or ended; of every call too.
    """

    def __init__(self, program, setup):
        self.errors = tempfile.TemporaryFile()
        weakref.finalize(self, self.errors.close)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors}
        self.process = subprocess.Popen([sys.executable, program], **pipes)
        weakref.finalize(self, self.process.communicate)  # nothing more is asked, and it ends
        self.ask(setup)

    def __call__(self, steps):
        """Seconds of a step."""
        self.ask(steps)
        overdue = threading.Event()
        kill = self.process.kill  # not of `self`, which would live as long as the timer's thread
        patience = threading.Timer(PATIENCE, lambda: (overdue.set(), kill()))
        patience.start()
        try:
            answer = pickle.load(self.process.stdout)
        except EOFError:
            late = f"It did not answer within {PATIENCE} seconds."
            raise Missing(late if overdue.is_set() else self.end()) from None
        finally:
            patience.cancel()
        if isinstance(answer, str):
            raise Missing(answer)
        return answer

    def ask(self, question):
        try:
            pickle.dump(question, self.process.stdin)
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Missing(self.end()) from None

    def end(self):
        """How the process ended, in a line."""
        code = self.process.wait()
        self.errors.seek(0)
        last = self.errors.read().decode(errors="replace").strip().splitlines()[-1:]
        return " ".join([f"Its process ended with exit code {code}.", *last])


class Networks:
    """The networks and the data of a recipe, and each peer's way to train them. Methods return a function, or raise `Missing`."""

    def __init__(self, name, jit):
        self.name, self.recipe = name, recipes.get(name)
        self.jit = {"auto": "auto", "on": True, "off": False}[jit]
        self.images, self.labels = self.recipe.training_set(*data.load("mnist"))
        self.range, size = self.recipe.build().value_range, self.recipe.batch_per_step
        images = tf.constant(self.scaled(self.images[:size]))
        self.batch = images if self.labels is None else (images, tf.constant(self.labels[:size]))

    def scaled(self, images):
        low, high = self.range
        return (images / 255.0 * (high - low) + low).astype("float32")

    def fit(self):
        at_once = self.recipe.steps_per_execution
        gan = self.recipe.build(jit_compile=self.jit, steps_per_execution=at_once)
        stream = data.batches(self.images, self.labels, self.recipe.batch_per_step, self.range)
        return through_fit(gan, stream, at_once)

    def bfloat16(self):
        with precision("mixed_bfloat16"):
            return self.fit()

    def step(self):
        gan = self.recipe.build(jit_compile=self.jit)
        step = tf.function(gan.train_step, jit_compile=gan.jit_compile, autograph=False)
        return in_a_loop(lambda: step(self.batch), lambda logs: logs["d_loss"].numpy())

    def guide(self):
        self.check_unlabelled()
        if self.name == "plain":
            raise Missing("Keras has no guide with R1")
        gan = self.recipe.build()
        discriminator = gan.discriminator
        if self.name == "tutorial_conv":
            discriminator = peers.stock_tutorial_discriminator()
        model = (peers.GuideWGAN if self.name == "wgan_gp" else peers.GuideGAN)(gan.generator, discriminator)
        model.compile(*(type(o).from_config(o.get_config()) for o in (gan.d_optimizer, gan.g_optimizer)))
        stream = tf.data.Dataset.from_tensor_slices(self.scaled(self.images)).shuffle(1024)
        return through_fit(model, stream.batch(self.recipe.batch_size, drop_remainder=True).repeat())

    def check_unlabelled(self):
        if self.labels is not None:
            raise Missing("It does not know labels or clusters")

    def loop(self):
        self.check_unlabelled()
        step = peers.plain_step(self.recipe.build())
        return in_a_loop(lambda: step(self.batch), lambda loss: loss.numpy())

    def torch(self, compiled=False):
        if importlib.util.find_spec("torch") is None:
            raise Missing("PyTorch is not installed: pip install torch")
        program = pathlib.Path(__file__).with_name("torch_twin.py")
        batch = [part.numpy() for part in (self.batch if isinstance(self.batch, tuple) else (self.batch,))]
        return Elsewhere(program, (peers.described(self.recipe.build()), batch, compiled))

    def torch_compiled(self):
        return self.torch(compiled=True)

    def floor(self):
        gan = self.recipe.build(jit_compile=False)
        plain = self.labels is None
        return floor.of(peers.plain_step(gan) if plain else tf.function(gan.train_step, autograph=False), self.batch)

    def settings(self):
        """What the speed depends on, for the report."""
        return {
            "batch": self.recipe.batch_per_step,
            "jit_compile": bool(self.recipe.build(jit_compile=self.jit).jit_compile),
            "steps_per_execution": self.recipe.steps_per_execution,
        }


def versions():
    """Those of a run, and PyTorch's where it is installed."""
    torch = {} if importlib.util.find_spec("torch") is None else {"torch": importlib.metadata.version("torch")}
    return {**settings.versions(), **torch}


class Missing(Exception):
    """A peer that these networks do not have, and why."""


def measure(networks, args):
    """{peer: {"start": seconds, "rounds": [seconds of a step, ...]}} for one pair of networks; of LOOPS also the busy "cores".

    The peers are built anew for every few rounds: two builds of the same peer can differ by a tenth for as long as they live.
    """
    results, left = {}, list(args.peers)

    def leave_out(peer, why):
        print(f"  {peer}: left out. {why}", flush=True)
        left.remove(peer)
        results.pop(peer, None)  # of earlier rounds

    for _ in range(args.builds):
        keras.backend.clear_session()
        runs = {}
        for peer in list(left):
            try:
                with common.hidden_stderr():
                    run = getattr(networks, peer)()
                    first, second = whole(run), whole(run)
                    seconds = min(run(1), run(1))
            except Missing as error:
                leave_out(peer, error)
                continue
            runs[peer] = run, max(LEAST_STEPS, round(args.seconds / seconds))
            results.setdefault(peer, {"start": max(0.0, first - second), "rounds": []})
        for turn in range(args.rounds):
            for peer in np.roll(list(runs), -turn):  # so that none always follows the same one
                run, steps = runs[peer]
                time.sleep(0.3)  # the threads of the peer before spin on for a while
                begin, busy = time.perf_counter(), time.process_time()
                try:
                    results[peer]["rounds"].append(run(steps))
                except Missing as error:
                    leave_out(peer, error)
                    del runs[peer]
                    continue
                if peer in LOOPS:
                    results[peer].setdefault("cores", []).append((time.process_time() - busy) / (time.perf_counter() - begin))
    return results


def whole(run):
    """Seconds of a call of a peer, with all that precedes its steps."""
    begin = time.perf_counter()
    run(1)
    return time.perf_counter() - begin


def table(name, report):
    """The lines of the table for one pair of networks."""
    fit = report["peers"].get("fit")
    how = f"{'XLA' if report['jit_compile'] else 'no XLA'}, {report['steps_per_execution']} steps at once in fit"
    lines = [
        f"{name}: batch {report['batch']}, {how}",
        f"  {'peer':16} {'ms a step':>10} {'lowest - highest':>20} {'/ fit':>20} {'start, s':>9} {'cores':>6}",
    ]
    for peer, result in report["peers"].items():
        milliseconds = 1e3 * np.array(result["rounds"])
        spread = f"{min(milliseconds):.1f} - {max(milliseconds):.1f}"
        ratio = ""
        if fit:  # round by round: both met the same moments of the machine
            ratios = np.divide(result["rounds"], fit["rounds"])
            ratio = f"{np.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"
        start = "" if peer == "floor" else f"{result['start']:.1f}"
        cores = f"{np.median(result['cores']):.2f}" if "cores" in result else ""
        lines.append(f"  {peer:16} {np.median(milliseconds):10.1f} {spread:>20} {ratio:>20} {start:>9} {cores:>6}")
    return "\n".join(lines)


def draw_bars(medians, path):
    """A bar chart of {networks: {peer: milliseconds}}, a panel for each of the networks."""
    figure = Figure(figsize=(4 * len(medians), 3.6), layout="constrained")
    panels = figure.subplots(1, len(medians), squeeze=False)[0]
    for axes, (name, values) in zip(panels, medians.items()):
        bars = axes.barh(list(values)[::-1], list(values.values())[::-1], color="tab:blue")
        axes.bar_label(bars, fmt=lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.3g}", padding=3)
        axes.margins(x=0.25)
        axes.set(title=name, xlabel="ms a step")
    figure.savefig(path, dpi=100)


@common.command
def main(argv=None):
    args = parse(argv)
    print("Peers, each measured once a round in turn; times are medians, ratios are to fit:")
    for peer in args.peers:
        print(f"  {peer:16} {PEERS[peer]}")
    report = {"versions": versions(), **machine(), "jit": args.jit, "networks": {}}
    for name in args.networks:
        print(f"\n{name}: preparing ...", flush=True)
        networks = Networks(name, args.jit)
        report["networks"][name] = {**networks.settings(), "peers": measure(networks, args)}
        print(table(name, report["networks"][name]), flush=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")
    if not any(part["peers"] for part in report["networks"].values()):
        raise ValueError("None of the peers can be measured; name others with --peers.")
    medians = {
        name: {peer: 1e3 * np.median(result["rounds"]) for peer, result in part["peers"].items()}
        for name, part in report["networks"].items()
        if part["peers"]
    }
    draw_bars(medians, args.out.with_suffix(".png"))
    print(f"\nResults {args.out}\nChart   {args.out.with_suffix('.png')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
