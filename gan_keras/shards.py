"""Samples by the million: a folder of files, made in one sitting or several, and read back as a stream."""

import hashlib
import json
import pathlib

import numpy as np
import tensorflow as tf

from gan_keras import files, plots
from gan_keras.generative import BLOCK
from gan_keras.identifiers import unknown

FORMATS = ("npz", "tfrecord")


def write(gan, folder, num, seed=0, label=None, format="npz", size=40 * BLOCK, report=None):
    """Write `num` samples of a GAN of images as files of `size` in `folder`; what lies there already is not made again.

    Together the files hold the bytes of `gan.sample(num, seed, label)`, however often the work was interrupted: each appears
    when it is whole, and `manifest.json` tells whose samples they are.

    Args:
        gan: `GAN` of images in a known range.
        folder: Made if there is none.
        num, seed: Number of samples, and their seed.
        label: One integer for all, of a conditional GAN; `None` for 0, 1, 2, ... in turn.
        format: "npz" (`images` uint8 (n, height, width, channels) and, if conditional, `labels` int32) or "tfrecord" (one
            `tf.train.Example` for each sample, with `image`, a PNG file, and `label`, an integer).
        size: Samples in a file, a multiple of 256; the last has the rest.
        report: Function of (files done, files in all), called after each.

    Raises:
        ValueError: The folder holds samples of another GAN, seed, number, size or format, or something else; a size that is no
            multiple; an unknown format; a GAN of no images or of an unknown range; what `gan.sample` refuses.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if size < BLOCK or size % BLOCK:
        raise ValueError(f"size, the samples in a file, must be a multiple of {BLOCK}. Received: size={size}")
    if gan.value_range is None or len(gan.generator.outputs[0].shape) != 4:
        raise ValueError(
            "Only images in a known range are written as files: the generator must end in tanh or sigmoid."
        )
    gan.sample_batches(num, seed, label)  # refuses what it cannot draw, before anything is written
    folder = pathlib.Path(folder)
    manifest = {
        "num": int(num),
        "seed": int(seed),
        "label": None if label is None else int(label),
        "format": format,
        "size": size,
        "conditional": gan.conditional,
        "step": int(gan.step.numpy()),
        "generator": _digest(gan),
    }
    if (folder / "manifest.json").exists():
        old = _manifest(folder)
        differing = [key for key, value in manifest.items() if old.get(key) != value]
        if differing:
            key = differing[0]
            raise ValueError(
                f"{folder} holds other samples: {key} is {old.get(key)!r} there, and {manifest[key]!r} here. Choose another "
                "folder."
            )
    elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise ValueError(f"{folder} is not empty and holds no manifest.json. Choose another folder.")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        with files.replacing(folder / "manifest.json") as path:
            path.write_text(json.dumps(manifest, indent=2) + "\n")
    parts = _files(folder, manifest)
    for k, file in enumerate(parts):
        if not file.exists():
            end = min((k + 1) * size, num)
            blocks = list(gan.sample_batches(end, seed, label, start=k * size))
            images = plots.to_uint8(np.concatenate([images for images, _ in blocks]), gan.value_range)
            labels = np.concatenate([labels for _, labels in blocks]) if gan.conditional else None
            with files.replacing(file) as path:
                _WRITERS[format](path, images, labels)
        if report:
            report(k + 1, len(parts))


def read(folder):
    """The samples that `write` wrote: an iterator of (uint8 images, int32 labels or `None`), one file at a time.

    Raises:
        ValueError: The folder is not whole, or a file is damaged.
    """
    folder = pathlib.Path(folder)
    manifest = _manifest(folder)
    listed = _files(folder, manifest)
    missing = [file.name for file in listed if not file.is_file()]
    if missing:
        raise ValueError(
            f"{folder} is not whole: {len(missing)} of {len(listed)} files are missing, {missing[0]} first. Go on with the command "
            "that began it."
        )

    def parts():
        for k, file in enumerate(listed):
            with files.reading(f"{file} is damaged", "Delete it and go on with the command that made it."):
                images, labels = _READERS[manifest["format"]](file, manifest["conditional"])
                expected = min(manifest["size"], manifest["num"] - k * manifest["size"])
                if len(images) != expected:  # a TFRecord file that was cut between two records
                    raise ValueError(f"{len(images)} samples instead of {expected}")
            yield images, labels

    return parts()


def described(folder):
    """(number, seed) of the samples in a folder."""
    manifest = _manifest(pathlib.Path(folder))
    return manifest["num"], manifest["seed"]


def check_origin(folder, gan):
    """Raise ValueError unless the samples in a folder are of this GAN, as it is now."""
    manifest = _manifest(pathlib.Path(folder))
    if manifest.get("generator") != _digest(gan):
        raise ValueError(
            f"The samples in {folder} are of another GAN, or of another step of this one (step {manifest.get('step')} there, "
            f"{int(gan.step.numpy())} here)."
        )


def _digest(gan):
    """What tells one generator from another: the SHA-256 of the weights that sample."""
    return hashlib.sha256(b"".join(w.tobytes() for w in gan.sampler.get_weights())).hexdigest()


def _manifest(folder):
    path = folder / "manifest.json"
    if not path.exists():
        raise ValueError(f"{folder} holds no samples: it has no manifest.json.")
    with files.reading(f"{path} cannot be read", "Write the samples anew into another folder."):
        manifest = files.read_json(path)
        return {**manifest, "num": int(manifest["num"]), "size": int(manifest["size"]), "seed": int(manifest["seed"])}


def _files(folder, manifest):
    number = -(-manifest["num"] // manifest["size"])
    return [folder / f"samples-{k:05d}-of-{number:05d}.{manifest['format']}" for k in range(number)]


def _write_npz(path, images, labels):
    np.savez_compressed(path, images=images, **({} if labels is None else {"labels": labels}))


def _read_npz(path, conditional):
    arrays = files.read_npz(path, ["images", "labels"] if conditional else ["images"])
    return arrays["images"], arrays.get("labels")


def _write_tfrecord(path, images, labels):
    with tf.io.TFRecordWriter(str(path)) as file:
        for k, image in enumerate(images):
            features = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[tf.io.encode_png(image).numpy()]))
            }
            if labels is not None:
                features["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[labels[k]]))
            file.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def _read_tfrecord(path, conditional):
    images, labels = [], []
    for record in tf.data.TFRecordDataset(str(path)):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        images.append(tf.io.decode_png(features["image"].bytes_list.value[0]).numpy())
        labels.extend(features["label"].int64_list.value if conditional else ())
    return np.stack(images), np.array(labels, "int32") if conditional else None


_WRITERS = {"npz": _write_npz, "tfrecord": _write_tfrecord}
_READERS = {"npz": _read_npz, "tfrecord": _read_tfrecord}
