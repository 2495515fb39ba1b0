"""What cannot work is refused here, with a message that says what to change."""

import inspect
import math
import numbers
import warnings

import keras
import numpy as np
import tensorflow as tf

from gan_keras import identifiers, losses, priors, schedules
from gan_keras.layers import SpectralNormalization, inside
from gan_keras.regularizers import GradientPenalty, GradientTerm, Term, WeightClipping

# The networks.

_KEEPS_VALUES = ("Identity", "Cast", "Reshape", "Transpose", "Squeeze", "ExpandDims", "StridedSlice", "Slice")


def _output(model):
    """The output of a model, the "score" where it has several, as a tensor of the graph that computes it."""

    def call(*inputs):
        made = model(list(inputs) if inputs[1:] else inputs[0], training=False)
        if isinstance(made, (list, tuple)) or isinstance(made, dict) and "score" not in made:
            found = f"a dict of {', '.join(made)}" if isinstance(made, dict) else f"{len(made)} outputs"
            raise ValueError(
                f'The network {model.name} must have one output, or a dict of them with "score". Received: {found}.'
            )
        return made["score"] if isinstance(made, dict) else made

    inputs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]
    return tf.function(call, autograph=False).get_concrete_function(*inputs).graph.outputs[0]


def output_activation(model):
    """The name of the function that makes the model's output, such as "tanh" or "addv2", wherever it is nested."""
    op = _output(model).op
    while op.type in _KEEPS_VALUES:
        op = op.inputs[0].op
    return op.type.lower()


def output_range(generator):
    """(low, high) of the images that a generator makes, as its last activation tells, or `None`."""
    return {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}.get(output_activation(generator))


def _check_network(network, role):
    if not isinstance(network, keras.Model) or not hasattr(network, "inputs"):
        raise ValueError(f"The {role} must be a Functional keras.Model. Received: {network!r}")


def check_generator(generator, num_classes):
    """Raise ValueError unless a network can be the generator."""
    _check_network(generator, "generator")
    if len(generator.outputs) != 1:
        raise ValueError(
            f"The generator must have one output. Received: {len(generator.outputs)}; make a Model of one of them."
        )
    if num_classes is not None:
        identifiers.count("num_classes", num_classes, 2)
    if len(generator.inputs) > (1 if num_classes is None else 2):
        raise ValueError(
            f"The generator must have one input, or with num_classes two, [latents, labels]. Received: {len(generator.inputs)}, "
            f"num_classes={num_classes}."
        )
    latent = tuple(generator.inputs[0].shape)
    if len(latent) != 2 or latent[1] is None:
        raise ValueError(
            f"The generator must take latents of shape (batch, latent_dim). Received: an input of shape {latent}. Begin it with "
            "keras.Input((latent_dim,)) and reshape inside."
        )


def check_averaged(names, ema):
    """Raise ValueError unless `names` can be networks of which a moving average is kept."""
    if isinstance(names, str) or (names and ema is None):
        raise ValueError(
            f"averaged is a list of names, and needs the decay of the moving average: GAN(ema=0.999). Received: {names!r}, ema={ema}"
        )


def check_players(generator, discriminator, num_classes, with_generator, with_discriminator):
    """Raise ValueError unless the networks fit together."""
    check_generator(generator, num_classes)
    _check_network(discriminator, "discriminator")
    for name, network in [*with_generator.items(), *with_discriminator.items()]:
        _check_network(network, f"network {name!r}")
    if "discriminator" in {*with_generator, *with_discriminator}:
        raise ValueError(
            "A network of with_generator or with_discriminator must not be called 'discriminator'. Choose another name."
        )
    twice = set(with_generator) & set(with_discriminator)
    if twice:
        raise ValueError(
            f"with_generator and with_discriminator must have different names. Received in both: {', '.join(twice)}"
        )
    networks = [generator, discriminator, *with_generator.values(), *with_discriminator.values()]
    variables = [id(variable) for network in networks for variable in network.variables]
    if len(set(variables)) < len(variables):
        raise ValueError(
            "Two networks share a layer, which would be trained twice in a step and not be saved as one. Make what they share another "
            'output of the discriminator: keras.Model(images, {"score": ..., "code": ...}).'
        )
    made, judged = tuple(generator.outputs[0].shape[1:]), tuple(discriminator.inputs[0].shape[1:])
    if made != judged:
        raise ValueError(f"The generator makes images of shape {made}, but the discriminator takes {judged}; they must agree.")
    scores = tuple(_output(discriminator).shape)
    if len(scores) > 1 and scores[-1] != 1:
        raise ValueError(
            f"The discriminator must end in one score, shape (batch, 1), or in a map of them, (batch, height, width, 1). Received: "
            f"an output of shape {scores}. End it in keras.layers.Dense(1), without an activation."
        )


def check_label_inputs(generator, discriminator, needs_labels):
    """Raise ValueError if the discriminator takes labels which the generated images do not have."""
    if len(discriminator.inputs) > 1 and not needs_labels:
        raise ValueError(
            "The generator must have two inputs, [latents, labels], because the discriminator takes labels. Received: "
            f"{len(generator.inputs)}. Give num_classes to both builders and to the GAN, or to none."
        )


def check_label_part(name, prior, generator):
    """Raise ValueError unless a part of the prior can stand for the label; returns the number of labels."""
    _check_network(generator, "generator")
    if name not in prior.parts:
        raise identifiers.unknown("part of the latents", name, prior.parts)
    part = prior.parts[name]
    if len(generator.inputs) > 1 or not isinstance(part, priors.Categorical):
        raise ValueError(
            f"The part {name!r} must be a priors.Categorical, and the generator must take latents alone. Received: "
            f"{type(part).__name__}, a generator of {len(generator.inputs)} inputs."
        )
    return part.size


def check_encoder(encoder, generator, deviation):
    """Raise ValueError unless a network can be the encoder of a VAE with this generator."""
    _check_network(encoder, "encoder")
    images, size = tuple(generator.outputs[0].shape[1:]), 2 * generator.inputs[0].shape[-1]
    takes, makes = tuple(encoder.inputs[0].shape[1:]), tuple(encoder.outputs[0].shape[1:])
    if len(generator.inputs) != 1 or takes != images or makes != (size,):
        raise ValueError(
            f"The encoder must take images of shape {images} and make {size} numbers, twice the latent_dim, and no network takes "
            f"labels. Received: {takes} to {makes}."
        )
    if not deviation > 0:
        raise ValueError(f"deviation must be above 0. Received: deviation={deviation}")


def check_seed(seed):
    """Raise ValueError unless `seed` is one."""
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**31:
        raise ValueError(f"seed must be an integer from 0 to 2**31 - 1. Received: seed={seed!r}")


def check_model(generator, prior, seed, ema, value_range):
    """Raise ValueError unless the arguments of a generative model are good."""
    latent_dim = generator.inputs[0].shape[-1]
    size = latent_dim if prior is None else priors.get(prior).size
    if size != latent_dim:
        raise ValueError(
            f"The prior draws latents of size {size}, but the generator takes {latent_dim}; they must agree. Give the generator "
            f"latent_dim={size}, or the model another prior."
        )
    if ema is not None and not 0.0 < ema < 1.0:
        raise ValueError(f"ema is a decay between 0 and 1, such as 0.999, or None. Received: ema={ema}")
    if value_range is not None and not (len(value_range) == 2 and value_range[0] < value_range[1]):
        raise ValueError(f"value_range is (low, high), such as (-1, 1). Received: value_range={value_range}")
    check_seed(seed)


def check_sampling(n, seed):
    """Raise ValueError unless `sample_batches` can be asked for this."""
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n, the number of samples, must be an integer of 1 or more. Received: n={n!r}")
    check_seed(seed)


def sample_labels(n, labels, num_classes):
    """The labels of `n` samples, as int32 array (n,), or `None` for a generator that takes none."""
    if num_classes is None:
        if labels is not None:
            raise ValueError(
                "The generator takes no labels. Leave labels out, or take another model, such as one of the recipe cgan. A part of the "
                "latents is chosen by its name, as in sample(n, cluster=3)."
            )
        return None
    if labels is None:
        return np.arange(n, dtype="int32") % num_classes
    labels = np.asarray(labels)
    if labels.ndim == 0:
        labels = np.full(n, labels)
    if labels.shape != (n,):
        raise ValueError(f"labels must be one integer or {n} of them. Received: shape {labels.shape}")
    check_labels(labels, num_classes)
    return labels.astype("int32")


def check_truncation(truncation, prior):
    """Raise ValueError unless latents can be truncated at this many standard deviations."""
    if truncation is None:
        return
    if not isinstance(truncation, numbers.Real) or isinstance(truncation, bool) or not 0 < truncation < math.inf:
        raise ValueError(
            f"truncation must be a number above 0, in standard deviations, such as 1.0. Received: truncation={truncation!r}"
        )
    if all(type(part).truncated is priors.Prior.truncated for part in prior.parts.values()):
        raise ValueError("The model has no normal latents, so there is nothing to truncate. Leave truncation out.")


def fixed_parts(given, prior):
    """{name: float32 array (size,)} of the parts of the latents that a user fixes."""
    for name in given:
        if name not in prior.parts:
            raise identifiers.unknown("argument", name, ["labels", "truncation", *prior.parts])
    return {name: prior.parts[name].value(value) for name, value in given.items()}


# Arguments that other libraries and Keras' examples have, and what they are here.
_ELSEWHERE = {
    "optimizer": "Each player has an optimizer of its own: d_optimizer and g_optimizer.",
    "loss_fn": "It is called loss, and takes a name such as 'non_saturating' or a gan_keras.losses.AdversarialLoss.",
    "metrics": "Losses and accuracies are logged as they are; for the quality of samples use gan_keras.callbacks.Evaluate.",
    "latent_dim": "The size of a latent is that of the generator's input.",
    "num_classes": "It is an argument of GAN; of a ClusteredGAN it is the size of a part of the prior: priors.Categorical(size).",
    "discriminator_extra_steps": "Use compile(schedule=gan_keras.schedules.Alternating(n_critic=...)).",
    "gp_weight": "Use compile(regularizers=gan_keras.regularizers.GradientPenalty(...)).",
}


def check_compile(unknown, d_optimizer, g_optimizer, steps_per_execution):
    """Raise TypeError or ValueError unless `GAN.compile` was given what it takes."""
    check_arguments("GAN.compile", unknown)
    if d_optimizer is None or g_optimizer is None:
        raise TypeError(
            "Each player needs an optimizer: compile(d_optimizer, g_optimizer, ...). Received: "
            f"d_optimizer={d_optimizer!r}, g_optimizer={g_optimizer!r}"
        )
    identifiers.count("steps_per_execution", steps_per_execution)


def check_memories(memories):
    """Raise ValueError if there are `memories` of an earlier `compile`, which would stay in the model and its checkpoints."""
    for memory in memories:
        if memory is not None:
            raise ValueError(
                f"An earlier compile() has added a term with a memory to this GAN, {memory.name}, which cannot be removed. Make "
                "another GAN of the same networks, and compile that."
            )


def check_arguments(function, unknown):
    """Raise TypeError if there are `unknown` keyword arguments of a function."""
    for name in unknown:
        raise TypeError(f"{function} has no argument {name!r}. {_ELSEWHERE.get(name, '')}".rstrip())


# The game.


def check_game(networks, d_optimizer, g_optimizer, loss, regularizers, schedule):
    """Raise ValueError if the parts of a game contradict each other. `networks` are {role: the player, then those beside it}."""
    discriminator = networks["discriminator"][0]
    layers = inside(discriminator)
    # Inside, where they are wrapped to scale the loss.
    optimizers = [getattr(optimizer, "inner_optimizer", optimizer) for optimizer in (d_optimizer, g_optimizer)]
    if optimizers[0] is optimizers[1]:
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
    for part in (loss, *regularizers, schedule):
        _check_configuration(part)
    # Both have been called by now, and have collected what they add.
    for role, of_role in networks.items():
        check_no_losses(of_role, role)
    terms = [r for r in regularizers if isinstance(r, Term)]
    _check_terms(terms, layers)
    if isinstance(loss, losses.DiscriminatorOnly) and not any("generator" in term.players for term in terms):
        raise ValueError(
            "The loss 'discriminator_only' gives the generator nothing to minimise. Add a term that does, such as "
            f"regularizers='feature_matching'. Received: {[term.name for term in terms]}"
        )
    if isinstance(loss, losses.Wasserstein) and not any(map(_is_lipschitz, regularizers)) and not _is_normalized(layers):
        warnings.warn(
            "The Wasserstein loss needs a Lipschitz critic, and nothing that gan_keras knows makes it so: add "
            "regularizers='gradient_penalty' (WGAN-GP) or 'weight_clipping' (WGAN), or put every layer of the critic into "
            "gan_keras.layers.SpectralNormalization. If its layers are Lipschitz by other means, ignore this.",
            stacklevel=3,
        )
    if isinstance(schedule, schedules.ThreeStep):
        check_separable(loss)


def _check_configuration(part):
    """Raise ValueError if an argument of a part would be lost in a saved model, and be its default in the loaded one."""
    kept = part.get_config()
    reads = next(kind for kind in type(part).__mro__ if "from_config" in vars(kind))
    if not reads.__module__.startswith("gan_keras."):  # a from_config of the user's own may take other names
        loaded = type(part).from_config(dict(kept))
        for name in inspect.signature(type(part)).parameters:
            value = getattr(part, name, None)
            if isinstance(value, (numbers.Number, str)) and getattr(loaded, name, value) != value:
                raise ValueError(
                    f"{type(part).__name__} has an argument {name!r}, {value!r}, that its get_config and from_config do not pass on: "
                    f"a loaded one has {getattr(loaded, name)!r}. Keep it in both."
                )
        return
    for name, argument in inspect.signature(type(part)).parameters.items():
        if name in kept or argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            continue
        value = getattr(part, name, argument.default)
        if argument.default is argument.empty or value is not argument.default and np.any(value != argument.default):
            kind = type(part).__name__
            raise ValueError(
                f"{kind} has an argument {name!r} that its get_config does not return, so a saved GAN would be loaded without it. Add "
                f"to {kind}: def get_config(self): return {{**super().get_config(), {name!r}: self.{name}}}"
            )


def _check_terms(terms, layers):
    names = [term.name for term in terms]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"A term is logged by its attribute `name`, a string. Received: {names}; give each class a name.")
    if len(set(names)) < len(names):
        raise ValueError(f"Terms are logged by name, and two have the same one. Received: {names}; leave one out.")
    for term in terms:
        if not term.players or set(term.players) - {"discriminator", "generator"}:
            raise ValueError(
                f"The players of a term are 'discriminator', 'generator' or both. Received: {type(term).__name__}.players="
                f"{term.players!r}"
            )
    gradient_terms = [term.name for term in terms if isinstance(term, GradientTerm)]
    # Frozen, it works with its moving statistics.
    if gradient_terms and any(isinstance(layer, keras.layers.BatchNormalization) and layer.trainable for layer in layers):
        raise ValueError(
            f"A gradient penalty ({gradient_terms[0]}) needs a discriminator that scores each example by itself, but this one "
            "has BatchNormalization. Remove it, freeze it (trainable = False), or use LayerNormalization or "
            "gan_keras.layers.VirtualBatchNormalization."
        )


def check_separable(loss):
    """Raise ValueError if the halves of a loss mean nothing apart."""
    if not isinstance(loss, losses.SeparableLoss):
        raise ValueError(
            "The schedule ThreeStep, and update_discriminator(on='real' or 'fake'), need a SeparableLoss, such as 'non_saturating'. "
            f"Received: {type(loss).__name__}. Use another loss, or the schedule 'alternating'."
        )


def _is_lipschitz(regularizer):
    return isinstance(regularizer, WeightClipping) or isinstance(regularizer, GradientPenalty) and regularizer.weight != 0


def _is_normalized(layers):
    """Whether every layer with a kernel is spectrally normalized."""
    wrapped = [layer.layer for layer in layers if isinstance(layer, SpectralNormalization)]
    kernels = [layer for layer in layers if getattr(layer, "kernel", None) is not None]
    return bool(wrapped) and all(any(layer is w for w in wrapped) for layer in kernels)


def check_no_losses(networks, role):
    """Raise ValueError if one of a role's networks has losses of its own: a step counts those of the model alone."""
    if any(network.losses for network in networks):
        raise ValueError(
            f"The {role} has a loss of its own, by kernel_regularizer, activity_regularizer or add_loss, which would not be "
            "counted. Remove it; for weight decay use keras.optimizers.AdamW, for a term of your own a "
            "gan_keras.regularizers.Term."
        )


def check_trainable(player, role):
    """Raise ValueError if a move is to train a frozen network."""
    if not player.trainable_variables:
        raise ValueError(
            f"The schedule trains the {role}, but it is frozen: all its weights have trainable=False. Set {role}.trainable = True "
            "before compile(); an update of one player does not change the other, so neither needs to be frozen."
        )


def scalar(value, source):
    """`value`, a loss, if it is a scalar; a vector would be summed, and the step be as many times larger."""
    value = tf.convert_to_tensor(value)
    if value.shape.rank != 0:
        raise ValueError(
            f"{type(source).__name__} must return a scalar. Received: shape {tuple(value.shape)}; take the mean over the batch."
        )
    return value


def check_log(name, metrics):
    """Raise ValueError if a step logs what has no metric."""
    if name not in metrics:
        raise ValueError(
            f"A step logged {name!r}, for which there is no metric. Name it in the attribute of the schedule: logs = ({name!r},)."
        )


# What `fit` and `sample` are given.

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


def check_labels(labels, num_classes, unlabelled=False):
    """Raise ValueError unless the array `labels` holds integers from 0 to num_classes - 1; `unlabelled` allows -1."""
    if labels.dtype.kind not in "iu" or labels.min() < (-1 if unlabelled else 0) or labels.max() >= num_classes:
        unknown = ", or -1 for an image without one" if unlabelled else ""
        low, high = labels.min(), labels.max()
        received = f"{labels.dtype} {low}" if low == high else f"{labels.dtype} from {low} to {high}"
        convert = (
            ". Whole numbers that are floats become integers by labels.astype('int32')" if labels.dtype.kind == "f" else ""
        )
        raise ValueError(f"Labels must be integers from 0 to {num_classes - 1}{unknown}. Received: {received}{convert}")
