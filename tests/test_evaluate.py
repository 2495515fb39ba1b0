"""scripts/evaluate.py: reports on runs and on samples."""

import json
import shutil

import keras
import numpy as np
import pytest
from helpers import train_run
from PIL import Image

from gan_keras import data, evaluation
from gan_keras_scripts import evaluate, export, sample, train_mnist

GROUPS = ["frechet", "kernel", "score", "manifold", "memorisation"]


@pytest.fixture(scope="module")
def mlp_run(mlp_run, tmp_path_factory):
    """A copy, which reports are written to."""
    return shutil.copytree(mlp_run, tmp_path_factory.mktemp("runs") / "mlp")


@pytest.fixture(scope="module")
def cgan_run(cgan_run, tmp_path_factory):
    """A copy, which reports are written to."""
    return shutil.copytree(cgan_run, tmp_path_factory.mktemp("runs") / "cgan")


def test_evaluate_writes_a_report_and_a_picture(mlp_run, capsys):
    assert evaluate.main([str(mlp_run), "--num", "200", "--metrics", *GROUPS]) == 0
    printed = capsys.readouterr().out
    # Strict: JSON has no NaN.
    report = json.loads((mlp_run / "report.json").read_text(), parse_constant=pytest.fail)
    assert report["metrics"]["kernel_distance"]["error"] > 0 and report["real_samples"] == 200
    assert report["classifier"].startswith("digits-") and report["step"] == 7 and report["samples"] == 200
    for name, figure in report["metrics"].items():
        assert np.isfinite(figure["value"]) and np.isfinite(figure["real"]), name
        assert evaluate.evaluation.METRICS[name].title in printed
    # Seven steps make no digits.
    figures = report["metrics"]
    assert figures["frechet_distance"]["value"] > 10 * figures["frechet_distance"]["real"]
    assert figures["coverage"]["value"] < 0.1 < 0.5 < figures["coverage"]["real"]
    with Image.open(mlp_run / "report.png") as picture:
        assert picture.size[0] > 1000
    first = (mlp_run / "report.json").read_bytes()
    assert evaluate.main([str(mlp_run), "--num", "200", "--metrics", *GROUPS]) == 0
    assert (mlp_run / "report.json").read_bytes() == first


def test_metrics_measured_apart_add_up_to_one_report(mlp_run, capsys):
    def names(*arguments):
        assert evaluate.main([str(mlp_run), "--num", "150", "--metrics", *arguments]) == 0
        return set(json.loads((mlp_run / "report.json").read_text())["metrics"])

    frechet = names("frechet")
    capsys.readouterr()
    assert frechet and names("kernel") == frechet | {"kernel_distance"}
    assert "Frechet" not in capsys.readouterr().out, "what was asked for, and no more"
    assert names("kernel", "--seed", "2") == {"kernel_distance"}, "of other samples"
    (mlp_run / "report.json").write_text("damaged")
    assert names("frechet") == frechet


def test_evaluate_measures_labels_of_a_conditional_run(cgan_run):
    assert evaluate.main([str(cgan_run), "--num", "120", "--metrics", "labels"]) == 0
    figures = json.loads((cgan_run / "report.json").read_text())["metrics"]
    assert set(figures) == {"label_accuracy", "label_cross_entropy"}
    assert 0 <= figures["label_accuracy"]["value"] < 0.5


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["RUN", "--num", "3"], "--num: must be from 100"),
        (["RUN", "--num", "200", "--samples", "RUN"], "Leave --num and --seed out"),
        (["RUN", "--metrics", "recognition", "--samples", "RUN"], "looks at the model itself, not at --samples"),
        (["RUN", "--metrics", "labels", "--num", "100"], "They need samples of a conditional GAN"),
        (["RUN", "--metrics", "recognition", "--num", "100"], "--metrics recognition; this model recognises nothing"),
        (["nowhere"], "not a run folder"),
        (["RUN", "--seed", "-1", "--num", "100"], "--seed: must be from 0"),
    ],
)
def test_evaluate_refuses_nonsense(mlp_run, arguments, message, capsys):
    before = sorted(path.name for path in mlp_run.iterdir())
    assert evaluate.main([str(mlp_run) if a == "RUN" else a for a in arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in mlp_run.iterdir()) == before


def test_evaluate_needs_held_out_images(mlp_run, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(mlp_run / "model.keras", run)
    config = json.loads((mlp_run / "config.json").read_text())
    images = data.load(split="train[:50]")[0]
    for arrays, message in (
        ({"pictures": images}, "has no array 'x_train'"),
        ({"x_train": images}, "has no array 'x_test'"),
        ({"x_train": images, "x_test": images[:, :14]}, "of shape (14, 28, 1), where (28, 28, 1) is expected"),
        ({"x_train": images, "x_test": images * 0}, "Every pixel of test has the same value"),
    ):
        np.savez(tmp_path / "foreign.npz", **arrays)
        (run / "config.json").write_text(json.dumps({**config, "data": str(tmp_path / "foreign.npz")}))
        assert evaluate.main([str(run), "--num", "100"]) == 2
        assert message in capsys.readouterr().err
    assert not (run / "report.json").exists()


def test_samples_in_shards_are_measured(mlp_run, tmp_path, capsys):
    shutil.copytree(mlp_run, tmp_path / "run")
    arguments = [str(mlp_run), "--num", "600", "--seed", "5", "--out"]
    assert sample.main([*arguments, str(tmp_path / "shards"), "--shards", "npz", "--shard-size", "256"]) == 0
    assert sample.main([*arguments, str(tmp_path / "plain.npz")]) == 0
    parts = sorted((tmp_path / "shards").glob("*.npz"))
    with np.load(tmp_path / "plain.npz") as plain:
        assert (np.concatenate([np.load(part)["images"] for part in parts]) == plain["images"]).all() and len(parts) == 3
    reports = []
    for more in (["--samples", str(tmp_path / "shards")], ["--num", "600", "--seed", "5"]):
        assert evaluate.main([str(tmp_path / "run"), "--metrics", "frechet", *more]) == 0
        reports.append(json.loads((tmp_path / "run" / "report.json").read_text()))
    assert [report.pop("seed") for report in reports] == [None, 5]
    assert reports[0] == reports[1] and reports[0]["samples"] == 600
    assert sample.main([*arguments, str(tmp_path / "shards"), "--shards", "tfrecord"]) == 2
    assert "shards exists" in capsys.readouterr().err
    assert sample.main([str(mlp_run), "--num", "99", "--out", str(tmp_path / "few"), "--shards", "npz"]) == 0
    assert evaluate.main([str(tmp_path / "run"), "--samples", str(tmp_path / "few")]) == 2
    assert "100 samples or more. Received: 99" in capsys.readouterr().err


@pytest.fixture(scope="module")
def ring_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "ring"
    assert train_mnist.main(["--recipe", "ring", "--steps", "3", "--batch-size", "32", "--out", str(out)]) == 0
    return out


def test_toys_are_trained_evaluated_and_sampled(ring_run, tmp_path):
    assert json.loads((ring_run / "config.json").read_text())["data"] == "ring"
    assert (ring_run / "samples" / "step-0000003.png").exists() and not (ring_run / "manifold.png").exists()
    assert evaluate.main([str(ring_run), "--num", "500"]) == 0
    report = json.loads((ring_run / "report.json").read_text())
    assert report["metrics"]["modes"]["real"] == 8 and report["metrics"]["high_quality"]["real"] > 0.97
    assert evaluate.main([str(ring_run), "--num", "500", "--metrics", "frechet"]) == 2
    assert sample.main([str(ring_run), "--num", "300", "--out", str(tmp_path / "points.npz")]) == 0
    with np.load(tmp_path / "points.npz") as archive:
        np.testing.assert_array_equal(archive["points"], keras.models.load_model(ring_run / "model.keras").sample(300))
    assert sample.main([str(ring_run), "--num", "300", "--out", str(tmp_path / "points.png")]) == 0


def test_points_of_no_known_toy_have_no_figures(ring_run, tmp_path, capsys):
    shutil.copytree(ring_run, tmp_path / "run")
    points = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
    np.savez(tmp_path / "points.npz", x_train=points, x_test=points)
    config = json.loads((ring_run / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, "data": str(tmp_path / "points.npz")}))
    assert evaluate.main([str(tmp_path / "run"), "--num", "100"]) == 2
    assert "Points are measured against the toy" in capsys.readouterr().err


@pytest.mark.parametrize(
    "recipe, names",
    [
        pytest.param("semi_supervised", {"test_errors"}, marks=pytest.mark.slow),
        pytest.param("vae", {"reconstruction", "bound"}, marks=pytest.mark.slow),
        pytest.param("acgan", {"test_errors"}, marks=pytest.mark.slow),
        pytest.param("infogan", {"code_errors"}, marks=pytest.mark.slow),
        pytest.param("r3gan", set(), marks=pytest.mark.slow),
        pytest.param("few", set(), marks=pytest.mark.slow),
    ],
)
def test_what_a_run_recognises_is_in_its_report(recipe, names, few_digits, tmp_path, capsys):
    run = tmp_path / "run"
    assert train_run(run, few_digits, "--recipe", recipe, "--steps", 2, "--split", "train[:500]") == 0
    # A run that goes on, is sampled and is exported, as any other.
    assert train_run(run, few_digits, "--resume", "--steps", 3) == 0
    assert sample.main([str(run), "--num", "4", "--out", str(tmp_path / "four.npz")]) == 0
    with np.load(tmp_path / "four.npz") as made:
        assert made["images"].shape == (4, 28, 28, 1)
    assert export.main([str(run), "--out", str(tmp_path / "exported")]) == 0
    assert evaluate.main([str(run), "--num", "100", "--metrics", "frechet", "recognition"]) == 0
    printed = capsys.readouterr().out
    report = json.loads((run / "report.json").read_text(), parse_constant=pytest.fail)
    assert set(report["metrics"]) == {"frechet_distance"} | names
    for name in names:
        assert np.isfinite(report["metrics"][name]["value"]) and report["metrics"][name]["real"] is None
        assert evaluation.metric_of(name).title in printed


@pytest.mark.slow
def test_stacked_digits_are_trained_sampled_evaluated_and_exported(tmp_path, capsys):
    run = str(tmp_path / "run")
    assert train_mnist.main(["--recipe", "stacked_mnist_full", "--steps", "2", "--batch-size", "8", "--out", run]) == 0
    assert sample.main([run, "--num", "4", "--out", str(tmp_path / "four.npz")]) == 0
    with np.load(tmp_path / "four.npz") as made:
        assert made["images"].shape == (4, 28, 28, 3)
    assert evaluate.main([run, "--num", "4999"]) == 2
    assert "5,000 samples or more. Received: --num 4999" in capsys.readouterr().err
    assert evaluate.main([run, "--num", "5000"]) == 0
    found = json.loads((tmp_path / "run" / "report.json").read_text())["metrics"]
    assert set(found) == {"modes", "sure_modes", "kl", "confidence"}
    assert 1 <= found["modes"]["value"] < found["modes"]["real"] and found["kl"]["value"] > found["kl"]["real"]
    assert found["sure_modes"]["value"] <= found["modes"]["value"]
    assert export.main([run, "--out", str(tmp_path / "exported")]) == 0
    assert "modes" in (tmp_path / "exported" / "1" / "model_card.md").read_text()


def test_errors_of_a_code_with_another_name_have_a_title():
    assert evaluation.metric_of("digit_errors") == ("the same, code digit", "lower")
    with pytest.raises(KeyError):
        evaluation.metric_of("no such metric")


def test_images_outside_of_the_split_are_held_out(tmp_path, capsys):
    (tmp_path / "own").mkdir()
    for k, image in enumerate(data.load("mnist", "train[:60]")[0]):
        Image.fromarray(image[..., 0]).save(tmp_path / "own" / f"{k}.png")
    for split, held_out in (("train[:40]", 20), ("train[:55]", 5), ("train", 0)):
        run = tmp_path / f"run{held_out}"
        assert train_run(run, tmp_path / "own", "--recipe", "tutorial_mlp", "--split", split, "--steps", 1) == 0
        capsys.readouterr()
        code = evaluate.main([str(run), "--num", "100", "--metrics", "frechet", "manifold"])
        told = capsys.readouterr()
        if held_out == 20:
            assert code == 0 and "With 20 held-out images distances are large and uncertain" in told.out
        else:
            assert code == 2 and not (run / "report.json").exists()
            assert (
                "There must be 10 held-out images or more. Received: 5" if held_out else "the split 'train[:54]'"
            ) in told.err
