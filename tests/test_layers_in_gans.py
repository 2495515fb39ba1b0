"""GANs with the layers for batches and images: they resume to the same bytes, in 16 bits, with XLA, on several replicas."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import LATENT_DIM, SaveOnTheWay, assert_same_bits, child, state, tiny_gan, tiny_images, train
from keras import layers

import gan_keras
from gan_keras import networks
from gan_keras.layers import (
    DiffAugment,
    MinibatchDiscrimination,
    MinibatchStandardDeviation,
    ReferenceBatch,
    VirtualBatchNormalization,
    inside,
)


def generator(virtual):
    z = keras.Input((LATENT_DIM,))
    norm = VirtualBatchNormalization if virtual else layers.LayerNormalization
    body = keras.Sequential([layers.Dense(16), norm(), layers.ReLU(), layers.Dense(64, "tanh", dtype="float32")])
    x = ReferenceBatch(body, number=6)(z) if virtual else body(z)
    return keras.Model(z, layers.Reshape((8, 8, 1), dtype="float32")(x), name="generator")


def discriminator(*parts):
    x = images = keras.Input((8, 8, 1))
    if "augment" in parts:
        x = DiffAugment(fill_value=-1.0)(x)
    hidden = [layers.Conv2D(4, 3, strides=2), layers.LeakyReLU(0.2)]
    if "virtual" in parts:
        hidden.insert(1, VirtualBatchNormalization())
        x = ReferenceBatch(keras.Sequential(hidden), number=5)(x)
    else:
        x = keras.Sequential(hidden)(x)
    x = MinibatchStandardDeviation()(x) if "deviation" in parts else x
    x = MinibatchStandardDeviation(4)(x) if "groups" in parts else x
    x = layers.Flatten()(x)
    x = MinibatchDiscrimination(3, 2)(x) if "discrimination" in parts else x
    return keras.Model(images, layers.Dense(1, dtype="float32")(x), name="discriminator")


def make(*parts, optimizer=keras.optimizers.Adam, rate=0.01, regularizers="r1"):
    regularizers = [regularizers, "consistency"] if regularizers and "augment" in parts else regularizers
    keras.utils.set_random_seed(0)
    players = {"generator": generator("virtual" in parts), "discriminator": discriminator(*parts)}
    return tiny_gan(optimizer(rate), optimizer(rate), ema=0.9, regularizers=regularizers, **players)


COMPARING = ("deviation", "groups", "discrimination")
PARTS = (*COMPARING, "virtual", "augment")


@pytest.mark.parametrize("parts", [COMPARING, ("virtual",), ("augment",)], ids="-".join)
def test_they_go_on_to_the_same_bytes(parts, tmp_path):
    straight = make(*parts)
    train(straight, 4, SaveOnTheWay(tmp_path / "gan.keras", after=2))
    resumed = keras.models.load_model(tmp_path / "gan.keras")
    train(resumed, 2)
    assert_same_bits(state(straight), state(resumed))
    assert (straight.sample(3) == resumed.sample(3)).all()
    assert all(np.isfinite(weight).all() for weight in straight.get_weights())


def cutting_judge():
    """Sums the pixels that a square of a quarter of the image, or what of it lies inside, has left."""
    images = keras.Input((8, 8, 1))
    x = layers.Flatten()(DiffAugment(("cutout",))(images))
    return keras.Model(images, layers.Dense(1, kernel_initializer="ones", use_bias=False)(x), name="discriminator")


def test_a_penalty_is_of_the_images_before_they_are_augmented():
    gan = tiny_gan(discriminator=cutting_judge(), regularizers=gan_keras.regularizers.R1(2.0))
    slope = float(gan.train_on_batch(tiny_images(64), return_dict=True)["r1"])
    assert 48 <= slope < 62, "the number of pixels left; of the images after it, all 64"


def test_the_generator_learns_through_the_augmentation():
    z = keras.Input((LATENT_DIM,))
    canvas = layers.Dense(64, kernel_initializer="zeros")
    generator = keras.Model(z, layers.Reshape((8, 8, 1))(canvas(z)), name="generator")
    gan = tiny_gan("sgd", "sgd", generator=generator, discriminator=cutting_judge())
    gan.train_on_batch(tiny_images(1))
    moved = canvas.bias.numpy() != 0
    assert 48 <= moved.sum() < 64, "not what was cut out"


@functools.cache
def one_step(policy):
    """How far a step moves the trainable weights of each player, and the kinds of its layers' computations."""
    with networks.precision(policy):
        gan = make(*PARTS, optimizer=keras.optimizers.SGD, rate=1e-3, regularizers=())
    before = gan.get_weights()
    gan.fit(tiny_images(24), batch_size=24, verbose=0, shuffle=False)
    assert gan.generator.outputs[0].dtype == gan.discriminator.outputs[0].dtype == "float32"
    kinds = (DiffAugment, MinibatchStandardDeviation, MinibatchDiscrimination, VirtualBatchNormalization)
    computes = {layer.compute_dtype for kind in kinds for layer in inside(gan.discriminator, kind)}
    return np.concatenate([(a - b).ravel() for a, b in zip(gan.get_weights(), before)]).astype("float64"), computes


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_step_in_16_bits_is_nearly_the_step_in_32(policy):
    (exact, _), (rounded, computes) = one_step("float32"), one_step(policy)
    assert computes == {policy.removeprefix("mixed_")}
    assert np.linalg.norm(exact) > 1e-3 and np.linalg.norm(rounded - exact) < 0.1 * np.linalg.norm(exact)


@pytest.mark.slow
def test_a_gradient_penalty_with_xla_is_the_same():
    network, images = discriminator(*PARTS), tf.constant(tiny_images(8))
    (seed,) = gan_keras.generative.seed_states(network)

    def gradients():
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(images)
                scores = network(images, training=True)
            loss = tf.reduce_mean(scores) + tf.reduce_mean(tf.square(inner.gradient(scores, images)))
        return outer.gradient(loss, network.trainable_variables)

    made = []
    for jit in (False, True):
        seed.assign([3, 4])
        made.append(tf.function(gradients, autograph=False, jit_compile=jit)())
    assert max(float(tf.reduce_max(tf.abs(gradient))) for gradient in made[0]) > 0.01
    for plain, compiled in zip(*made):
        np.testing.assert_allclose(compiled, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_two_replicas_are_one():
    printed = child(
        """
        import contextlib
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from test_layers_in_gans import *
        pipeline = gan_keras.data.batches(tiny_images(144), batch_size=24)
        mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])  # one for each process: collectives confuse two
        runs = []
        for scope in (contextlib.nullcontext(), mirrored.scope()):
            with scope:
                gan = make(*COMPARING, "virtual", optimizer=keras.optimizers.SGD, rate=0.002)
            before = gan.get_weights()
            history = gan.fit(pipeline, steps_per_epoch=5, verbose=0).history
            moved = max(np.abs(np.subtract(a, b)).max() for a, b in zip(gan.get_weights(), before))
            runs.append((gan.get_weights(), [history["d_loss"], history["r1"]]))
        a, b = runs
        print(moved, max(np.abs(np.subtract(x, y, dtype="float64")).max() for x, y in zip(a[0], b[0])))
        print(max(np.abs(np.subtract(x, y)).max() for x, y in zip(a[1], b[1])))

        def augmented():
            gan_keras.random.seed_layers(gan_keras.random.Random(0, 0, 0), model)
            return model(tiny_images(4), training=True)

        with mirrored.scope():
            images = keras.Input((8, 8, 1))
            model = keras.Model(images, DiffAugment()(images))
        one, other = mirrored.run(tf.function(augmented)).values
        print(bool(tf.reduce_any(tf.reduce_all(one == other, axis=(1, 2, 3)))))
        """
    )
    moved, weights, numbers, any_alike = printed.split()[-4:]
    assert float(moved) > 0.01 and float(weights) < 1e-6 and float(numbers) < 1e-5
    assert any_alike == "False", "as of Dropout, each replica has draws of its own"
