"""Toy distributions with known modes and densities: points in one and two dimensions, and stacked digits.

`data.load("ring")` and so on return them as data sets.
"""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Toy:
    """A distribution of points.

    Attributes:
        name, source: Its name, and the paper that used it first.
        draw: Function from (n, NumPy generator) to points (n, d) and the number of the mode of each.
        centers: (modes, d) for a mixture of Gaussians, else `None`.
        deviation: Standard deviation of each mode, or of the noise.
    """

    name: str
    source: str
    draw: Callable
    deviation: float
    centers: np.ndarray | None = None

    def sample(self, n, seed=0):
        """`n` points, a pure function of the seed: float32 (n, d), and int32 (n,) the mode of each (0 where there are none)."""
        points, modes = self.draw(n, np.random.default_rng(seed))
        return points.astype("float32"), modes.astype("int32")


def mixture(name, source, centers, deviation):
    """Equally likely Gaussians with the same deviation around `centers` (modes, d)."""
    centers = np.asarray(centers, float)

    def draw(n, rng):
        modes = rng.integers(len(centers), size=n)
        return centers[modes] + deviation * rng.standard_normal((n, centers.shape[1])), modes

    return Toy(name, source, draw, deviation, centers)


def _swiss_roll(n, rng):
    # A turn and a half, from radius 1/3 to 1.
    angle = 1.5 * np.pi * (1.0 + 2.0 * rng.uniform(size=n))
    points = np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1) / (4.5 * np.pi)
    return points + 0.02 * rng.standard_normal((n, 2)), np.zeros(n)


# Eight angles without the end point: with it, as in the Unrolled GAN notebook, the first mode is also the last, and there are seven.
_ANGLES = 2 * np.pi * np.arange(8) / 8

_PACGAN = "Lin et al. 2018, PacGAN, section 4.1"

TOYS = {
    toy.name: toy
    for toy in (
        mixture("ring", _PACGAN, np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1), 0.01),
        mixture("grid", _PACGAN, [(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)], 0.05),
        Toy("swiss_roll", "Gulrajani et al. 2017, figure 1, in two dimensions", _swiss_roll, 0.02),
        mixture("gaussians", "one dimension, three modes; chosen here", [[-2.0], [0.0], [3.0]], 0.25),
    )
}


def stack_digits(images, labels, n, seed=0):
    """Three random digits as red, green and blue of one image: 1,000 modes, equally likely up to the frequencies of digits.

    Args:
        images, labels: uint8 (m, height, width, 1) and integers (m,) from 0 to 9.
        n: Number of stacked images.
        seed: Seed of the choice.

    Returns:
        images: uint8 (n, height, width, 3).
        labels: int32 (n,), 100 red + 10 green + blue.

    Metz et al. 2017, "Unrolled Generative Adversarial Networks", section 3.3.1.
    """
    chosen = np.random.default_rng(seed).integers(len(images), size=(n, 3))
    stacked = np.empty((n, *images.shape[1:3], 3), "uint8")
    for channel in range(3):
        stacked[..., channel] = images[chosen[:, channel], ..., 0]
    return stacked, (labels[chosen] @ [100, 10, 1]).astype("int32")
