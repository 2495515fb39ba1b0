"""What scripts/lab/search.py searches: the settings of a recipe that may vary, the recipe that they make, and where to begin."""

import dataclasses
import functools
from collections.abc import Callable

from keras.optimizers.schedules import CosineDecay

from gan_keras import losses, networks, recipes, regularizers, schedules
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
SPACES = {
    "default": Space(_default, _DEFAULT, _LEADS),
    "plain": Space(_plain, _PLAIN, _PLAIN_LEADS),
    "r3gan": Space(_r3gan, _R3GAN, ({"rate": 1e-3}, {"rate": 2e-3, "rate_end": 0.01}, {"width": 24}, {"r1": 0.3})),
}
