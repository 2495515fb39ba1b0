"""Images from disk to the training step: `load` reads them, `batches` streams them.

The stream is a pure function: batch t depends only on (seed, t). A run that stopped at step t continues with
`batches(..., start=t)`, as if it had not stopped.
"""

import gzip
import hashlib
import math
import pathlib
import re
import struct

import keras
import numpy as np
import tensorflow as tf

from gan_keras import files
from gan_keras.random import SHUFFLING, stateless_seed
from gan_keras.toys import TOYS, stack_digits

# Numbers of points of a toy and of stacked images, and their seeds. The sizes are those of PacGAN's and VEEGAN's experiments.
_TOY_SPLITS = {"train": (100_000, 0), "test": (10_000, 1)}
_STACKED_SPLITS = {"train": (128_000, 0), "test": (26_000, 1)}

# The last training images, which are held out for model selection.
VALIDATION = 10_000

# Data sets that `load` knows by name.
NAMES = ("mnist", "stacked_mnist", *TOYS)

_MNIST = pathlib.Path(__file__).with_name("mnist.npz")

# MD5 of the four files of the original distribution, unzipped.
_MNIST_MD5 = {
    "x_train": "6bbc9ace898e44ae57da46a324031adb",
    "y_train": "a25bea736e30d166cdddb491f175f624",
    "x_test": "2646ac647ad5339dbf082846283269ea",
    "y_test": "27ae3e4e09519cfbb04c329615203637",
}


def load(source="mnist", split="train", image_size=(28, 28), channels=1):
    """Load the images and labels of a data set, as arrays.

    Args:
        source: "mnist" for the MNIST that comes with the package; "stacked_mnist" for three of its digits as colours (128,000
            from training digits, 26,000 from test digits); a toy of points, "ring", "grid", "swiss_roll" or "gaussians"
            (100,000 and 10,000, labelled by mode); or the path of
            an .npz file in Keras' layout (x_train, y_train, x_test, y_test; labels are optional);
            a folder of IDX files, gzipped or not (MNIST, Fashion-MNIST, KMNIST, EMNIST);
            a folder of images (.png, .jpg, .bmp, .gif), resized to `image_size`. Subfolders are the classes, or train and test
            with the classes inside. Images are shuffled in a fixed order, so that a slice has all classes.
        split: "train" (60,000 for MNIST), "test" (10,000), "validation" (the last 10,000 of train), or a slice such as
            "train[:50000]" or "test[:1000]". For model selection, train on "train[:-10000]" and evaluate on "validation".
            Only "test" reads test images.
        image_size, channels: (height, width), and 1 (grey) or 3 (colour), for a folder of images; else ignored.

    Returns:
        images: uint8 array (n, height, width, channels), 0 to 255; float32 if an .npz file has floats; for toys points (n, d).
        labels: int32 array (n,), or `None` if there are none.

    Raises:
        ValueError: The file is damaged, has another layout, or does not match the checksums of the original distribution;
            "validation" would be all training images.
        FileNotFoundError: There is nothing at the path.
    """
    side, part = _parse_split(split)
    if source == "mnist":
        images, labels = _read_mnist(side)
    elif source == "stacked_mnist":
        images, labels = stack_digits(*load("mnist", side), *_STACKED_SPLITS[side])
    elif source in TOYS:
        images, labels = TOYS[source].sample(*_TOY_SPLITS[side])
    else:
        path = pathlib.Path(source)
        if not path.exists():
            raise FileNotFoundError(
                f"No data at {path}. Expected {', '.join(map(repr, NAMES))}, an .npz file, a folder of IDX files or of images."
            )
        if not path.is_dir():
            images, labels = _read_npz(path, side)
        elif is_image_folder(path):
            images, labels = _read_image_folder(path, side, image_size, channels)
        else:
            images, labels = _read_idx_folder(path, side)
    images, labels = _check_arrays(images, labels, source)
    if split == "validation" and len(images) <= VALIDATION:
        raise ValueError(
            f"'validation' is the last {VALIDATION:,} training images, and {source} has {len(images):,}. Hold out fewer: a split "
            f"such as 'train[-{max(1, len(images) // 10)}:]', and train on the others."
        )
    images, labels = images[part], None if labels is None else labels[part]
    if not len(images):
        raise ValueError(f"The split {split!r} of {source} is empty.")
    return images, labels


def load_held_out(source, split="train", image_size=(28, 28), channels=1):
    """Load images that a model trained on `split` has not seen, to evaluate it with: the test images.

    A folder of images may have no test images. Then they are the training images that are not in `split`.

    Args:
        source, image_size, channels: As in `load`.
        split: The part of the data that is trained on.

    Returns:
        As `load`.

    Raises:
        ValueError: There are none; the errors of `load`.
    """
    if not is_image_folder(source) or (pathlib.Path(source) / "test").is_dir():
        return load(source, "test", image_size, channels)
    images, labels = load(source, "train", image_size, channels)
    side, part = _parse_split(split)
    if side == "test":
        raise ValueError(f"Test images are not for training. Received: split={split!r}")
    rest = np.delete(np.arange(len(images)), part)
    if not len(rest):
        most = len(images) - max(1, len(images) // 10)
        raise ValueError(
            f"{source} has no images that the training left out, to evaluate with. Train on a part of them, with the split "
            f"'train[:{most}]', or move some into a subfolder 'test' and the others into 'train', and train again."
        )
    return images[rest], None if labels is None else labels[rest]


def class_names(source):
    """The names of the labels 0, 1, 2, ... of a folder of images: those of its subfolders; `[]` for other data."""
    if not is_image_folder(source):
        return []
    folder = pathlib.Path(source)
    return _class_names(folder / "train" if (folder / "train").is_dir() else folder)


def is_image_folder(source):
    """Whether `source` is a folder of image files, which `load` resizes, rather than of IDX files."""
    path = pathlib.Path(source)
    return source not in NAMES and path.is_dir() and not any(path.glob("*idx?-ubyte*"))


def with_few_labels(images, labels, number, share=0.2, seed=0):
    """Keep only `number` labels of a data set, for semi-supervised learning.

    The images with a label are chosen at random, the same number for each class, and repeated until they are the fraction `share`
    of all. Every image is also in the set once with the label -1.

    Args:
        images, labels: As `load` returns them.
        number: Number of images with a label, a multiple of the number of classes.
        share: Fraction of images with a label in the result, in (0, 1).
        seed: Seed of the choice.

    Returns:
        images, labels as `batches` takes them.

    Raises:
        ValueError: There are no labels or too few; `number` is not a multiple of the number of classes.
    """
    if labels is None:
        raise ValueError("Semi-supervised learning needs labels. Received: labels=None")
    classes = np.unique(labels)
    each = number // len(classes)
    rare = min(np.sum(labels == c) for c in classes)
    if number < 1 or number % len(classes) or each > rare:
        raise ValueError(
            f"The number of images with a label must be a multiple of {len(classes)}, the number of classes, and the rarest class has "
            f"{rare} images. Received: {number}; a recipe has it as `labelled`."
        )
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1. Received: share={share}")
    random = np.random.default_rng(seed)
    chosen = np.concatenate([random.permutation(np.flatnonzero(labels == c))[:each] for c in classes])
    repeated = np.resize(chosen, max(number, round(share / (1 - share) * len(images))))
    unknown = np.full(len(images), -1, "int32")
    return np.concatenate([images, images[repeated]]), np.concatenate([unknown, labels[repeated]])


def shape_of(name):
    """The shape of an example of a named data set: (28, 28, 1) for "mnist".

    Raises:
        ValueError: The name is none of these.
    """
    if name in TOYS:
        return TOYS[name].sample(1)[0].shape[1:]
    shapes = {"mnist": (28, 28, 1), "stacked_mnist": (28, 28, 3)}
    if name not in shapes:
        raise ValueError(f"The shape of {name} is not known before it is read. Give it: shape=(height, width, channels).")
    return shapes[name]


def check_batch(images, batch_size):
    """Raise ValueError unless `batch_size` is a number of images of which there are enough."""
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(f"batch_size must be an integer of 1 or more. Received: batch_size={batch_size!r}")
    if len(images) < batch_size:
        raise ValueError(
            f"A batch of {batch_size} needs at least as many images. Received: {len(images)}; use a smaller batch."
        )


def batches(images, labels=None, batch_size=64, value_range=(-1.0, 1.0), seed=0, start=0, shard=(0, 1)):
    """An infinite, shuffled stream of batches, for `fit(stream, steps_per_epoch=...)`.

    Every epoch is a new permutation, which depends on (seed, epoch); its last `n % batch_size` examples are left out.

    Args:
        images: uint8 array (n, height, width, channels), which is scaled to `value_range`; or floats in this range; or float
            points (n, d).
        labels: Integers (n,), -1 for an unknown label; or `None` for batches of images only.
        batch_size: Examples in a batch; a multiple of the number of minibatches in a step of the schedule.
        value_range: (low, high) of the generator's images, `gan.value_range`: (-1, 1) for tanh, (0, 1) for sigmoid; `None` for
            floats of any range.
        seed: Integer, the seed of the order.
        start: The first batch of the stream: 0, or the step from which a run is resumed.
        shard: (index, number): this worker's part of each batch, for several machines. The parts together are the batch of one
            machine; `batch_size` is that of all workers together.

    Returns:
        `tf.data.Dataset` of float32 images (batch, height, width, channels) or points (batch, d), or of (images, int32 labels).

    Raises:
        ValueError: Arrays of the wrong rank, type, range or length; fewer images than a batch.
    """
    images, labels = _check_arrays(images, labels, "images", lowest=-1)
    if value_range is None and images.dtype == np.uint8:
        raise ValueError("uint8 images need the value_range to scale them to, such as (-1, 1). Received: value_range=None")
    low, high = value_range or (-np.inf, np.inf)
    index, number = shard
    check_batch(images, batch_size)
    if start < 0:
        raise ValueError(f"start is the number of the stream's first batch, 0 or more. Received: start={start}")
    if not 0 <= index < number or batch_size % number:
        raise ValueError(
            f"shard is (index, number) with 0 <= index < number, and number must divide the batch size. "
            f"Received: shard={shard}, batch_size={batch_size}"
        )
    if images.dtype != np.uint8 and (images.min() < low - 1e-3 or images.max() > high + 1e-3):
        raise ValueError(
            f"Float images must be in value_range={value_range} already. Received: values from {images.min():g} to "
            f"{images.max():g}. Rescale them, or pass uint8 from 0 to 255."
        )
    n = len(images)
    per_epoch = n // batch_size
    share = batch_size // number
    scale = (high - low) / 255.0

    # Captured tensors, not constants: a constant would be copied into the graph.
    pixels = tf.convert_to_tensor(images)
    classes = None if labels is None else tf.convert_to_tensor(labels)

    def fetch(indices):
        x = tf.ensure_shape(tf.gather(pixels, indices), (share, *images.shape[1:]))
        if images.dtype == np.uint8:
            x = tf.cast(x, tf.float32) * scale + low
        return x if classes is None else (x, tf.gather(classes, indices))

    def epoch(k):
        order = tf.random.experimental.stateless_shuffle(tf.range(n), seed=stateless_seed(seed, SHUFFLING, k))
        first = tf.where(k == start // per_epoch, tf.cast(start % per_epoch, tf.int64), 0)
        return tf.data.Dataset.range(first, per_epoch).map(
            lambda batch: fetch(tf.slice(order, [batch * batch_size + index * share], [share]))
        )

    stream = tf.data.Dataset.counter(start // per_epoch).flat_map(epoch)
    # So that `fit` can tell that it needs steps_per_epoch.
    return stream.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)).prefetch(4)


def _parse_split(split):
    match = re.fullmatch(r"(train|test)(?:\[(-?\d*):(-?\d*)\])?", f"train[-{VALIDATION}:]" if split == "validation" else split)
    if not match:
        raise ValueError(
            f"Unknown split: {split!r}. Expected 'train', 'test', 'validation' or a slice such as 'train[:50000]'."
        )
    side, low, high = match.groups()
    return side, slice(int(low) if low else None, int(high) if high else None)


def _check_arrays(images, labels, source, lowest=0):
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., np.newaxis]
    points = images.ndim == 2 and images.dtype.kind == "f"
    if not (points or images.ndim == 4) or not len(images):
        raise ValueError(
            f"{source}: expected images of shape (n, height, width) or (n, height, width, channels), or float points (n, d), "
            f"n at least 1. Received: shape {images.shape}, {images.dtype}."
        )
    if images.dtype != np.uint8:
        if images.dtype.kind != "f":
            raise ValueError(f"{source}: images must be uint8 (0 to 255) or floats. Received: {images.dtype}.")
        if not np.isfinite(images).all():
            raise ValueError(f"{source}: the images contain NaN or infinite pixels. Clean the data first.")
        images = images.astype("float32", copy=False)
    if labels is not None:
        labels = np.asarray(labels)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.shape != (len(images),):
            raise ValueError(
                f"{source}: there must be one label for each image. Received: {len(images)} images, labels of shape {labels.shape}."
            )
        if labels.dtype.kind not in "iu" or labels.min() < lowest:
            found = f", from {labels.min()}" if labels.dtype.kind in "iuf" else ""
            raise ValueError(f"{source}: labels must be integers of {lowest} or more. Received: {labels.dtype}{found}.")
        labels = labels.astype("int32")
    return images, labels


def _read_mnist(side):
    arrays = _open_npz(_MNIST, ["x_" + side, "y_" + side])
    for name, array in arrays.items():
        digest = hashlib.md5(_idx_header(array) + array.tobytes(), usedforsecurity=False).hexdigest()
        if digest != _MNIST_MD5[name]:
            raise ValueError(f"{_MNIST.name}: {name} is not the original MNIST (MD5 {digest}). Install the package anew.")
    return arrays["x_" + side], arrays["y_" + side]


def _read_npz(path, side):
    arrays = _open_npz(path, ["x_" + side], optional=["y_" + side])
    return arrays["x_" + side], arrays.get("y_" + side)


def _open_npz(path, names, optional=()):
    with files.reading(
        f"{path} cannot be read as an .npz file in Keras' layout (x_train, y_train, x_test, y_test)",
        "If it is truncated, download it again; else write it again with numpy.savez_compressed.",
    ):
        return files.read_npz(path, names, optional)


def _idx_header(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)


def _read_idx_folder(folder, side):
    images, labels = (_read_idx(_find_one(folder, side, *kind)) for kind in (("images", "idx3"), ("labels", "idx1")))
    if any(folder.glob("emnist-*")):
        images = images.transpose(0, 2, 1)  # EMNIST stores its images by columns
    return images, labels


def _find_one(folder, side, kind, idx):
    names = ("train",) if side == "train" else ("t10k", "test")
    pattern = rf"(.*-)?({'|'.join(names)})-{kind}[-.]{idx}-ubyte(\.gz)?"
    found = [path for path in sorted(folder.iterdir()) if re.fullmatch(pattern, path.name)]
    if len(found) != 1:
        what = "several of them: " + ", ".join(path.name for path in found) if found else "none"
        raise ValueError(
            f"{folder} should hold one file such as {names[0]}-{kind}-{idx}-ubyte, or the same with .gz. Received: {what}. Put one data "
            "set into a folder of its own."
        )
    return found[0]


def _read_idx(path):
    with files.reading(f"{path} is not a whole IDX file of unsigned bytes", "Fetch it again."):
        with files.open_regular(path) as raw, gzip.open(raw) if path.suffix == ".gz" else raw as file:
            start = file.read(4)
            zeros, kind, rank = struct.unpack(">HBB", start)
            if zeros or kind != 8:
                raise ValueError(f"it starts with {start.hex()}, not with 000008, the first bytes of a file of unsigned bytes")
            shape = struct.unpack(f">{rank}I", file.read(4 * rank))
            promised = math.prod(shape)
            files.check_size(promised, path.stat().st_size)
            content = file.read(promised)
            if len(content) < promised or file.read(1):
                found = f"{len(content):,} of" if len(content) < promised else "more follow after"
                raise ValueError(f"{found} {promised:,} bytes")
            return np.frombuffer(content, np.uint8).reshape(shape)


def _read_image_folder(folder, side, image_size, channels):
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (colour). Received: channels={channels!r}")
    if (folder / "train").is_dir() or (folder / "test").is_dir():
        if not (folder / side).is_dir():
            raise ValueError(f"{folder} has subfolders for its splits, but none named {side!r}. Name them train and test.")
        folder = folder / side
    elif side == "test":
        raise ValueError(
            f"{folder} has no subfolder 'test', so it has no test images. Put some images into it, and the others into 'train', "
            "and train again."
        )
    classes = _class_names(folder)
    with files.reading(
        f"{folder} cannot be read as a folder of images", "It must hold complete images only: .png, .jpg, .bmp or .gif."
    ):
        for path in folder.rglob("*"):
            if not path.is_dir():
                files.open_regular(path).close()
        dataset = keras.utils.image_dataset_from_directory(
            folder,
            labels="inferred" if classes else None,
            class_names=classes or None,
            color_mode={1: "grayscale", 3: "rgb"}[channels],
            image_size=image_size,
            batch_size=None,
            shuffle=False,
            verbose=False,
        )
        try:
            pairs = list(dataset.as_numpy_iterator())
        except tf.errors.OpError as error:
            raise ValueError(f"{_damaged_image(dataset.file_paths)} is no image, or not complete") from error
    # Listed class by class; a slice such as "validation" must not be a single one.
    pairs = [pairs[k] for k in np.random.default_rng(0).permutation(len(pairs))]
    images = np.stack([pair[0] if classes else pair for pair in pairs])
    if not classes:
        return np.rint(images).astype("uint8"), None
    # A class has its number in "train" in the other split too, which may lack some.
    numbered = _class_names(folder.parent / "train") if side == "test" and (folder.parent / "train").is_dir() else classes
    unknown = sorted(set(classes) - set(numbered))
    if unknown:
        raise ValueError(
            f"{folder} has subfolders that 'train' lacks: {', '.join(unknown)}. Give both splits the same classes."
        )
    labels = np.array([numbered.index(classes[pair[1]]) for pair in pairs], "int32")
    return np.rint(images).astype("uint8"), labels


def _damaged_image(paths):
    """The first of the image files that cannot be decoded."""
    for path in paths:
        try:
            tf.io.decode_image(tf.io.read_file(path))
        except tf.errors.OpError:
            return path
    return "one of the files"


def _class_names(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_dir())
