import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_gan
from keras import layers

import gan_keras
from gan_keras import data, networks
from gan_keras.layers import SpectralNormalization, inside


def built(layer, shape, **options):
    normalized = SpectralNormalization(layer, **options)
    normalized.build(shape)
    return normalized


def largest(layer):
    """The largest singular value of the raw kernel."""
    return np.linalg.svd(matrix(layer.layer.trainable_weights[0]), compute_uv=False)[0]


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
    layer = built(make(), shape, initial_iterations=200)
    assert float(layer.sigma()) == pytest.approx(largest(layer), rel=1e-4)


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
    # Not by @: some builds of BLAS raise the flag of an invalid number where there is none (OpenBLAS issue 1924).
    v = np.einsum("ij,j", w, u)
    expected = np.einsum("ij,i", w, v / np.linalg.norm(v))
    assert np.allclose(layer.u.numpy(), expected / np.linalg.norm(expected), atol=1e-6), "exactly one step, with the new W"


def test_sigma_follows_training():
    inputs = keras.Input((20,))
    model = keras.Model(inputs, SpectralNormalization(layers.Dense(10))(inputs))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(320, 20)), rng.normal(size=(320, 10)), epochs=3, verbose=0)
    layer = model.layers[-1]
    assert float(layer.sigma()) == pytest.approx(largest(layer), rel=0.02)


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
    with pytest.raises(ValueError, match="divisible by the examples of a pack, 3"):
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


# Names in saved files.


@pytest.mark.parametrize("layer", [SpectralNormalization(layers.Dense(3)), gan_keras.layers.Packing(2)])
def test_layers_are_saved_under_the_name_of_the_package(layer):
    config = keras.saving.serialize_keras_object(layer)
    assert config["registered_name"] == f"gan_keras>{type(layer).__name__}"
    # Files of earlier versions name another module.
    assert type(keras.saving.deserialize_keras_object({**config, "module": "gan_keras.layers"})) is type(layer)


# Looking inside.


class Hidden(layers.Layer):
    """Calls a layer that it holds in lists and dicts alone."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.held = {"deep": [(layer, 7), None], 3: set()}

    def call(self, x):
        return self.held["deep"][0][0](x)


def nested(layer):
    x = keras.Input((2, 4))
    return keras.Model(x, keras.Sequential([keras.Sequential([layer])])(x))


HOLDERS = [nested, layers.TimeDistributed, Hidden, lambda layer: nested(Hidden(layer))]


def holding_discriminator(hold, layer):
    """A discriminator that has the layer inside another."""
    images = keras.Input((8, 8, 1))
    x = layers.Reshape((2, 4))(layers.Dense(8)(layers.Flatten()(images)))
    return keras.Model(images, layers.Dense(1, dtype="float32")(layers.Flatten()(hold(layer)(x))))


@pytest.mark.parametrize("hold", [*HOLDERS, SpectralNormalization])
def test_a_layer_is_found_inside_whatever_holds_it(hold):
    layer = layers.Dense(4)
    found = inside(holding_discriminator(hold, layer))
    assert any(other is layer for other in found)
    assert len({id(other) for other in found}) == len(found)


@pytest.mark.parametrize("hold", HOLDERS)
def test_batch_norm_inside_another_layer_is_refused_by_gradient_terms(hold):
    discriminator = holding_discriminator(hold, layers.BatchNormalization())
    with pytest.raises(ValueError, match="has BatchNormalization"):
        tiny_gan(discriminator=discriminator, regularizers="r1")
    tiny_gan(discriminator=holding_discriminator(hold, layers.LayerNormalization()), regularizers="r1")


@pytest.mark.parametrize("hold", [*HOLDERS, SpectralNormalization])
def test_losses_are_scaled_for_float16_inside_another_layer(hold):
    for dtype in ("mixed_float16", "mixed_bfloat16"):
        gan = tiny_gan(discriminator=holding_discriminator(hold, layers.Dense(4, dtype=dtype)))
        assert isinstance(gan.d_optimizer, keras.optimizers.LossScaleOptimizer) == (dtype == "mixed_float16")


def test_cells_and_seed_generators_are_found():
    cells = layers.RNN(layers.StackedRNNCells([layers.GRUCell(3), layers.LSTMCell(3)]))
    kinds = [type(layer) for layer in inside(layers.Bidirectional(layers.LSTM(3))) + inside(cells)]
    assert {layers.LSTM, layers.LSTMCell, layers.GRUCell} <= set(kinds)
    dropout = layers.Dropout(0.1)
    assert inside(nested(Hidden(dropout)), keras.random.SeedGenerator) == [dropout.seed_generator]
