"""Terms of the discriminator's heads and of the weights, against closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import LATENT_DIM, child, movement, sgd, tiny_discriminator, tiny_gan, tiny_generator, tiny_images
from keras import layers

import gan_keras
from gan_keras import priors, regularizers
from gan_keras.recognition import recognition_metrics

RANDOM = np.random.default_rng(0)


class Pass:
    """A forward pass whose outputs are given."""

    step = 0

    def __init__(self, on_real=None, on_fake=None, labels=None, fake_labels=None, latents=None, prior=None):
        self.on_real, self.on_fake, self.labels, self.fake_labels = on_real, on_fake, labels, fake_labels
        self.latents, self.prior = latents, prior

    def subset(self, one_in):
        return self


def log_softmax(logits):
    logits = logits.astype("float64")
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_feature_matching_is_the_squared_distance_of_mean_features():
    real, fake = (RANDOM.normal(size=(6, 2, 3)).astype("float32") for _ in range(2))
    expected = 0.5 * np.sum((real.mean(axis=0) - fake.mean(axis=0)) ** 2)
    term = regularizers.FeatureMatching(0.5, head="hidden")
    assert float(term(Pass({"hidden": real}, {"hidden": fake}))) == pytest.approx(expected, rel=1e-5)
    shuffled = Pass({"hidden": real}, {"hidden": real[::-1].copy()})
    assert float(term(shuffled)) == pytest.approx(0.0, abs=1e-10), "other images with the same mean"


def test_mutual_information_of_a_category_is_its_cross_entropy():
    logits, codes = RANDOM.normal(size=(5, 4)).astype("float32"), np.array([0, 3, 3, 1, 2])
    forward = Pass(on_fake={"code": logits}, latents={"code": np.eye(4, dtype="float32")[codes]})
    forward.prior = priors.Joint(z=priors.Normal(2), code=priors.Categorical(4))
    expected = -0.25 * log_softmax(logits)[range(5), codes].mean()
    assert float(regularizers.MutualInformation(0.25)(forward)) == pytest.approx(expected, rel=1e-5)
    # A head that knows nothing has lost the entropy of the code, log 4, and the information is 0.
    forward.on_fake = {"code": np.zeros((5, 4), "float32")}
    assert float(regularizers.MutualInformation()(forward)) == pytest.approx(np.log(4), rel=1e-6)


@pytest.mark.parametrize("variances", [False, True])
def test_mutual_information_of_a_number_is_a_gaussian_likelihood(variances):
    code, mean = (RANDOM.normal(size=(5, 2)).astype("float32") for _ in range(2))
    log_variance = RANDOM.normal(size=(5, 2)).astype("float32") if variances else np.zeros((5, 2), "float32")
    head = np.concatenate([mean, log_variance], axis=1) if variances else mean
    prior = priors.Joint(z=priors.Normal(2), style=priors.Uniform(2))
    forward = Pass(on_fake={"q": head}, latents={"style": code}, prior=prior)
    density = np.exp(-((code - mean) ** 2) / 2 / np.exp(log_variance)) / np.sqrt(2 * np.pi * np.exp(log_variance))
    expected = -np.log(density.prod(axis=1)).mean()
    term = regularizers.MutualInformation(code="style", head="q")
    assert float(term(forward)) == pytest.approx(expected, rel=1e-5) and term.name == "mutual_information_style"


def test_classification_is_the_cross_entropy_of_the_images_with_a_label():
    logits, labels = RANDOM.normal(size=(6, 3)).astype("float32"), np.array([0, -1, 2, -1, -1, 1])
    known = labels >= 0
    expected = -log_softmax(logits)[known][range(3), labels[known]].mean()
    term = regularizers.Classification(2.0)
    assert float(term(Pass({"label": logits}, labels=labels))) == pytest.approx(2 * expected, rel=1e-5)
    assert float(term(Pass({"label": logits}, labels=np.full(6, -1)))) == 0.0
    assert term.players == ("discriminator",)
    generated = regularizers.Classification(on="generated")
    fake_labels = np.array([1, 1, 2, 0, 0, 1])
    expected = -log_softmax(logits)[range(6), fake_labels].mean()
    assert float(generated(Pass(on_fake={"label": logits}, fake_labels=fake_labels))) == pytest.approx(expected, rel=1e-5)
    assert generated.players == ("discriminator", "generator")


@pytest.mark.parametrize("head, average", [("score", False), ("features", False), ("features", True)])
def test_consistency_of_a_linear_head_is_the_variance_of_its_noise_in_each_view(head, average):
    images = keras.Input((8, 8, 1))
    features = layers.Dense(3)
    made = {"features": features(layers.Flatten()(layers.GaussianNoise(0.5)(images)))}
    made["score"] = layers.Dense(1)(made["features"])
    discriminator = keras.Model(images, made)
    still = [keras.optimizers.SGD(0.0) for _ in range(2)]
    gan = gan_keras.GAN(tiny_generator(), discriminator, ema=0.5, averaged=["discriminator"] if average else [])
    gan.compile(*still, regularizers=regularizers.Consistency(3.0, head=head, average=average))
    # The score is linear in the features, and so in the image.
    matrix = features.kernel.numpy() @ (np.eye(3) if head == "features" else discriminator.layers[-1].kernel.numpy())
    expected = 3.0 * (1 if average else 2) * 0.5**2 * np.sum(matrix**2)
    logged = f"consistency_{head}"
    measured = np.mean([gan.train_on_batch(tiny_images(256), return_dict=True)[logged] for _ in range(20)])
    assert measured == pytest.approx(expected, rel=0.1)
    assert gan.evaluate(tiny_images(16), verbose=0, return_dict=True)[logged] == 0.0, "no noise on held-out data"


def test_consistency_with_the_average_pulls_towards_the_average():
    """Without noise that matters, the term is the squared distance of the two, which only the discriminator shortens."""
    images = keras.Input((8, 8, 1))
    discriminator = keras.Model(images, layers.Dense(1)(layers.Flatten()(layers.GaussianNoise(1e-6)(images))))
    gan = gan_keras.GAN(tiny_generator(), discriminator, ema=0.999999, averaged=["discriminator"])
    gan.compile(keras.optimizers.SGD(0.0), "adam", regularizers=regularizers.Consistency(3.0, average=True), run_eagerly=True)
    kernel, average = (network.layers[-1].kernel for network in (discriminator, gan.judge))
    average.assign(np.full(average.shape, 0.25))
    x = tiny_images(16)
    expected = 3.0 * np.mean((x.reshape(16, -1) @ (kernel.numpy() - 0.25)) ** 2)
    forward = gan_keras.forward.ForwardPass(gan, gan_keras.forward.Batch(tf.constant(x), None, None), ["discriminator"])
    with tf.GradientTape() as tape:
        term = regularizers.Consistency(3.0, average=True)(forward)
    to_kernel, to_average = tape.gradient(term, [kernel.value, average.value])
    assert to_average is None and float(tf.reduce_sum(to_kernel * (kernel - average))) == pytest.approx(2 * expected, rel=1e-3)
    assert gan.train_on_batch(x, return_dict=True)["consistency_score"] == pytest.approx(expected, rel=1e-3)


def test_consistency_of_classes_compares_probabilities():
    one, other = (RANDOM.normal(size=(5, 3)).astype("float32") for _ in range(2))
    forward = Pass({"label": one}, labels=None)
    forward.images, forward.outputs = None, lambda images: {"label": other}
    expected = np.mean(np.sum((np.exp(log_softmax(one)) - np.exp(log_softmax(other))) ** 2, axis=1))
    term = regularizers.Consistency(2.0, head="label", activation="softmax")
    assert float(term(forward)) == pytest.approx(2 * expected, rel=1e-5)
    assert term.name == "consistency_label" and term.players == ("discriminator",)


def test_a_consistent_discriminator_changes_less_with_what_does_not_matter():
    """One pixel comes in twice, once with noise; how much weight has that one?"""

    def weight_of_noise(weight):
        keras.utils.set_random_seed(0)
        images = keras.Input((8, 8, 1))
        flat = layers.Flatten()(images)
        noise = layers.GaussianNoise(1.0, seed=0)(layers.Lambda(lambda x: x[:, :1])(flat))
        last = layers.Dense(1)
        gan = tiny_gan(
            keras.optimizers.SGD(0.02),
            keras.optimizers.SGD(0.02),
            discriminator=keras.Model(images, last(layers.Concatenate()([noise, flat]))),
            regularizers=regularizers.Consistency(weight),
        )
        last.kernel.assign(tf.ones_like(last.kernel))
        for _ in range(30):
            gan.train_on_batch(tiny_images(32))
        return abs(float(last.kernel[0, 0]))

    assert weight_of_noise(1.0) < 0.2 * weight_of_noise(0.0)


def test_k_plus_1_classes_are_the_logistic_loss_of_the_logsumexp():
    # Salimans et al. 2016, section 5: with the logit of "generated" at 0, p(real) = Z / (Z + 1), Z = sum exp(logits).
    logits = RANDOM.normal(size=(6, 10)).astype("float32") * 3
    d = gan_keras.networks.semi_supervised_discriminator()
    made = d(RANDOM.uniform(size=(6, 28, 28, 1)).astype("float32"))
    np.testing.assert_allclose(
        made["score"][:, 0], np.log(np.exp(made["label"].numpy().astype("float64")).sum(axis=1)), rtol=1e-5
    )
    score = np.log(np.exp(logits.astype("float64")).sum(axis=1))
    with_zero = np.concatenate([logits, np.zeros((6, 1), "float32")], axis=1)
    p_generated = np.exp(log_softmax(with_zero))[:, -1]
    loss = gan_keras.losses.DiscriminatorOnly()
    assert float(loss.real(score.astype("float32"))) == pytest.approx(-np.log(1 - p_generated).mean(), rel=1e-4)
    assert float(loss.fake(score.astype("float32"))) == pytest.approx(-np.log(p_generated).mean(), rel=1e-4)


def test_historical_averaging_is_the_distance_from_the_mean_of_all_weights_so_far():
    gan = tiny_gan(keras.optimizers.SGD(0.5), keras.optimizers.SGD(0.5), regularizers=regularizers.HistoricalAveraging(0.3))
    players = gan.discriminator.trainable_variables, gan.generator.trainable_variables
    history = [[[v.numpy() for v in player]] for player in players]

    def distance():
        """As of now, in which the mean has the weights before the first update and after each."""
        return 0.3 * sum(
            np.sum((v.numpy() - np.mean([weights[k] for weights in past], axis=0)) ** 2)
            for player, past in zip(players, history)
            for k, v in enumerate(player)
        )

    for _ in range(4):
        # The discriminator moves first, and what is logged last is what the generator's move saw.
        gan.train_on_batch(tiny_images(16))
        history[0].append([v.numpy() for v in players[0]])
        assert gan.evaluate(tiny_images(16), verbose=0, return_dict=True)["historical_averaging"] != 0.0
        history[1].append([v.numpy() for v in players[1]])
        measured = gan.evaluate(tiny_images(16), verbose=0, return_dict=True)["historical_averaging"]
        assert measured == pytest.approx(distance(), rel=1e-3)


def test_historical_averaging_damps_players_that_circle_each_other():
    """Two scalars with the value x y: gradient descent and ascent circle their equilibrium, 0."""

    def radius(weight, steps=60):
        z = keras.Input((1,))
        image = keras.layers.Rescaling(0.0)(z)
        bias = keras.layers.Dense(1, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(1.0))
        generator = keras.Model(z, bias(image))
        x = keras.Input((1,))
        discriminator = keras.Model(x, keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(x))
        gan = gan_keras.GAN(generator, discriminator, value_range=None)
        gan.compile(
            keras.optimizers.SGD(0.1),
            keras.optimizers.SGD(0.1),
            loss=gan_keras.losses.Wasserstein(),
            regularizers=regularizers.HistoricalAveraging(weight),
        )
        for _ in range(steps):
            gan.train_on_batch(np.zeros((2, 1), "float32"))
        return float(np.hypot(bias.bias.numpy()[0], discriminator.get_weights()[0][0, 0]))

    with pytest.warns(UserWarning, match="Lipschitz"):
        assert radius(0.0) > 1.2 > 0.9 > radius(0.5)


@pytest.mark.parametrize(
    "term, heads, given, message",
    [
        (regularizers.FeatureMatching(), [], {}, "reads the output 'features' of the discriminator. Received: score"),
        (
            regularizers.MutualInformation(),
            ["code"],
            {},
            "needs a named part of the latents. Received: code='code', where the parts are z",
        ),
        (regularizers.MutualInformation(), ["label"], {}, "reads the output 'code'"),
        (regularizers.Classification(), ["label"], {}, "on real images needs labels.*num_classes=None"),
        (regularizers.Classification(on="generated"), ["label"], {"num_classes": 3}, "on generated images.*of 1 inputs"),
        (regularizers.Consistency(head="label"), [], {}, "reads the output 'label'"),
        (regularizers.Consistency(), [], {}, "no layer that is random in training. Give it one"),
        (
            regularizers.Consistency(average=True),
            ["noisy"],
            {"ema": 0.9},
            "moving average of the discriminator. Give the GAN one",
        ),
        (regularizers.Classification(), ["label"], {"num_classes": 4}, "each of the num_classes=4. Received: 3"),
        (
            regularizers.MutualInformation(),
            ["code"],
            {"prior": priors.Joint(z=priors.Normal(4), code=priors.Categorical(4))},
            "The output 'code' does not fit the code 'code'. .* as many values as the code, 4 ",
        ),
    ],
)
def test_a_term_without_what_it_reads_is_refused_when_it_is_compiled(term, heads, given, message):
    gan = gan_keras.GAN(tiny_generator(), with_heads(*heads) if heads else tiny_discriminator(), **given)
    with pytest.raises(ValueError, match=message):
        gan.compile("adam", "adam", regularizers=term)


def test_terms_of_single_images_do_not_go_with_packs():
    images = keras.Input((8, 8, 1))
    x = layers.Flatten()(gan_keras.layers.Packing(2)(images))
    packed = keras.Model(images, {"score": layers.Dense(1)(x), "label": layers.Dense(3)(x)})
    gan = gan_keras.GAN(tiny_generator(), packed, num_classes=3)
    with pytest.raises(ValueError, match="Classification reads what each image is, and .* several at once"):
        gan.compile("adam", "adam", regularizers="classification")


def test_the_score_itself_may_be_the_head():
    gan = gan_keras.GAN(tiny_generator(), tiny_discriminator(), num_classes=2)
    with pytest.raises(ValueError, match="The head 'score' must have a logit for each of the num_classes=2. Received: 1"):
        gan.compile("adam", "adam", regularizers=regularizers.Classification(head="score"))


def test_labels_are_integers_of_any_size():
    gan = gan_keras.GAN(tiny_generator(3), with_heads("label"), num_classes=3)
    terms = [regularizers.Classification(on=on) for on in ("real", "generated")]
    gan.compile("adam", "adam", regularizers=terms, run_eagerly=True)
    for dtype in ("uint8", "int8", "int64"):
        logs = gan.train_on_batch(tiny_images(12), (np.arange(12) % 3).astype(dtype), return_dict=True)
        assert all(0.5 < float(logs[term.name]) < 2.5 for term in terms)


def test_a_term_with_a_memory_is_not_compiled_twice():
    gan = tiny_gan(regularizers=regularizers.HistoricalAveraging(0.1))
    with pytest.raises(
        ValueError, match="a term with a memory to this GAN, historical_averaging, which cannot be removed. Make another GAN"
    ):
        gan.compile("adam", "adam")
    tiny_gan().compile("adam", "adam", regularizers=regularizers.HistoricalAveraging(0.1))


def test_historical_averaging_sees_weights_and_no_part_of_a_batch():
    with pytest.raises(TypeError, match="one_in"):
        regularizers.HistoricalAveraging(0.1, one_in=4)


def test_a_generator_with_nothing_to_minimise_is_refused():
    with pytest.raises(ValueError, match="nothing to minimise.*feature_matching.*Received: ..r1"):
        tiny_gan(loss="discriminator_only", regularizers="r1")


@pytest.mark.parametrize("moving", ["generator", "discriminator"])
def test_each_call_of_a_move_has_random_draws_of_its_own(moving):
    images = keras.Input((8, 8, 1))
    noise = layers.GaussianNoise(1.0)(layers.Rescaling(0.0)(images))
    noisy = keras.Model(images, layers.Dense(1)(layers.Flatten()(noise)))
    seen = []

    class Twice(regularizers.Term):
        name, players = "twice", (moving,)

        def term(self, forward):
            seen.extend([forward.on_real["score"], forward.on_fake["score"], forward.outputs(forward.images)["score"]])
            seen.append(forward.outputs(forward.fake)["score"])
            part = forward.subset(2)
            seen.extend([part.on_fake["score"], part.on_real["score"]])
            return tf.constant(0.0)

    gan = tiny_gan(discriminator=noisy, regularizers=Twice(), run_eagerly=True)
    gan.train_on_batch(tiny_images(8))
    draws = [x.numpy()[:4] for x in seen]
    assert len(draws) == 6 and all((draws[k] != other).all() for k in range(6) for other in draws[:k])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: regularizers.Classification(on="fake"), "'real' or 'generated' images. Received: on='fake'"),
        (lambda: regularizers.Consistency(average="yes"), "True or False. Received: average='yes'"),
        (lambda: priors.Categorical(3).cross_entropy(np.eye(3, dtype="float32"), np.zeros((3, 4), "float32")), "code, 3"),
        (lambda: priors.Normal(3).cross_entropy(np.zeros((2, 3)), np.zeros((2, 4), "float32")), "code, 3 .or twice"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_names_are_taken():
    names = ["r2", "feature_matching", "mutual_information", "classification", "consistency", "historical_averaging"]
    assert [type(term).__name__ for term in regularizers.get_all(names)] == [
        "R2",
        "FeatureMatching",
        "MutualInformation",
        "Classification",
        "Consistency",
        "HistoricalAveraging",
    ]


def with_heads(*names):
    images = keras.Input((8, 8, 1))
    # So little noise that replicas and XLA, which draw otherwise, come to the same weights.
    x = keras.layers.GaussianNoise(1e-7)(images) if "noisy" in names else images
    features = keras.layers.LeakyReLU(0.2)(keras.layers.Dense(16)(keras.layers.Flatten()(x)))
    heads = {name: keras.layers.Dense(3)(features) for name in names}
    return keras.Model(images, {"score": keras.layers.Dense(1)(features), "features": features, **heads})


# What the terms are for: images of three brightnesses.
BRIGHTNESS = np.array([-0.8, 0.0, 0.8], "float32")


def trained_on_brightness(generator, discriminator, *terms, **parts):
    gan = gan_keras.GAN(generator, discriminator, num_classes=3, ema=0.9, **parts)
    adam = [keras.optimizers.Adam(5e-3, 0.5) for _ in "dg"]
    gan.compile(*adam, regularizers=[regularizers.R1(), *terms])
    kinds = np.arange(48 * 300, dtype="int32") % 3
    images = np.broadcast_to(BRIGHTNESS[kinds][:, None, None, None], (len(kinds), 8, 8, 1))
    gan.fit(images, kinds, batch_size=48, verbose=0)
    return gan, recognition_metrics(gan, images[:48], kinds[:48])


def test_a_code_comes_to_stand_for_a_kind_of_images():
    keras.utils.set_random_seed(0)
    prior = priors.Joint(z=priors.Normal(LATENT_DIM - 3), code=priors.Categorical(3))
    gan, found = trained_on_brightness(tiny_generator(), with_heads("code"), regularizers.MutualInformation(), prior=prior)
    assert found == {"code_errors": 0.0}, "and no label was read"
    means = [gan.sample(64, code=k).mean() for k in range(3)]
    assert sorted(means) == pytest.approx(BRIGHTNESS, abs=0.25)


def test_classification_of_real_and_generated_images_makes_the_class_that_is_asked_for():
    keras.utils.set_random_seed(0)
    terms = [regularizers.Classification(on=images) for images in ("real", "generated")]
    gan, found = trained_on_brightness(tiny_generator(3), with_heads("label"), *terms)
    assert found == {"test_errors": 0.0}
    means = [gan.sample(64, labels=k).mean() for k in range(3)]
    assert means == pytest.approx(BRIGHTNESS, abs=0.25)


def falling():
    return keras.optimizers.schedules.CosineDecay(1.0, 4)


# What is trained on replicas, by XLA and in 16 bits.
TRAINED = {
    "feature_matching": dict(regularizers="feature_matching"),
    "feature_matching_alone": dict(loss="discriminator_only", regularizers="feature_matching"),
    "mutual_information": dict(regularizers="mutual_information", heads=["code"]),
    "r1_r2": dict(regularizers=[regularizers.R1(), regularizers.R2()]),
    "r3gan": dict(loss="relativistic", regularizers=[regularizers.R1(falling()), regularizers.R2(falling())]),
    "classification": dict(
        regularizers=[regularizers.Classification(), regularizers.Classification(on="generated")], heads=["label"], classes=3
    ),
    "historical_averaging": dict(regularizers="historical_averaging"),
    "consistency": dict(regularizers=regularizers.Consistency(30.0, head="noisy", average=True), heads=["noisy"]),
}


def trained_on(strategy, name, steps=3, policy="float32", jit_compile=False):
    """How far so many steps move the weights that are numbers."""
    case = dict(TRAINED[name])
    heads, classes = case.pop("heads", []), case.pop("classes", None)
    with strategy.scope(), gan_keras.networks.precision(policy):
        keras.utils.set_random_seed(0)
        prior = priors.Joint(z=priors.Normal(LATENT_DIM - 3), code=priors.Categorical(3)) if "code" in heads else None
        average = {"ema": 0.99, "averaged": ["discriminator"]} if "noisy" in heads else {}
        gan = gan_keras.GAN(tiny_generator(classes), with_heads(*heads), num_classes=classes, prior=prior, **average)
        gan.compile(sgd(0.05, policy), sgd(0.05, policy), jit_compile=jit_compile, **case)
    labels = np.arange(48, dtype="int32") % 3 if classes else None
    stream = gan_keras.data.batches(tiny_images(), labels, batch_size=16)
    return movement(gan, lambda: gan.fit(stream, steps_per_epoch=steps, verbose=0))


@pytest.mark.slow
def test_two_replicas_train_as_one():
    # One strategy for each process: TensorFlow's collectives confuse two of them.
    printed = child(
        """
        from test_terms import *
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        one = tf.distribute.OneDeviceStrategy("CPU:0")
        for name in TRAINED:
            a, b = (trained_on(strategy, name) for strategy in (one, two))
            print(abs(a).max() > 1e-3 and abs(a - b).max() < 1e-5)
        """
    )
    assert printed.split()[-len(TRAINED) :] == ["True"] * len(TRAINED)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_xla_trains_to_the_same_weights(name):
    a, b = (trained_on(tf.distribute.get_strategy(), name, jit_compile=jit) for jit in (False, True))
    assert abs(a).max() > 1e-3 and abs(a - b).max() < 1e-5


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    "name", ["r3gan", *(pytest.param(name, marks=pytest.mark.slow) for name in TRAINED if name != "r3gan")]
)
def test_a_step_in_16_bits_is_nearly_the_step_in_32(name, policy):
    exact, rounded = (trained_on(tf.distribute.get_strategy(), name, steps=1, policy=kind) for kind in ("float32", policy))
    assert np.linalg.norm(exact) > 0.01 and np.linalg.norm(rounded - exact) < 0.05 * np.linalg.norm(exact)
