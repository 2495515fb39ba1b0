import json
import os

import numpy as np
import pytest
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
    assert shards.described(tmp_path / "out") == (1300, 4)


def test_interrupted_work_is_taken_up(tmp_path):
    gan = tiny_gan()

    def stop(done, number):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shards.write(gan, tmp_path, 1024, size=256, report=stop)
    with pytest.raises(ValueError, match="2 of 4 files are missing, samples-00002-of-00004.npz first"):
        shards.read(tmp_path)
    first = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    made = gan.sample_batches

    def from_the_third(n, seed, labels, start=0):
        assert start in (0, 512, 768)
        return made(n, seed, labels, start)

    gan.sample_batches = from_the_third
    shards.write(gan, tmp_path, 1024, size=256)
    assert all(path.stat().st_mtime_ns == first[path.name] for path in tmp_path.glob("*.npz") if path.name in first)
    assert (np.concatenate([images for images, _ in shards.read(tmp_path)]) == bytes_of(gan, 1024, 0)).all()
    assert not list(tmp_path.glob(".*"))


def test_killed_before_there_was_a_manifest_it_begins_again(tmp_path):
    (tmp_path / ".new.manifest.json").touch()
    shards.write(tiny_gan(), tmp_path, 10)
    assert len(next(shards.read(tmp_path))[0]) == 10


def test_samples_of_another_gan_are_told(tmp_path):
    gan = tiny_gan()
    shards.write(gan, tmp_path, 10)
    shards.check_origin(tmp_path, gan)
    with pytest.raises(ValueError, match="are of another GAN"):
        shards.check_origin(tmp_path, tiny_gan(seed=1))


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"num": 300}, "num is 256"),
        ({"seed": 1}, "seed is 0"),
        ({"format": "tfrecord"}, "format"),
        ({"size": 512}, "size"),
    ],
)
def test_samples_are_not_mixed(changed, message, tmp_path):
    gan = tiny_gan()
    arguments = {"num": 256, "seed": 0, "format": "npz", "size": 256}
    shards.write(gan, tmp_path, **arguments)
    with pytest.raises(ValueError, match=f"holds other samples: {message}"):
        shards.write(gan, tmp_path, **{**arguments, **changed})
    with pytest.raises(ValueError, match="holds other samples: generator"):
        shards.write(tiny_gan(seed=1), tmp_path, **arguments)


def test_nonsense_is_refused(tmp_path):
    gan = tiny_gan()
    for arguments, message in [
        ({"num": 0}, "1 or more"),
        ({"num": 10, "size": 100}, "multiple of 256"),
        ({"num": 10, "size": 0}, "multiple of 256"),
        ({"num": 10, "format": "png"}, "Unknown format"),
        ({"num": 10, "seed": -1}, "seed must be"),
        ({"num": 10, "label": 3}, "without num_classes"),
    ]:
        with pytest.raises(ValueError, match=message):
            shards.write(gan, tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="images in a known range"):
        shards.write(recipes.get("ring").build(), tmp_path / "new", 10)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ValueError, match="not empty"):
        shards.write(gan, tmp_path / "other", 10)
    with pytest.raises(ValueError, match="no manifest.json"):
        shards.read(tmp_path / "other")


@pytest.mark.parametrize("format", shards.FORMATS)
def test_a_damaged_file_is_named(format, tmp_path):
    shards.write(tiny_gan(), tmp_path, 300, format=format, size=256)
    file = tmp_path / f"samples-00001-of-00002.{format}"
    content = file.read_bytes()
    for broken in (b"", content[: len(content) // 2], content[:1000] + bytes([content[1000] ^ 255]) + content[1001:]):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match="samples-00001-of-00002.* is damaged"):
            list(shards.read(tmp_path))
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ValueError, match="are missing, samples-00001-of-00002"):
        shards.read(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["size"]
    for text in (json.dumps(manifest), "[" * 100_000, "{", "[]"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match="manifest.json cannot be read"):
            shards.read(tmp_path)


def test_a_file_of_another_array_is_told(tmp_path):
    shards.write(tiny_gan(), tmp_path, 10)
    file = tmp_path / "samples-00000-of-00001.npz"
    np.save(tmp_path / "bare.npy", np.zeros(10))
    np.savez(tmp_path / "objects.npz", images=np.array([{}] * 10))
    for other in ("bare.npy", "objects.npz"):
        os.replace(tmp_path / other, file)
        with pytest.raises(ValueError, match="is damaged"):
            list(shards.read(tmp_path))
