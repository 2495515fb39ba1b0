import copy
import dataclasses
import functools
import json
import pathlib

import keras
import numpy as np
import pytest

from gan_keras import identity, losses, recipes, regularizers


EARLIER = json.loads((pathlib.Path(__file__).parent / "earlier_recipes.json").read_text())
# What is no longer as it was then, on purpose.
CHANGED = {
    "cgan": ["generator", "latent_dim", "discriminator", "regularizers"],
    "default": ["generator", "latent_dim", "batch_size", "steps", "discriminator", "clusters", "regularizers", "schedule"],
}


def test_every_recipe_is_itself_by_its_description_and_by_those_of_earlier_versions():
    for name in recipes.RECIPES:
        recipe = recipes.get(name)
        assert recipe.differs_from(json.loads(json.dumps(recipe.values()))) == []
    for name in EARLIER["texts"]:
        recipe = recipes.get(name)
        # What runs and the ledger hold: texts at first, then structured values; builders of points took their dimensions.
        changed = CHANGED.get(name, [])
        assert recipe.differs_from(EARLIER["texts"][name]) == recipe.differs_from(EARLIER["values"][name]) == changed, name


def test_every_recipe_is_no_other():
    saved = {name: json.loads(json.dumps(recipes.get(name).values())) for name in recipes.RECIPES}
    for name in saved:
        assert [other for other, values in saved.items() if not recipes.get(name).differs_from(values)] == [name]


@pytest.mark.parametrize(
    "attribute, value",
    [
        ("batch_size", 33),
        ("ema", None),
        ("loss", losses.NonSaturating(label_smoothing=0.1)),
        ("loss", losses.Minimax()),
        ("regularizers", ()),
        ("regularizers", (regularizers.R1(2.0),)),
        ("regularizers", (regularizers.R1(2.0, one_in=4), regularizers.DRAGAN())),
        ("d_optimizer", recipes.adam(1e-3, 0.0)),
        ("d_optimizer", recipes.rmsprop(1e-3, 0.99)),
        ("d_optimizer", recipes.adam(recipes.cosine_decay(1e-3, 100), 0.0, 0.99)),
        ("generator", functools.partial(recipes.get("plain").generator, mapping=2)),
        ("generator", recipes.get("dcgan").generator),
    ],
)
def test_every_change_of_a_recipe_is_noticed(attribute, value):
    recipe = recipes.get("plain")
    changed = dataclasses.replace(recipe, **{attribute: value})
    for saved in (recipe.values(), EARLIER["texts"]["default"]):  # as plain was called
        assert changed.differs_from(saved) == [attribute]


# A builder and a part as a later version might have them.


def today(latent_dim=100, width=64, num_classes=None):
    pass


def tomorrow(latent_dim=64, width=64, num_classes=None, shape=(28, 28, 1)):
    pass


class Later(regularizers.R1):
    def __init__(self, weight=1.0, subset=1, lazy=False):
        super().__init__(weight, subset)

    def get_config(self):
        return {"weight": self.weight, "subset": self.one_in, "lazy": False}


def test_renaming_and_arguments_with_a_default_orphan_nothing(monkeypatch):
    recipe = dataclasses.replace(recipes.get("plain"), generator=functools.partial(today, width=32))
    described, texts = recipe.values(), {**EARLIER["texts"]["default"], "generator": "today(width=32)"}
    later = dataclasses.replace(recipe, generator=functools.partial(tomorrow, width=32), regularizers=(Later(2.0, subset=4),))
    assert later.differs_from(described) == ["generator", "regularizers"]
    monkeypatch.setattr(identity, "RENAMED", {"today": "tomorrow", "R1": "Later", "one_in": "subset", "every": "subset"})
    for saved in (described, texts):
        before = copy.deepcopy(saved)
        assert later.differs_from(saved) == [] and saved == before
        assert dataclasses.replace(later, generator=tomorrow).differs_from(saved) == ["generator"], "width 32 is no default"
        assert dataclasses.replace(later, regularizers=(Later(2.0),)).differs_from(saved) == ["regularizers"]


def test_an_attribute_that_was_added_since_counts_as_its_default():
    recipe = recipes.get("dcgan")
    values = {name: value for name, value in recipe.values().items() if name not in ("ema", "regularizers")}
    assert recipe.differs_from(values) == []
    assert recipes.get("default").differs_from({k: v for k, v in recipes.get("default").values().items() if k != "ema"}) == [
        "ema"
    ]


class Scaled:
    """A builder that is an object."""

    def __call__(self, latent_dim, num_classes=None, shape=(28, 28, 1), activation=keras.activations.relu):
        raise NotImplementedError


def with_defaults(latent_dim, start=keras.initializers.RandomNormal(stddev=0.1), shape=(28, 28, 1), num_classes=None):  # noqa: B008
    raise NotImplementedError


@pytest.mark.parametrize(
    "given",
    [
        {"generator": Scaled()},
        {"generator": with_defaults},
        {"generator": functools.partial(today, 7, width=np.float32(2))},
        {"d_optimizer": {"class_name": "adam", "config": {"learning_rate": 1e-3}}},
        {"d_optimizer": {"class_name": "OfAUser", "config": {"rates": [1, 2]}, "registered_name": "mine>OfAUser"}},
        {"d_optimizer": keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 10))},
    ],
)
def test_whatever_a_recipe_may_hold_is_described_as_json_and_found_again(given):
    recipe = dataclasses.replace(recipes.get("default"), **given)
    saved = json.loads(json.dumps(recipe.values()))
    assert " at 0x" not in json.dumps(saved)
    again = dataclasses.replace(recipes.get("default"), **copy.deepcopy(given))
    assert again.differs_from(saved) == []
    assert recipes.get("default").differs_from(saved) == list(given)


def test_the_numbers_that_keras_gives_optimizers_say_nothing():
    first, second = (dataclasses.replace(recipes.get("default"), d_optimizer=keras.optimizers.Adam(1e-4)) for _ in range(2))
    assert second.differs_from(first.values()) == []


def periodic(latent_dim, every=3, num_classes=None, shape=(28, 28, 1)):
    raise NotImplementedError


def test_an_argument_of_a_users_own_may_have_a_name_that_was_ours():
    recipe = dataclasses.replace(recipes.get("default"), generator=functools.partial(periodic, every=5))
    saved = json.loads(json.dumps(recipe.values()))
    assert recipe.differs_from(saved) == []
    assert dataclasses.replace(recipe, generator=periodic).differs_from(saved) == ["generator"]


def test_descriptions_are_read_by_people():
    prior = recipes.get("infogan").prior
    assert identity.text(identity.describe(prior)).startswith(
        "Joint(z=Normal(stddev=0.2, size=30), code=Categorical(size=10), style=Uniform("
    )
    assert identity.text(identity.describe((regularizers.R1(2.0, one_in=4),))) == "R1(weight=2.0, one_in=4)"
    assert identity.text(identity.describe(())) == "none" and identity.text("Adam(0.1)") == "Adam(0.1)"
    assert "learning_rate=CosineDecay(" in identity.text(recipes.get("ring").values()["d_optimizer"])
    assert identity.text(identity.describe(functools.partial(today, width={"a": 1}))) == "today(width={a: 1})"
