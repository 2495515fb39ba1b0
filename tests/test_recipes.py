import dataclasses

import numpy as np
import pytest

from gan_keras import data, losses, recipes, regularizers, toys

NAMES = [
    "default",
    "tutorial_mlp",
    "tutorial_conv",
    "jeffreys",
    "minimax",
    "dcgan",
    "lsgan",
    "sngan",
    "wgan",
    "wgan_gp",
    "dragan",
    "r1",
    "cgan",
    "parzen",
    "ring",
    "grid",
    "swiss_roll",
    "gaussians",
    "stacked_mnist",
]


def batch_for(recipe, gan, start=0):
    if recipe.data == "stacked_mnist":
        images, labels = toys.stack_digits(*data.load(split="train[:2000]"), 200)
    else:
        images, labels = data.load(recipe.data, split="train[:2000]")
    labels = labels if recipe.num_classes else None
    return data.batches(images, labels, recipe.batch_per_step, gan.value_range, start=start)


def test_all_are_there():
    assert list(recipes.RECIPES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_value_names_its_source(name):
    recipe = recipes.get(name)
    unsourced = {row for row, value, source in recipe.rows() if not source}
    # What is at its default of None, of MNIST, or at the plain schedule, needs none.
    assert unsourced <= {"num_classes", "ema", "regularizers", "schedule", "data"}
    assert set(recipe.sources) <= {field.name for field in dataclasses.fields(recipe)}
    for attribute in unsourced:
        default = next(f.default for f in dataclasses.fields(recipe) if f.name == attribute)
        assert getattr(recipe, attribute) == default
    table = str(recipe)
    assert recipe.summary in table and "batch_size" in table and "object at" not in table


# The slow ones differ from another in a few values only.
SLOW = {"jeffreys", "minimax", "lsgan", "parzen", "swiss_roll", "grid", "gaussians", "wgan", "r1", "dragan"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NAMES])
def test_trains_a_step_and_samples(name):
    recipe = recipes.get(name)
    gan = recipe.build(seed=1)
    logs = gan.fit(batch_for(recipe, gan), steps_per_epoch=1, verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())
    images = gan.sample(12, seed=3)
    low, high = gan.value_range or (-np.inf, np.inf)
    assert images.shape == (12, *gan.discriminator.inputs[0].shape[1:]) and low <= images.min() and images.max() <= high


def test_published_values():
    wgan, wgan_gp = recipes.get("wgan"), recipes.get("wgan_gp")
    assert isinstance(wgan.loss, losses.Wasserstein) and wgan.schedule.n_critic == 5
    assert wgan.d_optimizer == {"class_name": "RMSprop", "config": {"learning_rate": 5e-5, "rho": 0.99}}
    assert wgan.regularizers[0].limit == 0.01
    assert wgan_gp.regularizers[0].get_config() == regularizers.GradientPenalty(10.0).get_config()
    assert wgan_gp.d_optimizer["config"] == {"learning_rate": 1e-4, "beta_1": 0.5, "beta_2": 0.9}
    dcgan = recipes.get("dcgan")
    assert dcgan.d_optimizer["config"]["learning_rate"] == 2e-4 and dcgan.d_optimizer["config"]["beta_1"] == 0.5
    assert dcgan.batch_size == 128 and wgan_gp.batch_per_step == 250


def test_a_seed_decides_the_initial_weights():
    recipe = recipes.get("tutorial_mlp")
    one, same, other = recipe.build(seed=1), recipe.build(seed=1), recipe.build(seed=2)
    assert all((a == b).all() for a, b in zip(one.get_weights(), same.get_weights()))
    assert (one.generator.get_weights()[0] != other.generator.get_weights()[0]).any()


def test_two_builds_share_nothing():
    recipe = recipes.get("tutorial_mlp")
    one, other = recipe.build(), recipe.build()
    assert one.d_optimizer is not other.d_optimizer and one.d_optimizer is not one.g_optimizer


def test_parts_can_be_replaced():
    gan = dataclasses.replace(recipes.get("tutorial_mlp"), latent_dim=2).build()
    assert gan.latent_dim == 2


def test_nearest_names_are_offered():
    with pytest.raises(ValueError, match="Did you mean 'wgan_gp'"):
        recipes.get("wgan-gp")
