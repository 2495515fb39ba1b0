"""Classes of recipes: all that defines a model and its training, as one object. The recipes themselves are in `recipes`."""

import abc
import copy
import dataclasses
from collections.abc import Callable

import keras

from gan_keras import clusters, data, identifiers, identity, losses, priors, replicas, schedules
from gan_keras.clustered import ClusteredGAN
from gan_keras.gan import GAN
from gan_keras.vae import VAE


def adam(learning_rate, beta_1, beta_2=0.999):
    """The config of a Keras Adam, from which each build creates an optimizer.

    Args:
        learning_rate: A number, or a config such as `cosine_decay` returns.
        beta_1, beta_2: Decays in [0, 1) of the means of the gradient and of its square.
    """
    return {"class_name": "Adam", "config": {"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": beta_2}}


def cosine_decay(learning_rate, steps, alpha=0.0):
    """The config of a learning rate for `adam`, which falls from `learning_rate` to `alpha learning_rate` along a cosine.

    Args:
        learning_rate: The first learning rate.
        steps: Updates until the rate has fallen; it stays there.
        alpha: The last rate divided by the first, 0 to 1.
    """
    return {
        "module": "keras.optimizers.schedules",
        "class_name": "CosineDecay",
        "config": {"initial_learning_rate": learning_rate, "decay_steps": steps, "alpha": alpha},
        "registered_name": None,
    }


def rmsprop(learning_rate, rho):
    """The config of a Keras RMSprop.

    Args:
        learning_rate: As in `adam`.
        rho: Decay in [0, 1) of the mean of the squared gradient.
    """
    return {"class_name": "RMSprop", "config": {"learning_rate": learning_rate, "rho": rho}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelRecipe(abc.ABC):
    """Base class of recipes.

    Attributes:
        generator: Builder, called with latent_dim, num_classes and shape.
        data, split: The default training data, as in `data.load`.
        labelled: Number of training images with a label, as in `data.with_few_labels`; `None`: all.
        latent_dim: Dimensions of a latent; equal to that of `prior`, if there is one.
        num_classes, ema, value_range: As in `GenerativeModel`.
        batch_size: Examples for each update.
        steps: The default number of training steps of the script.
        steps_per_execution: Steps in one call of TensorFlow, which saves time if steps are short. The weights are the same.
        jit_on_cpu: Whether XLA is faster on a CPU, by the benchmark (docs/performance.md).
        bfloat16_on_cpu: Whether bfloat16 is faster on a CPU with instructions for it, and the samples are as good.
    """

    generator: Callable
    data: str = "mnist"
    split: str = "train"
    labelled: int | None = None
    latent_dim: int = 100
    num_classes: int | None = None
    ema: float | None = None
    value_range: tuple | None = None
    batch_size: int = 64
    steps: int = 10_000
    steps_per_execution: int = 5
    jit_on_cpu: bool = False
    bfloat16_on_cpu: bool = False

    @property
    def batch_per_step(self):
        """Examples in a step, the batch size of `fit`."""
        return self.batch_size

    @abc.abstractmethod
    def model(self, shape, seed):
        """The model, not compiled."""

    @abc.abstractmethod
    def compile(self, model, **execution):
        """Compile the model."""

    def build(self, seed=0, jit_compile="auto", steps_per_execution=1, shape=None):
        """The compiled model. Sets Keras' global random seed, from which the initial weights are drawn.

        Args:
            seed: Integer from 0 to 2^31 - 1, the seed of the initial weights and of all random numbers in training.
            jit_compile: As in `GAN.compile`; "auto" is on with a GPU, and on a CPU for recipes that are faster with it.
            steps_per_execution: As in `GAN.compile`.
            shape: (height, width, channels) of the images, or (dimensions,) of the points; by default those of the recipe's data.

        Raises:
            ValueError: The networks do not support this shape.
        """
        if jit_compile == "auto" and self.jit_on_cpu and not replicas.distributed():
            jit_compile = True
        keras.utils.set_random_seed(seed)
        model = self.model(data.shape_of(self.data) if shape is None else tuple(shape), seed)
        self.compile(model, jit_compile=jit_compile, steps_per_execution=steps_per_execution)
        return model

    def training_set(self, images, labels=None, seed=0):
        """(images, labels) on which a model of this recipe is trained; labels are `None` if it has none.

        Args:
            images, labels: As from `data.load`.
            seed: Seed of the choice of labels (`labelled`) and of clusters.
        """
        if self.labelled is not None:
            return data.with_few_labels(images, labels, self.labelled, seed=seed)
        return images, None if self.num_classes is None else labels

    def stream(self, model, images, labels=None, seed=0, start=0, shard=(0, 1)):
        """The stream of batches of `training_set`, as from `data.batches`.

        Args:
            model: As from `build`.
            images, labels: As from `data.load`.
            seed, start, shard: As in `data.batches`; the seed is also that of `training_set`.
        """
        images, labels = self.training_set(images, labels, seed)
        return data.batches(images, labels, self.batch_per_step, model.value_range, seed, start, shard)

    def values(self):
        """{attribute: description} of each attribute that decides the result, as JSON; see `gan_keras.identity`."""
        return {name: identity.describe(getattr(self, name)) for name in self._deciding()}

    def differs_from(self, values):
        """The attributes in which `values`, those of a recipe when it was saved, are not those of this one.

        An attribute that they lack, because it was added since, counts as its default.
        """
        saved = {field.name: identity.describe(field.default) for field in dataclasses.fields(self)} | values
        return [name for name in self._deciding() if not identity.same(saved[name], getattr(self, name))]

    def _deciding(self):
        execution = ("steps_per_execution", "jit_on_cpu", "bfloat16_on_cpu")
        return [field.name for field in dataclasses.fields(self) if field.name not in execution]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(ModelRecipe):
    """All that defines a GAN and its training.

    Attributes:
        discriminator: Builder, called with num_classes and shape.
        prior, averaged: As in `GAN`.
        clusters: Number of clusters of `clusters.spectral` that replace labels in a `ClusteredGAN`. The part "cluster" of the
            latents follows the `latent_dim` dimensions of the prior. `None`: no clusters.
        d_optimizer, g_optimizer: As in `keras.optimizers.get`; each build creates new optimizers.
        loss, regularizers, schedule: As in `GAN.compile`.
        batch_size: Examples for each update of the discriminator.
        Others: As in `ModelRecipe`.
    """

    discriminator: Callable
    d_optimizer: dict
    g_optimizer: dict
    prior: priors.Prior | None = None
    averaged: tuple = ()
    clusters: int | None = None
    loss: losses.AdversarialLoss = losses.NonSaturating()
    regularizers: tuple = ()
    schedule: schedules.Schedule = schedules.Alternating()

    @property
    def batch_per_step(self):
        """Examples that `fit` must deliver for a step: the schedule splits them into batches of `batch_size`."""
        return self.batch_size * schedules.get(self.schedule).batches_per_step

    def model(self, shape, seed):
        common = {"ema": self.ema, "value_range": self.value_range, "averaged": self.averaged, "seed": seed}
        if self.clusters is None:
            generator = self.generator(latent_dim=self.latent_dim, num_classes=self.num_classes, shape=shape)
            discriminator = self.discriminator(num_classes=self.num_classes, shape=shape)
            return GAN(generator, discriminator, num_classes=self.num_classes, prior=self.prior, **common)
        self._check_clusters()
        parts = (self.prior or priors.Normal(self.latent_dim)).parts
        prior = priors.Joint(**parts, cluster=priors.Categorical(self.clusters))
        generator = self.generator(latent_dim=self.latent_dim + self.clusters, num_classes=None, shape=shape)
        return ClusteredGAN(generator, self.discriminator(num_classes=self.clusters, shape=shape), prior, **common)

    def _check_clusters(self):
        identifiers.count("clusters", self.clusters, 2)
        if self.num_classes is not None or self.labelled is not None:
            raise ValueError(
                f"Clusters take the place of labels. Received: clusters={self.clusters}, num_classes={self.num_classes}, labelled="
                f"{self.labelled}. Leave the clusters out, or the other two."
            )

    def compile(self, model, **execution):
        model.compile(
            _new_optimizer(self.d_optimizer),
            _new_optimizer(self.g_optimizer),
            loss=self.loss,
            regularizers=self.regularizers,
            schedule=self.schedule,
            **execution,
        )

    def training_set(self, images, labels=None, seed=0):
        if self.clusters is not None:
            return images, clusters.spectral(images, self.clusters, seed)
        return super().training_set(images, labels, seed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VAERecipe(ModelRecipe):
    """All that defines a VAE and its training.

    Attributes:
        encoder: Builder, called with latent_dim and shape.
        optimizer: As in `keras.optimizers.get`.
        deviation: As in `VAE`.
        Others: As in `ModelRecipe`; without labels.
    """

    encoder: Callable
    optimizer: dict
    deviation: float = 1.0

    def model(self, shape, seed):
        return VAE(
            self.generator(latent_dim=self.latent_dim, num_classes=self.num_classes, shape=shape),
            self.encoder(latent_dim=self.latent_dim, shape=shape),
            deviation=self.deviation,
            ema=self.ema,
            value_range=self.value_range,
            seed=seed,
        )

    def compile(self, model, **execution):
        model.compile(_new_optimizer(self.optimizer), **execution)


def _new_optimizer(identifier):
    if isinstance(identifier, keras.optimizers.Optimizer):
        identifier = keras.optimizers.serialize(identifier)
    return keras.optimizers.get(copy.deepcopy(identifier))  # a copy: Keras writes into the configurations that it reads
