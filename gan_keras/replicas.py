"""Several devices or machines, and mixed precision: all code for `tf.distribute` and loss scaling.

Two replicas give the same result as one device: losses are divided by their number, random numbers are drawn for all of them, and
they agree on whether a step that overflowed is skipped.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from gan_keras.inside import inside


def number(strategy=None):
    """The number of replicas."""
    return (strategy or tf.distribute.get_strategy()).num_replicas_in_sync


def distributed():
    """Whether a strategy is in scope."""
    return tf.distribute.has_strategy()


def is_distributed(data):
    """Whether a data set was made by `share` for several workers."""
    return isinstance(data, tf.distribute.DistributedDataset)


def is_chief(strategy=None):
    """Whether this process writes files: it is the only one, or the first of several workers.

    Args:
        strategy: `tf.distribute.Strategy`; by default the one in scope.
    """
    resolver = (strategy or tf.distribute.get_strategy()).cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (chief, 0)


def check_execution(jit_compile, steps_per_execution):
    """Raise ValueError if the strategy in scope does not support these arguments of `compile`."""
    if jit_compile is True and distributed():
        raise ValueError(
            "Under a strategy XLA cannot reach the weights of other devices. Received: jit_compile=True; use False or 'auto'."
        )
    if steps_per_execution > 1 and number() > 1:
        raise ValueError(
            "Keras cannot run several steps at once on several replicas (TensorFlow loses a placeholder of its loop). Received: "
            f"steps_per_execution={steps_per_execution}; leave it out."
        )


# Inside a step. Layers are also built under a strategy but outside of its replicas, where there is no replica context.


def part(draw, shape, seed):
    """This replica's part of a draw for all replicas; `shape` is that of the part."""
    if number() == 1:
        return draw(shape, seed)
    rows, *rest = shape
    everyone = draw((number() * rows, *rest), seed)
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return everyone[replica * rows : (replica + 1) * rows]


def mean(tensors):
    """The means of tensors over all replicas."""
    replica = tf.distribute.get_replica_context()
    return tensors if replica is None else replica.all_reduce("mean", tensors)


def gathered(tensor):
    """The rows of a tensor of all replicas, in order."""
    replica = tf.distribute.get_replica_context()
    return tensor if replica is None else replica.all_gather(tensor, axis=0)


def scaled(optimizer, loss):
    """The loss to differentiate, divided by the number of replicas: optimizers sum gradients, but the loss is a mean."""
    return optimizer.scale_loss(loss / number())


def agreed(optimizer, gradients):
    """Gradients that overflow on one replica, as NaN on all: a LossScaleOptimizer checks only its own to skip a step."""
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or number() == 1:
        return gradients
    broken = [tf.logical_not(tf.reduce_all(tf.math.is_finite(g))) for g in gradients if g is not None]
    replicas = tf.distribute.get_replica_context().all_reduce("SUM", tf.cast(tf.reduce_any(broken), tf.float32))
    return [None if g is None else tf.where(replicas > 0.0, tf.cast(np.nan, g.dtype), g) for g in gradients]


def reported(logs):
    """The logs of a step with a first axis, over which Keras takes the mean of workers (keras-team/keras#20585)."""
    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and strategy.cluster_resolver.task_type:
        return {name: tf.reshape(value, (1,)) for name, value in logs.items()}
    return logs


# Outside of a step.


def loss_scaled(optimizer, *networks):
    """The optimizer, in a `LossScaleOptimizer` if the networks compute in float16, so that small gradients do not vanish."""
    half = any(layer.compute_dtype == "float16" for network in networks for layer in inside(network))
    if half and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def share(stream_of, strategy=None):
    """A stream for `fit` under a strategy, of which each worker reads its part of every batch.

    Args:
        stream_of: Function of a shard, (index, number), such as `lambda shard: batches(images, batch_size=128, shard=shard)`.
        strategy: `tf.distribute.Strategy`; by default the one in scope.

    Returns:
        With `MultiWorkerMirroredStrategy`, a distributed data set with one global batch for each step, for
        `GenerativeModel.unpack`; otherwise `stream_of((0, 1))`, which Keras itself splits over replicas.
    """
    strategy = strategy or tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return stream_of((0, 1))

    def of_worker(context):
        workers = context.num_input_pipelines
        stream = stream_of((context.input_pipeline_id, workers))
        replicas = context.num_replicas_in_sync // workers
        size = tf.nest.flatten(stream.element_spec)[0].shape[0]
        if replicas > 1:  # each element goes to one replica
            stream = stream.rebatch(size // replicas, drop_remainder=True)
        if isinstance(stream.element_spec, tuple):
            stream = stream.map(_packed)
        # Known to be infinite, so workers need not agree at every step on whether there is another batch.
        return stream.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    return strategy.distribute_datasets_from_function(of_worker)


def _packed(images, labels):
    """Images and labels in one tensor, (batch, 1, values + 1): `fit` on several workers fails on a tuple."""
    rows = tf.reshape(tf.cast(images, tf.float32), (images.shape[0] or -1, 1, math.prod(images.shape[1:])))
    return tf.concat([rows, tf.reshape(tf.cast(labels, tf.float32), (-1, 1, 1))], axis=-1)


def unpacked(data, shape):
    """(images of `shape`, labels) of a batch that `share` packed; other batches are returned unchanged."""
    values = math.prod(shape)
    if not tf.is_tensor(data) or tuple(data.shape[1:]) != (1, values + 1):
        return data
    images, labels = tf.split(data, [values, 1], axis=-1)
    return tf.reshape(images, (data.shape[0] or -1, *shape)), tf.cast(tf.reshape(labels, (-1,)), tf.int32)
