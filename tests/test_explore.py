"""What lies between latents, what codes change, what images are found and completed, which are near; scripts/explore.py."""

import json
import pathlib
import re
import shutil

import keras
import numpy as np
import pytest
from helpers import LATENT_DIM, tiny_discriminator, tiny_gan, tiny_generator, tiny_images
from keras import layers
from PIL import Image

import gan_keras
from gan_keras import explore, plots, priors
from gan_keras_scripts import explore as script


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


# Images of latents


def test_interpolation_and_images_of_latents():
    gan = tiny_gan(num_classes=3)
    a, b = normal(4, LATENT_DIM), normal(4, LATENT_DIM, seed=1)
    images = explore.interpolate(gan, a, b, steps=5, labels=[2, 1, 0, 2])
    assert images.shape == (4, 5, 8, 8, 1)
    middle = gan([gan.prior.between(a, b, 0.5), np.array([2, 1, 0, 2])], training=False)
    np.testing.assert_allclose(images[:, 2], middle, atol=1e-6)
    np.testing.assert_allclose(images[:, 0], explore.generate(gan, a, [2, 1, 0, 2]), atol=1e-6)
    latents = np.concatenate([gan.latents(3, 0), gan.latents(3, 1)])[:300]
    np.testing.assert_allclose(explore.generate(gan, latents), gan.sample(300, seed=3), atol=1e-6)


def test_images_outside_the_range_are_clipped_everywhere(tmp_path):
    z = keras.Input((LATENT_DIM,))
    generator = keras.Model(
        z, layers.Reshape((8, 8, 1))(layers.Dense(64, kernel_initializer=keras.initializers.Constant(3.0))(z))
    )
    gan = gan_keras.GAN(generator, tiny_discriminator(), value_range=(-1, 1))
    latents = gan.latents()[:20]
    assert np.abs(gan.generator(latents)).max() > 5
    clipped = np.clip(gan.generator(latents), -1, 1)
    found = explore.invert(gan, explore.generate(gan, latents), steps=2)
    for images in (explore.generate(gan, latents), gan.sample(20), gan(latents), gan.predict(latents, verbose=0)):
        np.testing.assert_allclose(images, clipped, atol=1e-5)
    assert np.abs(found.images).max() <= 1


# Codes


def with_codes():
    prior = priors.Joint(code=priors.Categorical(3), z=priors.Normal(3), style=priors.Uniform(2, 0.0, 4.0))
    return gan_keras.GAN(tiny_generator(batch_norm=False), tiny_discriminator(), prior=prior)


def test_a_sheet_of_classes_has_a_row_for_each():
    gan = with_codes()
    images, values = explore.code_sheet(gan, "code", noise=5, seed=2)
    assert images.shape == (3, 5, 8, 8, 1) and values.tolist() == [0, 1, 2]
    for k in range(3):
        np.testing.assert_allclose(images[k], gan.sample(5, seed=2, code=k), atol=1e-6)


def test_a_sheet_of_a_continuous_part_has_a_column_for_each_value():
    gan = with_codes()
    images, values = explore.code_sheet(gan, "style", dimension=1, noise=4, values=5, seed=2)
    assert images.shape == (4, 5, 8, 8, 1)
    assert values.tolist() == [-2, 0, 2, 4, 6], "twice the range, about its middle"
    narrow = gan_keras.GAN(tiny_generator(), tiny_discriminator(), prior=priors.Normal(LATENT_DIM, 0.1))
    assert explore.code_sheet(narrow, "z", values=3)[1] == pytest.approx([-0.2, 0, 0.2])
    latents = gan.latents(2).numpy()[:4]
    for k, value in enumerate(values):
        latents[:, 7] = value
        np.testing.assert_allclose(images[:, k], explore.generate(gan, latents), atol=1e-6)
    assert explore.code_sheet(gan, "z", values=3)[1].tolist() == [-2, 0, 2]


def test_a_sheet_has_one_label_for_each_noise():
    gan = tiny_gan(num_classes=3)
    images, values = explore.code_sheet(gan, "z", dimension=2, noise=4, values=2, labels=[2, 0, 1, 1])
    latents = gan.latents(0).numpy()[:4]
    latents[:, 2] = values[1]
    np.testing.assert_allclose(images[:, 1], explore.generate(gan, latents, [2, 0, 1, 1]), atol=1e-6)


# Inversion and inpainting


def made_by(gan, n=6, labels=None):
    """Images of the generator, of other latents than the searches begin at."""
    return gan.sample(n, seed=77, labels=labels)


def colour_gan():
    z = keras.Input((LATENT_DIM,))
    generator = keras.Model(z, layers.Reshape((4, 6, 3))(layers.Dense(72, activation="sigmoid")(z)))
    images = keras.Input((4, 6, 3))
    return gan_keras.GAN(generator, keras.Model(images, layers.Dense(1)(layers.Flatten()(images))))


@pytest.mark.parametrize("make", [tiny_gan, colour_gan])
def test_what_the_generator_made_is_found(make):
    gan = make()
    images = made_by(gan)
    found = explore.invert(gan, images, candidates=64)
    low, high = gan.value_range
    random = (((gan.sample(6, seed=1) - images) / (high - low)) ** 2).mean(axis=(1, 2, 3))
    assert found.errors.max() < 0.02 * random.min()
    errors = (((found.images - images) / (high - low)) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found.errors, errors, rtol=1e-2, atol=1e-8)
    np.testing.assert_allclose(explore.generate(gan, found.latents), found.images, atol=1e-6)
    again = explore.invert(gan, plots.to_uint8(images, gan.value_range), candidates=64)
    assert again.errors.max() < 0.03 * random.min(), "bytes as well"
    assert found.labels is None


def test_labels_are_taken_or_found():
    gan = tiny_gan(num_classes=3)
    # Labels that are easily told apart.
    embedding = next(layer for layer in gan.generator.layers if isinstance(layer, layers.Embedding))
    embedding.embeddings.assign(20 * normal(3, 4))
    labels = np.array([0, 1, 2, 2, 1, 0])
    images = made_by(gan, labels=labels)
    found = explore.invert(gan, images, steps=60)
    assert found.labels.tolist() == labels.tolist()
    told = explore.invert(gan, images, labels=(labels + 1) % 3, steps=60, candidates=2)
    assert told.labels.tolist() == [1, 2, 0, 0, 2, 1] and told.errors.min() > 3 * found.errors.max()


def test_a_class_stays_a_class():
    gan = with_codes()
    images = gan.sample(5, seed=77, code=1)
    latents = explore.invert(gan, images, steps=60).latents
    assert set(latents[:, :3].ravel()) == {0.0, 1.0} and (latents[:, :3].sum(axis=1) == 1).all()
    assert (latents[:, 1] == 1).mean() > 0.5


@pytest.mark.parametrize("kind", ["floats", "bytes", "one mask for all"])
def test_what_is_visible_is_kept_and_what_is_hidden_comes_near(kind):
    gan = tiny_gan()
    images = made_by(gan)
    visible = np.ones((6, 8, 8), bool)
    visible[::2, :, 4:], visible[1::2, 4:] = False, False
    if kind == "one mask for all":
        visible = np.broadcast_to(visible[0], visible.shape)
    hidden = ~visible[..., np.newaxis]
    given = np.where(hidden, np.nan, images).astype("float32")  # nobody may look there
    if kind == "bytes":
        given = np.where(hidden, 255, plots.to_uint8(images, gan.value_range)).astype("uint8")
    mask = visible[0] if kind == "one mask for all" else visible
    completed = explore.inpaint(gan, given, mask, candidates=64)
    kept = plots.to_uint8(completed, gan.value_range) if kind == "bytes" else completed
    assert (kept == given)[np.broadcast_to(~hidden, images.shape)].all() and np.isfinite(completed).all()

    def error(other):
        return ((other - images) ** 2 * hidden).sum() / hidden.sum()

    assert error(completed) < 0.3 * error(gan.sample(6, seed=1))


# Retrieval


def test_neighbours_by_the_features_of_a_hand_made_discriminator():
    images = keras.Input((8, 8, 1))
    rows = layers.Lambda(lambda x: keras.ops.mean(x[..., 0], axis=2) + 1.0)(images)  # eight features: how light a row is
    gan = tiny_gan(discriminator=keras.Model(images, layers.Dense(1)(rows)))
    pictures = tiny_images(20)
    features = explore.features(gan, pictures)
    np.testing.assert_allclose(features, pictures[..., 0].mean(axis=2) + 1.0, atol=1e-6)
    indices, cosines = explore.neighbours(features[5:9], features, k=4)
    assert indices[:, 0].tolist() == [5, 6, 7, 8] and cosines[:, 0] == pytest.approx(1.0, abs=1e-6)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert (indices == np.argsort(-(unit[5:9] @ unit.T), axis=1)[:, :4]).all()
    assert (np.diff(cosines, axis=1) <= 0).all()
    doubled, _ = explore.neighbours(2 * features[5:9], features, k=4)
    assert (doubled == indices).all(), "lengths do not count"


def named_features():
    images = keras.Input((8, 8, 1))
    x = layers.Flatten()(images)
    return keras.Model(images, {"score": layers.Dense(1)(layers.Dense(5)(x)), "features": layers.Dense(7)(x)})


def rescaled_score():
    images = keras.Input((8, 8, 1))
    x = layers.Dense(5)(layers.Flatten()(images))
    return keras.Model(images, layers.Reshape(())(layers.Rescaling(2.0)(layers.Dense(1)(x))))


@pytest.mark.parametrize(
    "discriminator, size",
    [
        (named_features, 7),
        (rescaled_score, 5),
        (lambda: tiny_discriminator(spectral=True), 36),
        (lambda: gan_keras.networks.default_discriminator(shape=(8, 8, 1)), 16 * 32),
    ],
)
def test_features_are_the_head_or_what_the_score_is_made_of(discriminator, size):
    assert explore.features(tiny_gan(discriminator=discriminator()), tiny_images(3)).shape == (3, size)


def test_features_of_a_discriminator_with_labels():
    projected = gan_keras.networks.default_discriminator(num_classes=3, shape=(8, 8, 1))
    gan = tiny_gan(num_classes=3, discriminator=projected)
    one, other = (explore.features(gan, tiny_images(4), label=k) for k in (0, 2))
    assert one.shape == (4, 512) and (one == other).all(), "the projection comes after them"
    told = [explore.features(tiny_gan(num_classes=3), tiny_images(4), label=k) for k in (0, 2)]
    assert told[0].shape == (4, 16) and (told[0] != told[1]).any()


def test_features_are_those_of_the_average():
    gan = gan_keras.GAN(tiny_generator(), named_features(), ema=0.9, averaged=["discriminator"])
    before = explore.features(gan, tiny_images(4))
    gan.discriminator.set_weights([0 * w for w in gan.discriminator.get_weights()])
    assert (explore.features(gan, tiny_images(4)) == before).all() and before.any()


def test_features_of_a_vae_are_the_means():
    images = keras.Input((8, 8, 1))
    encoder = keras.Model(images, layers.Dense(2 * LATENT_DIM)(layers.Flatten()(images)))
    vae = gan_keras.VAE(tiny_generator(), encoder)
    pictures = tiny_images(300)
    np.testing.assert_allclose(explore.features(vae, pictures), encoder(pictures)[:, :LATENT_DIM], atol=1e-5)
    assert explore.invert(vae, pictures[:2], steps=2).images.shape == (2, 8, 8, 1)


# Bad input


def together(layer):
    images = keras.Input((8, 8, 1))
    return tiny_gan(discriminator=keras.Model(images, layers.Dense(1)(layers.Flatten()(layer(images)))))


def nested():
    images = keras.Input((8, 8, 1))
    return tiny_gan(discriminator=keras.Model(images, tiny_discriminator()(images)))


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: explore.generate(tiny_gan(), np.zeros((2, 7))), r"\(n, 8\), n at least 1. Received: shape \(2, 7\)"),
        (lambda: explore.generate(tiny_gan(), np.zeros((2, 8)), labels=1), "takes no labels"),
        (lambda: explore.interpolate(tiny_gan(), np.zeros(8), np.zeros(8)), r"\(rows, 8\). Received: shape \(8,\)"),
        (lambda: explore.interpolate(tiny_gan(), np.zeros((1, 8)), np.zeros((1, 8)), steps=1), "steps must be"),
        (lambda: explore.code_sheet(with_codes(), "cod"), "Did you mean 'code'"),
        (lambda: explore.code_sheet(with_codes(), "style", dimension=2), "from 0 to 1. Received: dimension=2"),
        (lambda: explore.code_sheet(with_codes(), "style", values=0), "values must be"),
        (lambda: explore.invert(tiny_gan(), np.zeros((2, 9, 9, 1), "uint8")), r"\(n, 8, 8, 1\). Received: shape \(2, 9"),
        (lambda: explore.invert(tiny_gan(), np.full((2, 8, 8, 1), 7.0)), "floats from -1 to 1. Received: float64, from 7"),
        (lambda: explore.invert(tiny_gan(), np.full((2, 8, 8, 1), np.nan)), "floats from -1 to 1"),
        (lambda: explore.invert(tiny_gan(), tiny_images(2), labels=1), "takes no labels"),
        (lambda: explore.invert(tiny_gan(), tiny_images(2), starts=0), "Received: starts=0"),
        (lambda: explore.invert(tiny_gan(), tiny_images(2), weights=np.zeros((8, 8, 1))), "some pixel of every image"),
        (lambda: explore.inpaint(tiny_gan(), tiny_images(2), np.ones((8, 8))), "must be booleans .* Received: float64"),
        (lambda: explore.inpaint(tiny_gan(), tiny_images(2), np.ones((3, 8, 8), bool)), r"Received: bool of shape \(3"),
        (lambda: explore.inpaint(tiny_gan(), tiny_images(2), np.zeros((8, 8), bool)), "visible must be True for one pixel"),
        (lambda: explore.features(together(gan_keras.layers.Packing(2)), tiny_images(4)), "together .layers.Packing"),
        (lambda: explore.features(together(gan_keras.layers.MinibatchStandardDeviation()), tiny_images(4)), "together"),
        (lambda: explore.features(nested(), tiny_images(4)), "inside another model"),
        (lambda: explore.features(gan_keras.GenerativeModel(tiny_generator()), tiny_images(4)), "Received: GenerativeModel"),
        (lambda: explore.neighbours(np.zeros((2, 3)), np.zeros((2, 4)), 1), "same number of features. Received: 3 and 4"),
        (lambda: explore.neighbours(np.zeros((2, 3)), np.full((2, 3), np.nan), 1), "must be finite"),
        (lambda: explore.neighbours(np.zeros((2, 3)), np.zeros((2, 3)), 3), "from 1 to 2"),
        (lambda: explore.neighbours(np.zeros((2, 3)), np.zeros((2, 3)), 1.5), "k must be an integer of 1 or more"),
        (lambda: explore.neighbours(np.zeros((0, 3)), np.zeros((2, 3)), 1), r"not be empty. Received: shapes \(0, 3\)"),
        (lambda: explore.invert(tiny_gan(), tiny_images(2), starts=2.5), "starts must be an integer"),
        (lambda: explore.code_sheet(with_codes(), "style", dimension=0.5), "dimension must be an integer of 0 or more"),
    ],
)
def test_what_cannot_work_is_refused(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_a_range_that_is_not_known():
    z = keras.Input((LATENT_DIM,))
    generator = keras.Model(z, layers.Reshape((8, 8, 1))(layers.Dense(64)(z)))
    gan = gan_keras.GAN(generator, tiny_discriminator())
    assert explore.generate(gan, np.zeros((1, LATENT_DIM))).shape == (1, 8, 8, 1)
    with pytest.raises(ValueError, match="does not know the range"):
        explore.invert(gan, tiny_images(2))


def test_the_page_says_what_works(mlp_run, tmp_path, monkeypatch):
    page = (pathlib.Path(__file__).parents[1] / "docs" / "explore.md").read_text()
    code = page.split("<!-- own images -->\n```python\n")[1].split("```")[0]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "default").symlink_to(mlp_run)
    monkeypatch.chdir(tmp_path)
    known = {}
    exec(code, known)
    assert known["ways"].shape == (4, 11, 28, 28, 1) and known["indices"].shape == (8, 10)
    with Image.open("ways.png") as picture:
        assert picture.size == (20 + 11 * 60 + 4, 4 * 60 + 4 + 52)


# The script


def sizes(folder):
    found = {}
    for path in sorted(folder.iterdir()):
        with Image.open(path) as picture:
            found[path.name] = picture.size
    return found


@pytest.fixture
def copied(tmp_path):
    def copy(run):
        return shutil.copytree(run, tmp_path / "run")

    return copy


TEXT = 2 * 26  # pixels of the text above and below a sheet


def test_pictures_of_a_run(mlp_run, copied, capsys):
    folder = copied(mlp_run)
    assert script.main([str(folder), "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    found = sizes(folder / "explore")
    assert found["interpolation.png"] == (10 + 664 + 10, 8 * 60 + 4 + TEXT)
    assert found["retrieval.png"][1] == 2 * (8 * 60 + 4 + TEXT)
    assert found["inversion.png"][1] == 2 * (2 * 60 + 4 + TEXT)
    assert found["inpainting.png"][1] == 2 * (3 * 60 + 4 + TEXT)
    assert set(found) == {"interpolation.png", "retrieval.png", "inversion.png", "inpainting.png"}
    assert all(str(folder / "explore" / name) in printed for name in found)
    assert "codes is left out: the latents have no part but z." in printed
    assert "map is left out: a map needs latents of 2 numbers, and those of this model have 100." in printed
    assert "with the query's label: " in printed


def test_a_row_of_the_interpolation_has_one_category(monkeypatch):
    seen = []
    between = lambda model, a, b: seen.extend([a, b]) or explore.generate(model, a)[:, np.newaxis]  # noqa: E731
    monkeypatch.setattr(script.explore, "interpolate", between)
    assert next(script.interpolation(script.Subject(None, with_codes(), seed=3)))[0] == "interpolation.png"
    first, last = seen
    assert (first[:, :3] == last[:, :3]).all() and len({tuple(row) for row in first[:, :3]}) == 3
    assert (first[:, 3:] != last[:, 3:]).all(), "the other parts change"


def test_some_pictures_of_a_conditional_run(cgan_run, copied, capsys):
    folder = copied(cgan_run)
    for _ in range(2):
        assert script.main([str(folder), "--only", "interpolation", "map"]) == 0
    found = sizes(folder / "explore")
    assert list(found) == ["interpolation.png"]
    assert found["interpolation.png"][0] > 10 + 664 + 10, "a label beside each row"
    assert "have 64" in capsys.readouterr().out


def with_model(folder, model, **settings):
    """A run folder as if `model` had been trained in it, on other data."""
    model.save(folder / "model.keras")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return folder


def test_codes_and_shares_of_neighbours(mlp_run, copied, capsys):
    prior = priors.Joint(z=priors.Normal(4), digit=priors.Categorical(3), style=priors.Uniform(2))
    gan = gan_keras.GAN(gan_keras.networks.mlp_generator(9), gan_keras.networks.mlp_discriminator(), prior=prior)
    folder = with_model(copied(mlp_run), gan, data="mnist")
    assert script.main([str(folder), "--only", "codes", "retrieval"]) == 0
    found = sizes(folder / "explore")
    assert found["codes-digit.png"][1] == 3 * 60 + 4 + TEXT
    assert found["codes-style.png"][1] == 2 * (10 * 60 + 4 + TEXT), "a sheet for each dimension"
    assert set(found) == {"codes-digit.png", "codes-style.png", "retrieval.png"}
    by_features, by_pixels = map(float, re.findall(r"(\d+\.\d)% by", capsys.readouterr().out))
    # An untrained network is near to a random projection, which keeps angles; ten classes have a tenth each by chance.
    assert 85 < by_pixels < 95 and 60 < by_features < 95


def test_a_vae_with_two_latents(mlp_run, copied, capsys):
    images = keras.Input((28, 28, 1))
    encoder = keras.Model(images, layers.Dense(4)(layers.Flatten()(images)))
    vae = gan_keras.VAE(gan_keras.networks.mlp_generator(2), encoder)
    folder = with_model(copied(mlp_run), vae)
    assert script.main([str(folder)]) == 0
    found = sizes(folder / "explore")
    assert set(found) == {"interpolation.png", "map.png", "inversion.png", "inpainting.png", "retrieval.png"}
    assert found["map.png"] == (20 * 28 * 2, 20 * 28 * 2)


def test_data_without_held_out_images(mlp_run, few_digits, copied, tmp_path, capsys):
    with np.load(few_digits) as arrays:
        np.savez(tmp_path / "train.npz", x_train=arrays["x_train"])
    folder = copied(mlp_run)
    with_model(folder, keras.models.load_model(folder / "model.keras"), data=str(tmp_path / "train.npz"))
    assert script.main([str(folder)]) == 0
    assert list(sizes(folder / "explore")) == ["interpolation.png"]
    printed = capsys.readouterr().out
    for name in ("inversion", "inpainting", "retrieval"):
        assert f"{name} is left out: the data have no held-out images." in printed


def test_wrong_inputs_are_one_line_and_exit_code_2(mlp_run, copied, tmp_path, capsys):
    points = gan_keras.GAN(gan_keras.networks.points_generator(2), gan_keras.networks.points_discriminator())
    folder = with_model(copied(mlp_run), points, data="ring", shape=[2])
    for arguments, message in (
        ([folder], "runs of images only. Received: .*run, of points"),
        ([tmp_path], "not a run folder"),
        ([mlp_run, "--only", "colours"], "invalid choice: 'colours'"),
        ([mlp_run, "--seed", "-1"], "--seed: must be from 0"),
        ([mlp_run, "--only"], "expected at least one argument"),
    ):
        assert script.main([str(argument) for argument in arguments]) == 2
        printed = capsys.readouterr()
        assert re.search(message, printed.err) and printed.err.count("\n") == 1 and not printed.out
    assert not (folder / "explore").exists() and not (mlp_run / "explore").exists()
