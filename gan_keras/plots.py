"""Pictures: grids of samples, animations, curves."""

import pathlib
from typing import NamedTuple

import numpy as np
from PIL import Image


def to_uint8(images, value_range):
    """Images in `value_range` as uint8, rounded and clipped.

    Raises:
        ValueError: A pixel is NaN or infinite.
    """
    low, high = value_range
    if not np.isfinite(images).all():
        raise ValueError("The images contain NaN or infinite pixels, so there is nothing to show or measure.")
    return np.rint(np.clip((np.asarray(images) - low) / (high - low), 0.0, 1.0) * 255.0).astype("uint8")


# Pixels on a side: of images that are enlarged, of a page, of an animation.
_SMALL, _PAGE, _ANIMATION = 64, 2048, 1024
_GAP = 2


def grid(images, columns=None, scale=None, gap=_GAP):
    """Tile images into one picture.

    Args:
        images: uint8 array (n, height, width, 1 or 3), or with the channels first.
        columns: Images in a row; by default so that the picture is square.
        scale: Integer by which pixels are enlarged; by default 2 for images of up to 64 pixels on a side, else 1.
        gap: Pixels between images, before enlarging.

    Returns:
        `PIL.Image.Image`.
    """
    if images.shape[-1] not in (1, 3):
        images = np.moveaxis(images, 1, -1)
    n, height, width, channels = images.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    scale = scale or (2 if max(height, width) <= _SMALL else 1)
    rows = -(-n // columns)
    page = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), 32, "uint8")
    for k, image in enumerate(images):
        top, left = gap + k // columns * (height + gap), gap + k % columns * (width + gap)
        page[top : top + height, left : left + width] = image
    page = page.repeat(scale, axis=0).repeat(scale, axis=1)
    return Image.fromarray(page[..., 0] if channels == 1 else page)


def page_of(shape):
    """The number of images of a shape (height, width, channels) on a square page of 2,048 pixels: a square from 1 to 100."""
    return min(10, max(1, _PAGE // (max(shape) + _GAP))) ** 2


def animation(pictures, path, frames=60, seconds=6.0):
    """Write picture files as an animated GIF that pauses at the last one. Larger pictures are shrunk to 1,024 pixels on a side.

    Args:
        pictures: Paths of pictures of one size, in order.
        path: Where to write the GIF.
        frames: The maximum number of pictures, which are evenly spaced and include the first and the last.
        seconds: Length of the animation, without the pause at the end.
    """
    pictures = list(pictures)
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(frames, len(pictures))).round().astype(int))
    images = []
    for index in chosen:
        with Image.open(pictures[index]) as image:
            image.thumbnail((_ANIMATION, _ANIMATION))
            images.append(image.convert("P"))
    durations = [int(1000 * seconds / len(images))] * (len(images) - 1) + [2000]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def curves(history, path):
    """Plot every column of a history file over the steps: losses, penalties and distances above, accuracies, if any, below.

    Args:
        history: Path of a CSV file with a column `step`, as `callbacks.HistoryFile` writes it.
        path: Where to write the picture.
    """
    table = np.genfromtxt(history, delimiter=",", names=True, ndmin=1)
    names = [name for name in table.dtype.names if name not in ("step", "seconds")]
    accuracies = [name for name in names if "_acc_" in name]
    figure = _figure(9, 7)
    panels = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1)) if accuracies else [figure.subplots()]
    marker = "." if len(table) < 30 else ""
    for name in names:
        axes = panels[-1 if name in accuracies else 0]
        axes.plot(table["step"], table[name], label=name, linewidth=1, marker=marker)
    if accuracies:
        panels[-1].axhline(0.5, color="grey", linewidth=0.8, linestyle=":", label="ideal")
        panels[-1].set(ylabel="discriminator's accuracy", ylim=(-0.02, 1.02))
    panels[0].set(ylabel="loss", title=pathlib.Path(history).resolve().parent.name)
    panels[-1].set(xlabel="step")
    for axes in panels:
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def points(samples, real, path, title=""):
    """Plot generated points over the density of real ones (two dimensions), or two histograms (one dimension).

    Args:
        samples, real: Arrays (n, d), d 1 or 2. Points outside the region of the real ones are not shown.
        path: Where to write the picture.
        title: Text above it.
    """
    figure = _figure(5, 5 if real.shape[1] == 2 else 3)
    axes = figure.subplots()
    low, high = real.min(axis=0), real.max(axis=0)
    margin = np.where(high > low, 0.15 * (high - low), 1.0)  # equal points need some room too
    ranges = np.stack([low - margin, high + margin], axis=1)
    if real.shape[1] == 2:
        counts, _, _ = np.histogram2d(*real.T, bins=200, range=ranges)
        axes.imshow(np.log1p(counts.T), origin="lower", extent=ranges.ravel(), cmap="Greys", aspect="equal")
        axes.plot(*samples.T, ".", color="tab:red", markersize=2, alpha=0.5)
        axes.set(xlim=ranges[0], ylim=ranges[1])
    else:
        options = {"bins": 120, "range": ranges[0], "density": True}
        axes.hist(real[:, 0], label="real", color="silver", histtype="stepfilled", **options)
        axes.hist(samples[:, 0], label="generated", color="tab:red", histtype="step", **options)
        axes.legend(fontsize=8)
    axes.set_title(title, fontsize=10)
    figure.savefig(path, dpi=110)


def sheets(images, neighbours, path, confidence=None, classes=None, real_classes=None, title=""):
    """One picture with several sheets of samples.

    Samples; samples above their nearest training images; and, with a classifier, the frequencies of the classes and the samples
    with the lowest and highest confidence.

    Args:
        images: uint8 samples (n, height, width, 1 or 3), 100 or more for full sheets.
        neighbours: The nearest training images of the first samples, uint8, about 30.
        path: Where to write the picture.
        confidence: (n,) the probability of the predicted class of each sample, or `None`.
        classes, real_classes: (n,), (m,) the predicted class of each sample and of each real image, or `None`.
        title: Text above it.
    """
    rows = 1 if confidence is None else 2
    figure = _figure(15, 5.4 * rows)
    figure.suptitle(title)
    panels = figure.subplots(rows, 3 if rows == 2 else 2).ravel()
    paired = images[: len(neighbours)], neighbours
    pairs = np.concatenate([part[k : k + 10] for k in range(0, len(neighbours), 10) for part in paired])
    _show(panels[0], images[:100], "samples")
    _show(panels[1], pairs, "samples, each above its nearest training image")
    if confidence is not None:
        order = np.argsort(confidence, kind="stable")
        _show(panels[3], images[order[:100]], "the classifier was least sure of")
        _show(panels[4], images[order[::-1][:100]], "the classifier was most sure of")
        number = int(max(classes.max(), real_classes.max())) + 1
        for values, name, shift in ((real_classes, "real", -0.2), (classes, "generated", 0.2)):
            shares = np.bincount(values, minlength=number) / len(values)
            panels[2].bar(np.arange(number) + shift, shares, 0.4, label=name)
        panels[2].set(title="share of each class", xlabel="class", xticks=range(number))
        panels[2].legend()
        panels[5].hist(confidence, bins=np.linspace(0, 1, 41), color="tab:orange", log=True)
        panels[5].set(title="the classifier's confidence", xlabel="probability of the likeliest class", ylabel="samples")
    figure.savefig(path, dpi=100)


class Panel(NamedTuple):
    """Images in rows and columns, with titles: a part of a picture of `labelled`."""

    images: np.ndarray  # uint8 (rows, columns, height, width, 1 or 3)
    title: str = ""
    rows: tuple = ()  # a name for each row, to its left
    columns: tuple = ()  # a name for each column, below it


def labelled(panels, path):
    """Draw `Panel`s below each other.

    Args:
        panels: List of `Panel`s.
        path: Where to write the picture.
    """
    pictures = [grid(np.concatenate(panel.images), panel.images.shape[1]) for panel in panels]
    for picture in pictures:
        picture.thumbnail((_PAGE, _PAGE))
    line, letter = 26, 7  # pixels: of a line of text, of a letter
    left = 10 + letter * max(len(name) for panel in panels for name in ("", *panel.rows))
    titles = max(letter * len(panel.title) for panel in panels)
    width = left + 10 + max(titles, *(picture.width for picture in pictures))
    height = sum(picture.height + 2 * line for picture in pictures)
    figure = _figure(width / 100, height / 100, layout="none")
    top = 0
    for panel, picture in zip(panels, pictures):
        bottom = top + line + picture.height
        # Placed by the pixel, so that no pixel of an image is blurred.
        axes = figure.add_axes((left / width, 1 - bottom / height, picture.width / width, picture.height / height))
        axes.imshow(picture.convert("RGB"), interpolation="none", aspect="auto")
        axes.set_title(panel.title, loc="left", fontsize=9, pad=5)
        for axis, names, number, size in (
            (axes.xaxis, panel.columns, panel.images.shape[1], picture.width),
            (axes.yaxis, panel.rows, panel.images.shape[0], picture.height),
        ):
            axis.set_ticks((np.arange(len(names)) + 0.5) * size / number, names, fontsize=8)
        axes.tick_params(length=0)
        axes.set_frame_on(False)
        top = bottom + line
    figure.savefig(path, dpi=100)


def _show(axes, images, title):
    axes.imshow(np.asarray(grid(images, columns=10)), cmap="gray", vmin=0, vmax=255)
    axes.set_title(title)
    axes.axis("off")


def _figure(width, height, layout="constrained"):
    # matplotlib is slow to import, and not always needed. The object interface does not change the user's backend.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def manifold(gan, columns=20, spread=2.0):
    """The images of a GAN with two latent dimensions over a regular grid of latents.

    Args:
        gan: A `GAN` with `latent_dim` 2, unconditional.
        columns: Points on each side.
        spread: The grid covers [-spread, spread]^2, in standard deviations.

    Returns:
        `PIL.Image.Image`.

    Raises:
        ValueError: The GAN is of another kind.
    """
    if gan.latent_dim != 2 or gan.conditional:
        raise ValueError(f"A manifold needs an unconditional GAN with latent_dim=2. Received: latent_dim={gan.latent_dim}")
    axis = np.linspace(-spread, spread, columns, dtype="float32")
    latents = np.stack(np.meshgrid(axis, -axis), axis=-1).reshape(-1, 2)
    images = gan(latents, training=False).numpy()
    return grid(to_uint8(images, gan.value_range), columns, gap=0)
