"""What is written appears when it is whole."""

import pytest

from gan_keras import files


def test_a_file_takes_its_place_when_the_block_ends(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with files.replacing(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
        assert beside.parent == tmp_path and beside.suffix == ".json" and beside.name.startswith(".")
    assert path.read_text() == "new"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_was_there_stays_when_the_block_fails(tmp_path, error):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(error), files.replacing(path) as beside:
        beside.write_text("half of the")
        raise error
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def write_half(path):
    path.mkdir()
    (path / "half").touch()


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(OSError), files.replacing(tmp_path / "1") as beside:
        write_half(beside)
        raise OSError
    assert not [*tmp_path.iterdir()]


def test_a_folder_is_made_without_what_a_killed_process_left(tmp_path):
    with pytest.raises(OSError), files.replacing(tmp_path / "1") as beside:
        raise OSError
    write_half(beside)
    with files.replacing(tmp_path / "1") as beside:
        beside.mkdir()
        (beside / "model").touch()
        assert not (tmp_path / "1").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["1", "model"]
