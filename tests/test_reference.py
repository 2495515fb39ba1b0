"""The API reference is built without warnings, and has every public name."""

import importlib
import inspect
import pkgutil

import pytest
from helpers import needs

import gan_keras

pytestmark = needs("pdoc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import reference

    folder = tmp_path_factory.mktemp("reference")
    assert reference.main([str(folder)]) == 0
    return folder


def public(module):
    """The names of a module's own classes and functions, or those of its `__all__`."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not name.startswith("__") and not inspect.ismodule(getattr(module, name))]
    members = inspect.getmembers(module, lambda member: inspect.isclass(member) or inspect.isfunction(member))
    return [name for name, member in members if member.__module__ == module.__name__ and not name.startswith("_")]


MODULES = ["gan_keras", *(f"gan_keras.{name}" for name in gan_keras.__all__ if inspect.ismodule(getattr(gan_keras, name)))]


@pytest.mark.parametrize("name", [*MODULES, *(f"gan_keras.{name}" for name in ("forward", "random", "settings", "weights"))])
def test_every_public_name_has_its_place(name, folder):
    page = (folder / (name.replace(".", "/") + ".html")).read_text()
    names = public(importlib.import_module(name))
    assert names and not [member for member in names if f'id="{member}"' not in page]


def test_the_modules_are_those_of_the_package():
    found = {f"gan_keras.{module.name}" for module in pkgutil.iter_modules(gan_keras.__path__)}
    assert set(MODULES) - {"gan_keras"} <= found and len(MODULES) > 20
