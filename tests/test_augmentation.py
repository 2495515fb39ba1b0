"""DiffAugment: what each change does to an image, and how its gradient flows."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_keras.layers import DiffAugment


def draws(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, size=shape).astype("float32")


def augmented(images, *policy, **options):
    return DiffAugment(policy, **{"seed": 1, **options})(images, training=True).numpy()


def slope(layer, images):
    """The gradient of the sum over the augmented images."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        made = layer(images, training=True)
        total = tf.reduce_sum(made)
    return made.numpy(), tape.gradient(total, images).numpy()


def test_nothing_is_changed_at_inference():
    x = draws(4, 8, 6, 3)
    assert (DiffAugment()(x).numpy() == x).all() and (DiffAugment()(x, training=False).numpy() == x).all()
    assert (augmented(x) == x).all(), "nor by an empty policy"


# Colour.


def test_brightness_is_uniform_within_a_half_and_keeps_the_mean():
    made = augmented(np.full((4000, 2, 2, 3), 0.25, "float32"), "color")
    assert np.ptp(made, axis=(1, 2, 3)).max() < 1e-6, "a uniform image stays uniform"
    shift = made[:, 0, 0, 0] - 0.25
    assert abs(shift.mean()) < 0.02 and abs(shift.std() - 12**-0.5) < 0.02  # four deviations of the mean
    assert -0.5 <= shift.min() < -0.49 and 0.49 < shift.max() <= 0.5


def test_contrast_of_grey_images_is_scaled_by_a_half_to_three_halves_about_the_mean():
    x = np.repeat(draws(1, 4, 4, 1), 2000, axis=0)
    made = augmented(x, "color")
    centred = made - made.mean(axis=(1, 2, 3), keepdims=True)
    factor = centred[:, 0, 0, 0] / (x - x.mean(axis=(1, 2, 3), keepdims=True))[:, 0, 0, 0]
    np.testing.assert_allclose(centred, factor[:, None, None, None] * (x - x.mean(axis=(1, 2, 3), keepdims=True)), atol=1e-5)
    assert 0.5 <= factor.min() < 0.51 and 1.49 < factor.max() <= 1.5 and abs(factor.mean() - 1) < 0.03


def test_saturation_scales_the_colours_by_zero_to_two_about_their_mean():
    # Without a difference between pixels, contrast and saturation multiply. Without one between channels, contrast is alone.
    x = np.zeros((2000, 4, 1, 2), "float32")
    x[:, 0, :, :] = 0.4  # brighter
    x[:, :, :, 0] += 0.1  # redder
    made = augmented(x, "color")
    contrast = (made.mean(axis=3)[:, 0] - made.mean(axis=3)[:, 1])[:, 0] / 0.4
    saturation = (made[..., 0] - made[..., 1])[:, 0, 0] / 0.1 / contrast
    assert -1e-4 <= saturation.min() < 0.02 and 1.98 < saturation.max() <= 2.0001 and abs(saturation.mean() - 1) < 0.06
    assert abs(np.corrcoef(saturation, contrast)[0, 1]) < 0.1


# Translation.


@pytest.mark.parametrize("height, width, most", [(16, 24, (2, 3)), (8, 8, (1, 1)), (28, 32, (4, 4)), (3, 3, (0, 0))])
def test_a_pixel_moves_by_at_most_an_eighth_of_the_side_and_equally_often_by_each(height, width, most):
    x = np.full((1500, height, width, 2), -1.0, "float32")
    x[:, height // 2, width // 2] = [0.3, 0.7]
    made = augmented(x, "translation", fill_value=-1.0)
    image, row, column = np.nonzero(made[..., 0] > 0)
    assert (image == np.arange(1500)).all(), "it is there once"
    np.testing.assert_array_equal(made[image, row, column], x[:, height // 2, width // 2])
    assert (made[..., 0] > -1).sum() == 1500
    for moved, limit in zip((row - height // 2, column - width // 2), most):
        counts = np.bincount(moved + limit, minlength=2 * limit + 1)
        assert len(counts) == 2 * limit + 1 and counts.min() > 0.7 * 1500 / len(counts)
    if min(most):
        assert abs(np.corrcoef(row, column)[0, 1]) < 0.1


def test_what_moves_in_from_outside_is_the_fill_value():
    x = np.broadcast_to(np.arange(1.0, 17.0, dtype="float32")[:, None, None], (200, 16, 16, 1))
    made = augmented(x, "translation", fill_value=-7.0)
    rows, columns = (made != -7.0).any(axis=(2, 3)), (made != -7.0).any(axis=(1, 3))
    assert {int(kept.sum()) for kept in rows} == {int(kept.sum()) for kept in columns} == {14, 15, 16}
    kept = made != -7.0
    assert (kept[..., 0] == rows[:, :, None] & columns[:, None, :]).all(), "a rectangle is left"
    first = made.max(axis=(2, 3))
    assert (np.diff(first, axis=1)[rows[:, 1:] & rows[:, :-1]] == 1.0).all(), "of neighbours that stay neighbours"


# Cutout.


@pytest.mark.parametrize("height, width, side", [(8, 12, (4, 6)), (7, 5, (4, 3)), (28, 28, (14, 14))])
def test_cutout_sets_a_rectangle_of_half_of_each_side(height, width, side):
    x = draws(1500, height, width, 2)
    made = augmented(x, "cutout", fill_value=9.0)
    cut = (made == 9.0).all(axis=3)
    assert ((made == 9.0).any(axis=3) == cut).all() and (made[~cut] == x[~cut]).all()
    rows, columns = cut.any(axis=2), cut.any(axis=1)
    assert (cut == rows[:, :, None] & columns[:, None, :]).all()
    for inside, size, length in zip((rows, columns), (height, width), side):
        steps = np.diff(np.pad(inside, ((0, 0), (1, 1))).astype(int), axis=1)
        assert (np.abs(steps).sum(axis=1) == 2).all(), "in one piece"
        # About every pixel, and for an even side about every gap between pixels, as often.
        middles = np.arange(length % 2, size + 1) - length % 2
        spans = [(max(m - length // 2, 0), min(m - length // 2 + length, size)) for m in middles]
        found = list(zip(steps.argmax(axis=1), steps.argmin(axis=1)))
        counts = [found.count(span) for span in spans]
        assert set(found) == set(spans) and min(counts) > 0.5 * 1500 / len(spans)


# Affine.


def sources(height=24, width=32, number=1500, **options):
    """Where each pixel is taken from: an image of its own rows and columns, counted from the middle, tells; and where inside."""
    rows, columns = np.mgrid[:height, :width].astype("float32")
    x = np.stack([rows - (height - 1) / 2, columns - (width - 1) / 2, np.ones_like(rows)], axis=-1)
    made = augmented(np.repeat(x[None], number, axis=0), "affine", fill_value=0.0, **options)
    return x[..., :2], made[..., :2], made[..., 2] > 1 - 1e-6


def test_affine_turns_stretches_and_shears_about_the_middle():
    x, made, inside = sources()
    maps = []
    for image, known in zip(made, inside):
        assert 0.5 < known.mean() <= 1.0
        solution = np.linalg.lstsq(x[known], image[known], rcond=None)[0].T
        np.testing.assert_allclose(x[known] @ solution.T, image[known], atol=1e-3)  # linear, and the middle stays where it is
        maps.append(solution)
    maps = np.stack(maps)
    # Its columns are what one step down and one to the right become: (tall, shear) and (0, wide), turned by the angle.
    angle = np.arctan2(-maps[:, 0, 1], maps[:, 1, 1])
    turn = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    wide = np.linalg.norm(maps[:, :, 1], axis=1)
    tall = np.linalg.det(maps) / wide
    shear = -turn[:, 1] * maps[:, 0, 0] + turn[:, 0] * maps[:, 1, 0]
    for found, low, high in ((np.degrees(angle), -15, 15), (tall, 0.8, 1.2), (wide, 0.8, 1.2), (shear, -0.35, 0.35)):
        edge = 0.02 * (high - low)
        assert low - 1e-3 < found.min() < low + edge and high - edge < found.max() < high + 1e-3
        assert abs(found.mean() - (low + high) / 2) < 2 * edge
    assert np.abs(np.corrcoef([angle, tall, wide, shear]) - np.eye(4)).max() < 0.12


def test_affine_fills_what_comes_from_outside_and_passes_the_gradient():
    made, gradient = slope(DiffAugment("affine", fill_value=0.25, seed=1), np.full((50, 16, 16, 1), 0.25, "float32"))
    np.testing.assert_allclose(made, 0.25, atol=1e-6)
    made, gradient = slope(DiffAugment("affine", fill_value=0.0, seed=1), np.ones((50, 16, 16, 1), "float32"))
    assert made.min() == 0.0 and made.max() == pytest.approx(1.0, abs=1e-6)
    # What is drawn is linear in the image, so that the sum of the result is that of gradient times image.
    np.testing.assert_allclose(gradient.sum(axis=(1, 2, 3)), made.sum(axis=(1, 2, 3)), rtol=1e-4)


# Draws.


def test_each_image_and_each_call_has_draws_of_its_own():
    layer, x = DiffAugment(seed=3), np.repeat(draws(1, 8, 8, 1), 6, axis=0)
    one, other = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    assert len(np.unique(one.reshape(6, -1), axis=0)) == 6 and (one != other).any(axis=(1, 2, 3)).all()
    again = DiffAugment(seed=3)
    assert (again(x, training=True).numpy() == one).all() and (again(x, training=True).numpy() == other).all()


# Gradients.


def test_translation_and_cutout_pass_the_gradient_to_the_pixels_that_remain():
    x = np.arange(1.0, 1.0 + 50 * 8 * 8 * 2, dtype="float32").reshape(50, 8, 8, 2)  # every value once
    made, gradient = slope(DiffAugment(("translation", "cutout"), seed=1), x)
    np.testing.assert_array_equal(gradient, np.isin(x, made).astype("float32"))
    assert 0.5 < gradient.mean() < 0.9


def test_colour_keeps_the_sum_of_gradients():
    # Saturation and contrast keep the mean of an image, and brightness adds to it.
    _, gradient = slope(DiffAugment("color"), draws(5, 6, 4, 3))
    np.testing.assert_allclose(gradient, 1.0, atol=1e-5)


ALL = ("color", "translation", "cutout", "affine")


def test_the_gradient_of_a_gradient_flows():
    layer, x = DiffAugment(ALL, seed=1), tf.constant(draws(4, 8, 8, 1))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(layer(x, training=True) ** 3)
        norm = tf.reduce_sum(tf.square(inner.gradient(y, x)))
    second = outer.gradient(norm, x).numpy()
    assert np.isfinite(second).all() and np.abs(second).max() > 0.1


# Anywhere.


def test_with_xla_it_makes_the_same_images():
    x = draws(6, 9, 7, 3)
    plain, compiled = DiffAugment(ALL, seed=5), DiffAugment(ALL, seed=5)
    function = tf.function(lambda x: compiled(x, training=True), jit_compile=True)
    for _ in range(2):
        np.testing.assert_allclose(function(x), plain(x, training=True), atol=1e-5)


@pytest.mark.parametrize("dtype, rounding", [("mixed_bfloat16", 2e-2), ("mixed_float16", 2e-3)])
def test_in_16_bits_it_makes_nearly_the_same_images(dtype, rounding):
    x = draws(6, 8, 8, 3)
    made = DiffAugment(ALL, seed=5, dtype=dtype)(x, training=True)
    assert made.dtype == dtype.removeprefix("mixed_")
    np.testing.assert_allclose(tf.cast(made, "float32"), DiffAugment(ALL, seed=5)(x, training=True), atol=rounding)
    large = DiffAugment("color", dtype=dtype)(np.ones((1, 300, 300, 3), "float32"), training=True)
    assert np.isfinite(tf.cast(large, "float32")).all()


def test_the_arguments_are_saved():
    layer = DiffAugment(["cutout", "color"], fill_value=-1.0, seed=4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    x = draws(3, 8, 8, 1)
    assert (again(x, training=True).numpy() == layer(x, training=True).numpy()).all()
    assert again.get_config()["policy"] == ["cutout", "color"]
    assert DiffAugment("cutout").policy == ["cutout"]


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: DiffAugment(["colour"]), "'colour'. Did you mean 'color'"),
        (lambda: DiffAugment()(draws(4, 8, 8)), r"Received: an input of shape \(4, 8, 8\)"),
        (lambda: DiffAugment()(keras.Input((None, 8, 1))), r"fixed size. Received: an input of shape \(None, None, 8, 1\)"),
    ],
)
def test_what_cannot_work_is_refused(act, message):
    with pytest.raises(ValueError, match=message):
        act()
