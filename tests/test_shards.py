import os

import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_gan

from gan_keras import plots, recipes, shards


def bytes_of(gan, n, seed, labels=None):
    return plots.to_uint8(gan.sample(n, seed=seed, labels=labels), gan.value_range)


@pytest.mark.parametrize("format", shards.FORMATS)
@pytest.mark.parametrize("num_classes", [None, 3])
def test_the_files_hold_what_sample_draws(format, num_classes, tmp_path):
    gan = tiny_gan(num_classes=num_classes, ema=0.5)
    done = []
    shards.write(gan, tmp_path / "out", 1300, seed=4, format=format, size=512, report=lambda k, n: done.append((k, n)))
    assert done == [(1, 3), (2, 3), (3, 3)]
    parts = list(shards.read(tmp_path / "out"))
    assert [len(images) for images, _ in parts] == [512, 512, 276]
    assert (np.concatenate([images for images, _ in parts]) == bytes_of(gan, 1300, 4)).all()
    if num_classes:
        assert (np.concatenate([labels for _, labels in parts]) == np.arange(1300) % 3).all()
    else:
        assert all(labels is None for _, labels in parts)


def test_interrupted_work_leaves_nothing(tmp_path):
    def stop(done, number):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shards.write(tiny_gan(), tmp_path / "out", 1024, size=256, report=stop)
    assert not list(tmp_path.iterdir())
    shards.write(tiny_gan(), tmp_path / "out", 1024, size=256)
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_nonsense_is_refused(tmp_path):
    gan = tiny_gan()
    for arguments, message in [
        ({"num": 0}, "1 or more"),
        ({"num": 10, "size": 100}, "multiple of 256"),
        ({"num": 10, "size": 0}, "multiple of 256"),
        ({"num": 10, "format": "png"}, "Unknown format"),
        ({"num": 10, "seed": -1}, "seed must be"),
        ({"num": 10, "label": 3}, "The generator takes no labels"),
    ]:
        with pytest.raises(ValueError, match=message):
            shards.write(gan, tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="images in a known range"):
        shards.write(recipes.get("ring").build(), tmp_path / "new", 10)
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="other exists"):
        shards.write(gan, tmp_path / "other", 10)
    (tmp_path / "other" / "samples-1-of-2.npz").touch()
    for folder in ("other", "nowhere"):
        with pytest.raises(ValueError, match=f"{folder} holds no samples"):
            shards.read(tmp_path / folder)


@pytest.mark.parametrize("format", shards.FORMATS)
def test_a_damaged_file_is_named(format, tmp_path):
    folder = tmp_path / "out"
    shards.write(tiny_gan(), folder, 300, format=format, size=256)
    file = folder / f"samples-00001-of-00002.{format}"
    content = file.read_bytes()
    for broken in (b"", content[: len(content) // 2], content[:1000] + bytes([content[1000] ^ 255]) + content[1001:]):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match="samples-00001-of-00002.* is damaged"):
            list(shards.read(folder))
    file.unlink()
    for make in (lambda: None, lambda: os.mkfifo(file)):
        make()
        with pytest.raises(ValueError, match="1 of 2 files are missing, samples-00001-of-00002"):
            shards.read(folder)


def test_records_without_their_number_are_read(tmp_path):
    folder, gan = tmp_path / "out", tiny_gan()
    shards.write(gan, folder, 5, format="tfrecord")
    path = str(folder / "samples-00000-of-00001.tfrecord")
    examples = [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(path)]
    with tf.io.TFRecordWriter(path) as file:
        for example in examples:
            del example.features.feature["number"]
            file.write(example.SerializeToString())
    ((images, _),) = shards.read(folder)
    assert (images == bytes_of(gan, 5, 0)).all()


def test_a_file_of_another_array_is_told(tmp_path):
    folder = tmp_path / "out"
    shards.write(tiny_gan(), folder, 10)
    file = folder / "samples-00000-of-00001.npz"
    np.save(tmp_path / "bare.npy", np.zeros(10))
    np.savez(tmp_path / "objects.npz", images=np.array([{}] * 10))
    for other in ("bare.npy", "objects.npz"):
        os.replace(tmp_path / other, file)
        with pytest.raises(ValueError, match="is damaged"):
            list(shards.read(folder))
