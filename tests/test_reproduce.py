"""scripts/lab/reproduce.py: the ledger holds what the runs say."""

import dataclasses
import itertools
import shutil

import numpy as np
import pytest
import reproduce
import rows
from helpers import SCRIPTS
from rows import base, likelihood

from gan_keras import recipes


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """A ledger of one row in a folder of its own."""
    calls = []

    def run(seed):
        calls.append(seed)
        return {"ours": {"modes": 6 + seed, "seconds": 10.0}, "others": {"modes": 0}}

    row = base.Row(
        name="toy",
        title="A toy",
        source="a paper",
        protocol="counting",
        published="5 modes",
        differs="nothing",
        run=run,
        figures={"modes": "{:.1f}"},
        goal=("ours", "modes", "8 in every run", lambda runs: all(run["modes"] >= 8 for run in runs)),
        uses=("ring",),
        seeds=2,
    )
    monkeypatch.setattr(reproduce, "ROWS", [row])
    monkeypatch.setattr(base, "DOCS", tmp_path)
    return tmp_path, calls


def test_the_ledger_holds_what_the_runs_say(ledger):
    folder, calls = ledger
    assert reproduce.main(["--seeds", "1"]) == 0
    assert "**1 of 2 seeds run** (6.0)" in (folder / "results.md").read_text()
    assert reproduce.main([]) == 0
    text = (folder / "results.md").read_text()
    assert "| ours | 6.5 +- 0.7 | 10 +- 0 |" in text and "| others | 0.0 +- 0.0 |  |" in text
    assert "**Falls short** (6.0, 7.0)" in text and "Seeds 0, 1" in text
    # What is there is not run again, but enters the ledger.
    assert reproduce.main(["--seeds", "3"]) == 0
    assert calls == [0, 1, 2] and "Seeds 0, 1, 2" in (folder / "results.md").read_text()
    assert reproduce.main(["--only", "toy", "--seeds", "1", "--again"]) == 0
    assert calls == [0, 1, 2, 0]


def test_runs_of_a_recipe_that_has_changed_do_not_count(ledger, monkeypatch):
    folder, calls = ledger
    assert reproduce.main([]) == 0
    changed = dataclasses.replace(recipes.get("ring"), batch_size=7)
    monkeypatch.setitem(recipes.RECIPES, "ring", lambda: changed)
    reproduce.write_ledger()
    assert "Not run yet" in (folder / "results.md").read_text()
    assert reproduce.main([]) == 0 and calls == [0, 1, 0, 1]


def test_a_row_that_fails_does_not_stop_the_others(ledger, monkeypatch, capsys):
    folder, calls = ledger

    def fail(seed):
        raise FloatingPointError("weights are not finite")

    monkeypatch.setattr(
        reproduce, "ROWS", [dataclasses.replace(reproduce.ROWS[0], name="bad", run=fail), *reproduce.ROWS]
    )
    assert reproduce.main([]) == 1
    assert calls == [0, 1] and "bad seed 0 failed: weights are not finite" in capsys.readouterr().err


def test_reproduce_refuses_nonsense(capsys):
    assert reproduce.main(["--only", "ringg"]) == 2
    assert "Did you mean 'ring'" in capsys.readouterr().err
    for seeds in ("0", str(10**30)):
        assert reproduce.main(["--seeds", seeds]) == 2


def test_the_ledger_is_written_from_the_runs(tmp_path, monkeypatch):
    docs = SCRIPTS.parent / "docs"
    written = (docs / "results.md").read_text()
    monkeypatch.setattr(base, "DOCS", tmp_path)
    shutil.copytree(docs / "results", tmp_path / "results")
    reproduce.write_ledger()
    assert (tmp_path / "results.md").read_text() == written


def test_centroids_start_from_the_chosen_images():
    pytest.importorskip("sklearn", reason="scikit-learn is of the optional extra lab")
    rng = np.random.default_rng(0)
    images = np.concatenate(
        [np.full((50, 2, 2, 1), level) + 0.01 * rng.normal(size=(50, 2, 2, 1)) for level in (0.2, 0.8)]
    )
    centers = likelihood.centroids(images, [0, 60])
    np.testing.assert_allclose(centers, [images[:50].mean(axis=0), images[50:].mean(axis=0)], rtol=1e-5)


def test_a_row_of_a_table_counts_by_itself(ledger, monkeypatch):
    folder, calls = ledger
    row = reproduce.ROWS[0]

    def of_table(name):
        return dataclasses.replace(
            row, name=f"toy.{name}", uses=(name,), run=lambda seed: {name: {"modes": 8}, **row.run(seed)}
        )

    monkeypatch.setattr(reproduce, "ROWS", [of_table("ring"), of_table("grid")])
    assert reproduce.main(["--only", "toy", "--seeds", "1"]) == 0 and len(calls) == 2
    text = (folder / "results.md").read_text()
    assert text.count("## A toy") == 1 and "| ring | 8.0 |" in text and "| grid | 8.0 |" in text
    assert "--only toy`" in text and "To be run: toy.ring (1 of 2 seeds), toy.grid (1 of 2 seeds)." in text
    # Another recipe changes, or is added: the runs of this one still count.
    changed = dataclasses.replace(recipes.get("grid"), batch_size=7)
    monkeypatch.setitem(recipes.RECIPES, "grid", lambda: changed)
    reproduce.write_ledger()
    text = (folder / "results.md").read_text()
    assert "| ring | 8.0 |" in text and "| grid |" not in text and "toy.grid (0 of 2 seeds)" in text
    assert reproduce.main(["--only", "toy.ring", "--seeds", "1"]) == 0 and len(calls) == 2
    assert reproduce.main(["--seeds", "1"]) == 0 and len(calls) == 3


def test_every_recipe_of_digits_is_a_row():
    names = {row.name.partition(".")[2]: row.uses for row in rows.ROWS if row.table == "recipes"}
    assert names == {name: (name,) for name in recipes.RECIPES if recipes.get(name).data == "mnist"}


def test_rows_of_a_table_follow_each_other():
    assert len({row.name for row in rows.ROWS}) == len(rows.ROWS)
    tables = [table for table, _ in itertools.groupby(rows.ROWS, key=lambda row: row.table)]
    assert len(set(tables)) == len(tables)
