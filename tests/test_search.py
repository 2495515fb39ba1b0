"""scripts/lab/search.py: candidates judged by held-out training digits; the study goes on where it stopped."""

import dataclasses
import json

import pytest

from gan_keras import data, recipes

optuna = pytest.importorskip("optuna", reason="Optuna is of the optional extra lab")
import search  # noqa: E402
from spaces import SPACES  # noqa: E402


def test_the_settings_of_today_are_the_recipe():
    recipe = recipes.get("default")
    made = SPACES["default"].recipe(optuna.trial.FixedTrial(SPACES["default"].today), recipe.steps)
    same = [key for key in recipe.values() if key not in ("generator", "discriminator")]
    assert {key: made.values()[key] for key in same} == {key: recipe.values()[key] for key in same}
    ours, theirs = made.build(), recipe.build()
    for role in ("generator", "discriminator"):
        shapes = [[w.shape for w in getattr(gan, role).weights] for gan in (ours, theirs)]
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", SPACES)
def test_every_lead_is_a_setting_of_the_space_and_changes_it(name):
    space = SPACES[name]
    for lead in space.leads:
        settings = {**space.today, **lead}
        assert settings != space.today and list(settings) == list(space.today)
        trial = optuna.trial.FixedTrial(settings)
        space.recipe(trial, 10)
        assert trial.params == settings


def test_weights_and_rates_fall_over_all_steps():
    settings = {**SPACES["default"].today, "rate_end": 0.1, "r1_end": 0.01}
    recipe = SPACES["default"].recipe(optuna.trial.FixedTrial(settings), 500)
    weight = recipe.regularizers[0].weight
    for optimizer in (recipe.d_optimizer, recipe.g_optimizer):
        rate = optimizer["config"]["learning_rate"]
        assert rate["class_name"] == "CosineDecay"
        assert rate["config"] == {"initial_learning_rate": 1e-3, "decay_steps": 500, "alpha": 0.1}
    assert float(weight(0)) == pytest.approx(2.0) and float(weight(500)) == pytest.approx(0.02)


@pytest.mark.slow
def test_a_study_goes_on_and_sees_no_test_digits(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "DOCS", tmp_path)
    monkeypatch.setattr(search, "SAMPLES", 100)
    monkeypatch.setattr(search, "TIMED", 5)
    space = dataclasses.replace(SPACES["default"], leads=({"rate_end": 0.01},))
    monkeypatch.setitem(search.SPACES, "default", space)
    page = tmp_path / "default_recipe.md"
    page.write_text("Before\n\n<!-- search default_0.3s -->\nold\n<!-- end -->\n\nAfter\n")
    splits, load = [], data.load
    monkeypatch.setattr(data, "load", lambda source, split: splits.append(split) or load(source, split))

    def run(*more):
        assert search.main(["default", "--seconds", "0.3", "--threads", "0", *more]) == 0
        study = search.begun(space, tmp_path / "search" / "default_0.3s.jsonl")
        return study.get_trials(states=[optuna.trial.TrialState.COMPLETE])

    (first,) = run("--trials", "1")
    assert first.params == space.today
    assert first.value == first.user_attrs["figures"]["frechet_distance"] > 10
    assert set(splits) == {"train[:50000]", "validation"}
    trials = run("--trials", "3", "--finalists", "1")
    assert trials[1].params == {**first.params, "rate_end": 0.01}  # the lead was queued before the finalist
    assert [t.user_attrs.get("seed") for t in trials if t.params == first.params] == [None, 1, 2]
    text = page.read_text()
    assert text.startswith("Before\n\n<!-- search default_0.3s -->\n| change |") and text.endswith("|\n<!-- end -->\n\nAfter\n")
    rows = text.splitlines()[5:-3]
    assert sorted(row.split("|")[1:3] for row in rows) == [[" none ", " 3 "], [" rate_end 0.01 ", " 1 "]]
    assert all(json.loads(line) for line in (tmp_path / "search" / "default_0.3s.jsonl").read_text().splitlines())


@pytest.mark.parametrize("file", sorted((search.DOCS / "search").glob("*.jsonl")), ids=lambda file: file.stem)
def test_the_published_tables_are_those_of_the_studies(file):
    space = SPACES[file.stem.rpartition("_")[0]]
    assert f"<!-- search {file.stem} -->\n{search.table(search.begun(space, file), space)}\n<!-- end -->" in (
        search.DOCS / "default_recipe.md"
    ).read_text()
