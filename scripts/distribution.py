"""Training on several devices or machines: what --strategy of train_mnist.py means."""

import contextlib
import hashlib
import json
import os

import tensorflow as tf

STRATEGIES = ("none", "mirrored", "multiworker")

# What TensorFlow raises on the workers that are left when one has gone.
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


def get(name):
    """The `tf.distribute.Strategy` of a name. Call it before TensorFlow has computed anything."""
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multiworker":
        check_cluster(os.environ.get("TF_CONFIG"))
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def check_cluster(text):
    """Raise ValueError unless TF_CONFIG names the workers and which of them this process is."""
    example = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
    wanted = f"--strategy multiworker reads the environment variable TF_CONFIG, such as '{example}'."
    if not text:
        raise ValueError(f"{wanted} It is not set.")
    try:
        config = json.loads(text)
        jobs, kind, index = config["cluster"], config["task"]["type"], config["task"]["index"]
        size = len(jobs[kind])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{wanted} Received: {text!r}") from error
    if (
        set(jobs) - {"chief", "worker"}
        or isinstance(index, bool)
        or not isinstance(index, int)
        or not 0 <= index < size
    ):
        raise ValueError(
            f"{wanted} Jobs are chief and worker, and an index lies below their number. Received: {text!r}"
        )


def check_same(strategy, settings):
    """Raise ValueError unless all workers have the same settings: they would train different GANs."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).digest()
    mine = tf.constant([int.from_bytes(digest[:7], "big")], tf.int64)
    everyone = strategy.gather(strategy.run(lambda: tf.identity(mine)), axis=0).numpy()
    if len(set(everyone)) > 1:
        raise ValueError(
            f"The workers do not agree. This one has {settings}. Start all of them with the same options, all or none with --resume, "
            "on one run folder that all of them see."
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
            "Another worker has stopped, and training cannot go on without it. Look at its messages, then start all workers again; "
            f"with --resume they begin at the newest checkpoint. ({type(error).__name__}: {error.message.splitlines()[0]})"
        ) from error
