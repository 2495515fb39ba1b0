"""Metrics against closed forms, against independent implementations, and against what they are meant to say."""

import itertools
import math

import numpy as np
import ot
import prdc
import pytest
import tensorflow as tf

from gan_keras import data, metrics


def normal(n, d, seed, mean=0.0, scale=1.0):
    return mean + scale * np.random.default_rng(seed).standard_normal((n, d))


def skewed(n, seed):
    """Features that are correlated, of unequal scales, and not centered."""
    mix = np.random.default_rng(0).standard_normal((12, 12)) * np.logspace(-1, 1, 12)
    return normal(n, 12, seed) @ mix + 3.0


# Frechet distance


def test_frechet_distance_of_two_known_gaussians():
    # Points whose mean and covariance are exactly those asked for.
    base = normal(50, 3, 0)
    base -= base.mean(axis=0)
    base = base @ np.linalg.inv(np.linalg.cholesky(np.cov(base.T))).T
    one, other = base * [1.0, 2.0, 3.0], base * [2.0, 2.0, 0.5] + [1.0, -2.0, 0.0]
    # Covariances that commute: sum of (a - b)^2 over the deviations, and the squared distance of the means.
    assert metrics.frechet_distance(one, other) == pytest.approx(1.0 + 6.25 + 5.0, rel=1e-10)


def test_frechet_distance_agrees_with_an_independent_implementation():
    real, made = skewed(2000, 1), skewed(1500, 2) * 1.1 + 0.3
    expected = ot.gaussian.bures_wasserstein_distance(real.mean(axis=0), made.mean(axis=0), np.cov(real.T), np.cov(made.T))
    assert metrics.frechet_distance(real, made) == pytest.approx(expected**2, rel=1e-6)


def test_frechet_distance_of_identical_and_of_singular_sets():
    few = skewed(8, 1)  # 8 rows in 12 dimensions: singular covariances
    assert metrics.frechet_distance(few, few) < 1e-4 * np.trace(np.cov(few.T))
    assert metrics.frechet_distance(few, few + 2.0) == pytest.approx(12 * 4.0, rel=1e-4)


@pytest.mark.parametrize("n, m", [(400, 400), (300, 1200)])
def test_frechet_bias_is_what_equal_distributions_show(n, m):
    scales = np.linspace(0.5, 3.0, 12)
    found = [metrics.frechet_distance(normal(n, 12, 2 * k) * scales, normal(m, 12, 2 * k + 1) * scales) for k in range(80)]
    assert np.mean(found) == pytest.approx(metrics.frechet_bias(np.diag(scales**2), n, m), rel=0.05)
    assert metrics.frechet_bias(np.eye(64), n, n) == pytest.approx(64 * 69 / (2 * n))


def test_moments_in_batches_are_those_of_the_whole():
    features = skewed(1000, 1) + 1e4
    moments = metrics.Moments()
    for part in np.split(features, [1, 10, 500]):
        moments.update(part)
    assert moments.n == 1000
    np.testing.assert_allclose(moments.mean, features.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(features.T), rtol=1e-8)
    assert metrics.frechet_distance(features, moments) == pytest.approx(0.0, abs=1e-4)


# Kernel distance


def test_kernel_distance_by_its_formula():
    real, made = normal(5, 2, 0), normal(5, 2, 1)

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y)) / 2 + 1) ** 3

    within = sum(kernel(s[i], s[j]) for s in (real, made) for i in range(5) for j in range(5) if i != j) / 20
    between = sum(kernel(x, y) for x in real for y in made) / 25
    distance, error = metrics.kernel_distance(real, made)
    assert distance == pytest.approx(within - 2 * between) and math.isnan(error)


def test_kernel_distance_is_unbiased_and_its_error_is_right():
    found = [metrics.kernel_distance(normal(400, 4, 2 * k), normal(400, 4, 2 * k + 1), block=50) for k in range(80)]
    distances, errors = np.array(found).T
    assert abs(distances.mean()) < 3 * distances.std() / math.sqrt(80)
    assert np.sqrt((errors**2).mean()) == pytest.approx(distances.std(), rel=0.25)
    shifted, error = metrics.kernel_distance(normal(400, 4, 1), normal(400, 4, 2, mean=0.5), block=50)
    assert shifted > 5 * error > 0


# Classifier score


def test_classifier_score_by_its_formula():
    sure = np.eye(10)[np.arange(1000) % 10]
    assert metrics.classifier_score(sure) == pytest.approx(10.0)
    assert metrics.classifier_score(np.full((1000, 10), 0.1)) == pytest.approx(1.0)
    assert metrics.classifier_score(np.eye(10)[np.zeros(100, int)]) == pytest.approx(1.0)
    p = np.array([[0.9, 0.1], [0.3, 0.7]])
    kl = [0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4), 0.3 * math.log(0.3 / 0.6) + 0.7 * math.log(0.7 / 0.4)]
    assert metrics.classifier_score(p) == pytest.approx(math.exp(sum(kl) / 2))


def test_class_shares():
    p = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.4, 0.5, 0.1], [0.6, 0.4, 0.0]])
    assert metrics.class_shares(p).tolist() == [0.5, 0.5, 0.0]


def test_classifier_score_in_batches_is_the_mean_of_theirs():
    p = np.random.default_rng(0).dirichlet(np.full(10, 0.1), 70)
    expected = np.mean([metrics.classifier_score(p[:32]), metrics.classifier_score(p[32:64])])
    assert metrics.classifier_score(p, batch=32) == pytest.approx(expected)
    # 32 certain digits cannot show all shares evenly: the ceiling is well under 10.
    labels = np.random.default_rng(1).integers(10, size=32_000)
    assert 8.2 < metrics.classifier_score(np.eye(10)[labels], batch=32) < 9.0


def test_labels():
    p = np.array([[0.8, 0.2], [0.4, 0.6], [0.9, 0.1]])
    labels = np.array([0, 1, 1])
    assert metrics.label_accuracy(p, labels) == pytest.approx(2 / 3)
    assert metrics.label_cross_entropy(p, labels) == pytest.approx(-np.log([0.8, 0.6, 0.1]).mean())


# Precision, recall, density, coverage


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbours_agree_with_their_authors_implementation(k):
    real, made = skewed(700, 1), skewed(600, 2) * 0.8 + 0.5
    expected = prdc.compute_prdc(real, made, k)
    precision, recall = metrics.precision_recall(real, made, k)
    density, coverage = metrics.density_coverage(real, made, k)
    found = {"precision": precision, "recall": recall, "density": density, "coverage": coverage}
    assert found == pytest.approx(expected, abs=1e-4)
    assert 0.1 < precision < 1.0 and 0.1 < recall < 1.0 and 0.1 < coverage < 1.0


def test_neighbours_of_identical_sets_and_of_strangers():
    x = skewed(500, 1)
    assert metrics.precision_recall(x, x) == (1.0, 1.0)
    density, coverage = metrics.density_coverage(x, x)
    # Each of 500 balls holds its center and the four nearest; the fifth lies on its edge.
    assert (density, coverage) == (pytest.approx(1.0, abs=0.01), 1.0)
    assert metrics.precision_recall(x, x + 1e4) == (0.0, 0.0)
    assert metrics.density_coverage(x, x + 1e4) == (0.0, 0.0)


def test_coverage_of_two_draws_of_one_distribution_is_its_closed_form():
    found = [metrics.density_coverage(normal(500, 2, 2 * k), normal(500, 2, 2 * k + 1))[1] for k in range(20)]
    assert np.mean(found) == pytest.approx(1 - 2.0**-5, abs=0.005)


def test_a_collapsed_generator_is_precise_and_covers_nothing():
    real = normal(1000, 8, 0)
    collapsed = 0.1 * normal(1000, 8, 1)
    precision, recall = metrics.precision_recall(real, collapsed)
    density, coverage = metrics.density_coverage(real, collapsed)
    assert precision > 0.99 and recall < 0.02
    assert density > 1.0 and coverage < 0.1


# Parzen window


def test_parzen_by_its_formula():
    samples, test = np.array([[0.2, 0.4], [0.9, 0.1]]), np.array([[0.25, 0.5], [0.0, 0.0], [1.0, 1.0]])
    h = 0.3
    expected = [
        math.log(np.mean([math.exp(-((x - s) ** 2).sum() / (2 * h * h)) / (2 * math.pi * h * h) for s in samples]))
        for x in test
    ]
    mean, error = metrics.parzen_log_likelihood(test, samples, h)
    assert mean == pytest.approx(np.mean(expected)) and error == pytest.approx(np.std(expected) / math.sqrt(3))


def test_parzen_far_from_all_samples_is_finite():
    samples, test = np.zeros((3, 784)), np.ones((2, 784))
    expected = -0.5 * 784 / 0.01 - 784 * math.log(0.1 * math.sqrt(2 * math.pi))
    assert metrics.parzen_log_likelihood(test, samples, 0.1)[0] == pytest.approx(expected)


def test_bandwidth_is_the_likeliest():
    rng = np.random.default_rng(0)
    samples, validation = rng.uniform(0, 1, (300, 20)), rng.uniform(0, 1, (50, 20))
    chosen = metrics.choose_bandwidth(validation, samples)
    likelihoods = {h: metrics.parzen_log_likelihood(validation, samples, h)[0] for h in np.logspace(-1, 0, 10)}
    assert chosen == max(likelihoods, key=likelihoods.get) and 0.1 < chosen < 1.0


# Memorisation


def test_nearest_neighbours_by_brute_force():
    rng = np.random.default_rng(0)
    images, references = (rng.integers(0, 256, (n, 6, 6, 1)).astype("uint8") for n in (30, 80))
    differences = (images[:, None].astype(float) - references[None]) / 255
    expected = (differences**2).mean(axis=(2, 3, 4))
    indices, errors = metrics.nearest_neighbours(images, references)
    np.testing.assert_array_equal(indices, expected.argmin(axis=1))
    np.testing.assert_allclose(errors, expected.min(axis=1), rtol=1e-5)
    indices, errors = metrics.nearest_neighbours(references[:20], references, exclude_self=True)
    assert (indices != np.arange(20)).all() and errors.min() > 0


def test_copies_are_caught_and_strangers_are_not():
    train, _ = data.load("mnist", "train[:2000]")
    test, _ = data.load("mnist", "test[:2000]")
    strangers, _ = data.load("mnist", "train[5000:5300]")
    noisy = np.clip(train[:300] + np.random.default_rng(0).normal(0, 10, (300, 28, 28, 1)), 0, 255).astype("uint8")

    def ratio(images):
        to_train, to_test = (metrics.nearest_neighbours(images, set)[1].mean() for set in (train, test))
        return to_train / to_test

    assert ratio(train[:300]) == 0.0
    assert ratio(noisy) < 0.2
    assert 0.8 < ratio(strangers) < 1.2  # MNIST's first test digits are a little plainer than its training digits


def test_a_blurred_mean_digit_has_a_small_error_and_no_quality():
    # The unpaired error that tutorials report is smallest for a blurred mean; distances of features are not fooled.
    train, _ = data.load("mnist", "train[:2000]")
    digits, _ = data.load("mnist", "test[:500]")
    mean = np.broadcast_to(train.mean(axis=0).astype("uint8"), digits.shape)
    unpaired = [((images / 255.0 - train[:500] / 255.0) ** 2).mean() for images in (mean, digits)]
    assert unpaired[0] < 0.7 * unpaired[1]
    flat = [x.reshape(len(x), -1)[:, ::16] / 255.0 for x in (train, digits, mean)]
    assert metrics.frechet_distance(flat[0], flat[2]) > 5 * metrics.frechet_distance(flat[0], flat[1])
    assert metrics.density_coverage(flat[0][:500], flat[2])[1] < 0.1 < metrics.density_coverage(flat[0][:500], flat[1])[1]


# Modes


def test_mode_counts_of_known_points():
    centers = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [5.0, 5.0]])
    points = [[0.1, 0.0], [0.0, -0.2], [10.0, 0.2], [0.0, 10.31], [3.0, 3.0]]  # the last two: just too far, far
    modes, high_quality, kl = metrics.mode_counts(points, centers, 0.1)
    assert (modes, high_quality) == (2, pytest.approx(3 / 5))
    assert kl == pytest.approx(2 / 3 * math.log(8 / 3) + 1 / 3 * math.log(4 / 3))
    assert metrics.mode_counts([[99.0, 99.0]], centers, 0.1) == (0, 0.0, math.inf)


def test_kl_from_uniform():
    assert metrics.kl_from_uniform(np.arange(1000) % 10, 10) == pytest.approx(0.0)
    assert metrics.kl_from_uniform(np.zeros(5, int), 1000) == pytest.approx(math.log(1000))
    labels = np.random.default_rng(0).integers(1000, size=26_000)
    assert metrics.kl_from_uniform(labels, 1000) == pytest.approx(999 / 52_000, rel=0.1)


# Transport


def test_wasserstein_1d_exactly():
    assert metrics.wasserstein_1d(np.array([3.0, 1.0]), np.array([2.0, 6.0])) == pytest.approx(2.0)
    x = np.random.default_rng(0).normal(size=97)
    assert metrics.wasserstein_1d(x, x - 2.5) == pytest.approx(2.5)
    assert metrics.wasserstein_1d(x, np.repeat(x, 3)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("n, m", [(50, 50), (50, 71), (3, 200)])
def test_wasserstein_1d_agrees_with_an_independent_implementation(n, m):
    x, y = normal(n, 1, 0)[:, 0], normal(m, 1, 1, 0.3, 2.0)[:, 0]
    assert metrics.wasserstein_1d(x, y) == pytest.approx(ot.wasserstein_1d(x, y), rel=1e-9)


def test_sliced_wasserstein_of_a_shift():
    x, shift = normal(200, 2, 0), np.array([3.0, -4.0])
    # The mean of |cos| over the circle is 2 / pi.
    assert metrics.sliced_wasserstein(x, x + shift, directions=4000) == pytest.approx(5 * 2 / math.pi, rel=0.02)
    assert metrics.sliced_wasserstein(x[:, :1], x[:, :1] + 3.0) == pytest.approx(3.0)
    assert metrics.sliced_wasserstein(x, x[::-1]) == pytest.approx(0.0, abs=1e-12)


# Two-sample test


@pytest.mark.slow
def test_two_sample_accuracy_is_decided_by_its_seed():
    few = data.load("mnist", "test[:200]")[0], data.load("mnist", "test[200:400]")[0]
    assert metrics.two_sample_accuracy(*few, epochs=2) == metrics.two_sample_accuracy(*few, epochs=2)


def test_two_sample_accuracy_of_the_same_digits():
    one, other = data.load("mnist", "test[:1000]")[0], data.load("mnist", "test[1000:2000]")[0]
    same, error = metrics.two_sample_accuracy(one, other)
    assert abs(same - 0.5) < 4 * error and error == pytest.approx(math.sqrt(same * (1 - same) / 1000))


def test_two_sample_accuracy_of_different_digits():
    one, other = data.load("mnist", "test[:1000]")[0], data.load("mnist", "test[1000:2000]")[0]
    blurred = ((other.astype(int) + np.roll(other, 1, axis=2)) // 2).astype("uint8")
    told, _ = metrics.two_sample_accuracy(one, blurred)
    assert told > 0.75


# Latent recovery


def test_latent_recovery_finds_what_a_linear_generator_can_make():
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 4)))[0].T.astype("float32")

    def generate(z):
        return tf.reshape(z @ directions, [-1, 4, 4, 1])

    z = normal(20, 4, 1).astype("float32")
    reachable = generate(tf.constant(z)).numpy()
    candidates = normal(1024, 4, 2).astype("float32")
    assert metrics.recover_latents(generate, reachable, candidates, steps=300)[1].mean() < 1e-4
    # What lies beside the plane of its images stays as error: its squared length over 16 pixels.
    aside = np.random.default_rng(2).standard_normal((20, 16)).astype("float32")
    aside -= aside @ directions.T @ directions
    _, errors = metrics.recover_latents(generate, reachable + aside.reshape(20, 4, 4, 1), candidates, steps=300)
    assert errors.mean() == pytest.approx((aside**2).mean(), rel=1e-3)


def test_more_starts_find_more_and_weights_count():
    def valleys(z):  # two of them: at -1, and a deeper one at 2
        return tf.where(z < 0.5, 0.1 + (z + 1) ** 2, (z - 2) ** 2)

    zero, candidates = np.zeros((1, 1), "float32"), np.float32([[-1.2], [1.0], [3.5]])
    for starts, latent, error in ((1, -1.0, 0.01), (2, 2.0, 0.0)):
        latents, errors = metrics.recover_latents(valleys, zero, candidates, starts, learning_rate=0.05)
        assert latents[0, 0] == pytest.approx(latent, abs=0.2) and errors[0] == pytest.approx(error, abs=2e-3)
    # Two pixels ask for different latents: the weighted mean is between.
    goals = np.float32([[1.0, 5.0]])

    def generate(z):
        return z * tf.ones((1, 2))

    latents, errors = metrics.recover_latents(generate, goals, candidates, weights=np.float32([3, 1]), steps=300)
    assert latents[0, 0] == pytest.approx(2.0, abs=1e-2)
    assert errors[0] == pytest.approx((1.5 * 1 + 0.5 * 9) / 2, rel=1e-3)
    stays, _ = metrics.recover_latents(generate, goals, candidates, free=[False])
    assert stays[0, 0] in candidates


def test_the_nearest_candidate_is_weighted_too():
    goals, candidates = np.float32([[0, 0], [1, 9]]), np.array([[1.0, 3.0], [2.0, 1.0], [0.0, 9.0]])
    for weights, nearest, errors in (
        (None, [1, 2], [2.5, 0.5]),
        ([3, 1], [0, 2], [(1.5 * 1 + 0.5 * 9) / 2, 0.75]),
        ([[0, 1], [1, 0]], [1, 0], [1, 0]),
    ):
        weights = None if weights is None else np.float32(weights)
        latents, found = metrics.recover_latents(lambda z: z, goals, candidates, steps=0, weights=weights)
        assert (latents == candidates[nearest]).all() and found == pytest.approx(errors)


# Bad input


GOOD = normal(30, 4, 0)
NAN = np.where(np.arange(30)[:, None] == 7, np.nan, GOOD)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: metrics.frechet_distance(GOOD, NAN), "generated contains NaN"),
        (lambda: metrics.frechet_distance(GOOD, GOOD[:1]), "at least 2 rows"),
        (lambda: metrics.frechet_distance(GOOD, GOOD[:, :3]), "one width"),
        (lambda: metrics.frechet_distance(GOOD[0], GOOD), "must be a numeric array"),
        (lambda: metrics.Moments().covariance, "at least 2 rows"),
        (lambda: metrics.kernel_distance(NAN, GOOD), "real contains NaN"),
        (lambda: metrics.kernel_distance(np.ones((30, 4)), GOOD), "All rows of real are the same"),
        (lambda: metrics.classifier_score(GOOD), "sum to 1"),
        (lambda: metrics.class_shares(GOOD), "sum to 1"),
        (lambda: metrics.classifier_score(np.full((20, 10), 0.1), batch=32), "at least 32 rows"),
        (lambda: metrics.label_accuracy(np.full((3, 2), 0.5), np.array([0, 1, 2])), "integers from 0 to 1"),
        (lambda: metrics.precision_recall(GOOD[:3], GOOD), "at least 4 rows"),
        (lambda: metrics.density_coverage(GOOD, GOOD, k=0), "k is the number"),
        (lambda: metrics.density_coverage(GOOD, NAN), "NaN"),
        (lambda: metrics.density_coverage(np.ones((30, 4)), GOOD), "All rows of real are the same"),
        (lambda: metrics.parzen_log_likelihood(GOOD, GOOD, 0.2), r"must be in \[0, 1\]"),
        (lambda: metrics.parzen_log_likelihood(GOOD * 0, abs(GOOD) / 9, 0.0), "above 0"),
        (lambda: metrics.nearest_neighbours(GOOD, GOOD.astype("float32")), "of one type"),
        (lambda: metrics.nearest_neighbours(GOOD, GOOD[:, :2]), "one type and shape"),
        (lambda: metrics.mode_counts(GOOD, GOOD[:, :2], 0.1), "columns"),
        (lambda: metrics.mode_counts(GOOD, GOOD, 0.0), "deviation must be above 0"),
        (lambda: metrics.kl_from_uniform(np.array([5]), 5), "integers"),
        (lambda: metrics.wasserstein_1d(GOOD, GOOD), "one-dimensional"),
        (lambda: metrics.wasserstein_1d(np.array([]), np.array([1.0])), "at least 1 rows"),
        (lambda: metrics.sliced_wasserstein(GOOD, GOOD[:, :2]), "columns"),
        (lambda: metrics.two_sample_accuracy(np.zeros((9, 8, 8, 1)), np.ones((9, 8, 8, 1))), "at least 20"),
        (lambda: metrics.recover_latents(lambda z: z, np.zeros((2, 3)), np.zeros((4, 2))), "of shape"),
        (lambda: metrics.recover_latents(lambda z: z * np.nan, np.zeros((2, 2)), np.zeros((4, 2))), "made NaN"),
        (lambda: metrics.recover_latents(lambda z: z, np.zeros((2, 2), "uint8"), np.zeros((4, 2))), "finite floats"),
        (lambda: metrics.recover_latents(lambda z: z, np.zeros((2, 3)), np.zeros((4, 3)), starts=5), "Received: starts=5"),
        (lambda: metrics.kernel_distance(GOOD, GOOD, block=1), "2 or more"),
        (lambda: metrics.classifier_score(np.full((20, 10), 0.1), batch=0), "2 or more"),
        (lambda: metrics.parzen_log_likelihood(abs(GOOD) / 9, abs(GOOD) / 9, np.inf), "above 0 and finite"),
        (lambda: metrics.nearest_neighbours(GOOD, GOOD[:9], exclude_self=True), "30 of 9"),
        (lambda: metrics.two_sample_accuracy(np.full((30, 8, 8, 1), -1.0), np.ones((30, 8, 8, 1))), "in .0, 1."),
        (lambda: metrics.two_sample_accuracy(np.ones((30, 8, 8, 1)), np.ones((30, 8, 8, 1), "uint8")), "of one type"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_matched_errors_are_those_of_the_best_permutation():
    random = np.random.default_rng(0)
    labels, found = random.integers(0, 4, 200), random.integers(0, 4, 200)
    by_hand = min(sum(np.array(p)[found] != labels) for p in itertools.permutations(range(4)))
    assert metrics.matched_errors(found, labels) == by_hand
    assert metrics.matched_errors(np.array([3, 1, 0, 2])[labels], labels) == 0
    # Two classes in one group, and a group that is not needed: one of the classes is lost.
    assert metrics.matched_errors([0, 0, 0, 1, 2], [0, 0, 1, 2, 2]) == 2
    with pytest.raises(ValueError, match=r"Received: shapes \(2,\) and \(3,\)"):
        metrics.matched_errors([0, 1], [0, 1, 2])
