"""scripts/lab/time_to_quality.py: samples are looked at after equal times; trainings are added to what is there."""

import json
import time

import pytest
import time_to_quality

from gan_keras import recipes


@pytest.mark.slow
def test_trainings_are_looked_at_and_added_to_the_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(time_to_quality, "SAMPLES", 200)
    monkeypatch.setattr(time_to_quality, "MARKS", (0.2, 1000))
    out = tmp_path / "quality.json"

    def run(*more):
        assert time_to_quality.main(["--minutes", "0.01", "--out", str(out), "--contestants", "tutorial_mlp", *more]) == 0
        return json.loads(out.read_text())["runs"]

    runs = run("keras_guide")
    assert set(runs) == {"tutorial_mlp", "keras_guide"}
    for seeds in runs.values():
        seconds = [point["seconds"] for point in seeds["0"]]
        assert len(seconds) == 2 and 0.2 <= seconds[0] < seconds[1]
        assert all(
            point["frechet_distance"] > 1 and 0 <= point["coverage"] <= 1 and 0 < point["ratio"] < 1 for point in seeds["0"]
        )
    assert (tmp_path / "quality.png").exists()
    # Preparation counts.
    prepare = time_to_quality.CONTESTANTS["tutorial_mlp"]
    monkeypatch.setitem(time_to_quality.CONTESTANTS, "slow", lambda *given: time.sleep(1) or prepare(*given))
    assert run("slow")["slow"]["0"][0]["seconds"] > 1
    more = run("--seeds", "2")
    assert set(runs["tutorial_mlp"]) == {"0"} and set(more["tutorial_mlp"]) == {"0", "1"}
    assert more["tutorial_mlp"]["0"] == runs["tutorial_mlp"]["0"], "what is there is not made again"
    assert more["keras_guide"] == runs["keras_guide"]
    out.write_text('{"cores": 2}')
    assert time_to_quality.main(["--minutes", "0.01", "--out", str(out)]) == 2
    assert "holds something else" in capsys.readouterr().err


def test_a_report_takes_contestants_that_it_lacks_and_no_changed_recipe(tmp_path):
    out = tmp_path / "quality.json"
    now = {name: recipes.get(name).values() for name in ("tutorial_mlp", "cgan")}
    conditions = {"minutes": 5.0, "recipes": now}
    old = {"minutes": 5.0, "recipes": {"tutorial_mlp": now["tutorial_mlp"]}, "runs": {"tutorial_mlp": {}}}
    out.write_text(json.dumps(old))
    assert time_to_quality.begun(out, conditions) == {**conditions, "runs": {"tutorial_mlp": {}}}
    for other in ({"minutes": 6.0}, {"recipes": {"tutorial_mlp": {**now["tutorial_mlp"], "batch_size": 7}}}):
        out.write_text(json.dumps({**old, **other}))
        with pytest.raises(ValueError, match="trainings under other conditions"):
            time_to_quality.begun(out, conditions)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--minutes", "inf"], "--minutes: must be from 0.001 to 1,440"),
        (["--minutes", "-1"], "--minutes: must be from"),
        (["--minutes", "nan"], "--minutes: must be from"),
        (["--seeds", "0"], "--seeds: must be from 1"),
        (["--contestants", "vae"], "--contestants: invalid choice"),
        (["--out", "quality.txt"], "--out: must end in .json"),
        (["--out", "folder.json"], "--out: cannot write to folder.json"),
        (["--out", "old.json"], "old.json holds something else"),
    ],
)
def test_nonsense_is_refused(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "folder.json").mkdir()
    assert time_to_quality.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.json", "old.json"]
