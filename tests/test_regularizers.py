import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_discriminator, tiny_generator, tiny_images

import gan_keras
from gan_keras import losses, regularizers
from gan_keras.random import TRAINING, Random
from gan_keras.toys import TOYS

W = np.array([[0.3], [-1.2], [2.0]], "float32")
NORM = float(np.linalg.norm(W))


def linear(images):
    return tf.matmul(tf.reshape(images, (-1, 3)), W)


def images(n, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=(n, 3, 1, 1)), tf.float32)


def random():
    return Random(seed=0, stream=TRAINING, step=0)


class Pass:
    """A forward pass of a function as the discriminator."""

    step, labels, latents = 0, None, {}

    def __init__(self, discriminator, images, fake):
        self.discriminator, self.images, self.fake, self.random = discriminator, images, fake, random()

    def outputs(self, images):
        return {"score": self.discriminator(images)}

    def subset(self, every):
        return Pass(self.discriminator, self.images[::every], self.fake[::every])


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize(
    "penalty, expected",
    [
        (regularizers.GradientPenalty(10.0), 10 * (NORM - 1) ** 2),
        (regularizers.GradientPenalty(10.0, one_sided=True), 10 * (NORM - 1) ** 2),
        (regularizers.R1(3.0), 3 / 2 * NORM**2),
        (regularizers.R2(3.0), 3 / 2 * NORM**2),
        (regularizers.DRAGAN(10.0), 10 * (NORM - 1) ** 2),
    ],
)
def test_closed_form_on_a_linear_discriminator(penalty, expected, n):
    assert float(penalty(Pass(linear, images(n), images(n, 1)))) == pytest.approx(expected, rel=1e-5)


def test_a_one_sided_penalty_counts_norms_above_one_only():
    # D(x) = ||x||^2 / 2 has gradient norm ||x||, on both sides of 1.
    real, fake = images(200), images(200, 1)
    seen, expected = {}, {False: lambda excess: excess**2, True: lambda excess: np.maximum(excess, 0) ** 2}

    def half_square(x):
        seen["norms"] = np.linalg.norm(x.numpy().reshape(len(x), -1), axis=1)
        return tf.reduce_sum(x * x, axis=[1, 2, 3])[:, None] / 2

    for one_sided, of in expected.items():
        penalty = float(regularizers.GradientPenalty(1.0, one_sided=one_sided)(Pass(half_square, real, fake)))
        assert seen["norms"].min() < 0.8 and seen["norms"].max() > 1.2
        assert penalty == pytest.approx(of(seen["norms"] - 1).mean(), rel=1e-5)


def test_a_wrong_slope_on_an_interval_is_a_minimum_of_the_two_sided_penalty_only():
    # A critic of the line by its slope s_k on each of K intervals: D(x) = sum_k s_k clip(x - a_k, 0, width). Then
    #     loss(s) = -sum_k h_k s_k + weight sum_k r_k (|s_k| - 1)^2,
    # with h_k the real minus the generated mean of clip(...) and r_k the fraction of interpolates in the interval.
    real, shifted = TOYS["gaussians"].sample(4096)[0], 0.5 + np.random.default_rng(1).normal(size=(4096, 1))
    real, fake, weight = tf.constant(real), tf.constant(shifted, tf.float32), 10.0
    ends = np.linspace(-2.5, 3.5, 13).astype("float32")

    def parts(x):
        return tf.clip_by_value(x - ends[:-1], 0.0, np.diff(ends))

    def loss_and_gradient(slopes, one_sided):
        slopes = tf.Variable(slopes, dtype=tf.float32)

        def critic(x):
            return tf.reduce_sum(slopes * parts(x), axis=1, keepdims=True)

        with tf.GradientTape() as tape:
            value = losses.Wasserstein().discriminator(critic(real), critic(fake))
            value += regularizers.GradientPenalty(weight, one_sided=one_sided)(Pass(critic, real, fake))
        return float(value), tape.gradient(value, slopes).numpy()

    between = seen_by(regularizers.GradientPenalty(), real, fake, critic=lambda x: x)
    fraction = np.histogram(between, ends)[0] / len(between)
    h = tf.reduce_mean(parts(real), axis=0).numpy() - tf.reduce_mean(parts(fake), axis=0).numpy()
    excess = h / (2 * weight * fraction)
    assert (np.abs(excess) < 0.2).all(), "the penalty is the stronger everywhere"
    right, wrong = np.sign(h) + excess, np.where(h > 0, -1 + excess, np.sign(h) + excess)
    assert 3 <= np.sum(right != wrong) <= 9, "an interval of some length, of all"
    # Both are stationary, and of all critics near by the wrong one is the best.
    random = np.random.default_rng(2)
    for slopes in (right, wrong):
        value, gradient = loss_and_gradient(slopes, one_sided=False)
        assert np.abs(gradient).max() < 1e-4
        assert all(loss_and_gradient(slopes + random.normal(0, 0.3, 12).clip(-0.7, 0.7), False)[0] > value for _ in range(20))
    assert h @ wrong < 0.4 * h @ right, "what it loses of the distance"
    # One-sided the right slopes are stationary as before, and the wrong ones are pulled with the full force of the loss.
    assert np.abs(loss_and_gradient(right, one_sided=True)[1]).max() < 1e-4
    gradient = loss_and_gradient(wrong, one_sided=True)[1]
    np.testing.assert_allclose(gradient, np.where(right != wrong, -h, 0.0), atol=1e-4)


@pytest.mark.parametrize(
    "start, one_sided, end",
    [
        ([-1.0], False, [-0.95]),  # stays: a slope of 0, on the way, costs the full penalty
        ([-1.0], True, [1.05]),
        ([-1.0, 0.05], False, [1.05, 0.0]),  # turns round, and the norm stays 1
        ([-1.0, 0.05], True, [1.05, 0.0]),
    ],
)
def test_a_critic_of_the_line_stays_where_one_of_the_plane_turns_round(start, one_sided, end):
    # D(x) = w x, real at 1 and generated at 0: the loss is -w_1 + 10 (||w|| - 1)^2, and W1 = 1.
    w = tf.Variable(start)
    real = tf.one_hot(tf.zeros(2, tf.int32), len(start))
    penalty = regularizers.GradientPenalty(10.0, one_sided=one_sided)

    def critic(x):
        return tf.linalg.matvec(x, w)[:, None]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = losses.Wasserstein().discriminator(critic(real), critic(0 * real))
            loss += penalty(Pass(critic, real, 0 * real))
        w.assign_sub(0.05 * tape.gradient(loss, w))

    for _ in range(300):
        step()
    assert w.numpy() == pytest.approx(end, abs=1e-3)


def test_gradients_are_each_examples_own():
    # D(x) = ||x||^2 has gradient norm 2 ||x||: the mean of squares differs from the square of the mean.
    real = images(5)
    norms = np.linalg.norm(real.numpy().reshape(5, -1), axis=1)
    penalty = regularizers.R1(1.0)(Pass(lambda x: tf.reduce_sum(x * x, axis=[1, 2, 3])[:, None], real, real))
    assert float(penalty) == pytest.approx(np.mean((2 * norms) ** 2) / 2, rel=1e-5)


def test_r1_looks_at_the_data_and_r2_at_what_is_generated():
    real, fake = images(5), images(5, 1)
    assert (seen_by(regularizers.R1(), real, fake) == real.numpy()).all()
    assert (seen_by(regularizers.R2(), real, fake) == fake.numpy()).all()


def seen_by(penalty, real, fake, critic=linear):
    seen = []

    def discriminator(x):
        seen.append(x)
        return critic(x)

    penalty(Pass(discriminator, real, fake))
    return seen[0].numpy()


def test_gradient_penalty_interpolates_each_example_with_its_own_uniform_weight():
    n = 4000
    real, fake = images(n), images(n, 1) + 5.0
    weights = (seen_by(regularizers.GradientPenalty(), real, fake) - real) / (fake - real)
    weights = np.asarray(weights).reshape(n, 3)
    assert np.allclose(weights, weights[:, :1], atol=1e-3), "one weight for all pixels of an example"
    assert weights.min() > -1e-3 and weights.max() < 1 + 1e-3, "between real and fake, not N(0, 1)"
    quartiles = np.quantile(weights[:, 0], [0.25, 0.5, 0.75])
    assert np.allclose(quartiles, [0.25, 0.5, 0.75], atol=0.03), "uniform"


def test_dragan_looks_near_the_data_and_not_at_fakes():
    real, fake = images(500), images(500, 1) + 100.0
    offset = seen_by(regularizers.DRAGAN(scale=0.5), real, fake) - real.numpy()
    bound = 0.5 * real.numpy().std()
    assert offset.min() >= 0 and 0.9 * bound < offset.max() <= bound * (1 + 1e-5)


@pytest.mark.parametrize(
    "penalty",
    [
        regularizers.GradientPenalty(),
        regularizers.GradientPenalty(one_sided=True),
        regularizers.R1(),
        regularizers.R2(),
        regularizers.DRAGAN(),
    ],
)
def test_a_flat_discriminator_gives_finite_gradients(penalty):
    # Slope 0 everywhere: without epsilon inside the root the gradient is NaN.
    w = tf.Variable(np.zeros((3, 1), "float32"))
    with tf.GradientTape() as tape:
        loss = penalty(Pass(lambda x: tf.matmul(tf.reshape(x, (-1, 3)), w), images(4), images(4, 1)))
    assert np.isfinite(tape.gradient(loss, w)).all()


def test_weight_clipping_projects():
    variable = keras.Variable(np.array([-3.0, -0.005, 0.0, 0.005, 3.0], "float32"))
    regularizers.WeightClipping(0.01).project([variable])
    assert np.allclose(variable.numpy(), [-0.01, -0.005, 0.0, 0.005, 0.01])


def test_weight_clipping_leaves_the_networks_beside_the_critic():
    images = keras.Input((8, 8, 1))
    beside = keras.Model(images, keras.layers.Dense(3)(keras.layers.Flatten()(images)))
    gan = gan_keras.GAN(tiny_generator(), tiny_discriminator(), with_discriminator={"beside": beside})
    gan.compile("adam", "adam", loss="wasserstein", regularizers=[regularizers.WeightClipping(0.01), Beside()])
    before = beside.get_weights()[0]
    gan.train_on_batch(tiny_images(8))
    assert all(np.abs(w).max() <= 0.01 + 1e-7 for w in gan.discriminator.get_weights())
    assert np.abs(beside.get_weights()[0]).max() > 0.1 and (beside.get_weights()[0] != before).any()


class Beside(regularizers.Term):
    """A term of a network beside the discriminator."""

    name = "beside"

    def term(self, forward):
        return tf.reduce_mean(tf.square(forward.network("beside", forward.images)))


@pytest.mark.parametrize(
    "regularizer",
    [
        regularizers.GradientPenalty(3.0),
        regularizers.GradientPenalty(3.0, one_in=2, one_sided=True),
        regularizers.R1(2.0, one_in=4),
        regularizers.DRAGAN(4.0, scale=0.3),
        regularizers.WeightClipping(0.02),
        regularizers.R2(2.0, one_in=4),
        regularizers.HistoricalAveraging(0.1),
        regularizers.FeatureMatching(0.5, head="hidden"),
        regularizers.MutualInformation(0.1, code="style"),
        regularizers.MutualInformation(0.1, code="style", head="q"),
        regularizers.Classification(2.0, one_in=2, on="generated", head="class"),
        regularizers.Consistency(5.0, one_in=2, head="class", activation="softmax", average=True),
    ],
)
def test_serialization(regularizer):
    copy = regularizers.get(keras.saving.serialize_keras_object(regularizer))
    assert type(copy) is type(regularizer) and copy.get_config() == regularizer.get_config()
    assert vars(copy) == vars(regularizer)


@keras.saving.register_keras_serializable(package="tests")
class OfAUser(regularizers.Term):
    """Knows nothing of `every`."""

    name = "of_a_user"

    def __init__(self, weight):
        super().__init__(weight)

    def term(self, forward):
        return tf.reduce_mean(forward.outputs(forward.images)["score"])


def test_a_weight_may_follow_the_steps():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([10], [4.0, 1.0])
    term = regularizers.R1(schedule, one_in=2)
    made = regularizers.get(keras.saving.serialize_keras_object(term))
    plain = float(regularizers.R1(1.0, one_in=2)(Pass(linear, images(6), images(6, 1))))
    for regularizer in (term, made):
        for step, weight in ((0, 4.0), (11, 1.0)):
            forward = Pass(linear, images(6), images(6, 1))
            forward.step = step
            assert float(regularizer(forward)) == pytest.approx(weight * plain, rel=1e-6)


def test_models_of_earlier_versions_are_read():
    saved = {"module": None, "class_name": "R1", "config": {"weight": 2.0, "every": 4}, "registered_name": "gan_keras>R1"}
    copy = keras.saving.deserialize_keras_object(saved)
    assert type(copy) is regularizers.R1 and (copy.weight, copy.one_in) == (2.0, 4)
    saved |= {"class_name": "GradientPenalty", "registered_name": "gan_keras>GradientPenalty", "config": {"weight": 3.0}}
    assert keras.saving.deserialize_keras_object(saved).one_sided is False

    class Lazy(regularizers.R1):  # of a user's own, with an argument of that name
        def __init__(self, weight, every=4):
            super().__init__(weight)
            self.every = every

    assert Lazy.from_config({"weight": 1.0, "every": 2}).every == 2


def test_a_penalty_of_a_users_own_is_saved_and_loaded():
    copy = regularizers.get(keras.saving.serialize_keras_object(OfAUser(2.0)))
    assert type(copy) is OfAUser and (copy.weight, copy.one_in) == (2.0, 1)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: regularizers.get("gradient_penality"), "Did you mean 'gradient_penalty'"),
        (lambda: regularizers.R1(-1.0), "weight=-1"),
        (lambda: regularizers.R1("2"), "weight='2'"),
        (lambda: regularizers.R1(float("inf")), "weight=inf"),
        (lambda: regularizers.WeightClipping(0.0), "limit=0.0"),
        (lambda: regularizers.WeightClipping(None), "limit=None"),
        (lambda: regularizers.DRAGAN(scale=0.0), "scale=0.0"),
        (lambda: regularizers.R1(one_in=0), "one_in must be an integer of 1 or more. Received: one_in="),
        (lambda: regularizers.R1(one_in=True), "one_in must be an integer of 1 or more. Received: one_in="),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
