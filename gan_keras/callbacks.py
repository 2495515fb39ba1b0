"""Callbacks for `fit` that count steps and support both optimizers.

A long run is one `fit` call: `gan.fit(stream, steps_per_epoch=remaining_steps, callbacks=[...])`. Several epochs also work.
"""

import csv
import importlib.util
import pathlib
import shutil
import time

import keras
import numpy as np
import tensorflow as tf

from gan_keras import files, plots
from gan_keras.identifiers import count, unknown
from gan_keras.replicas import is_chief


class EverySteps(keras.callbacks.Callback):
    """Base of the callbacks that act every `every` training steps, and once more at the end of training.

    Steps are counted by the GAN, so a resumed run acts at the same steps as an uninterrupted one. Of several workers, only the
    chief acts.

    Args:
        every: Steps between two actions.

    Raises:
        ValueError: `every` is not an integer of 1 or more.
    """

    def __init__(self, every):
        super().__init__()
        self.every = count("every", every)

    def act(self, step, logs):
        """The action after `step` steps. `logs` are the current means of the training metrics."""
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        self._acted = int(self.model.step.numpy())
        self._logs = {}

    def on_epoch_begin(self, epoch, logs=None):
        self._before_epoch = int(self.model.step.numpy())

    def on_train_batch_end(self, batch, logs=None):
        # With steps_per_execution above 1 this is called less often than once a step, and may miss the exact multiple.
        self._logs = logs or {}
        if (self._before_epoch + batch + 1) // self.every > self._acted // self.every:
            self._act()

    def on_train_end(self, logs=None):
        if int(self.model.step.numpy()) > self._acted:
            self._act()

    def _act(self):
        self._acted = int(self.model.step.numpy())
        if is_chief(self.model.distribute_strategy):
            self.act(self._acted, self._logs)


class NonFiniteGuard(keras.callbacks.Callback):
    """Stops training with an error as soon as a logged value is NaN or infinite. Put it first in the list.

    Callbacks after it do not run then, so no checkpoint of the diverged model is written. `Checkpoint` also checks the weights
    themselves.

    Raises:
        FloatingPointError: A logged value is not finite, or a weight at the end of an epoch; with the step and the name.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self._before_epoch = int(self.model.step.numpy())

    def on_train_batch_end(self, batch, logs=None):
        broken = [name for name, value in (logs or {}).items() if not np.isfinite(float(value))]
        if broken:
            raise FloatingPointError(
                f"Step {self._before_epoch + batch + 1}: {', '.join(broken)} is not finite. The run is stopped, and its "
                "checkpoints are intact; resuming would end in the same way. Begin another run with lower learning rates, a "
                "regularizer or another seed, or look for NaN in the data."
            )

    def on_epoch_end(self, epoch, logs=None):
        check_finite(self.model)


def check_finite(gan):
    """Raise FloatingPointError unless all weights of the GAN and of its optimizers are finite."""
    for variable in [*gan.weights, *(v for optimizer, _ in gan.optimizers.values() for v in optimizer.variables)]:
        if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
            raise FloatingPointError(
                f"The weight {variable.path} is not finite after step {int(gan.step.numpy())}. It was not saved. Begin "
                "another run with lower learning rates, a regularizer or another seed."
            )


def _checkpoint(gan):
    # TensorFlow does not see layers that a layer holds in a list or a dict. What no optimizer leads to either is named besides.
    seen = {id(child) for child in tf.train.TrackableView(gan).descendants()}
    unseen = [weight for weight in gan.weights if id(weight) not in seen]
    return tf.train.Checkpoint(gan=gan, **({"unseen": unseen} if unseen else {}))


class Checkpoint(EverySteps):
    """Saves the complete state of a run, which can be resumed at any step with the same result, to the byte.

    It uses `tf.train.CheckpointManager`, which writes temporary files with checksums and then renames them, so checkpoints are
    complete even if the process is killed. A GAN with non-finite weights is not saved.

    Args:
        directory: Folder of the checkpoints `ckpt-STEP.index` and `ckpt-STEP.data-*`.
        every: Steps between two checkpoints. One more is written when training ends.
        keep: Number of checkpoints that are kept, the newest ones.

    Raises:
        ValueError: `every` or `keep` is not an integer of 1 or more.

    Example:

    ```python
    checkpoint = gan_keras.callbacks.Checkpoint("run/checkpoints", every=500)
    step = checkpoint.restore(gan)  # 0 where there is none
    stream = gan_keras.data.batches(images, batch_size=64, start=step)
    gan.fit(stream, steps_per_epoch=10_000 - step, callbacks=[checkpoint])
    ```
    """

    def __init__(self, directory, every=500, keep=3):
        super().__init__(every)
        self.directory = pathlib.Path(directory)
        self.keep = count("keep", keep)

    def steps(self):
        """The steps of the checkpoints in the directory, newest first."""
        found = [path.name for path in self.directory.glob("ckpt-*.index")]
        return sorted((int(name[len("ckpt-") : -len(".index")]) for name in found), reverse=True)

    def restore(self, gan, report=print):
        """Put the newest whole checkpoint into the compiled `gan` and return its step, or 0 where there is none.

        Args:
            gan: The GAN as the run built it.
            report: Function of a line of text, told when a damaged checkpoint is passed over.

        Raises:
            ValueError: The checkpoint is of other networks or optimizers, or all of them are damaged.
        """
        steps = self.steps()
        for step in steps:
            path = str(self.directory / f"ckpt-{step}")
            try:
                _checkpoint(gan).restore(path).assert_consumed()
                return int(gan.step.numpy())
            except (AssertionError, ValueError) as error:
                raise ValueError(
                    f"The checkpoint {path} belongs to another GAN: {str(error).splitlines()[0]} Build the GAN that wrote it, or "
                    "use another directory."
                ) from error
            except (tf.errors.OpError, IndexError) as error:  # IndexError: TensorFlow's word for a short read
                report(f"The checkpoint {path} is damaged ({type(error).__name__}); trying the one before it.")
        if steps:
            raise ValueError(
                f"All {len(steps)} checkpoints in {self.directory} are damaged. Start the run anew in another directory."
            )
        return 0

    def save(self):
        """Write a checkpoint of the GAN that is being trained now.

        Raises:
            FloatingPointError: A weight is NaN or infinite; the checkpoints before it stay.
        """
        check_finite(self.model)
        self._manager.save(checkpoint_number=int(self.model.step.numpy()))
        # What the manager has lost from its list, killed before it was written, it does not delete.
        for step in self.steps()[self.keep :]:
            for path in self.directory.glob(f"ckpt-{step}.*"):
                path.unlink()

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if not is_chief(self.model.distribute_strategy):
            return
        for leftover in self.directory.glob("ckpt-*_temp"):  # of a process killed while it wrote
            shutil.rmtree(leftover)
        self._manager = tf.train.CheckpointManager(_checkpoint(self.model), str(self.directory), self.keep)

    def act(self, step, logs):
        self.save()


class SampleGrid(EverySteps):
    """Writes a picture of samples every `every` steps, always from the same latents, and an animation at the end.

    Args:
        directory: Folder of the pictures `step-0001000.png` and so on.
        every: Steps between two pictures. One more is drawn when training ends.
        n: Number of samples in a picture; `None`: 100, or fewer if images have more than 200 pixels on a side.
        seed: Seed of the latents. Labels of a conditional GAN are 0, 1, 2, ... in turn.
        animation: Path of an animated GIF of the pictures in the directory, which is written when training ends; `None`: none.
        real: Real points (n, 1 or 2), for a GAN of points, which needs them: 2,500 generated points are drawn over them.

    Raises:
        ValueError: As in `EverySteps`; in `fit`, if a GAN of points has no `real`.
    """

    def __init__(self, directory, every=500, n=None, seed=0, animation=None, real=None):
        super().__init__(every)
        self.directory = pathlib.Path(directory)
        self.n, self.seed, self.animation, self.real = n, seed, animation, real

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if self.real is None and not self.model.makes_images:
            raise ValueError("SampleGrid draws points over real ones. Received: real=None; pass real=points.")
        if is_chief(self.model.distribute_strategy):
            self.directory.mkdir(parents=True, exist_ok=True)

    def act(self, step, logs):
        path = self.directory / f"step-{step:07d}.png"
        if self.real is not None:
            plots.points(self.model.sample(2500, seed=self.seed), self.real, path, f"step {step:,}")
            return
        n = plots.page_of(self.model.generator.outputs[0].shape[1:]) if self.n is None else self.n
        images = self.model.sample(n, seed=self.seed)
        picture = plots.grid(plots.to_uint8(images, self.model.value_range or (images.min(), images.max() + 1e-6)))
        picture.save(path)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        pictures = sorted(self.directory.glob("step-*.png"))
        if self.animation and pictures and is_chief(self.model.distribute_strategy):
            plots.animation(pictures, self.animation)


class Evaluate(keras.callbacks.Callback):
    """Adds metrics of sample quality to the logs at the end of every `every` epochs, for `History`, `ModelCheckpoint` and others.

    Put it before the callbacks that read its metrics. Between evaluations, the last values are repeated: the columns of a log are
    complete, and `ModelCheckpoint` does not save again.

    Args:
        evaluator: `evaluation.Evaluator`.
        every: Epochs between two evaluations. The first epoch is always evaluated.
        n: Number of samples. Below a few thousand, the Frechet distance is mostly bias; compare only values of equal n.
        groups: Groups of metrics, as in `Evaluator.metrics`.
        seed: Seed of the latents, which are always the same.

    Raises:
        ValueError: An unknown group, or `every` is not an integer of 1 or more; in `fit`, as in `Evaluator.of_gan`.

    Example:

    ```python
    evaluate = gan_keras.callbacks.Evaluate(evaluator, every=2)
    best = keras.callbacks.ModelCheckpoint("best.keras", monitor="frechet_distance", mode="min", save_best_only=True)
    gan.fit(stream, epochs=20, steps_per_epoch=500, callbacks=[evaluate, best])
    ```
    """

    def __init__(self, evaluator, every=1, n=5000, groups=("frechet",), seed=1):
        super().__init__()
        groups = (groups,) if isinstance(groups, str) else tuple(groups)
        for group in groups:
            if group not in evaluator.GROUPS:
                raise unknown("group of metrics", group, evaluator.GROUPS)
        self.evaluator, self.every, self.n, self.groups, self.seed = evaluator, count("every", every), n, groups, seed

    def on_train_begin(self, logs=None):
        self._values = None

    def on_epoch_end(self, epoch, logs=None):
        if self._values is None or (epoch + 1) % self.every == 0:
            found = self.evaluator.of_gan(self.model, self.n, self.groups, self.seed)
            self._values = {name: value for name, (value, _) in found.items()}
        logs.update(self._values)


class HistoryFile(EverySteps):
    """Appends the means of the metrics since the last row to a CSV file: step, seconds, and one column for each metric.

    A run that is resumed from a checkpoint drops the rows after it, so that every step occurs once. After each row the metrics are
    reset, as Keras does after each epoch: a row has the means of the steps since the last row, epoch or resumption, and Keras'
    `History` has those after the last row of an epoch.

    Args:
        path: The file.
        every: Steps between two rows.

    Attributes:
        seconds: Training time so far, including that before the run was resumed.
    """

    def __init__(self, path, every=100):
        super().__init__(every)
        self.path = pathlib.Path(path)

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._told = False
        if not is_chief(self.model.distribute_strategy):
            return
        rows = self._whole_rows() if self.path.exists() else []
        rows = [row for row in rows if int(row["step"]) <= self._acted]
        self._earlier = float(rows[-1]["seconds"]) if rows else 0.0
        self._started = time.perf_counter()
        with files.replacing(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, self._columns())
            writer.writeheader()
            writer.writerows(rows)

    @property
    def seconds(self):
        return self._earlier + time.perf_counter() - self._started

    def act(self, step, logs):
        values = {name: f"{float(value):.6g}" for name, value in logs.items()}
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, self._columns()).writerow({"step": step, "seconds": f"{self.seconds:.1f}", **values})

    def _act(self):
        super()._act()
        self._told = True

    def on_train_batch_begin(self, batch, logs=None):
        if self._told:
            self.model.reset_metrics()
            self._told = False

    def _columns(self):
        return ["step", "seconds", *(metric.name for metric in self.model.metrics)]

    def _whole_rows(self):
        """The rows of the file but a last one that a killed process left incomplete."""
        text = self.path.read_text()
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [row for row in csv.DictReader(lines) if list(row) == self._columns()]


class TensorBoard(EverySteps):
    """Writes losses, penalties, learning rates, throughput, samples and quality metrics for TensorBoard.

    Start it with `tensorboard --logdir DIRECTORY`. Keras' own TensorBoard callback supports neither steps nor two optimizers. Needs
    the package tensorboard.

    Args:
        directory: Folder of the event files. A resumed run adds a file; steps that are repeated occur twice.
        every: Steps between two points of the curves: current means of the metrics, and training steps per second.
        sample_every: Steps between two sample grids (images only), which are drawn at the next multiple of `every`.
        evaluator: `evaluation.Evaluator` for the Frechet distance and the manifold metrics of 5,000 samples; or `None`.
        evaluate_every: Steps between two evaluations, at the next multiple of `every`. Their time does not count in the
            throughput.
        seed: Seed of the sample grids.

    Raises:
        ValueError: As in `EverySteps`.
        ImportError: tensorboard is not installed.
    """

    def __init__(self, directory, every=100, sample_every=500, evaluator=None, evaluate_every=2000, seed=0):
        super().__init__(every)
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError("TensorBoard's files are written by its package. Install it: pip install tensorboard")
        self.directory, self.evaluator, self.seed = directory, evaluator, seed
        self.sample_every, self.evaluate_every = sample_every, evaluate_every

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if is_chief(self.model.distribute_strategy):
            self._writer = tf.summary.create_file_writer(str(self.directory))
        self._since = time.perf_counter(), self._acted

    def act(self, step, logs):
        began, before = self._since
        values = {name: float(value) for name, value in logs.items()}
        for name, (optimizer, _) in self.model.optimizers.items():
            values[f"{name}/learning_rate"] = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        values["steps_per_second"] = (step - before) / (time.perf_counter() - began)
        if self.evaluator is not None and step // self.evaluate_every > before // self.evaluate_every:
            found = self.evaluator.of_gan(self.model, 5000, ("frechet", "manifold"))
            values.update({f"evaluation/{name}": value for name, (value, _) in found.items()})
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
            if step // self.sample_every > before // self.sample_every and self.model.makes_images:
                images = self.model.sample(64, seed=self.seed)
                low, high = self.model.value_range or (images.min(), images.max() + 1e-6)
                grid = np.asarray(plots.grid(plots.to_uint8(images, (low, high)), scale=1))
                tf.summary.image("samples", grid.reshape(1, *grid.shape[:2], -1))
        self._writer.flush()
        self._since = time.perf_counter(), step

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        if is_chief(self.model.distribute_strategy):
            self._writer.close()
