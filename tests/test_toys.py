"""Toys against their densities, and stacked digits against the digits they are made of."""

import numpy as np
import pytest

from gan_keras import data, metrics
from gan_keras.toys import TOYS, stack_digits


@pytest.mark.parametrize("name, modes", [("ring", 8), ("grid", 25), ("gaussians", 3)])
def test_mixtures_have_their_modes(name, modes):
    toy = TOYS[name]
    points, labels = toy.sample(40_000, seed=3)
    assert points.dtype == np.float32 and labels.dtype == np.int32
    # No two centers coincide: a ring whose angles include the end point would have 7.
    assert len(np.unique(toy.centers.round(6), axis=0)) == modes
    hit, high_quality, kl = metrics.mode_counts(points, toy.centers, toy.deviation)
    within = {1: 0.9973, 2: 1 - np.exp(-4.5)}[points.shape[1]]
    assert hit == modes and kl < 0.001 and high_quality == pytest.approx(within, abs=0.002)
    apart = points - toy.centers[labels]
    assert apart.std() == pytest.approx(toy.deviation, rel=0.02) and abs(apart.mean()) < toy.deviation / 50


def test_swiss_roll_lies_on_its_spiral():
    points, _ = TOYS["swiss_roll"].sample(5000)
    radius, angle = np.hypot(*points.T), np.arctan2(points[:, 1], points[:, 0])
    turns = (radius * 4.5 * np.pi - angle) / (2 * np.pi)  # whole on the spiral
    off = np.abs(turns - turns.round())
    assert np.median(off) < 0.1 and 0.2 < radius.min() < radius.max() < 1.15


@pytest.mark.parametrize("name", sorted(TOYS))
def test_toys_are_data_sets(name):
    points, _ = data.load(name)
    assert points.shape == (100_000, TOYS[name].sample(1)[0].shape[1])
    again, _ = data.load(name, "train[:100]")
    assert (again == points[:100]).all()
    held_out, _ = data.load(name, "test")
    assert len(held_out) == 10_000 and not (held_out[:100] == points[:100]).any()
    batch = next(iter(data.batches(points, batch_size=32, value_range=None)))
    assert batch.shape == (32, points.shape[1]) and batch.dtype == "float32"


def test_stacked_digits_are_three_digits():
    images, labels = data.load("mnist", "train[:200]")
    stacked, triples = stack_digits(images, labels, 50, seed=1)
    assert stacked.shape == (50, 28, 28, 3) and stacked.dtype == np.uint8
    known = {image.tobytes(): label for image, label in zip(images[..., 0], labels)}
    for image, triple in zip(stacked, triples):
        digits = [known[np.ascontiguousarray(image[..., channel]).tobytes()] for channel in range(3)]
        assert triple == 100 * digits[0] + 10 * digits[1] + digits[2]
    again, _ = stack_digits(images, labels, 50, seed=1)
    assert (again == stacked).all() and (stack_digits(images, labels, 50, seed=2)[0] != stacked).any()


@pytest.mark.slow  # holds 300 MB of stacked digits
def test_stacked_mnist_is_made_of_training_digits_only():
    stacked, triples = data.load("stacked_mnist")
    assert stacked.shape == (128_000, 28, 28, 3) and len(np.unique(triples)) == 1000
    train = {image.tobytes() for image in data.load("mnist")[0]}
    assert all(stacked[k, ..., c].tobytes() in train for k in range(0, 128_000, 1000) for c in range(3))


def test_bytes_need_a_range():
    with pytest.raises(ValueError, match="value_range to scale them to"):
        data.batches(np.zeros((9, 8, 8, 1), "uint8"), batch_size=3, value_range=None)
