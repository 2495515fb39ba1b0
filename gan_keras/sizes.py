"""Can a batch be cut into the parts that a step needs? Asked beforehand where sizes are known, and else in the step."""

import contextlib
import re

import keras
import tensorflow as tf


def batch_sizes(x, first, batch_size=None, validation_split=0.0):
    """The sizes of the batches that a source delivers, as far as they can be told; `None` stands for any."""
    if is_array(x):
        n, batch_size = int(len(x) * (1 - validation_split)), batch_size or 32
        return {min(batch_size, n), n % batch_size or batch_size}
    if isinstance(x, tf.data.Dataset):
        return {keras.tree.flatten(x.element_spec)[0].shape[0]}
    if isinstance(x, keras.utils.PyDataset) and x.num_batches:
        return {len(keras.tree.flatten(batch)[0]) for batch in (first, x[x.num_batches - 1])}
    return {len(keras.tree.flatten(first)[0]), None}


def check_sizes(sizes, parts, replicas):
    """Raise ValueError if a batch size is no multiple of `parts`."""
    for size in sizes:
        if size is None or size % parts:
            what = "Batches whose size is not known beforehand" if size is None else f"A batch of {size}"
            raise ValueError(
                f"{what} cannot be split into {parts} equal parts: the minibatches of a step, on {replicas} device(s). Use a "
                f"batch size that is a multiple of {parts}, and drop_remainder=True so that the last batch has it too. Python "
                "generators and DataLoaders do not tell their sizes: without XLA (jit_compile=False) and on one device they need not."
            )


_UNEVEN = "The batch must be divisible by"


def divisible(images, number=1, what="the number of minibatches in a step", advice=""):
    """`images`, if equal parts can be made of them, `number` parts or parts of that size: known at once, or when the step runs.

    Neither the mean of an empty minibatch (NaN) nor that of an uneven one is what a step is to train on.
    """
    rule = f"{_UNEVEN} {what}, {number}, and not empty."
    size = images.shape[0]
    if size is None:
        size = tf.shape(images)[0]
        fits = tf.logical_and(size > 0, size % number == 0)
        with tf.control_dependencies([tf.debugging.Assert(fits, [rule, size])]):
            return tf.identity(images)
    if size == 0 or size % number:
        raise ValueError(f"{rule} Received: a batch of {size}. {advice}".rstrip())
    return images


@contextlib.contextmanager
def readable_errors():
    """What `divisible` finds in a running step, as the ValueError that it would have been before."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        failed = re.search(rf"assertion failed: \[({_UNEVEN}.*?)\] \[(\d+)\]", error.message)
        if not failed:
            raise
        raise ValueError(
            f"{failed[1]} Received: a batch of {failed[2]}. Leave out a last batch that is smaller, or change the batch size."
        ) from error


def is_array(x):
    """Whether `x` is one array, of whatever library."""
    return hasattr(x, "shape") and hasattr(x, "dtype")
