"""Several workers and replicas, 16 bits, determinism: each computes what one process in 32 bits does, or is refused."""

import asyncio
import contextlib
import functools
import json
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import SCRIPTS, child, environment, labels, sgd, tiny_gan, tiny_images

from gan_keras import data, layers, networks, recipes, regularizers, replicas, schedules, settings
from gan_keras_scripts import distribution, train_mnist


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def start_workers(number, command):
    """Processes of one cluster on loopback. `command` is a function of a worker's index."""
    hosts = [f"127.0.0.1:{port}" for port in free_ports(number)]
    processes = []
    for index in range(number):
        cluster = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                list(map(str, command(index))),
                env={**environment(), "TF_CONFIG": json.dumps(cluster)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return processes


def finish(processes, seconds=180):
    """(exit code, output) of each."""
    try:
        ends = [process.communicate(timeout=seconds)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return [(process.returncode, end) for process, end in zip(processes, ends)]


GAMES = {
    "non_saturating": {},
    "r1": {"regularizers": regularizers.R1(1.0, one_in=3)},
    "wgan_gp": {"loss": "wasserstein", "regularizers": "gradient_penalty", "schedule": schedules.Alternating(3)},
    "conditional": {"num_classes": 3},
}


def train_and_write(strategy, game, out):
    """What a process makes of a GAN: its losses, a sample and the weights, in a file."""
    with strategy.scope():
        gan = tiny_gan(keras.optimizers.SGD(0.05), keras.optimizers.SGD(0.05), ema=0.9, **GAMES[game])
    arrays = (tiny_images(144), labels(144)) if gan.conditional else (tiny_images(144),)
    gan.check_data(data.batches(*arrays, batch_size=72))
    stream = replicas.share(lambda shard: data.batches(*arrays, batch_size=72, shard=shard), strategy)
    history = gan.fit(stream, steps_per_epoch=10, epochs=2, verbose=0).history
    np.savez(out, d_loss=history["d_loss"], sample=gan.sample(3), **{str(k): w for k, w in enumerate(gan.get_weights())})


_WORKER = """
import sys
from gan_keras_scripts import common, distribution
strategy = distribution.get("multiworker")  # before anything computes
from test_scale import train_and_write
train_and_write(strategy, *sys.argv[1:])
"""


@pytest.mark.parametrize(
    "workers, game",
    [
        (2, "r1"),
        pytest.param(2, "non_saturating", marks=pytest.mark.slow),
        pytest.param(2, "wgan_gp", marks=pytest.mark.slow),
        pytest.param(2, "conditional", marks=pytest.mark.slow),
        pytest.param(3, "wgan_gp", marks=pytest.mark.slow),
    ],
)
def test_workers_together_are_one_process(workers, game, tmp_path):
    def command(index):
        return [sys.executable, "-c", _WORKER, game, tmp_path / f"{index}.npz"]

    train_and_write(distribution.get("none"), game, tmp_path / "alone.npz")
    for code, output in finish(start_workers(workers, command)):
        assert code == 0, output[-3000:]
    reference, *made = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("alone", *range(workers)))
    for other in made[1:]:
        assert all((made[0][name] == other[name]).all() for name in reference), "workers agree to the bit"
    weights = [name for name in reference if name.isdigit()]
    assert max(np.abs(made[0][name].astype("float64") - reference[name]).max() for name in weights) < 1e-6
    assert np.allclose(made[0]["d_loss"], reference["d_loss"], atol=1e-5)
    assert np.allclose(made[0]["sample"], reference["sample"], atol=1e-5)


def training(few_digits, out, *more):
    options = ["--data", few_digits, "--out", out, "--batch-size", "8", "--recipe", "tutorial_mlp", "--jit", "off"]
    options += ["--log-every", "5", "--sample-every", "20", "--checkpoint-every", "10"]
    return list(map(str, [*options, *more]))


@pytest.mark.slow
def test_a_worker_is_killed_and_all_go_on_to_the_same_bits(few_digits, tmp_path):
    script = [
        sys.executable,
        SCRIPTS / "train_mnist.py",
        "--strategy",
        "multiworker",
        "--steps",
        "300",
        "--latent-dim",
        "2",
    ]

    def start(out, *more):
        return start_workers(2, lambda index: [*script, *training(few_digits, out, *more)])

    for code, output in finish(start(tmp_path / "straight")):
        assert code == 0, output[-3000:]
    for killed in (1, 0):
        out = tmp_path / f"killed-{killed}"
        processes = start(out)
        while not list(out.glob("checkpoints/ckpt-1*0.index")):
            assert all(process.poll() is None for process in processes)
            time.sleep(0.05)
        processes[killed].kill()
        processes[killed].communicate()
        begin = time.monotonic()
        code, output = finish([processes[1 - killed]], 60)[0]
        assert code == 2 and "Another worker has stopped" in output, (code, output[-3000:])
        assert time.monotonic() - begin < 60
        for code, output in finish(start(out, "--resume")):
            assert code == 0, output[-3000:]
        weights = [keras.models.load_model(run / "model.keras").get_weights() for run in (tmp_path / "straight", out)]
        assert all(a.tobytes() == b.tobytes() for a, b in zip(*weights))
        assert {p.name for p in out.iterdir()} == {p.name for p in (tmp_path / "straight").iterdir()}


@pytest.mark.slow
def test_workers_that_would_train_different_gans_are_refused(few_digits, tmp_path):
    script = [sys.executable, SCRIPTS / "train_mnist.py", "--strategy", "multiworker", "--steps", "20"]
    for option, value in (("--seed", 1), ("--latent-dim", 5), ("--log-every", 4)):
        more = [[], [option, value]]
        ends = finish(
            start_workers(2, lambda index, more=more: [*script, *training(few_digits, tmp_path / "run", *more[index])])
        )
        assert all(code == 2 and "The workers have different settings" in output for code, output in ends), ends
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "It is not set"),
        ("{", "Received: '{'"),
        ('{"cluster": {"worker": ["a:1"]}}', "Received"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "below the number of tasks"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "chief and worker"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "0"}}', "below the number of tasks"),
        ('{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}', "lists of HOST:PORT"),
        ('{"cluster": {"worker": {"0": "a:1"}}, "task": {"type": "worker", "index": 0}}', "lists of HOST:PORT"),
        ('{"cluster": {"worker": [7]}, "task": {"type": "worker", "index": 0}}', "lists of HOST:PORT"),
        ('{"cluster": {"worker": [null]}, "task": {"type": "worker", "index": 0}}', "lists of HOST:PORT"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "lists of HOST:PORT"),
        ('{"cluster": {"worker": ["a:port"]}, "task": {"type": "worker", "index": 0}}', "a port from 1 to 65535"),
        ('{"cluster": {"worker": ["a:65536"]}, "task": {"type": "worker", "index": 0}}', "a port from 1 to 65535"),
        ('{"cluster": {"worker": ["a:0"]}, "task": {"type": "worker", "index": 0}}', "a port from 1 to 65535"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}', "address of its own"),
        ('{"cluster": 3, "task": {"type": "worker", "index": 0}}', "Received"),
        ("[" * 100_000, "Received"),
    ],
)
def test_a_wrong_cluster_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        distribution.check_cluster(text)


def meeting(*workers, wait=20):
    """The ends of workers that meet, each a pair (addresses, own address): `None`, or the error."""

    async def together():
        meetings = [distribution.meet(addresses, mine, wait) for addresses, mine in workers]
        return await asyncio.gather(*meetings, return_exceptions=True)

    return asyncio.run(together())


def test_workers_meet():
    addresses = [f"127.0.0.1:{port}" for port in free_ports(3)]
    assert meeting(*((addresses, mine) for mine in addresses)) == [None] * 3
    assert meeting((addresses[:1], addresses[0])) == [None]


def test_who_does_not_come_is_named():
    a, b, c = (f"127.0.0.1:{port}" for port in free_ports(3))
    ends = meeting(([a, b, c], a), ([a, b, c], b), wait=1)
    assert all(isinstance(end, ValueError) and f"for {c}. Start all" in str(end) for end in ends)
    # Of another cluster, at a host that does not exist, or nobody's worker.
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        silent = f"127.0.0.1:{foreign.getsockname()[1]}"
        for other in (b, "no-such-host.invalid:2222", silent):
            (end, *_) = meeting(([a, other], a), ([b, c], b), wait=1)
            assert isinstance(end, ValueError) and f"has waited 1 seconds for {other}" in str(end)


def test_nobody_goes_on_where_one_lacks_another():
    a, b, c = (f"127.0.0.1:{port}" for port in free_ports(3))

    async def say(address, line):
        reader, writer = await asyncio.open_connection(*address.split(":"))
        with contextlib.closing(writer):
            writer.write(line.encode())
            await reader.readline()

    async def answer_a_alone(reader, writer):
        cluster, address, _ = (await reader.readline()).decode().split()
        with contextlib.closing(writer):
            writer.write(f"{cluster}\n".encode() if address == a else b"")
        for other in (a, b):
            await say(other, f"{cluster} {c} here\n")

    async def together():
        async with await asyncio.start_server(answer_a_alone, *c.split(":")):
            return await asyncio.gather(*(distribution.meet([a, b, c], mine, 2) for mine in (a, b)), return_exceptions=True)

    reaches_all, lacks_one = asyncio.run(together())
    assert "for what the others wait for" in str(reaches_all) and f"for {c}" in str(lacks_one)


@pytest.mark.slow
def test_an_absent_worker_ends_the_others(few_digits, tmp_path):
    script = [sys.executable, SCRIPTS / "train_mnist.py", "--strategy", "multiworker", "--wait", "7", "--steps", "20"]
    processes = start_workers(2, lambda index: [*script, *training(few_digits, tmp_path / "run")])
    processes[1].kill()
    (code, output), _ = finish(processes, 60)
    told = output.strip().splitlines()
    assert code == 2 and len(told) == 2, output
    assert told[0].startswith("Waiting for 127.0.0.1:") and told[1].startswith("error: 127.0.0.1:")
    assert not (tmp_path / "run").exists()


def test_the_chief_is_the_first_worker():
    class Resolver:
        def __init__(self, kind, index, jobs):
            self.task_type, self.task_id, self._jobs = kind, index, jobs

        def cluster_spec(self):
            return tf.train.ClusterSpec({job: ["a:1", "b:1"] for job in self._jobs})

    class Strategy:
        def __init__(self, *task):
            self.cluster_resolver = Resolver(*task)

    assert replicas.is_chief()
    assert replicas.is_chief(Strategy("worker", 0, ["worker"])) and not replicas.is_chief(Strategy("worker", 1, ["worker"]))
    assert replicas.is_chief(Strategy("chief", 0, ["chief", "worker"]))
    assert not replicas.is_chief(Strategy("worker", 0, ["chief", "worker"]))


# 16 bits.


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    "name",
    ["default", "sngan", "cgan", "ring", "r3gan", "infogan", "acgan", "semi_supervised", "few", "vae", "stacked_mnist_full"],
)
def test_recipes_compute_in_16_bits_and_put_out_32(name, policy):
    with networks.precision(policy):
        gan = recipes.get(name).build()
    assert keras.config.dtype_policy().name == "float32"
    judge = gan.encoder if name == "vae" else gan.discriminator
    for player in (gan.generator, judge):
        made = player.output if isinstance(player.output, dict) else {"score": player.output}
        # Features are a hidden layer's; what reads them casts them.
        assert all(output.dtype == "float32" for name, output in made.items() if name != "features")
        weighted = [layer for layer in layers.inside(player) if layer.weights and layer is not player]
        assert any(layer.compute_dtype != "float32" for layer in weighted)
    assert {str(weight.dtype) for weight in gan.weights} <= {"float32", "int64", "uint32"}
    for optimizer, _ in gan.optimizers.values():
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")


@functools.cache
def one_step(policy, terms, size):
    """How far a step moves the trainable weights of the discriminator, and of the generator."""
    with networks.precision(policy):
        gan = tiny_gan(sgd(0.1, policy), sgd(0.1, policy), regularizers=terms)

    def weights():
        players = (gan.discriminator, gan.generator)
        return [np.concatenate([w.numpy().ravel() for w in player.trainable_weights]) for player in players]

    before = weights()
    gan.fit(tiny_images(size), batch_size=size, verbose=0, shuffle=False)
    return [(a - b).astype("float64") for a, b in zip(weights(), before)]


@pytest.mark.parametrize("terms", [(), "r1", "gradient_penalty"])
@pytest.mark.parametrize(
    "policy, size, bound",
    [
        ("mixed_float16", 32, 0.005),
        # Without instructions for bfloat16 TensorFlow sums products in 16 bits, and the error grows with the batch.
        ("mixed_bfloat16", 4, 0.03),
        pytest.param(
            *("mixed_bfloat16", 32, 0.03),
            marks=pytest.mark.skipif(not settings.multiplies_bfloat16(), reason="needs instructions for bfloat16"),
        ),
    ],
)
def test_a_step_in_16_bits_is_nearly_the_step_in_32(policy, size, bound, terms):
    for exact, rounded in zip(one_step("float32", terms, size), one_step(policy, terms, size)):
        assert np.linalg.norm(exact) > 0.01 and np.linalg.norm(rounded - exact) < bound * np.linalg.norm(exact)


def test_a_scaled_optimizer_is_not_scaled_again(tmp_path):
    with networks.precision("mixed_float16"):
        gan = tiny_gan(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()), "adam")
    assert isinstance(gan.d_optimizer.inner_optimizer, keras.optimizers.Adam)
    gan.fit(tiny_images(), batch_size=8, verbose=0)
    gan.save(tmp_path / "gan.keras")
    again = keras.models.load_model(tmp_path / "gan.keras")
    assert isinstance(again.d_optimizer.inner_optimizer, keras.optimizers.Adam)
    for model in (gan, again):
        model.fit(tiny_images(), batch_size=8, shuffle=False, verbose=0)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(gan.get_weights(), again.get_weights()))


@pytest.mark.slow
def test_a_step_that_overflows_on_one_replica_is_skipped_on_all():
    printed = child(
        """
        import tensorflow as tf
        from gan_keras import networks
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        images = tiny_images(16)
        spoilt = images.copy()
        spoilt[12] = np.nan  # in the second replica's half

        def train(*batches):
            scaled = lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=128.0)
            with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope(), networks.precision("mixed_float16"):
                gan = tiny_gan(scaled(), scaled())
            before = gan.discriminator.get_weights()
            gan.fit(tf.data.Dataset.from_tensor_slices(np.stack(batches)), verbose=0)
            return before, gan.discriminator.get_weights(), float(gan.d_optimizer.dynamic_scale.numpy())

        before, once, scale = train(images)
        _, skipped, halved = train(images, spoilt)  # `fit` looks at the first batch alone
        same = [all((a == b).all() for a, b in zip(once, weights)) for weights in (before, skipped)]
        print(*same, scale, halved)
        """
    )
    assert printed.split()[-4:] == ["False", "True", "128.0", "64.0"]


# Every combination works, or is refused with a reason.


_CELLS = """
import importlib.util, itertools, sys
from gan_keras_scripts import common
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
name, precision, out = sys.argv[1:]
if name == "mirrored":
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from gan_keras_scripts import distribution
strategy = distribution.get(name)
from helpers import *
from gan_keras import callbacks, networks, settings

images = tiny_images(96)

def build(jit, steps):
    with strategy.scope(), networks.precision(settings.POLICIES[precision]):
        return tiny_gan(loss="wasserstein", regularizers="gradient_penalty", schedule="alternating", ema=0.9,
                        jit_compile=jit, steps_per_execution=steps)

def train(gan, steps, checkpoint):
    start = int(gan.step.numpy())
    stream = gan_keras.replicas.share(lambda shard: gan_keras.data.batches(images, batch_size=12, start=start, shard=shard), strategy)
    board = [callbacks.TensorBoard(f"{out}/board", every=2)] if importlib.util.find_spec("tensorboard") else []
    gan.fit(stream, steps_per_epoch=steps, verbose=0, callbacks=[callbacks.NonFiniteGuard(), *board, checkpoint])

for jit, steps in itertools.product((False, True), (1, 3)):
    try:
        whole = build(jit, steps)
    except ValueError as error:
        print("refused", jit, steps, str(error).replace(chr(10), " "))
        continue
    folder = f"{out}/{jit}-{steps}"
    train(whole, 6, callbacks.Checkpoint(f"{folder}/whole", every=3))
    first = build(jit, steps)
    train(first, 3, callbacks.Checkpoint(f"{folder}/parts", every=3))
    distribution.check_same(strategy, {})  # waits for the chief
    second = build(jit, steps)
    checkpoint = callbacks.Checkpoint(f"{folder}/parts", every=3)
    assert checkpoint.restore(second) == 3
    train(second, 3, checkpoint)
    assert_same_bits(state(whole), state(second))
    print("works", jit, steps)
"""


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("strategy", distribution.STRATEGIES)
def test_every_cell_works_or_is_refused(strategy, precision, tmp_path):
    workers = 2 if strategy == "multiworker" else 1
    command = [sys.executable, "-c", _CELLS, strategy, precision, tmp_path]
    for code, output in finish(start_workers(workers, lambda index: command), 500):
        assert code == 0, output[-3000:]
        told = [line for line in output.splitlines() if line.startswith(("works", "refused"))]
        assert [line.split()[1:3] for line in told] == [["False", "1"], ["False", "3"], ["True", "1"], ["True", "3"]]
        reasons = [line.split(maxsplit=3)[3] for line in told if line.startswith("refused")]
        expected = [] if strategy == "none" else ["steps_per_execution=3", "jit_compile=True", "jit_compile=True"]
        assert len(reasons) == len(expected) and all(part in reason for part, reason in zip(expected, reasons))


def test_options_that_contradict_each_other_are_refused(few_digits, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for more, message in [
        (["--jit", "on", "--strategy", "mirrored"], "XLA cannot reach"),
        (["--strategy", "multiworker"], "TF_CONFIG"),
        (["--strategy", "multiworker", "--minutes", "1"], "use --steps"),
    ]:
        arguments = ["--recipe", "tutorial_mlp", "--data", str(few_digits), "--out", str(tmp_path / "run"), *more]
        assert train_mnist.main(arguments) == 2
        assert message in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_same_seed_and_threads_are_the_same_bits(few_digits, tmp_path):
    for more in ([], ["--deterministic"]):
        weights = []
        for run in "ab":
            out = tmp_path / "-".join([run, *more])
            command = [sys.executable, SCRIPTS / "train_mnist.py", *training(few_digits, out, "--steps", 20, *more)]
            subprocess.run(list(map(str, command)), check=True, env=environment(), capture_output=True)
            weights.append(keras.models.load_model(out / "model.keras").get_weights())
        assert all(a.tobytes() == b.tobytes() for a, b in zip(*weights))


@pytest.mark.parametrize("options", [["--mixed-precision", "bfloat16"], ["--mixed-precision", "float16"]])
def test_a_run_in_16_bits_goes_on_in_them(options, few_digits, tmp_path, capsys):
    arguments = training(few_digits, tmp_path / "run")
    assert train_mnist.main([*arguments, "--steps", "2", *options]) == 0
    assert f"mixed {options[1]}" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "config.json").read_text())["precision"] == options[1]
    assert train_mnist.main(["--out", str(tmp_path / "run"), "--resume", "--steps", "4"]) == 0
    gan = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert int(gan.step.numpy()) == 4 and gan.generator.layers[1].compute_dtype == options[1]
    other = "float16" if options[1] == "bfloat16" else "bfloat16"
    assert train_mnist.main(["--out", str(tmp_path / "run"), "--resume", "--mixed-precision", other]) == 2
    assert "holds a run with precision" in capsys.readouterr().err
