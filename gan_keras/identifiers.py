"""Turn what a user may pass (a name, an instance, a saved config) into the object that is meant."""

import difflib

import keras


def unknown(kind, name, known):
    """The error for a name that is not in `known`, with the nearest names that are."""
    nearest = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(repr(n) for n in nearest)}?" if nearest else ""
    return ValueError(f"Unknown {kind}: {name!r}.{hint} Known: {', '.join(sorted(known))}.")


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
