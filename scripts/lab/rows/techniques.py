"""The rows of Salimans' techniques: each on against off."""

import dataclasses

import keras

from gan_keras import layers, losses, networks, recipes, regularizers
from rows.base import Row, digits_evaluator, quality, trained

# As many images as 2,000 steps of the recipe dcgan, after which many modes are missing (coverage .3, docs/performance.md), in
# about five minutes on one core.
STEPS, BATCH, WIDTH = 4000, 64, 32
# Salimans et al. name no weight of historical averaging: chosen here, the gradient of the term well below that of the loss.
AVERAGING = 0.1
SMOOTHING = 0.1  # Salimans et al. 2016, section 3.4: a target of .9


def generator(**given):
    return networks.dcgan_generator(width=WIDTH, **given)


def discriminator(**given):
    return networks.dcgan_discriminator(width=WIDTH, **given)


def with_features(**given):
    network = discriminator(**given)
    outputs = {"score": network.outputs[0], "features": network.layers[-1].input}
    return keras.Model(network.inputs[0], outputs, name="discriminator")


def with_minibatch_discrimination(**given):
    network = discriminator(**given)
    features = layers.MinibatchDiscrimination()(network.layers[-1].input)
    return keras.Model(network.inputs[0], keras.layers.Dense(1)(features), name="discriminator")


def with_virtual_batch_normalization(latent_dim, **given):
    def virtual(layer):
        if isinstance(layer, keras.layers.BatchNormalization):
            return layers.VirtualBatchNormalization()
        return layer.from_config(layer.get_config())

    plain = generator(latent_dim=latent_dim, **given)
    network = keras.Sequential([virtual(layer) for layer in plain.layers[1:]])  # all but the input, one after the other
    z = keras.Input((latent_dim,))
    return keras.Model(z, layers.ReferenceBatch(network, BATCH)(z), name="generator")


TECHNIQUES = {
    "none": {},
    "feature_matching": dict(
        discriminator=with_features,
        loss=losses.DiscriminatorOnly(),
        regularizers=(regularizers.FeatureMatching(),),
    ),
    "minibatch_discrimination": dict(discriminator=with_minibatch_discrimination),
    "historical_averaging": dict(regularizers=(regularizers.HistoricalAveraging(AVERAGING),)),
    "label_smoothing": dict(loss=losses.NonSaturating(label_smoothing=SMOOTHING)),
    "virtual_batch_normalization": dict(generator=with_virtual_batch_normalization),
}


def technique(name):
    def run(seed):
        narrow = {"generator": generator, "discriminator": discriminator, "batch_size": BATCH}
        recipe = dataclasses.replace(recipes.get("dcgan"), **{**narrow, **TECHNIQUES[name]})
        gan, seconds = trained(recipe, seed, steps=STEPS)
        return {name.replace("_", " "): {**quality(gan, digits_evaluator(), seed), "seconds": seconds}}

    return run


ROWS = [
    Row(
        name=f"techniques.{name}",
        title="Techniques of Salimans et al., each on against off",
        source="Salimans et al. 2016, Improved Techniques for Training GANs, section 3",
        protocol=(
            f"the recipe dcgan at half its width, batches of {BATCH}, {STEPS:,} steps, with one technique or none and the same "
            "seeds; 10,000 samples against the 10,000 test digits"
        ),
        published="none on MNIST for each by itself",
        differs=(
            "feature matching replaces the generator's loss, with the last hidden layer as features; minibatch "
            "discrimination is before the last layer, 100 kernels of 5 dimensions; historical averaging has weight "
            f"{AVERAGING:g}, since the paper names none; the target for real "
            "images is .9 with label smoothing; virtual batch normalization is in the generator alone, as in the paper, with "
            f"{BATCH} reference latents. Until a correction after these runs, all layers of DCGAN's discriminator began with "
            "equal values. The distance is that of our classifier"
        ),
        run=technique(name),
        figures={"frechet_distance": "{:.2f}", "coverage": "{:.3f}", "precision": "{:.3f}", "recall": "{:.3f}"},
        uses=("dcgan",),
        constants={"steps": STEPS, "batch": BATCH, "width": WIDTH, "historical_averaging": AVERAGING, "smoothing": SMOOTHING},
    )
    for name in TECHNIQUES
]
