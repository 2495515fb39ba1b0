"""Pictures for people: grids of samples, animations, curves."""

import pathlib

import numpy as np
from PIL import Image


def to_uint8(images, value_range):
    """Images in `value_range` as bytes, 0 to 255, rounded; what lies outside is clipped."""
    low, high = value_range
    return np.rint(np.clip((np.asarray(images) - low) / (high - low), 0.0, 1.0) * 255.0).astype("uint8")


def grid(images, columns=None, scale=2, gap=2):
    """Tile images into one picture.

    Args:
        images: uint8 array (n, height, width, 1 or 3).
        columns: Images in a row; by default as many as make the picture square.
        scale: Whole number by which pixels are enlarged.
        gap: Pixels between images, before enlarging.

    Returns:
        `PIL.Image.Image`.
    """
    n, height, width, channels = images.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    page = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), 32, "uint8")
    for k, image in enumerate(images):
        top, left = gap + k // columns * (height + gap), gap + k % columns * (width + gap)
        page[top : top + height, left : left + width] = image
    page = page.repeat(scale, axis=0).repeat(scale, axis=1)
    return Image.fromarray(page[..., 0] if channels == 1 else page)


def animation(pictures, path, frames=60, seconds=6.0):
    """Write picture files as an animated GIF that rests on the last one.

    Args:
        pictures: Paths of pictures of one size, in order.
        path: Where to write the GIF.
        frames: At most so many of the pictures are taken, evenly spread, first and last included.
        seconds: Length of one round, without the rest at the end.
    """
    pictures = list(pictures)
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(frames, len(pictures))).round().astype(int))
    images = []
    for index in chosen:
        with Image.open(pictures[index]) as image:
            images.append(image.convert("P"))
    durations = [int(1000 * seconds / len(images))] * (len(images) - 1) + [2000]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def curves(history, path):
    """Plot every column of a history file against its steps: losses, penalties and distances above, accuracies below.

    Args:
        history: Path of a CSV file with a column `step`, as `callbacks.HistoryFile` writes it.
        path: Where to write the picture.
    """
    # matplotlib is slow to import, and only this function needs it. The object interface leaves the user's backend alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    table = np.genfromtxt(history, delimiter=",", names=True, ndmin=1)
    names = [name for name in table.dtype.names if name not in ("step", "seconds")]
    figure = Figure(figsize=(9, 7), layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracies = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    marker = "." if len(table) < 30 else ""
    for name in names:
        axes = accuracies if "_acc_" in name else losses
        axes.plot(table["step"], table[name], label=name, linewidth=1, marker=marker)
    accuracies.axhline(0.5, color="grey", linewidth=0.8, linestyle=":", label="ideal")
    accuracies.set(xlabel="step", ylabel="discriminator's accuracy", ylim=(-0.02, 1.02))
    losses.set(ylabel="loss", title=pathlib.Path(history).resolve().parent.name)
    for axes in (losses, accuracies):
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def manifold(gan, columns=20, spread=2.0):
    """The images of a GAN with two latent dimensions over a regular grid of latents: what lies between digits.

    Args:
        gan: A `GAN` with `latent_dim` 2, unconditional.
        columns: Points on each side.
        spread: The grid covers [-spread, spread]^2, in standard deviations.

    Returns:
        `PIL.Image.Image`.
    """
    if gan.latent_dim != 2 or gan.conditional:
        raise ValueError(
            f"A manifold needs an unconditional GAN with latent_dim=2. Received: latent_dim={gan.latent_dim}"
        )
    axis = np.linspace(-spread, spread, columns, dtype="float32")
    latents = np.stack(np.meshgrid(axis, -axis), axis=-1).reshape(-1, 2)
    images = gan.predict(latents, verbose=0)
    return grid(to_uint8(images, gan.value_range), columns, gap=0)
