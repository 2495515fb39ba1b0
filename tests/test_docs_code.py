"""The Python blocks of README.md and docs/ run: with fewer steps, and with the names that the page has explained before."""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import gan_keras
from gan_keras import networks, priors, serving
from gan_keras.runs import Run

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# What a block needs beside the imports that it has, as a function; and what is replaced in it.
RUN = {
    ("README.md", 0): (lambda: {}, {"steps_per_epoch=500, epochs=16": "steps_per_epoch=2, epochs=1", "every=500": "every=2"}),
    ("docs/concepts.md", 3): (
        lambda: {"gan": small_gan(), "images": digits()},
        {"batch_size=64": "batch_size=16", "10_000": "2"},
    ),
    ("docs/concepts.md", 4): (dict, {}),
    ("docs/concepts.md", 5): (lambda: {"gan": small_gan(features=True)}, {}),
    ("docs/concepts.md", 6): (lambda: {**small_networks(latent_dim=72), "priors": priors}, {}),
    ("docs/concepts.md", 7): (dict, {}),
    ("docs/concepts.md", 8): (dict, {}),
    ("docs/evaluation.md", 0): (
        lambda: {"train_images": digits(), "test_images": digits(), "my_features": my_features, "gan": small_gan()},
        {"10_000": "64"},
    ),
    ("docs/evaluation.md", 1): (
        lambda: {"gan": small_gan(), "stream": gan_keras.data.batches(digits(), batch_size=16), "evaluator": small_evaluator()},
        {"epochs=20, steps_per_epoch=500": "epochs=2, steps_per_epoch=1", "every=2": "every=2, n=64"},
    ),
    ("docs/sample.md", 0): (dict, {}),
    ("docs/serving.md", 0): (lambda: {"version": serving.export(small_gan(), "exports/digits")}, {}),
    ("docs/train.md", 0): (
        lambda: {
            "run": Run.new("runs/default", recipe="tutorial_mlp", split="train[:256]", steps=1, jit="off").train(verbose=0)
        },
        {
            '"dcgan", steps=2000, batch_size=32': '"tutorial_mlp", split="train[:256]", jit="off", steps=2, batch_size=32',
            "steps=4000": "steps=3",
        },
    ),
}
ELSEWHERE = {
    ("docs/concepts.md", 1): "test_gan.py: networks of one input are wrapped as the docs say",
    ("docs/concepts.md", 2): "test_gan.py: clusters are labels as the docs say",
    ("docs/explore.md", 0): "test_explore.py",
}
NOT_RUN = {
    ("docs/concepts.md", 0): "no program: a step in short",
    ("docs/scale.md", 0): "needs several GPUs; test_gan.py and test_scale.py have replicas",
    ("docs/scale.md", 1): "needs several machines; test_scale.py has workers",
    ("docs/serving.md", 1): "needs TensorFlow Serving",
    ("docs/serving.md", 2): "needs ONNX Runtime; test_serving.py has the runtimes, where they are installed",
    ("docs/serving.md", 3): "needs LiteRT; as above",
    ("docs/serving.md", 4): "needs OpenVINO; as above",
}


def blocks(page):
    """The Python blocks of a page but for quotes of the source."""
    found = re.findall(r"(<!-- quote [^\n]*-->\n)?```python\n(.*?)```", page.read_text(), re.DOTALL)
    return [code for quote, code in found if not quote]


def digits(n=64):
    return np.random.default_rng(0).integers(0, 256, (n, 28, 28, 1), "uint8")


def my_features(images):
    return images.reshape(len(images), -1)[:, ::49] / np.float32(255)


def small_networks(latent_dim=8, features=False):
    z, images = keras.Input((latent_dim,)), keras.Input((28, 28, 1))
    x = layers.Dense(8, activation="relu")(layers.Flatten()(images))
    score = layers.Dense(1)(x)
    return {
        "generator": keras.Model(z, layers.Reshape((28, 28, 1))(layers.Dense(784, activation="tanh")(z))),
        "discriminator": keras.Model(images, {"score": score, "features": x} if features else score),
    }


def small_gan(features=False):
    gan = gan_keras.GAN(**small_networks(features=features))
    if not features:
        gan.compile("adam", "adam")
    return gan


def small_evaluator():
    return gan_keras.evaluation.Evaluator(digits(), digits(), extractor=my_features)


@pytest.mark.parametrize("page, number", RUN, ids=lambda part: str(part))
def test_it_runs(page, number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = blocks(ROOT / page)[number]
    names, replaced = RUN[page, number]
    for old, new in replaced.items():
        assert old in code
        code = code.replace(old, new)
    exec(code, {"gan_keras": gan_keras, "keras": keras, "tf": tf, "networks": networks, **names()})


def test_every_block_runs_somewhere_or_says_why_not():
    every = {(str(page.relative_to(ROOT)), k) for page in PAGES for k in range(len(blocks(page)))}
    assert every == {*RUN, *ELSEWHERE, *NOT_RUN}
