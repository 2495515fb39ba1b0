"""Turn what a user may pass (a name, an instance, a saved config) into the object that is meant."""

import difflib
import importlib
import importlib.util
import numbers
import pathlib
import sys

import keras


def unknown(kind, name, known):
    """The error for a name that is not in `known`, with the nearest names that are."""
    nearest = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(repr(n) for n in nearest)}?" if nearest else ""
    return ValueError(f"Unknown {kind}: {name!r}.{hint} Known: {', '.join(sorted(known))}.")


def count(name, value, least=1):
    """`value`, if it is an integer of `least` or more; else the ValueError that says so of the argument `name`."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer of {least} or more. Received: {name}={value!r}")
    return int(value)


def get(kind, base, table, identifier):
    """Resolve `identifier` to an instance of `base`; `table` maps names to classes."""
    if isinstance(identifier, str):
        if identifier not in table:
            raise unknown(kind, identifier, table)
        return table[identifier]()
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if isinstance(identifier, base):
        return identifier
    raise ValueError(
        f"A {kind} is a name ({', '.join(sorted(table))}) or an instance of {base.__name__}. "
        f"Received: {identifier!r} of type {type(identifier).__name__}."
    )


def imported(reference):
    """The object that "path/to/file.py:name" or "package.module:name" names. A file is imported once, as a module of its name.

    Raises:
        ValueError: There is no such file, module or name.
    """
    source, _, name = reference.rpartition(":")
    try:
        module = _module_of_file(pathlib.Path(source)) if source.endswith(".py") else importlib.import_module(source)
    except (ImportError, ValueError, TypeError, SyntaxError) as error:
        raise ValueError(
            f"{reference!r} cannot be imported: {error}. Expected path/to/file.py:name or package.module:name."
        ) from error
    if not hasattr(module, name):
        public = {key: value for key, value in vars(module).items() if not key.startswith("_")}
        own = [key for key, value in public.items() if getattr(value, "__module__", None) == module.__name__]
        raise unknown(f"name in {source}", name, own or list(public))
    return getattr(module, name)


def _module_of_file(path):
    if not path.is_file():
        raise ImportError(f"there is no file {path}")
    path, name = path.resolve(), path.stem
    taken = name in sys.modules and getattr(sys.modules[name], "__file__", None) != str(path)
    if taken or name in sys.stdlib_module_names:
        raise ImportError(f"another module is called {name!r}; rename the file")
    if name not in sys.modules:
        sys.path.append(str(path.parent))  # it may import the files beside it, as a program may
        spec = importlib.util.spec_from_file_location(name, path)
        # Known by its name, so that what is saved of its classes can be loaded.
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
