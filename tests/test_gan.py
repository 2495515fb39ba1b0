import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import (
    LATENT_DIM,
    SCRIPTS,
    Point,
    SaveOnTheWay,
    assert_same_bits,
    child,
    labels,
    state,
    tiny_discriminator,
    tiny_gan,
    tiny_generator,
    tiny_images,
    train,
)
from keras import layers

import gan_keras
from gan_keras import losses, priors, regularizers, schedules
from gan_keras.random import TRAINING, Random

# A step by hand, in NumPy-like TensorFlow without any of the library's machinery.


@pytest.mark.parametrize("loss", ["non_saturating", "hinge", "least_squares"])
def test_a_step_equals_the_step_written_out(loss):
    images = tiny_images(16)
    gan = tiny_gan(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), loss=loss, generator=tiny_generator(batch_norm=False))
    reference = tiny_gan(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), generator=tiny_generator(batch_norm=False))
    reference.set_weights(gan.get_weights())
    g, d, loss = reference.generator, reference.discriminator, losses.get(loss)
    random = Random(0, TRAINING, 0)

    fake = g(random.normal((16, LATENT_DIM)))
    with tf.GradientTape() as tape:
        d_loss = loss.real(d(images)) + loss.fake(d(fake))
    for v, gradient in zip(d.trainable_variables, tape.gradient(d_loss, d.trainable_variables)):
        v.assign(v - 0.1 * gradient)
    with tf.GradientTape() as tape:
        g_loss = loss.fool(d(g(random.normal((16, LATENT_DIM)))))
    for v, gradient in zip(g.trainable_variables, tape.gradient(g_loss, g.trainable_variables)):
        v.assign(v - 0.1 * gradient)

    history = gan.fit(images, batch_size=16, shuffle=False, verbose=0).history
    assert history["d_loss"][0] == pytest.approx(float(d_loss), abs=1e-5)
    assert history["g_loss"][0] == pytest.approx(float(g_loss), abs=1e-5)
    for a, b in zip(gan.get_weights()[1:], reference.get_weights()[1:]):
        assert np.allclose(a, b, atol=1e-5)


def test_is_an_honest_keras_model(tmp_path):
    gan = tiny_gan(ema=0.9)
    z = np.random.default_rng(0).normal(size=(5, LATENT_DIM)).astype("float32")
    assert gan.optimizer is None, "no phantom optimizer"
    images = gan.predict(z, verbose=0)
    assert images.shape == (5, 8, 8, 1)
    assert np.allclose(images, gan.ema_generator(z, training=False), atol=1e-6)
    lines = []
    gan.summary(print_fn=lines.append)
    assert all(name in "\n".join(lines) for name in ("generator", "discriminator", "ema_generator"))
    gan.export(tmp_path / "export", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    assert np.allclose(loaded.serve(z), images, atol=1e-6)


class Counting(schedules.Alternating):
    """A user's schedule that logs a number of its own."""

    logs = ("halves",)

    def step(self, gan, batch):
        return {**super().step(gan, batch), "halves": tf.constant(0.5)}


def test_a_schedule_logs_what_it_names():
    history = tiny_gan(schedule=Counting()).fit(tiny_images(), verbose=0).history
    assert history["halves"] == [0.5]
    forgotten = Counting()
    forgotten.logs = ()
    with pytest.raises(ValueError, match=r"A step logged 'halves'.*logs = \('halves',\)"):
        tiny_gan(schedule=forgotten).fit(tiny_images(), verbose=0)


def test_metrics_are_epoch_means_under_the_log_keys():
    gan = tiny_gan(loss="wasserstein", regularizers="gradient_penalty", schedule=schedules.Alternating(2))
    images = tiny_images(48)
    history = gan.fit(images, batch_size=16, epochs=2, validation_data=(images[:16],), verbose=0).history
    names = {"d_loss", "g_loss", "d_acc_real", "d_acc_fake", "gradient_penalty", "wasserstein"}
    assert {m.name for m in gan.metrics} == names
    assert set(history) == names | {f"val_{name}" for name in names}
    for d_loss, penalty, w in zip(history["d_loss"], history["gradient_penalty"], history["wasserstein"]):
        assert d_loss == pytest.approx(penalty - w, abs=1e-5)


def test_every_history_value_is_the_mean_of_its_steps():
    images = tiny_images(48)
    one_by_one = tiny_gan()
    steps = [one_by_one.fit(images[k : k + 16], verbose=0, batch_size=16).history["d_loss"][0] for k in (0, 16, 32)]
    history = tiny_gan().fit(images, batch_size=16, shuffle=False, verbose=0).history
    assert np.std(steps) > 1e-4
    assert history["d_loss"][0] == pytest.approx(np.mean(steps), rel=1e-5)


def test_evaluate_repeats_itself_and_changes_nothing():
    gan = tiny_gan(ema=0.9, discriminator=tiny_discriminator(dropout=0.3))
    gan.fit(tiny_images(), batch_size=24, verbose=0)
    before = state(gan)
    first = gan.evaluate(tiny_images(), batch_size=24, return_dict=True, verbose=0)
    second = gan.evaluate(tiny_images(), batch_size=24, return_dict=True, verbose=0)
    assert first == second
    assert_same_bits(before, state(gan))


def test_accuracies_and_the_wasserstein_midpoint():
    gan = tiny_gan()
    gan.discriminator.layers[-1].bias.assign([50.0])
    result = gan.evaluate(tiny_images(), return_dict=True, verbose=0)
    assert result["d_acc_real"] == 1.0 and result["d_acc_fake"] == 0.0
    critic = tiny_gan(loss="wasserstein", regularizers="weight_clipping")
    plain = critic.evaluate(tiny_images(), return_dict=True, verbose=0)
    critic.discriminator.layers[-1].bias.assign([50.0])
    shifted = critic.evaluate(tiny_images(), return_dict=True, verbose=0)
    assert shifted["d_acc_real"] == pytest.approx(plain["d_acc_real"]), "a critic's scores have no fixed zero"


def test_moving_average_follows_its_formula():
    images = tiny_images(16)
    gan = tiny_gan(ema=0.5)
    average = gan.ema_generator.get_weights()
    for step in range(3):
        gan.fit(images, batch_size=16, verbose=0)
        decay = min(0.5, (1 + step) / (10 + step))
        average = [a + (1 - decay) * (w - a) for a, w in zip(average, gan.generator.get_weights())]
        for a, b in zip(gan.ema_generator.get_weights(), average):
            assert np.allclose(a, b, atol=1e-6), "BatchNorm statistics included"
    assert not np.allclose(gan.ema_generator.get_weights()[0], gan.generator.get_weights()[0])


def test_weights_loaded_into_the_generator_are_sampled(tmp_path):
    trained, gan = tiny_gan(seed=1), tiny_gan(ema=0.9)
    gan.sample(2)
    trained.generator.save_weights(tmp_path / "g.weights.h5")
    gan.generator.load_weights(tmp_path / "g.weights.h5")
    np.testing.assert_allclose(gan.sample(4), trained.sample(4), atol=1e-6)
    gan.fit(tiny_images(), verbose=0)
    gan.generator.load_weights(tmp_path / "g.weights.h5")
    gan.reset_average()
    np.testing.assert_allclose(gan.sample(4), trained.sample(4), atol=1e-6)


class Unregistered(layers.Layer):
    def __init__(self, units=64, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(units)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x)


def test_a_moving_average_needs_no_serialization():
    def make():
        z = keras.Input((LATENT_DIM,))
        inner = keras.Sequential([keras.Input((LATENT_DIM,)), Unregistered(), layers.BatchNormalization()], name="inner")
        x = layers.Lambda(lambda x: keras.ops.tanh(x))(layers.Dropout(0.5)(inner(z)))
        return keras.Model(z, layers.Reshape((8, 8, 1))(x))

    gan = tiny_gan(generator=make(), ema=0.5)
    assert gan.ema_generator.name == "ema_generator" and not gan.ema_generator.trainable_weights
    assert gan.generator.trainable_weights and len(gan.ema_generator.weights) == len(gan.generator.weights)
    before = gan.ema_generator.get_weights(), gan.generator.get_weights()
    gan.fit(tiny_images(), verbose=0)
    assert all((a == b).all() for a, b in zip(*before))
    assert all((a != b).any() for a, b in zip(gan.ema_generator.get_weights(), before[0]) if a.dtype == "float32")
    assert all((a != b).any() for a, b in zip(gan.ema_generator.get_weights(), gan.generator.get_weights()) if a.size > 8)


def test_the_average_of_an_optimizer_is_what_fit_leaves():
    images = tiny_images(16)
    plain = tiny_gan(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    gan = tiny_gan(*(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5) for _ in range(2)))
    weights = []
    for _ in range(3):
        plain.fit(images, batch_size=16, verbose=0)
        weights.append([w.numpy() for w in (*plain.generator.trainable_variables, *plain.discriminator.trainable_variables)])
    gan.fit(images, batch_size=16, epochs=3, verbose=0)
    trained = [*gan.generator.trainable_variables, *gan.discriminator.trainable_variables]
    for first, second, third, last in zip(*weights, trained):
        np.testing.assert_allclose(last, first / 4 + second / 4 + third / 2, atol=1e-6)
    assert abs(weights[2][0] - trained[0].numpy()).max() > 1e-4
    # A player that was never trained has no average.
    idle = tiny_gan("sgd", keras.optimizers.SGD(0.1, use_ema=True), schedule=schedules.ThreePhase(0, 1, 0))
    before = idle.generator.get_weights()
    idle.fit(images, batch_size=16, verbose=0)
    assert all((a == b).all() for a, b in zip(before, idle.generator.get_weights()))


@keras.saving.register_keras_serializable(package="test_gan")
class WithMore(gan_keras.GAN):
    """A user's GAN with a network, a metric and a schedule of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.encoder = layers.Dense(3)
        self.encoder.build((None, 64))
        self.brightness = keras.metrics.Mean(name="brightness")

    def train_step(self, data):
        logs = super().train_step(data)
        self.brightness.update_state(data)
        return {**logs, "brightness": self.brightness.result()}


def test_a_subclass_has_state_of_its_own(tmp_path):
    gan = WithMore(tiny_generator(), tiny_discriminator(), ema=0.9)
    gan.compile("adam", "adam")
    images = tiny_images(16)
    history = gan.fit(images, batch_size=8, epochs=2, verbose=0).history
    assert history["brightness"] == pytest.approx([images.mean()] * 2, abs=1e-5), "a mean over each epoch"
    gan.save(tmp_path / "gan.keras")
    again = keras.models.load_model(tmp_path / "gan.keras")
    assert_same_bits(state(gan), state(again))
    for one in (gan, again):
        one.fit(images, batch_size=8, shuffle=False, verbose=0)
    assert_same_bits(state(gan), state(again))


def test_batch_norm_moves_in_training_and_samples_do_not_depend_on_batch_mates():
    gan = tiny_gan()
    moving = next(w for w in gan.generator.weights if w.name == "moving_mean")
    before = moving.numpy()
    gan.fit(tiny_images(), batch_size=24, verbose=0)
    assert (moving.numpy() != before).any()
    together = gan.sample(300, seed=5)
    assert (gan.sample(7, seed=5) == together[:7]).all()
    assert np.allclose(gan.predict(gan.latents(5)[:3], verbose=0), together[:3], atol=1e-6)


def test_sampling_is_a_pure_function_of_seed_and_labels():
    gan = tiny_gan()
    assert (gan.sample(5, seed=1) == gan.sample(5, seed=1)).all()
    assert (gan.sample(5, seed=1) != gan.sample(5, seed=2)).any()
    latents = np.concatenate([gan.latents(3, block) for block in range(4)])
    assert abs(latents.mean()) < 0.05 and abs(latents.std() - 1) < 0.05 and len(np.unique(latents)) > 0.99 * latents.size
    pieces = [images for images, _ in gan.sample_batches(600, seed=3)]
    assert [len(piece) for piece in pieces] == [256, 256, 88]
    assert (np.concatenate(pieces) == gan.sample(600, seed=3)).all()
    assert np.allclose(pieces[1], gan.generator(gan.latents(3, 1), training=False), atol=1e-6)


def test_random_draws_are_the_same_under_xla_and_shared_out_over_steps():
    def draw(step):
        random = Random(7, TRAINING, step)
        return random.normal((64, 5)), random.uniform((64, 5)), random.layer_seeds(3)

    plain, compiled = tf.function(draw), tf.function(draw, jit_compile=True)
    (normal, *exact), (compiled_normal, *compiled_exact) = plain(tf.constant(3)), compiled(tf.constant(3))
    assert np.allclose(normal, compiled_normal, atol=1e-5)
    assert all((a.numpy() == b.numpy()).all() for a, b in zip(exact, compiled_exact, strict=True))
    one, other = plain(tf.constant(3)), plain(tf.constant(4))
    assert all((a.numpy() != b.numpy()).mean() > 0.9 for a, b in zip(one, other))


class AddsNoise(layers.Layer):
    """Noise at inference as well, such as StyleGAN's. Not registered for serialization."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, x):
        return x + 0.1 * keras.random.normal(keras.ops.shape(x), seed=self.seed_generator)


def noise_alone():
    """A generator whose images differ by the noise of its layer alone."""
    z = keras.Input((LATENT_DIM,))
    x = AddsNoise()(layers.Dense(64, kernel_initializer="zeros")(z))
    return keras.Model(z, layers.Reshape((8, 8, 1))(x))


@pytest.mark.parametrize("ema", [None, 0.9])
def test_samples_repeat_where_a_layer_draws_noise_at_inference(ema):
    gan = tiny_gan(generator=noise_alone(), ema=ema)
    before = state(gan)
    samples = gan.sample(300, seed=1)
    assert (gan.sample(300, seed=1) == samples).all() and (gan.sample(40, seed=1) == samples[:40]).all()
    both = np.concatenate([samples, gan.sample(300, seed=2)])
    assert len(np.unique(both.reshape(600, -1), axis=0)) == 600, "no two images have the same noise"
    first = gan.evaluate(tiny_images(), return_dict=True, verbose=0)
    assert gan.evaluate(tiny_images(), return_dict=True, verbose=0) == first
    assert_same_bits(before, state(gan))


def test_normal_draws_are_normal():
    x = np.sort(Random(0, TRAINING, 0).normal((200_000,)).numpy().astype("float64"))
    assert x.mean() == pytest.approx(0, abs=0.01) and x.std() == pytest.approx(1, abs=0.01)
    assert np.quantile(x, [0.001, 0.025, 0.975, 0.999]) == pytest.approx([-3.0902, -1.95996, 1.95996, 3.0902], abs=0.08)


# Exact continuation.


def compiled(loss="non_saturating", regularizer=(), schedule="alternating", dropout=0.0, spectral=False, **options):
    keras.utils.set_random_seed(1)
    return tiny_gan(
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e-2, 2, 0.9)),
        "rmsprop",
        ema=0.9,
        discriminator=tiny_discriminator(dropout=dropout, spectral=spectral),
        loss=loss,
        regularizers=regularizer,
        schedule=schedule,
        **options,
    )


COMBINATIONS = [
    (loss, regularizer, schedule)
    for loss in ("minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "jeffreys")
    for regularizer in ("none", "gradient_penalty", "r1", "dragan", "weight_clipping")
    for schedule in ("Alternating(3)", "Simultaneous()", "ThreePhase(1, 2, 1)", "ThreeStep()")
    if loss != "wasserstein" or (regularizer in ("gradient_penalty", "weight_clipping") and schedule != "ThreeStep()")
]


def split_run(gan_of, tmp_path):
    straight, saved = gan_of(), SaveOnTheWay(tmp_path / "gan.keras", after=2)
    train(straight, 4, saved)
    second = keras.models.load_model(saved.path)
    assert_same_bits(saved.state, state(second))
    train(second, 2)
    assert_same_bits(state(straight), state(second))


def combination(loss, regularizer, schedule):
    regularizer = () if regularizer == "none" else regularizer
    return compiled(loss, regularizer, eval(f"schedules.{schedule}"), dropout=0.3)


# One for each schedule; the slow test has them all.
CORE = [
    ("wasserstein", "gradient_penalty", "Alternating(3)"),
    ("non_saturating", "r1", "Simultaneous()"),
    ("jeffreys", "weight_clipping", "ThreePhase(1, 2, 1)"),
    ("hinge", "none", "ThreeStep()"),
]


@pytest.mark.parametrize("loss, regularizer, schedule", CORE)
def test_train_save_load_train_equals_training_on(loss, regularizer, schedule, tmp_path):
    split_run(lambda: combination(loss, regularizer, schedule), tmp_path)


def write_state(gan, path):
    np.savez(path, **{str(k): v for k, v in enumerate(state(gan).values())})


def in_a_new_process(make, cases, folder):
    """Train 4, saved after 2; in another process load that and train 2: for each case the same bytes."""
    for k, case in enumerate(cases):
        straight = make(*case)
        train(straight, 4, SaveOnTheWay(folder / f"{k}.keras", after=2))
        write_state(straight, folder / f"{k}-straight.npz")
    child(
        """
        from test_gan import *
        for path in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
            gan = keras.models.load_model(path)
            train(gan, 2)
            write_state(gan, path.with_name(path.stem + "-resumed.npz"))
        """,
        folder,
    )
    for k in range(len(cases)):
        with np.load(folder / f"{k}-straight.npz") as a, np.load(folder / f"{k}-resumed.npz") as b:
            assert_same_bits({name: a[name] for name in a.files}, {name: b[name] for name in b.files})


@pytest.mark.slow
@pytest.mark.parametrize("loss", sorted({c[0] for c in COMBINATIONS}))
def test_every_combination_continues_in_a_new_process(loss, tmp_path):
    in_a_new_process(combination, [c for c in COMBINATIONS if c[0] == loss], tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"spectral": True, "loss": "hinge"},
        pytest.param({"jit_compile": True, "dropout": 0.3}, marks=pytest.mark.slow),
        {"steps_per_execution": 2},
        {"run_eagerly": True},
    ],
)
def test_exact_continuation_however_it_is_run(options, tmp_path):
    split_run(lambda: compiled(**options), tmp_path)


@pytest.mark.parametrize(
    "schedule",
    ["simultaneous", *(pytest.param(s, marks=pytest.mark.slow) for s in ("alternating", "three_phase", "three_step"))],
)
def test_equal_seeds_equal_bits(schedule):
    # The graph optimizer once let the generator's gradient see half-updated discriminator weights under `simultaneous`.
    runs = []
    for _ in range(3):
        gan = compiled(regularizer="r1", schedule=schedule)
        train(gan, 6)
        runs.append(state(gan))
    assert_same_bits(runs[0], runs[1])
    assert_same_bits(runs[0], runs[2])


class Seeds(schedules.Schedule):
    """Two moves, and the seed that the discriminator's Dropout had in each."""

    batches_per_step, logs = 1, ("first", "second")

    def step(self, gan, batch):
        layer = next(layer for layer in gan.discriminator.layers if isinstance(layer, layers.Dropout))
        logs = gan.update_discriminator(batch)
        first = tf.cast(layer.seed_generator.state[0], tf.float32)
        logs = {**logs, **gan.update_generator(batch)}
        return {**logs, "first": first, "second": tf.cast(layer.seed_generator.state[0], tf.float32)}


def test_dropout_masks_differ_between_steps_and_between_moves():
    gan = tiny_gan(discriminator=tiny_discriminator(dropout=0.5), schedule=Seeds())
    history = gan.fit(tiny_images(8), batch_size=8, epochs=3, verbose=0).history
    assert len({*history["first"], *history["second"]}) == 6


@pytest.mark.parametrize("num_classes", [None, 3])
def test_a_penalty_on_every_third_example_is_that_of_a_third_of_the_batch(num_classes):
    images, labels = tiny_images(12), (np.arange(12) % 3).astype("int32") if num_classes else None
    gan = tiny_gan(num_classes=num_classes, regularizers=regularizers.R1(2.0, one_in=3))
    whole = tiny_gan(num_classes=num_classes, regularizers=regularizers.R1(2.0))
    whole.set_weights(gan.get_weights())
    of_all = gan.evaluate(images, labels, batch_size=12, return_dict=True, verbose=0)["r1"]
    of_third = whole.evaluate(images[::3], None if labels is None else labels[::3], batch_size=4, return_dict=True, verbose=0)[
        "r1"
    ]
    assert of_all == pytest.approx(of_third, rel=1e-5)


@pytest.mark.parametrize("regularizer, loss", [("gradient_penalty", "wasserstein"), ("r1", "non_saturating")])
def test_compiled_by_xla_it_is_the_same_step(regularizer, loss):
    sgd = keras.optimizers.SGD
    runs = []
    for jit in (False, True):
        gan = tiny_gan(sgd(0.05), sgd(0.05), loss=loss, regularizers=regularizer, ema=0.9, jit_compile=jit)
        train(gan, 5)
        runs.append(gan.get_weights())
    for a, b in zip(*runs):
        assert np.allclose(a, b, atol=1e-5)


def test_steps_per_execution_is_the_same_to_the_bit():
    one, many = compiled(), compiled(steps_per_execution=3)
    train(one, 6)
    train(many, 6)
    assert_same_bits(state(one), state(many))


@pytest.mark.parametrize(
    "kind, loss, regularizer, schedule",
    [
        pytest.param("plain", "wasserstein", "gradient_penalty", "Alternating(3)", marks=pytest.mark.slow),
        ("conditional", "non_saturating", "R1(one_in=3)", "Simultaneous()"),
        pytest.param("clustered", "non_saturating", "R1(one_in=3)", "Alternating(1)", marks=pytest.mark.slow),
        pytest.param("plain", "non_saturating", "dragan", "ThreeStep()", marks=pytest.mark.slow),
        pytest.param("plain", "wasserstein", "weight_clipping", "ThreePhase(1, 1, 1)", marks=pytest.mark.slow),
        pytest.param("spectral", "hinge", "", "Alternating(1)", marks=pytest.mark.slow),
    ],
)
def test_two_replicas_are_one(kind, loss, regularizer, schedule):
    # One strategy for each process: TensorFlow's collectives confuse two of them.
    printed = child(
        """
        import contextlib, tensorflow as tf
        from gan_keras.regularizers import *
        from gan_keras.schedules import *
        kind, loss, regularizer, schedule = sys.argv[1:]
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        y = (np.arange(144) % 3).astype("int32") if kind in ("conditional", "clustered") else None
        pipeline = gan_keras.data.batches(tiny_images(144), y, batch_size=24)
        players = {
            "plain": {},
            "conditional": {"num_classes": 3},
            "clustered": {"num_classes": 3, "clustered": True},
            "spectral": {"discriminator": lambda: tiny_discriminator(spectral=True)},
        }[kind]
        runs = []
        for scope in (contextlib.nullcontext(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()):
            with scope:
                sgd = keras.optimizers.SGD
                keras.utils.set_random_seed(0)
                made = {name: part() if callable(part) else part for name, part in players.items()}
                gan = tiny_gan(sgd(0.05), sgd(0.05), loss=loss, ema=0.9,
                               regularizers=eval(regularizer) if "(" in regularizer else regularizer or (),
                               schedule=eval(schedule), **made)
            history = gan.fit(pipeline, steps_per_epoch=10, epochs=2, verbose=0).history
            result = gan.evaluate(pipeline, steps=4, verbose=0, return_dict=True)
            runs.append((gan.get_weights(), history["d_loss"], result["d_loss"], gan.sample(3)))
            assert int(gan.step.numpy()) == 20
        a, b = runs
        print(max(np.abs(np.subtract(x, y, dtype="float64")).max() for x, y in zip(a[0], b[0])))
        print(max(np.abs(np.subtract(x, y)).max() for x, y in zip(a[1:], b[1:])))
        """,
        kind,
        loss,
        regularizer,
        schedule,
    )
    weights, numbers = map(float, printed.split()[-2:])
    assert weights < 1e-6 and numbers < 1e-5


# Conditional.


@pytest.mark.parametrize("name", ["labels", "kind"])
def test_conditional_gan_learns_what_a_label_means(name):
    # Label k is an image of constant brightness; the generator must tell the labels apart.
    brightness = np.array([-0.8, 0.0, 0.8], "float32")
    y = labels(480 * 40)
    images = np.broadcast_to(brightness[y][:, None, None, None], (len(y), 8, 8, 1))
    adam = [keras.optimizers.Adam(5e-3, 0.5) for _ in range(2)]
    gan = tiny_gan(*adam, num_classes=3, clustered=name == "kind", regularizers="r1", ema=0.9)
    gan.fit(images, y, batch_size=48, verbose=0)
    means = [gan.sample(64, **{name: k}).mean() for k in range(3)]
    assert means == pytest.approx(brightness, abs=0.25)


def test_a_part_that_stands_for_the_label_is_the_label_in_training_and_drawn_in_sampling():
    seen = []

    class Look(regularizers.Term):
        name, players = "look", ("generator",)

        def term(self, forward):
            seen.append([forward.latents["kind"].numpy(), forward.fake_labels.numpy(), forward.labels.numpy()])
            return 0.0 * tf.reduce_sum(forward.fake)

    gan = tiny_gan(num_classes=3, clustered=True, regularizers=Look(), run_eagerly=True)
    y = np.array([2, 0, 1, 1, 2, 0, 0, 0], "int32")
    gan.train_on_batch(tiny_images(8), y)
    kind, generated, given = seen[0]
    assert (kind == np.eye(3)[y]).all() and (generated == y).all() and (given == y).all()
    # As often as it was seen: 4, 2, 2 of 8, then 0, 0, 8 of 8.
    assert gan.label_shares.numpy() == pytest.approx([0.5, 0.25, 0.25])
    gan.train_on_batch(tiny_images(8), np.full(8, 2, "int32"))
    assert gan.label_shares.numpy() == pytest.approx([0.25, 0.125, 0.625])
    drawn = np.concatenate([gan.latents(1, block).numpy()[:, -3:] for block in range(20)])
    assert (drawn.sum(axis=1) == 1).all() and drawn.mean(axis=0) == pytest.approx([0.25, 0.125, 0.625], abs=0.01)
    # In an order of no period, from a start of each block's own, evenly: of any 40 in a row nearly 10, 5 and 25.
    blocks = drawn.argmax(axis=1).reshape(20, 256)
    assert len({block.tobytes() for block in blocks}) == 20 and all(
        (blocks[0, k:] != blocks[0, :-k]).any() for k in range(1, 200)
    )
    counts = [np.bincount(block[start : start + 40], minlength=3) for block in blocks for start in range(200)]
    assert abs(np.array(counts) - [10, 5, 25]).max() <= 2
    assert not gan.conditional and gan.predict(np.zeros((2, LATENT_DIM), "float32"), verbose=0).shape == (2, 8, 8, 1)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"part": "king"}, "Did you mean 'kind'"),
        ({"part": "z"}, "'z' must be a priors.Categorical.*Received: Normal, a generator of 1 input"),
        ({"generator": tiny_generator(3)}, "latents alone. Received: Categorical, a generator of 2 inputs"),
        ({"generator": None}, "The generator must be a Functional keras.Model. Received: None"),
        ({"prior": None}, "A prior is an object such as.*Received: None"),
        ({"latent_dim": 5}, "ClusteredGAN has no argument 'latent_dim'"),
        ({"num_classes": 3}, "ClusteredGAN has no argument 'num_classes'"),
    ],
)
def test_a_part_that_cannot_stand_for_the_label_is_refused(given, message):
    prior = priors.Joint(z=priors.Normal(LATENT_DIM - 3), kind=priors.Categorical(3))
    networks = {"generator": tiny_generator(), "discriminator": tiny_discriminator(3)}
    with pytest.raises((ValueError, TypeError), match=message):
        gan_keras.ClusteredGAN(**{**networks, "prior": prior, "part": "kind", **given})


@pytest.mark.parametrize(
    "policy, jit_compile",
    [
        pytest.param("float32", True, marks=pytest.mark.slow),
        ("mixed_bfloat16", False),
        pytest.param("mixed_float16", True, marks=pytest.mark.slow),
    ],
)
def test_shares_of_labels_are_the_same_under_xla_and_in_16_bits(policy, jit_compile):
    y = np.repeat([0, 2, 2, 1, 2, 0, 2, 2], 6).astype("int32")
    gan, expected = tiny_gan(num_classes=3, clustered=True), [0.25, 0.125, 0.625]
    gan.fit(tiny_images(), y, batch_size=12, epochs=3, verbose=0)
    with gan_keras.networks.precision(policy):
        other = tiny_gan(num_classes=3, clustered=True, jit_compile=jit_compile)
        other.fit(tiny_images(), y, batch_size=12, epochs=3, verbose=0)
    for made in (gan, other):
        assert made.label_shares.dtype == "float32" and made.label_shares.numpy() == pytest.approx(expected, abs=1e-6)
    assert np.isfinite(other.sample(5, kind=1)).all()


def test_clusters_are_labels_as_the_docs_say():
    page = (SCRIPTS.parent / "docs" / "concepts.md").read_text()
    code = page.split("<!-- clusters -->\n```python\n")[1].split("```")[0].replace("20", "8")
    images = np.clip(np.random.default_rng(0).normal(0.0, 0.5, (64, 28, 28, 1)), -1, 1).astype("float32")
    names = {"gan_keras": gan_keras, "priors": priors, "networks": gan_keras.networks, "images": images}
    exec(code, names)
    gan, shares = names["gan"], np.bincount(names["labels"], minlength=8) / 64
    assert int(gan.step.numpy()) == 2 and gan.label_shares.numpy() == pytest.approx(shares, abs=1e-6)


def test_a_part_that_stands_for_the_label_needs_one_for_every_image():
    with pytest.raises(ValueError, match="from 0 to 2. Received: int32 from -1"):
        tiny_gan(num_classes=3, clustered=True).fit(tiny_images(), labels() - 1, verbose=0)


def test_conditional_round_trip_and_sampling(tmp_path):
    gan = tiny_gan(num_classes=3, ema=0.9)
    gan.fit(tiny_images(), labels(), batch_size=24, validation_data=(tiny_images(), labels()), verbose=0)
    gan.save(tmp_path / "gan.keras")
    copy = keras.models.load_model(tmp_path / "gan.keras")
    assert (copy.sample(10, labels=2) == gan.sample(10, labels=2)).all()
    in_turn = [list(piece) for _, piece in gan.sample_batches(5)]
    assert in_turn == [[0, 1, 2, 0, 1]]
    assert gan.predict([np.zeros((2, LATENT_DIM), "float32"), np.array([0, 1])], verbose=0).shape == (2, 8, 8, 1)


def test_networks_of_one_input_are_wrapped_as_the_docs_say():
    page = (SCRIPTS.parent / "docs" / "concepts.md").read_text()
    code = page.split("<!-- one input -->\n```python\n")[1].split("```")[0]
    joined = keras.Input((28, 28, 1 + 10))
    names = {
        "keras": keras,
        "layers": layers,
        "num_classes": 10,
        "latent_dim": 4,
        "generator": keras.Sequential(
            [keras.Input((4 + 10,)), layers.Dense(784, activation="tanh"), layers.Reshape((28, 28, 1))]
        ),
        "discriminator": keras.Model(joined, layers.Dense(1)(layers.Flatten()(layers.Conv2D(2, 5, 5)(joined)))),
    }
    exec(code, names)
    one_hot = keras.Model(names["label"], names["one_hot"])(np.array([3, 9]))
    assert (one_hot.numpy() == np.eye(10)[[3, 9]]).all()
    maps = keras.Model(names["label"], names["maps"])(np.array([3, 9]))
    assert (maps.numpy() == np.eye(10)[[3, 9]][:, None, None]).all() and maps.shape == (2, 28, 28, 10)
    gan = tiny_gan(num_classes=10, generator=names["generator"], discriminator=names["discriminator"], ema=0.9)
    gan.fit(np.zeros((10, 28, 28, 1), "float32") - 0.5, np.arange(10), verbose=0)
    assert gan.sample(3, labels=7).shape == (3, 28, 28, 1)


def test_an_unconditional_gan_ignores_the_labels_of_a_data_set():
    a, b = tiny_gan(), tiny_gan()
    a.fit(tiny_images(), batch_size=24, shuffle=False, verbose=0)
    b.fit(tiny_images(), labels(), batch_size=24, shuffle=False, verbose=0)
    assert_same_bits(state(a), state(b))


# The critic's estimate.


@pytest.mark.slow
def test_wasserstein_estimates_the_exact_distance_on_points():
    # Data at -1 + N(0, .1), the generator fixed at its initial point 1: W1 = mean |sorted x - sorted y|.
    data = (-1.0 + 0.1 * np.random.default_rng(0).normal(size=(512, 1))).astype("float32")
    z, x = keras.Input((1,)), keras.Input((1,))
    hidden = layers.Dense(32, activation="leaky_relu")(layers.Dense(32, activation="leaky_relu")(x))
    gan = gan_keras.GAN(keras.Model(z, Point()(z)), keras.Model(x, layers.Dense(1)(hidden)))
    gan.compile(
        keras.optimizers.Adam(2e-3, 0.5, 0.9),
        keras.optimizers.SGD(0.0),
        loss="wasserstein",
        regularizers=regularizers.GradientPenalty(10.0),
    )
    history = gan.fit(data, batch_size=256, epochs=300, verbose=0).history
    exact = np.abs(np.sort(data[:, 0]) - 1.0).mean()
    # A soft penalty lets the slope exceed 1: D maximises a s - 10 (s - 1)^2 over slopes s, at s = 1 + a / 20, a = W1.
    estimate = np.mean(history["wasserstein"][-20:])
    assert estimate == pytest.approx(exact * (1 + exact / 20), rel=0.03)


def test_wasserstein_with_spectral_normalization_is_lipschitz_enough():
    # Kernels a hundred times as large change nothing; a bare critic's scores grow by a thousand times and more. No warning.
    gan = tiny_gan(loss="wasserstein", discriminator=tiny_discriminator(spectral=True))
    images = tiny_images()

    def largest_gradient(critic):
        x = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(x)
            scores = critic(x)
        return float(tf.reduce_max(tf.norm(tf.reshape(tape.gradient(scores, x), (len(images), -1)), axis=1)))

    for _ in range(2):
        gan.fit(images, batch_size=24, verbose=0)
        # A kernel as a matrix has norm 1; a convolution that sees a pixel up to four times, at most 2.
        assert 0.01 < largest_gradient(gan.discriminator) <= 2.0
        for weight in gan.discriminator.trainable_variables:
            if weight.name == "kernel":
                weight.assign(100 * weight)
