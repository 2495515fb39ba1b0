"""The run folder: the settings, checkpoints, history, pictures and model of one training, in one place.

```python
run = Run.new("runs/mine", recipe="dcgan", steps=2000)
gan = run.train()
gan = Run("runs/mine").load()  # later, in another process
```
"""

import contextlib
import csv
import dataclasses
import functools
import hashlib
import json
import math
import os
import pathlib
import warnings

import filelock
import keras
import numpy as np

from gan_keras import callbacks, data, files, identifiers, networks, plots, recipes, replicas, settings, weights

# How settings are written in config.json.
_WRITTEN = {"recipe": settings.recipe_name, "data": settings.data_name, "shape": list}


class Run:
    """A training run and its folder. `Run(folder)` opens one, `Run.new` begins one.

    Args:
        folder: The folder of an existing run.

    Attributes:
        folder: `pathlib.Path`; the files below are in it.
        settings: The contents of config.json: recipe, seed, batch_size, latent_dim, num_classes, data, split, shape, jit,
            precision, steps or minutes, the recipe's values, versions.
        model: The trained GAN, model.keras.
        weights: weights.npz, which pretrained models have instead.
        clusters: clusters.npy, the cluster of each training image, for a recipe with clusters.
        checkpoints, samples, tensorboard: Folders of checkpoints, sample grids and event files.
        history, curves, animation, manifold: history.csv and the pictures of the whole run.
        report, report_picture: The files of an evaluation.

    Raises:
        ValueError: The folder is not a run folder, or its settings are damaged.
    """

    def __init__(self, folder, _settings=None):
        self.folder = folder = pathlib.Path(folder)
        self.model, self.history, self.curves = folder / "model.keras", folder / "history.csv", folder / "losses.png"
        self.checkpoints, self.samples, self.tensorboard = folder / "checkpoints", folder / "samples", folder / "tensorboard"
        self.animation, self.manifold = folder / "samples.gif", folder / "manifold.png"
        self.report, self.report_picture = folder / "report.json", folder / "report.png"
        self.weights, self.clusters = folder / "weights.npz", folder / "clusters.npy"
        self._config, self._is_new = folder / "config.json", _settings is not None
        self._lock = filelock.FileLock(folder / ".lock")
        self.settings = _settings or self._read()

    @classmethod
    def new(cls, folder, **given):
        """A new run. Nothing is written before `train`.

        Args:
            folder: A path that does not exist, or an empty folder.
            given: As in `settings.resolve`: recipe, steps or minutes, seed, batch_size, latent_dim, data, split, shape, jit,
                precision. Defaults are the recipe's.

        Raises:
            ValueError: A setting is out of range, or the folder is not empty.
        """
        run = cls(folder, settings.resolve(**given))
        if replicas.is_chief():  # other workers may start after the run has begun
            run.check_free()
        images, labels = run.training_data
        run.settings["shape"] = list(images.shape[1:])
        chosen = recipes.get(run.settings["recipe"])
        if chosen.num_classes is not None:
            # The ten digits, or the number of classes of the user's images.
            own = run.settings["data"] != chosen.data and labels is not None
            run.settings["num_classes"] = int(labels.max()) + 1 if own else chosen.num_classes
        return run

    def go_on(self, steps=None, minutes=None, **given):
        """Set the total steps or minutes of a run. Other settings that are passed must be equal to its own.

        Raises:
            ValueError: The run has other settings, or its recipe has changed.
        """
        self.settings["shape"] = self.settings["shape"] or list(self.training_data[0].shape[1:])
        for name, value in given.items():
            if name not in self.settings:
                raise identifiers.unknown("setting", name, self.settings)
            value = _WRITTEN[name](value) if name in _WRITTEN else value
            if name == "recipe" and ":" in value and not self._changed(recipes.get(value)):
                self.settings["recipe"] = value  # the file was moved
            if value != self.settings[name] and (name, value) not in (("jit", "auto"), ("precision", "auto")):
                raise ValueError(
                    f"{self.folder} holds a run with {name} {self.settings[name]!r}, not {value!r}. Leave that out to continue "
                    "the run, or choose another folder."
                )
        self._check_recipe()
        if steps is not None or minutes is not None:
            longer = {**self.settings, "steps": steps, "minutes": minutes}
            settings.check(longer, "these settings")
            self.settings = longer

    @functools.cached_property
    def recipe(self):
        """The recipe, with the batch size, latent_dim and num_classes of this run."""
        chosen = recipes.get(self.settings["recipe"])
        own = {name: self.settings.get(name, getattr(chosen, name)) for name in ("batch_size", "latent_dim", "num_classes")}
        return dataclasses.replace(chosen, **own)

    def _changed(self, recipe):
        return [name for name in recipe.differs_from(self.settings["values"]) if name not in settings.OWN]

    def _check_recipe(self):
        """Raise ValueError if the recipe has changed; warn if its file has, since the meaning of code cannot be compared."""
        name, changed = self.settings["recipe"], self._changed(self.recipe)
        if changed:
            raise ValueError(
                f"The recipe {name} has changed since {self.folder} was begun, in {', '.join(changed)}; the run cannot be continued as "
                "it began. Use the version of gan_keras in its config.json, or begin another run."
            )
        digest = settings.file_digest(name)
        if digest != self.settings.get("recipe_file", digest):
            warnings.warn(
                f"The file of {name} has changed since {self.folder} was begun. The run may not continue as it began.",
                stacklevel=3,
            )

    def data(self, split):
        """Images and labels of the run's data, as from `data.load`."""
        return self._read_data(data.load, split)

    @functools.cached_property
    def held_out(self):
        """Images and labels that the run does not train on, as from `data.load_held_out`.

        Raises:
            ValueError: There are none; the images of a folder have changed, so it is not known which ones were trained on.
        """
        if data.is_image_folder(self.settings["data"]):
            self._check_training_set()
        return self._read_data(data.load_held_out, self.settings["split"])

    def _read_data(self, load, split):
        source, shape = self.settings["data"], self.settings["shape"]
        height, width, channels = shape if shape and len(shape) == 3 else (28, 28, 1)
        images, labels = load(source, split, (height, width), channels)
        if shape and list(images.shape[1:]) != list(shape):
            raise ValueError(
                f"{source} has examples of shape {images.shape[1:]}, where {tuple(shape)} is expected. Only folders of images are "
                "read in a shape of your choice."
            )
        return images, labels

    @functools.cached_property
    def training_data(self):
        """Images and labels that the run trains on."""
        return self.data(self.settings["split"])

    def build(self, *periods):
        """The compiled GAN, untrained.

        Args:
            periods: Periods of callbacks, in steps. `steps_per_execution` is the greatest common divisor of the recipe's, these
                periods, the steps of the run and those of its checkpoints.
        """
        ends = [*periods, self.settings["steps"] or 0, *self._checkpoint().steps()]
        at_once = 1 if replicas.distributed() else math.gcd(self.recipe.steps_per_execution, *ends)
        shape = self.settings["shape"] or self.training_data[0].shape[1:]
        with networks.precision(settings.POLICIES[self.settings["precision"]]):
            return self.recipe.build(self.settings["seed"], self.settings["jit"] == "on", at_once, shape)

    def load(self):
        """The trained GAN; the newest complete checkpoint of a run that is still training; or a pretrained model.

        A pretrained model may be a `weights.GeneratorAlone`. In the last two cases the GAN is built anew, which sets Keras'
        global random seed.

        Raises:
            ValueError: There is no model and no checkpoint, or the file is damaged.
        """
        if self.weights.is_file():
            self._check_recipe()
            return weights.read(self.build(), self.weights)
        if not self.model.is_file():
            if not self._checkpoint().steps():
                raise ValueError(
                    f"{self.folder} has neither model.keras nor a checkpoint yet. Wait for the first one, or continue the run: "
                    "--resume, or Run(folder).train()."
                )
            self._check_recipe()
            gan = self.build()
            self._checkpoint().restore(gan)
            return gan
        if ":" in self.settings["recipe"]:
            with contextlib.suppress(ValueError):  # without its file, if there are no classes of the user's own in the model
                recipes.find(self.settings["recipe"])
        remedy, written = "If it is damaged, delete it to take the newest checkpoint.", self.settings["versions"].get("keras")
        if written not in (None, keras.__version__):
            remedy += f" The run began with Keras {written}, and this is Keras {keras.__version__}, which may be the reason."
        with files.reading(f"{self.model} cannot be read", remedy):
            return keras.models.load_model(self.model)

    # Training.

    def check(self, gan):
        """Raise ValueError unless the GAN can be trained on the run's data, saved and sampled. Nothing is written."""
        if gan.makes_images and gan.value_range is None:
            raise ValueError(
                "The range of the generator's images is not known. End it in tanh or sigmoid, or give the recipe one: "
                "Recipe(value_range=(-1, 1))."
            )
        data.check_batch(self.training_data[0], self.recipe.batch_per_step)  # before clusters are found, which takes long
        gan.check_data(self._stream(gan))
        if gan.num_classes is not None:
            gan.check_labels(self._training_set[1])
        if ":" in self.settings["recipe"]:
            _check_saving(gan, self.settings["recipe"])

    @contextlib.contextmanager
    def claimed(self, gan):
        """A context that locks the folder until it ends, so that two processes do not train in one folder.

        Of several workers, the first one locks it.

        Raises:
            ValueError: Another process trains in it, or it cannot be written.
        """
        if not replicas.is_chief(gan.distribute_strategy):
            yield
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise ValueError(f"Another process is training in {self.folder}. Wait for it, or choose another folder.") from error
        except OSError as error:
            raise ValueError(f"Cannot write to {self.folder}: {error.strerror or error}. Choose another folder.") from error
        try:
            if self._is_new and self._config.exists():
                raise ValueError(f"Another process has begun a run in {self.folder}. Choose another folder.")
            yield
        finally:
            self._lock.release()

    def restore(self, gan):
        """Restore the GAN from the newest complete checkpoint and return its step; 0 if there is none.

        Raises:
            ValueError: The checkpoint has more steps than the run should have; the run began with other images or labels.
        """
        self._check_training_set()
        start, steps = self._checkpoint().restore(gan), self.settings["steps"]
        if steps and start > steps:
            raise ValueError(
                f"The run in {self.folder} has made {start:,} steps already. Received: steps={steps}; give more to continue."
            )
        return start

    def _check_training_set(self):
        digest = self.digest()
        if self.settings.setdefault("training_set", digest) != digest:
            raise ValueError(
                f"The images of {self.settings['data']}, or their labels, have changed since {self.folder} was begun. Put them back, "
                "or begin another run."
            )

    def train(self, gan=None, log_every=100, sample_every=250, checkpoint_every=500, callbacks=(), verbose="auto"):
        """Train from the newest checkpoint for the steps or minutes of the settings, then save the model and pictures.

        Args:
            gan: A GAN from `build`, after `restore`; `None`: build, check and restore one.
            log_every, sample_every, checkpoint_every: Steps between rows of the history, sample grids, checkpoints.
            callbacks: More Keras callbacks, which are called before the checkpoint.
            verbose: As in `keras.Model.fit`.

        Returns:
            The trained GAN.

        Raises:
            ValueError: The GAN cannot be trained on the data, or another process trains in the folder.
            FloatingPointError: A loss or a weight is not finite; the last good checkpoint stays.
        """
        begin = gan is None
        if begin:
            gan = self.build(log_every, sample_every, checkpoint_every)
            self.check(gan)
        with self.claimed(gan):
            if begin:
                self.restore(gan)
            chief = replicas.is_chief(gan.distribute_strategy)
            if chief:
                self._write_settings()
            if not self._finished(gan):
                if chief:
                    self.model.unlink(missing_ok=True)  # from before the run was resumed: checkpoints are newer
                checkpoint = self._checkpoint(checkpoint_every)
                self._fit(gan, log_every, sample_every, checkpoint, callbacks, verbose if chief else 0)
            if chief:
                self._conclude(gan)
        return gan

    def _fit(self, gan, log_every, sample_every, checkpoint, more, verbose):
        images, _ = self.training_data
        start = int(gan.step.numpy())
        history = callbacks.HistoryFile(self.history, log_every)
        gan.fit(
            replicas.share(lambda shard: self._stream(gan, start, shard), gan.distribute_strategy),
            verbose=verbose,
            steps_per_epoch=self.settings["steps"] and self.settings["steps"] - start,
            callbacks=[
                callbacks.NonFiniteGuard(),
                *([_StopAfter(self.settings["minutes"], history)] if self.settings["minutes"] else []),
                callbacks.SampleGrid(
                    self.samples, sample_every, seed=self.settings["seed"], real=images[:10_000] if images.ndim == 2 else None
                ),
                history,
                *more,
                checkpoint,  # last, after the picture and the row of this step
            ],
        )

    @property
    def number_of_clusters(self):
        """The number of clusters of the recipe, or `None`."""
        return getattr(self.recipe, "clusters", None)

    def digest(self):
        """SHA-256 of the images that the run trains on, and of their labels or clusters."""
        found = hashlib.sha256()
        for array in self._training_set:
            if array is not None:
                found.update(np.ascontiguousarray(array))
        return found.hexdigest()

    @functools.cached_property
    def _training_set(self):
        images, labels = self.training_data
        if not self.number_of_clusters or not (self.clusters.exists() or self._checkpoint().steps()):
            return self.recipe.training_set(images, labels, self.settings["seed"])
        remedy = "The clusters must be those that the run began with; begin another run if they are lost."
        with files.reading(f"{self.clusters} cannot be read", remedy), files.open_regular(self.clusters) as file:
            told = np.load(file)
            if (
                np.shape(told) != (len(images),)
                or told.dtype.kind != "i"
                or not 0 <= told.min() <= told.max() < self.number_of_clusters
            ):
                raise ValueError(f"it does not hold {len(images)} integers from 0 to {self.number_of_clusters - 1}")
        return images, told

    def _stream(self, gan, start=0, shard=(0, 1)):
        batch, seed = self.recipe.batch_per_step, self.settings["seed"]
        return data.batches(*self._training_set, batch, gan.value_range, seed, start, shard)

    def _checkpoint(self, every=500):
        return callbacks.Checkpoint(self.checkpoints, every)

    def _finished(self, gan):
        steps, minutes = self.settings["steps"], self.settings["minutes"]
        return int(gan.step.numpy()) == steps or bool(minutes) and self.seconds >= 60 * minutes

    @property
    def seconds(self):
        """Seconds of training so far, from history.csv, whose last row may be incomplete if the process was killed."""
        try:
            with open(self.history, newline="") as file:
                return max((float(row["seconds"] or 0) for row in csv.DictReader(file)), default=0.0)
        except FileNotFoundError:
            return 0.0

    def _conclude(self, gan):
        with files.replacing(self.model) as temporary:
            gan.save(temporary)
        plots.animation(sorted(self.samples.glob("step-*.png")), self.animation)
        plots.curves(self.history, self.curves)
        if gan.latent_dim == 2 and not gan.conditional and gan.makes_images:
            plots.manifold(gan).save(self.manifold)

    # config.json.

    def _read(self):
        if not self._config.exists():
            raise ValueError(f"{self.folder} is not a run folder: it has no config.json. Train one with `gan-keras train`.")
        with files.reading(f"{self._config} cannot be read", "Begin another run."):
            found = files.read_json(self._config)
        return settings.completed(found, self._config)

    def _write_settings(self):
        with files.replacing(self._config) as temporary:
            temporary.write_text(json.dumps(self.settings, indent=2) + "\n")
        if self.number_of_clusters:  # on another machine or with other versions, they might differ
            with files.replacing(self.clusters) as temporary, open(temporary, "wb") as file:
                np.save(file, self._training_set[1])
        self._is_new = False

    def check_free(self):
        """Raise ValueError if the folder of a new run holds a run, or anything else, or cannot be written."""
        if self._config.exists():
            raise ValueError(
                f"{self.folder} holds a run already. Add --resume to continue it (in Python: Run(folder)), or choose another "
                "folder."
            )
        if self.folder.exists() and not (self.folder.is_dir() and all(p.name.startswith(".") for p in self.folder.iterdir())):
            raise ValueError(f"{self.folder} exists and is not an empty folder. Choose another folder.")
        above = next(folder for folder in [self.folder, *self.folder.absolute().parents] if folder.exists())
        if not (above.is_dir() and os.access(above, os.W_OK)):
            raise ValueError(
                f"Cannot write to {self.folder}: {above} is not a folder that you can write to. Choose another folder."
            )


def _check_saving(gan, name):
    """Raise ValueError unless the parts of a user's recipe can be saved and loaded."""
    try:
        type(gan).from_config(gan.get_config())
        keras.saving.deserialize_keras_object(gan.get_compile_config())
    except Exception as error:
        raise ValueError(
            f"The GAN of {name} could not be loaded once it was saved: decorate its own classes with "
            f"keras.saving.register_keras_serializable(package=...), and give those with arguments a get_config. ({error})"
        ) from error


class _StopAfter(keras.callbacks.Callback):
    """Ends training when the time is up, after the current call of TensorFlow (up to 20 steps)."""

    def __init__(self, minutes, history):
        super().__init__()
        self.minutes, self.history = minutes, history

    def on_train_batch_end(self, batch, logs=None):
        if self.history.seconds >= 60 * self.minutes:
            self.model.stop_training = True
