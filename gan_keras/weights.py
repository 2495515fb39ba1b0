"""The weights of a trained GAN as one small file, in 16 bits: those of the networks for sampling and evaluation."""

import numpy as np

from gan_keras import files
from gan_keras.clustered import ClusteredGAN


def write(gan, path):
    """Write the weights of a GAN to an .npz file, without optimizers; of networks with a moving average, only the average.

    Raises:
        ValueError: A weight is out of the range of float16.
    """
    weights = {name: np.asarray(weight) for name, weight in _named(gan, gan.sampler, gan.judge)}
    wrong = [name for name, weight in weights.items() if not np.abs(weight).max() <= np.finfo("float16").max]
    if wrong:
        raise ValueError(f"These weights are not finite in float16: {', '.join(wrong)}. Save the model: gan.save(...).")
    arrays = {name: weight.astype("float16") for name, weight in weights.items()}
    if isinstance(gan, ClusteredGAN):  # with rounded shares, some samples would have another cluster
        arrays["label_shares"] = weights["label_shares"]
    np.savez_compressed(path, step=np.int64(gan.step.numpy()), **arrays)


def read(gan, path):
    """Load the weights of a file from `write` into an untrained GAN with the same networks, also as its moving averages.

    Further training starts with new optimizers.

    Raises:
        ValueError: The file is damaged, or belongs to other networks.
    """
    with files.reading(f"{path} cannot be read", "Install gan_keras again, or write the file again."):
        wanted = {name: weight.shape for name, weight in _named(gan, gan.generator, gan.discriminator)}
        arrays = files.read_npz(path, ["step", *wanted])
        for name, shape in wanted.items():
            if arrays[name].shape != tuple(shape):
                raise ValueError(f"{name} has the shape {arrays[name].shape}, not {tuple(shape)}")
        for name, weight in [*_named(gan, gan.generator, gan.discriminator), *_named(gan, gan.sampler, gan.judge)]:
            weight.assign(arrays[name].astype("float32"))
        gan.step.assign(arrays["step"])


def _named(gan, generator, discriminator):
    """(name, variable) of all weights, by position: the names of Keras depend on which layers were built before."""
    if isinstance(gan, ClusteredGAN):
        yield "label_shares", gan.label_shares
    for role, network in {"generator": generator, "discriminator": discriminator}.items():
        for number, weight in enumerate(network.weights):
            yield f"{role}_{number}", weight
