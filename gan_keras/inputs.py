"""The data that `fit` is given: looked at, taken apart, refused with a message that says how to put it right.

Every source follows one rule: its first batch is looked at before anything happens.
"""

import itertools
import types

import keras
import numpy as np
import tensorflow as tf

from gan_keras.checks import check_labels
from gan_keras.sizes import is_array


def first_batch(x, y=None):
    """(the first batch of a source of data, or all of an array; the source as Keras is to be given it).

    A Python generator is used up by looking at it, and is put together again.
    """
    if isinstance(x, (list, tuple, dict)):
        raise ValueError(
            f"Images must be one array or a data set. Received: x of type {type(x).__name__}; pass the array of images that a dict "
            "holds, and of a list np.stack(x)."
        )
    if is_array(x):
        return (x if y is None else (x, y)), x
    if isinstance(x, keras.utils.PyDataset):
        return x[0], x
    if not hasattr(x, "__iter__"):
        raise ValueError(
            "Images must be one array or a data set: a tf.data.Dataset, a keras.utils.PyDataset, a Python generator or a DataLoader. "
            f"Received: x of type {type(x).__name__}."
        )
    first = list(itertools.islice(x.take(1) if isinstance(x, tf.data.Dataset) else x, 1))
    if not first:
        raise ValueError("The data set is empty: it yielded no batch. With drop_remainder, it needs at least one whole batch.")
    if isinstance(x, types.GeneratorType):
        # Keras takes tuples alone from a generator.
        x = ((batch,) if is_array(batch) else batch for batch in itertools.chain(first, x))
    return first[0], x


def check_end(x, length, name):
    """Raise ValueError for a `tf.data.Dataset` without an end, unless it is told by the argument `name` how much of it is used."""
    if length is None and isinstance(x, tf.data.Dataset) and x.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            f"The data set has no end; neither has that of gan_keras.data.batches. Pass {name}, such as {name}=500."
        )


def unpack(data, expected, num_classes=None, value_range=None):
    """(images of the shape `expected`, labels or `None`) of a batch as Keras delivers it; refuses what shapes and types show."""
    images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError("The model takes images, or (images, labels). Received a third part (sample weights); leave it out.")
    for name, part in (("images", images), ("labels", labels)):
        if part is not None and not is_array(part):
            raise ValueError(
                f"A batch must be images, or (images, labels), each one array. Received: {name} of type {type(part).__name__}."
            )
    if tuple(images.shape[1:]) != expected:
        raise ValueError(
            f"The model takes images of shape (batch, {', '.join(map(str, expected))}). Received: shape "
            f"{tuple(images.shape)}. Reshape or resize them; grey images need a last axis of 1."
        )
    if not tf.as_dtype(images.dtype).is_floating:
        raise ValueError(
            f"Images must be floats{_in_range(value_range)}. Received: {tf.as_dtype(images.dtype).name}. "
            "gan_keras.data.batches converts uint8."
        )
    if num_classes is None:
        return images, None
    if labels is None:
        raise ValueError(
            "A model with num_classes needs labels: fit(images, labels), or a data set of (images, labels). Received images alone. In a "
            "folder of images, each class needs a subfolder."
        )
    if len(labels.shape) == 2 and labels.shape[-1] == 1:
        labels = labels[:, 0]
    if len(labels.shape) != 1:
        raise ValueError(
            f"Labels must be integers of shape (batch,). Received: shape {tuple(labels.shape)}; one-hot labels become integers by "
            "np.argmax(labels, axis=-1)."
        )
    return images, labels


def check_values(images, labels, num_classes=None, value_range=None, unlabelled=False):
    """Raise ValueError if the values of a batch, NumPy arrays, are not what a GAN can train on.

    For a range that begins below 0, a batch without a negative value is refused too: it is probably scaled to [0, 1].
    """
    if not len(images):
        raise ValueError("The data set is empty: x has no images.")
    if num_classes is not None and len(labels) != len(images):
        raise ValueError(f"There must be one label for each image. Received: {len(images)} images, {len(labels)} labels.")
    if not np.isfinite(images).all():
        raise ValueError("The images contain NaN or infinite pixels. Clean the data first.")
    low, high = images.min(), images.max()
    bottom, top = value_range or (-np.inf, np.inf)
    if low >= 0 > bottom > -np.inf and high <= top + 1e-3:
        raise ValueError(
            f"The generator makes images{_in_range(value_range)}, but the data have no negative value in the first batch. Received: "
            f"values from {low:g} to {high:g}. {_rescaling(low, high, bottom, top)}"
        )
    if low < bottom - 1e-3 or high > top + 1e-3:
        raise ValueError(
            f"The generator makes images{_in_range(value_range)}, and the data must be in that range too. Received: values from "
            f"{low:g} to {high:g}. {_rescaling(low, high, bottom, top)}"
        )
    if num_classes is not None:
        check_labels(labels, num_classes, unlabelled)


def _rescaling(low, high, bottom, top):
    """How to bring values from `low` to `high` into [bottom, top], if their range is a usual one."""
    usual = [(a, b) for a, b in ((0, 1), (-1, 1), (0, 255)) if a <= low and b / 2 < high <= b and (a, b) != (bottom, top)]
    if not usual or not np.isfinite(top - bottom):
        return "Rescale or clip them."
    first, last = usual[0]
    scale = (top - bottom) / (last - first)
    moved = bottom - scale * first
    factor = f"* {scale:g}" if scale >= 1 else f"/ {1 / scale:g}"
    shift = f" {'+' if moved > 0 else '-'} {abs(moved):g}" if moved else ""
    bytes_too = "; gan_keras.data.batches does it for images of type uint8" if last == 255 else ""
    return f"Rescale them from [{first}, {last}]: images {factor}{shift}{bytes_too}."


def scaled(images, value_range):
    """Images as float32 in `value_range`: bytes from 0 to 255 are scaled to it, floats are in it already."""
    if images.dtype == np.uint8:
        low, high = value_range
        images = low + (high - low) / 255.0 * images
    return images.astype("float32")


def _in_range(value_range):
    return "" if value_range is None else " in [{:g}, {:g}]".format(*value_range)
