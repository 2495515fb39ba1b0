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
    found = clusters.kmeans(images, 20, seed=3)
    assert found.dtype == "int32" and found.shape == (400,)
    assert purity(found, truth) > 0.95


def test_clusters_of_digits_are_of_one_kind():
    images, labels = data.load(split="train[:4000]")
    found = clusters.kmeans(images, 40)
    assert np.bincount(found, minlength=40).min() > 20, "100 on average"
    assert purity(found, labels) > 0.75, "by chance it would be below a quarter"


def test_each_image_is_in_the_cluster_of_the_nearest_mean():
    points = np.random.default_rng(0).normal(size=(300, 2))
    found = clusters.kmeans(points, 5)
    means = np.stack([points[found == k].mean(axis=0) for k in range(5)])
    nearest = np.square(points[:, np.newaxis] - means).sum(axis=2).argmin(axis=1)
    assert (nearest == found).mean() > 0.98, "all, once it stands still"


def test_they_are_a_function_of_images_and_seed():
    images, _ = data.load(split="train[:1000]")
    assert (clusters.kmeans(images, 10, seed=1) == clusters.kmeans(images, 10, seed=1)).all()
    assert (clusters.kmeans(images, 10, seed=1) != clusters.kmeans(images, 10, seed=2)).any()


def test_large_images_are_compared_small():
    images, _ = data.load(split="train[:500]")
    assert (clusters.kmeans(images.repeat(2, axis=1).repeat(2, axis=2), 10) == clusters.kmeans(images, 10)).all()


def test_points_of_a_toy():
    points, modes = data.load("ring", "train[:800]")
    assert purity(clusters.kmeans(points, 24), modes) > 0.9


@pytest.mark.parametrize("number, message", [(0, "number must be"), (2.5, "number must be"), (11, "Received: 10 images, number=11")])
def test_a_number_that_cannot_be_is_refused(number, message):
    with pytest.raises(ValueError, match=message):
        clusters.kmeans(np.zeros((10, 8, 8, 1)), number)
