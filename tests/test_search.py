"""scripts/lab/search.py: candidates judged by held-out training digits; the study goes on where it stopped."""

import dataclasses
import json
import re

import numpy as np
import pytest

from gan_keras import data, recipes

optuna = pytest.importorskip("optuna", reason="Optuna is of the optional extra lab")
import search  # noqa: E402
from spaces import SPACES  # noqa: E402


@pytest.mark.parametrize(
    "name, chosen",
    [
        ("default", {"batch": 64, "schedule": "simultaneous"}),
        ("default_more", {}),
        ("plain", {}),
        ("r3gan", {"rate": 0.002, "rate_end": 0.01, "latents": 16}),
    ],
)
def test_what_a_search_chose_is_the_recipe(name, chosen):
    recipe = recipes.get(name.removesuffix("_more"))
    made = SPACES[name].recipe(optuna.trial.FixedTrial({**SPACES[name].today, **chosen}), recipe.steps)
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


@pytest.fixture
def study(tmp_path):
    """A study of the default recipe alone, no leads."""
    return search.begun(dataclasses.replace(SPACES["default"], leads=()), tmp_path / "default_1s.jsonl")


def finish(study, value):
    """Let the next candidate have this distance. Returns its settings and its seed."""
    trial = study.ask()
    settings = {name: trial.suggest_categorical(name, [v]) for name, v in trial.user_attrs["settings"].items()}
    study.tell(trial, value)
    return settings, search.seed_of(trial)


def test_finalists_are_trained_with_each_seed_once(study):
    settings, seed = finish(study, 1.0)
    assert (settings, seed) == (SPACES["default"].today, 0)
    for _ in range(2):  # as of two processes
        search.enqueue_finalists(study, SPACES["default"], 3)
    assert len(study.get_trials(states=[optuna.trial.TrialState.WAITING])) == 2
    assert sorted(finish(study, value)[1] for value in (2.0, 3.0)) == [1, 2]
    ((first, *others),) = search.ranking(study, SPACES["default"])
    assert len(others) == 2 and first.params == SPACES["default"].today
    search.enqueue_finalists(study, SPACES["default"], 3)
    assert not study.get_trials(states=[optuna.trial.TrialState.WAITING])


def test_a_candidate_from_before_a_setting_was_added_is_one_with_its_value_of_today(study):
    space = SPACES["default"]
    finish(study, 1.0)
    search.enqueue(study, {name: value for name, value in space.today.items() if name != "schedule"}, seed=1)
    assert finish(study, 2.0)[0].keys() == space.today.keys() - {"schedule"}
    ((first, second),) = search.ranking(study, space)
    assert (first.value, second.value) == (1.0, 2.0)
    search.enqueue_finalists(study, space, 1)
    assert finish(study, 3.0) == (space.today, 2)
    search.enqueue(study, {}, seed=3)
    study.ask()
    search.enqueue_interrupted(study, space, longest=-1)
    assert finish(study, 4.0) == (space.today, 3)


def test_a_candidate_whose_process_has_ended_is_trained_again_once(study):
    study.ask()
    search.enqueue_interrupted(study, SPACES["default"], longest=3600)
    assert len(study.trials) == 1, "it may still be trained"
    for _ in range(2):
        search.enqueue_interrupted(study, SPACES["default"], longest=-1)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "WAITING"]
    assert finish(study, 1.0) == (SPACES["default"].today, 0)
    search.enqueue_interrupted(study, SPACES["default"], longest=-1)
    assert len(study.trials) == 2


def test_a_candidate_that_diverges_while_it_is_timed_is_left_out(monkeypatch):
    def diverged(*_):
        raise FloatingPointError("d_loss is nan")

    monkeypatch.setattr(search.data, "load", lambda *_: (np.zeros((2, 28, 28, 1), "uint8"), np.zeros(2, "int32")))
    monkeypatch.setattr(search.evaluation, "Evaluator", lambda *_, **__: None)
    monkeypatch.setattr(search.Candidate, "trained", diverged)
    with pytest.raises(optuna.TrialPruned, match="d_loss is nan"):
        search.Candidate(SPACES["default"], 1.0)(optuna.trial.FixedTrial(SPACES["default"].today))


def test_every_table_on_the_page_has_a_study():
    page = (search.DOCS / "default_recipe.md").read_text()
    assert set(re.findall(r"<!-- search (\w+) -->", page)) == {file.stem for file in (search.DOCS / "search").iterdir()}


def test_a_change_in_words():
    changes = {"ema": 0.9995, "r2": False, "paired": True, "rate": 0.002}
    assert [search.words(*change) for change in changes.items()] == ["ema 0.9995", "no r2", "paired", "rate 0.002"]


def test_a_table_without_an_end_leaves_the_page_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text := "<!-- search a -->\nthe rest\n")
    with pytest.raises(ValueError, match="lacks '<!-- end -->'"):
        search.put("table", "a", page)
    assert page.read_text() == text


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
    assert [t.user_attrs.get("seed") for t in trials if t.params == first.params] == [0, 1, 2]
    text = page.read_text()
    assert text.startswith("Before\n\n<!-- search default_0.3s -->\n| change |") and text.endswith("|\n<!-- end -->\n\nAfter\n")
    rows = text.splitlines()[5:-3]
    assert sorted(row.split("|")[1:3] for row in rows) == [[" none ", " 3 "], [" rate_end 0.01 ", " 1 "]]
    assert all(json.loads(line) for line in (tmp_path / "search" / "default_0.3s.jsonl").read_text().splitlines())


@pytest.mark.parametrize("file", sorted((search.DOCS / "search").glob("*.jsonl")), ids=lambda file: file.stem)
def test_the_published_tables_are_those_of_the_studies(file):
    space = SPACES[file.stem.rpartition("_")[0]]
    assert (
        f"<!-- search {file.stem} -->\n{search.table(search.begun(space, file), space)}\n<!-- end -->"
        in (search.DOCS / "default_recipe.md").read_text()
    )
