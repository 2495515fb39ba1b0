"""What scripts/lab/search.py searches: the settings of a recipe that may vary, the recipe that they make, and where to begin."""

import dataclasses
import functools
from collections.abc import Callable

import keras
from keras.optimizers.schedules import CosineDecay

from gan_keras import layers, losses, networks, recipes, regularizers, schedules
from gan_keras.networks import base
from gan_keras.recipe import adam, cosine_decay


@dataclasses.dataclass(frozen=True)
class Space:
    """The recipes of a search.

    Attributes:
        recipe: Function of an Optuna trial and a number of steps to a recipe; decaying rates and weights decay over all steps.
        today: {setting: value}, those of the recipe when its search began.
        leads: Changes of it, that are tried next.
    """

    recipe: Callable
    today: dict
    leads: tuple


def _choose(trial, name, *values):
    return trial.suggest_categorical(name, values)


def _falling(trial, name, low, high, cosine):
    """A number that stays, or falls along a cosine to a part of it."""
    start, end = trial.suggest_float(name, low, high, log=True), _choose(trial, f"{name}_end", 1.0, 0.1, 0.01)
    return start if end == 1.0 else cosine(start, alpha=end)


def _game(trial, steps):
    """What any pair of networks is trained by."""
    rate = _falling(trial, "rate", 2e-4, 4e-3, functools.partial(cosine_decay, steps=steps))
    weight = _falling(trial, "r1", 0.1, 10.0, functools.partial(CosineDecay, decay_steps=steps))
    one_in = _choose(trial, "one_in", 1, 2, 4, 8)
    penalties = (regularizers.R1, regularizers.R2) if _choose(trial, "r2", False, True) else (regularizers.R1,)
    return {
        "d_optimizer": adam(rate, 0.0, 0.99),
        "g_optimizer": adam(rate, 0.0, 0.99),
        "loss": losses.Relativistic() if _choose(trial, "paired", False, True) else losses.NonSaturating(),
        "regularizers": tuple(penalty(weight, one_in=one_in) for penalty in penalties),
        "ema": _choose(trial, "ema", 0.998, 0.999, 0.9995),
        "batch_size": _choose(trial, "batch", 16, 32, 64),
        "latent_dim": _choose(trial, "latents", 10, 16, 32, 64),
        "steps": steps,
    }


def _generator(trial, **more):
    sizes = {"mapping": _choose(trial, "mapping", 0, 2, 4), "width": _choose(trial, "generator_width", 32, 48, 64)}
    return functools.partial(networks.default_generator, **sizes, **more)


def _plain(trial, steps):
    return dataclasses.replace(
        recipes.get("plain"),
        generator=_generator(trial),
        discriminator=functools.partial(
            networks.default_discriminator, width=_choose(trial, "discriminator_width", 32, 48, 64)
        ),
        **_game(trial, steps),
    )


def _default(trial, steps):
    width, terms = {"width": _choose(trial, "discriminator_width", 32, 48, 64)}, ()
    clusters, discriminator = _choose(trial, "clusters", 20, 30, 50, 100), networks.default_discriminator
    if _choose(trial, "classifier", True, False):
        discriminator, terms = (
            functools.partial(networks.acgan_discriminator, projection=True),
            recipes.get("cgan").regularizers[1:],
        )
    game = _game(trial, steps)
    return dataclasses.replace(
        recipes.get("default"),
        clusters=clusters,
        generator=_generator(trial, code=clusters),
        discriminator=functools.partial(discriminator, **width),
        schedule=schedules.get(_choose(trial, "schedule", "alternating", "simultaneous")),
        **{**game, "regularizers": game["regularizers"] + terms},
    )


def _default_more(trial, steps):
    """Changes of `default` as it was after its search: leads that were left out, and the best of the others again."""
    recipe, clusters = recipes.get("default"), _choose(trial, "clusters", 20, 30)
    changes = {"augmented": _choose(trial, "augmented", False, True), "compared": _choose(trial, "compared", False, True)}
    weight = _falling(trial, "r1", 0.1, 10.0, functools.partial(CosineDecay, decay_steps=steps))
    return dataclasses.replace(
        recipe,
        clusters=clusters,
        generator=functools.partial(networks.default_generator, mapping=0, code=clusters),
        discriminator=functools.partial(_changed_discriminator, **changes),
        g_optimizer=adam(1e-3 * _choose(trial, "g_rate", 1.0, 0.5, 2.0), 0.0, 0.99),
        regularizers=(regularizers.R1(weight, one_in=4), *recipe.regularizers[1:]),
        ema=_choose(trial, "ema", 0.999, 0.9995),
        batch_size=_choose(trial, "batch", 32, 64),
        schedule=schedules.get(_choose(trial, "schedule", "alternating", "simultaneous")),
        steps=steps,
    )


def _changed_discriminator(num_classes, shape, augmented, compared):
    """That of `default`. `augmented`: with DiffAugment; `compared`: with MinibatchStandardDeviation."""
    inputs, x, label = base.discriminator_inputs(num_classes, shape)
    x = layers.DiffAugment(("affine",), fill_value=-1.0)(x) if augmented else x
    for filters in (32, 64, 128):
        x = keras.layers.LeakyReLU(0.2)(keras.layers.Conv2D(filters, 4, strides=2, padding="same")(x))
    features = keras.layers.Flatten()(layers.MinibatchStandardDeviation()(x) if compared else x)
    outputs = {
        "score": base.score_of(features, label, num_classes),
        "label": keras.layers.Dense(num_classes, dtype="float32")(features),
    }
    return keras.Model(inputs, outputs, name="discriminator")


def _r3gan(trial, steps):
    sizes = {"width": _choose(trial, "width", 8, 16, 24, 32), "blocks": _choose(trial, "blocks", 1, 2)}
    return dataclasses.replace(
        recipes.get("r3gan"),
        generator=functools.partial(networks.r3gan_generator, **sizes),
        discriminator=functools.partial(networks.r3gan_discriminator, **sizes),
        **_game(trial, steps),
    )


_GAME = {
    "rate": 1e-3,
    "rate_end": 1.0,
    "r1": 2.0,
    "r1_end": 1.0,
    "one_in": 4,
    "r2": False,
    "paired": False,
    "ema": 0.999,
    "batch": 32,
    "latents": 16,
}
_PLAIN = {**_GAME, "mapping": 4, "generator_width": 32, "discriminator_width": 32}
_DEFAULT = {**_PLAIN, "mapping": 0, "latents": 64, "clusters": 20, "classifier": True, "schedule": "alternating"}
_DEFAULT_MORE = {
    "clusters": 20,
    "augmented": False,
    "compared": False,
    "r1": 2.0,
    "r1_end": 1.0,
    "g_rate": 1.0,
    "ema": 0.999,
    "batch": 64,
    "schedule": "simultaneous",
}
_R3GAN = {**_GAME, "rate": 5e-4, "r1": 1.0, "r1_end": 0.1, "r2": True, "paired": True, "latents": 64, "width": 16, "blocks": 1}

_PLAIN_LEADS = (
    {"rate_end": 0.01},
    {"r1_end": 0.1},
    {"paired": True},
    {"paired": True, "r2": True},
    {"discriminator_width": 48},
    {"generator_width": 48},
    {"latents": 64, "mapping": 0},
    {"latents": 64, "mapping": 2},
)
_LEADS = (
    {"clusters": 30},
    {"clusters": 50},
    {"schedule": "simultaneous"},
    {"batch": 64},
    {"rate_end": 0.01},
    {"generator_width": 48},
    {"latents": 32},
    {"r1": 1.0},
    {"discriminator_width": 48},
    {"mapping": 2},
    {"paired": True},
    {"classifier": False},
    {"batch": 64, "schedule": "simultaneous"},
)
_LEADS_MORE = (
    {"augmented": True},
    {"compared": True},
    {"g_rate": 0.5},
    {"g_rate": 2.0},
    {"r1_end": 0.1},
    {"ema": 0.9995},
    {"clusters": 30},
    {"schedule": "alternating"},
    {"batch": 32},
)
SPACES = {
    "default": Space(_default, _DEFAULT, _LEADS),
    "default_more": Space(_default_more, _DEFAULT_MORE, _LEADS_MORE),
    "plain": Space(_plain, _PLAIN, _PLAIN_LEADS),
    "r3gan": Space(_r3gan, _R3GAN, ({"rate": 1e-3}, {"rate": 2e-3, "rate_end": 0.01}, {"width": 24}, {"r1": 0.3})),
}
