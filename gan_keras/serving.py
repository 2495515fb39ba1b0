"""A trained GAN as a folder that model servers load: SavedModel, ONNX, LiteRT or OpenVINO.

The exported model needs neither gan_keras nor Keras nor data.
"""

import importlib.util
import json
import os
import pathlib
from typing import NamedTuple

import keras
import tensorflow as tf

from gan_keras import files, identity, losses
from gan_keras.clustered import ClusteredGAN
from gan_keras.forward import named
from gan_keras.gan import GAN
from gan_keras.generative import BLOCK
from gan_keras.identifiers import unknown


class Format(NamedTuple):
    """The file of a format, and the packages that it needs besides TensorFlow."""

    file: str
    packages: tuple = ()


FORMATS = {
    "savedmodel": Format("saved_model.pb"),
    "onnx": Format("model.onnx", ("tf2onnx", "onnx")),
    "litert": Format("model.tflite"),
    "openvino": Format("model.xml", ("openvino",)),
}


def export(gan, folder, format="savedmodel", card=None):
    """Export the next version: `folder/1/`, `folder/2/` and so on, the layout of model servers. It appears when it is complete.

    Several processes may export to one folder at the same time.

    Args:
        gan: `GenerativeModel`, such as a `GAN`. With `ema`, the moving average is exported.
        folder: Created if it does not exist. Most servers use its name as that of the model.
        format: "savedmodel", with the endpoints below; or "onnx" (`model.onnx`), "litert" (`model.tflite`), "openvino"
            (`model.xml`, `model.bin`), which have the first endpoint only.
        card: Text of `model_card.md`; `None`: no file.

    Endpoints of the SavedModel, with named inputs and outputs; `label` if the network takes it:
        serving_default: z (batch, latent_dim) float32, label (batch,) int32 > images (batch, height, width, channels) float32.
        generate: seed int64, n int32, label int32 > images, which are `gan.sample(n, seed, label)` byte for byte. seed from 0
            to 2^31 - 1, n from 1 to 256; label -1 means 0, 1, 2, ... in turn.
        generate_png: As generate > image_bytes (n,) string: each image as a PNG file. For images of a known range.
        generate_with_parts, generate_png_with_parts: If the prior has several parts: the same, with an input for each part, float32
            (size,), which fixes it as in `gan.sample(n, seed, label, part=...)`; NaN means that it is random.
        discriminate: images float32, label (batch,) int32 > logits (batch,), for a `LogisticLoss` also probability (batch,) of
            being real, and other outputs of the discriminator by name. For a `GAN` only.

    Returns:
        The path of the version.

    Raises:
        ValueError: An unknown format; the folder holds versions in another one, or cannot be written.
        ImportError: A format's packages are not installed.
    """
    folder = pathlib.Path(folder)
    check(format, folder)
    with files.temporary(folder / "version") as building:  # hidden: servers only load numbers
        try:
            building.mkdir(parents=True)
        except OSError as error:
            raise ValueError(f"Cannot write to {folder}: {error.strerror}. Choose another folder.") from error
        if format == "savedmodel":
            described = {
                "num_classes": gan.num_classes,
                "value_range": gan.value_range,
                "latents": _described_latents(gan),
                "endpoints": _write_saved_model(gan, building),
            }
            (building / "signatures.json").write_text(json.dumps(described, indent=2) + "\n")
        else:
            gan.sample(1)  # to ONNX, Keras exports only a model that has been called
            gan.sampler.export(str(building / FORMATS[format].file), format=format, verbose=False)
        if card is not None:
            (building / "model_card.md").write_text(card)
        return _publish(building, folder)


def _described_latents(gan):
    """The distribution of each part of the latents, with the frequencies of clusters."""
    described = {name: identity.describe(part) for name, part in gan.prior.parts.items()}
    if isinstance(gan, ClusteredGAN):
        described[gan.part]["shares"] = gan.label_shares.numpy().astype(float).round(6).tolist()
    return described


def _publish(building, folder):
    """Rename a complete version to the next free number; returns its path."""
    while True:
        version = folder / str(max((int(path.name) for path in _versions(folder)), default=0) + 1)
        try:
            os.replace(building, version)
            return version
        except OSError:
            if not version.exists():  # else another process was faster
                raise


def _versions(folder):
    return [path for path in folder.glob("*") if path.name.isdecimal()]


def check(format="savedmodel", folder=None):
    """Raise the errors of `export` for a format and a folder, before there is a GAN."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    packages = FORMATS[format].packages
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ImportError(
            f"The format {format!r} needs {' and '.join(packages)}; not installed: pip install {' '.join(missing)}"
        )
    for version in [] if folder is None else _versions(pathlib.Path(folder)):
        for other, (file, _) in FORMATS.items():
            if other != format and (version / file).exists():
                raise ValueError(
                    f"{version} is an export in another format, {other!r}, and a server loads all versions of a folder in one. "
                    f"Received: format={format!r}; choose another folder."
                )


def _write_saved_model(gan, path):
    """Write the SavedModel and return its signatures, for `signatures.json`."""
    archive = keras.export.ExportArchive()
    archive.track(gan.sampler)
    if isinstance(gan, GAN):
        archive.track(gan.discriminator)
    if isinstance(gan, ClusteredGAN):
        archive.track(gan.label_shares.value)
    signatures = {}
    for name, (function, inputs) in _endpoints(gan).items():
        traced = archive.add_endpoint(name, function, input_signature=inputs)
        outputs = traced.get_concrete_function().structured_outputs
        signatures[name] = {
            "inputs": {spec.name: _described(spec) for spec in inputs},
            "outputs": {key: _described(spec) for key, spec in outputs.items()},
        }
    archive.write_out(str(path), verbose=False)
    return signatures


def _endpoints(gan):
    """(function, input specs) of each endpoint."""
    z = tf.TensorSpec((None, gan.latent_dim), tf.float32, name="z")
    images = tf.TensorSpec((None, *gan.generator.outputs[0].shape[1:]), tf.float32, name="images")
    label = tf.TensorSpec((None,), tf.int32, name="label")
    scalars = {"seed": tf.int64, "n": tf.int32, **({"label": tf.int32} if gan.conditional else {})}
    draw = [tf.TensorSpec((), dtype, name=name) for name, dtype in scalars.items()]
    parts = [tf.TensorSpec((part.size,), tf.float32, name=name) for name, part in gan.prior.parts.items()]

    def serving_default(*inputs):
        return {"images": tf.cast(gan(_checked(gan, inputs), training=False), tf.float32)}

    def generate(seed, n, *more):
        return {"images": _sample(gan, seed, n, *more)}

    def generate_png(seed, n, *more):
        return {"image_bytes": _png(_sample(gan, seed, n, *more), gan.value_range)}

    def discriminate(*inputs):
        made = named(gan.judge(_checked(gan, inputs), training=False))
        logits = tf.reshape(made.pop("score"), [-1])
        if {"logits", "probability"} & set(made):
            raise ValueError("An output of the discriminator must not be called logits or probability, as the served score is.")
        logistic = gan.compiled and isinstance(gan.adversarial_loss, losses.LogisticLoss)
        return {"logits": logits, **({"probability": tf.sigmoid(logits)} if logistic else {}), **made}

    endpoints = {
        "serving_default": (serving_default, [z, label][: len(gan.generator.inputs)]),
        "generate": (generate, draw),
        "generate_png": (generate_png, draw),
    }
    if len(parts) > 1:
        endpoints["generate_with_parts"] = (generate, draw + parts)
        endpoints["generate_png_with_parts"] = (generate_png, draw + parts)
    if isinstance(gan, GAN):
        endpoints["discriminate"] = (discriminate, [images, label][: len(gan.discriminator.inputs)])
    if not gan.makes_images or images.shape[-1] not in (1, 3) or gan.value_range is None:
        endpoints = {name: endpoint for name, endpoint in endpoints.items() if endpoint[0] is not generate_png}
    return endpoints


def _checked(gan, inputs):
    """The inputs of a network from those of an endpoint, with assertions on the labels in the graph."""
    if len(inputs) == 1:
        return inputs[0]
    first, label = inputs
    last = gan.num_classes - 1
    with tf.control_dependencies(_bounds(label, 0, last, f"label must be from 0 to {last}.")):
        return [first, tf.identity(label)]


def _sample(gan, seed, n, *more):
    """`gan.sample(n, seed, label, **parts)` as a graph, with assertions on the inputs."""
    label, *parts = more if gan.conditional else (None, *more)
    checks = _bounds(seed, 0, 2**31 - 1, "seed must be from 0 to 2**31 - 1.")
    checks += _bounds(n, 1, BLOCK, f"n must be from 1 to {BLOCK}.")
    labels = None
    if gan.conditional:
        last = gan.num_classes - 1
        checks += _bounds(label, -1, last, f"label must be from 0 to {last}, or be -1 for all in turn.")
        labels = tf.where(label < 0, tf.range(BLOCK) % gan.num_classes, label)
    with tf.control_dependencies(checks):
        return gan.block_of_samples(tf.identity(seed), 0, n, labels, dict(zip(gan.prior.parts, parts)))


def _bounds(value, lowest, highest, message):
    """Assertions, for `tf.control_dependencies`, that integers are from `lowest` to `highest`."""
    return [
        tf.debugging.assert_greater_equal(value, tf.constant(lowest, value.dtype), message),
        tf.debugging.assert_less_equal(value, tf.constant(highest, value.dtype), message),
    ]


def _png(images, value_range):
    """PNG files of the images, with pixels as from `plots.to_uint8`."""
    low, high = value_range
    pixels = tf.cast(tf.round(tf.clip_by_value((images - low) / (high - low), 0.0, 1.0) * 255.0), tf.uint8)
    return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.TensorSpec((), tf.string))


def _described(spec):
    return {"dtype": tf.as_dtype(spec.dtype).name, "shape": list(spec.shape)}
