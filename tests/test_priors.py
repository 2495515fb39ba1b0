"""What is between two latents of a prior. Drawing and fixing them is in test_extensions.py."""

import keras
import numpy as np
import pytest
import scipy

import gan_keras
from gan_keras import priors


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def angle(a, b):
    return np.arccos(np.clip((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1), -1, 1))


@pytest.mark.parametrize("size", [2, 16, 100])
def test_normal_latents_turn_at_a_steady_rate(size):
    a, b = normal(7, size), 3 * normal(7, size, seed=1)
    prior, lengths = priors.Normal(size), [np.linalg.norm(x, axis=1) for x in (a, b)]
    for t in (0.0, 0.1, 0.5, 0.8, 1.0):
        found = prior.between(a, b, t)
        np.testing.assert_allclose(angle(a.astype("float64"), found), t * angle(a, b), atol=1e-3)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), (1 - t) * lengths[0] + t * lengths[1], rtol=1e-6)
        assert found.dtype == np.float32 and found.shape == a.shape


def test_the_great_circle_is_the_sine_formula():
    a, b = np.float32([3.0, 0.0, 0.0]), np.float32([0.0, 3.0, 0.0])
    t = 0.3
    expected = 3 * np.array([np.cos(t * np.pi / 2), np.sin(t * np.pi / 2), 0])
    np.testing.assert_allclose(priors.Normal(3).between(a, b, t), expected, atol=1e-6)
    a, b = (x / np.linalg.norm(x) for x in normal(2, 20).astype("float64"))
    whole = angle(a, b)
    expected = (np.sin((1 - t) * whole) * a + np.sin(t * whole) * b) / np.sin(whole)  # White 2016
    np.testing.assert_allclose(priors.Normal(20).between(a, b, t), expected, atol=1e-6)


def test_the_ends_are_the_ends():
    a, b = normal(9, 16), normal(9, 16, seed=1)
    for prior in (priors.Normal(16), priors.Uniform(16), priors.Joint(x=priors.Normal(9), y=priors.Uniform(7))):
        np.testing.assert_allclose(prior.between(a, b, 0), a, atol=1e-7)
        np.testing.assert_allclose(prior.between(a, b, 1), b, atol=1e-7)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_opposite_equal_and_zero_latents(size):
    a = normal(4, size)
    prior = priors.Normal(size)
    np.testing.assert_allclose(prior.between(a, a, 0.4), a, atol=1e-6)
    opposite = prior.between(a, -a, 0.25)
    assert np.isfinite(opposite).all()
    if size > 1:  # on a line there is no way round
        np.testing.assert_allclose(np.linalg.norm(opposite, axis=1), np.linalg.norm(a, axis=1), rtol=1e-5)
        np.testing.assert_allclose(angle(a, opposite), np.pi / 4, atol=1e-3)
    np.testing.assert_allclose(prior.between(a, -a, 1), -a, atol=1e-6)
    zero = np.zeros_like(a)
    np.testing.assert_allclose(prior.between(zero, a, 0.25), 0.25 * a, atol=1e-6)
    np.testing.assert_allclose(prior.between(a, zero, 0.25), 0.75 * a, atol=1e-6)
    assert (prior.between(zero, zero, 0.5) == 0).all()


def test_each_prior_has_its_own_way():
    a, b = normal(3, 4), normal(3, 4, seed=1)
    np.testing.assert_allclose(priors.Uniform(4).between(a, b, 0.3), 0.7 * a + 0.3 * b, atol=1e-6)
    one, other = np.eye(4, dtype="float32")[:2]
    np.testing.assert_allclose(priors.Categorical(4).between(one, other, 0.9), [0.1, 0.9, 0, 0], atol=1e-6)
    prior = priors.Joint(z=priors.Normal(4), code=priors.Categorical(4), style=priors.Uniform(4))
    found = prior.between(np.concatenate([a[0], one, a[1]]), np.concatenate([b[0], other, b[1]]), 0.3)
    expected = [priors.Normal(4).between(a[0], b[0], 0.3), 0.7 * one + 0.3 * other, 0.7 * a[1] + 0.3 * b[1]]
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-6)


def test_normal_latents_have_their_deviation():
    def draw(prior):
        return prior.draw(gan_keras.random.Random(0, 0, 0), 5000).numpy()

    narrow = priors.Normal(4, stddev=0.1)
    np.testing.assert_allclose(draw(narrow), 0.1 * draw(priors.Normal(4)), rtol=1e-6)
    assert draw(narrow).std() == pytest.approx(0.1, rel=0.02)
    assert priors.get(keras.saving.serialize_keras_object(narrow)).stddev == 0.1


@pytest.mark.parametrize("threshold", [0.2, 1.0, 3.0])
def test_truncated_latents_are_those_of_the_truncated_normal(threshold):
    z = normal(1000, 4).astype("float64")
    found = priors.Normal(4).truncated(np.float32(z), threshold).numpy()
    # The quantile of each latent stays what it is.
    np.testing.assert_allclose(
        found, scipy.stats.truncnorm(-threshold, threshold).ppf(scipy.stats.norm.cdf(z)), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(priors.Normal(4, stddev=0.1).truncated(np.float32(0.1 * z), threshold), 0.1 * found, rtol=1e-5)


def test_the_ends_of_truncated_latents():
    furthest = np.float32([[-5.5, 0.0, 5.5]])  # no draw of float32 is further
    np.testing.assert_allclose(priors.Normal(3).truncated(furthest, 2.0), [[-2.0, 0.0, 2.0]], atol=1e-5)
    np.testing.assert_allclose(priors.Normal(3).truncated(furthest, 10.0), furthest, rtol=1e-5)
    assert (priors.Uniform(3).truncated(furthest, 0.5) == furthest).all()


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: priors.Normal(3).between(np.zeros((2, 3)), np.zeros((1, 3)), 0.5), r"\(2, 3\) and \(1, 3\)"),
        (lambda: priors.Normal(3, stddev=0.0), "greater than 0. Received: stddev=0.0"),
        (lambda: priors.Normal(3, stddev="1"), "greater than 0. Received: stddev='1'"),
        (lambda: priors.Uniform(3).between(np.zeros(4), np.zeros(4), 0.5), r"latents \(..., 3\)"),
        (lambda: priors.Normal(3).between(np.zeros(3), np.zeros(3), 1.5), "from 0 to 1. Received: t=1.5"),
    ],
)
def test_what_cannot_work_is_refused(act, message):
    with pytest.raises(ValueError, match=message):
        act()
