"""scripts/lab/peers.py and torch_twin.py: the peers of the benchmark train what they claim to."""

import dataclasses
import importlib.util
import os
import pathlib
import pickle
import subprocess
import sys

import benchmark
import keras
import numpy as np
import peers
import pytest
import tensorflow as tf
from helpers import LATENT_DIM, tiny_gan, tiny_images
from keras import layers

import gan_keras
from gan_keras import recipes

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is an optional peer of the benchmark"
)


def in_torch(program, *values):
    """What `program` calls `result` at its end, in a process with PyTorch and without TensorFlow."""
    begin = "import pickle, sys, torch\nfrom torch_twin import Twin\nvalues = pickle.load(sys.stdin.buffer)\n"
    end = "\nsys.stdout.buffer.write(pickle.dumps(result))"
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(peers.__file__).parent)}
    command = [sys.executable, "-c", begin + program + end]
    done = subprocess.run(command, input=pickle.dumps(values), capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads(done.stdout)


class Fixed:
    """Draws that are given instead of made."""

    def __init__(self, z, u):
        self.z, self.u = z, u

    def normal(self, shape):
        return tf.constant(self.z)

    def uniform(self, shape):
        return tf.constant(self.u)

    def layer_seeds(self, *shape):
        return tf.zeros((*shape, 2), tf.uint32)


class Kept(keras.optimizers.SGD):
    """Keeps the gradients that it is to apply."""

    def apply_gradients(self, grads_and_vars):
        self.gradients = [gradient for gradient, _ in grads_and_vars]


GRADIENTS = """
described, images, z, u, labels = values
twin = Twin(described, exact=True)
gradients = lambda network: [parameter.grad.numpy().copy() for parameter in network.parameters()]
labels = None if labels is None else torch.tensor(labels)
if labels is not None:
    z = torch.cat([torch.tensor(z), torch.eye(twin.clusters)[labels.long()]], dim=1)
fake = twin.generate(torch.as_tensor(z))
on_fake = twin.judge(fake, labels)
d_loss = twin.d_loss(torch.tensor(images).permute(0, 3, 1, 2), fake, on_fake, labels, torch.tensor(u))
d_loss.backward(retain_graph=True)
d_gradients = gradients(twin.discriminator)
twin.generator.zero_grad()
g_loss = twin.g_loss(on_fake, labels)
g_loss.backward()
result = d_loss.item(), d_gradients, g_loss.item(), gradients(twin.generator)
"""


@needs_torch
@pytest.mark.parametrize("name", benchmark.NETWORKS)
def test_the_torch_twin_has_our_losses_and_gradients(name):
    rng = np.random.default_rng(0)
    n = 6
    gan = recipes.get(name).build(seed=3)
    low, high = gan.value_range
    clusters = gan.num_classes or 0
    images = rng.uniform(low, high, (n, 28, 28, 1)).astype("float32")
    z = rng.normal(size=(n, gan.latent_dim - clusters)).astype("float32")
    u = rng.uniform(size=(n, 1, 1, 1)).astype("float32")
    labels = rng.integers(0, clusters, n).astype("int32") if clusters else None
    d_loss, d_gradients, g_loss, g_gradients = in_torch(GRADIENTS, peers.described(gan), images, z, u, labels)
    batch = gan_keras.forward.Batch(tf.constant(images), None if labels is None else tf.constant(labels), Fixed(z, u))
    gan.compile(Kept(), Kept(), gan.adversarial_loss, gan.game_regularizers, gan.schedule)
    logs = gan.update_discriminator(batch)
    assert d_loss == pytest.approx(float(logs["d_loss"]), rel=1e-4)
    agree(gan.d_optimizer.gradients, d_gradients)
    logs = gan.update_generator(batch)
    assert g_loss == pytest.approx(float(logs["g_loss"]), rel=1e-4)
    agree(gan.g_optimizer.gradients, g_gradients)


STEP = """
described, n_critic = values
twin = Twin(described)  # with the paddings that are timed
labels = torch.arange(2 * n_critic) % twin.clusters if twin.clusters else None
updates = []
for optimizer in twin.optimizers:
    optimizer.register_step_post_hook(lambda optimizer, *_: updates.append(twin.optimizers.index(optimizer)))
parameters = [p for network in (twin.generator, twin.discriminator) for p in network.parameters()]
before = [p.detach().clone() for p in parameters]
average = [p.clone() for p in twin.average or []]
some = None if labels is None else labels[:2]
fake = twin.generate(twin.latents(2, some))
shapes = tuple(fake.shape), tuple(twin.judge(fake, some)["score"].shape)
twin.step(torch.rand(2 * n_critic, 1, 28, 28), labels)
moved = [bool((a != b).any()) for a, b in zip(before, parameters, strict=True) if b.grad.abs().max() > 1e-6]
averages = twin.average and [bool((a != b).any()) for a, b in zip(average, twin.average, strict=True)]
result = shapes, updates, moved, averages
"""


@needs_torch
@pytest.mark.parametrize("schedule", [None, gan_keras.schedules.Simultaneous()])
@pytest.mark.parametrize("name", benchmark.NETWORKS)
def test_the_step_of_the_torch_twin_trains_both_players(name, schedule):
    recipe = recipes.get(name)
    gan = dataclasses.replace(recipe, schedule=schedule or recipe.schedule).build()
    n_critic = gan.schedule.batches_per_step
    shapes, updates, moved, averages = in_torch(STEP, peers.described(gan), n_critic)
    assert shapes == ((2, 1, 28, 28), (2, 1))
    assert updates == [0] * n_critic + [1]
    assert len(moved) > 4 and all(moved)
    assert any(averages) if gan.ema else averages is None


@needs_torch
def test_the_torch_twin_is_measured_in_a_process_of_its_own():
    run = benchmark.Networks("tutorial_mlp", "off").torch()
    assert 0 < run(2) < 60
    assert "torch_twin" not in sys.modules


def agree(ours, theirs):
    assert len(ours) == len(theirs)
    # A bias before BatchNorm has no gradient but rounding: the measure is the largest gradient of the network.
    scale = max(np.abs(tf.convert_to_tensor(a)).max() for a in ours)
    for a, b in zip(ours, theirs):
        embedding = isinstance(a, tf.IndexedSlices)
        a = tf.convert_to_tensor(a).numpy()
        if a.ndim == 2 and not embedding:
            a = a.T
        elif a.ndim == 4:
            a = a.transpose(3, 2, 0, 1)
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1e-4 * scale


def linear_discriminator():
    """Its slope is the same everywhere, wherever a penalty looks."""
    images = keras.Input((8, 8, 1))
    return keras.Model(images, layers.Dense(1)(layers.Flatten()(images)))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    "loss, penalty, discriminator",
    [
        ("non_saturating", gan_keras.regularizers.R1(1.0, one_in=2), None),
        ("wasserstein", gan_keras.regularizers.GradientPenalty(3.0), linear_discriminator),
    ],
)
def test_the_step_of_the_library_is_the_plain_step(loss, penalty, discriminator, jit):
    # The generator puts out the same for every latent: the two draw theirs in other ways.
    z = keras.Input((LATENT_DIM,))
    x = layers.Dense(64, activation="tanh", bias_initializer="random_normal", name="dense")(layers.Rescaling(0.0)(z))
    generator = keras.Model(z, layers.Reshape((8, 8, 1))(x))
    images = tiny_images(8)
    weights = []
    for plainly in (True, False):
        keras.utils.set_random_seed(1)
        gan = tiny_gan(
            keras.optimizers.Adam(0.01, epsilon=1e-3),
            keras.optimizers.Adam(0.01, epsilon=1e-3),
            generator=keras.models.clone_model(generator),
            discriminator=discriminator and discriminator(),
            loss=loss,
            regularizers=penalty,
            schedule=gan_keras.schedules.Alternating(2),
            jit_compile=jit,
        )
        gan.generator.set_weights(generator.get_weights())
        if plainly:
            step = peers.plain_step(gan)
            for _ in range(3):
                step(tf.constant(images))
        else:
            gan.fit(images, batch_size=8, epochs=3, shuffle=False, verbose=0)
        weights.append(gan.discriminator.get_weights() + [gan.generator.get_layer("dense").bias.numpy()])
    moved = np.abs(weights[0][-1] - generator.get_layer("dense").bias.numpy()).max()
    assert moved > 0.01
    for a, b in zip(*weights):
        assert np.abs(a - b).max() < 1e-5


def test_the_plain_step_refuses_other_games():
    with pytest.raises(ValueError, match="plain step is Alternating.*Received: Hinge"):
        peers.plain_step(tiny_gan(loss="hinge"))
    for penalty in (
        gan_keras.regularizers.GradientPenalty(one_sided=True),
        gan_keras.regularizers.GradientPenalty(one_in=4),
        gan_keras.regularizers.GradientPenalty(keras.optimizers.schedules.CosineDecay(1.0, 10)),
    ):
        with pytest.raises(ValueError, match="two-sided GradientPenalty.*Received: Wasserstein.*'GradientPenalty'"):
            peers.plain_step(tiny_gan(loss="wasserstein", regularizers=penalty))
    with pytest.raises(ValueError, match="label_smoothing"):
        peers.plain_step(tiny_gan(loss=gan_keras.losses.NonSaturating(label_smoothing=0.1)))


@pytest.mark.parametrize("kind", [peers.GuideGAN, peers.GuideWGAN, peers.TutorialGAN])
def test_the_guides_steps_train_both_players(kind):
    gan = tiny_gan()
    model = kind(gan.generator, gan.discriminator)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    before = [player.get_weights() for player in (gan.generator, gan.discriminator)]
    logs = model.fit(tiny_images(16), batch_size=8, verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())
    for weights, player in zip(before, (gan.generator, gan.discriminator)):
        assert max(np.abs(a - b).max() for a, b in zip(weights, player.get_weights())) > 1e-4


def test_the_tutorials_order_of_layers_is_the_same_function():
    ours, stock = gan_keras.networks.tutorial_discriminator(), peers.stock_tutorial_discriminator()
    stock.set_weights(ours.get_weights())
    images = np.random.default_rng(0).normal(size=(5, 28, 28, 1)).astype("float32")
    assert np.array_equal(ours(images), stock(images))


def test_the_networks_of_the_guide_and_of_the_tutorial_have_their_published_sizes():
    for networks, shape, sizes in (
        (peers.guide_networks, (128,), (7 * 7 * 128 * 129 + 2 * (16 * 128 * 128 + 128) + 49 * 128 + 1, 74_625)),
        (peers.tutorial_networks, (100,), (2_330_944, 212_865)),
    ):
        generator, discriminator = networks()
        assert generator.input_shape[1:] == shape and generator.output_shape[1:] == (28, 28, 1)
        assert (generator.count_params(), discriminator.count_params()) == sizes
