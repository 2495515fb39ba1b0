"""scripts/sample.py: arrays, pictures and shards from a run."""

import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers import environment, tiny_gan, train_run
from PIL import Image

import gan_keras
from gan_keras import plots, priors
from gan_keras.runs import Run
from gan_keras_scripts import sample


def test_samples_as_arrays(mlp_run, tmp_path):
    for name in ("a", "b"):
        assert sample.main([str(mlp_run), "--num", "1500", "--out", str(tmp_path / f"{name}.npz"), "--seed", "3"]) == 0
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert a.files == ["images"] and a["images"].shape == (1500, 28, 28, 1) and a["images"].dtype == np.uint8
        assert (a["images"] == b["images"]).all() and a["images"].std() > 1
    gan = keras.models.load_model(mlp_run / "model.keras")
    expected = np.rint(gan.sample(1500, seed=3) * 255)
    with np.load(tmp_path / "a.npz") as a:
        assert np.abs(a["images"] - expected).max() <= 1


def test_samples_with_labels(cgan_run, tmp_path):
    assert sample.main([str(cgan_run), "--num", "25", "--out", str(tmp_path / "all.npz")]) == 0
    with np.load(tmp_path / "all.npz") as arrays:
        assert arrays["labels"].tolist() == [k % 10 for k in range(25)]
    assert sample.main([str(cgan_run), "--num", "5", "--label", "7", "--out", str(tmp_path / "sevens.npz")]) == 0
    with np.load(tmp_path / "sevens.npz") as arrays:
        assert arrays["labels"].tolist() == [7] * 5


def test_samples_as_a_picture(mlp_run, tmp_path):
    assert sample.main([str(mlp_run), "--num", "16", "--out", str(tmp_path / "grid.png")]) == 0
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size == (244, 244)


def test_samples_of_a_run_that_is_under_way(mlp_run, tmp_path):
    shutil.copytree(mlp_run, tmp_path / "run")
    (tmp_path / "run" / "model.keras").unlink()
    for run, name in ((mlp_run, "a"), (tmp_path / "run", "b")):
        assert sample.main([str(run), "--num", "9", "--out", str(tmp_path / f"{name}.npz")]) == 0
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert (a["images"] == b["images"]).all()


@pytest.mark.slow
def test_many_samples_in_bounded_memory(mlp_run, tmp_path):
    code = (
        "import resource, sys\nfrom gan_keras_scripts import sample\n"
        "for n in ('2000', sys.argv[3]):\n"
        "    assert sample.main([sys.argv[1], '--num', n, '--out', sys.argv[2] + n + '.npz']) == 0\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, mlp_run, str(tmp_path) + "/", "300000"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    few, many = (int(line) for line in done.stdout.split() if line.isdigit())
    assert many - few < 100_000, "kilobytes; the images alone are 235,000"
    with np.load(tmp_path / "300000.npz") as arrays:
        assert arrays["images"].shape == (300_000, 28, 28, 1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--num", "0", "--out", "x.npz"], "--num: must be from 1 to 1,000,000,000"),
        (["--num", str(10**30), "--out", "x.npz"], "--num: must be from 1 to 1,000,000,000"),
        (["--num", "3", "--out", "x.jpg"], "must end in .npz or .png"),
        (["--num", "3", "--out", "nowhere/x.npz"], "There is no folder nowhere"),
        (
            ["--num", "3", "--out", "x.npz", "--label", "3"],
            "trained without labels, so it cannot draw one. Leave --label out; train the recipe cgan",
        ),
        (["--num", "3", "--out", "x.npz", "--seed", "-3"], "--seed: must be from 0"),
        (["--num", "20000", "--out", "x.png"], "at most 10,000"),
        (["--num", "300", "--out", "x", "--shards", "npz", "--overwrite"], "Leave --overwrite out"),
        (["--num", "300", "--out", "x", "--shards", "npz", "--truncation", "1"], "Leave one of them out"),
        (["--num", "3", "--out", "x.npz", "--truncation", "0"], "--truncation: must be from 0.01 to 10"),
    ],
)
def test_sample_refuses(arguments, message, mlp_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert sample.main([str(mlp_run), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not os.listdir(tmp_path)


def test_sample_refuses_what_is_no_run(mlp_run, cgan_run, tmp_path, capsys):
    out = str(tmp_path / "x.npz")
    assert sample.main([str(tmp_path), "--num", "3", "--out", out]) == 2
    assert "not a run folder" in capsys.readouterr().err
    assert sample.main([str(cgan_run), "--num", "3", "--label", "10", "--out", out]) == 2
    assert "from 0 to 9" in capsys.readouterr().err
    pathlib.Path(out).write_text("mine")
    assert sample.main([str(mlp_run), "--num", "3", "--out", out]) == 2
    assert "--overwrite" in capsys.readouterr().err and pathlib.Path(out).read_text() == "mine"


def test_truncated_samples(cgan_run, tmp_path):
    gan = Run(cgan_run).load()
    images, wide, narrow = (gan.sample(40, seed=3, truncation=threshold) for threshold in (None, 10, 0.01))
    np.testing.assert_allclose(wide, images, atol=1e-4)
    assert np.abs(narrow - images).max() > 0.01
    for label in range(10):  # nearly one latent: equal labels, equal images
        assert np.ptp(narrow[label::10], axis=0).max() < 0.1 * np.ptp(images[label::10], axis=0).max()
    out = tmp_path / "out.npz"
    assert sample.main([str(cgan_run), "--num", "40", "--seed", "3", "--truncation", "0.01", "--out", str(out)]) == 0
    with np.load(out) as arrays:
        assert (arrays["images"] == plots.to_uint8(narrow, gan.value_range)).all()


def test_truncation_is_of_the_normal_parts_alone():
    prior = priors.Joint(code=priors.Categorical(3), z=priors.Normal(3, stddev=0.1), style=priors.Uniform(2))
    latents = keras.Input((8,))
    pixels = keras.layers.Reshape((8, 8, 1))(keras.layers.ZeroPadding1D((0, 7))(keras.layers.Reshape((1, 8))(latents)))
    gan = gan_keras.GAN(keras.Model(latents, pixels), tiny_gan().discriminator, prior=prior)  # shows its latents
    before, after = (gan.sample(70, seed=2, truncation=threshold)[:, 0, :, 0] for threshold in (None, 0.5))
    assert (after[:, :3] == before[:, :3]).all() and (after[:, 6:] == before[:, 6:]).all()
    np.testing.assert_allclose(after[:, 3:6], prior.parts["z"].truncated(before[:, 3:6], 0.5), atol=1e-6)
    np.testing.assert_allclose(after, prior.truncated(before, 0.5), atol=1e-6)
    assert 0.04 < np.abs(after[:, 3:6]).max() <= 0.05 < np.abs(before[:, 3:6]).max()
    assert (gan.sample(5, seed=2, truncation=0.5)[:, 0, :, 0] == after[:5]).all()
    fixed = gan.sample(5, seed=2, truncation=0.5, z=0.2, code=1)[:, 0, :, 0]
    assert (fixed[:, 3:6] == np.float32(0.2)).all() and (fixed[:, 1] == 1).all(), "a part that is given stays as it is given"


@pytest.mark.parametrize("truncation", [0, -1.0, float("nan"), float("inf"), "1", True])
def test_a_truncation_that_is_no_threshold_is_refused(truncation):
    with pytest.raises(ValueError, match="truncation must be a number above 0"):
        tiny_gan().sample(1, truncation=truncation)


def test_truncation_needs_normal_latents():
    networks = (tiny := tiny_gan()).generator, tiny.discriminator
    with pytest.raises(ValueError, match="no normal latents, so there is nothing to truncate"):
        gan_keras.GAN(*networks, prior=priors.Uniform(networks[0].inputs[0].shape[-1])).sample(1, truncation=1.0)


def test_samples_of_a_code(few_digits, tmp_path, capsys):
    run = tmp_path / "run"
    assert train_run(run, few_digits, "--recipe", "infogan", "--steps", 2) == 0
    for out, more in ((tmp_path / "one.npz", []), (tmp_path / "shards", ["--shards", "npz"])):
        assert sample.main([str(run), "--num", "5", "--code", "3", "--out", str(out), *more]) == 0
    gan = keras.models.load_model(run / "model.keras")
    expected = plots.to_uint8(gan.sample(5, code=3), gan.value_range)
    with np.load(tmp_path / "one.npz") as one, np.load(next((tmp_path / "shards").iterdir())) as shard:
        assert (one["images"] == expected).all() and (shard["images"] == expected).all()
    capsys.readouterr()
    assert sample.main([str(run), "--num", "5", "--code", "10", "--out", str(tmp_path / "ten.npz")]) == 2
    assert "from 0 to 9. Received: 10" in capsys.readouterr().err
    assert sample.main([str(run), "--num", "5", "--label", "3", "--out", str(tmp_path / "three.npz")]) == 2
    assert "without labels, so it cannot draw one" in (told := capsys.readouterr().err) and "--code takes 0 to 9" in told


def test_a_code_of_a_run_without_one_is_refused(mlp_run, tmp_path, capsys):
    assert sample.main([str(mlp_run), "--num", "5", "--code", "3", "--out", str(tmp_path / "out.npz")]) == 2
    assert "has neither a code nor clusters. Leave --code out" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
