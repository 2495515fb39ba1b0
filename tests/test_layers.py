import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import gan_keras
from gan_keras import data, networks
from gan_keras.layers import SpectralNormalization


def built(layer, shape):
    normalized = SpectralNormalization(layer)
    normalized.build(shape)
    return normalized


def matrix(kernel):
    return keras.ops.convert_to_numpy(kernel).reshape(-1, kernel.shape[-1])


@pytest.mark.parametrize(
    "make, shape",
    [
        (lambda: layers.Dense(5), (None, 7)),
        (lambda: layers.Conv2D(6, 3), (None, 8, 8, 2)),
        (lambda: layers.Embedding(10, 4), (None,)),
    ],
)
def test_the_largest_singular_value_used_is_one(make, shape):
    layer = built(make(), shape)
    for _ in range(200):
        layer._power_iteration()
    largest = np.linalg.svd(matrix(layer._kernel), compute_uv=False)[0]
    assert float(layer.sigma()) == pytest.approx(largest, rel=1e-4)


def test_computes_with_the_normalized_kernel_and_keeps_the_raw_one():
    layer = built(layers.Dense(5, bias_initializer="ones"), (None, 7))
    before = layer.layer.kernel.numpy()
    x = np.random.default_rng(0).normal(size=(3, 7)).astype("float32")
    assert np.allclose(layer(x), x @ (before / float(layer.sigma())) + 1.0, atol=1e-5)
    assert (layer.layer.kernel.numpy() == before).all()


def test_the_gradient_flows_through_sigma():
    layer = built(layers.Conv2D(6, 3), (None, 8, 8, 2))
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 2)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(layer(x, training=True)))
    gradient = tape.gradient(loss, layer.layer.kernel.value)
    # The loss does not change when W is scaled, so the gradient is orthogonal to W.
    inner = float(tf.reduce_sum(gradient * layer.layer.kernel.value))
    assert abs(inner) < 1e-5 * float(tf.norm(gradient) * tf.norm(layer.layer.kernel.value))
    assert float(tf.norm(gradient)) > 1e-3


def test_one_power_iteration_for_each_update_and_none_at_inference():
    inputs = keras.Input((7,))
    model = keras.Model(inputs, SpectralNormalization(layers.Dense(5))(inputs))
    layer = model.layers[-1]
    x = np.random.default_rng(0).normal(size=(3, 7)).astype("float32")
    u = layer.u.numpy()
    for training in (True, False):
        model(x, training=training)
    model.predict(x, verbose=0)
    assert (layer.u.numpy() == u).all(), "calls alone do not move u"

    optimizer = keras.optimizers.SGD(0.1)
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_mean(model(x + k, training=True) ** 2) for k in range(3))
    optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
    w = matrix(layer.layer.kernel)
    v = w @ u
    expected = w.T @ (v / np.linalg.norm(v))
    assert np.allclose(layer.u.numpy(), expected / np.linalg.norm(expected), atol=1e-6), (
        "exactly one step, with the new W"
    )


def test_sigma_follows_training():
    inputs = keras.Input((20,))
    model = keras.Model(inputs, SpectralNormalization(layers.Dense(10))(inputs))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(320, 20)), rng.normal(size=(320, 10)), epochs=3, verbose=0)
    layer = model.layers[-1]
    assert float(layer.sigma()) == pytest.approx(np.linalg.svd(matrix(layer._kernel), compute_uv=False)[0], rel=0.02)


def test_saves_and_loads(tmp_path):
    inputs = keras.Input((8, 8, 2))
    model = keras.Model(inputs, layers.Flatten()(SpectralNormalization(layers.Conv2D(6, 3))(inputs)))
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype("float32")
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    # Keras before 3.15 takes no other callable.
    assert isinstance(copy.layers[1].layer.kernel.constraint, keras.constraints.Constraint)
    assert copy.layers[1].layer.kernel_constraint is None
    assert (copy.layers[1].u.numpy() == model.layers[1].u.numpy()).all()
    assert (copy.predict(x, verbose=0) == model.predict(x, verbose=0)).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SpectralNormalization(layers.Conv2DTranspose(3, 3)), "Conv2DTranspose"),
        (lambda: SpectralNormalization(layers.ReLU()), "Received: ReLU"),
        (lambda: SpectralNormalization(layers.DepthwiseConv2D(3)), "Received: DepthwiseConv2D"),
        (lambda: built(layers.Dense(3, kernel_constraint="non_neg"), (None, 3)), "constraint"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Packing


def test_packing_lays_neighbours_on_top_of_each_other():
    x = np.arange(4 * 2 * 3 * 2).reshape(4, 2, 3, 2).astype("float32")
    packed = gan_keras.layers.Packing(2)(x).numpy()
    assert packed.shape == (2, 2, 3, 4)
    np.testing.assert_array_equal(packed[1], np.concatenate([x[2], x[3]], axis=-1))
    points = np.arange(12.0).reshape(6, 2).astype("float32")
    np.testing.assert_array_equal(gan_keras.layers.Packing(3)(points).numpy(), points.reshape(2, 6))


def test_packing_must_divide_the_batch():
    with pytest.raises(ValueError, match="divisible by the 3 examples"):
        gan_keras.layers.Packing(3)(np.zeros((4, 2), "float32"))
    with pytest.raises(ValueError, match="1 or more. Received: number=0"):
        gan_keras.layers.Packing(0)
    layer = gan_keras.layers.Packing(2)
    assert gan_keras.layers.Packing.from_config(layer.get_config()).number == 2


def test_a_packed_discriminator_trains_with_a_penalty_and_is_saved(tmp_path):
    points, _ = data.load("ring", "train[:512]")
    gan = gan_keras.GAN(networks.points_generator(width=16), networks.points_discriminator(width=16, packing=4))
    gan.compile("adam", "adam", regularizers=["gradient_penalty"])
    logs = gan.fit(data.batches(points, batch_size=64, value_range=None), steps_per_epoch=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())
    gan.save(tmp_path / "gan.keras")
    again = keras.models.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(gan.discriminator(points[:8]), again.discriminator(points[:8]))
    assert again.discriminator(points[:8]).shape == (2, 1)
