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
    found = clusters.balanced(images, 20, seed=3)
    assert found.dtype == "int32" and found.shape == (400,)
    assert purity(found, truth) > 0.95


def test_clusters_of_digits_are_of_one_kind_and_of_about_equal_size():
    images, labels = data.load(split="train[:4000]")
    found = clusters.balanced(images, 40)
    sizes = np.bincount(found, minlength=40)
    assert sizes.min() > 50 and sizes.max() < 170, "100 on average"
    assert purity(found, labels) > 0.75, "by chance it would be below a quarter"


def test_sizes_are_equal_where_the_data_are_not():
    # Nine of ten points are of one kind. Centres that are not priced would give it as many points as it has.
    points = np.random.default_rng(0).normal(size=(2000, 2)) * 0.1
    points[:200] += 5.0
    sizes = np.bincount(clusters.balanced(points, 10), minlength=10)
    assert sizes.min() > 40 and sizes.max() < 450


def test_they_are_a_function_of_images_and_seed():
    images, _ = data.load(split="train[:1000]")
    assert (clusters.balanced(images, 10, seed=1) == clusters.balanced(images, 10, seed=1)).all()
    assert (clusters.balanced(images, 10, seed=1) != clusters.balanced(images, 10, seed=2)).any()


def test_large_images_are_compared_small():
    images, _ = data.load(split="train[:500]")
    assert (clusters.balanced(images.repeat(2, axis=1).repeat(2, axis=2), 10) == clusters.balanced(images, 10)).all()


def test_points_of_a_toy():
    points, modes = data.load("ring", "train[:800]")
    assert purity(clusters.balanced(points, 24), modes) > 0.9


@pytest.mark.parametrize("number, message", [(0, "number must be"), (2.5, "number must be"), (11, "Received: 10 images, number=11")])
def test_a_number_that_cannot_be_is_refused(number, message):
    with pytest.raises(ValueError, match=message):
        clusters.balanced(np.zeros((10, 8, 8, 1)), number)
