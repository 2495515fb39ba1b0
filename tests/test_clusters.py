import numpy as np
import pytest

from gan_keras import clusters, data


def purity(found, truth):
    """Share of the images whose cluster is mostly of their kind."""
    return sum(np.bincount(truth[found == k]).max() for k in np.unique(found)) / len(truth)


def test_kinds_that_lie_apart_are_not_mixed():
    kinds = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3))
    truth = np.arange(400) % 5
    images = np.clip(kinds[truth] + np.random.default_rng(1).normal(0, 4, (400, 8, 8, 3)), 0, 255).astype("uint8")
    found = clusters.spectral(images, 20, seed=3)
    assert found.dtype == "int32" and found.shape == (400,)
    assert purity(found, truth) > 0.95


@pytest.mark.parametrize("kinds", [5, 8])
def test_groups_that_nothing_joins_are_the_clusters(kinds):
    centers = np.stack([np.arange(kinds) % 5, np.arange(kinds) // 5], axis=1) * 10.0
    truth = np.arange(40 * kinds) % kinds
    found = clusters.spectral(centers[truth] + np.random.default_rng(0).normal(0, 0.2, (len(truth), 2)), kinds)
    assert purity(found, truth) > 0.97


def test_clusters_of_digits_are_of_one_kind():
    images, labels = data.load(split="train[:4000]")
    found = clusters.spectral(images, 40)
    assert purity(found, labels) > 0.9, "k-means of pixels has less than 0.8"


def test_a_kind_may_have_any_form():
    angle, kind = np.random.default_rng(0).uniform(0, 2 * np.pi, 500), np.arange(500) % 2
    rings = (1 + 2 * kind[:, np.newaxis]) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = clusters.spectral(rings, 2)
    assert purity(found, kind) == 1.0 and len(np.unique(found)) == 2, "no two centres would part one ring from the other"


def test_they_are_a_function_of_images_and_seed():
    images, _ = data.load(split="train[:1000]")
    assert (clusters.spectral(images, 10, seed=1) == clusters.spectral(images, 10, seed=1)).all()
    assert (clusters.spectral(images, 10, seed=1) != clusters.spectral(images, 10, seed=2)).any()


def test_large_images_are_compared_small():
    images, _ = data.load(split="train[:500]")
    assert (clusters.spectral(images.repeat(2, axis=1).repeat(2, axis=2), 10) == clusters.spectral(images, 10)).all()


def test_the_range_of_the_images_does_not_matter():
    images, _ = data.load(split="train[:500]")
    found, expected = clusters.spectral(images.astype("float32") / 128 - 1, 10), clusters.spectral(images, 10)
    assert (found == expected).mean() > 0.98, "equal but for rounding"


def test_points_of_a_toy():
    points, modes = data.load("ring", "train[:800]")
    assert purity(clusters.spectral(points, 24), modes) > 0.9


def test_a_few_images():
    assert sorted(clusters.spectral(np.eye(3).reshape(3, 3, 1, 1), 3)) == [0, 1, 2]
    assert clusters.spectral(np.zeros((1, 8, 8, 1)), 1) == [0]
    assert len(np.unique(clusters.spectral(np.zeros((50, 8, 8, 1)), 4))) == 1, "all alike"


def test_grey_images_may_lack_the_axis_of_channels():
    images, _ = data.load(split="train[:300]")
    assert (clusters.spectral(images[..., 0], 10) == clusters.spectral(images, 10)).all()


@pytest.mark.parametrize(
    "number, message", [(0, "number must be"), (2.5, "number must be"), (11, "Received: 10 images, number=11")]
)
def test_a_number_that_cannot_be_is_refused(number, message):
    with pytest.raises(ValueError, match=message):
        clusters.spectral(np.zeros((10, 8, 8, 1)), number)
