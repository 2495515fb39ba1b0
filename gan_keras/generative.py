"""A generator as a `keras.Model`: latents, samples, a moving average, data checks, saving. Subclasses implement the training."""

import functools
import types

import keras
import numpy as np
import tensorflow as tf

from gan_keras import checks, inputs, priors, replicas, sizes
from gan_keras.forward import float32
from gan_keras.random import SAMPLING, Random, seed_states, seeded

# Samples are drawn in blocks and computed in groups of these sizes, so that sample i of a seed has the same bytes for every n.
BLOCK, _GROUP = 256, 32


class GenerativeModel(keras.Model):
    """Base of the models that map latents to images: implement `compile`, `train_step` and `test_step`.

    `model(z)`, `predict` and `export` are those of the generator (of its moving average if `ema` is set).

    Args:
        generator: Functional `keras.Model` from latents (batch, latent_dim) to images; for a conditional model from
            [latents, integer labels (batch,)].
        prior: `priors.Prior`, the distribution of the latents; `None`: standard normal.
        seed: Integer from 0 to 2^31 - 1. All random numbers of training are a pure function of (seed, step, replica).
        ema: Decay in (0, 1) of a moving average of the generator's weights, BatchNorm statistics included, which is used for
            sampling and evaluation: `average += (1 - d) (weight - average)` after each step, with
            `d = min(ema, (1 + step) / (10 + step))`, so that it forgets the initial weights soon. `None`: no average.
            If you load weights into `generator` after training has begun, call `reset_average()`.
        num_classes: Number of classes: labels are integers from 0 to num_classes - 1. `None` for a model without labels.
        value_range: (low, high) of the images; by default that of the generator's last activation: (-1, 1) for tanh, (0, 1) for
            sigmoid, else `None`, unbounded.

    Attributes:
        step: Number of training steps so far; a weight, and saved. Resumed training continues from it.
        latent_dim: Size of a latent.
        conditional: Whether the generator takes labels.
    """

    def __init__(self, generator, prior=None, seed=0, ema=None, num_classes=None, value_range=None, **kwargs):
        checks.check_arguments(type(self).__name__, kwargs.keys() - {"name", "dtype", "trainable"})
        super().__init__(**kwargs)
        checks.check_generator(generator, num_classes)
        checks.check_model(generator, prior, seed, ema, value_range)
        self.generator = generator
        self.latent_dim = generator.inputs[0].shape[-1]
        self.prior = priors.Normal(self.latent_dim) if prior is None else priors.get(prior)
        self.num_classes, self.ema, self.seed = num_classes, ema, seed
        self.conditional = len(generator.inputs) > 1
        bounds = checks.output_range(generator)
        self.value_range = bounds if value_range is None else tuple(map(float, value_range))
        self._clips = self.value_range != bounds
        self.ema_generator = None if ema is None else frozen_copy(generator, "ema_generator")
        self.step = self.add_weight(
            shape=(), dtype="int64", initializer="zeros", trainable=False, aggregation="only_first_replica", name="step"
        )
        # The networks are built already. Set here instead of by build(), after which a subclass could not add weights.
        self.built = True

    @property
    def sampler(self):
        """The network that samples: the moving average of the generator if there is one, else the generator."""
        return self.generator if self.ema_generator is None else self.ema_generator

    @property
    def needs_labels(self):
        """Whether training needs the label of every image."""
        return self.conditional

    @property
    def makes_images(self):
        """Whether samples are images (height, width, channels), and not points (dimensions,)."""
        return len(self.generator.outputs[0].shape) == 4

    @property
    def optimizers(self):
        """{name of the attribute: (optimizer, the variables that it updates)}."""
        return {"optimizer": (self.optimizer, self.trainable_variables)}

    def call(self, inputs, training=False):
        """Images for latents (or [latents, labels]), in `value_range`; with `training=True` the generator's own output."""
        if training:
            return self.generator(inputs, training=True)
        images = self.sampler(inputs, training=False)
        # A generator need not end in a tanh.
        return keras.ops.clip(images, *self.value_range) if self._clips else images

    # Samples.

    def sample(self, n, seed=0, labels=None, truncation=None, **parts):
        """`n` images, a pure function of the weights and the arguments.

        Args:
            n: Number of images, 1 or more.
            seed: Integer from 0 to 2^31 - 1. The i-th image of a seed has the same bytes for every n.
            labels: Conditional models only: an integer for all images, n integers, or `None` for 0, 1, 2, ... in turn.
            truncation: Draw normal latents within this many standard deviations of their mean: the smaller it is, the more typical
                and the less varied are the images. `None`: the latents of the training. Do not measure quality with it, since
                most metrics then describe another distribution. See `priors.Normal.truncated`.
            **parts: Fixed parts of the latents, by their names in the prior, the same for all images: a number, or an array (size,);
                for a `Categorical` the number of the class, as in `sample(16, code=7)`. The other parts are random.

        Returns:
            NumPy array (n, height, width, channels), float32 in `value_range`; of points (n, dimensions).

        Raises:
            ValueError: n is below 1, the seed is out of range, or labels or parts have a wrong size or range; truncation is not
                above 0, or the prior has no normal part.
        """
        return np.concatenate([images for images, _ in self.sample_batches(n, seed, labels, truncation, **parts)])

    def sample_batches(self, n, seed=0, labels=None, truncation=None, **parts):
        """An iterator over the images of `sample` and their labels (or `None`), in batches of up to 256, for very many samples.

        Args:
            n, seed, labels, truncation, parts: As in `sample`.

        Raises:
            ValueError: As in `sample`, when it is called.
        """
        checks.check_sampling(n, seed)
        labels = checks.sample_labels(n, labels, self.num_classes if self.conditional else None)
        checks.check_truncation(truncation, self.prior)
        threshold = None if truncation is None else tf.constant(truncation, tf.float32)
        fixed = {name: tf.constant(value) for name, value in checks.fixed_parts(parts, self.prior).items()}
        self._start_average()

        def blocks():
            for first in range(0, n, BLOCK):
                size = min(BLOCK, n - first)
                some = labels[first : first + size] if self.conditional else None
                inputs = [tf.constant(seed, tf.int64), tf.constant(first // BLOCK, tf.int64), tf.constant(size)]
                padded = tf.constant(np.resize(some, BLOCK)) if self.conditional else None
                yield self._compiled_block(*inputs, padded, fixed, threshold).numpy(), some

        return blocks()

    @functools.cached_property
    def _compiled_block(self):
        # Unlike predict_on_batch, it computes the images once, not once on every replica.
        return tf.function(self.block_of_samples, autograph=False)

    def block_of_samples(self, seed, block, n, labels=None, fixed=None, truncation=None):
        """Samples 256 * block to 256 * block + n - 1 of a seed, in a `tf.function`: for `sample` and `serving.export`.

        Args:
            seed, block, n: Integers or scalar tensors; n from 1 to 256.
            labels: Integer tensor (256,), for a conditional model.
            fixed: {part of the latents: tensor (size,)}; NaN means random.
            truncation: As in `sample`, or a scalar tensor.
        """
        random = Random(seed, SAMPLING, block, shared=False)
        inputs = self._latents(random, fixed, truncation)
        if self.conditional:
            inputs = [inputs, labels]
        groups = (n + _GROUP - 1) // _GROUP
        inputs = tf.nest.map_structure(lambda x: tf.reshape(x, (-1, _GROUP, *x.shape[1:]))[:groups], inputs)
        states = seed_states(self.sampler)
        seeds = random.layer_seeds(BLOCK // _GROUP, len(states))[:groups]

        def group_of_samples(elements):
            group, seeds_of_group = elements
            with seeded(states, seeds_of_group):
                return self(group, training=False)

        made = tf.TensorSpec((_GROUP, *self.generator.outputs[0].shape[1:]), self.generator.outputs[0].dtype)
        images = tf.map_fn(group_of_samples, (inputs, seeds), fn_output_signature=made)
        return float32(tf.reshape(images, (-1, *made.shape[1:]))[:n])

    def latents(self, seed=0, block=0):
        """The latents of samples 256 * block to 256 * block + 255 of a seed: tensor (256, latent_dim)."""
        return self._latents(Random(seed, SAMPLING, block, shared=False))

    def draw_latents(self, random, rows, labels=None):
        """{part: latents (rows, size)}, those of the prior. `labels` are those of the real images, in training."""
        return self.prior.draw_parts(random, rows)

    def _latents(self, random, fixed=None, truncation=None):
        parts = self.draw_latents(random, BLOCK)
        if truncation is not None:
            parts = {name: self.prior.parts[name].truncated(value, truncation) for name, value in parts.items()}
        for name, value in (fixed or {}).items():
            parts[name] = tf.where(tf.math.is_nan(value), parts[name], value)
        return priors.join(parts)

    # The moving average.

    def averages(self):
        """[(network, its moving average)], updated after each step."""
        return [] if self.ema_generator is None else [(self.generator, self.ema_generator)]

    def reset_average(self):
        """Set the moving average to the generator's weights. Call it after you have loaded other weights into the generator.

        Before the first training step, `sample` and `evaluate` call it themselves.
        """
        for network, average in self.averages():
            average.set_weights(network.get_weights())

    def _start_average(self):
        if not int(self.step.numpy()):
            self.reset_average()

    def finish_step(self):
        """Call it at the end of a subclass' `train_step`: it updates the moving averages and counts the step."""
        if self.averages():
            step = tf.cast(self.step.value, tf.float32)
            decay = tf.minimum(self.ema, (1.0 + step) / (10.0 + step))
            for network, copy in self.averages():
                for average, weight in zip(copy.weights, network.weights):
                    average.assign_add(tf.cast(1.0 - decay, average.dtype) * (weight - average))
        self.step.assign_add(1)

    # Logs: means over the epoch.

    def measure(self, names):
        """Create a mean for each name that is passed to `report`. Call it in `compile`."""
        # Keras would track a dict of metrics as state of the model, and refuse more state once the model is built.
        self._means = types.MappingProxyType({name: keras.metrics.Mean(name=name) for name in names})

    def report(self, logs, images):
        """Update the means over all examples with the scalars of a step, and return them. `images` are those of the step."""
        for name, value in logs.items():
            checks.check_log(name, self._means)
            self._means[name].update_state(value, sample_weight=tf.shape(images)[0])
        return replicas.reported({name: self._means[name].result() for name in logs})

    @property
    def metrics(self):
        # A subclass' own as well, but not the mean of the one loss that Keras makes for every model.
        own = [metric for metric in super().metrics if metric.name != "loss"]
        return [*self._means.values(), *own] if self.compiled else own

    @property
    def examples_seen(self):
        """Examples since the means were reset, as an evaluation begins with: a tensor."""
        return next(iter(self._means.values())).count * replicas.number()  # each replica counts its own

    # Data: checked early, with errors that say how to fix them.

    @property
    def batch_parts(self):
        """The size of a training batch must be a multiple of this number."""
        return replicas.number(self.distribute_strategy)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        **kwargs,
    ):
        """As `keras.Model.fit`. The first batch is checked before anything else happens.

        With `steps_per_execution` above 1 Keras rounds `steps_per_epoch` up to a multiple of it.

        Args:
            x: Images in `value_range`, (batch, height, width, channels): an array, or a data set of images or (images, labels):
                a `tf.data.Dataset`, a `keras.utils.PyDataset`, a Python generator, PyTorch's `DataLoader`.
            y: Integer labels (batch,), for a model with labels, if `x` is an array; a data set yields (images, labels) instead.
            steps_per_epoch: As in Keras, but 0 is allowed: it trains no step, if a resumed run is complete. A data set without an
                end needs it, unless a callback ends the training.

        Raises:
            ValueError: The model cannot be trained on these data, or a callback does not work with it.
        """
        x = self.check_data(x, y, batch_size, validation_split)
        if epochs > 1 or not callbacks:  # a callback may end an epoch that has no end
            inputs.check_end(x, kwargs.get("steps_per_epoch"), "steps_per_epoch")
        if self.optimizer is None:
            checks.check_callbacks(callbacks)
        if validation_data is not None:
            held_out, *rest = keras.utils.unpack_x_y_sample_weight(validation_data)
            held_out = self._check_source(held_out, rest[0], kwargs.get("validation_batch_size") or batch_size)
            inputs.check_end(held_out, kwargs.get("validation_steps"), "validation_steps")
            validation_data = keras.utils.pack_x_y_sample_weight(held_out, *rest)
        if not (sizes.is_array(x) or isinstance(x, keras.utils.PyDataset)):
            kwargs.setdefault("shuffle", False)  # Keras warns that it leaves the shuffling to the source
        steps = kwargs.get("steps_per_epoch")
        if steps is not None and steps < 1:
            if steps < 0:
                raise ValueError(
                    f"steps_per_epoch must be 0 or more. Received: steps_per_epoch={steps}. If it is what remains of a run, the run "
                    "has ended: do not call fit."
                )
            kwargs.update(steps_per_epoch=None, initial_epoch=epochs)  # no epoch is left
        with sizes.readable_errors():
            history = super().fit(x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, **kwargs)
        if self.optimizer is None:  # else Keras has done it: the averages of use_ema
            for optimizer, variables in self.optimizers.values():
                if int(getattr(optimizer, "inner_optimizer", optimizer).iterations.numpy()):  # else there is no average yet
                    optimizer.finalize_variable_values(variables)
        return history

    def evaluate(self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, steps=None, **kwargs):
        """As `keras.Model.evaluate`: the logged losses on held-out images, or (images, labels). Checked as in `fit`.

        It does not measure the quality of samples: `evaluation.Evaluator` does.
        """
        if not isinstance(kwargs.get("callbacks"), keras.callbacks.CallbackList):  # as `fit` passes them, which has looked
            x = self._check_source(x, y, batch_size)
            inputs.check_end(x, steps, "steps")
            self._start_average()
        with sizes.readable_errors():
            return super().evaluate(x, y, batch_size, verbose, sample_weight, steps, **kwargs)

    def train_on_batch(self, x, y=None, *args, **kwargs):
        """As `keras.Model.train_on_batch`: one step."""
        self.check_data(x, y, batch_size=len(x))
        with sizes.readable_errors():
            return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(self, x, y=None, *args, **kwargs):
        """As `keras.Model.test_on_batch`."""
        self._check_source(x, y, batch_size=len(x))
        with sizes.readable_errors():
            return super().test_on_batch(x, y, *args, **kwargs)

    def check_data(self, x, y=None, batch_size=None, validation_split=0.0):
        """Raise ValueError if the model cannot be trained on the first batch. `fit` calls it.

        Returns:
            x; for a Python generator, a new one that begins with the batch that was checked.
        """
        if not self.compiled:
            raise ValueError("Call compile() before fit().")
        return self._check_source(x, y, batch_size, validation_split, self.batch_parts)

    def check_labels(self, labels):
        """Raise ValueError unless the array `labels` has integers from 0 to num_classes - 1, or -1 where unknown labels are allowed."""
        checks.check_labels(labels, self.num_classes, unlabelled=not self.needs_labels)

    def unpack(self, data):
        """(images, labels or `None`) of a batch; raises ValueError if shapes or types are wrong."""
        shape = tuple(self.generator.outputs[0].shape[1:])
        return inputs.unpack(replicas.unpacked(data, shape), shape, self.num_classes, self.value_range)

    def _check_source(self, x, y, batch_size=None, validation_split=0.0, parts=None):
        """Raise ValueError unless the first batch of `x` is valid and batch sizes are multiples of `parts`; returns `x`."""
        if replicas.is_distributed(x):
            return x
        first, x = inputs.first_batch(x, None if self.num_classes is None else y)
        first = keras.tree.map_structure(np.asarray, first)
        images, labels = self.unpack(first)
        inputs.check_values(images, labels, self.num_classes, self.value_range, unlabelled=not self.needs_labels)
        number = replicas.number(self.distribute_strategy)
        parts = parts or number
        if parts > 1:
            found = sizes.batch_sizes(x, first, batch_size, validation_split)
            if number == 1 and not self.jit_compile and not isinstance(x, tf.data.Dataset):
                found.discard(None)  # the step itself will see
            sizes.check_sizes(found, parts, number)
        return x

    # Saving: all that is needed to resume a run.

    def save(self, filepath, *args, **kwargs):
        """As `keras.Model.save`, to a .keras file."""
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"The HDF5 format is for Functional models only. Received: filepath={str(filepath)!r}; end it in .keras."
            )
        super().save(filepath, *args, **kwargs)

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        """As `keras.Model.export`, of the generator. `serving.export` writes more endpoints."""
        if input_signature is None:
            inputs = [keras.InputSpec(shape=x.shape, dtype=x.dtype) for x in self.generator.inputs]
            input_signature = [inputs if self.conditional else inputs[0]]
        super().export(filepath, format, verbose, input_signature, **kwargs)

    def get_config(self):
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "prior": keras.saving.serialize_keras_object(self.prior),
            "num_classes": self.num_classes,
            "ema": self.ema,
            "seed": self.seed,
            "value_range": self.value_range,
        }

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = {
            name: keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
            if isinstance(value, dict)
            else value
            for name, value in config.items()
        }
        return cls(**config)


def frozen_copy(network, name):
    """A frozen copy with the same weights. Layers without weights are shared, so that they need not be serializable."""

    def clone(layer):
        return layer.from_config(layer.get_config()) if getattr(layer, "variables", None) else layer  # or an operation

    copy = keras.models.clone_model(network, clone_function=clone, recursive=True)
    copy.name = name
    copy.set_weights(network.get_weights())
    copy.trainable = False
    return copy
