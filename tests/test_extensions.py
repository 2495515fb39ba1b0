"""What a user adds: a loss, terms, a prior, heads, networks, schedules, models. Each trains, is saved, and goes on in a new process to
the same bytes."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import (
    LATENT_DIM,
    Relativistic,
    SaveOnTheWay,
    assert_same_bits,
    child,
    state,
    tiny_discriminator,
    tiny_generator,
    tiny_images,
)
from keras import layers

import gan_keras
from gan_keras import priors, regularizers, schedules
from gan_keras_scripts import serve


@keras.saving.register_keras_serializable(package="mine")
class FeatureMatching(regularizers.Term):
    name, players = "feature_matching", ("generator",)

    def term(self, forward):
        means = [tf.reduce_mean(outputs["features"], axis=0) for outputs in (forward.on_real, forward.on_fake)]
        return tf.reduce_mean(tf.square(means[0] - means[1]))


@keras.saving.register_keras_serializable(package="mine")
class Reconstruction(regularizers.Term):
    """An encoder, trained with the generator, finds the latents of what it made."""

    name, players = "reconstruction", ("generator",)

    def term(self, forward):
        found = forward.network("encoder", forward.fake)
        return tf.reduce_mean(tf.square(found - forward.latents["z"]))


@keras.saving.register_keras_serializable(package="mine")
class GeneratorFirst(schedules.Schedule):
    batches_per_step = 1

    def step(self, gan, batch):
        return {**gan.update_generator(batch), **gan.update_discriminator(batch)}


@keras.saving.register_keras_serializable(package="mine")
class Triangular(priors.Prior):
    def draw(self, random, rows):
        return random.uniform((rows, self.size)) + random.uniform((rows, self.size)) - 1.0


@keras.saving.register_keras_serializable(package="mine")
class Mirrored(gan_keras.GAN):
    """A subclass that trains on mirror images."""

    def train_step(self, data):
        images, labels = data
        return super().train_step((images[:, :, ::-1], labels))


def with_heads(classes=None, k_plus_1=False):
    images = keras.Input((8, 8, 1))
    seen = layers.GaussianNoise(0.1)(images) if k_plus_1 else images
    features = layers.LeakyReLU(0.2)(layers.Dense(16)(layers.Flatten()(seen)))
    outputs = {"score": layers.Dense(1)(features), "features": features}
    if classes:
        outputs["code"] = layers.Dense(classes)(features)
    if k_plus_1:
        outputs["score"] = keras.ops.logsumexp(outputs["code"], axis=-1, keepdims=True)
    return keras.Model(images, outputs, name="discriminator")


def encoder():
    images = keras.Input((8, 8, 1))
    x = layers.BatchNormalization(synchronized=True)(layers.Dense(16)(layers.Flatten()(images)))
    return keras.Model(images, layers.Dense(LATENT_DIM)(x), name="encoder")


def cosine():
    return keras.optimizers.schedules.CosineDecay(1.0, 10)


CODE = dict(z=priors.Normal(4), code=priors.Categorical(3), style=priors.Uniform(1))

# (GAN's arguments, compile's arguments)
CASES = {
    "pair_loss_of_a_user": lambda: ({}, {"loss": Relativistic(), "regularizers": "r1", "schedule": schedules.Alternating(2)}),
    "r3gan": lambda: (
        {},
        {
            "loss": "relativistic",
            "regularizers": [regularizers.R1(cosine()), regularizers.R2(cosine()), "historical_averaging"],
        },
    ),
    "feature_matching": lambda: ({"discriminator": with_heads()}, {"regularizers": [FeatureMatching(cosine())]}),
    "infogan": lambda: (
        {"discriminator": with_heads(3), "prior": priors.Joint(**CODE)},
        {"regularizers": [regularizers.MutualInformation(0.5), regularizers.R1(1.0, one_in=2)]},
    ),
    "classification": lambda: (
        {"discriminator": with_heads(3), "num_classes": 3},
        {"regularizers": [regularizers.Classification(one_in=2, head="code")], "schedule": "simultaneous"},
    ),
    "acgan": lambda: (
        {"generator": tiny_generator(3), "discriminator": with_heads(3), "num_classes": 3},
        {"regularizers": [regularizers.Classification(on=on, head="code") for on in ("real", "generated")]},
    ),
    "semi_supervised": lambda: (
        {"discriminator": with_heads(3, k_plus_1=True), "num_classes": 3, "averaged": ["discriminator"]},
        {
            "loss": "discriminator_only",
            "regularizers": [
                regularizers.Classification(2.0, head="code"),
                regularizers.FeatureMatching(),
                regularizers.Consistency(cosine(), head="code", activation="softmax", average=True),
            ],
        },
    ),
    "encoder": lambda: (
        {"with_generator": {"encoder": encoder()}, "averaged": ["encoder"]},
        {"regularizers": [Reconstruction(2.0)]},
    ),
    "schedule": lambda: ({"discriminator": tiny_discriminator(dropout=0.3)}, {"schedule": GeneratorFirst()}),
    "clustered": lambda: (
        {
            "prior": priors.Joint(z=priors.Normal(5), kind=priors.Categorical(3)),
            "discriminator": tiny_discriminator(3),
            "part": "kind",
            "kind": gan_keras.ClusteredGAN,
        },
        {"schedule": "simultaneous"},
    ),
    "prior": lambda: ({"prior": Triangular(LATENT_DIM), "value_range": (-2.0, 2.0)}, {}),
    "subclass": lambda: ({"kind": Mirrored}, {}),
}


def make(case):
    keras.utils.set_random_seed(0)
    arguments, compiled = CASES[case]()
    kind = arguments.pop("kind", gan_keras.GAN)
    gan = kind(**{"generator": tiny_generator(), "discriminator": tiny_discriminator(), "ema": 0.9, **arguments})
    gan.compile(keras.optimizers.Adam(1e-2), "rmsprop", **compiled)
    return gan


LABELS = (np.arange(48) % 4 - 1).astype("int32")


def train(gan, steps, *used):
    start = int(gan.step.numpy())
    labels = np.maximum(LABELS, 0) if gan.needs_labels else LABELS
    stream = tf.data.Dataset.from_tensor_slices((tiny_images(), labels)).batch(16, drop_remainder=True).repeat().skip(start)
    return gan.fit(stream, steps_per_epoch=steps, verbose=0, callbacks=list(used)).history


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A folder, and {case: (GAN, history)} after four steps in one go; after two of them each was saved in the folder."""
    folder, cases = tmp_path_factory.mktemp("cases"), {}
    for case in CASES:
        gan = make(case)
        cases[case] = gan, train(gan, 4, SaveOnTheWay(folder / f"{case}.keras", after=2))
    return folder, cases


@pytest.fixture(scope="module")
def gone_on(straight):
    """Each case taken up in one new process for two more steps."""
    child(
        """
        from test_extensions import *
        for path in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
            gan = keras.models.load_model(path)
            train(gan, 2)
            np.savez(path.with_suffix(".npz"), sample=gan.sample(3), **{str(k): v for k, v in enumerate(state(gan).values())})
        """,
        straight[0],
    )


@pytest.mark.parametrize("case", CASES)
def test_it_goes_on_in_a_new_process_to_the_same_bytes(case, straight, gone_on):
    folder, cases = straight
    gan, _ = cases[case]
    with np.load(folder / f"{case}.npz") as resumed:
        assert_same_bits(state(gan), {name: resumed[name] for name in resumed.files if name != "sample"})
        assert (resumed["sample"] == gan.sample(3)).all()


@pytest.mark.parametrize("case", CASES)
def test_what_is_a_term_is_logged_under_its_name(case, straight):
    gan, history = straight[1][case]
    names = {term.name for term in gan.game_regularizers}
    assert names <= set(history) and all(np.isfinite(values).all() for values in history.values())
    assert set(history) == {metric.name for metric in gan.metrics}


def test_a_pair_loss_equals_the_step_written_out():
    gan, reference = make("pair_loss_of_a_user"), make("pair_loss_of_a_user")
    for one in (gan, reference):
        one.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), loss=Relativistic())
    images = tf.constant(tiny_images(16))
    gan.train_on_batch(images)
    g, d = reference.generator, reference.discriminator
    random = gan_keras.random.Random(0, gan_keras.random.TRAINING, 0)
    fake = g(random.normal((16, LATENT_DIM)), training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.softplus(d(fake) - d(images)))
    for v, gradient in zip(d.trainable_variables, tape.gradient(loss, d.trainable_variables)):
        v.assign(v - 0.1 * gradient)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.softplus(d(images) - d(g(random.normal((16, LATENT_DIM)), training=True))))
    for v, gradient in zip(g.trainable_variables, tape.gradient(loss, g.trainable_variables)):
        v.assign(v - 0.1 * gradient)
    for player, expected in ((gan.discriminator, d), (gan.generator, g)):
        for a, b in zip(player.trainable_variables, expected.trainable_variables):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


class Pull(regularizers.Term):
    """A term of the generator alone: its images become bright."""

    name, players = "pull", ("generator",)

    def term(self, forward):
        return -tf.reduce_mean(forward.fake)


def test_a_term_of_the_generator_moves_the_generator_alone():
    runs = {}
    for weight in (0.0, 100.0):
        gan = make("schedule")
        gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), regularizers=Pull(weight))
        gan.train_on_batch(tiny_images(16))
        runs[weight] = gan.discriminator.get_weights(), gan.generator(gan.latents(), training=False).numpy().mean()
    assert all((a == b).all() for a, b in zip(runs[0.0][0], runs[100.0][0]))
    assert runs[100.0][1] > runs[0.0][1] + 0.1


def test_an_encoder_learns_with_the_generator_and_stays_while_the_discriminator_moves():
    gan = make("encoder")
    before = gan.with_generator["encoder"].get_weights()
    batch = next(iter(gan_keras.data.batches(tiny_images(), batch_size=16)))
    gan.compile("adam", "adam", regularizers=Reconstruction(), schedule=schedules.ThreePhase(0, 1, 0))
    gan.train_on_batch(batch)
    assert all((a == b).all() for a, b in zip(before, gan.with_generator["encoder"].get_weights()))
    gan.compile("adam", keras.optimizers.Adam(1e-2), regularizers=Reconstruction(), schedule=schedules.ThreePhase(1, 0, 0))
    history = gan.fit(tiny_images(), batch_size=16, epochs=30, verbose=0).history["reconstruction"]
    assert history[-1] < 0.8 * history[0]
    assert all((a != b).any() for a, b in zip(before[:1], gan.with_generator["encoder"].get_weights()))


def test_the_average_of_an_encoder_is_its_formula_and_is_what_evaluates():
    gan = make("encoder")
    expected = gan.with_generator["encoder"].get_weights()
    for step in range(3):
        train(gan, 1)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = [decay * e + (1 - decay) * w for e, w in zip(expected, gan.with_generator["encoder"].get_weights())]
    for average, weight in zip(gan.averaged["encoder"].get_weights(), expected):
        np.testing.assert_allclose(average, weight, rtol=1e-4, atol=1e-6)
    before = gan.evaluate(tiny_images(), batch_size=16, verbose=0, return_dict=True)["reconstruction"]
    gan.with_generator["encoder"].set_weights([0 * w for w in gan.with_generator["encoder"].get_weights()])
    assert gan.evaluate(tiny_images(), batch_size=16, verbose=0, return_dict=True)["reconstruction"] == before
    gan.reset_average()
    assert gan.evaluate(tiny_images(), batch_size=16, verbose=0, return_dict=True)["reconstruction"] != before


@pytest.mark.parametrize(
    "given, message",
    [
        ({"averaged": ["encoder"], "ema": None}, "ema=None"),
        ({"averaged": "encoder"}, "is a list of names"),
        ({"averaged": ["q"]}, "There is no network 'q'"),
    ],
)
def test_averages_that_cannot_be_kept_are_refused(given, message):
    arguments = {"ema": 0.9, "with_generator": {"encoder": encoder()}, **given}
    with pytest.raises(ValueError, match=message):
        gan_keras.GAN(tiny_generator(), tiny_discriminator(), **arguments)


def test_labels_of_minus_one_are_left_out_of_a_term_and_allowed_nowhere_else():
    gan = make("classification")
    gan.compile("adam", "adam", regularizers=regularizers.Classification(head="code"))
    images = tiny_images(6)
    every = gan.evaluate(images, np.array([0, 1, 2, -1, -1, -1], "int32"), batch_size=6, return_dict=True, verbose=0)
    first = gan.evaluate(images[:3], np.array([0, 1, 2], "int32"), batch_size=3, return_dict=True, verbose=0)
    assert every["classification_real"] == pytest.approx(first["classification_real"], rel=1e-5)
    with pytest.raises(ValueError, match="or -1 for an image without one. Received: int64 -2$"):
        gan.fit(images, np.full(6, -2), verbose=0)
    with pytest.raises(ValueError, match="The generator takes no labels"):
        gan.sample(2, labels=1)


def test_a_part_of_the_latents_is_fixed():
    gan = make("infogan")
    latents = gan.latents(3).numpy()
    assert (latents[:, 4:7].sum(axis=1) == 1).all() and set(latents[:, 4:7].ravel()) == {0.0, 1.0}
    assert np.bincount(latents[:, 4:7].argmax(axis=1)).min() > 50, "all classes, about equally often"
    assert -1 <= latents[:, 7].min() < -0.9 and 0.9 < latents[:, 7].max() < 1
    fixed = np.concatenate([latents[:, :4], np.tile(np.eye(3)[2], (256, 1)), np.full((256, 1), 0.5)], axis=1)
    expected = gan.sampler(fixed.astype("float32"), training=False)
    np.testing.assert_allclose(gan.sample(40, seed=3, code=2, style=0.5), expected[:40], atol=1e-6)
    assert (gan.sample(5, seed=3, code=2) == gan.sample(9, seed=3, code=2)[:5]).all()
    assert (gan.sample(5, seed=3, code=2) != gan.sample(5, seed=3, code=1)).any()


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: make("infogan").sample(2, code=3), "from 0 to 2. Received: 3"),
        (lambda: make("infogan").sample(2, style=[0.1, 0.2]), r"a number, or an array of shape \(1,\)"),
        (lambda: make("infogan").sample(2, cod=1), "Did you mean 'code'"),
        (lambda: gan_keras.GAN(tiny_generator(), tiny_discriminator(), prior=priors.Normal(5)), "size 5, but .* takes 8"),
        (lambda: priors.Joint(seed=priors.Normal(2)), "must not be called n, seed, label, labels or truncation"),
        (lambda: priors.Joint(), "one or more priors by name"),
        (lambda: priors.Categorical(0), "size=0"),
        (lambda: priors.Uniform(2, 1.0, 0.0), "low must be below high"),
        (lambda: gan_keras.GAN(tiny_generator(), tiny_discriminator(), value_range=(1, -1)), "value_range is"),
        (lambda: train(make_with(MissingNetwork()), 1), "no network 'encodr'"),
        (lambda: train(make_with(OfNobody()), 1), "players of a term"),
        (lambda: make_with(Nameless()), "logged by its attribute `name`"),
        (lambda: make_with(Powered(power=3.0)), "argument 'power' .* get_config does not return.*'power': self.power"),
        (lambda: make_with(Margin(0.5)), "argument 'margin' .* get_config does not return"),
        (lambda: make_with(Forgetful(power=3.0)), "argument 'power', 3.0, that .* do not pass on: a loaded one has 2.0"),
        (lambda: shares_a_layer(), "Two networks share a layer"),
        (
            lambda: gan_keras.GAN(tiny_generator(), tiny_discriminator(), with_generator={"discriminator": encoder()}),
            "must not be called 'discriminator'",
        ),
        (lambda: regularized_encoder(), "The generator has a loss of its own"),
        (
            lambda: make("pair_loss_of_a_user").compile("adam", "adam", loss=Relativistic(), schedule="three_step"),
            "need a SeparableLoss",
        ),
        (lambda: halves_of_a_pair(), "need a SeparableLoss.*Received: Relativistic"),
        (lambda: gan_keras.GAN(tiny_generator(), tiny_discriminator(), prior="normal"), "an object such as"),
        (lambda: priors.Joint(label=priors.Normal(2)), "must not be called n, seed, label, labels or truncation"),
    ],
)
def test_what_cannot_work_is_refused(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def shares_a_layer():
    discriminator = with_heads()
    q = keras.Model(discriminator.input, layers.Dense(3)(discriminator.layers[2].output))
    return gan_keras.GAN(tiny_generator(), discriminator, with_discriminator={"q": q})


def regularized_encoder():
    images = keras.Input((8, 8, 1))
    network = keras.Model(images, layers.Dense(LATENT_DIM, kernel_regularizer="l2")(layers.Flatten()(images)))
    gan = gan_keras.GAN(tiny_generator(), tiny_discriminator(), with_generator={"encoder": network})
    gan.compile("adam", "adam")


class Halves(schedules.Schedule):
    batches_per_step = 1

    def step(self, gan, batch):
        return gan.update_discriminator(batch, on="real")


def halves_of_a_pair():
    gan = make("pair_loss_of_a_user")
    gan.compile("adam", "adam", loss=Relativistic(), schedule=Halves())
    train(gan, 1)


class Nameless(regularizers.Term):
    def term(self, forward):
        return 0.0


class Powered(regularizers.Term):
    """Without the get_config that it needs; a loaded one would have a power of 2."""

    name, players = "powered", ("generator",)

    def __init__(self, weight=1.0, power=2.0):
        super().__init__(weight)
        self.power = power

    def term(self, forward):
        return tf.reduce_mean(tf.abs(forward.fake) ** self.power)


class Margin(Powered):
    def __init__(self, margin):
        super().__init__()
        self.margin = margin


def test_an_argument_that_is_its_default_needs_no_get_config():
    gan = gan_keras.GAN(tiny_generator(), tiny_discriminator())
    gan.compile("adam", "adam", regularizers=Powered(weight=0.5))
    assert np.isfinite(gan.fit(tiny_images(), verbose=0).history["powered"]).all()


class Exponent(Powered):
    """Its configuration has other names than its arguments, which its from_config reads."""

    def get_config(self):
        return {"weight": self.weight, "exponent": self.power}

    @classmethod
    def from_config(cls, config):
        return cls(config["weight"], config["exponent"])


def test_a_configuration_may_have_names_of_its_own():
    gan = make_with(Exponent(power=3.0))
    assert Exponent.from_config(gan.game_regularizers[0].get_config()).power == 3.0


class Forgetful(Exponent):
    def get_config(self):
        return {"weight": self.weight, "exponent": 2.0}


def make_with(term):
    gan = make("encoder")
    gan.compile("adam", "adam", regularizers=term)
    return gan


class MissingNetwork(regularizers.Term):
    name = "missing"

    def term(self, forward):
        return tf.reduce_mean(forward.network("encodr", forward.fake))


class OfNobody(regularizers.Term):
    name, players = "nobody", ("referee",)

    def term(self, forward):
        return tf.constant(0.0)


def test_a_code_and_a_head_are_served(tmp_path):
    gan = make("infogan")
    path = gan_keras.serving.export(gan, tmp_path / "infogan")
    described = json.loads((path / "signatures.json").read_text())["endpoints"]
    assert set(described["generate"]["inputs"]) == {"seed", "n"}
    assert set(described["generate_with_parts"]["inputs"]) == {"seed", "n", "z", "code", "style"}
    endpoints = serve.Endpoints(path.parent)
    call = {"seed": 3, "n": 5, "code": [0.0, 1.0, 0.0]}
    answer = endpoints.answer({"signature_name": "generate_with_parts", "inputs": call})
    np.testing.assert_allclose(answer["outputs"], gan.sample(5, seed=3, code=1), atol=1e-6)
    for wrong, message in (({"code": [0.0, 1.0]}, "float32 of shape"), ({"cod": [0.0] * 3}, "may take code, style, z")):
        with pytest.raises(serve.Refused, match=message):
            endpoints.answer({"signature_name": "generate_with_parts", "inputs": {"seed": 3, "n": 5, **wrong}})
    with pytest.raises(serve.Refused, match="takes n, seed; parts of the latents go to generate_with_parts. Received"):
        endpoints.answer({"signature_name": "generate", "inputs": call})
    model = tf.saved_model.load(str(path))
    drawn = {"z": tf.fill((4,), np.nan), "code": tf.fill((3,), np.nan), "style": tf.fill((1,), np.nan)}
    call = {"seed": tf.constant(3, tf.int64), "n": tf.constant(5)}
    for name, parts in (("generate", {}), ("generate_with_parts", drawn)):
        assert (model.signatures[name](**call, **parts)["images"].numpy() == gan.sample(5, seed=3)).all()
    drawn["code"] = tf.constant([0.0, 1.0, 0.0])
    assert (model.signatures["generate_with_parts"](**call, **drawn)["images"].numpy() == gan.sample(5, seed=3, code=1)).all()
    made = model.signatures["discriminate"](images=tf.constant(tiny_images(4)))
    np.testing.assert_allclose(made["code"], gan.discriminator(tiny_images(4))["code"], atol=1e-6)
    assert made["logits"].shape == (4,) and set(made) == {"logits", "probability", "features", "code"}


def test_a_head_may_not_take_the_name_of_what_is_served(tmp_path):
    images = keras.Input((8, 8, 1))
    x = layers.Flatten()(images)
    gan = gan_keras.GAN(tiny_generator(), keras.Model(images, {"score": layers.Dense(1)(x), "logits": layers.Dense(3)(x)}))
    with pytest.raises(ValueError, match="must not be called logits"):
        gan_keras.serving.export(gan, tmp_path / "export")
    assert not (tmp_path / "export" / "1").exists()


def test_a_network_in_16_bits_beside_the_players_has_its_loss_scaled():
    with gan_keras.networks.precision("mixed_float16"):
        network = encoder()
    gan = gan_keras.GAN(tiny_generator(), tiny_discriminator(), with_generator={"encoder": network})
    gan.compile("adam", "adam", regularizers=Reconstruction())
    assert isinstance(gan.g_optimizer, keras.optimizers.LossScaleOptimizer)
