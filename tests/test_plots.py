import warnings

import numpy as np
import pytest
from helpers import tiny_gan
from PIL import Image

from gan_keras import plots


@pytest.mark.parametrize("value_range", [(-1.0, 1.0), (0.0, 1.0)])
def test_bytes_of_every_value(value_range):
    low, high = value_range
    every = np.arange(256, dtype="float32")
    assert (plots.to_uint8(every / 255 * (high - low) + low, value_range) == np.arange(256)).all()
    assert plots.to_uint8([low - 5, high + 5], value_range).tolist() == [0, 255]


def test_grid_places_images_row_by_row():
    images = np.arange(5, dtype="uint8")[:, None, None, None] * np.ones((1, 4, 3, 1), "uint8") + 100
    page = np.asarray(plots.grid(images, columns=3, scale=2, gap=1))
    assert page.shape == (2 * (2 * 5 + 1), 2 * (3 * 4 + 1))
    centres = [page[2 * (1 + row * 5 + 2), 2 * (1 + column * 4 + 1)] for row in range(2) for column in range(3)]
    assert centres == [100, 101, 102, 103, 104, 32]


@pytest.mark.parametrize("side, pixels", [(28, 2 * (28 + 4)), (64, 2 * (64 + 4)), (65, 65 + 4)])
def test_small_images_are_enlarged(side, pixels):
    assert plots.grid(np.zeros((1, side, side, 1), "uint8")).size == (pixels, pixels)


@pytest.mark.parametrize(
    "shape, n", [((28, 28, 1), 100), ((3, 64, 64), 100), ((200, 200, 3), 100), ((256, 256, 3), 49), ((700, 500, 3), 4)]
)
def test_a_page_has_about_2048_pixels_at_most(shape, n):
    assert plots.page_of(shape) == n
    assert max(plots.grid(np.zeros((n, *shape), "uint8")).size) <= 2050
    assert plots.page_of((4096, 4096, 3)) == 1


def test_grid_in_colour():
    assert np.asarray(plots.grid(np.zeros((4, 5, 5, 3), "uint8"))).shape[2] == 3


def test_animation_keeps_the_first_and_the_last_picture(tmp_path):
    paths = []
    for k in range(30):
        paths.append(tmp_path / f"{k:02}.png")
        Image.new("L", (8, 8), 8 * k).save(paths[-1])
    plots.animation(paths, tmp_path / "a.gif", frames=7)
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.n_frames == 7
        values = []
        for frame in range(7):
            animation.seek(frame)
            values.append(animation.convert("L").getpixel((0, 0)))
    assert values[0] == 0 and values[-1] == 232 and values == sorted(values)


def test_large_pictures_are_shrunk_and_small_ones_are_not(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (2048, 1536), "uint8")
    for width, expected in ((1536, (768, 1024)), (600, (600, 600))):
        Image.fromarray(noise if width > 1024 else noise[:600, :600]).save(tmp_path / "a.png")
        plots.animation([tmp_path / "a.png"], tmp_path / "a.gif")
        with Image.open(tmp_path / "a.gif") as animation:
            assert animation.size == expected
            shown = np.asarray(animation.convert("L"))
    assert (shown == noise[:600, :600]).all()


def test_curves_draws_every_column(tmp_path):
    values = {"step": (10, 20), "seconds": (1, 2), "d_loss": (1.4, 1.3), "g_loss": (0.7, 0.8), "d_acc_real": (0.5, 0.6)}

    def drawn(**changed):
        columns = {**values, **changed}
        rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values()))]
        (tmp_path / "history.csv").write_text("\n".join(rows) + "\n")
        plots.curves(tmp_path / "history.csv", tmp_path / "losses.png")
        return opened(tmp_path / "losses.png")

    picture = drawn()
    for name in ("step", "d_loss", "g_loss", "d_acc_real"):
        assert (drawn(**{name: (values[name][0], values[name][1] * 0.9)}) != picture).any(), name
    assert (drawn(seconds=(5, 7)) == picture).all(), "the x axis is the steps"
    (tmp_path / "one.csv").write_text("step,seconds,d_loss\n10,1,1.4\n")
    plots.curves(tmp_path / "one.csv", tmp_path / "one.png")
    # A panel is between two horizontal lines; one of accuracies is drawn only if there are any.
    lines = [((image < 50).all(axis=-1).mean(axis=1) > 0.7) for image in (picture, opened(tmp_path / "one.png"))]
    assert [np.count_nonzero(np.diff(line.astype(int)) == 1) for line in lines] == [4, 2]


def test_manifold_needs_two_latent_dimensions():
    with pytest.raises(ValueError, match="latent_dim=2. Received: latent_dim=8"):
        plots.manifold(tiny_gan())


def opened(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_points_are_drawn_over_the_density(tmp_path):
    real = np.random.default_rng(0).normal(size=(2000, 2))
    for k, samples in enumerate((real + 50.0, real[:500])):
        plots.points(samples, real, tmp_path / f"{k}.png")
    outside, inside = (opened(tmp_path / f"{k}.png").astype(int) for k in (0, 1))
    red = [((p[..., 0] - p[..., 1]) > 60).sum() for p in (outside, inside)]
    assert red[0] == 0 and red[1] > 500  # what lies outside the real region is not shown
    plots.points(real[:, :1], real[:, 1:], tmp_path / "line.png", "title")
    assert opened(tmp_path / "line.png").shape[1] > 300


@pytest.mark.parametrize("dimensions", [1, 2])
def test_equal_points_are_drawn(dimensions, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.points(np.full((9, dimensions), 7.0), np.full((9, dimensions), 7.0), tmp_path / "equal.png")
    assert opened(tmp_path / "equal.png").shape[1] > 300


def test_sheets_show_samples_neighbours_and_extremes(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (120, 8, 8, 1)).astype("uint8")
    plots.sheets(images, images[:25], tmp_path / "two.png")
    plots.sheets(
        images,
        images[:25],
        tmp_path / "six.png",
        confidence=rng.uniform(size=120),
        classes=rng.integers(3, size=120),
        real_classes=rng.integers(4, size=300),
        title="a run",
    )
    two, six = (opened(tmp_path / name).shape for name in ("two.png", "six.png"))
    assert six[1] == two[1] and six[0] > 1.8 * two[0]


def test_nan_is_not_shown():
    with pytest.raises(ValueError, match="NaN or infinite"):
        plots.to_uint8(np.array([0.0, np.nan]), (0, 1))


def test_labelled_images_are_not_blurred_and_their_names_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    sheets = [rng.integers(0, 256, (rows, 3, 9, 7, channels), "uint8") for rows, channels in ((2, 1), (1, 3))]

    def drawn(**names):
        plots.labelled([plots.Panel(sheets[0], **names), plots.Panel(sheets[1])], tmp_path / "a.png")
        return opened(tmp_path / "a.png")

    plain, top = drawn(), 26
    for sheet in sheets:
        expected = np.asarray(plots.grid(sheet.reshape(-1, *sheet.shape[2:]), 3).convert("RGB"))
        assert (plain[top : top + expected.shape[0], 10 : 10 + expected.shape[1]] == expected).all()
        top += expected.shape[0] + 2 * 26
    assert plain.shape[0] == top - 26
    title, rows, columns = drawn(title="title"), drawn(rows=("one", "two")), drawn(columns=("a", "b", "c"))
    assert (title[:26] != plain[:26, : title.shape[1]]).any() and (columns != plain).any()
    left = rows.shape[1] - plain.shape[1]
    assert left > 0 and (rows[:, left + 10 :] == plain[:, 10:]).all() and (rows[26:, :left] < 128).any()
