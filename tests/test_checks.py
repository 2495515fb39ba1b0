"""What cannot work is refused, in plain words and before anything has changed; what can work is not."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import (
    LATENT_DIM,
    Relativistic,
    assert_same_bits,
    child,
    labels,
    state,
    tiny_discriminator,
    tiny_gan,
    tiny_generator,
    tiny_images,
)
from keras import layers

import gan_keras
from gan_keras import regularizers, schedules


def fit(images, gan=None, **kwargs):
    return lambda: (gan or tiny_gan)().fit(images, verbose=0, **kwargs)


def conditional():
    return tiny_gan(num_classes=3)


def with_nan():
    images = tiny_images()
    images[3, 2, 2, 0] = np.nan
    return images


def endless():
    return gan_keras.data.batches(tiny_images(), batch_size=8)


def sigmoid_gan():
    z = keras.Input((LATENT_DIM,))
    generator = keras.Model(z, layers.Reshape((8, 8, 1))(layers.Dense(64, activation="sigmoid")(z)))
    return tiny_gan(generator=generator)


def ends_in(layer):
    images = keras.Input((8, 8, 1))
    return keras.Model(images, layer(layers.Dense(1)(layers.Flatten()(images))))


def half_normalized():
    images = keras.Input((8, 8, 1))
    x = layers.Dense(4)(layers.Flatten()(images))
    return keras.Model(images, gan_keras.layers.SpectralNormalization(layers.Dense(1))(x))


shared = keras.optimizers.Adam()


@pytest.mark.parametrize(
    "act, message",
    [
        (fit((tiny_images() + 1) * 127.5), r"in \[-1, 1\].*Received: values from .* to 25"),
        (fit((tiny_images() + 1) / 2), r"in \[-1, 1\].*Received: values from 0"),
        (fit(tiny_images(), sigmoid_gan), r"in \[0, 1\].*Received: values from -"),
        (fit(tiny_images()[..., 0]), "Received: shape .* grey images need a last axis of 1"),
        (fit(np.zeros((8, 32, 32, 1), "float32")), r"\(batch, 8, 8, 1\).*Received: shape .*32, 32"),
        (fit(np.zeros((8, 8, 8, 1), "uint8")), "must be floats.*Received: uint8"),
        (fit(with_nan()), "NaN"),
        (fit(tiny_images()[:0]), "empty"),
        (
            fit(tf.data.Dataset.from_tensor_slices(tiny_images(5)).batch(8, drop_remainder=True)),
            "empty.*drop_remainder",
        ),
        (fit(tiny_images(), conditional), "needs labels.*Received images alone"),
        (fit(tiny_images(), conditional, y=labels() + 1), "from 0 to 2. Received: int32 from 1 to 3"),
        (fit(tiny_images(), conditional, y=labels() - 1), "from 0 to 2. Received: int32 from -1"),
        (fit(tiny_images(), conditional, y=labels(40)), "48 images, 40 labels"),
        (fit(tiny_images(), conditional, y=np.eye(3)[labels()]), r"shape \(batch,\). Received: shape .*3\)"),
        (
            fit(tiny_images(), lambda: tiny_gan(schedule=schedules.Alternating(5)), batch_size=24),
            "A batch of 24 cannot be split into 5 .* multiple of 5",
        ),
        (
            fit(tiny_images(25), lambda: tiny_gan(schedule=schedules.Alternating(2)), batch_size=10),
            "A batch of 5 cannot be split into 2",
        ),
        (lambda: tiny_gan(discriminator=tiny_discriminator(activation="sigmoid")), "ends in a sigmoid.*remove"),
        (
            lambda: tiny_gan(discriminator=tiny_discriminator(batch_norm=True), regularizers="r1"),
            "r1.*BatchNormalization",
        ),
        (lambda: tiny_gan(shared, shared), "must not share an optimizer"),
        (
            lambda: tiny_gan(loss="wasserstein", regularizers="weight_clipping", schedule="three_step"),
            "ThreeStep.*alternating",
        ),
        (lambda: tiny_gan(loss=Relativistic(), schedule="three_step"), "ThreeStep.*Relativistic.*alternating"),
        (lambda: tiny_gan(loss="hinje"), "Did you mean 'hinge'"),
        (lambda: tiny_gan(regularizers=["r1", "r1"]), "two have the same"),
        (lambda: tiny_gan(discriminator=ends_in(layers.Activation("sigmoid"))), "ends in a sigmoid"),
        (lambda: tiny_gan(discriminator=ends_in(keras.ops.sigmoid)), "ends in a sigmoid"),
        (lambda: tiny_gan(discriminator=ends_in(layers.Dense(1, kernel_regularizer="l2"))), "kernel_regularizer"),
        (
            fit(
                tf.data.Dataset.from_tensor_slices(tiny_images(23)).batch(10),
                lambda: tiny_gan(schedule=schedules.Alternating(5)),
            ),
            "size is not known beforehand.*drop_remainder",
        ),
        (fit(tiny_images(), validation_data=(tiny_images() * 200,)), "Received: values from"),
        (lambda: tiny_gan().evaluate(tiny_images() * 200, verbose=0), "Received: values from"),
        (lambda: tiny_gan(ema=1.0), "ema=1.0"),
        (lambda: tiny_gan().predict(np.zeros((2, LATENT_DIM + 1)), verbose=0), "expected shape=.*8.*found shape=.*9"),
        (lambda: tiny_gan().sample(0), "n=0"),
        (lambda: tiny_gan().sample(3, labels=1), "The generator takes no labels"),
        (lambda: conditional().sample(3, label=1), "Unknown argument: 'label'. Did you mean 'labels'"),
        (
            lambda: gan_keras.GAN(tiny_generator(), tiny_discriminator(), prior=gan_keras.priors.Normal(3)),
            "Give the generator latent_dim=3",
        ),
        (fit(endless(), epochs=2, callbacks=[keras.callbacks.History()]), "has no end.*steps_per_epoch=500"),
        (fit(endless()), "has no end.*steps_per_epoch=500"),
        (fit(tiny_images(), validation_data=endless()), "has no end.*validation_steps=500"),
        (lambda: tiny_gan().evaluate(endless(), verbose=0), "has no end.*steps=500"),
        (lambda: conditional().sample(3, labels=3), "from 0 to 2. Received: int64 3$"),
        (lambda: conditional().sample(3, labels=[0, 1]), "3 of them"),
        (lambda: gan_keras.GAN(tiny_generator(), tiny_discriminator(3), num_classes=3), "two inputs"),
        (lambda: gan_keras.GAN(tiny_generator(3), tiny_discriminator(3)), "one input"),
        (
            lambda: gan_keras.GAN(keras.Sequential([keras.Input((8,)), layers.Dense(1)]), tiny_discriminator()),
            r"makes images of shape \(1,\)",
        ),
        (lambda: gan_keras.GAN(tiny_generator(), tiny_discriminator(), seed=-1), "seed=-1"),
        (lambda: gan_keras.GAN("generator", tiny_discriminator()), "Functional keras.Model"),
    ],
)
def test_nonsense_is_refused(act, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        act()


def test_refused_data_leaves_the_gan_untouched():
    gan = tiny_gan()
    before = state(gan)
    with pytest.raises(ValueError):
        gan.fit(tiny_images() * 255, verbose=0)
    assert_same_bits(before, state(gan))


# Networks.


def nested(network):
    """The same network inside another model, as many examples build it."""
    inputs = keras.Input(network.inputs[0].shape[1:])
    return keras.Model(inputs, network(inputs))


def ends_twice():
    images = keras.Input((8, 8, 1))
    x = layers.Flatten()(images)
    return keras.Model(images, [layers.Dense(1)(x), layers.Dense(10)(x)])


def sequential(*more, start=(8, 8, 1)):
    return keras.Sequential([keras.Input(start), layers.Flatten(), *more])


def generator_of(shape):
    return keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(64), layers.Reshape((8, 8, 1))])


def test_the_range_of_a_nested_generator_is_known():
    gan = tiny_gan(generator=nested(nested(tiny_generator())))
    assert gan.value_range == (-1.0, 1.0)
    with pytest.raises(ValueError, match=r"no negative value in the first batch.*from \[0, 1\]: images \* 2 - 1"):
        gan.fit((tiny_images() + 1) / 2, verbose=0)


@pytest.mark.parametrize(
    "value_range, first, last, told",
    [
        ((-1, 1), 0, 1, r"from \[0, 1\]: images \* 2 - 1\."),
        ((-1, 1), 0, 255, r"from \[0, 255\]: images / 127.5 - 1; gan_keras.data.batches does it for images of type uint8\."),
        ((0, 1), -1, 1, r"from \[-1, 1\]: images / 2 \+ 0.5\."),
        ((0, 1), 0, 255, r"from \[0, 255\]: images / 255;"),
        ((-1, 1), -300, 300, r"Received: values from -300 to 300. Rescale or clip them\."),
        ((-1, 1), 0, 16, r"Received: values from 0 to 16. Rescale or clip them\."),
        ((0, 1), 0, 1.01, r"Received: values from 0 to 1.01. Rescale or clip them\."),
    ],
)
def test_the_formula_that_rescales_images_is_told(value_range, first, last, told):
    images = np.linspace(first, last, tiny_images().size, dtype="float32").reshape(tiny_images().shape)
    gan = tiny_gan()
    gan.value_range = value_range
    with pytest.raises(ValueError, match=told):
        gan.fit(images, verbose=0)


@pytest.mark.parametrize(
    "players, message",
    [
        ({"discriminator": lambda: nested(tiny_discriminator(activation="sigmoid"))}, "ends in a sigmoid.*remove"),
        ({"discriminator": lambda: sequential(layers.Dense(1, "sigmoid"), layers.Reshape((1, 1)))}, "ends in a sigmoid"),
        ({"discriminator": lambda: sequential(layers.Dense(2, "softmax"))}, "one score.*None, 2"),
        ({"discriminator": lambda: sequential(layers.Dense(4, "softmax"), layers.Reshape((4, 1)))}, "ends in a softmax"),
        ({"discriminator": ends_twice}, "must have one output, or a dict of them with .score.. Received: 2"),
        ({"generator": lambda: generator_of((4, 4))}, r"latents of shape \(batch, latent_dim\).*4, 4"),
        ({"generator": lambda: generator_of((8, 8, 1))}, r"latents of shape \(batch, latent_dim\).*8, 8, 1"),
    ],
)
def test_networks_that_cannot_play_are_refused(players, message):
    with pytest.raises(ValueError, match=message):
        tiny_gan(**{role: make() for role, make in players.items()})


def test_a_map_of_scores_is_welcome():
    images = keras.Input((8, 8, 1))
    patches = keras.Model(images, layers.Conv2D(1, 3, strides=2)(images))
    history = tiny_gan(discriminator=patches).fit(tiny_images(), verbose=0).history
    assert np.isfinite(history["d_loss"]).all()


class AddsLoss(layers.Layer):
    def call(self, x, training=False):
        if training:
            self.add_loss(keras.ops.mean(x))
        return x


@pytest.mark.parametrize("role", ["generator", "discriminator"])
@pytest.mark.parametrize("schedule", ["alternating", "simultaneous"])
def test_a_network_with_losses_of_its_own_is_refused(role, schedule):
    def player(layer):
        end = [layers.Dense(1)] if role == "discriminator" else [layers.Dense(64), layers.Reshape((8, 8, 1))]
        return {role: sequential(layer, *end, start=(8, 8, 1) if role == "discriminator" else (LATENT_DIM,))}

    with pytest.raises(ValueError, match=f"The {role} has a loss of its own, .* which would not be counted"):
        tiny_gan(**player(layers.Dense(3, activity_regularizer="l2")))
    gan = tiny_gan(**player(AddsLoss()), schedule=schedule)
    before = state(gan)
    with pytest.raises(ValueError, match=f"The {role} has a loss of its own, .* add_loss, which would not be counted"):
        gan.fit(tiny_images(), verbose=0)
    assert_same_bits(before, state(gan))


@pytest.mark.parametrize("role", ["generator", "discriminator"])
def test_a_frozen_player_that_is_to_be_trained_is_refused(role):
    player = {"generator": tiny_generator, "discriminator": tiny_discriminator}[role]()
    player.trainable = False
    with pytest.raises(ValueError, match=f"trains the {role}, but it is frozen.*{role}.trainable = True"):
        tiny_gan(**{role: player}).fit(tiny_images(), verbose=0)


def test_a_frozen_player_that_only_plays_is_welcome():
    discriminator = tiny_discriminator()
    discriminator.trainable = False
    gan = tiny_gan(discriminator=discriminator, schedule=schedules.ThreePhase(1, 0, 0))
    before = discriminator.get_weights(), gan.generator.get_weights()
    gan.fit(tiny_images(), verbose=0)
    assert all((a == b).all() for a, b in zip(before[0], discriminator.get_weights()))
    assert any((a != b).any() for a, b in zip(before[1], gan.generator.get_weights()))


def test_a_penalty_with_frozen_batch_norm_is_welcome():
    discriminator = tiny_discriminator(batch_norm=True)
    next(layer for layer in discriminator.layers if isinstance(layer, layers.BatchNormalization)).trainable = False
    history = tiny_gan(discriminator=discriminator, regularizers="r1").fit(tiny_images(), verbose=0).history
    assert history["r1"][0] > 0


# What compile and the constructor are given.


class OneLossForEachExample(gan_keras.losses.NonSaturating):
    def fool(self, scores):
        return keras.ops.softplus(-scores)


class OneTermForEachExample(regularizers.R1):
    def term(self, forward):
        return keras.ops.mean(keras.ops.square(forward.images), axis=(1, 2, 3))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"loss": OneLossForEachExample()}, r"OneLossForEachExample must return a scalar. Received: shape \(None, 1\)"),
        ({"regularizers": OneTermForEachExample()}, r"OneTermForEachExample must return a scalar"),
    ],
)
def test_a_loss_that_is_no_scalar_is_refused_before_it_trains(options, message):
    gan = tiny_gan(**options)
    before = state(gan)
    with pytest.raises(ValueError, match=message):
        gan.fit(tiny_images(), verbose=0)
    assert_same_bits(before, state(gan))


@pytest.mark.parametrize(
    "act, error, message",
    [
        (lambda: tiny_gan(metrics=["accuracy"]), TypeError, "no argument 'metrics'.*Evaluate"),
        (lambda: tiny_gan(loss_fn="bce"), TypeError, "no argument 'loss_fn'. It is called loss"),
        (lambda: untrained().compile(optimizer="adam"), TypeError, "no argument 'optimizer'.*d_optimizer and g_optimizer"),
        (lambda: untrained().compile("adam"), TypeError, "Each player needs an optimizer"),
        (lambda: untrained(latent_dim=8), TypeError, "no argument 'latent_dim'.*generator's input"),
        (lambda: tiny_gan(steps_per_execution="auto"), ValueError, "integer of 1 or more. Received: .*'auto'"),
        (lambda: tiny_gan().save("gan.h5"), ValueError, "end it in .keras"),
    ],
)
def test_wrong_arguments_are_answered_with_the_right_ones(act, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        act()
    assert not list(tmp_path.iterdir())


def untrained(**options):
    return gan_keras.GAN(tiny_generator(), tiny_discriminator(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"regularizers": "r1"},
        {"regularizers": regularizers.GradientPenalty(0.0)},
        {"discriminator": half_normalized},
    ],
)
def test_a_critic_without_a_bound_is_warned_of(options):
    options = {name: option() if name == "discriminator" else option for name, option in options.items()}
    with pytest.warns(UserWarning, match="needs a Lipschitz critic.*gradient_penalty"):
        gan = tiny_gan(loss="wasserstein", **options)
    assert np.isfinite(gan.fit(tiny_images(), verbose=0).history["wasserstein"]).all()


def test_float16_does_not_hide_a_shared_optimizer():
    one = keras.optimizers.SGD()
    for optimizers in ((one, one), (keras.optimizers.LossScaleOptimizer(one), keras.optimizers.LossScaleOptimizer(one))):
        with gan_keras.networks.precision("mixed_float16"), pytest.raises(ValueError, match="must not share"):
            tiny_gan(*optimizers)


@pytest.mark.parametrize(
    "callback, message",
    [
        (keras.callbacks.TerminateOnNaN, "NonFiniteGuard"),
        (lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate), "LearningRateSchedule"),
        (lambda: keras.callbacks.ReduceLROnPlateau("d_loss", mode="min"), "LearningRateSchedule"),
        (keras.callbacks.SwapEMAWeights, "ema"),
        (lambda: keras.callbacks.EarlyStopping("g_loss"), "mode='min'"),
    ],
)
def test_callbacks_that_cannot_work_say_what_to_use(callback, message):
    gan = tiny_gan()
    with pytest.raises(ValueError, match=message):
        gan.fit(tiny_images(), verbose=0, callbacks=[callback()])


# Sources of data. Whatever they are, the first batch is looked at, and a batch that cannot be split is refused.


class Batches(keras.utils.PyDataset):
    """Arrays in batches of given sizes."""

    def __init__(self, arrays, sizes):
        super().__init__()
        self.arrays, self.bounds = arrays, np.cumsum([0, *sizes])

    def __len__(self):
        return len(self.bounds) - 1

    def __getitem__(self, k):
        return tuple(array[self.bounds[k] : self.bounds[k + 1]] for array in self.arrays)


def generator_over(batches):
    yield from (batches[k] for k in range(len(batches)))


def as_loader(batches):
    torch = pytest.importorskip("torch", reason="needs torch, an optional extra")
    return torch.utils.data.DataLoader([tuple(map(torch.tensor, batches[k])) for k in range(len(batches))], batch_size=None)


SOURCES = {"dataset": lambda batches: batches, "generator": generator_over, "loader": as_loader}


@pytest.fixture(scope="module")
def trained_on_arrays():
    gan = conditional()
    gan.fit(tiny_images(40), labels(40), batch_size=8, shuffle=False, verbose=0)
    return state(gan)


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_trains_the_same(source, trained_on_arrays):
    gan = conditional()
    gan.fit(SOURCES[source](Batches((tiny_images(40), labels(40)), [8] * 5)), steps_per_epoch=5, shuffle=False, verbose=0)
    assert int(gan.step.numpy()) == 5, "looking at the first batch does not use it up"
    assert_same_bits(trained_on_arrays, state(gan))


def test_a_generator_of_bare_images_is_taken():
    gan = tiny_gan()
    gan.fit((batch for batch in np.split(tiny_images(), 3)), steps_per_epoch=3, verbose=0)
    assert int(gan.step.numpy()) == 3


def test_fit_before_compile_says_so():
    with pytest.raises(ValueError, match="Call compile"):
        untrained().fit(tiny_images(), verbose=0)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "images, classes, message",
    [
        (tiny_images() * 100, labels(), "must be in that range too. Received: values from"),
        (with_nan(), labels(), "NaN"),
        (tiny_images(), labels() + 1, "from 0 to 2. Received: int32 from 1 to 3"),
        (tiny_images(), labels(40), "48 images, 40 labels"),
        (tiny_images()[..., 0], labels(), "last axis of 1"),
    ],
)
def test_the_first_batch_of_every_source_is_looked_at(source, images, classes, message):
    gan = conditional()
    before = state(gan)
    make = lambda: SOURCES[source](Batches((images, classes), [48]))  # noqa: E731
    good = (tiny_images(), labels())
    for act in (
        lambda: gan.fit(make(), verbose=0),
        lambda: gan.fit(*good, validation_data=make(), verbose=0),
        lambda: gan.evaluate(make(), verbose=0),
        lambda: gan.train_on_batch(images, classes),
        lambda: gan.test_on_batch(images, classes),
    ):
        with pytest.raises(ValueError, match=message):
            act()
    assert_same_bits(before, state(gan))


@pytest.mark.parametrize(
    "data, message",
    [
        ([tiny_images()], "one array or a data set. Received: x of type list"),
        ({"images": tiny_images()}, "one array or a data set. Received: x of type dict"),
        (tf.data.Dataset.from_tensors({"image": tiny_images()}), "images, or .*Received: images of type dict"),
        (tf.data.Dataset.from_tensors(((tiny_images(), labels()), labels())), "Received: images of type tuple"),
        (7, "one array or a data set.*Received: x of type int"),
        ((batch for batch in ()), "The data set is empty"),
    ],
)
def test_data_in_other_containers_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        tiny_gan().fit(data, verbose=0)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("sizes", [[6, 5], *(pytest.param(sizes, marks=pytest.mark.slow) for sizes in ([5, 6], [6, 6, 1]))])
def test_batches_that_cannot_be_split_are_refused_from_every_source(source, sizes):
    gan = tiny_gan(schedule=schedules.Alternating(3))
    with pytest.raises(ValueError, match="multiple of 3|divisible by the number of minibatches in a step, 3"):
        gan.fit(SOURCES[source](Batches((tiny_images(),), sizes)), steps_per_epoch=len(sizes), verbose=0)
    made = int(gan.step.numpy())
    assert made == (0 if source == "dataset" else sizes.index(next(size for size in sizes if size % 3)))
    assert all(np.isfinite(w).all() for w in gan.get_weights())
    gan.fit(SOURCES[source](Batches((tiny_images(),), [6, 3])), steps_per_epoch=2, verbose=0)
    assert int(gan.step.numpy()) == made + 2, "and even ones are welcome"


def test_a_batch_that_cannot_be_split_is_refused_whoever_splits_it():
    gan = tiny_gan(schedule=schedules.Alternating(3))
    before = state(gan)
    for images in (tiny_images(4), tiny_images(3)[:0]):
        with pytest.raises(ValueError, match="multiple of 3|empty"):
            gan.train_on_batch(images)
    step = tf.function(gan.train_step)
    with pytest.raises(ValueError, match="divisible by the number of minibatches in a step, 3.*a batch of 4"):
        step(tf.constant(tiny_images(4)))
    assert_same_bits(before, state(gan))
    gan.train_on_batch(tiny_images(6))
    assert int(gan.step.numpy()) == 1


def test_an_empty_batch_is_refused():
    gan = tiny_gan()
    with pytest.raises(ValueError, match="not empty. Received: a batch of 0"):
        gan.fit(generator_over(Batches((tiny_images(),), [8, 0])), verbose=0)
    assert all(np.isfinite(w).all() for w in gan.get_weights())


@pytest.mark.slow
def test_xla_takes_batches_whose_size_is_known_beforehand():
    # XLA drops assertions, so that the step cannot look at the size itself.
    gan = tiny_gan(schedule=schedules.Alternating(3), jit_compile=True)
    gan.fit(tiny_images(9), batch_size=6, verbose=0)
    gan.fit(Batches((tiny_images(),), [6, 3]), verbose=0)
    assert int(gan.step.numpy()) == 4
    for batches in (Batches((tiny_images(),), [6, 5]), generator_over(Batches((tiny_images(),), [6, 6]))):
        with pytest.raises(ValueError, match="multiple of 3"):
            gan.fit(batches, verbose=0)


@pytest.mark.slow
def test_two_replicas_refuse_what_they_cannot_share():
    printed = child(
        """
        import tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from test_checks import Batches, generator_over
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            gan = tiny_gan(discriminator=tiny_discriminator(dropout=0.3, flip=True))
        images = tiny_images(33)
        gan.fit(images[:32], batch_size=16, verbose=0)
        for act in (
            lambda: gan.fit(images, batch_size=16, verbose=0),
            lambda: gan.fit(Batches((images,), [32, 1]), verbose=0),
            lambda: gan.fit(generator_over(Batches((images,), [32, 1])), verbose=0),
            lambda: gan.evaluate(images, batch_size=32, verbose=0),
            lambda: gan.fit(images[:32], validation_data=images, verbose=0),
        ):
            try:
                act()
            except ValueError as error:
                print(str(error).splitlines()[0])
        print(int(gan.step.numpy()), np.isfinite(gan.evaluate(images[:32], batch_size=16, verbose=0)).all())
        """
    )
    lines = printed.splitlines()
    assert [line for line in lines if "multiple of 2, and drop_remainder" in line] == lines[:5], printed
    assert lines[5:] == ["2 True"]


def test_fit_looks_at_held_out_data_once_and_a_callback_that_evaluates_looks_itself(monkeypatch):
    looks, unpack = [], gan_keras.GAN.unpack
    monkeypatch.setattr(gan_keras.GAN, "unpack", lambda gan, data: looks.append(data) or unpack(gan, data))
    gan, images = tiny_gan(), tiny_images()

    def looked():  # else Keras traces a step
        return sum(isinstance(keras.tree.flatten(data)[0], np.ndarray) for data in looks)

    gan.fit(images, epochs=3, validation_data=(images,), verbose=0)
    assert looked() == 2
    evaluate = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: gan.evaluate(images, verbose=0))
    gan.fit(images, epochs=3, callbacks=[evaluate], verbose=0)
    assert looked() == 2 + 1 + 3


# Runs.


def test_a_run_that_has_ended_trains_no_further():
    gan, images = tiny_gan(), gan_keras.data.batches(tiny_images(), batch_size=8)
    gan.fit(images, steps_per_epoch=3, verbose=0)
    before = state(gan)
    assert gan.fit(images, steps_per_epoch=3 - int(gan.step.numpy()), verbose=0).history == {}
    assert_same_bits(before, state(gan))
    with pytest.raises(ValueError, match="Received: steps_per_epoch=-1"):
        gan.fit(images, steps_per_epoch=2 - int(gan.step.numpy()), verbose=0)
