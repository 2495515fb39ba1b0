"""Draw what a trained run has learned: between its latents, along its codes, of images it has not seen. See docs/explore.md."""

import dataclasses
import functools
import pathlib
import sys
import time

from gan_keras_scripts import common  # first: it sets the environment up

import numpy as np

from gan_keras import explore, plots, priors
from gan_keras.pretrained import opened
from gan_keras.runs import Run

_COLUMNS, _CLASSES = 10, 50
_HIDDEN = 64  # the grey of what is hidden
_DIMENSIONS = 10  # of a part of the latents that are drawn at most
_QUERIES, _REFERENCES = 500, 10_000  # of which the shares are counted; eight of the queries are shown
_NUMBERS = 50_000_000  # in all pixels of the references: fewer of large images, for memory's sake


class LeftOut(Exception):
    """A picture that a run has not; the message says why."""


def parse(argv):
    parser = common.Parser(description=__doc__)
    parser.add_argument("run", metavar="DIR", help=common.RUN)
    out = "where the pictures go; needed for a trained model of the package; default: DIR/explore"
    parser.add_argument("--out", type=pathlib.Path, metavar="FOLDER", help=out)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(PICTURES),
        metavar="NAME",
        help=f"only these: {', '.join(PICTURES)}; default: all that the run can have",
    )
    parser.add_argument("--seed", type=common.SEED, default=0, metavar="S", help="of latents and held-out images; default: 0")
    return parser.parse_args(argv)


@common.command
def main(argv=None):
    args = parse(argv)
    started = time.perf_counter()
    if args.out and args.out.exists() and not args.out.is_dir():
        raise ValueError(f"{args.out} is a file. Choose a folder with --out.")
    run = opened(args.run, written=args.out is None)
    model = run.load()
    if not model.makes_images:
        raise ValueError(
            f"These pictures are for runs of images only. Received: {run.folder}, of points ({run.settings['data']}). Draw them "
            "with `gan-keras sample --out FILE.png`."
        )
    folder = args.out or run.folder / "explore"
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Run       {run.folder}: recipe {run.settings['recipe']}, step {int(model.step.numpy()):,}", flush=True)
    subject = Subject(run, model, args.seed)
    for name in PICTURES if args.only is None else args.only:
        try:
            for file, picture, meaning in PICTURES[name](subject):
                if isinstance(picture, list):
                    plots.labelled(picture, folder / file)
                else:
                    picture.save(folder / file)
                print(f"  {folder / file}\n      {meaning}", flush=True)
        except LeftOut as reason:
            print(f"  {name} is left out: {reason}", flush=True)
    print(f"{time.perf_counter() - started:.0f} seconds.")
    return 0


@dataclasses.dataclass
class Subject:
    """What is looked at."""

    run: Run
    model: object
    seed: int

    def shown(self, images):
        """Images as bytes."""
        return images if images.dtype == np.uint8 else plots.to_uint8(images, self.model.value_range)

    @functools.cached_property
    def _held_out(self):
        try:
            images, labels = self.run.held_out
        except ValueError as error:
            raise LeftOut(f"the data have no held-out images. ({error})") from error
        order = np.random.default_rng(self.seed).permutation(len(images))
        return images[order], None if labels is None else labels[order]

    def held_out(self, number):
        """`number` images as bytes, fewer if there are no more, and their labels or `None`."""
        images, labels = self._held_out
        return self.shown(images[:number]), None if labels is None else labels[:number]

    def told(self, labels):
        """The labels that the model can be told."""
        return labels if self.model.conditional else None


# The pictures: each yields (file, `plots.Panel`s or a picture, what it shows).


def interpolation(subject, rows=8):
    model = subject.model
    latents = model.latents(subject.seed).numpy()
    first, last = latents[:rows], latents[rows : 2 * rows]
    place = 0
    for part in model.prior.parts.values():
        if isinstance(part, priors.Categorical):  # one category, or one cluster, in each row, as one label
            last[:, place : place + part.size] = first[:, place : place + part.size]
        place += part.size
    images = explore.interpolate(model, first, last)
    names = [f"label {k % model.num_classes}" for k in range(rows)] if model.conditional else ()
    columns = [f"{t:.1f}" for t in np.linspace(0, 1, images.shape[1])]
    title = "from one random latent to another"
    panel = plots.Panel(subject.shown(images), title, names, columns)
    yield "interpolation.png", [panel], f"each row leads {title}; labels, clusters and categories of a row stay the same"


def codes(subject):
    parts = {name: part for name, part in subject.model.prior.parts.items() if name != "z"}
    if not parts:
        raise LeftOut("the latents have no part but z.")
    for name, part in parts.items():
        one = isinstance(part, priors.Categorical)
        panels = []
        for dimension in range(1 if one else min(part.size, _DIMENSIONS)):
            images, values = explore.code_sheet(subject.model, name, dimension, _COLUMNS, _COLUMNS, subject.seed)
            if one:
                images, values = images[:_CLASSES], values[:_CLASSES]
                title = f"{name}: a row for each class"
                title += f", {_CLASSES} of {part.size}" if part.size > _CLASSES else ""
                panel = plots.Panel(subject.shown(images), title, [str(k) for k in values])
            else:
                title = f"{name}, dimension {dimension}, from {values[0]:g} to {values[-1]:g}"
                panel = plots.Panel(subject.shown(images), title, (), [f"{value:.1f}" for value in values])
            panels.append(panel)
        what = "a row for each class, a column for each noise" if one else "a column for each value, a row for each noise"
        yield f"codes-{name}.png", panels, f"the part {name} of the latents: {what}"


def map_of_latents(subject):
    model = subject.model
    if model.latent_dim != 2:
        raise LeftOut(f"a map needs latents of 2 numbers, and those of this model have {model.latent_dim}.")
    if model.conditional:
        raise LeftOut("a map needs an unconditional model.")
    yield "map.png", plots.manifold(model), "the images over the square [-2, 2] x [-2, 2] of latents"


def inversion(subject):
    images, labels = subject.held_out(2 * _COLUMNS)
    found = explore.invert(subject.model, images, subject.told(labels), seed=subject.seed)
    meaning = f"held-out images above the nearest that the model makes; mean squared error {found.errors.mean():.4f}"
    panels = [
        plots.Panel(
            np.stack([images[part], subject.shown(found.images[part])]),
            "" if part.start else meaning,
            ("held out", "found"),
            [f"{error:.3f}" for error in found.errors[part]],
        )
        for part in parts_of(images)
    ]
    yield "inversion.png", panels, meaning


def inpainting(subject):
    images, labels = subject.held_out(2 * _COLUMNS)
    height, width = images.shape[1:3]
    visible = np.ones(images.shape[:3], bool)
    halves = np.s_[:, width // 2 :], np.s_[:, : width // 2], np.s_[height // 2 :], np.s_[: height // 2]
    for k in range(len(visible)):
        visible[k][halves[k % 4]] = False
    completed = subject.shown(explore.inpaint(subject.model, images, visible, subject.told(labels), seed=subject.seed))
    squares = ((completed / 255.0 - images / 255.0) ** 2).mean(axis=3)
    errors = (squares * ~visible).sum(axis=(1, 2)) / (~visible).sum(axis=(1, 2))
    masked = np.where(visible[..., np.newaxis], images, np.uint8(_HIDDEN))
    meaning = f"held-out images completed from one half; mean squared error of the other {errors.mean():.4f}"
    panels = [
        plots.Panel(
            np.stack([masked[part], completed[part], images[part]]),
            "" if part.start else meaning,
            ("half hidden", "completed", "original"),
            [f"{error:.3f}" for error in errors[part]],
        )
        for part in parts_of(images)
    ]
    yield "inpainting.png", panels, meaning


def retrieval(subject, rows=8, k=10):
    images, labels = subject.held_out(_QUERIES)
    number = min(_REFERENCES, max(k, _NUMBERS // images[0].size))
    references, classes = (None if part is None else part[:number] for part in subject.run.training_data)
    references, k = subject.shown(references), min(k, len(references))
    try:
        found = {
            "features": [explore.features(subject.model, part) for part in (images, references)],
            "pixels": [images, references],
        }
    except ValueError as error:
        raise LeftOut(error) from error
    panels, shares = [], []
    for name, pair in found.items():
        nearest, _ = explore.neighbours(*pair, k)
        title = f"held-out images and their {k} nearest training images, by {name}"
        if labels is not None and classes is not None:
            share = (classes[nearest] == labels[:, np.newaxis]).mean()
            title += f"; {share:.1%} have the query's label"
            shares.append(f"{share:.1%} by {name}")
        sheet = np.stack([[image, *references[row]] for image, row in zip(images[:rows], nearest)])
        panels.append(plots.Panel(sheet, title, (), ["query", *map(str, range(1, k + 1))]))
    meaning = f"held-out images beside the nearest of {len(references):,} training images"
    if shares:
        meaning += f"; neighbours with the query's label: {', '.join(shares)} ({len(images)} queries)"
    yield "retrieval.png", panels, meaning


def parts_of(images):
    return [slice(k, min(k + _COLUMNS, len(images))) for k in range(0, len(images), _COLUMNS)]


PICTURES = {
    "interpolation": interpolation,
    "codes": codes,
    "map": map_of_latents,
    "inversion": inversion,
    "inpainting": inpainting,
    "retrieval": retrieval,
}


if __name__ == "__main__":
    sys.exit(main())
