"""Whether a recipe is the one that a run was made with: structured configurations, compared with their defaults filled in.

A value is described as JSON: an object or a call as `{"call": "R1", "weight": 2.0, "one_in": 4}`, with all arguments; anything
else as it is. An argument that a saved description lacks, because it was added since, counts as its default.
"""

import ast
import functools
import inspect
import re

import keras
import numpy as np

# What has been renamed since runs were saved: old name of a class, function or argument > its name today.
RENAMED = {"dimensions": "shape", "every": "one_in"}

# Given by the recipe or the data when networks are built, whatever a builder's own default.
_GIVEN = ("latent_dim", "num_classes", "shape")


def describe(value):
    """A value of a recipe as JSON, with all arguments."""
    if isinstance(value, (list, tuple)):
        return [describe(one) for one in value]
    function, arguments = _call(value)
    if function is None:
        return _plain(value)
    return {"call": _name(function), **{k: describe(v) for k, v in {**_defaults(function), **arguments}.items()}}


def text(description):
    """A description for people, such as "R1(weight=2.0, one_in=4)"; arguments that are `None` are left out."""
    if isinstance(description, list):
        return ", ".join(map(text, description)) or "none"
    if not isinstance(description, dict):
        return "none" if description is None else str(description)
    if "call" not in description:
        return "{" + ", ".join(f"{key}: {text(value)}" for key, value in description.items()) + "}"
    given = {key: value for key, value in description.items() if key != "call" and value is not None}
    return f"{description['call']}({', '.join(f'{key}={text(value)}' for key, value in given.items())})"


def same(saved, value):
    """Whether `saved`, a description or a text of earlier versions, is of `value`."""
    if isinstance(value, (list, tuple)):
        saved = _parsed(f"[{saved}]" if saved != "none" else "[]") if isinstance(saved, str) else saved
        return isinstance(saved, (list, tuple)) and len(saved) == len(value) and all(map(same, saved, value))
    function, arguments = _call(value)
    if function is None:
        now = _plain(value)
        return saved == now or isinstance(saved, str) and _parsed(saved) == now
    saved = _parsed(saved) if isinstance(saved, str) else saved
    saved = {"call": saved} if isinstance(saved, str) else saved  # a function without arguments
    if not isinstance(saved, dict):
        return False
    own = _parameters(function)  # a class of the user's may have an argument of a name that was ours
    saved = {key if key in own else RENAMED.get(key, key): argument for key, argument in saved.items()}
    saved = {key: argument for key, argument in saved.items() if key not in _ignored(function)}
    saved = {**_defaults(function), **saved, "call": RENAMED.get(saved.get("call"), saved.get("call"))}
    now = {"call": _name(function), **_defaults(function), **arguments}
    return saved.keys() == now.keys() and all(same(saved[key], now[key]) for key in now)


def _call(value):
    """(function or class, arguments) of what a recipe holds, or (`None`, `None`) of a plain value."""
    if isinstance(value, functools.partial):
        given = inspect.signature(value.func).bind_partial(*value.args, **value.keywords).arguments
        return value.func, {name: argument for name, argument in given.items() if name not in _GIVEN}
    if isinstance(value, dict):  # the saved form of an optimizer, a schedule of its rate, or a part of a prior
        name = value.get("class_name", "")
        places = (keras.optimizers, keras.optimizers.schedules)
        found = next((getattr(place, name) for place in places if isinstance(getattr(place, name, None), type)), None)
        found = found or keras.saving.get_registered_object(value.get("registered_name") or "")
        return (found, value.get("config") or {}) if found else (None, None)
    if hasattr(value, "get_config"):
        return type(value), {name: one for name, one in value.get_config().items() if name not in _ignored(type(value))}
    return (value, {}) if callable(value) else (None, None)


def _plain(value):
    """What is no call, as JSON."""
    if isinstance(value, dict):
        return {str(key): describe(one) for key, one in value.items()}
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _name(function):
    return getattr(function, "__name__", type(function).__name__)


def _parameters(function):
    try:
        return inspect.signature(function).parameters
    except ValueError:  # of a builtin
        return {}


def _defaults(function):
    """The arguments of a function that may be left out."""
    parameters = _parameters(function).values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in _ignored(function)}


def _ignored(function):
    if not isinstance(function, type):
        return _GIVEN
    # Keras numbers the names of optimizers, and their default differs between its versions.
    return ("name",) if issubclass(function, keras.optimizers.Optimizer) else ()


def _parsed(text):
    """What a text of earlier versions says, such as "Adam(learning_rate=0.001)"; names are strings or, called, descriptions."""

    def value(node):
        if isinstance(node, ast.Call):
            return {"call": node.func.id, **{k.arg: value(k.value) for k in node.keywords}}
        if isinstance(node, ast.List):
            return [value(element) for element in node.elts]
        if isinstance(node, ast.Name):
            return {"none": None}.get(node.id, node.id)
        return ast.literal_eval(node)

    try:
        return value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, AttributeError):
        return text
