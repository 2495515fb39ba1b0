import gzip
import io
import os
import struct
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_keras import data


def arrays(n=20, side=6):
    rng = np.random.default_rng(0)
    # The first pixel of image i is i, so that a batch tells which images it holds.
    images = rng.integers(0, 256, (n, side, side, 1), dtype="uint8")
    images[:, 0, 0, 0] = np.arange(n)
    return images, (np.arange(n) % 10).astype("int32")


def identities(stream, batches):
    """Which images each batch holds, for data of `arrays`."""
    return [np.rint((x.numpy()[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist() for x in stream.take(batches)]


# Loading.


def test_bundled_mnist_and_its_splits():
    images, labels = data.load()
    assert images.shape == (60000, 28, 28, 1) and images.dtype == np.uint8 and labels.shape == (60000,)
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]
    test_images, test_labels = data.load(split="test")
    assert test_images.shape == (10000, 28, 28, 1) and test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    train, validation = data.load(split="train[:50000]")[0], data.load(split="validation")[0]
    assert (train == images[:50000]).all() and (validation == images[50000:]).all()
    assert (data.load(split="train[:-10000]")[0] == train).all()


def test_no_training_split_holds_a_test_digit():
    train = {image.tobytes() for image in data.load(split="train")[0]}
    assert not any(image.tobytes() in train for image in data.load(split="test")[0])


def test_a_changed_mnist_is_refused(tmp_path, monkeypatch):
    images, labels = data.load(split="test")
    images = images[..., 0].copy()
    images[123, 4, 5] ^= 1
    np.savez(tmp_path / "mnist.npz", x_test=images, y_test=labels.astype("uint8"))
    monkeypatch.setattr(data, "_MNIST", tmp_path / "mnist.npz")
    with pytest.raises(ValueError, match="x_test is not the original MNIST"):
        data.load(split="test")


def test_npz(tmp_path):
    images, labels = arrays()
    np.savez_compressed(tmp_path / "a.npz", x_train=images[..., 0], y_train=labels, x_test=images[:3, ..., 0])
    loaded, classes = data.load(tmp_path / "a.npz")
    assert (loaded == images).all() and (classes == labels).all()
    assert data.load(tmp_path / "a.npz", "test")[1] is None


def write_idx(path, array):
    content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype("uint8").tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_folder(tmp_path, ending):
    images, labels = arrays()
    for side, part in (("train", slice(0, 15)), ("t10k", slice(15, 20))):
        write_idx(tmp_path / f"{side}-images-idx3-ubyte{ending}", images[part, ..., 0])
        write_idx(tmp_path / f"{side}-labels-idx1-ubyte{ending}", labels[part])
    assert (data.load(tmp_path)[0] == images[:15]).all()
    loaded, classes = data.load(tmp_path, "test")
    assert (loaded == images[15:]).all() and (classes == labels[15:]).all()


def test_emnist_is_turned_upright(tmp_path):
    images, labels = arrays()
    for side in ("train", "test"):
        write_idx(tmp_path / f"emnist-digits-{side}-images-idx3-ubyte.gz", images[..., 0].transpose(0, 2, 1))
        write_idx(tmp_path / f"emnist-digits-{side}-labels-idx1-ubyte.gz", labels)
    assert (data.load(tmp_path, "test")[0] == images).all()


def test_image_folder_with_classes(tmp_path):
    images, _ = arrays(6, side=28)
    for k, image in enumerate(images):
        folder = tmp_path / "train" / "ab"[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(folder / f"{k}.png", image, scale=False)
    loaded, classes = data.load(tmp_path)
    who = loaded[:, 0, 0, 0]
    assert sorted(who) == list(range(6)) and (loaded == images[who]).all() and (classes == who % 2).all()
    assert classes.tolist() != [0, 0, 0, 1, 1, 1], "not class by class"
    with pytest.raises(ValueError, match="none named 'test'"):
        data.load(tmp_path, "test")


def test_a_class_of_an_image_folder_has_one_number_in_both_splits(tmp_path):
    images, _ = arrays(3, side=28)
    for side, names in (("train", "abc"), ("test", "bc")):
        for name, image in zip(names, images):
            (tmp_path / side / name).mkdir(parents=True)
            keras.utils.save_img(tmp_path / side / name / "0.png", image, scale=False)
    assert sorted(data.load(tmp_path, "train")[1]) == [0, 1, 2]
    assert sorted(data.load(tmp_path, "test")[1]) == [1, 2]
    (tmp_path / "train" / "c").rename(tmp_path / "train" / "d")
    with pytest.raises(ValueError, match="has subfolders that 'train' lacks: c. Give both splits"):
        data.load(tmp_path, "test")


def test_validation_is_never_all_there_is_to_train_on(tmp_path):
    images, labels = arrays(60)
    np.savez(tmp_path / "small.npz", x_train=images, y_train=labels)
    with pytest.raises(ValueError, match=r"last 10,000 training images, and .*small.npz has 60. .* 'train\[-6:\]'"):
        data.load(tmp_path / "small.npz", "validation")
    assert len(data.load(tmp_path / "small.npz", "train[-6:]")[0]) == 6


def test_image_folder_without_classes(tmp_path):
    images, _ = arrays(3, side=28)
    for k, image in enumerate(images):
        keras.utils.save_img(tmp_path / f"{k}.png", image, scale=False)
    loaded, classes = data.load(tmp_path)
    assert (loaded == images[loaded[:, 0, 0, 0]]).all() and len(loaded) == 3 and classes is None
    with pytest.raises(ValueError, match="no test images. Put some images into it, and the others into 'train'"):
        data.load(tmp_path, "test")


def write_images(folder, images):
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        keras.utils.save_img(folder / f"{image[0, 0, 0]}.png", image, scale=False)


def test_images_that_the_training_left_out_are_held_out(tmp_path):
    for k, image in enumerate(arrays(20, side=28)[0]):
        write_images(tmp_path / "ab"[k % 2], [image])
    for split in ("train[:15]", "train[5:]", "train[-3:]"):
        images, labels = data.load(tmp_path, split)
        others, other_labels = data.load_held_out(tmp_path, split)
        trained, held_out = (part[:, 0, 0, 0].tolist() for part in (images, others))
        assert sorted(trained + held_out) == list(range(20)) and held_out
        assert other_labels.tolist() == [who % 2 for who in held_out]
    with pytest.raises(ValueError, match=r"not for training. Received: split='test\[:5\]'"):
        data.load_held_out(tmp_path, "test[:5]")
    with pytest.raises(ValueError, match=r"no images that the training left out.* with the split 'train\[:18\]'"):
        data.load_held_out(tmp_path, "train")


def test_test_images_are_held_out_where_there_are_some(tmp_path):
    images, _ = arrays(6, side=28)
    write_images(tmp_path / "own" / "train", images[:4])
    write_images(tmp_path / "own" / "test", images[4:])
    for split in ("train", "train[:2]"):
        assert sorted(data.load_held_out(tmp_path / "own", split)[0][:, 0, 0, 0]) == [4, 5]
    assert (data.load_held_out("mnist", "train[:50000]")[0] == data.load("mnist", "test")[0]).all()


def test_the_classes_of_a_folder_have_names(tmp_path):
    images, _ = arrays(2, side=28)
    for name, image in zip(("dogs", "cats"), images):
        write_images(tmp_path / "flat" / name, [image])
        write_images(tmp_path / "sides" / "train" / name, [image])
    write_images(tmp_path / "none", images)
    found = [data.class_names(source) for source in (tmp_path / "flat", tmp_path / "sides", tmp_path / "none", "mnist")]
    assert found == [["cats", "dogs"], ["cats", "dogs"], [], []]
    assert data.load(tmp_path / "flat")[1].tolist() == [1 - who for who in data.load(tmp_path / "flat")[0][:, 0, 0, 0]]


def test_a_damaged_file_of_an_image_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="It must hold complete images only: .png, .jpg, .bmp or .gif"):
        data.load(tmp_path)
    for k, image in enumerate(arrays(3, side=28)[0]):
        keras.utils.save_img(tmp_path / f"{k}.png", image, scale=False)
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:30])
    with pytest.raises(
        ValueError, match="folder of images: .*/1.png is no image, or not complete. It must hold complete images only"
    ):
        data.load(tmp_path)


def test_a_test_folder_is_never_trained_on(tmp_path):
    images, _ = arrays(2, side=28)
    for folder in ("training", "test"):
        (tmp_path / folder).mkdir()
        keras.utils.save_img(tmp_path / folder / "0.png", images[0], scale=False)
    with pytest.raises(ValueError, match="none named 'train'"):
        data.load(tmp_path)


# Streaming.


def test_every_epoch_is_a_new_permutation():
    images, _ = arrays(20)
    seen = identities(data.batches(images, batch_size=5, seed=3), 12)
    epochs = [sum(seen[k : k + 4], []) for k in (0, 4, 8)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != list(range(20))


def test_epochs_are_not_alike():
    images = np.zeros((10_000, 1, 1, 1), "uint8")
    order = [
        np.concatenate([y.numpy() for _, y in list(data.batches(images, np.arange(10_000), 1000).take(20))[e : e + 10]])
        for e in (0, 10)
    ]
    for one, other in ((order[0], order[1]), (order[0], np.arange(10_000)), (order[0][1:], order[0][:-1])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.05


@pytest.mark.parametrize("start", [0, 1, 3, 4, 7, 11])
def test_a_batch_depends_on_the_seed_and_its_number_alone(start):
    images, labels = arrays(22)
    whole = list(data.batches(images, labels, 5, seed=3).take(16))
    rest = list(data.batches(images, labels, 5, seed=3, start=start).take(16 - start))
    for (x, y), (a, b) in zip(whole[start:], rest, strict=True):
        assert x.numpy().tobytes() == a.numpy().tobytes() and (y.numpy() == b.numpy()).all()


def test_seeds_differ():
    images, _ = arrays()
    assert identities(data.batches(images, batch_size=5, seed=0), 4) != identities(
        data.batches(images, batch_size=5, seed=1), 4
    )


@pytest.mark.parametrize("number", [2, 3])
def test_shards_are_the_batch_without_overlap(number):
    images, _ = arrays(24)
    whole = identities(data.batches(images, batch_size=6), 8)
    shards = [identities(data.batches(images, batch_size=6, shard=(k, number)), 8) for k in range(number)]
    assert [sum(parts, []) for parts in zip(*shards)] == whole


@pytest.mark.parametrize("value_range", [(-1.0, 1.0), (0.0, 1.0)])
def test_values_and_labels(value_range):
    images, labels = arrays()
    low, high = value_range
    x, y = next(iter(data.batches(images, labels, 20, value_range)))
    assert x.dtype == tf.float32 and y.dtype == tf.int32 and x.shape == (20, 6, 6, 1)
    back = np.rint((x.numpy() - low) / (high - low) * 255).astype("uint8")
    who = back[:, 0, 0, 0]
    assert (back == images[who]).all() and (y.numpy() == labels[who]).all()
    assert low <= x.numpy().min() and x.numpy().max() <= high


def test_floats_pass_through():
    images = np.random.default_rng(0).uniform(-1, 1, (8, 4, 4, 1)).astype("float32")
    x = next(iter(data.batches(images, batch_size=8))).numpy()
    assert sorted(map(bytes, x)) == sorted(map(bytes, images))


# Bad input.


def truncated(path):
    np.savez_compressed(path, x_train=arrays(200)[0])
    path.write_bytes(path.read_bytes()[:-200])


def pickled(path):
    np.savez(path, x_train=np.array([{"a": 1}], dtype=object))


def foreign(path):
    np.savez(path, images=np.zeros((3, 4, 4)))


def header(shape):
    """The first bytes of an .npy file: a header without its array."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


def archive(path, content, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("x_train.npy", content)


def encrypted(path):
    archive(path, header((1, 1, 1)) + b"a")
    content = bytearray(path.read_bytes())
    content[6] |= 1  # in the member's own header, and in the directory
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)


def claims_terabytes_twice(path):
    archive(path, header((2**40, 1, 1)))
    content = path.read_bytes()
    size = struct.pack("<I", len(header((2**40, 1, 1))))
    place = content.index(b"PK\1\2") + 24
    assert content[place : place + 4] == size
    path.write_bytes(content[:place] + struct.pack("<I", 2**32 - 2) + content[place + 4 :])


def bomb(path):
    """Two megabytes that hold an array of two gigabytes of zeros, as they say."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("x_train.npy", "w", force_zip64=True) as member:
            member.write(header((2**31, 1, 1)))
            for _ in range(2**7):
                member.write(bytes(2**24))


@pytest.mark.parametrize(
    "write, message",
    [
        (truncated, "cannot be read as an .npz"),
        (pickled, "pickled"),
        (foreign, "no array 'x_train', only images"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: np.savez(path, x_train=np.zeros((3, 4), "uint8")), r"Received: shape \(3, 4\)"),
        (lambda path: np.savez(path, x_train=np.zeros((3, 4, 4), "int64")), "uint8 .* or floats. Received: int64"),
        (lambda path: np.savez(path, x_train=np.full((3, 4, 4), np.nan)), "NaN"),
        (lambda path: np.savez(path, x_train=np.zeros((0, 4, 4), "uint8")), "n at least 1"),
        (
            lambda path: np.savez(path, x_train=np.zeros((3, 4, 4), "uint8"), y_train=np.zeros(2, "int32")),
            "3 images, labels",
        ),
        (
            lambda path: np.savez(path, x_train=np.zeros((3, 4, 4), "uint8"), y_train=np.full(3, -1)),
            "integers of 0 or more",
        ),
        (
            lambda path: np.savez(path, x_train=np.zeros((3, 4, 4), "uint8"), y_train=np.array(["a", "b", "c"])),
            "integers of 0 or more. Received: <U1",
        ),
        (lambda path: path.write_bytes(header((3, 4, 4)) + bytes(48)), "not a zip file"),
        (lambda path: archive(path, b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'shape': ((("), "cannot be read"),
        (lambda path: archive(path, b"\x93NUMPY\x01\x00\xff\x0f" + b"(" * 4095), "cannot be read"),
        (encrypted, "encrypted"),
        (lambda path: archive(path, header((2**40, 1, 1))), "declares 1,099,511,627,776 bytes"),
        (lambda path: archive(path, header((3, 4, 4)) + bytes(10**6)), "declares 48 bytes"),
        (
            lambda path: archive(path, header((10**6, 1, 1)) + bytes(10**6), zipfile.ZIP_LZMA),
            "has a compression that NumPy does not use",
        ),
        (claims_terabytes_twice, "declares"),
        pytest.param(bomb, "declares 2,147,483,648 bytes", marks=pytest.mark.slow),
    ],
)
def test_bad_npz_is_refused(tmp_path, write, message):
    write(tmp_path / "bad.npz")
    with pytest.raises(ValueError, match=f"(?s){message}"):
        data.load(tmp_path / "bad.npz")


def test_no_changed_byte_of_an_npz_ends_in_another_error(tmp_path):
    path = tmp_path / "bad.npz"
    np.savez(path, x_train=np.zeros((2, 2, 2), "uint8"))
    content = path.read_bytes()
    for place in range(len(content)):
        for flipped in (1, 0x80, 0xFF):
            path.write_bytes(content[:place] + bytes([content[place] ^ flipped]) + content[place + 1 :])
            try:
                data.load(path)
            except ValueError as error:
                assert str(path) in str(error)


@pytest.mark.parametrize(
    "content, message",
    [
        (struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**10, 2**10), "declares 2,251,799,813,685,248 bytes"),
        (struct.pack(">HBB3I", 0, 8, 3, 2, 4, 4) + bytes(10**7), "more follow"),
        (struct.pack(">HBB3I", 0, 8, 3, 2, 4, 4) + bytes(31), "31 of 32"),
        (struct.pack(">HBB", 0, 8, 200), "not a whole IDX"),
    ],
)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_is_read_as_far_as_its_header_promises(ending, content, message, tmp_path, monkeypatch):
    path = tmp_path / f"train-images-idx3-ubyte{ending}"
    path.write_bytes(gzip.compress(content) if ending else content)
    decompress, seen = gzip.GzipFile.read, []

    def read(file, size=-1):
        seen.append(decompress(file, size))
        return seen[-1]

    monkeypatch.setattr(gzip.GzipFile, "read", read)
    with pytest.raises(ValueError, match=message):
        data.load(tmp_path)
    assert sum(map(len, seen)) < 100


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    os.mkfifo(tmp_path / "data.npz")
    (tmp_path / "pictures").mkdir()
    os.mkfifo(tmp_path / "pictures" / "a.png")
    for path in (tmp_path, tmp_path / "data.npz", tmp_path / "pictures", "/dev/zero"):
        with pytest.raises(ValueError, match="no regular file"):
            data.load(path)


def test_bad_idx_is_refused(tmp_path):
    images, labels = arrays()
    write_idx(tmp_path / "train-images-idx3-ubyte", images[..., 0])
    with pytest.raises(ValueError, match="labels.*Received: none"):
        data.load(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", labels)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match="not a whole IDX file"):
        data.load(tmp_path)


@pytest.mark.parametrize(
    "act, error, message",
    [
        (lambda images: data.load("nowhere/at/all"), FileNotFoundError, "No data at"),
        (lambda images: data.load(split="trian"), ValueError, "Unknown split: 'trian'"),
        (lambda images: data.load(split="train[60000:]"), ValueError, "is empty"),
        (lambda images: data.batches(images, batch_size=21), ValueError, "A batch of 21.*Received: 20"),
        (lambda images: data.batches(images, batch_size=0), ValueError, "batch_size=0"),
        (lambda images: data.batches(images, batch_size=6, shard=(0, 4)), ValueError, "must divide the batch size"),
        (lambda images: data.batches(images, batch_size=6, shard=(2, 2)), ValueError, "0 <= index < number"),
        (lambda images: data.batches(images, np.zeros(19, "int32"), 5), ValueError, "20 images, labels of shape"),
        (
            lambda images: data.batches(images / 255.0 * 300, batch_size=5),
            ValueError,
            "value_range.*Received: values from",
        ),
    ],
)
def test_nonsense_is_refused(act, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        act(arrays()[0])


def test_few_labels_are_balanced_repeated_and_the_rest_is_unknown():
    images = np.arange(60, dtype="uint8").reshape(60, 1, 1, 1).repeat(4, axis=1)
    labels = (np.arange(60) % 3).astype("int32")
    x, y = data.with_few_labels(images, labels, 6, share=0.25, seed=1)
    assert len(x) == 80 and (x[:60] == images).all() and (y[:60] == -1).all(), "each image once without its label"
    known = x[60:, 0, 0, 0].astype(int)
    assert (y[60:] == labels[known]).all(), "each repeated image has its own label"
    assert len(set(known)) == 6 and (np.bincount(labels[sorted(set(known))]) == 2).all(), "six images, two of each class"
    assert np.ptp(np.bincount(known)[sorted(set(known))]) <= 1, "equally often, to one"
    other, _ = data.with_few_labels(images, labels, 6, share=0.25, seed=2)
    assert (other[60:] != x[60:]).any() and (data.with_few_labels(images, labels, 6, share=0.25, seed=1)[0] == x).all()
    stream = next(iter(data.batches(x, y, batch_size=16)))
    assert set(stream[1].numpy()) <= {-1, 0, 1, 2}


@pytest.mark.parametrize(
    "labels, number, share, message",
    [
        (None, 6, 0.1, "needs labels. Received: labels=None"),
        (np.arange(12) % 3, 7, 0.1, "multiple of 3, the number of classes, and the rarest class has 4 images. Received: 7"),
        (np.arange(12) % 3, 15, 0.1, "Received: 15"),
        (np.arange(12) % 3, 0, 0.1, "Received: 0"),
        (np.arange(12) % 3, 3, 1.0, "share must be between 0 and 1. Received: share=1.0"),
    ],
)
def test_labels_that_cannot_be_few_are_refused(labels, number, share, message):
    with pytest.raises(ValueError, match=message):
        data.with_few_labels(np.zeros((12, 4, 4, 1), "uint8"), labels, number, share)
