"""What is written appears when it is whole."""

import os
import time

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


def test_two_writers_of_one_path_do_not_share_files(tmp_path):
    path = tmp_path / "report.json"
    with files.replacing(path) as slow:
        slow.write_text("half of")
        with files.replacing(path) as fast:
            fast.write_text("fast")
        assert path.read_text() == "fast" and slow.read_text() == "half of"
        slow.write_text("slow")
    assert path.read_text() == "slow"
    assert [*tmp_path.iterdir()] == [path]


def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path):
    killed = [files.replacing(tmp_path / "1") for _ in range(2)]
    old, fresh = (process.__enter__() for process in killed)
    write_half(old)
    write_half(fresh)
    two_days_ago = time.time() - 2 * 24 * 60 * 60
    os.utime(old, (two_days_ago, two_days_ago))
    with files.replacing(tmp_path / "1") as beside:
        beside.mkdir()
        (beside / "model").touch()
        assert not (tmp_path / "1").exists()
    assert set(tmp_path.rglob("*")) == {tmp_path / "1", tmp_path / "1" / "model", fresh, fresh / "half"}
