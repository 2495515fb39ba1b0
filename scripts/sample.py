"""Draw samples from a trained run, as arrays or as a picture. See docs/sample.md."""

import functools
import pathlib
import sys
import zipfile

from gan_keras_scripts import common  # first: it sets the environment up

import numpy as np

from gan_keras import files, plots, priors, shards
from gan_keras.pretrained import opened

_MAX_PICTURE = 10_000


def parse(argv):
    parser = common.Parser(description=__doc__)
    parser.add_argument("run", metavar="DIR", help=common.RUN)
    number = common.between(1, common.SAMPLES)
    parser.add_argument("--num", type=number, default=100, metavar="N", help="number of samples; default: %(default)s")
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="FILE.npz for arrays, FILE.png for a picture; with --shards a folder",
    )
    parser.add_argument("--shards", choices=shards.FORMATS, help="write a folder of files instead of one")
    parser.add_argument(
        "--shard-size",
        type=common.between(1, common.SAMPLES),
        default=10_240,
        metavar="N",
        help="samples in a file, a multiple of 256; default: 10240",
    )
    parser.add_argument("--seed", type=common.SEED, default=0, metavar="S", help="equal seeds, equal samples; default: 0")
    parser.add_argument("--label", type=int, metavar="L", help="only this class, from a conditional run; default: all in turn")
    parser.add_argument(
        "--code", type=int, metavar="K", help="only this category of the code, or this cluster; default: drawn at random"
    )
    parser.add_argument(
        "--truncation",
        type=common.between(0.01, 10, float),
        metavar="T",
        help="draw normal latents within T standard deviations: a small T gives more typical, less varied samples; default: none",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    args = parser.parse_args(argv)
    args.out = pathlib.Path(args.out)
    if args.shards and args.truncation:
        raise ValueError(
            "--shards writes samples to measure, and --truncation changes their distribution. Leave one of them out."
        )
    if args.shards and args.overwrite:
        raise ValueError("--shards replaces no folder. Leave --overwrite out.")
    if args.shards:
        return args
    if args.out.suffix not in (".npz", ".png"):
        raise ValueError(f"--out must end in .npz or .png. Received: {args.out}")
    if args.out.suffix == ".png" and args.num > _MAX_PICTURE:
        raise ValueError(f"A picture holds at most {_MAX_PICTURE:,} samples. Received: --num {args.num}; use an .npz file.")
    if args.out.exists() and not args.overwrite:
        raise ValueError(f"{args.out} exists. Add --overwrite to replace it.")
    if not args.out.parent.is_dir():
        raise ValueError(f"There is no folder {args.out.parent}. Make it first.")
    return args


@common.command
def main(argv=None):
    args = parse(argv)
    run = opened(args.run)
    gan = run.load()
    categorical = [name for name, part in gan.prior.parts.items() if isinstance(part, priors.Categorical)]
    check_choice(args, gan, categorical)
    parts = {} if args.code is None else {categorical[0]: args.code}
    if args.shards:
        write = functools.partial(shards.write, format=args.shards, size=args.shard_size, report=progress)
        write(gan, args.out, args.num, args.seed, args.label, **parts)
        print(f"{args.num:,} samples of step {int(gan.step.numpy()):,}, seed {args.seed}: {args.out}")
        return 0
    points = not gan.makes_images
    batches = (
        (images if points else plots.to_uint8(images, gan.value_range), labels)
        for images, labels in gan.sample_batches(args.num, args.seed, args.label, args.truncation, **parts)
    )
    with files.replacing(args.out) as temporary:
        if args.out.suffix == ".png" and points:
            real, _ = run.data("test")
            plots.points(np.concatenate([part for part, _ in batches]), real, temporary)
        elif args.out.suffix == ".png":
            plots.grid(np.concatenate([images for images, _ in batches])).save(temporary)
        else:
            write_npz(temporary, args.num, gan, batches)
    print(f"{args.num:,} samples of step {int(gan.step.numpy()):,}, seed {args.seed}: {args.out}")
    return 0


def check_choice(args, gan, categorical):
    """Raise ValueError if the model has no label, or no code, to choose by."""
    codes = [f"--code takes 0 to {gan.prior.parts[name].size - 1}" for name in categorical[:1]]
    if args.label is not None and not gan.conditional:
        others = "; ".join(["train the recipe cgan for that, or take pretrained:cgan", *codes])
        raise ValueError(f"{args.run} was trained without labels, so it cannot draw one. Leave --label out; {others}.")
    if args.code is not None and not categorical:
        raise ValueError(f"{args.run} has neither a code nor clusters. Leave --code out; pretrained:infogan has a code.")


def progress(done, number):
    print(f"\r{done} of {number} files", end="" if done < number else "\n", flush=True)


def write_npz(path, num, gan, batches):
    """Stream samples and, if conditional, `labels` int32 into an .npz file.

    `images` (num, height, width, channels) uint8, or `points` (num, d) float32.
    """
    shape = (num, *gan.generator.outputs[0].shape[1:])
    name, kind = ("points", "float32") if len(shape) == 2 else ("images", "uint8")
    labels = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
            write_header(file, shape, kind)
            for images, batch_labels in batches:
                file.write(images.tobytes())
                labels.append(batch_labels)
        if gan.conditional:
            with archive.open("labels.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.concatenate(labels))


def write_header(file, shape, dtype):
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


if __name__ == "__main__":
    sys.exit(main())
