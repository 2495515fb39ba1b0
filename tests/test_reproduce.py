"""scripts/lab/reproduce.py: the ledger holds what the runs say, and the rows measure what they name."""

import dataclasses
import functools
import itertools
import math
import shutil
import types

import keras
import numpy as np
import pytest
import reproduce
import rows
import tensorflow as tf
from helpers import SCRIPTS, tiny_gan, tiny_images
from rows import base, bfloat16, digits, likelihood, others, penalties, stacked, tasks, techniques

import gan_keras
from gan_keras import data, layers, losses, networks, recipes, regularizers, toys


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """A ledger of one row in a folder of its own."""
    calls = []

    def run(seed):
        calls.append(seed)
        return {"ours": {"modes": 6 + seed, "seconds": 10.0}, "others": {"modes": 0}}

    row = base.Row(
        name="toy",
        title="A toy",
        source="a paper",
        protocol="counting",
        published="5 modes",
        differs="nothing",
        run=run,
        figures={"modes": "{:.1f}"},
        goal=("ours", "modes", "8 in every run", lambda runs: all(run["modes"] >= 8 for run in runs)),
        uses=("ring",),
        seeds=2,
    )
    monkeypatch.setattr(reproduce, "ROWS", [row])
    monkeypatch.setattr(base, "DOCS", tmp_path)
    # Of which the ledger has the name alone.
    monkeypatch.setattr(reproduce, "DigitClassifier", lambda: types.SimpleNamespace(identity="digits-0"))
    # A run of this row builds nothing; collecting the garbage of all tests takes a second.
    monkeypatch.setattr(keras.backend, "clear_session", lambda: None)
    return tmp_path, calls


def test_the_ledger_holds_what_the_runs_say(ledger):
    folder, calls = ledger
    assert reproduce.main(["--seeds", "1"]) == 0
    assert "**1 of 2 seeds run** (6.0)" in (folder / "results.md").read_text()
    assert reproduce.main([]) == 0
    text = (folder / "results.md").read_text()
    assert "| ours | 6.5 +- 0.7 | 10 +- 0 |" in text and "| others | 0.0 +- 0.0 |  |" in text
    assert "**Falls short** (6.0, 7.0)" in text and "Seeds 0, 1" in text
    # What is there is not run again, but enters the ledger.
    assert reproduce.main(["--seeds", "3"]) == 0
    assert calls == [0, 1, 2] and "Seeds 0, 1, 2" in (folder / "results.md").read_text()
    assert reproduce.main(["--only", "toy", "--seeds", "1", "--again"]) == 0
    assert calls == [0, 1, 2, 0]


def test_runs_of_a_recipe_that_has_changed_do_not_count(ledger, monkeypatch):
    folder, calls = ledger
    assert reproduce.main([]) == 0
    changed = dataclasses.replace(recipes.get("ring"), batch_size=7)
    monkeypatch.setitem(recipes.RECIPES, "ring", lambda: changed)
    reproduce.write_ledger()
    assert "Not run yet" in (folder / "results.md").read_text()
    assert reproduce.main([]) == 0 and calls == [0, 1, 0, 1]


def test_runs_with_other_constants_do_not_count(ledger, monkeypatch):
    _, calls = ledger
    assert reproduce.main([]) == 0
    monkeypatch.setattr(reproduce, "ROWS", [dataclasses.replace(reproduce.ROWS[0], constants={"steps": 5})])
    assert reproduce.main([]) == 0 and reproduce.main([]) == 0 and calls == [0, 1, 0, 1]


def test_a_row_that_fails_does_not_stop_the_others(ledger, monkeypatch, capsys):
    folder, calls = ledger

    def fail(seed):
        raise FloatingPointError("weights are not finite")

    monkeypatch.setattr(reproduce, "ROWS", [dataclasses.replace(reproduce.ROWS[0], name="bad", run=fail), *reproduce.ROWS])
    assert reproduce.main([]) == 1
    assert calls == [0, 1] and "bad seed 0 failed: weights are not finite" in capsys.readouterr().err


def test_reproduce_refuses_nonsense(capsys):
    assert reproduce.main(["--only", "ringg"]) == 2
    assert "Did you mean 'ring'" in capsys.readouterr().err
    for seeds in ("0", str(10**30)):
        assert reproduce.main(["--seeds", seeds]) == 2


@pytest.mark.parametrize("coverage, distance, reached", [(0.75, 0.125, True), (0.74, 0.1, False), (0.8, 0.13, False)])
def test_an_aim_of_several_metrics_is_reached_if_each_mean_is(coverage, distance, reached):
    case, _, text, within = base.means_within("ours", {"coverage": 0.75}, {"frechet_distance": 0.125})
    runs = [{"coverage": coverage + change, "frechet_distance": distance + change} for change in (-0.25, 0.25)]
    assert case == "ours" and within(runs) == reached
    assert text == "means of ours. coverage: at least 0.75; Frechet distance: at most 0.125"


def test_the_ledger_is_written_from_the_runs(tmp_path, monkeypatch):
    docs = SCRIPTS.parent / "docs"
    written = (docs / "results.md").read_text()
    monkeypatch.setattr(base, "DOCS", tmp_path)
    shutil.copytree(docs / "results", tmp_path / "results")
    reproduce.write_ledger()
    assert (tmp_path / "results.md").read_text() == written


def test_centroids_start_from_the_chosen_images():
    pytest.importorskip("sklearn", reason="scikit-learn is of the optional extra lab")
    rng = np.random.default_rng(0)
    images = np.concatenate([np.full((50, 2, 2, 1), level) + 0.01 * rng.normal(size=(50, 2, 2, 1)) for level in (0.2, 0.8)])
    centers = likelihood.centroids(images, [0, 60])
    np.testing.assert_allclose(centers, [images[:50].mean(axis=0), images[50:].mean(axis=0)], rtol=1e-5)


# The rows, in miniature.


def small_generator(latent_dim, num_classes=None, shape=None):
    z = keras.Input((latent_dim,))
    inputs, x = z, z
    if num_classes:
        label = keras.Input((), dtype="int32")
        inputs, x = [z, label], keras.layers.Concatenate()([z, keras.layers.Embedding(num_classes, 4)(label)])
    x = keras.layers.Dense(math.prod(shape), activation="tanh")(x)
    return keras.Model(inputs, keras.layers.Reshape(shape)(x))


def small_discriminator(num_classes=None, shape=None, heads=()):
    images = keras.Input(shape)
    x = keras.layers.Dropout(0.1)(keras.layers.Flatten()(images))  # without it Consistency has no two views
    outputs = {name: keras.layers.Dense(size)(x) for name, size in {"score": 1, **dict(heads)}.items()}
    return keras.Model(images, outputs if heads else outputs["score"])


@pytest.fixture
def miniature(monkeypatch, tmp_path):
    """Few images, few samples; a function that makes a recipe one of small networks and few steps; what is measured is real."""
    load = data.load

    def few(source="mnist", split="train"):
        if source == "stacked_mnist":
            return toys.stack_digits(*load("mnist", "test[:300]"), 300)
        return tuple(array[:300] for array in load(source, split))

    monkeypatch.setattr(data, "load", few)
    monkeypatch.setattr(base, "DOCS", tmp_path)
    monkeypatch.setattr(base, "SAMPLES", 64)
    monkeypatch.setattr(stacked, "SAMPLES", 96)
    monkeypatch.setattr(stacked, "SHORT_STEPS", 2)
    (tmp_path / "results").mkdir()

    def shrink(name, like=None, heads=(), **parts):
        judge = {} if name == "vae" else {"discriminator": functools.partial(small_discriminator, heads=heads)}
        recipe = dataclasses.replace(recipes.get(like or name), **{"generator": small_generator, "steps": 2, **judge, **parts})
        monkeypatch.setitem(recipes.RECIPES, name, lambda: recipe)
        return recipe

    return shrink


def stacked_full(shrink, **parts):
    terms = (regularizers.R1(0.5, one_in=4), regularizers.R2(0.5, one_in=4))
    parts = {"data": "stacked_mnist", "batch_size": 16, "loss": losses.Relativistic(), "regularizers": terms, **parts}
    return shrink("stacked_mnist_full", like="plain", **parts)


def test_a_row_of_a_table_counts_by_itself(ledger, monkeypatch):
    folder, calls = ledger
    row = reproduce.ROWS[0]

    def of_table(name):
        return dataclasses.replace(
            row, name=f"toy.{name}", uses=(name,), run=lambda seed: {name: {"modes": 8}, **row.run(seed)}
        )

    monkeypatch.setattr(reproduce, "ROWS", [of_table("ring"), of_table("grid")])
    assert reproduce.main(["--only", "toy", "--seeds", "1"]) == 0 and len(calls) == 2
    text = (folder / "results.md").read_text()
    assert text.count("## A toy") == 1 and "| ring | 8.0 |" in text and "| grid | 8.0 |" in text
    assert text.count("| others | 0.0 |") == 1, "what both rows say is there once"
    assert "--only toy`" in text and "To be run: toy.ring (1 of 2 seeds), toy.grid (1 of 2 seeds)." in text
    # Another recipe changes, or is added: the runs of this one still count.
    changed = dataclasses.replace(recipes.get("grid"), batch_size=7)
    monkeypatch.setitem(recipes.RECIPES, "grid", lambda: changed)
    reproduce.write_ledger()
    text = (folder / "results.md").read_text()
    assert "| ring | 8.0 |" in text and "| grid |" not in text and "toy.grid (0 of 2 seeds)" in text
    assert reproduce.main(["--only", "toy.ring", "--seeds", "1"]) == 0 and len(calls) == 2
    assert reproduce.main(["--seeds", "1"]) == 0 and len(calls) == 3


def test_every_recipe_of_digits_is_a_row():
    names = {row.name.partition(".")[2]: row.uses for row in rows.ROWS if row.table in ("recipes", "digits")}
    assert names == {name: (name,) for name in recipes.RECIPES if recipes.get(name).data == "mnist"}
    assert sum(row.table in ("recipes", "digits") for row in rows.ROWS) == len(names), "each is there once"


def test_rows_of_a_table_follow_each_other():
    assert len({row.name for row in rows.ROWS}) == len(rows.ROWS)
    tables = [table for table, _ in itertools.groupby(rows.ROWS, key=lambda row: row.table)]
    assert len(set(tables)) == len(tables)


def test_a_recipe_is_trained_for_its_steps_or_as_long_as_it_may(miniature):
    recipe = miniature("plain", steps=50, steps_per_execution=1)
    assert int(base.trained(recipe, 0)[0].step.numpy()) == 50
    assert int(base.trained(recipe, 0, seconds=1e-9)[0].step.numpy()) < 50
    (cases,) = others.recipe_figures("plain")(0).values()
    assert cases["steps"] == 50 and cases["frechet_distance"] > 0 and not cases["diverged"]


def test_precisions_differ_and_nothing_else(miniature, monkeypatch):
    miniature("dcgan", steps_per_execution=1)
    monkeypatch.setitem(bfloat16.STEPS, "dcgan", 2)
    monkeypatch.setattr(bfloat16.settings, "multiplies_bfloat16", lambda: True)
    built = []
    monkeypatch.setattr(bfloat16, "trained", lambda *args, **how: built.append(base.trained(*args, **how)) or built[-1])
    cases = bfloat16.compared("dcgan")(0)
    assert list(cases) == ["dcgan, float32", "dcgan, bfloat16"] and all(case["seconds"] > 0 for case in cases.values())
    one, other = (gan for gan, _ in built)
    assert [int(gan.step.numpy()) for gan in (one, other)] == [2, 2]
    assert [gan.generator.layers[-2].compute_dtype for gan in (one, other)] == ["float32", "bfloat16"]
    assert [a.name for a in one.variables] == [a.name for a in other.variables]
    assert one.generator.dtype_policy.variable_dtype == other.generator.dtype_policy.variable_dtype == "float32"


@pytest.mark.parametrize("instructions", [True, False])
def test_bfloat16_is_compiled_where_the_processor_lacks_it(instructions, monkeypatch):
    how = []
    monkeypatch.setattr(bfloat16, "trained", lambda *args, **more: how.append(more["jit_compile"]) or (None, 1.0))
    monkeypatch.setattr(bfloat16, "quality", lambda *_: {})
    monkeypatch.setattr(bfloat16, "digits_evaluator", lambda: None)
    monkeypatch.setattr(bfloat16.settings, "multiplies_bfloat16", lambda: instructions)
    cases = bfloat16.compared("dcgan")(0)
    assert how == ["auto", "auto" if instructions else True]
    assert list(cases.values()) == [{"seconds": 1.0} if instructions else {}] * 2, "a speed is compared with instructions alone"


def test_sums_of_xla_in_bfloat16_have_32_bits():
    rng = np.random.default_rng(0)
    images, kernel, above = (
        tf.cast(rng.normal(size=shape), tf.bfloat16) for shape in ((32, 14, 14, 16), (5, 5, 16, 8), (32, 7, 7, 8))
    )

    @tf.function(jit_compile=True)
    def gradients(images, kernel, above):
        with tf.GradientTape() as tape:
            tape.watch((images, kernel))
            loss = tf.reduce_sum(tf.cast(tf.nn.conv2d(images, kernel, 2, "SAME") * above, tf.float32))
        return tape.gradient(loss, (images, kernel))

    exact = gradients(*(tf.cast(x, tf.float32) for x in (images, kernel, above)))
    for made, wanted in zip(gradients(images, kernel, above), exact):
        rounded = np.abs(tf.cast(tf.cast(wanted, tf.bfloat16), tf.float32) - wanted).mean()
        assert np.abs(tf.cast(made, tf.float32) - wanted).mean() == pytest.approx(rounded, rel=0.02)


def test_few_labels_are_those_of_the_seed(miniature, monkeypatch):
    players = {"generator": networks.semi_supervised_generator, "discriminator": networks.semi_supervised_discriminator}
    recipe = miniature("semi_supervised", **players)
    seen = []
    batches = data.batches
    monkeypatch.setattr(data, "batches", lambda *args, **more: seen.append(args[1]) or batches(*args, **more))
    assert set(tasks.semi_supervised(1)["ours"]) == {"errors", "seconds"}
    expected = data.with_few_labels(*data.load(), recipe.labelled, seed=1)[1]
    np.testing.assert_array_equal(seen[0], expected)
    assert (expected >= 0).sum() < len(expected) / 2


def test_a_penalty_of_every_nth_step_is_the_plain_one_in_the_mean():
    weight = penalties.EveryNth(0.5, 8)
    values = [float(weight(step)) for step in range(16)]
    assert values == [4.0, *[0.0] * 7] * 2 and np.mean(values) == 0.5
    loaded = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(weight))
    assert loaded.get_config() == {"value": 0.5, "number": 8}
    # In training: the term is logged with its weight.
    gan = tiny_gan(regularizers=regularizers.R1(weight))
    logged = []
    for _ in range(9):
        gan.reset_metrics()  # the oldest Keras that is allowed takes a mean over calls
        logged.append(float(gan.train_on_batch(tiny_images(8), return_dict=True)["r1"]))
    assert logged[0] > 0 and logged[8] > 0 and logged[1:8] == [0.0] * 7


@pytest.mark.slow
def test_the_three_ways_of_a_lazy_penalty(miniature, monkeypatch):
    recipe = stacked_full(miniature)
    trained = []
    monkeypatch.setattr(penalties, "trained_figures", lambda recipe, *_, steps: trained.append((recipe, steps)) or {})
    cases = penalties.digits(0)
    assert list(cases) == ["stacked MNIST, every step", "stacked MNIST, every 8th step", "stacked MNIST, an 8th of every batch"]
    whole, steps, part = (found.regularizers for found, _ in trained)
    assert [term.get_config() for term in whole] == [{"weight": 0.5}] * 2
    assert [(float(term.weight(0)), float(term.weight(1)), term.one_in) for term in steps] == [(4.0, 0.0, 1)] * 2
    assert [(term.weight, term.one_in) for term in part] == [(0.5, 8)] * 2
    assert [type(term) for term in part] == [regularizers.R1, regularizers.R2]
    # All else is the recipe's.
    assert all(dataclasses.replace(found, regularizers=recipe.regularizers) == recipe for found, _ in trained)
    assert all(length == 2 for _, length in trained)


@pytest.mark.slow
def test_lazy_penalties_of_points(monkeypatch):
    players = {"generator": networks.points_generator, "discriminator": networks.points_discriminator}
    players = {role: functools.partial(build, width=16, depth=1) for role, build in players.items()}
    short = dataclasses.replace(recipes.get("ring"), steps=20, **players)
    monkeypatch.setitem(recipes.RECIPES, "ring", lambda: short)
    cases = penalties.points("ring")(0)
    assert len(cases) == 3 and all(0 <= case["modes"] <= 8 and case["diverged"] is False for case in cases.values())


def test_the_ablation_changes_the_loss_and_the_penalties_only(miniature, monkeypatch):
    recipe, trained = stacked_full(miniature), []
    monkeypatch.setattr(stacked, "trained_figures", lambda recipe, *_, **__: trained.append(recipe) or {})
    found = [name for row in rows.ROWS if row.table == "ablation" for name in row.run(0)]
    assert found == ["paired, R1", "paired, R1 + R2", "separate, R1", "separate, R1 + R2"]
    for name, changed in zip(found, trained):
        assert isinstance(changed.loss, losses.Relativistic if name.startswith("paired") else losses.NonSaturating)
        assert changed.regularizers == recipe.regularizers[: 2 if "R2" in name else 1]
        assert dataclasses.replace(changed, loss=recipe.loss, regularizers=recipe.regularizers) == recipe


@pytest.mark.slow
def test_a_run_that_diverges_is_told_as_such(miniature, tmp_path, monkeypatch):
    stacked_full(miniature)
    (finite,) = stacked.ablated("paired", "R1")(0).values()
    assert finite["diverged"] is False and 1 <= finite["modes"] <= 96
    sgd = {"class_name": "SGD", "config": {"learning_rate": 1e30}}
    stacked_full(miniature, d_optimizer=sgd, g_optimizer=sgd)
    assert stacked.ablated("paired", "R1")(0) == {"paired, R1": {"diverged": True}}
    # In the ledger: the figures are those of the runs that have not, and the aim is not reached.
    row = next(row for row in rows.ROWS if row.name == "lazy.stacked_mnist_full")
    case, *_ = row.goal
    good = {"modes": 1000, "diverged": False, "seconds": 9}
    row = dataclasses.replace(row, run=lambda seed: {case: {"diverged": True} if seed else good})
    monkeypatch.setattr(reproduce, "ROWS", [row])
    assert reproduce.main(["--only", "lazy"]) == 0
    text = (tmp_path / "results.md").read_text()
    assert "| stacked MNIST, an 8th of every batch | 1000 |  |  |  | 2 of 3 | 9 |" in text
    assert "**Falls short** (1000, diverged, diverged)" in text


def test_perfect_samples_have_all_modes_and_the_floor_of_the_kl():
    found = stacked.perfect(0)
    # 999 / (2 n) of the counting, and a little for digits that are not equally frequent.
    assert found["modes"] == 1000 and 999 / 52_000 < found["kl"] < 0.027


def test_stacked_digits_have_the_floor_beside_them(miniature, tmp_path):
    stacked_full(miniature)
    first, second = stacked.full(0), stacked.full(1)
    assert list(first) == ["ours", "perfect samples", "test digits"] and list(second) == ["ours", "perfect samples"]
    assert first["test digits"]["kl"] < first["ours"]["kl"] and first["test digits"]["confidence"] > 0.9
    assert (tmp_path / "results" / "stacked_full.png").exists()


def test_infogan_is_judged_by_its_code(miniature, monkeypatch):
    miniature("infogan", heads={"code": 10, "style": 2})
    found = tasks.infogan(0)["ours"]
    assert 0.2 < found["error"] < 1 and found["failed"] is True and found["frechet_distance"] > 0
    monkeypatch.setattr(tasks, "trained", lambda *_: (None, 1.0))
    monkeypatch.setattr(tasks, "quality", lambda *_: {})
    monkeypatch.setattr(tasks, "recognised", lambda gan: {"code_errors": 15.0})  # of 300
    assert tasks.infogan(0) == {"ours": {"error": 0.05, "failed": False, "seconds": 1.0}}


def copies_for(images, seen):
    """In place of `trained`: a generator of copies of `images`, with the labels that are asked for."""

    def blocks(n, seed, labels):
        yield images[:n].astype("float32"), labels

    return lambda recipe, seed: seen.append(recipe) or (types.SimpleNamespace(value_range=(0, 255), sample_batches=blocks), 1.0)


@pytest.mark.slow
def test_the_classifier_of_real_digits_is_the_ceiling_of_synthetic_ones(miniature, monkeypatch):
    def small_classifier():
        images = keras.Input((28, 28, 1))
        features = keras.layers.Flatten()(images)
        return keras.Model(images, [features, keras.layers.Dense(10)(features)])

    monkeypatch.setattr(tasks.classifier, "build", small_classifier)
    monkeypatch.setattr(tasks, "EPOCHS", 20)
    monkeypatch.setattr(tasks, "BATCH", 16)
    miniature("cgan", heads={"label": 10})
    # A generator that has learned nothing teaches nothing.
    cases = tasks.synthetic("digits")(0)
    real, made = cases["real digits"]["accuracy"], cases["generated digits"]["accuracy"]
    assert real > 0.6 and made < 0.4 and cases["generated digits"]["gap"] == pytest.approx(100 * (real - made))
    # Copies of the training digits have no gap.
    monkeypatch.setattr(tasks, "trained", copies_for(data.load()[0], []))
    cases = tasks.synthetic("digits")(0)
    assert cases == {"generated digits": {"accuracy": real, "gap": 0.0, "seconds": 1.0}, "real digits": {"accuracy": real}}


def test_fashion_mnist_is_measured_where_a_folder_of_it_is_named(miniature, monkeypatch):
    load, trained = data.load, []
    monkeypatch.setitem(tasks.SOURCES, "Fashion-MNIST", None)
    with pytest.raises(ValueError, match="environment variable FASHION_MNIST"):
        tasks.synthetic("Fashion-MNIST")(0)
    monkeypatch.setitem(tasks.SOURCES, "Fashion-MNIST", "a_folder")
    monkeypatch.setattr(data, "load", lambda source, split: load({"a_folder": "mnist"}.get(source, source), split))
    monkeypatch.setattr(tasks, "trained", copies_for(load()[0], trained))
    monkeypatch.setattr(tasks, "accuracy", lambda *_: 0.5)
    assert list(tasks.synthetic("Fashion-MNIST")(0)) == ["generated Fashion-MNIST", "real Fashion-MNIST"]
    assert [(recipe.data, recipe.num_classes) for recipe in trained] == [("a_folder", 10)]


@pytest.mark.slow
def test_few_digits_with_augmentation_and_without(miniature, monkeypatch):
    def augmented(num_classes=None, shape=None):
        images = keras.Input(shape)
        return keras.Model(images, small_discriminator(shape=shape)(layers.DiffAugment()(images)))

    miniature("few", like="plain", discriminator=augmented, split="train[:100]")
    monkeypatch.setattr(networks, "default_discriminator", small_discriminator)
    built, fit = [], gan_keras.GAN.fit
    monkeypatch.setattr(gan_keras.GAN, "fit", lambda gan, *args, **more: built.append(gan) or fit(gan, *args, **more))
    cases = digits.few(100)(0)
    assert list(cases) == ["100 digits", "100 digits, DiffAugment", "100 digits: other real digits"]
    assert [bool(gan_keras.layers.inside(gan.discriminator, layers.DiffAugment)) for gan in built] == [False, True]
    # Strangers are farther from 100 digits than from the 300 test digits here; noise is from both.
    real, ours = (cases[case]["memorisation_ratio"] for case in ("100 digits: other real digits", "100 digits"))
    assert real > 1.02 and ours == pytest.approx(1.0, abs=0.1)
    assert cases["100 digits: other real digits"]["frechet_distance"] < cases["100 digits"]["frechet_distance"]


@pytest.mark.parametrize(
    "name, parts, more", [("default", {"like": "plain"}, ()), ("cgan", {"heads": {"label": 10}}, ("labels",))]
)
def test_digits_are_measured_beside_real_ones(name, parts, more, miniature, tmp_path):
    miniature(name, **parts)
    cases = digits.beside_real_ones(name, "real ones", *more)(0)
    assert set(cases[name]) - set(cases["real ones"]) == {"seconds"}
    real = cases["real ones"]
    assert real["frechet_distance"] < cases[name]["frechet_distance"]
    assert real["ratio"] == pytest.approx(1.0, abs=0.15) and real["sure_share"] > 0.9
    assert not more or real["label_accuracy"] > 0.95 > cases[name]["label_accuracy"]
    assert (tmp_path / "results" / f"{name}.png").exists()


def test_a_vae_is_measured_as_the_recipe_plain(miniature, tmp_path):
    miniature("plain")
    miniature("vae")
    cases = digits.vae(0)
    assert set(cases["vae"]) - set(cases["plain"]) == {"reconstruction", "bound"}
    assert all(case["frechet_distance"] > 0 for case in cases.values()) and (tmp_path / "results" / "vae.png").exists()


def test_each_technique_is_in_the_networks():
    shape = {"shape": (28, 28, 1)}
    features = techniques.with_features(**shape)
    assert set(features.output) == {"score", "features"} and features.output["features"].shape[1:] == (7 * 7 * 64,)
    # Whether an image comes twice makes a difference to it, and to the discriminator without it none.
    images = np.random.default_rng(0).uniform(-1, 1, (4, 28, 28, 1)).astype("float32")
    for build, same in ((techniques.discriminator, True), (techniques.with_minibatch_discrimination, False)):
        network = build(**shape)
        once, twice = (network(images[chosen])[0, 0] for chosen in ([0, 1, 2, 3], [0, 0, 1, 2]))
        assert (abs(float(once - twice)) < 1e-5) == same
    virtual = techniques.with_virtual_batch_normalization(latent_dim=100, **shape)
    plain = techniques.generator(latent_dim=100, **shape)
    kinds = (keras.layers.BatchNormalization, layers.VirtualBatchNormalization)
    assert [len(layers.inside(network, kind)) for network in (plain, virtual) for kind in kinds] == [2, 0, 0, 2]
    assert virtual.output_shape == plain.output_shape


@pytest.mark.slow
@pytest.mark.parametrize("name", techniques.TECHNIQUES)
def test_each_technique_trains(name, miniature, monkeypatch):
    monkeypatch.setattr(techniques, "WIDTH", 4)
    monkeypatch.setattr(techniques, "STEPS", 2)
    ((case, found),) = techniques.technique(name)(0).items()
    assert case == name.replace("_", " ") and found["frechet_distance"] > 0
