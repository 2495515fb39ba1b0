"""Recipes: functions that return the networks and everything `compile` needs. The comment on a line is the source of its value.

A recipe of your own is such a function too. The scripts take it as `--recipe my_recipes.py:name`:

    import dataclasses
    from gan_keras import recipes

    def name():
        \"""What it is for.\"""
        return dataclasses.replace(recipes.plain(), batch_size=64)  # chosen for this example
"""

import ast
import inspect
import textwrap

from gan_keras import identifiers
from gan_keras.recipe import ModelRecipe, Recipe, VAERecipe, adam, cosine_decay, rmsprop
from gan_keras.recipes.best import best, cgan, default, few, parzen, plain, r3gan
from gan_keras.recipes.classics import dcgan, dragan, lsgan, minimax, r1, sngan, wgan, wgan_gp
from gan_keras.recipes.tasks import acgan, infogan, semi_supervised, vae
from gan_keras.recipes.toys import gaussians, grid, ring, stacked_mnist, stacked_mnist_full, swiss_roll
from gan_keras.recipes.tutorials import jeffreys, tutorial_conv, tutorial_mlp

__all__ = [
    "RECIPES",
    "ModelRecipe",
    "Recipe",
    "VAERecipe",
    "adam",
    "cosine_decay",
    "find",
    "get",
    "rmsprop",
    "show",
    "summary",
    "unchanged",
]

RECIPES = {
    function.__name__: function
    for function in (
        *(default, best, plain, tutorial_mlp, tutorial_conv, jeffreys, minimax, dcgan, lsgan, sngan, wgan, wgan_gp),
        *(dragan, r1, cgan, parzen),
        *(r3gan, infogan, acgan, semi_supervised, few, vae),
        *(ring, grid, swiss_roll, gaussians, stacked_mnist, stacked_mnist_full),
    )
}
__all__ += RECIPES


def find(name):
    """The function of a recipe: of one of `RECIPES`, or of your own as "my_recipes.py:name" or "package.module:name".

    Raises:
        ValueError: There is none of that name.
    """
    if ":" in name:
        return identifiers.imported(name)
    if name.endswith(".py"):
        raise ValueError(
            f"A recipe of your own is a function in a file. Received: {name}; add the function's name, as in {name}:my_recipe."
        )
    if name not in RECIPES:
        raise identifiers.unknown("recipe", name, RECIPES)
    return RECIPES[name]


def get(name):
    """The recipe of a name, as `find` takes it; `dataclasses.replace` changes parts of it.

    Raises:
        ValueError: There is none of that name, or it is not a function that returns a `Recipe`.
    """
    function = find(name)
    wanted = f"A recipe is a function without arguments that returns a gan_keras.recipes.Recipe. Received: {name}"
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{wanted}, {function!r}") from error
    found = function()
    if not isinstance(found, ModelRecipe):
        raise ValueError(f"{wanted}, which returns {found!r}")
    return found


def summary(name):
    """The first line of a recipe's docstring."""
    return (inspect.getdoc(find(name)) or name).splitlines()[0]


def show(name):
    """The source of a recipe, followed by the recipes that it is made from."""
    get(name)  # refuses what is none
    function = find(name)
    source = textwrap.dedent(inspect.getsource(function))
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = dict.fromkeys(getattr(node, "attr", getattr(node, "id", None)) for node in called)
    return "\n\n".join([source.rstrip(), *(show(base) for base in names if base in RECIPES and base != function.__name__)])


def unchanged(saved, names):
    """Whether `saved`, {name: values of a recipe}, is of the recipes `names` as they are now."""
    return saved.keys() == set(names) and not any(get(name).differs_from(values) for name, values in saved.items())
