"""gan_keras.pretrained: models that come with the package, as small files of their weights."""

import json
import shutil

import keras
import numpy as np
import PIL.Image
import pretrain
import pytest
from helpers import tiny_gan, tiny_images

from gan_keras import evaluation, plots, pretrained, recipes, settings, weights
from gan_keras.runs import Run
from gan_keras_scripts import evaluate, explore, export, sample, serve


@pytest.fixture
def stored(cgan_run, tmp_path, monkeypatch):
    """A package of one model: a run of two steps, stored as pretrain.py does it."""
    shutil.copytree(cgan_run, tmp_path / "run")
    figures = {"frechet_distance": {"value": 12.345, "error": None, "real": 0.5, "better": "lower"}}
    (tmp_path / "run" / "report.json").write_text(json.dumps({"step": 2, "samples": 500, "metrics": figures}))
    folder = tmp_path / "pretrained"
    folder.mkdir()
    monkeypatch.setattr(pretrain, "FOLDER", folder)
    monkeypatch.setattr(pretrained, "_FOLDER", folder)
    assert pretrain.store("mine", Run(tmp_path / "run")) <= 1
    return folder / "mine"


def test_a_stored_model_samples_as_the_run_it_was_made_of(stored, cgan_run):
    assert pretrained.names() == ["mine"]
    gan, trained = pretrained.load("mine"), Run(cgan_run).load()
    images, expected = (model.sample(20, seed=3, labels=7) for model in (gan, trained))
    assert np.abs(images - expected).max() < 2 / 255 and images.std() > 0.01
    assert int(gan.step.numpy()) == 2 and gan.conditional
    real = tiny_images(4).repeat(4, axis=1)[:, :28, :7].repeat(4, axis=2)
    scores = [model.judge.predict([real, np.arange(4)], verbose=0) for model in (gan, trained)]
    for head in ("score", "label"):
        assert scores[0][head] == pytest.approx(scores[1][head], rel=0.02, abs=0.002)
    (average, network) = (gan.ema_generator.get_weights(), gan.generator.get_weights())
    assert all((one == other).all() for one, other in zip(average, network)), "an average begins where the network does"


def test_what_a_killed_process_has_left_is_no_model(stored):
    shutil.copytree(stored, stored.with_name(".new.12345678.other"))
    assert pretrained.names() == ["mine"]


def test_a_stored_model_is_small_and_has_a_card(stored):
    assert sorted(path.name for path in stored.iterdir()) == ["card.md", "config.json", "report.json", "weights.npz"]
    gan = pretrained.load("mine")
    numbers = gan.generator.count_params() + gan.discriminator.count_params()
    assert (stored / "weights.npz").stat().st_size < 2.1 * numbers
    card = (stored / "card.md").read_text()
    for told in ("cgan, step 2", "python scripts/lab/pretrain.py mine --seed 0", "| Frechet distance | 12.3", "Limits"):
        assert told in card, told


def test_a_generator_is_stored_without_its_discriminator(stored, tmp_path, capsys):
    run = Run(stored.parents[1] / "run")
    assert pretrain.store("alone", run, generator_only=True) <= 1
    model, gan = pretrained.load("alone"), run.load()
    assert not hasattr(model, "discriminator") and int(model.step.numpy()) == 2 and model.conditional
    assert np.abs(model.sample(20, seed=3, labels=7) - gan.sample(20, seed=3, labels=7)).max() < 2 / 255
    sizes = [(stored.parent / name / "weights.npz").stat().st_size for name in ("alone", "mine")]
    numbers = [gan.generator.count_params(), gan.generator.count_params() + gan.discriminator.count_params()]
    assert sizes[0] / sizes[1] == pytest.approx(numbers[0] / numbers[1], rel=0.1)
    told = (stored.parent / "alone" / "card.md").read_text()
    assert (
        "--seed 0 --generator-only`" in told
        and "is not stored; the model cannot be trained further" in told
        and "forgeries" not in told
    )
    assert "A generative adversarial network" in told
    assert export.main(["pretrained:alone", "--out", str(tmp_path / "served")]) == 0
    signatures = json.loads((tmp_path / "served" / "1" / "signatures.json").read_text())["endpoints"]
    assert "generate" in signatures and "discriminate" not in signatures
    assert explore.main(["pretrained:alone", "--only", "codes", "retrieval", "--out", str(tmp_path / "looks")]) == 0
    assert "which has neither" in capsys.readouterr().out
    model.save(tmp_path / "alone.keras")
    again = keras.models.load_model(tmp_path / "alone.keras")
    assert (again.sample(5, seed=3) == model.sample(5, seed=3)).all()
    with pytest.raises(ValueError, match="without its discriminator, so it cannot be trained"):
        again.compile("adam", "adam")


def test_a_clustered_gan_is_stored_whole(tmp_path, monkeypatch, capsys):
    gan = tiny_gan(num_classes=3, clustered=True)
    with pytest.raises(ValueError, match="needs the frequencies of its clusters"):
        weights.generator_alone(gan)
    np.savez(tmp_path / "weights.npz", step=3)
    with pytest.raises(ValueError, match="cannot be read: it has no array 'label_shares'"):
        weights.read(gan, tmp_path / "weights.npz")
    monkeypatch.chdir(tmp_path)
    assert pretrain.main(["best", "--generator-only"]) == 2
    assert "best has clusters" in capsys.readouterr().err and not (tmp_path / "runs").exists()


def test_the_scripts_take_it_by_name(stored, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert sample.main(["pretrained:mine", "--label", "7", "--out", "sevens.png"]) == 0
    with PIL.Image.open("sevens.png") as picture:
        assert picture.size == plots.grid(np.zeros((100, 28, 28, 1), "uint8")).size
    assert sample.main(["pretrained:mine", "--num", "3", "--label", "7", "--out", str(tmp_path / "sevens.npz")]) == 0
    with np.load(tmp_path / "sevens.npz") as made:
        assert made["images"].shape == (3, 28, 28, 1) and (made["labels"] == 7).all()
    assert explore.main(["pretrained:mine", "--only", "interpolation", "--out", str(tmp_path / "new" / "looks")]) == 0
    assert [path.name for path in (tmp_path / "new" / "looks").iterdir()] == ["interpolation.png"]
    assert explore.main(["pretrained:mine", "--out", str(tmp_path / "sevens.npz")]) == 2
    assert "sevens.npz is a file. Choose a folder" in capsys.readouterr().err
    assert export.main(["pretrained:mine"]) == 0
    card = (tmp_path / "exports" / "mine" / "1" / "model_card.md").read_text()
    assert "cgan, step 2" in card and "`python scripts/lab/pretrain.py mine --seed 0`, in a copy" in card


def test_a_training_that_was_interrupted_is_continued(cgan_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrain, "FOLDER", tmp_path)
    shutil.copytree(cgan_run, "runs/pretrained-cgan")
    seen = []
    monkeypatch.setattr(Run, "train", lambda run, **_: seen.append((run.folder.name, run.settings["data"])))
    monkeypatch.setattr(evaluate, "main", lambda argv: 0)
    monkeypatch.setattr(pretrain, "store", lambda *_: 1)
    assert pretrain.main(["cgan"]) == 0
    assert seen == [("pretrained-cgan", Run(cgan_run).settings["data"])]
    assert pretrain.main(["cgan", "--seed", "1"]) == 2
    assert "holds a run with seed 0, not 1" in capsys.readouterr().err and len(seen) == 1


def test_it_is_served_without_a_training(stored):
    endpoints = serve.packaged_endpoints("pretrained:mine")
    request = {"signature_name": "generate", "inputs": {"seed": 3, "n": 2, "label": 7}}
    made = np.array(endpoints.answer(request)["outputs"])
    assert made == pytest.approx(pretrained.load("mine").sample(2, seed=3, labels=7), abs=1e-6)
    assert serve.main(["pretrained:mina", "--port", "0"]) == 2


@pytest.mark.parametrize("script, more", [(sample, ["--num", "3", "--out", "x.npz"]), (export, ["--out", "served"])])
def test_an_unknown_name_is_refused(stored, script, more, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert script.main(["pretrained:mina", *more]) == 2
    assert "'mina'" in (told := capsys.readouterr().err) and "mine" in told


def test_damaged_and_foreign_weights_are_refused(stored, tmp_path):
    path = tmp_path / "weights.npz"
    weights.write(tiny_gan(num_classes=3), path)
    again = tiny_gan(num_classes=3, seed=1)
    weights.read(again, path)
    with pytest.raises(ValueError, match=r"cannot be read: generator_\d has the shape \(3, 4\), not \(4, 4\)"):
        weights.read(tiny_gan(num_classes=4), path)
    with pytest.raises(ValueError, match="cannot be read: it has no array 'generator_9'"):
        weights.read(pretrained.load("mine"), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cannot be read"):
        weights.read(again, path)
    gan = tiny_gan()
    gan.generator.weights[0].assign(1e6 * np.ones(gan.generator.weights[0].shape))
    with pytest.raises(ValueError, match="not finite in float16: generator_0"):
        weights.write(gan, path)


@pytest.mark.parametrize("name", pretrained.names())
def test_the_command_in_the_card_is_the_one_that_made_it(name):
    run, recipe = pretrained.run(name), recipes.get(name)
    assert set(recipe.differs_from(run.settings["values"])) <= set(settings.OWN), "which are settings of their own"
    assert run.settings == settings.resolve(name, seed=run.settings["seed"]) | {
        **{key: run.settings[key] for key in ("values", "versions", "shape", "jit", "training_set") if key in run.settings},
        **({"num_classes": recipe.num_classes} if recipe.num_classes else {}),
    }
    gan = run.load()
    assert int(gan.step.numpy()) == recipe.steps
    cards = (run.folder / "card.md").read_text(), pretrain.card(name, gan, run)
    stored, now = ([line for line in card.splitlines() if "versions in export" not in line] for card in cards)
    assert stored == now


@pytest.mark.slow
@pytest.mark.parametrize("name", pretrained.names())
def test_the_metrics_in_the_card_are_those_of_the_model(name):
    run = pretrained.run(name)
    report = json.loads(run.report.read_text())
    images, labels = run.data("train")
    evaluator = evaluation.Evaluator(images, run.data("test")[0], train_labels=labels)
    found = evaluator.of_gan(run.load(), report["samples"], ["frechet", "score", "manifold"], report["seed"])
    for metric in ("frechet_distance", "coverage", "classifier_score"):
        assert found[metric][0] == pytest.approx(report["metrics"][metric]["value"], rel=0.02), metric


def test_shares_of_labels_are_among_the_weights(tmp_path):
    gan, other = (tiny_gan(num_classes=3, clustered=True, seed=seed) for seed in range(2))
    gan.fit(tiny_images(), np.repeat([0, 2, 2, 2], 12), batch_size=24, verbose=0)
    weights.write(gan, tmp_path / "weights.npz")
    weights.read(other, tmp_path / "weights.npz")
    assert other.label_shares.numpy() == pytest.approx([0.25, 0.0, 0.75])
    assert (gan.latents(2).numpy() == other.latents(2).numpy()).all()
    gan.label_shares.assign([0.1, 0.2, 0.7])  # float16 has none of these: rounded, they would change labels of samples
    weights.write(gan, tmp_path / "weights.npz")
    weights.read(other, tmp_path / "weights.npz")
    assert (other.label_shares.numpy() == gan.label_shares.numpy()).all()


@pytest.mark.parametrize("script", [evaluate, explore])
def test_nothing_is_written_into_the_package(script, stored, capsys):
    before = sorted(path.name for path in stored.iterdir())
    assert script.main(["pretrained:mine"]) == 2
    assert (
        "nothing is written into its folder. Sample it, export it, serve it, or explore it with --out FOLDER"
        in capsys.readouterr().err
    )
    assert sorted(path.name for path in stored.iterdir()) == before
