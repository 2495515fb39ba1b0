"""scripts/export.py: folders to serve from, with a model card."""

import json
import shutil

import keras
import pytest
import tensorflow as tf

from gan_keras.runs import Run
from gan_keras_scripts import export


def test_export_writes_a_servable_folder_with_a_card(cgan_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert export.main([str(cgan_run) + "/"]) == 0
    assert f"gan-keras serve exports/{cgan_run.name}\n" in capsys.readouterr().out
    version = tmp_path / "exports" / cgan_run.name / "1"
    model = tf.saved_model.load(str(version))
    inputs = {"seed": tf.constant(3, tf.int64), "n": tf.constant(4), "label": tf.constant(7)}
    expected = keras.models.load_model(cgan_run / "model.keras").sample(4, seed=3, labels=7)
    assert (model.signatures["generate"](**inputs)["images"].numpy() == expected).all()
    card = (version / "model_card.md").read_text()
    for told in ("cgan, step 2", "not known to gan_keras", "Adam", "tensorflow", "Not measured", "Limits"):
        assert told in card, told
    assert "- num_classes: 10" in card and ": none" not in card
    assert export.main([str(cgan_run)]) == 0
    assert f"exports/{cgan_run.name}/2" in capsys.readouterr().out


def test_a_file_of_the_users_own_in_the_run_folder_is_no_card_of_the_package(mlp_run, tmp_path):
    run = shutil.copytree(mlp_run, tmp_path / "run")
    (run / "card.md").write_text("Made by me.\n")
    assert export.made_by(Run(run)) == ""


@pytest.mark.parametrize(
    "recipe, kind, not_told", [("vae", "A variational autoencoder", "discriminator tells"), ("ring", "adversarial", "pictures")]
)
def test_the_card_says_what_kind_of_model_it_is(recipe, kind, not_told, tmp_path):
    run = Run.new(tmp_path / "run", recipe=recipe, steps=1, batch_size=2)
    card = export.card(run.build(), run)
    assert kind in card and not_told not in card and "Its samples hold what its data hold" in card


def test_a_run_folder_is_no_place_for_an_export(mlp_run, capsys):
    before = sorted(path.name for path in mlp_run.iterdir())
    assert export.main([str(mlp_run), "--out", str(mlp_run)]) == 2
    assert "is a run folder. An export needs a folder of its own" in capsys.readouterr().err
    assert sorted(path.name for path in mlp_run.iterdir()) == before


def test_the_card_holds_the_figures(mlp_run, tmp_path):
    shutil.copytree(mlp_run, tmp_path / "run")
    figures = {"frechet_distance": {"value": 12.345, "error": None, "real": 0.5, "better": "lower"}}
    figures["digit_errors"] = {"value": 0.25, "error": None, "real": None, "better": "lower"}  # of an InfoGAN's code "digit"
    report = {"step": 6, "samples": 500, "metrics": figures}
    (tmp_path / "run" / "report.json").write_text(json.dumps(report))
    assert export.main([str(tmp_path / "run"), "--out", str(tmp_path / "digits")]) == 0
    card = (tmp_path / "digits" / "1" / "model_card.md").read_text()
    assert "| Frechet distance | 12.35 | 0.5 | lower |" in card or "| Frechet distance | 12.34 | 0.5 | lower |" in card
    assert "| the same, code digit | 0.25 | - | lower |" in card
    assert "500 samples of step 6, which is not this one (7)" in card
    old = {**report, "figures": {"frechet_distance": {"value": 12.345, "error": None, "ceiling": 0.25, "better": "lower"}}}
    del old["metrics"]
    (tmp_path / "run" / "report.json").write_text(json.dumps(old))
    assert export.main([str(tmp_path / "run"), "--out", str(tmp_path / "older")]) == 0
    assert "| 0.25 | lower |" in (tmp_path / "older" / "1" / "model_card.md").read_text(), "a report of earlier versions"
    (tmp_path / "run" / "report.json").write_text("{}")
    assert export.main([str(tmp_path / "run"), "--out", str(tmp_path / "digits")]) == 2
    assert [path.name for path in (tmp_path / "digits").iterdir()] == ["1"]


def test_a_run_under_way_is_exported_at_its_newest_whole_checkpoint(mlp_run, tmp_path):
    shutil.copytree(mlp_run, tmp_path / "run")
    (tmp_path / "run" / "model.keras").unlink()
    for out, step in (("newest", 7), ("before", 6)):
        assert export.main([str(tmp_path / "run"), "--out", str(tmp_path / out)]) == 0
        assert f"step {step}" in (tmp_path / out / "1" / "model_card.md").read_text()
        for path in (tmp_path / "run" / "checkpoints").glob("ckpt-7.data*"):
            path.write_bytes(b"")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert export.main([str(tmp_path / "run"), "--out", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()
