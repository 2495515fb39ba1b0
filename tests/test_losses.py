import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from gan_keras import losses

# TF-GAN's golden inputs, asymmetric and large (losses_test.py).
REAL = np.array([-5.0, 1.4, 12.5, 2.7], "float32")
FAKE = np.array([10.0, 4.4, -5.5, 3.6], "float32")

ALL = ["minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "jeffreys", "relativistic"]


def value(tensor):
    return float(ops.convert_to_numpy(tensor))


def slope(function, score):
    score = tf.Variable([float(score)])
    with tf.GradientTape() as tape:
        loss = function(score)
    return float(tape.gradient(loss, score)[0])


@pytest.mark.parametrize(
    "loss, discriminator, generator",
    [
        # TF-GAN smooths labels by 0.25 in both directions, which is a one-sided 0.125; its generator does not.
        (losses.NonSaturating(label_smoothing=0.125), 6.19637, 1.38582),
        # TF-GAN's minimax generator adds the constant softplus(-1): its "real" scores are ones.
        (losses.Minimax(label_smoothing=0.125), 6.19637, -4.82408 + np.log1p(np.exp(-1.0))),
        (losses.LeastSquares(), 41.73375, 17.69625),
        (losses.Hinge(), 6.75, -3.125),
        (losses.Wasserstein(), 0.225, -3.125),
    ],
)
def test_golden_values_of_tf_gan(loss, discriminator, generator):
    assert value(loss.discriminator(REAL, FAKE)) == pytest.approx(discriminator, abs=1e-5)
    assert value(loss.generator(REAL, FAKE)) == pytest.approx(generator, abs=1e-5)


def test_logistic_losses_are_cross_entropies():
    def sigmoid(s):
        return 1.0 / (1.0 + np.exp(-s.astype("float64")))

    loss = losses.NonSaturating()
    assert value(loss.real(REAL)) == pytest.approx(-np.log(sigmoid(REAL)).mean(), rel=1e-6)
    assert value(loss.fake(FAKE)) == pytest.approx(-np.log(1 - sigmoid(FAKE)).mean(), rel=1e-6)
    smooth = losses.NonSaturating(label_smoothing=0.1)
    expected = -(0.9 * np.log(sigmoid(REAL)) + 0.1 * np.log(1 - sigmoid(REAL))).mean()
    assert value(smooth.real(REAL)) == pytest.approx(expected, rel=1e-5)
    assert value(smooth.fake(FAKE)) == value(loss.fake(FAKE)), "one-sided: the fake target stays 0"


def test_non_saturating_is_kl_from_the_label_to_the_probability():
    # T0: "generator: KL(label || probability)". KL(delta_1 || Bernoulli(p)) = 1 log(1 / p) + 0.
    p = 1.0 / (1.0 + np.exp(-FAKE.astype("float64")))
    assert value(losses.NonSaturating().fool(FAKE)) == pytest.approx(np.mean(1.0 * np.log(1.0 / p)), rel=1e-6)


def functions(loss):
    """The discriminator's loss as a function of the real scores and of the fake ones, and the generator's of the fake ones."""
    zero = np.zeros(1, "float32")
    return (
        lambda scores: loss.discriminator(scores, zero),
        lambda scores: loss.discriminator(zero, scores),
        lambda scores: loss.generator(zero, scores),
    )


@pytest.mark.parametrize("name", ALL)
def test_finite_with_finite_slopes_from_minus_100_to_100(name):
    loss = losses.get(name)
    for function in functions(loss):
        for score in (-100.0, -30.0, -1.0, 0.0, 1.0, 30.0, 100.0):
            assert np.isfinite(value(function(np.array([score], "float32"))))
            assert np.isfinite(slope(function, score))


@pytest.mark.parametrize("name", ALL)
def test_players_pull_the_right_way(name):
    loss = losses.get(name)
    real, fake, generator = functions(loss)
    for score in (-0.9, -0.1, 0.1, 0.4):
        assert slope(real, score) < 0, "the discriminator raises real scores"
        assert slope(fake, score) > 0 or (name == "least_squares" and score <= 0), "and lowers fake ones"
        assert slope(generator, score) < 0, "the generator raises them"


def test_slopes_where_the_generator_is_worst():
    assert slope(losses.NonSaturating().fool, -30.0) == pytest.approx(-1.0)
    assert slope(losses.Minimax().fool, -30.0) == pytest.approx(0.0, abs=1e-9), "the vanishing gradient"
    assert slope(losses.Jeffreys().fool, -30.0) == pytest.approx(-0.5)
    assert slope(losses.NonSaturating().real, -100.0) == pytest.approx(-1.0)
    assert slope(losses.NonSaturating().fake, 100.0) == pytest.approx(1.0)


def test_jeffreys_slopes_are_monotone_past_the_bound():
    generator = losses.Jeffreys(max_log_ratio=3.0).fool
    assert slope(generator, 2.0) == pytest.approx(-(1 + np.exp(2.0)) / 2, rel=1e-6)
    assert slope(generator, 50.0) == pytest.approx(-(1 + np.exp(3.0)) / 2, rel=1e-6)
    assert value(generator(np.array([50.0], "float32"))) == pytest.approx(-(50 + np.exp(3.0) * 48) / 2, rel=1e-6)


# Two Gaussians p = N(0, 1) and g = N(m, 1): the optimal score is log p(x) / g(x) = m^2 / 2 - m x.
M = 0.7
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def test_jeffreys_generator_descends_the_symmetric_divergence_of_gaussians():
    # KL(g, p) = KL(p, g) = m^2 / 2, so the gradient of their mean by m is m. Samples x = m + e move with m; the score is fixed.
    m = tf.Variable(M, dtype="float64")
    with tf.GradientTape() as tape:
        score = M**2 / 2 - M * (m + NODES)
        terms = [losses.Jeffreys().fool(score[k : k + 1]) for k in range(len(NODES))]
        loss = tf.reduce_sum(tf.stack(terms) * WEIGHTS)
    assert float(tape.gradient(loss, m)) == pytest.approx(M, rel=1e-6)


def test_non_saturating_and_minimax_gradients_on_gaussians():
    # At the optimal score the minimax generator descends 2 JS - log 4, whose gradient by m is E_g[(s'(x)) (-sigmoid(s))].
    def gradient(loss):
        m = tf.Variable(M, dtype="float64")
        with tf.GradientTape() as tape:
            score = M**2 / 2 - M * (m + NODES)
            terms = [loss.fool(score[k : k + 1]) for k in range(len(NODES))]
            total = tf.reduce_sum(tf.stack(terms) * WEIGHTS)
        return float(tape.gradient(total, m))

    def js(m):
        x = np.linspace(-12, 12, 20001)
        p, g = np.exp(-(x**2) / 2), np.exp(-((x - m) ** 2) / 2)
        p, g = p / np.trapezoid(p, x), g / np.trapezoid(g, x)
        mix = (p + g) / 2
        return 0.5 * np.trapezoid(p * np.log(p / mix), x) + 0.5 * np.trapezoid(g * np.log(g / mix), x)

    numeric = 2 * (js(M + 1e-4) - js(M - 1e-4)) / 2e-4
    assert gradient(losses.Minimax()) == pytest.approx(numeric, rel=1e-5)
    assert gradient(losses.NonSaturating()) > gradient(losses.Minimax()) > 0, "same direction, longer step"


def test_accuracies_by_the_boundary_of_each_loss():
    real, fake = np.array([0.2, 0.6, 3.0], "float32"), np.array([-1.0, 0.4, 1.0], "float32")

    def accuracies(name):
        return {key: value(metric) for key, metric in losses.get(name).metrics(real, fake).items()}

    assert accuracies("hinge") == pytest.approx({"d_acc_real": 1.0, "d_acc_fake": 1 / 3})
    assert accuracies("least_squares") == pytest.approx({"d_acc_real": 2 / 3, "d_acc_fake": 2 / 3})
    midpoint = (real.mean() + fake.mean()) / 2  # 0.7: a critic's scores have no fixed zero
    assert accuracies("wasserstein") == pytest.approx(
        {"d_acc_real": 1 / 3, "d_acc_fake": 2 / 3, "wasserstein": real.mean() - fake.mean()}
    )
    assert 0.6 < midpoint < 1.0


def test_minimax_value_at_the_optimum_is_minus_log_4():
    zero = np.zeros(5, "float32")
    assert -value(losses.Minimax().discriminator(zero, zero)) == pytest.approx(-np.log(4.0))


@pytest.mark.parametrize("name", [*ALL, "discriminator_only"])
def test_get_and_serialization(name):
    import keras

    loss = losses.get(name)
    assert losses.get(loss) is loss
    copy = losses.get(keras.saving.serialize_keras_object(loss))
    assert type(copy) is type(loss) and copy.get_config() == loss.get_config()
    assert value(copy.discriminator(REAL, FAKE)) == value(loss.discriminator(REAL, FAKE))


def test_configured_values_survive_serialization():
    import keras

    loss = losses.Jeffreys(label_smoothing=0.2, max_log_ratio=5.0)
    copy = losses.get(keras.saving.serialize_keras_object(loss))
    assert copy.get_config() == {"label_smoothing": 0.2, "max_log_ratio": 5.0}


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: losses.get("hing"), "Did you mean 'hinge'"),
        (lambda: losses.get(3), "Received: 3"),
        (lambda: losses.NonSaturating(label_smoothing=1.0), r"\[0, 1\)"),
        (lambda: losses.Jeffreys(max_log_ratio=100.0), r"\(0, 80\]"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_relativistic_loss_of_equal_networks_is_log_2():
    loss = losses.get("relativistic")
    for player in (loss.discriminator, loss.generator):
        assert value(player(REAL, REAL)) == pytest.approx(np.log(2.0), rel=1e-6)


def test_the_relativistic_loss_compares_pairs():
    # By hand, in float64: softplus of the difference of each pair.
    difference = REAL.astype("float64") - FAKE
    loss = losses.Relativistic()
    assert value(loss.discriminator(REAL, FAKE)) == pytest.approx(np.logaddexp(0, -difference).mean(), rel=1e-6)
    assert value(loss.generator(REAL, FAKE)) == pytest.approx(np.logaddexp(0, difference).mean(), rel=1e-6)
    # A mean over other pairs is another number.
    assert value(loss.discriminator(REAL, FAKE)) != pytest.approx(value(loss.discriminator(REAL, FAKE[::-1])), rel=0.01)


def test_a_constant_that_is_added_to_all_scores_changes_nothing_of_the_relativistic_loss():
    loss, real, fake = losses.Relativistic(), np.float32([0.5, -2.0]), np.float32([1.0, 0.25])
    for constant in (-64.0, 8.0, 1024.0):  # exact in float32
        for player in (loss.discriminator, loss.generator):
            assert value(player(real + constant, fake + constant)) == value(player(real, fake))


def test_the_generators_relativistic_gradient_does_not_reach_the_real_scores():
    real, fake = tf.Variable(REAL), tf.Variable(FAKE)
    with tf.GradientTape() as tape:
        loss = losses.Relativistic().generator(real, fake)
    to_real, to_fake = tape.gradient(loss, [real, fake])
    assert to_real is None or not to_real.numpy().any()
    sigmoid = 1 / (1 + np.exp(-(REAL - FAKE).astype("float64")))
    np.testing.assert_allclose(to_fake, -sigmoid / 4, rtol=1e-5)


def test_discriminator_only_leaves_the_generator_to_the_terms():
    loss, logistic = losses.DiscriminatorOnly(), losses.NonSaturating()
    assert value(loss.discriminator(REAL, FAKE)) == value(logistic.discriminator(REAL, FAKE))
    fake = tf.Variable(FAKE)
    with tf.GradientTape() as tape:
        lost = loss.generator(REAL, fake)
    assert value(lost) == 0.0 and tape.gradient(lost, fake) is None
