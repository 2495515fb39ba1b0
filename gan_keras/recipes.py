"""Named recipes: the networks and everything `compile` needs, each number with its source."""

import copy
import dataclasses
import functools
from collections.abc import Callable

import keras

from gan_keras import identifiers, identity, losses, networks, regularizers, replicas, schedules
from gan_keras.gan import GAN


def adam(learning_rate, beta_1, beta_2=0.999):
    """The saved form of a Keras Adam: each build makes an optimizer of its own from it."""
    return {"class_name": "Adam", "config": {"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": beta_2}}


def cosine_decay(learning_rate, steps):
    """The saved form of a rate that falls from `learning_rate` to 0 along a cosine in `steps` steps, for `adam`."""
    return {
        "module": "keras.optimizers.schedules",
        "class_name": "CosineDecay",
        "config": {"initial_learning_rate": learning_rate, "decay_steps": steps},
        "registered_name": None,
    }


def rmsprop(learning_rate, rho):
    """The saved form of a Keras RMSprop."""
    return {"class_name": "RMSprop", "config": {"learning_rate": learning_rate, "rho": rho}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that defines a GAN and its training.

    Attributes:
        name, summary: What it is called and what it is for.
        source: The paper or text it stands for.
        generator: Builder, called with latent_dim and num_classes.
        discriminator: Builder, called with num_classes.
        data: What it is trained on unless told otherwise, as `data.load` takes it.
        latent_dim, num_classes, ema: As in `GAN`.
        d_optimizer, g_optimizer: Saved form of the optimizers, as `keras.optimizers.get` takes it.
        loss, regularizers, schedule: As in `GAN.compile`.
        batch_size: Examples for each update of the discriminator.
        steps: Steps that the training script makes unless told otherwise.
        steps_per_execution: Steps that the script hands to TensorFlow at once. Saves time between steps where these are short;
            the weights are the same.
        jit_on_cpu: Whether the step is faster through XLA on a CPU, measured by scripts/benchmark.py.
        sources: Where each value comes from, by attribute.
    """

    name: str
    summary: str
    source: str
    generator: Callable
    discriminator: Callable
    d_optimizer: dict
    g_optimizer: dict
    sources: dict
    data: str = "mnist"
    latent_dim: int = 100
    num_classes: int | None = None
    ema: float | None = None
    loss: losses.AdversarialLoss = losses.NonSaturating()
    regularizers: tuple = ()
    schedule: schedules.Schedule = schedules.Alternating()
    batch_size: int = 64
    steps: int = 10_000
    steps_per_execution: int = 5
    jit_on_cpu: bool = False

    @property
    def batch_per_step(self):
        """Examples that `fit` must deliver for a step: the schedule splits them into batches of `batch_size`."""
        return self.batch_size * self.schedule.batches_per_step

    def build(self, seed=0, jit_compile="auto", steps_per_execution=1):
        """The compiled GAN. Sets Keras' global random seed, from which the initial weights are drawn.

        Args:
            seed: Integer from 0 to 2^31 - 1: the initial weights, and everything random in training.
            jit_compile: As in `GAN.compile`; "auto" is on with a GPU, and on a CPU where the recipe is faster for it.
            steps_per_execution: As in `GAN.compile`.
        """
        if jit_compile == "auto" and self.jit_on_cpu and not replicas.distributed():
            jit_compile = True
        keras.utils.set_random_seed(seed)
        gan = GAN(
            self.generator(latent_dim=self.latent_dim, num_classes=self.num_classes),
            self.discriminator(num_classes=self.num_classes),
            num_classes=self.num_classes,
            ema=self.ema,
            seed=seed,
        )
        gan.compile(
            # Copies: Keras writes into the configurations that it reads.
            keras.optimizers.get(copy.deepcopy(self.d_optimizer)),
            keras.optimizers.get(copy.deepcopy(self.g_optimizer)),
            loss=self.loss,
            regularizers=self.regularizers,
            schedule=self.schedule,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
        )
        return gan

    def rows(self):
        """(attribute, value as text, source) for each attribute that decides the result, but for rounding."""
        for name in self._deciding():
            yield name, _text(getattr(self, name)), self.sources.get(name, "")

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
        skipped = ("name", "summary", "source", "sources", "steps_per_execution", "jit_on_cpu")
        return [field.name for field in dataclasses.fields(self) if field.name not in skipped]

    def __str__(self):
        rows = list(self.rows())
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{self.name}: {self.summary}", f"  after {self.source}"]
        lines += [f"  {name:{widths[0]}}  {value:{widths[1]}}  {source}".rstrip() for name, value, source in rows]
        return "\n".join(lines)


def _text(value):
    if isinstance(value, functools.partial):
        return f"{value.func.__name__}({_arguments(value.keywords)})"
    if isinstance(value, dict) and "class_name" in value:
        return f"{value['class_name']}({_arguments(value['config'])})"
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    if hasattr(value, "get_config"):
        return f"{type(value).__name__}({_arguments(value.get_config())})"
    return getattr(value, "__name__", None) or ("none" if value is None else str(value))


def _arguments(values):
    return ", ".join(f"{k}={_text(v) if isinstance(v, dict) else repr(v)}" for k, v in values.items())


_TUTORIAL = "T1 gives none; DCGAN's"
_RADFORD = "Radford et al. 2016, section 4"
_HERE = "chosen here"

_DCGAN_TRAINING = dict(
    d_optimizer=adam(2e-4, 0.5),
    g_optimizer=adam(2e-4, 0.5),
    batch_size=128,
)
_DCGAN_SOURCES = dict(
    generator=f"{_RADFORD}; two upsamplings, for 28x28",
    discriminator=f"{_RADFORD}; two strided convolutions, for 28x28",
    latent_dim="Radford et al. 2016, figure 1; normal instead of uniform",
    d_optimizer=_RADFORD,
    g_optimizer=_RADFORD,
    batch_size=_RADFORD,
    steps=_HERE,
)

_DEFAULT = Recipe(
    name="default",
    summary="the best digits in six minutes on two CPU cores",
    source="R1 of Mescheder et al. 2018 on convolutional networks, with a moving average of the generator",
    generator=networks.default_generator,
    discriminator=networks.default_discriminator,
    latent_dim=16,
    d_optimizer=adam(1e-3, 0.0, 0.99),
    g_optimizer=adam(1e-3, 0.0, 0.99),
    regularizers=(regularizers.R1(2.0, every=4),),
    ema=0.999,
    batch_size=32,
    steps=8000,
    sources=dict(
        generator="DCGAN at half its width, for speed, behind StyleGAN's mapping network at half its width and depth",
        discriminator="WGAN-GP's critic at half its width, 4x4 kernels, for speed",
        d_optimizer="rate and betas of Karras et al. 2018, appendix A.1",
        g_optimizer="as d_optimizer",
        loss="Mescheder et al. 2018, authors' configuration",
        regularizers="Mescheder et al. 2018, equation 9; weight and share of the batch chosen here, docs/default_recipe.md",
        ema="Karras et al. 2018",
        latent_dim="chosen here, docs/default_recipe.md",
        batch_size="chosen here: more and smaller steps in the same time",
        steps="about six minutes on two cores",
    ),
)

_TUTORIAL_CONV = Recipe(
    name="tutorial_conv",
    summary="the PyTorch tutorial's networks (T0) with the cross-entropy it describes",
    source="T0; non-saturating loss of Goodfellow et al. 2014",
    generator=networks.tutorial_generator,
    discriminator=networks.tutorial_discriminator,
    **_DCGAN_TRAINING,
    sources=dict(
        generator="T0",
        discriminator="T0; 576 features where T0 has 1024; logits out",
        latent_dim="T0",
        d_optimizer="T0 names Adam; values of DCGAN",
        g_optimizer="T0 names Adam; values of DCGAN",
        loss="T0: KL(label || probability) = -log p",
        batch_size="T0 gives none; DCGAN's",
        steps=_HERE,
    ),
)

_DCGAN = Recipe(
    name="dcgan",
    summary="the classic convolutional GAN",
    source="Radford, Metz, Chintala 2016, DCGAN",
    generator=networks.dcgan_generator,
    discriminator=networks.dcgan_discriminator,
    **_DCGAN_TRAINING,
    sources={**_DCGAN_SOURCES, "loss": "Goodfellow et al. 2014, section 3, as in the authors' code"},
)

_RING = Recipe(
    name="ring",
    summary="eight Gaussians on a ring",
    source="the toy of Lin et al. 2018, PacGAN; hinge loss with a gradient penalty",
    data="ring",
    steps_per_execution=20,
    generator=functools.partial(networks.points_generator, scale=0.25),
    discriminator=functools.partial(networks.points_discriminator, scale=0.25),
    latent_dim=2,
    d_optimizer=adam(cosine_decay(3e-3, 30_000), 0.0, 0.99),
    g_optimizer=adam(cosine_decay(3e-3, 30_000), 0.0, 0.99),
    loss=losses.Hinge(),
    regularizers=(regularizers.GradientPenalty(0.1),),
    ema=0.999,
    batch_size=128,
    steps=30_000,
    sources=dict(
        generator=_HERE,
        discriminator=_HERE,
        data="Lin et al. 2018, section 4.1",
        latent_dim="Lin et al. 2018, authors' code",
        d_optimizer="betas of Karras et al. 2018; rate and decay chosen here, so that the samples come to rest",
        g_optimizer="as d_optimizer",
        loss="Lim and Ye 2017, Geometric GAN; non-saturating with R1 left modes of uneven size",
        regularizers="Gulrajani et al. 2017, algorithm 1; weight of the authors' toys",
        ema="Karras et al. 2018",
        batch_size="chosen here; Lin et al. have 100",
        steps=_HERE,
    ),
)

_RECIPES = [
    _DEFAULT,
    Recipe(
        name="tutorial_mlp",
        summary="the Keras tutorial's dense networks (T1), made to train",
        source="Goodfellow et al. 2014, with the sizes of the tutorial",
        generator=networks.mlp_generator,
        discriminator=networks.mlp_discriminator,
        steps_per_execution=20,
        jit_on_cpu=True,
        **_DCGAN_TRAINING,
        sources=dict(
            generator="T1",
            discriminator="T1; logits out",
            latent_dim="T1",
            d_optimizer=_TUTORIAL,
            g_optimizer=_TUTORIAL,
            loss="Goodfellow et al. 2014, section 3",
            batch_size=_TUTORIAL,
            steps=_HERE,
        ),
    ),
    _TUTORIAL_CONV,
    dataclasses.replace(
        _TUTORIAL_CONV,
        name="jeffreys",
        summary='the "mutual information" of the PyTorch tutorial (T0), which is the Jeffreys divergence, put right',
        source="T0; gradients after Nowozin, Cseke, Tomioka 2016, f-GAN",
        loss=losses.Jeffreys(),
        sources={**_TUTORIAL_CONV.sources, "loss": "T0; exp continued by its tangent above 10, against overflow"},
    ),
    dataclasses.replace(
        _DCGAN,
        name="minimax",
        summary="the original game, generator's vanishing gradient included",
        source="Goodfellow et al. 2014, algorithm 1",
        loss=losses.Minimax(),
        sources={**_DCGAN_SOURCES, "loss": "Goodfellow et al. 2014, equation 1"},
    ),
    _DCGAN,
    dataclasses.replace(
        _DCGAN,
        name="lsgan",
        summary="DCGAN with least squares instead of cross-entropy",
        source="Mao et al. 2017, LSGAN",
        loss=losses.LeastSquares(),
        sources={**_DCGAN_SOURCES, "loss": "Mao et al. 2017, equation 9"},
    ),
    Recipe(
        name="sngan",
        summary="hinge loss, spectral normalization in every layer of the discriminator",
        source="Miyato, Kataoka, Koyama, Yoshida 2018, SNGAN",
        generator=networks.dcgan_generator,
        discriminator=functools.partial(networks.dcgan_discriminator, normalization="spectral"),
        loss=losses.Hinge(),
        d_optimizer=adam(2e-4, 0.5),
        g_optimizer=adam(2e-4, 0.5),
        batch_size=64,
        sources={
            **_DCGAN_SOURCES,
            "loss": "Miyato et al. 2018, equations 16 and 17",
            "d_optimizer": "Miyato et al. 2018, table 1, setting C",
            "g_optimizer": "Miyato et al. 2018, table 1, setting C",
            "schedule": "Miyato et al. 2018, table 1, setting C: n_dis 1",
            "batch_size": "authors' configuration",
        },
    ),
    Recipe(
        name="wgan",
        summary="Wasserstein GAN with weight clipping",
        source="Arjovsky, Chintala, Bottou 2017, WGAN, algorithm 1",
        generator=networks.dcgan_generator,
        discriminator=functools.partial(networks.wgan_gp_critic, width=32),
        loss=losses.Wasserstein(),
        regularizers=(regularizers.WeightClipping(0.01),),
        schedule=schedules.Alternating(n_critic=5),
        steps_per_execution=1,
        d_optimizer=rmsprop(5e-5, 0.99),
        g_optimizer=rmsprop(5e-5, 0.99),
        batch_size=64,
        sources=dict(
            generator=f"{_RADFORD}; two upsamplings, for 28x28",
            discriminator="WGAN-GP's at half its width, chosen here",
            latent_dim="Radford et al. 2016, figure 1; normal instead of uniform",
            d_optimizer="Arjovsky et al. 2017, algorithm 1; rho of the authors' code",
            g_optimizer="Arjovsky et al. 2017, algorithm 1; rho of the authors' code",
            loss="Arjovsky et al. 2017, algorithm 1",
            regularizers="Arjovsky et al. 2017, algorithm 1",
            schedule="Arjovsky et al. 2017, algorithm 1",
            batch_size="Arjovsky et al. 2017, algorithm 1",
            steps=_HERE,
        ),
    ),
    Recipe(
        name="wgan_gp",
        summary="Wasserstein GAN with gradient penalty",
        source="Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville 2017, WGAN-GP",
        generator=networks.dcgan_generator,
        discriminator=networks.wgan_gp_critic,
        loss=losses.Wasserstein(),
        regularizers=(regularizers.GradientPenalty(10.0),),
        schedule=schedules.Alternating(n_critic=5),
        steps_per_execution=1,
        d_optimizer=adam(1e-4, 0.5, 0.9),
        g_optimizer=adam(1e-4, 0.5, 0.9),
        batch_size=50,
        sources=dict(
            generator=f"{_RADFORD}; two upsamplings, for 28x28",
            discriminator="authors' gan_mnist.py",
            latent_dim="Radford et al. 2016, figure 1; Gulrajani et al. have 128",
            d_optimizer="authors' gan_mnist.py",
            g_optimizer="authors' gan_mnist.py",
            loss="Gulrajani et al. 2017, algorithm 1",
            regularizers="Gulrajani et al. 2017, algorithm 1",
            schedule="Gulrajani et al. 2017, algorithm 1",
            batch_size="authors' gan_mnist.py",
            steps=_HERE,
        ),
    ),
    Recipe(
        name="dragan",
        summary="DCGAN without BatchNorm in the discriminator, slopes held at 1 near the data",
        source="Kodali, Abernethy, Hays, Kira 2017, DRAGAN",
        generator=networks.dcgan_generator,
        discriminator=functools.partial(networks.dcgan_discriminator, normalization=None),
        regularizers=(regularizers.DRAGAN(10.0),),
        **_DCGAN_TRAINING,
        sources={
            **_DCGAN_SOURCES,
            "loss": "Goodfellow et al. 2014, section 3",
            "regularizers": "Kodali et al. 2017, algorithm 1; scale of the authors' code",
        },
    ),
    Recipe(
        name="r1",
        summary="DCGAN without BatchNorm in the discriminator, flat on the data",
        source="Mescheder, Geiger, Nowozin 2018, R1",
        generator=networks.dcgan_generator,
        discriminator=functools.partial(networks.dcgan_discriminator, normalization=None),
        regularizers=(regularizers.R1(10.0),),
        d_optimizer=adam(1e-4, 0.0, 0.99),
        g_optimizer=adam(1e-4, 0.0, 0.99),
        ema=0.999,
        batch_size=64,
        sources={
            **_DCGAN_SOURCES,
            "loss": "Mescheder et al. 2018, authors' configuration",
            "regularizers": "Mescheder et al. 2018, equation 9; gamma of the authors' configuration",
            "d_optimizer": "rate of Mescheder et al.'s configuration; betas of Karras et al. 2018",
            "g_optimizer": "rate of Mescheder et al.'s configuration; betas of Karras et al. 2018",
            "ema": "Mescheder et al. 2018, authors' configuration",
            "batch_size": "Mescheder et al. 2018, authors' configuration",
        },
    ),
    dataclasses.replace(
        _DEFAULT,
        name="cgan",
        summary="digits on demand: the default recipe with labels",
        source="Mirza and Osindero 2014; projection of Miyato and Koyama 2018",
        num_classes=10,
        sources={
            **_DEFAULT.sources,
            "generator": "default's; label embedded and concatenated (Mirza and Osindero 2014)",
            "discriminator": "default's; label projected (Miyato and Koyama 2018)",
            "num_classes": "the ten digits",
        },
    ),
    dataclasses.replace(
        _DEFAULT,
        name="parzen",
        summary="the default recipe, shallower and longer, for Goodfellow's log-likelihood",
        generator=functools.partial(networks.default_generator, mapping=2),
        latent_dim=10,
        regularizers=(regularizers.R1(1.0),),
        steps=12_000,
        sources={
            **_DEFAULT.sources,
            "generator": "the default's, with a mapping network of a quarter of StyleGAN's depth",
            "latent_dim": "chosen here",
            "regularizers": "Mescheder et al. 2018, equation 9; weight for small images chosen here",
            "steps": "chosen here; a quarter to half an hour on one core",
        },
    ),
    _RING,
    dataclasses.replace(
        _RING,
        name="grid",
        summary="twenty-five Gaussians on a grid",
        data="grid",
        generator=networks.points_generator,
        discriminator=networks.points_discriminator,
        d_optimizer=adam(cosine_decay(3e-3, 20_000), 0.0, 0.99),
        g_optimizer=adam(cosine_decay(3e-3, 20_000), 0.0, 0.99),
        steps=20_000,
    ),
    dataclasses.replace(
        _RING,
        name="swiss_roll",
        summary="a spiral: a thin curve instead of modes",
        source="a toy of Gulrajani et al. 2017; trained as the ring",
        data="swiss_roll",
        sources={**_RING.sources, "data": "Gulrajani et al. 2017, figure 1"},
    ),
    dataclasses.replace(
        _RING,
        name="gaussians",
        summary="three Gaussians on a line, where the Wasserstein distance is exact",
        source="a toy of one dimension; trained as the ring",
        data="gaussians",
        generator=functools.partial(networks.points_generator, dimensions=1),
        discriminator=functools.partial(networks.points_discriminator, dimensions=1),
        latent_dim=1,
        sources={
            **_RING.sources,
            "data": _HERE,
            "latent_dim": "the dimension of the data",
            "generator": "ring's, in one dimension",
            "discriminator": "ring's, in one dimension",
        },
    ),
    Recipe(
        name="stacked_mnist",
        summary="1,000 modes against a discriminator a quarter of the generator's size",
        source="the setting of Metz et al. 2017, Unrolled GAN; R1 of Mescheder et al. 2018",
        data="stacked_mnist",
        generator=networks.stacked_generator,
        discriminator=networks.stacked_discriminator,
        latent_dim=64,
        d_optimizer=adam(8e-3, 0.0, 0.99),
        g_optimizer=adam(2e-3, 0.0, 0.99),
        regularizers=(regularizers.R1(0.05),),
        schedule=schedules.Alternating(n_critic=2),
        ema=0.999,
        batch_size=32,
        steps=5000,
        sources=dict(
            generator="Metz et al. 2017, appendix E; kernels chosen here",
            discriminator="Metz et al. 2017, appendix E, a quarter of the size; kernels and no BatchNorm chosen here",
            data="Metz et al. 2017, section 3.3.1; number of stacks of VEEGAN",
            latent_dim=_HERE,
            d_optimizer="betas of Karras et al. 2018; the small discriminator needs a high rate, chosen here",
            g_optimizer="betas of Karras et al. 2018; rate chosen here",
            loss="Mescheder et al. 2018, authors' configuration",
            regularizers="Mescheder et al. 2018, equation 9; weight chosen here",
            schedule="chosen here, to help the small discriminator",
            ema="Karras et al. 2018",
            batch_size=_HERE,
            steps=_HERE,
        ),
    ),
]

RECIPES = {recipe.name: recipe for recipe in _RECIPES}


def get(name):
    """The recipe of that name; `dataclasses.replace` changes parts of it."""
    if name not in RECIPES:
        raise identifiers.unknown("recipe", name, RECIPES)
    return RECIPES[name]


def unchanged(saved, names):
    """Whether `saved`, {name: values of a recipe}, is of the recipes `names` as they are now."""
    return saved.keys() == set(names) and not any(get(name).differs_from(values) for name, values in saved.items())
