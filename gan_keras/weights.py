"""The weights of a trained GAN as one small file, in 16 bits: those of the networks for sampling and evaluation."""

import keras
import numpy as np

from gan_keras import files
from gan_keras.clustered import ClusteredGAN
from gan_keras.generative import GenerativeModel


@keras.saving.register_keras_serializable(package="gan_keras")
class GeneratorAlone(GenerativeModel):
    """A generator without its discriminator: it samples, explores and exports, and cannot be trained."""

    def compile(self, *args, **kwargs):
        raise ValueError("This is a generator without its discriminator, so it cannot be trained. Train the GAN of a recipe.")


def generator_alone(gan):
    """The `GeneratorAlone` of a GAN: the network that samples, which both then share.

    Raises:
        ValueError: A `ClusteredGAN`: sampling it also needs the frequencies of its clusters, which are not in the generator.
    """
    if isinstance(gan, ClusteredGAN):
        raise ValueError("Sampling a ClusteredGAN also needs the frequencies of its clusters, so its generator is not enough.")
    number = gan.num_classes if gan.conditional else None
    model = GeneratorAlone(gan.sampler, gan.prior, gan.seed, num_classes=number, value_range=gan.value_range)
    model.step.assign(gan.step)
    return model


def write(model, path):
    """Write the weights of a GAN, or of its `generator_alone`, to an .npz file, without optimizers.

    Of a network with a moving average, only the average is written.

    Raises:
        ValueError: A weight is out of the range of float16.
    """
    weights = {name: np.asarray(weight) for name, weight in _named(model, model.sampler, getattr(model, "judge", None))}
    wrong = [name for name, weight in weights.items() if not np.abs(weight).max() <= np.finfo("float16").max]
    if wrong:
        raise ValueError(f"These weights are not finite in float16: {', '.join(wrong)}. Save the model: gan.save(...).")
    arrays = {name: weight.astype("float16") for name, weight in weights.items()}
    if isinstance(model, ClusteredGAN):  # with rounded shares, some samples would have another cluster
        arrays["label_shares"] = weights["label_shares"]
    np.savez_compressed(path, step=np.int64(model.step.numpy()), **arrays)


def read(gan, path):
    """Load the weights of a file from `write` into an untrained GAN with the same networks, also as its moving averages.

    Further training starts with new optimizers.

    Returns:
        `gan`; if the file has no discriminator, its `generator_alone`.

    Raises:
        ValueError: The file is damaged, or belongs to other networks.
    """
    remedy = "Expected a file of weights.write, of a GAN with the same networks. If it is one of the package, install it again."
    with files.reading(f"{path} cannot be read", remedy):
        found = files.read_npz(path, ["step"], optional=["discriminator_0"])
        whole = isinstance(gan, ClusteredGAN) or "discriminator_0" in found
        trained = list(_named(gan, gan.generator, gan.discriminator))
        wanted = {name: weight.shape for name, weight in trained if whole or name.startswith("generator")}
        arrays = files.read_npz(path, ["step", *wanted])
        for name, shape in wanted.items():
            if arrays[name].shape != tuple(shape):
                raise ValueError(f"{name} has the shape {arrays[name].shape}, not {tuple(shape)}")
        for name, weight in [*trained, *_named(gan, gan.sampler, gan.judge)]:
            if name in wanted:
                weight.assign(arrays[name].astype("float32"))
        gan.step.assign(arrays["step"])
    return gan if whole else generator_alone(gan)


def _named(model, generator, discriminator):
    """(name, variable) of all weights, by position: the names of Keras depend on which layers were built before.

    `discriminator` is `None` for a generator alone.
    """
    if isinstance(model, ClusteredGAN):
        yield "label_shares", model.label_shares
    for role, network in {"generator": generator, "discriminator": discriminator}.items():
        for number, weight in enumerate(network.weights if network is not None else ()):
            yield f"{role}_{number}", weight
