import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_keras import networks
from gan_keras.checks import output_activation, output_range

GENERATORS = [networks.mlp_generator, networks.tutorial_generator, networks.dcgan_generator]
DISCRIMINATORS = [
    networks.mlp_discriminator,
    networks.tutorial_discriminator,
    networks.dcgan_discriminator,
    lambda **kw: networks.dcgan_discriminator(normalization="spectral", **kw),
    lambda **kw: networks.dcgan_discriminator(normalization=None, **kw),
    networks.wgan_gp_critic,
    networks.r3gan_discriminator,
    lambda **kw: networks.default_discriminator(augmentation=("color", "cutout"), **kw),
]


@pytest.mark.parametrize("build", GENERATORS)
@pytest.mark.parametrize("num_classes", [None, 10])
def test_generators(build, num_classes):
    generator = build(latent_dim=12, num_classes=num_classes)
    z = np.random.default_rng(0).normal(size=(5, 12)).astype("float32")
    label = np.array([0, 1, 2, 3, 9], "int32")
    images = generator([z, label] if num_classes else z).numpy()
    low, high = output_range(generator)
    assert images.shape == (5, 28, 28, 1) and images.min() >= low and images.max() <= high
    if num_classes:
        assert (generator([z, label[::-1]]).numpy() != images).any(), "the label matters"


@pytest.mark.parametrize("build", DISCRIMINATORS)
@pytest.mark.parametrize("num_classes", [None, 10])
def test_discriminators_put_out_one_logit(build, num_classes):
    discriminator = build(num_classes=num_classes)
    images = np.random.default_rng(0).normal(size=(5, 28, 28, 1)).astype("float32") * 10
    label = np.array([0, 1, 2, 3, 9], "int32")
    scores = discriminator([images, label] if num_classes else images).numpy()
    assert scores.shape == (5, 1)
    assert output_activation(discriminator) in ("biasadd", "addv2"), "no activation"
    if num_classes:
        other = discriminator([images, label[::-1]]).numpy()
        # What the label changes depends on the image: a label that only shifts the score would teach the generator nothing.
        assert np.std((other - scores)[[0, 4]] * [[1], [-1]]) > 1e-6


def test_networks_of_points():
    generator = networks.points_generator(latent_dim=3, shape=(1,), width=8, depth=2, scale=4.0)
    z = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    unit = networks.points_generator(latent_dim=3, shape=(1,), width=8, depth=2)
    unit.set_weights(generator.get_weights())
    np.testing.assert_allclose(generator(z), 4.0 * unit(z), rtol=1e-6)
    judge = networks.points_discriminator(shape=(1,), width=8, depth=2, scale=4.0)
    plain = networks.points_discriminator(shape=(1,), width=8, depth=2)
    plain.set_weights(judge.get_weights())
    np.testing.assert_allclose(judge(4.0 * z[:, :1]), plain(z[:, :1]), rtol=1e-5)
    labelled = networks.points_discriminator(num_classes=3, width=8)
    assert labelled([np.zeros((3, 2), "float32"), np.arange(3)]).shape == (3, 1)


def test_stacked_networks_have_the_published_sizes():
    generator, discriminator = networks.stacked_generator(), networks.stacked_discriminator()
    assert generator.output_shape == (None, 28, 28, 3)
    assert keras.models.clone_model(generator).output_shape == generator.output_shape
    widths = [layer.filters for layer in generator.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert widths == [32, 16, 8, 3] and generator.layers[1].units == 4 * 4 * 64
    assert [x.filters for x in discriminator.layers if isinstance(x, keras.layers.Conv2D)] == [2, 4, 8]
    packed = networks.stacked_discriminator(packing=2)
    assert packed(np.zeros((6, 28, 28, 3), "float32")).shape == (3, 1)
    for build in (networks.stacked_discriminator, networks.points_discriminator):
        with pytest.raises(ValueError, match="exclude each other"):
            build(packing=2, num_classes=10)


def test_sixty_four_pixels_are_the_published_dcgan():
    """Radford et al. 2016, figure 1: 4x4x1024, 512, 256, 128, then the image; the discriminator is its mirror."""
    generator = networks.dcgan_generator(width=128, shape=(64, 64, 3))
    assert generator.layers[1].units == 4 * 4 * 1024
    kinds = (keras.layers.Conv2DTranspose, keras.layers.Conv2D)
    assert [layer.filters for layer in generator.layers if isinstance(layer, kinds)] == [512, 256, 128, 3]
    discriminator = networks.dcgan_discriminator(width=128, shape=(64, 64, 3))
    assert [layer.filters for layer in discriminator.layers if isinstance(layer, kinds)] == [128, 256, 512, 1024]
    # Not at the input.
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in discriminator.layers) == 3


def test_the_tutorials_networks_layer_by_layer():
    assert networks.mlp_generator().count_params() == (100 * 256 + 256) + (256 * 784 + 784)
    assert networks.mlp_discriminator().count_params() == (784 * 256 + 256) + (256 + 1)
    t0 = networks.tutorial_generator()
    kinds = [type(layer).__name__ for layer in t0.layers]
    assert kinds == ["InputLayer", *["Dense", "LeakyReLU", "BatchNormalization"] * 2, "Dense", "Reshape"]
    discriminator = networks.tutorial_discriminator()
    assert discriminator.layers[-1].kernel.shape == (576, 1), "28 > 14 > 7 > 3, not the tutorial's 1024"
    assert [layer.negative_slope for layer in discriminator.layers if isinstance(layer, keras.layers.LeakyReLU)] == [0.2] * 3


def test_batch_norm_is_synchronized_and_absent_where_penalties_go():
    def normalizations(model):
        return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]

    for model in (networks.tutorial_generator(), networks.dcgan_generator(), networks.dcgan_discriminator()):
        assert normalizations(model) and all(layer.synchronized for layer in normalizations(model))
    for model in (networks.wgan_gp_critic(), networks.dcgan_discriminator(normalization=None)):
        assert not normalizations(model)


@pytest.mark.parametrize("build", [networks.dcgan_discriminator, networks.dcgan_generator, networks.default_discriminator])
def test_every_layer_begins_with_values_of_its_own(build):
    first = [layer.kernel.numpy().ravel()[:100] for layer in build().layers if hasattr(layer, "kernel")]
    assert len(first) > 2
    for k, values in enumerate(first):
        assert all(abs(np.corrcoef(values, other)[0, 1]) < 0.5 for other in first[:k])


def largest_slope(discriminator):
    images = tf.constant(np.random.default_rng(0).normal(size=(20, 28, 28, 1)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        scores = discriminator(images)
    return tf.norm(tf.reshape(tape.gradient(scores, images), (20, -1)), axis=1).numpy().max()


def test_spectral_normalization_holds_the_slope_whatever_the_weights():
    plain = networks.dcgan_discriminator(width=8, normalization=None)
    normalized = networks.dcgan_discriminator(width=8, normalization="spectral")
    before = largest_slope(normalized)
    for discriminator in (plain, normalized):
        for variable in discriminator.trainable_variables:
            if variable.name == "kernel":
                variable.assign(100 * variable)
    # A kernel as a matrix bounds a 5x5 convolution of stride 2 up to the overlap of its patches, ceil(5 / 2) a side.
    assert largest_slope(plain) > 1000 > 3 * 3 > before
    assert largest_slope(normalized) == pytest.approx(before, rel=1e-4)


def test_the_size_of_the_default_pair():
    assert networks.default_generator().count_params() + networks.default_discriminator().count_params() == 1_207_906


def test_residual_branches_begin_as_zero_and_nothing_bounds_or_normalizes_the_image():
    generator, discriminator = networks.r3gan_generator(), networks.r3gan_discriminator()
    for network in (generator, discriminator):
        assert not any("Normalization" in type(layer).__name__ for layer in network.layers)
        branches = [layer.output for layer in network.layers if isinstance(layer, keras.layers.Add)]
        into = [layer.input[0] for layer in network.layers if isinstance(layer, keras.layers.Add)]
        assert len(branches) == 3, "one block at 7x7, 14x14 and 28x28"
        x = np.random.default_rng(0).normal(size=(2, *network.inputs[0].shape[1:])).astype("float32")
        for before, after in zip(keras.Model(network.input, into)(x), keras.Model(network.input, branches)(x)):
            np.testing.assert_array_equal(before, after)
    assert output_range(generator) is None


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (30, 45, 3), (64, 64, 3)])
def test_new_networks_fit_the_shape_of_the_images(shape):
    images = np.zeros((2, *shape), "float32")
    for generator in (networks.r3gan_generator, networks.semi_supervised_generator):
        assert generator(latent_dim=8, shape=shape)(np.zeros((2, 8), "float32")).shape == (2, *shape)
    assert networks.r3gan_discriminator(shape=shape)(images).shape == (2, 1)
    heads = networks.infogan_discriminator(shape=shape, codes={"code": 10, "style": 2})(images)
    assert {name: tuple(x.shape) for name, x in heads.items()} == {"score": (2, 1), "code": (2, 10), "style": (2, 2)}
    for discriminator in (networks.acgan_discriminator, networks.semi_supervised_discriminator):
        heads = discriminator(num_classes=7, shape=shape)(images)
        assert heads["score"].shape == (2, 1) and heads["label"].shape == (2, 7)
    assert networks.default_encoder(latent_dim=5, shape=shape)(images).shape == (2, 10)


def test_augmentation_is_of_training_alone():
    plain = networks.default_discriminator()
    changed = networks.default_discriminator(augmentation=("color", "translation", "cutout"))
    weights = [v for v in changed.weights if "seed" not in v.path]
    for variable, value in zip(weights, plain.get_weights(), strict=True):
        variable.assign(value)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 28, 28, 1)).astype("float32")
    np.testing.assert_array_equal(plain(images), changed(images))
    assert (np.abs(plain(images) - changed(images, training=True)) > 1e-3).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: networks.dcgan_generator(latent_dim=0), "latent_dim=0"),
        (lambda: networks.dcgan_discriminator(normalization="layer"), "'layer'"),
        (lambda: networks.stacked_discriminator(packing=0), "packing must be an integer of 1 or more. Received: packing=0"),
        (lambda: networks.default_generator(mapping=-1), "mapping must be an integer of 0 or more"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_augmentation_fills_with_the_background_of_mnist():
    black = np.full((4, 28, 28, 1), -1.0, "float32")
    network = networks.default_discriminator(augmentation=("translation", "cutout"))
    np.testing.assert_allclose(network(black, training=True), network(black), rtol=1e-6)


def test_a_code_has_an_embedding_and_the_rest_of_the_latent_none():
    with_code, without = networks.default_generator(latent_dim=24, code=8), networks.default_generator(latent_dim=24)
    first = networks.base.LABEL_DIM
    assert with_code.count_params() - without.count_params() == 8 * first + 256 * (16 + first - 24)
    kernel = next(layer for layer in with_code.layers if layer.name.startswith("dense")).kernel
    assert kernel.shape == (8, first), "of the code alone"
    kernel.assign(np.zeros(kernel.shape))
    z = np.random.default_rng(0).normal(size=(1, 16)).repeat(2, axis=0).astype("float32")
    images = with_code.predict(np.concatenate([z, np.eye(8, dtype="float32")[:2]], axis=1), verbose=0)
    assert (images[0] == images[1]).all(), "where the embedding is zero, the code changes nothing"


def test_a_label_may_have_a_small_embedding():
    full, small = networks.default_discriminator(num_classes=20), networks.default_discriminator(num_classes=20, label_dim=5)
    features = 4 * 4 * 128
    assert full.count_params() - small.count_params() == 20 * features - (20 * 5 + features * 5)
    images = np.random.default_rng(0).uniform(-1, 1, (1, 28, 28, 1)).repeat(2, axis=0)
    scores = small.predict([images, np.array([0, 7])], verbose=0)
    assert scores.shape == (2, 1) and scores[0] != scores[1]
