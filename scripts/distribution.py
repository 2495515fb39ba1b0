"""Training on several devices or machines: what --strategy of train_mnist.py means."""

import asyncio
import collections
import contextlib
import hashlib
import json
import os
import re
import sys

import tensorflow as tf

STRATEGIES = ("none", "mirrored", "multiworker")

# What TensorFlow raises on the workers that are left when one has gone.
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


def get(name, wait=300):
    """The `tf.distribute.Strategy` of a name. Call it before TensorFlow has computed anything.

    Workers wait `wait` seconds for each other.
    """
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multiworker":
        asyncio.run(meet(*check_cluster(os.environ.get("TF_CONFIG")), wait))
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def check_cluster(text):
    """The addresses of all workers in TF_CONFIG, and the one of this process.

    Raises:
        ValueError: TF_CONFIG does not name the workers, or not which of them this process is.
    """
    example = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
    wanted = f"--strategy multiworker reads the environment variable TF_CONFIG, such as '{example}'."
    if not text:
        raise ValueError(f"{wanted} It is not set.")
    try:
        config = json.loads(text)
        jobs, kind, index = config["cluster"], config["task"]["type"], config["task"]["index"]
        addresses = [address for job in jobs.values() for address in job]
        size = len(jobs[kind])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{wanted} Received: {text!r}") from error
    if set(jobs) - {"chief", "worker"} or type(index) is not int or not 0 <= index < size:
        raise ValueError(f"{wanted} Jobs are chief and worker, and the index is below the number of tasks. Received: {text!r}")
    if not all(isinstance(job, list) for job in jobs.values()) or not all(map(is_address, addresses)):
        raise ValueError(f"{wanted} Jobs are lists of HOST:PORT, a port from 1 to 65535. Received: {text!r}")
    if len(set(addresses)) < len(addresses):
        raise ValueError(f"{wanted} Every worker has an address of its own. Received: {text!r}")
    return addresses, jobs[kind][index]


def is_address(text):
    match = isinstance(text, str) and re.fullmatch(r"[^\s/]+:([0-9]{1,5})", text)
    return bool(match) and 1 <= int(match[1]) <= 65535


async def meet(addresses, mine, wait):
    """Return when every worker has reached every other one; say who is waited for.

    TensorFlow waits for an absent worker in silence, and meanwhile neither threads nor signals reach Python. So workers meet
    first, at the addresses that TensorFlow is to use: each calls all others until they answer, "here" at first; then, when it
    has reached all and been called by all, "ready". Who has heard "ready" from all knows that nobody lacks anybody.

    Raises:
        ValueError: After `wait` seconds somebody is missing.
        OSError: This worker's port is taken.
    """
    others = [address for address in addresses if address != mine]
    answered, called = collections.defaultdict(set), collections.defaultdict(set)
    cluster = hashlib.sha256(json.dumps(addresses).encode()).hexdigest()

    async def answer(reader, writer):
        with contextlib.closing(writer), contextlib.suppress(OSError, ValueError):
            theirs, address, word = (await reader.readline()).decode().split()
            if theirs == cluster:
                writer.write(f"{cluster}\n".encode())
                await writer.drain()
                called[word].add(address)

    async def call(address, word):
        host, _, port = address.rpartition(":")
        while address not in answered[word]:
            with contextlib.suppress(OSError, TimeoutError, ValueError):
                async with asyncio.timeout(5):
                    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
                    with contextlib.closing(writer):
                        writer.write(f"{cluster} {mine} {word}\n".encode())
                        if (await reader.readline()).decode().strip() == cluster:
                            answered[word].add(address)
            await asyncio.sleep(0.2)

    async def everyone():
        for word in ("here", "ready"):
            await asyncio.gather(*(call(address, word) for address in others))
            while not called[word].issuperset(others):
                await asyncio.sleep(0.05)

    def missing():
        return ", ".join(a for a in others if a not in answered["here"] & called["here"]) or "what the others wait for"

    async def report():
        await asyncio.sleep(5)
        while True:
            print(f"Waiting for {missing()}", file=sys.stderr, flush=True)
            await asyncio.sleep(30)

    async with await asyncio.start_server(answer, None, int(mine.rpartition(":")[2])):
        reports = asyncio.create_task(report())
        try:
            await asyncio.wait_for(everyone(), wait)
        except TimeoutError as error:
            raise ValueError(
                f"{mine} has waited {wait:g} seconds for {missing()}. Start all workers within --wait seconds, with one list of "
                "addresses in TF_CONFIG, which all of them reach."
            ) from error
        finally:
            reports.cancel()


def check_same(strategy, settings):
    """Raise ValueError unless all workers have the same settings: they would train different GANs."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).digest()
    mine = tf.constant([int.from_bytes(digest[:7], "big")], tf.int64)
    everyone = strategy.gather(strategy.run(lambda: tf.identity(mine)), axis=0).numpy()
    if len(set(everyone)) > 1:
        raise ValueError(
            f"The workers have different settings. This one has {settings}. Start all of them with the same options, all or none "
            "with --resume, on one run folder that all of them see."
        )


@contextlib.contextmanager
def lost_workers_told(name):
    """Say what to do when another worker has ended."""
    try:
        yield
    except LOST as error:
        if name != "multiworker":
            raise
        raise ValueError(
            "Another worker has stopped, and training cannot continue without it. Look at its messages, then start all workers again; "
            f"with --resume they begin at the newest checkpoint. ({type(error).__name__}: {error.message.splitlines()[0]})"
        ) from error
