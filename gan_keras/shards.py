"""Millions of samples as a folder of files, which is read as a stream."""

import itertools
import pathlib
import re

import numpy as np
import tensorflow as tf

from gan_keras import files, plots
from gan_keras.generative import BLOCK
from gan_keras.identifiers import unknown

FORMATS = ("npz", "tfrecord")


def write(gan, folder, num, seed=0, label=None, format="npz", size=40 * BLOCK, report=None, **parts):
    """Write `num` samples of a GAN of images to files of `size` in `folder`, which appears when it is complete.

    The files have the same bytes as `gan.sample(num, seed, label, **parts)`.

    Args:
        gan: `GAN` of images in a known range.
        folder: A path that does not exist.
        num, seed: Number of samples, and their seed.
        label: One integer for all samples of a conditional GAN; `None`: 0, 1, 2, ... in turn.
        format: "npz" (`images` uint8 (n, height, width, channels) and, if conditional, `labels` int32) or "tfrecord" (one
            `tf.train.Example` for each sample: `image`, a PNG file; `label`; and `number`, the number of samples in the file,
            since TensorFlow does not detect a file that was cut between two records).
        size: Samples in a file, a multiple of 256; the last file has the rest.
        report: Function of (files done, files in all), called after each file.
        parts: Parts of the latents by name, as in `gan.sample`.

    Raises:
        ValueError: The folder exists; the size is not a multiple of 256; an unknown format; the GAN does not generate images, or
            their range is unknown; the errors of `gan.sample`.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if size < BLOCK or size % BLOCK:
        raise ValueError(f"size, the samples in a file, must be a multiple of {BLOCK}. Received: size={size}")
    if gan.value_range is None or not gan.makes_images:
        raise ValueError("Only images in a known range are written as files: the generator must end in tanh or sigmoid.")
    folder = pathlib.Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} exists. Choose another folder.")
    blocks = gan.sample_batches(num, seed, label, **parts)
    names = _names(-(-num // size), format)
    with files.replacing(folder) as unfinished:
        unfinished.mkdir(parents=True)
        for done, name in enumerate(names, 1):
            images, labels = zip(*itertools.islice(blocks, size // BLOCK))
            images = plots.to_uint8(np.concatenate(images), gan.value_range)
            _WRITERS[format](unfinished / name, images, np.concatenate(labels) if gan.conditional else None)
            if report:
                report(done, len(names))


def read(folder):
    """An iterator over the samples of `write`, as (uint8 images, int32 labels or `None`) of one file at a time.

    Raises:
        ValueError: There are no files, or some are missing; while it iterates, a file is damaged.
    """
    folder = pathlib.Path(folder)
    found = [re.fullmatch(r"samples-\d+-of-(\d{5,7})\.(npz|tfrecord)", path.name) for path in folder.glob("samples-*")]
    if not any(found):
        raise ValueError(f"{folder} holds no samples. Write some with gan_keras.shards.write, or `gan-keras sample --shards`.")
    number, format = next(filter(None, found)).groups()
    names = _names(int(number), format)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder} is incomplete: {len(missing)} of {len(names)} files are missing, {missing[0]} first. Write the samples "
            "into another folder."
        )
    return (_read(folder / name, format) for name in names)


def _names(number, format):
    return [f"samples-{k:05d}-of-{number:05d}.{format}" for k in range(number)]


def _read(path, format):
    with files.reading(f"{path} is damaged", "Write the samples into another folder."):
        return _READERS[format](path)


def _write_npz(path, images, labels):
    np.savez_compressed(path, images=images, **({} if labels is None else {"labels": labels}))


def _read_npz(path):
    arrays = files.read_npz(path, ["images"], optional=["labels"])
    return arrays["images"], arrays.get("labels")


def _write_tfrecord(path, images, labels):
    def integer(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    with tf.io.TFRecordWriter(str(path)) as file:
        for k, image in enumerate(images):
            png = tf.train.Feature(bytes_list=tf.train.BytesList(value=[tf.io.encode_png(image).numpy()]))
            features = {"image": png, "number": integer(len(images))}
            if labels is not None:
                features["label"] = integer(labels[k])
            file.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def _read_tfrecord(path):
    images, labels, number = [], [], 1
    for record in tf.data.TFRecordDataset(str(path)):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        images.append(tf.io.decode_png(features["image"].bytes_list.value[0]).numpy())
        labels.extend(features["label"].int64_list.value)
        number = next(iter(features["number"].int64_list.value), None)  # earlier versions wrote none
    if number not in (None, len(images)):
        raise ValueError(f"it holds {len(images)} samples instead of {number}")
    return np.stack(images), np.array(labels, "int32") if labels else None


_WRITERS = {"npz": _write_npz, "tfrecord": _write_tfrecord}
_READERS = {"npz": _read_npz, "tfrecord": _read_tfrecord}
