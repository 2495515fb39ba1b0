"""Layers that compare the examples of a batch: formulas, groups, and that they see a collapsed generator."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_gan, tiny_images
from keras import layers

import gan_keras
from gan_keras.layers import MinibatchDiscrimination, MinibatchStandardDeviation


def draws(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# MinibatchStandardDeviation.


@pytest.mark.parametrize("group_size", [None, 2, 3, 6])
@pytest.mark.parametrize("shape", [(4,), (5, 4), (5, 3, 4), (2, 5, 3, 4)])
def test_a_channel_of_the_mean_standard_deviation_is_appended(shape, group_size):
    x = draws(6, *shape)
    layer = MinibatchStandardDeviation(group_size)
    made = layer(x).numpy()
    assert made.shape == layer.compute_output_shape(x.shape) == (6, *shape[:-1], shape[-1] + 1)
    assert (made[..., :-1] == x).all()
    for group, channel in zip(np.split(x, 6 // (group_size or 6)), np.split(made[..., -1], 6 // (group_size or 6))):
        np.testing.assert_allclose(channel, np.full_like(channel, group.std(axis=0).mean()), rtol=1e-5)


def test_it_tells_a_collapsed_batch_from_a_varied_one():
    varied, collapsed = draws(8, 3, 3, 2), np.repeat(draws(1, 3, 3, 2), 8, axis=0)
    channel = MinibatchStandardDeviation()(varied)[..., -1].numpy()
    assert np.ptp(channel) == 0 and channel.min() > 0.7
    np.testing.assert_allclose(MinibatchStandardDeviation()(collapsed)[..., -1], 1e-4, rtol=1e-3)
    # Groups are neighbours: half of the batch is collapsed.
    half = MinibatchStandardDeviation(4)(np.concatenate([collapsed[:4], varied[:4]]))[:, 0, 0, -1].numpy()
    assert (half[:4] < 2e-4).all() and (half[4:] > 0.5).all()


def test_the_deviation_keeps_its_digits_far_from_zero_and_in_16_bits():
    x = draws(8, 5)
    expected = x.std(axis=0).mean()
    assert MinibatchStandardDeviation()(x + 1000.0).numpy()[0, -1] == pytest.approx(expected, rel=1e-3)
    half = MinibatchStandardDeviation(dtype="float16")((1000.0 * x).astype("float16"))
    assert half.dtype == "float16" and float(half[0, -1]) == pytest.approx(1000.0 * expected, rel=2e-3)


@pytest.mark.parametrize("make", [MinibatchStandardDeviation, lambda: MinibatchDiscrimination(3, 2)])
@pytest.mark.parametrize("x", [draws(4, 3), np.ones((4, 3), "float32")], ids=["varied", "collapsed"])
def test_gradients_of_first_and_second_order_are_finite(make, x):
    layer, x = make(), tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(tf.square(layer(x)))
        norm = tf.reduce_sum(tf.square(inner.gradient(y, x)))
    assert np.isfinite(outer.gradient(norm, x)).all() and norm > 0


# MinibatchDiscrimination.


def test_the_sum_over_the_batch_of_exp_of_minus_the_distance_is_appended():
    x = draws(5, 4)
    layer = MinibatchDiscrimination(kernels=3, dimensions=2)
    made = layer(x).numpy()
    measured = (x @ layer.kernel.numpy()).reshape(5, 3, 2)
    expected = np.zeros((5, 3))
    for i in range(5):
        for j in range(5):  # j = i is among them
            expected[i] += np.exp(-np.abs(measured[i] - measured[j]).sum(axis=-1))
    assert made.shape == layer.compute_output_shape(x.shape) == (5, 7)
    assert (made[:, :4] == x).all()
    np.testing.assert_allclose(made[:, 4:], expected, rtol=1e-5)


def test_an_example_counts_itself():
    layer = MinibatchDiscrimination(3, 2)
    np.testing.assert_array_equal(layer(draws(1, 4))[:, 4:], 1.0)


def test_it_counts_one_for_examples_far_apart_and_the_batch_for_equal_ones():
    layer = MinibatchDiscrimination(3, 2)
    np.testing.assert_allclose(layer(1e4 * draws(6, 4))[:, 4:], 1.0, atol=1e-5)
    np.testing.assert_array_equal(layer(np.repeat(draws(1, 4), 6, axis=0))[:, 4:], 6.0)
    pairs = layer(1e4 * np.repeat(draws(3, 4), 2, axis=0))[:, 4:]
    np.testing.assert_allclose(pairs, 2.0, atol=1e-5)


def test_by_default_it_has_the_kernels_of_the_authors():
    layer = MinibatchDiscrimination()
    assert layer(draws(2, 4)).shape == (2, 104) and layer.kernel.shape == (4, 500)


def discriminator(middle):
    x = keras.Input((3,))
    return keras.Model(x, layers.Dense(1)(middle(layers.LeakyReLU(0.2)(layers.Dense(8)(x)))))


@pytest.mark.parametrize(
    "make, separates",
    [
        (layers.Identity, False),
        (MinibatchStandardDeviation, True),
        (lambda: MinibatchDiscrimination(4, 3), True),
    ],
)
def test_a_discriminator_tells_collapsed_batches_apart_with_them_alone(make, separates):
    # Real batches are four points; a collapsed one is four times the same, each of the four in turn. Taken by themselves,
    # real and generated points are alike, and no loss is below 2 log 2.
    points = draws(4, 3)
    real, collapsed = tf.constant(points), [tf.constant(np.repeat(point[None], 4, axis=0)) for point in points]
    model, optimizer = discriminator(make()), keras.optimizers.Adam(0.02)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            fake = tf.concat([model(batch) for batch in collapsed], axis=0)
            loss = tf.reduce_mean(tf.nn.softplus(-model(real))) + tf.reduce_mean(tf.nn.softplus(fake))
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
        return loss

    losses = [float(step()) for _ in range(150)]
    if separates:
        assert losses[-1] < 0.3
    else:
        assert min(losses) >= 2 * math.log(2) - 1e-6


# Refusals and saving.


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: MinibatchStandardDeviation(1), "2 or more. Received: group_size=1"),
        (lambda: MinibatchStandardDeviation(3)(draws(4, 2)), "divisible by the examples of a group, 3, .*a batch of 4"),
        (lambda: MinibatchDiscrimination(0), "1 or more. Received: kernels=0"),
        (lambda: MinibatchDiscrimination(2, dimensions=1.5), "Received: dimensions=1.5"),
        (lambda: MinibatchDiscrimination()(draws(4, 2, 2)), r"Received: an input of shape \(4, 2, 2\)"),
    ],
)
def test_what_cannot_work_is_refused(act, message):
    with pytest.raises(ValueError, match=message):
        act()


@pytest.mark.parametrize(
    "layer, config",
    [
        (MinibatchStandardDeviation(4), {"group_size": 4}),
        (MinibatchDiscrimination(3, 2), {"kernels": 3, "dimensions": 2}),
    ],
)
def test_the_arguments_are_saved(layer, config):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer) and config.items() <= again.get_config().items()


@pytest.mark.parametrize("layer", [MinibatchStandardDeviation(4), gan_keras.layers.Packing(4)])
def test_a_last_batch_that_cannot_be_cut_is_refused_by_name(layer):
    images = keras.Input((8, 8, 1))
    gan = tiny_gan(discriminator=keras.Model(images, keras.layers.Dense(1)(keras.layers.Flatten()(layer(images)))))
    for act in (gan.fit, gan.evaluate):
        with pytest.raises(
            ValueError, match="divisible by the examples of a (group|pack), 4, .*a batch of 10. Leave out a last"
        ):
            act(tiny_images(42), batch_size=16, verbose=0)
