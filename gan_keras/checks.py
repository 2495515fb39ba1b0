"""What cannot work is refused here, with a message that says what to change."""

import contextlib
import itertools
import re
import types

import keras
import numpy as np
import tensorflow as tf

from gan_keras import schedules
from gan_keras.layers import SpectralNormalization
from gan_keras.regularizers import Penalty

# The two networks.

_KEEPS_VALUES = ("Identity", "Cast", "Reshape", "Transpose", "Squeeze", "ExpandDims", "StridedSlice", "Slice")


def output_activation(model):
    """The name of the function that makes the model's output, such as "tanh" or "biasadd", wherever it is nested."""
    function = tf.function(lambda *inputs: model(list(inputs) if inputs[1:] else inputs[0], training=False), autograph=False)
    inputs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]
    op = function.get_concrete_function(*inputs).graph.outputs[0].op
    while op.type in _KEEPS_VALUES:
        op = op.inputs[0].op
    return op.type.lower()


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
        if len(player.outputs) != 1:
            raise ValueError(f"The {role} must have one output. Received: {len(player.outputs)}; make a Model of one of them.")
    if num_classes is not None and (not isinstance(num_classes, int) or num_classes < 2):
        raise ValueError(f"num_classes must be an integer of 2 or more. Received: num_classes={num_classes!r}")
    latent = tuple(generator.inputs[0].shape)
    if len(latent) != 2 or latent[1] is None:
        raise ValueError(
            f"The generator must take latents of shape (batch, latent_dim). Received: an input of shape {latent}. Begin it with "
            "keras.Input((latent_dim,)) and reshape inside."
        )
    made, judged = tuple(generator.outputs[0].shape[1:]), tuple(discriminator.inputs[0].shape[1:])
    if made != judged:
        raise ValueError(
            f"The generator makes images of shape {made}, but the discriminator takes {judged}; they must agree."
        )
    scores = tuple(discriminator.outputs[0].shape)
    if len(scores) > 1 and scores[-1] != 1:
        raise ValueError(
            f"The discriminator must end in one score, shape (batch, 1), or in a map of them, (batch, height, width, 1). Received: "
            f"an output of shape {scores}. End it in keras.layers.Dense(1), without an activation."
        )


def check_seed(seed):
    """Raise ValueError unless `seed` is one."""
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**31:
        raise ValueError(f"seed must be an integer from 0 to 2**31 - 1. Received: seed={seed!r}")


# Arguments that other libraries and Keras' examples have, and what they are here.
_ELSEWHERE = {
    "optimizer": "Each player has an optimizer of its own: d_optimizer and g_optimizer.",
    "loss_fn": "It is called loss, and takes a name such as 'non_saturating' or a gan_keras.losses.AdversarialLoss.",
    "metrics": "Losses and accuracies are logged as they are; for the quality of samples use gan_keras.callbacks.Evaluate.",
    "latent_dim": "The size of a latent is that of the generator's input.",
    "discriminator_extra_steps": "Use compile(schedule=gan_keras.schedules.Alternating(n_critic=...)).",
    "gp_weight": "Use compile(regularizers=gan_keras.regularizers.GradientPenalty(...)).",
}


def check_arguments(function, unknown):
    """Raise TypeError if there are `unknown` keyword arguments of a function."""
    for name in unknown:
        raise TypeError(f"{function} has no argument {name!r}. {_ELSEWHERE.get(name, '')}".rstrip())


# The game.


def check_game(generator, discriminator, d_optimizer, g_optimizer, loss, regularizers, schedule):
    """Raise ValueError if the parts of a game contradict each other."""
    layers = [layer for layer in discriminator._flatten_layers() if layer is not discriminator]
    names = [r.name for r in penalties(regularizers)]
    for optimizer in (d_optimizer, g_optimizer):
        if optimizer is None:
            raise ValueError("Each player needs an optimizer: compile(d_optimizer, g_optimizer). Received: None.")
    if _inner(d_optimizer) is _inner(g_optimizer):
        raise ValueError(
            "The players must not share an optimizer: it holds the moments of one set of weights. "
            "Received the same object twice; make two of them."
        )
    activation = output_activation(discriminator)
    if activation in ("sigmoid", "softmax"):
        raise ValueError(
            f"The discriminator ends in a {activation}, but the losses take raw scores (logits): remove its last activation. "
            "sigmoid(score) is the probability."
        )
    # Both have been called by now, and have collected what they add.
    check_no_losses(generator, "generator")
    check_no_losses(discriminator, "discriminator")
    if len(set(names)) < len(names):
        raise ValueError(f"Penalties are logged by name, and two have the same one. Received: {names}; leave one out.")
    # Frozen, it works with its moving statistics.
    if names and any(isinstance(layer, keras.layers.BatchNormalization) and layer.trainable for layer in layers):
        raise ValueError(
            f"A gradient penalty ({names[0]}) needs a discriminator that scores each example by itself, but this one "
            "has BatchNormalization. Remove it, freeze it (trainable = False), or use LayerNormalization."
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


def _inner(optimizer):
    """The optimizer that updates the weights, where it is wrapped to scale the loss."""
    return optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer


def check_no_losses(player, role):
    """Raise ValueError if a network has losses of its own: a move counts those of the game alone."""
    if player.losses:
        raise ValueError(
            f"The {role} has a loss of its own, by kernel_regularizer, activity_regularizer or add_loss, which would not be "
            "counted. Remove it; for weight decay use keras.optimizers.AdamW, for a term of your own a "
            "gan_keras.regularizers.Penalty."
        )


def check_trainable(player, role):
    """Raise ValueError if a move is to train a frozen network."""
    if not player.trainable_variables:
        raise ValueError(
            f"The schedule trains the {role}, but it is frozen: all its weights have trainable=False. Set {role}.trainable = True "
            "before compile(); while one player moves, the other does not change."
        )


def scalar(value, source):
    """`value`, a loss, if it is a scalar; a vector would be summed, and the step be as many times larger."""
    if value.shape.rank != 0:
        raise ValueError(
            f"{type(source).__name__} must return a scalar. Received: shape {tuple(value.shape)}; take the mean over the batch."
        )
    return value


def check_log(name, metrics, schedule):
    """Raise ValueError if a schedule logs what has no metric."""
    if name not in metrics:
        raise ValueError(
            f"{type(schedule).__name__} logged {name!r}, for which there is no metric. Name it in the schedule's attribute: "
            f"logs = ({name!r},)."
        )


# What `fit` is given.

_CALLBACKS = {
    keras.callbacks.TerminateOnNaN: 'It looks for "loss" in the logs, and a GAN has d_loss and g_loss. Use '
    "gan_keras.callbacks.NonFiniteGuard.",
    keras.callbacks.LearningRateScheduler: "It sets the rate of one optimizer, and a GAN has two. Give each a "
    "keras.optimizers.schedules.LearningRateSchedule, or set gan.d_optimizer.learning_rate in a callback of your own.",
    keras.callbacks.ReduceLROnPlateau: "It sets the rate of one optimizer, and a GAN has two, whose losses do not fall as it "
    "learns. Give each a keras.optimizers.schedules.LearningRateSchedule.",
    keras.callbacks.SwapEMAWeights: "It swaps the weights of one optimizer, and a GAN has two. GAN(ema=...) samples and evaluates "
    "with a moving average.",
}


def check_callbacks(callbacks):
    """Raise ValueError if one of Keras' callbacks cannot work on a GAN; the message says what to use."""
    for callback in callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]:
        for kind, reason in _CALLBACKS.items():
            if isinstance(callback, kind):
                raise ValueError(f"{kind.__name__} does not work on a GAN. {reason}")


def first_batch(x, y=None):
    """(the first batch of a source of data, or all of an array; the source as Keras is to be given it).

    The batch is `None` where there is none. A Python generator is used up by looking at it, and is put together again.
    """
    if isinstance(x, (list, tuple, dict)):
        raise ValueError(f"Images must be one array or a data set. Received: x of type {type(x).__name__}; pass what it holds.")
    if is_array(x):
        return (x if y is None else (x, y)), x
    if isinstance(x, types.GeneratorType):
        first = list(itertools.islice(x, 1))
        return (first[0] if first else None), (batch for batch in itertools.chain(first, x))
    if isinstance(x, keras.utils.PyDataset):
        return x[0], x
    if isinstance(x, tf.data.Dataset):
        x_first = x.take(1)
    elif hasattr(x, "__iter__"):  # such as a DataLoader of PyTorch
        x_first = x
    else:
        raise ValueError(f"Images must be one array or a data set. Received: x of type {type(x).__name__}.")
    return next(iter(x_first), None), x


def batch_sizes(x, first, batch_size=None, validation_split=0.0):
    """The sizes of the batches that a source delivers, as far as they can be told; `None` stands for any."""
    if is_array(x):
        n, batch_size = int(len(x) * (1 - validation_split)), batch_size or 32
        return {min(batch_size, n), n % batch_size or batch_size}
    if isinstance(x, tf.data.Dataset):
        return {keras.tree.flatten(x.element_spec)[0].shape[0]}
    if isinstance(x, keras.utils.PyDataset) and x.num_batches:
        return {len(keras.tree.flatten(batch)[0]) for batch in (first, x[x.num_batches - 1])}
    return {len(keras.tree.flatten(first)[0]), None}


def check_sizes(sizes, parts, replicas):
    """Raise ValueError if a batch size is no multiple of `parts`."""
    for size in sizes:
        if size is None or size % parts:
            what = "Batches without a fixed size" if size is None else f"A batch of {size}"
            raise ValueError(
                f"{what} cannot be split into {parts} equal parts: the minibatches of a step, on {replicas} device(s). Use a "
                f"batch size that is a multiple of {parts}, and drop_remainder=True so that the last batch has it too."
            )


_UNEVEN = "The batch must be divisible by the number of minibatches in a step,"


def divisible(images, number=1):
    """`images`, if `number` minibatches can be made of them: known at once, or else when the step runs.

    Neither the mean of an empty minibatch (NaN) nor that of an uneven one is what a step is to train on.
    """
    size = images.shape[0]
    if size is None:
        size = tf.shape(images)[0]
        fits = tf.logical_and(size > 0, size % number == 0)
        with tf.control_dependencies([tf.debugging.Assert(fits, [f"{_UNEVEN} {number}, and not empty.", size])]):
            return tf.identity(images)
    if size == 0 or size % number:
        raise ValueError(f"{_UNEVEN} {number}, and not empty. Received: a batch of {size}.")
    return images


@contextlib.contextmanager
def readable_errors():
    """What `divisible` finds in a running step, as the ValueError that it would have been before."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        failed = re.search(rf"assertion failed: \[({_UNEVEN}.*?)\] \[(\d+)\]", error.message)
        if not failed:
            raise
        raise ValueError(
            f"{failed[1]} Received: a batch of {failed[2]}. Leave out a last batch that is smaller, or change the batch size."
        ) from error


def unpack(data, discriminator, num_classes=None, value_range=None):
    """(images, labels or `None`) of a batch as Keras or a data set delivers it; refuses what shapes and types show."""
    images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError(
            "A GAN takes images, or (images, labels). Received a third part (sample weights); leave it out."
        )
    for name, part in (("images", images), ("labels", labels)):
        if part is not None and not is_array(part):
            raise ValueError(
                f"A batch must be images, or (images, labels), each one array. Received: {name} of type {type(part).__name__}."
            )
    expected = tuple(discriminator.inputs[0].shape[1:])
    if tuple(images.shape[1:]) != expected:
        raise ValueError(
            f"The discriminator takes images of shape (batch, {', '.join(map(str, expected))}). Received: shape "
            f"{tuple(images.shape)}. Reshape or resize them; grey images need a last axis of 1."
        )
    if not tf.as_dtype(images.dtype).is_floating:
        raise ValueError(
            f"Images must be floats{_in_range(value_range)}. Received: {tf.as_dtype(images.dtype).name}. "
            "gan_keras.data.batches converts bytes."
        )
    if num_classes is None:
        return images, None
    if labels is None:
        raise ValueError(
            "A conditional GAN needs labels: fit(images, labels), or a data set of (images, labels). Received images alone."
        )
    if len(labels.shape) == 2 and labels.shape[-1] == 1:
        labels = labels[:, 0]
    if len(labels.shape) != 1:
        raise ValueError(f"Labels must be integers of shape (batch,). Received: shape {tuple(labels.shape)}.")
    return images, labels


def check_values(images, labels, num_classes=None, value_range=None):
    """Raise ValueError if the values of a batch, NumPy arrays, are not what a GAN can train on."""
    if not len(images):
        raise ValueError("The data set is empty: x has no images.")
    if num_classes is not None and len(labels) != len(images):
        raise ValueError(f"There must be one label for each image. Received: {len(images)} images, {len(labels)} labels.")
    if not np.isfinite(images).all():
        raise ValueError("The images contain NaN or infinite pixels. Clean the data first.")
    low, high = images.min(), images.max()
    bottom, top = value_range or (-np.inf, np.inf)
    if low < bottom - 1e-3 or high > top + 1e-3 or (low >= 0 > bottom > -np.inf):
        raise ValueError(
            f"The generator makes images{_in_range(value_range)}, and the data must lie there too. Received: values from "
            f"{low:g} to {high:g}. Rescale them, for instance by gan_keras.data.batches(value_range={value_range})."
        )
    if num_classes is not None:
        check_labels(labels, num_classes)


def check_labels(labels, num_classes):
    """Raise ValueError unless the array `labels` holds integers from 0 to num_classes - 1."""
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"Labels must be integers from 0 to {num_classes - 1}. Received: {labels.dtype} from {labels.min()} to "
            f"{labels.max()}."
        )


def is_array(x):
    """Whether `x` is one array, of whatever library."""
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _in_range(value_range):
    return "" if value_range is None else " in [{:g}, {:g}]".format(*value_range)
