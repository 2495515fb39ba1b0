"""Training on several devices or machines: what --strategy of train_mnist.py means."""

import contextlib
import hashlib
import json
import os

import tensorflow as tf

STRATEGIES = ("none", "mirrored", "multiworker")


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


def share(strategy, stream, shard_of):
    """The stream as `fit` takes it: each worker reads its part of every batch.

    Args:
        strategy: From `get`.
        stream: The stream of whole batches.
        shard_of: Function of (index, number) that returns a worker's part of it, as `gan_keras.data.batches` makes it.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return stream

    def part(context):
        workers = context.num_input_pipelines
        local = shard_of((context.input_pipeline_id, workers))
        replicas = context.num_replicas_in_sync // workers
        size = tf.nest.flatten(local.element_spec)[0].shape[0]
        return local.rebatch(size // replicas, drop_remainder=True) if replicas > 1 else local

    return strategy.distribute_datasets_from_function(part)


def check_same(strategy, start, settings):
    """Raise ValueError unless all workers begin at the same step with the same settings: they would train different GANs."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).digest()
    mine = tf.constant([[start, int.from_bytes(digest[:7], "big")]], tf.int64)
    everyone = strategy.gather(strategy.run(lambda: tf.identity(mine)), axis=0).numpy()
    if len(set(everyone[:, 0])) > 1:
        raise ValueError(
            f"The workers would begin at different steps: {everyone[:, 0].tolist()}. All of them must see the same run folder, and "
            "all or none must be given --resume."
        )
    if len(set(everyone[:, 1])) > 1:
        raise ValueError(
            f"The workers were started with different options; these are the chief's or this one's: {settings}."
        )


@contextlib.contextmanager
def lost_workers_told(name):
    """Say what to do when another worker has ended."""
    try:
        yield
    except tf.errors.OpError as error:
        if name != "multiworker":
            raise
        raise ValueError(
            f"Another worker has stopped ({type(error).__name__}), and training cannot go on without it. Start all workers again "
            "with --resume: they begin at the newest checkpoint."
        ) from error
