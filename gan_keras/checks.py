"""What cannot work is refused here, with a message that says what to change."""

import keras

from gan_keras import schedules
from gan_keras.layers import SpectralNormalization
from gan_keras.regularizers import Penalty


def output_activation(model):
    """The name of the function that makes the model's output, such as "tanh", or `None` where none is recognised."""
    tensor = model.outputs[0]
    while True:
        operation = tensor._keras_history.operation
        name = getattr(getattr(operation, "activation", None), "__name__", type(operation).__name__.lower())
        if name in ("tanh", "sigmoid"):
            return name
        hands_on = name == "linear" and not operation.weights or isinstance(operation, _SAME_VALUES)
        if not hands_on:
            return None
        tensor = operation.input


_SAME_VALUES = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
)


def output_range(generator):
    """(low, high) of the images that a generator makes, as its last activation tells, or `None`."""
    return {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}.get(output_activation(generator))


def check_players(generator, discriminator, num_classes):
    """Raise ValueError unless the two networks fit together."""
    for role, player in (("generator", generator), ("discriminator", discriminator)):
        if not isinstance(player, keras.Model) or not hasattr(player, "inputs"):
            raise ValueError(f"The {role} must be a Functional keras.Model. Received: {player!r}")
        takes = 1 if num_classes is None else 2
        if len(player.inputs) != takes:
            wanted = "one input" if takes == 1 else "two inputs, [data, labels], because num_classes is given"
            raise ValueError(
                f"The {role} must have {wanted}. Received: {len(player.inputs)}. "
                "A conditional GAN needs num_classes here and in both networks; an unconditional one in none."
            )
    if num_classes is not None and (not isinstance(num_classes, int) or num_classes < 2):
        raise ValueError(f"num_classes must be an integer of 2 or more. Received: num_classes={num_classes!r}")
    made, judged = tuple(generator.outputs[0].shape[1:]), tuple(discriminator.inputs[0].shape[1:])
    if made != judged:
        raise ValueError(
            f"The generator makes images of shape {made}, but the discriminator takes {judged}; they must agree."
        )


def check_game(generator, discriminator, d_optimizer, g_optimizer, loss, regularizers, schedule):
    """Raise ValueError if the parts of a game contradict each other."""
    layers = [layer for layer in discriminator._flatten_layers() if layer is not discriminator]
    names = [r.name for r in penalties(regularizers)]
    if d_optimizer is g_optimizer:
        raise ValueError(
            "The players must not share an optimizer: it holds the moments of one set of weights. "
            "Received the same object twice; make two of them."
        )
    if generator.losses or discriminator.losses:
        raise ValueError(
            "A network has kernel_regularizer or the like, whose loss would not be counted. Remove it; for weight decay use "
            "AdamW, for a term of your own a gan_keras.regularizers.Penalty."
        )
    if output_activation(discriminator) == "sigmoid":
        raise ValueError(
            "The discriminator ends in a sigmoid, but the losses take raw scores (logits): remove its last activation. "
            "sigmoid(score) is the probability."
        )
    if len(set(names)) < len(names):
        raise ValueError(f"Penalties are logged by name, and two have the same one. Received: {names}; leave one out.")
    if names and any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers):
        raise ValueError(
            f"A penalty on slopes ({names[0]}) needs a discriminator that scores each example by itself, but this one "
            "has BatchNormalization. Remove it, or use LayerNormalization."
        )
    if loss.needs_lipschitz and not _is_normalized(layers) and not any(r.lipschitz for r in regularizers):
        raise ValueError(
            f"The {type(loss).__name__} loss needs a Lipschitz critic, and nothing here makes it so: add "
            "regularizers='gradient_penalty' (WGAN-GP) or 'weight_clipping' (WGAN), or put every layer of the critic into "
            "gan_keras.layers.SpectralNormalization."
        )
    # A midpoint or a difference of the two kinds of score needs both in one move.
    apart = loss.separable and loss.threshold is not None and loss.distance is None
    if not apart and isinstance(schedule, schedules.ThreeStep):
        raise ValueError(
            f"ThreeStep trains on the two halves of the loss apart, which means nothing for {type(loss).__name__}: it compares "
            "real with generated scores. Use the schedule 'alternating'."
        )


def penalties(all_regularizers):
    """Those of the regularizers that are terms in the discriminator's loss."""
    return [r for r in all_regularizers if isinstance(r, Penalty)]


def _is_normalized(layers):
    """Whether every layer with a kernel is spectrally normalized."""
    wrapped = [layer.layer for layer in layers if isinstance(layer, SpectralNormalization)]
    kernels = [layer for layer in layers if getattr(layer, "kernel", None) is not None]
    return bool(wrapped) and all(any(layer is w for w in wrapped) for layer in kernels)
