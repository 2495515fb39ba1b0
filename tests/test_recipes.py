import ast
import dataclasses
import json
import pathlib
import sys

import keras
import numpy as np
import pytest

from gan_keras import clusters, data, losses, networks, priors, recipes, regularizers, toys

NAMES = [
    "default",
    "best",
    "plain",
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
    "r3gan",
    "infogan",
    "acgan",
    "semi_supervised",
    "few",
    "vae",
    "ring",
    "grid",
    "swiss_roll",
    "gaussians",
    "stacked_mnist",
    "stacked_mnist_full",
]


def batch_for(recipe, gan, start=0):
    if recipe.data == "stacked_mnist":
        images, labels = toys.stack_digits(*data.load(split="train[:2000]"), 200)
    else:
        images, labels = data.load(recipe.data, split="train[:2000]")
    return recipe.stream(gan, images, labels, start=start)


def test_all_are_there():
    assert list(recipes.RECIPES) == NAMES


def comments(source):
    """{argument: the comments on its lines, or on the line above} of the call that a recipe returns."""
    found, lines = {}, source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Return):
            for keyword in node.value.keywords:
                above, own = lines[keyword.lineno - 2].strip(), lines[keyword.lineno - 1 : keyword.value.end_lineno]
                beside = " ".join(line.partition("  # ")[2] for line in own).strip()
                found[keyword.arg] = beside or above.removeprefix("# ") * above.startswith("# ")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_value_names_its_source(name):
    # What is shown begins with the recipe, and goes on with those that it is made from.
    functions = recipes.show(name).split("\n\ndef ")
    sources = {}
    for function in functions:
        sources = comments(function if function.startswith("def ") else f"def {function}") | sources
    assert all(len(source) > 3 for source in sources.values()), sources
    recipe = recipes.get(name)
    for field in dataclasses.fields(recipe):
        if field.name not in sources:
            assert getattr(recipe, field.name) == field.default, "what the lines do not say is as for every recipe"
    values = recipe.values()
    for field, source in sources.items():  # "as d_optimizer", "as plain"
        as_what = source.removeprefix("as ")
        if as_what in values:
            assert values[field] == values[as_what], f"{field} is not {source}"
        if as_what in NAMES:
            assert values[field] == recipes.get(as_what).values()[field], f"{field} is not {source}"
    required = {f.name for f in dataclasses.fields(recipe) if f.default is dataclasses.MISSING}
    assert required | {"latent_dim", "batch_size"} <= set(sources)
    first = functions[0]
    assert first.startswith(f"def {name}():") and recipes.summary(name) in first and recipes.summary(name).endswith(".")


def test_what_is_shown_is_what_is_made():
    shown = recipes.show("lsgan")
    assert "loss=losses.LeastSquares(),  # Mao et al. 2017, equation 9" in shown
    assert "batch_size=128,  # Radford et al. 2016, section 4" in shown and shown.count("def ") == 2


# The slow ones differ from another in a few values only, or are trained by tests/test_reproduce.py.
SLOW = {"infogan", "acgan", "few", "stacked_mnist_full", "jeffreys", "minimax", "lsgan", "parzen", "swiss_roll", "grid"}
SLOW |= {"best", "semi_supervised", "stacked_mnist", "gaussians", "wgan", "wgan_gp", "r1", "dragan"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NAMES])
def test_trains_a_step_and_samples(name):
    recipe = recipes.get(name)
    gan = recipe.build(seed=1)
    logs = gan.fit(batch_for(recipe, gan), steps_per_epoch=1, verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())
    images = gan.sample(12, seed=3)
    low, high = gan.value_range or (-np.inf, np.inf)
    assert images.shape == (12, *gan.generator.outputs[0].shape[1:]) and low <= images.min() and images.max() <= high


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


def test_optimizers_may_be_objects_and_names():
    optimizer = keras.optimizers.Adam(3e-4, beta_1=0.25)
    recipe = dataclasses.replace(recipes.get("tutorial_mlp"), d_optimizer=optimizer, g_optimizer="sgd")
    one, other = recipe.build(), recipe.build()
    assert one.d_optimizer is not optimizer and one.d_optimizer is not other.d_optimizer
    assert float(one.d_optimizer.learning_rate) == np.float32(3e-4) and one.d_optimizer.beta_1 == 0.25
    assert type(one.g_optimizer).__name__ == "SGD"
    saved = json.loads(json.dumps(recipe.values()))
    assert recipe.differs_from(saved) == []
    assert dataclasses.replace(recipe, d_optimizer=keras.optimizers.Adam(2e-4, beta_1=0.25)).differs_from(saved) == [
        "d_optimizer"
    ]


@pytest.mark.parametrize("shape", [(28, 28, 3), (32, 32, 1), (64, 64, 3), (30, 45, 1)])
@pytest.mark.parametrize("name", ["default", "dcgan", "wgan_gp"])
def test_recipes_are_built_for_images_of_any_shape(name, shape):
    gan = recipes.get(name).build(shape=shape)
    assert gan.generator.output_shape == gan.discriminator.inputs[0].shape == (None, *shape)
    assert gan.value_range == (-1.0, 1.0)


def test_images_of_another_shape_are_trained_on_and_sampled():
    recipe = dataclasses.replace(recipes.get("cgan"), batch_size=4)
    gan = recipe.build(shape=(32, 32, 3))
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), "uint8")
    stream = data.batches(images, np.arange(8), 4, gan.value_range)
    logs = gan.fit(stream, steps_per_epoch=2, verbose=0).history
    assert np.isfinite(logs["d_loss"]).all() and gan.sample(3).shape == (3, 32, 32, 3)


@pytest.mark.parametrize(
    "name, shape, message",
    [
        (
            "tutorial_mlp",
            (32, 32, 1),
            r"mlp_generator is a published network of one shape, \(28, 28, 1\). Received: shape=\(32",
        ),
        ("tutorial_conv", (28, 28, 3), "tutorial_generator is a published"),
        ("stacked_mnist", (28, 28, 1), "stacked_generator is a published"),
        ("dcgan", (7, 28, 1), "sides of 8 pixels or more"),
        ("dcgan", (2,), "are for images"),
        ("ring", (28, 28, 1), r"shape=\(dimensions,\)"),
    ],
)
def test_shapes_that_the_networks_do_not_have_are_refused(name, shape, message):
    with pytest.raises(ValueError, match=message):
        recipes.get(name).build(shape=shape)


def test_a_recipe_for_a_path_needs_a_shape():
    with pytest.raises(ValueError, match="Give it: shape="):
        dataclasses.replace(recipes.get("default"), data="photographs").build()


OWN = """
import dataclasses
from gan_keras import recipes

def small():
    \"\"\"A small one.\"\"\"
    return dataclasses.replace(recipes.tutorial_mlp(), batch_size=8)  # chosen for this test

def wrong():
    return 3

def takes(argument):
    return small()

text = "no function"
"""


def test_a_recipe_of_ones_own(tmp_path):
    (tmp_path / "own_of_test_recipes.py").write_text(OWN)
    name = f"{tmp_path / 'own_of_test_recipes.py'}:small"
    assert recipes.get(name).batch_size == 8 and recipes.summary(name) == "A small one."
    shown = recipes.show(name)
    assert "batch_size=8)  # chosen for this test" in shown and "def tutorial_mlp():" in shown


@pytest.mark.parametrize(
    "name, message",
    [
        ("own_of_test_recipes.py:wrong", "returns 3"),
        ("own_of_test_recipes.py:takes", "a function without arguments"),
        ("own_of_test_recipes.py:text", "a function without arguments"),
        ("own_of_test_recipes.py:smal", r"Did you mean 'small'\? Known: small, takes, wrong\."),
        ("own_of_test_recipes.py", r"add the function's name, as in .*own_of_test_recipes.py:my_recipe"),
        ("absent.py:small", "there is no file"),
        ("no_such_module:small", "No module named 'no_such_module'"),
        ("json.py:small", "another module is called 'json'"),
    ],
)
def test_what_is_no_recipe_is_refused(name, message, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "own_of_test_recipes", raising=False)
    for file in ("own_of_test_recipes.py", "json.py"):
        (tmp_path / file).write_text(OWN)
    with pytest.raises(ValueError, match=message):
        recipes.get(f"{tmp_path}/{name}" if ".py" in name else name)


def test_bfloat16_is_chosen_only_where_three_seeds_show_that_samples_are_as_good():
    results = pathlib.Path(__file__).parents[1] / "docs" / "results"
    chosen = [name for name in recipes.RECIPES if recipes.get(name).bfloat16_on_cpu]
    assert "wgan_gp" in chosen
    for name in chosen:
        runs = [json.loads((results / f"bfloat16.{name}-{seed}.json").read_text())["cases"] for seed in range(3)]
        means = {
            precision: np.mean([run[f"{name}, {precision}"]["frechet_distance"] for run in runs])
            for precision in ("float32", "bfloat16")
        }
        assert means["bfloat16"] < 1.05 * means["float32"]


def test_nearest_names_are_offered():
    with pytest.raises(ValueError, match="Did you mean 'wgan_gp'"):
        recipes.get("wgan-gp")


def test_clusters_take_the_place_of_labels():
    images, labels = data.load(split="train[:400]")
    recipe = dataclasses.replace(recipes.get("tutorial_mlp"), latent_dim=5, clusters=6, discriminator=seen_with_clusters)
    gan = recipe.build(seed=2)
    assert gan.latent_dim == 11 and gan.part == "cluster" and gan.num_classes == 6 and not gan.conditional
    for given in (labels, None):
        of_training, told = recipe.training_set(images, given, seed=2)
        assert of_training is images and (told == clusters.spectral(images, 6, seed=2)).all()
    history = gan.fit(recipe.stream(gan, images, None, seed=2), steps_per_epoch=4, verbose=0).history
    assert np.isfinite(history["d_loss"]).all() and gan.sample(3, cluster=5).shape == (3, 28, 28, 1)


def seen_with_clusters(num_classes, shape):
    return networks.default_discriminator(num_classes, shape, width=4, label_dim=3)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"clusters": 1}, "clusters must be an integer of 2 or more. Received: clusters=1"),
        ({"clusters": "a"}, "clusters must be an integer"),
        (
            {"clusters": 4, "num_classes": 10},
            "Clusters take the place of labels. Received: clusters=4, num_classes=10, labelled=None",
        ),
        ({"clusters": 4, "labelled": 100}, "labelled=100. Leave the clusters out"),
        ({"clusters": 4, "prior": priors.Normal(5)}, "latents of size 9, but the generator takes 104"),
    ],
)
def test_clusters_that_cannot_be_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(recipes.get("tutorial_mlp"), discriminator=seen_with_clusters, **given).build()


def test_clusters_stand_beside_the_parts_of_a_prior():
    prior = priors.Joint(z=priors.Normal(5), style=priors.Uniform(2))
    parts = {"discriminator": seen_with_clusters, "prior": prior, "latent_dim": 7, "clusters": 4}
    gan = dataclasses.replace(recipes.get("tutorial_mlp"), **parts).build()
    assert list(gan.prior.parts) == ["z", "style", "cluster"] and gan.latent_dim == 11
