"""Whole trainings on the real data, in small batches so that each takes a minute, and what they must show."""

import dataclasses
import os
import pathlib

import numpy as np
import pytest
from helpers import tiny_gan, tiny_images

from gan_keras import callbacks, data, recipes


def train(name, seed, steps):
    recipe = recipes.get(name)
    small = 32 if recipe.batch_per_step == recipe.batch_size else 10
    recipe = dataclasses.replace(recipe, batch_size=min(recipe.batch_size, small))
    gan = recipe.build(seed=seed)
    images, labels = data.load(recipe.data)
    stream = recipe.stream(gan, images, labels, seed)
    before = in_unit_range(gan)
    logs = gan.fit(stream, steps_per_epoch=steps // 5, epochs=5, verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())
    return before, in_unit_range(gan)


def in_unit_range(gan, n=500):
    low, high = gan.value_range or (0.0, 1.0)  # points as they are
    return ((gan.sample(n, seed=1) - low) / (high - low)).reshape(n, -1)


def squared_distances(a, b):
    return np.maximum((a * a).sum(1)[:, None] - 2 * a @ b.T + (b * b).sum(1), 0.0)


def spread(images):
    """Mean distance from an image to the nearest other one: near 0 for a generator that repeats itself."""
    distances = squared_distances(images, images)
    np.fill_diagonal(distances, np.inf)
    return np.sqrt(distances.min(axis=1)).mean()


@pytest.fixture(scope="module")
def real():
    images, labels = data.load(split="train[:6000]")
    return images.reshape(len(images), -1).astype("float32") / 255, labels


@pytest.mark.slow
@pytest.mark.parametrize("name", recipes.RECIPES)
def test_500_steps_are_finite_and_change_the_samples(name):
    before, after = train(name, seed=0, steps=500)
    assert np.abs(after - before).mean() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name, steps", [("default", 2500), ("dcgan", 300), ("wgan_gp", 300)])
def test_no_seed_collapses(name, steps, seed, real):
    # The default recipe's long average makes its samples clear late, and varied late.
    before, after = train(name, seed, steps)
    assert np.abs(after - before).mean() > 0.05
    digits, labels = real
    ratio = spread(after) / spread(digits[:500])
    # Which digit a sample is: that of its nearest of 6,000 training digits.
    shares = np.bincount(labels[squared_distances(after, digits).argmin(axis=1)], minlength=10) / len(after)
    print(f"{name} seed {seed}: spread {ratio:.2f} of real digits', shares of the digits {np.round(shares, 2)}")
    assert ratio > 0.5
    assert (shares > 0.01).sum() >= 9 and shares.max() < 0.5


def test_the_measure_of_collapse_sees_one(real):
    digits, _ = real
    noise = np.random.default_rng(0).normal(0, 0.03, (500, 784)).astype("float32")
    assert spread(np.repeat(digits[:25], 20, axis=0) + noise) < 0.5 * spread(digits[:500])


class Memory(callbacks.EverySteps):
    """Bytes of memory in use, every so many steps."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.bytes = []

    def act(self, step, logs):
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        self.bytes.append(pages * os.sysconf("SC_PAGE_SIZE"))


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the memory in use from Linux")
def test_memory_stays_flat_over_100_000_steps(tmp_path):
    gan = tiny_gan(ema=0.9, steps_per_execution=10, jit_compile="auto", regularizers="r1")
    memory = Memory(10_000)
    gan.fit(
        data.batches(tiny_images(480), batch_size=8),
        steps_per_epoch=100_000,
        verbose=0,
        callbacks=[
            callbacks.SampleGrid(tmp_path / "samples", 2500),
            callbacks.HistoryFile(tmp_path / "history.csv", 100),
            callbacks.Checkpoint(tmp_path / "checkpoints", 2500),
            memory,
        ],
    )
    print([round(b / 2**20) for b in memory.bytes])
    assert int(gan.step.numpy()) == 100_000 and len(memory.bytes) == 10
    # Caches fill in the first part.
    assert memory.bytes[-1] - memory.bytes[2] < 16 * 2**20
