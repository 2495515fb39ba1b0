"""Finding layers inside layers, and the heads of a discriminator."""

import keras


def inside(network, kind=keras.layers.Layer):
    """All layers of a network, or all objects of another `kind` in them, at any depth.

    A layer has others as attributes, or in lists and dicts. `keras.Model.layers` has only the outermost ones.
    """
    found, seen, waiting = [], set(), [network]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, kind):
            found.append(value)
        if isinstance(value, keras.layers.Layer):
            waiting.extend(vars(value).values())
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple, set)):
            waiting.extend(value)
    return found


def heads(made):
    """The outputs of a discriminator, as {name: output}; a single output is the "score"."""
    return made if isinstance(made, dict) else {"score": made}
