"""The evaluation as a whole: that its figures say what they are meant to say, and refuse what they cannot measure."""

import keras
import numpy as np
import pytest
from helpers import LATENT_DIM, tiny_discriminator, tiny_gan, tiny_generator, tiny_images
from keras import layers

import gan_keras
from gan_keras import callbacks, data, evaluation, metrics, networks
from gan_keras.toys import TOYS

FAST = ["frechet", "kernel", "score", "manifold", "memorisation"]


@pytest.fixture(scope="module")
def evaluator():
    return evaluation.Evaluator(data.load("mnist", "train[:4000]")[0], data.load("mnist", "test[:2000]")[0])


def values(evaluator, images, groups=FAST):
    figures = evaluator.metrics(evaluator.describe([(images, None)]), groups)
    return {name: value for name, (value, _) in figures.items()}


@pytest.fixture(scope="module")
def sets(evaluator):
    """Sets of 2,000 samples whose faults are known, and their figures."""
    rng = np.random.default_rng(0)
    fresh = data.load("mnist", "train[10000:12000]")[0]
    few = fresh[rng.integers(5, size=2000)].astype(int) + rng.integers(-3, 4, (2000, 28, 28, 1))
    images = {
        "fresh": fresh,
        "collapsed": np.clip(few, 0, 255).astype("uint8"),
        "memorised": evaluator.train[rng.integers(4000, size=2000)],
        "noise": rng.integers(0, 256, (2000, 28, 28, 1)).astype("uint8"),
        "mean": np.clip(evaluator.train.mean(axis=0) + rng.integers(-3, 4, (2000, 28, 28, 1)), 0, 255).astype("uint8"),
    }
    return {name: values(evaluator, x) for name, x in images.items()}


def test_identical_sets_are_at_distance_zero(evaluator):
    figures = values(evaluator, evaluator.test)
    assert figures["frechet_distance"] < 1e-6
    # Blocks of 1,000 images against blocks of the same ones in another order.
    x = evaluator.reference.features.astype(float)
    y = x[np.random.default_rng(evaluator.seed).permutation(len(x))]

    def kernel(a, b):
        return (a @ b.T / 64 + 1) ** 3

    def of_two(k):
        return (k.sum() - np.trace(k)) / (1000 * 999)

    blocks = [(x[:1000], y[:1000]), (x[1000:], y[1000:])]
    expected = np.mean([of_two(kernel(a, a)) + of_two(kernel(b, b)) - 2 * kernel(a, b).mean() for a, b in blocks])
    assert figures["kernel_distance"] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert figures["precision"] == figures["recall"] == figures["coverage"] == 1.0
    assert figures["test_neighbour_mse"] == 0.0


def test_fresh_digits_are_near_the_ceiling(evaluator, sets):
    ceiling = {name: value for name, (value, _) in evaluator.real(2000, FAST).items()}
    for name in ("precision", "recall", "coverage", "memorisation_ratio"):
        assert sets["fresh"][name] == pytest.approx(ceiling[name], abs=0.06)
    assert ceiling["memorisation_ratio"] > 0.6  # a training image is not its own neighbour
    bias = metrics.frechet_bias(np.cov(evaluator.reference.features.T), 2000, 2000)
    assert bias * 0.7 < sets["fresh"]["frechet_distance"] < bias * 3


def test_a_collapsed_generator_is_precise_and_covers_nothing(sets):
    assert sets["collapsed"]["precision"] > 0.7 and sets["collapsed"]["coverage"] < 0.1
    assert sets["collapsed"]["recall"] < 0.1
    assert sets["collapsed"]["frechet_distance"] > 20 * sets["fresh"]["frechet_distance"]


def test_memorising_is_caught_by_the_ratio_alone(sets):
    assert sets["memorised"]["memorisation_ratio"] == 0.0
    assert sets["memorised"]["coverage"] > 0.8 and sets["memorised"]["frechet_distance"] < 1.0


def test_noise_is_worst(sets):
    for name, figures in sets.items():
        if name != "noise":
            assert figures["frechet_distance"] < sets["noise"]["frechet_distance"]
            assert figures["train_neighbour_mse"] < sets["noise"]["train_neighbour_mse"]
    assert sets["noise"]["precision"] < 0.05 and sets["noise"]["coverage"] < 0.05


def test_a_mean_digit_does_not_win(sets):
    assert sets["mean"]["train_neighbour_mse"] > sets["fresh"]["train_neighbour_mse"]
    assert sets["mean"]["frechet_distance"] > 20 * sets["fresh"]["frechet_distance"]
    assert sets["mean"]["classifier_score"] < 2 < 9 < sets["fresh"]["classifier_score"]


def test_sure_samples_and_even_classes(sets, evaluator):
    assert sets["fresh"]["sure_share"] > 0.97 and sets["fresh"]["share_gap"] < 0.03
    assert sets["mean"]["share_gap"] > 0.8
    shares = np.linspace(0.05, 0.15, 10)
    p = np.eye(10)[np.repeat(np.arange(10), np.round(1000 * shares).astype(int))]
    sure = np.where(np.arange(len(p)) % 4, 0.91, 0.89)[:, np.newaxis]
    p = p * sure + (1 - p) * (1 - sure) / 9
    samples = evaluation.Samples(evaluator.test[: len(p)], np.zeros((len(p), 2)), p)
    figures = evaluator.metrics(samples, ["score"])
    read = np.bincount(evaluator.reference.probabilities.argmax(axis=1), minlength=10) / len(evaluator.test)
    assert figures["share_gap"][0] == pytest.approx(abs(np.bincount(p.argmax(axis=1)) / len(p) - read).max())
    assert figures["sure_share"][0] == 0.75


def test_the_order_of_samples_does_not_count(evaluator):
    found = []
    for labels in (np.arange(960) % 10, np.sort(np.arange(960) % 10)):  # even in each batch, or of one kind
        p = np.full((960, 10), 0.001) + 0.99 * np.eye(10)[labels]
        features = 10 * np.eye(64)[labels]
        samples = evaluation.Samples(evaluator.test[:960], features, p / p.sum(axis=1, keepdims=True))
        figures = evaluator.metrics(samples, ["score", "kernel"])
        found.append([figures[name][0] for name in ("classifier_score_32", "kernel_distance")])
    in_turn, sorted_ = found
    assert in_turn == pytest.approx(sorted_, rel=0.05) and 7 < in_turn[0] < 9


def test_groups_are_names(evaluator):
    with pytest.raises(ValueError, match="Did you mean 'frechet'"):
        evaluator.real(100, ["frechett"])
    assert set(evaluator.real(100, "frechet")) == {"frechet_distance"}


def test_the_other_groups(evaluator):
    small = evaluation.Evaluator(evaluator.train[:1500], evaluator.train[1500:3000])
    figures = small.real(1000, ["parzen", "two_sample"])
    likelihood, error = figures["parzen_log_likelihood"]
    assert 50 < likelihood < 260 and 0 < error < 20
    assert abs(figures["two_sample_accuracy"][0] - 0.5) < 0.08


def test_latents_are_searched_under_the_label_that_is_read(evaluator):
    digits = evaluator.test[:64]
    read = evaluator.reference.probabilities[:64].argmax(axis=1)
    prototypes = np.stack([digits[read == k].mean(axis=0) if k in read else digits[0] for k in range(10)]) / np.float32(255)
    z, label = keras.Input((2,)), keras.Input((), dtype="int32")
    mean = layers.Embedding(10, 784, weights=[prototypes.reshape(10, 784)])(
        label
    )  # the mean digit of a label, whatever the latent
    nothing = layers.Dense(784, use_bias=False, kernel_initializer="zeros")(z)
    generator = keras.Model([z, label], layers.Reshape((28, 28, 1))(layers.Add()([mean, nothing])))
    discriminator = gan_keras.networks.mlp_discriminator()
    gan = gan_keras.GAN(generator, discriminator, num_classes=10, value_range=(0.0, 1.0))
    found = evaluator.of_gan(gan, 100, ["latent"])
    expected = np.mean((digits / np.float32(255) - prototypes[read]) ** 2)
    assert found["latent_recovery_mse"][0] == pytest.approx(expected, rel=1e-5)
    assert expected < 0.9 * np.mean((digits / 255.0 - digits.mean(axis=0) / 255.0) ** 2)


def test_latents_are_searched_where_the_prior_draws_them():
    images = (tiny_images(300) * 127.5 + 127.5).astype("uint8")
    evaluator = evaluation.Evaluator(images[:200], images[200:], extractor=lambda x: x.reshape(len(x), -1)[:, ::8])
    prior = gan_keras.priors.Joint(code=gan_keras.priors.Categorical(LATENT_DIM))
    gan = gan_keras.GAN(tiny_generator(), tiny_discriminator(), prior=prior, num_classes=5)  # labels that a term may read
    found = evaluator.of_gan(gan, 100, ["latent"])["latent_recovery_mse"][0]
    made = gan(np.eye(LATENT_DIM, dtype="float32")).numpy()[:, None] / 2  # nothing but the eight codes
    errors = np.square(evaluator.test[:64] / 127.5 / 2 - 0.5 - made).mean(axis=(2, 3, 4))
    assert found == pytest.approx(errors.min(axis=0).mean(), rel=1e-4)


def test_a_gan_is_evaluated_in_batches_and_twice_the_same():
    images = (tiny_images(300) * 127.5 + 127.5).astype("uint8")
    evaluator = evaluation.Evaluator(images[:200], images[200:], extractor=lambda x: x.reshape(len(x), -1)[:, ::8])
    gan = tiny_gan()
    figures = evaluator.of_gan(gan, 600, seed=3)
    assert figures == evaluator.of_gan(gan, 600, seed=3)
    assert "latent_recovery_mse" in figures and "classifier_score" not in figures
    assert np.isfinite(figures["kernel_distance"]).all(), "two blocks at least, for an error"
    ceiling = evaluator.real(100)
    assert set(figures) - set(ceiling) == {"latent_recovery_mse"}
    assert "unnamed extractor" in evaluator.identity


def test_conditional_gans_are_measured_by_their_labels():
    images = (tiny_images(300) * 127.5 + 127.5).astype("uint8")

    def extractor(x):
        pixels = x.reshape(len(x), -1)[:, :3] + 1.0
        return pixels, pixels / pixels.sum(axis=1, keepdims=True)

    evaluator = evaluation.Evaluator(images[:200], images[200:], extractor=extractor)
    samples = evaluator.sample(tiny_gan(num_classes=3), 900)
    assert (np.bincount(samples.labels) == 300).all() and (samples.labels[:6] != np.arange(6) % 3).any()
    # A classifier that reads the right label from each image, and one that reads the next.
    for shift, accuracy in ((0, 1.0), (1, 0.0)):
        samples.probabilities = np.eye(3)[(samples.labels + shift) % 3]
        assert evaluator.metrics(samples, ["labels"])["label_accuracy"][0] == accuracy
    labels = np.arange(200) % 3
    evaluator = evaluation.Evaluator(images[:200], images[200:], extractor=extractor, train_labels=labels)
    read = extractor(images[:200])[1].argmax(axis=1)
    assert evaluator.real(200, ["labels"])["label_accuracy"][0] == pytest.approx(np.mean(read == labels))
    # Labels come as often as in training: here the first twice as often as each of the others.
    evaluator = evaluation.Evaluator(images[:200], images[200:], extractor=extractor, train_labels=np.arange(200) % 4 % 3)
    drawn = evaluator.sample(tiny_gan(num_classes=3), 1001).labels
    assert abs(np.bincount(drawn) - 1001 * np.array([0.5, 0.25, 0.25])).max() <= 1
    with pytest.raises(ValueError, match="'labels' need labels.*They need samples of a conditional GAN"):
        evaluator.of_gan(tiny_gan(), 90, ["labels"])


@pytest.mark.parametrize("classes", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_labels_that_the_extractor_does_not_read_are_left_out(classes):
    images = (tiny_images(300) * 127.5 + 127.5).astype("uint8")

    def extractor(x):
        pixels = x.reshape(len(x), -1)[:, :classes] + 1.0
        return pixels, pixels / pixels.sum(axis=1, keepdims=True)

    labels = np.arange(200) % 3
    evaluator = evaluation.Evaluator(images[:200], images[200:], extractor=extractor, train_labels=labels)
    gan = tiny_gan(num_classes=3)
    figures = evaluator.metrics(evaluator.sample(gan, 100))
    assert "classifier_score" in figures and not {"label_accuracy", "latent_recovery_mse"} & set(figures)
    with pytest.raises(ValueError, match="'labels' need labels.*an extractor of as many classes as it has"):
        evaluator.of_gan(gan, 100, ["labels"])
    assert "classifier_score" in evaluator.real(100)
    assert ("label_accuracy" in evaluator.real(100)) == (classes >= 3)
    assert (evaluator.describe([(images[:200], labels)]).labels is None) == (classes < 3)


def test_samples_stream(evaluator):
    images = data.load("mnist", "train[:600]")[0]
    whole = evaluator.describe([(images, None)])
    parts = evaluator.describe((images[k : k + 100], None) for k in range(0, 600, 100))
    np.testing.assert_array_equal(whole.features, parts.features)
    np.testing.assert_array_equal(whole.images, parts.images)


def test_toy_figures():
    ring, _ = TOYS["ring"].sample(2500, seed=9)
    good = evaluation.toy_metrics(TOYS["ring"], ring)
    assert good["modes"] == (8, None) and good["high_quality"][0] > 0.98 and good["wasserstein"][0] < 0.05
    collapsed = evaluation.toy_metrics(TOYS["ring"], np.tile(ring[:1], (2500, 1)))
    assert collapsed["modes"] == (1, None) and collapsed["wasserstein"][0] > 10 * good["wasserstein"][0]
    assert set(evaluation.toy_metrics(TOYS["swiss_roll"], ring)) == {"wasserstein"}


def test_stacked_figures(evaluator):
    digits, labels = data.load("mnist", "test[:1000]")
    stacked = np.concatenate([digits, digits[::-1], digits], axis=-1)
    figures = evaluation.stacked_metrics(stacked, evaluator.extractor)
    triples = np.unique(labels * 101 + labels[::-1] * 10)
    assert abs(figures["modes"][0] - len(triples)) <= 6
    one = evaluation.stacked_metrics(np.repeat(digits[:1], 50, axis=0).repeat(3, axis=-1), evaluator.extractor)
    assert one["modes"] == one["sure_modes"] == (1, None) and one["confidence"][0] > 0.9
    assert one["kl"][0] == pytest.approx(np.log(1000))
    noise = np.random.default_rng(0).integers(0, 256, (200, 28, 28, 3)).astype("uint8")
    junk = evaluation.stacked_metrics(noise, evaluator.extractor)
    assert junk["sure_modes"][0] <= junk["modes"][0] < 20


def test_the_best_model_is_kept_by_its_figure(tmp_path):
    images = (tiny_images(300) * 127.5 + 127.5).astype("uint8")
    evaluator = evaluation.Evaluator(images[:200], images[200:], extractor=lambda x: x.reshape(len(x), -1)[:, ::8])
    gan = tiny_gan()
    best = tmp_path / "best.keras"
    history = gan.fit(
        data.batches(images, batch_size=16),
        steps_per_epoch=5,
        epochs=5,
        verbose=0,
        callbacks=[
            callbacks.Evaluate(evaluator, every=2, n=200),
            keras.callbacks.ModelCheckpoint(best, monitor="frechet_distance", mode="min", save_best_only=True),
        ],
    ).history["frechet_distance"]
    assert history[0] != history[1] == history[2] != history[3] == history[4]  # the newest stand in the epochs between
    kept = keras.models.load_model(best)
    assert evaluator.of_gan(kept, 200, ["frechet"])["frechet_distance"][0] == min(history)


DIGITS = np.random.default_rng(0).integers(0, 256, (30, 28, 28, 1)).astype("uint8")


@pytest.mark.parametrize(
    "images, message",
    [
        (DIGITS / 255.0, "must be uint8 images"),
        (DIGITS[:, :, :, 0], "must be uint8 images"),
        (DIGITS[:, :14], "as the real ones"),
        (DIGITS[:0], "must be uint8 images"),
        (DIGITS[:1], "at least 2 rows"),
        (DIGITS[:3], "at least 4 rows"),
    ],
)
def test_bad_samples_are_refused(evaluator, images, message):
    with pytest.raises(ValueError, match=message):
        values(evaluator, images, ["frechet", "manifold"])


def test_nonsense_is_refused(evaluator):
    with pytest.raises(ValueError, match="Did you mean 'frechet'"):
        values(evaluator, DIGITS, ["frechett"])
    with pytest.raises(ValueError, match="one row for each of 30 images"):
        evaluation.Evaluator(DIGITS, DIGITS, extractor=lambda x: x[:3, 0, :, 0]).describe([(DIGITS, None)])
    with pytest.raises(ValueError, match=r"one row for each of 30 images. Received: shape \(\)"):
        evaluation.Evaluator(DIGITS, DIGITS, extractor=lambda x: 3.0).describe([(DIGITS, None)])
    with pytest.raises(ValueError, match="of one shape"):
        evaluation.Evaluator(DIGITS, DIGITS[:, :14])
    with pytest.raises(ValueError, match="Every pixel of train has the same value"):
        evaluation.Evaluator(DIGITS * 0, DIGITS)
    z = keras.Input((3,))
    unknown = gan_keras.GAN(
        keras.Model(z, keras.layers.Reshape((28, 28, 1))(keras.layers.Dense(784)(z))), networks.wgan_gp_critic(width=2)
    )
    with pytest.raises(ValueError, match="does not know the range"):
        evaluator.of_gan(unknown, 20)
    with pytest.raises(ValueError, match="Did you mean 'frechet'"):
        callbacks.Evaluate(evaluator, groups="frechett")
    with pytest.raises(ValueError, match="no samples"):
        evaluator.describe([])
    with pytest.raises(ValueError, match="every must be an integer of 1 or more"):
        callbacks.Evaluate(evaluator, every=0)
    gan = tiny_gan()
    gan.generator.layers[1].kernel.assign(np.full(gan.generator.layers[1].kernel.shape, np.nan))
    small = evaluation.Evaluator(DIGITS[:, :8, :8], DIGITS[:, :8, :8], extractor=lambda x: x.reshape(len(x), -1))
    with pytest.raises(ValueError, match="NaN"):
        small.of_gan(gan, 50)
