"""Virtual batch normalization: the formula, and that an example never depends on its batch mates."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import LATENT_DIM, tiny_images
from keras import layers

import gan_keras
from gan_keras.layers import ReferenceBatch, VirtualBatchNormalization


def draws(*shape, seed=0):
    return np.random.default_rng(seed).normal(1.0, 2.0, size=shape).astype("float32")


def convolutional(number=5, **options):
    """Conv > VBN > Conv > VBN > a map of scores, on a reference batch."""
    body = keras.Sequential(
        [
            layers.Conv2D(4, 3, strides=2),
            VirtualBatchNormalization(),
            layers.LeakyReLU(0.2),
            keras.Sequential([layers.Conv2D(3, 3), VirtualBatchNormalization(**options)]),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    images = keras.Input((8, 8, 1))
    return keras.Model(images, ReferenceBatch(body, number)(images))


def moments(rows):
    """Mean and mean square of each example over its positions: (batch, channels)."""
    rows = rows.reshape(len(rows), -1, rows.shape[-1]).astype("float64")
    return rows.mean(axis=1), np.square(rows).mean(axis=1)


@pytest.mark.parametrize("shape", [(3,), (6, 3), (4, 5, 3)])
def test_each_example_is_normalized_by_the_reference_and_itself(shape):
    norm = VirtualBatchNormalization(epsilon=1e-3)
    layer = ReferenceBatch(norm, number=4)
    x, reference = draws(2, *shape), draws(5, *shape, seed=1)
    layer.adapt(reference)
    norm.gamma.assign([1.0, 2.0, -1.0])
    norm.beta.assign([0.0, 0.5, 1.0])
    means, squares = (value.mean(axis=0) for value in moments(reference[:4]))
    for example, made in zip(x, layer(x).numpy()):
        mean, square = ((own[0] + 4 * shared) / 5 for own, shared in zip(moments(example[None]), (means, squares)))
        expected = (example - mean) / np.sqrt(square - mean**2 + 1e-3) * [1.0, 2.0, -1.0] + [0.0, 0.5, 1.0]
        np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


def test_the_reference_is_normalized_by_its_own_statistics_alone():
    body = keras.Sequential([VirtualBatchNormalization()])
    layer = ReferenceBatch(body, number=6)
    reference = draws(6, 4, 4, 2)
    layer.adapt(reference)
    rows = body(np.concatenate([reference, 100.0 * draws(3, 4, 4, 2)])).numpy()[:6]
    expected = (reference - reference.mean(axis=(0, 1, 2))) / np.sqrt(reference.var(axis=(0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(rows, expected, atol=1e-4)


def test_an_example_does_not_depend_on_its_batch_mates():
    model, images = convolutional(), tf.constant(tiny_images(4))
    alone = np.concatenate([model(image[None]) for image in images])
    np.testing.assert_allclose(model(images), alone, atol=1e-5)
    with tf.GradientTape() as tape:
        tape.watch(images)
        scores = model(images)
    slopes = np.abs(tape.jacobian(scores, images)).sum(axis=(3, 4, 5))[:, 0]  # of score i with regard to image j
    assert (slopes[~np.eye(4, dtype=bool)] == 0).all() and (np.diag(slopes) > 0).all()


def test_training_and_inference_compute_the_same():
    model, images = convolutional(), tiny_images(4)
    before = model.get_weights()
    np.testing.assert_array_equal(model(images, training=True), model(images, training=False))
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))


def test_training_reaches_the_layers_inside():
    layer = ReferenceBatch(keras.Sequential([VirtualBatchNormalization(), layers.Dropout(0.5)]), number=4)
    x = keras.Input((32,))
    model = keras.Model(x, layer(x))
    assert (model(draws(2, 32), training=True).numpy() == 0).sum() > 10
    assert (model(draws(2, 32), training=False).numpy() == 0).sum() == 0


def test_constant_features_far_from_zero_stay_finite():
    # The difference of mean squares and squared means is then rounding alone, of either sign.
    layer, constant = ReferenceBatch(VirtualBatchNormalization(), number=4), np.tile(1e3 * draws(1, 100), (4, 1))
    layer.adapt(constant)
    assert np.abs(layer(constant)).max() < 0.5


def test_the_reference_is_standard_normal_and_is_not_trained():
    model = convolutional(number=100)
    layer = model.layers[-1]
    reference = layer.reference.numpy()
    assert abs(reference.mean()) < 0.05 and abs(reference.std() - 1) < 0.05
    assert not any(variable is layer.reference for variable in model.trainable_variables)
    model.compile("sgd", "mse")
    model.fit(tiny_images(8), np.ones((8, 1)), verbose=0)
    np.testing.assert_array_equal(layer.reference.numpy(), reference)


def test_the_reference_is_set_and_saved(tmp_path):
    model, images = convolutional(number=5, epsilon=1e-2), tiny_images(12)
    before = model(images).numpy()
    model.layers[-1].adapt(images)
    np.testing.assert_array_equal(model.layers[-1].reference.numpy(), images[:5])
    made = model(images).numpy()
    assert np.abs(made - before).max() > 1e-3
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(images), made)
    assert [layer.epsilon for layer in gan_keras.layers.inside(again, VirtualBatchNormalization)].count(1e-2) == 1


def test_a_network_of_several_outputs_keeps_them():
    images = keras.Input((8, 8, 1))
    features = VirtualBatchNormalization()(layers.Dense(6)(layers.Flatten()(images)))
    body = keras.Model(images, {"score": layers.Dense(1)(features), "features": features})
    made = ReferenceBatch(body, 3)(tiny_images(4))
    assert {name: rows.shape for name, rows in made.items()} == {"score": (4, 1), "features": (4, 6)}


def test_a_generator_is_looked_through_and_copied():
    hidden = [layers.Dense(16), VirtualBatchNormalization(), layers.ReLU()]
    body = keras.Sequential([*hidden, layers.Dense(64, activation="tanh"), layers.Reshape((8, 8, 1))])
    z = keras.Input((LATENT_DIM,))
    gan = gan_keras.GAN(keras.Model(z, ReferenceBatch(body, 16)(z)), convolutional(), ema=0.9)
    assert gan.value_range == (-1.0, 1.0)
    np.testing.assert_array_equal(gan.ema_generator(gan.latents()), gan.generator(gan.latents()))
    # The copy has layers of its own.
    before = gan.ema_generator(gan.latents()).numpy()
    gan.generator.set_weights([weight + 1.0 for weight in gan.generator.get_weights()])
    np.testing.assert_array_equal(gan.ema_generator(gan.latents()), before)


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: VirtualBatchNormalization()(draws(2, 3)), r"gan_keras.layers.ReferenceBatch\(network, number\)"),
        (lambda: ReferenceBatch(layers.BatchNormalization(), 4), "Received: a BatchNormalization without"),
        (lambda: ReferenceBatch(VirtualBatchNormalization(), 0), "1 or more. Received: number=0"),
        (lambda: ReferenceBatch(VirtualBatchNormalization(), 4).adapt(draws(3, 2)), r"4 examples or more of shape \(2,\)"),
        (
            lambda: convolutional().layers[-1].adapt(np.full((9, 8, 8, 1), 200, "uint8")),
            "finite floats.*Received: uint8, from 200",
        ),
        (lambda: convolutional().layers[-1].adapt(np.nan * draws(9, 8, 8, 1)), "finite floats.*from nan"),
        (lambda: convolutional().layers[-1].adapt(draws(9, 7, 7, 1)), r"Received: an array of shape \(9, 7, 7, 1\)"),
    ],
)
def test_what_cannot_work_is_refused(act, message):
    with pytest.raises(ValueError, match=message):
        act()
