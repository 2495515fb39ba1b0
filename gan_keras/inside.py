"""A look inside networks: the layers that layers hold, and the heads of a discriminator."""

import keras


def inside(network, kind=keras.layers.Layer):
    """All layers of a network, or all objects of another `kind` that they hold, however deep.

    A layer holds others as attributes, or in lists and dicts of them. `keras.Model.layers` has the outermost alone.
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
    """What a discriminator makes, as {name: output}; one output alone is the "score"."""
    return made if isinstance(made, dict) else {"score": made}
