import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import LATENT_DIM, assert_same_bits, child, movement, sgd, tiny_generator, tiny_images
from keras import layers

import gan_keras
from gan_keras import callbacks, recipes


def encoder(size=2 * LATENT_DIM, dropout=0.0):
    images = keras.Input((8, 8, 1))
    x = layers.Dropout(dropout)(layers.Dense(32, activation="relu")(layers.Flatten()(images)))
    return keras.Model(images, layers.Dense(size)(x), name="encoder")


def make(**options):
    keras.utils.set_random_seed(0)
    model = gan_keras.VAE(tiny_generator(), encoder(dropout=0.1), ema=0.9, deviation=0.3)
    model.compile(keras.optimizers.Adam(1e-2), **options)
    return model


def state(model):
    return {v.path: keras.ops.convert_to_numpy(v) for v in [*model.weights, *model.optimizer.variables]}


def train(model, steps, *used):
    stream = gan_keras.data.batches(tiny_images(), batch_size=16, start=int(model.step.numpy()))
    return model.fit(stream, steps_per_epoch=steps, verbose=0, callbacks=list(used)).history


def test_the_loss_is_its_closed_form():
    model = gan_keras.VAE(tiny_generator(batch_norm=False), encoder(), deviation=0.5)
    model.compile("adam")
    images = tiny_images(6)
    found = model.evaluate(images, batch_size=6, return_dict=True, verbose=0)
    mean, log_variance = np.split(model.encoder(images).numpy().astype("float64"), 2, axis=1)
    noise = gan_keras.random.Random(0, gan_keras.random.EVALUATION, 0).normal((6, LATENT_DIM)).numpy()
    made = model.generator((mean + np.exp(log_variance / 2) * noise).astype("float32")).numpy()
    kl = -0.5 * np.sum(1 + log_variance - mean**2 - np.exp(log_variance), axis=1).mean()
    reconstruction = (np.square(images - made).reshape(6, -1).sum(axis=1) / (2 * 0.5**2)).mean()
    assert found == pytest.approx({"loss": kl + reconstruction, "kl": kl, "reconstruction": reconstruction}, rel=1e-4)


def test_it_is_evaluated_by_the_averages_of_both_networks():
    model = make()
    train(model, 2)
    before = model.evaluate(tiny_images(6), batch_size=6, verbose=0)
    for network in (model.generator, model.encoder):
        network.set_weights([0 * w for w in network.get_weights()])
    assert model.evaluate(tiny_images(6), batch_size=6, verbose=0) == before
    model.reset_average()
    assert model.evaluate(tiny_images(6), batch_size=6, verbose=0) != before


def test_train_save_load_train_is_train(tmp_path):
    straight, first = make(steps_per_execution=2), make(steps_per_execution=2)
    train(straight, 4)
    train(first, 2)
    first.save(tmp_path / "vae.keras")
    second = keras.models.load_model(tmp_path / "vae.keras")
    assert_same_bits(state(first), state(second))
    assert second.steps_per_execution == 2
    train(second, 2)
    assert_same_bits(state(straight), state(second))


def test_it_is_sampled_checkpointed_and_exported_like_a_gan(tmp_path):
    model = make()
    history = train(model, 60, callbacks.NonFiniteGuard(), callbacks.Checkpoint(tmp_path / "ckpt", every=30))
    assert history["loss"][-1] == pytest.approx(history["reconstruction"][-1] + history["kl"][-1], rel=1e-4)
    again = make()
    assert callbacks.Checkpoint(tmp_path / "ckpt").restore(again) == 60
    assert (again.sample(5, seed=1) == model.sample(9, seed=1)[:5]).all()
    loaded = tf.saved_model.load(str(gan_keras.serving.export(model, tmp_path / "export")))
    made = loaded.signatures["generate"](seed=tf.constant(1, tf.int64), n=tf.constant(5))["images"]
    assert (made.numpy() == model.sample(5, seed=1)).all() and "discriminate" not in loaded.signatures


def moved(strategy, policy="float32", steps=3, jit_compile=False):
    """How far steps of a VAE without Dropout move its weights."""
    with strategy.scope(), gan_keras.networks.precision(policy):
        keras.utils.set_random_seed(0)
        model = gan_keras.VAE(tiny_generator(), encoder(), ema=0.9)
        model.compile(sgd(1e-3, policy), jit_compile=jit_compile)
    return movement(model, lambda: train(model, steps))


@pytest.mark.slow
def test_xla_trains_to_the_same_weights():
    plain, compiled = (moved(tf.distribute.get_strategy(), jit_compile=jit) for jit in (False, True))
    assert abs(plain).max() > 1e-3 and abs(plain - compiled).max() < 1e-5


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_step_in_16_bits_is_nearly_the_step_in_32(policy):
    exact, rounded = (moved(tf.distribute.get_strategy(), kind, steps=1) for kind in ("float32", policy))
    assert np.linalg.norm(exact) > 0.01 and np.linalg.norm(rounded - exact) < 0.05 * np.linalg.norm(exact)


@pytest.mark.slow
def test_two_replicas_train_as_one():
    printed = child(
        """
        from test_vae import *
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        one, two = tf.distribute.OneDeviceStrategy("CPU:0"), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        a, b = moved(one), moved(two)
        print(abs(a).max() > 1e-3 and abs(a - b).max() < 1e-5)
        """
    )
    assert printed.split()[-1] == "True"


def test_it_learns():
    model = make()
    dark = np.full((64, 8, 8, 1), -0.7, "float32")
    model.fit(dark, batch_size=16, epochs=40, verbose=0)
    assert model.sample(64).mean() == pytest.approx(-0.7, abs=0.1)


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: gan_keras.VAE(tiny_generator(), encoder(LATENT_DIM)), "make 16 numbers.*Received: .* to .8,"),
        (lambda: gan_keras.VAE(tiny_generator(3), encoder()), "one input"),
        (lambda: gan_keras.VAE(tiny_generator(), encoder(), deviation=0.0), "deviation=0.0"),
        (lambda: make().fit(tiny_images() * 100, verbose=0), "must be in that range too"),
    ],
)
def test_what_cannot_work_is_refused(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_a_generator_of_a_recipe_is_built_as_documented():
    def generator(latent_dim, num_classes, shape):
        return tiny_generator(num_classes)

    recipe = dataclasses.replace(
        recipes.get("vae"), generator=generator, encoder=lambda latent_dim, shape: encoder(2 * latent_dim)
    )
    assert isinstance(dataclasses.replace(recipe, latent_dim=LATENT_DIM).build(shape=(8, 8, 1)), gan_keras.VAE)
