"""Files that appear only when they are whole."""

import pytest

from sam2_hf import OutputError
from sam2_hf.atomic_write import atomic_path


def break_off(path, error):
    with atomic_path(path) as hidden:
        hidden.write_text("half")
        raise error


def test_the_name_is_given_at_the_end(tmp_path):
    path = tmp_path / "deep" / "result.txt"

    with atomic_path(path) as hidden:
        hidden.write_text("whole")
        assert not path.exists()

    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_what_goes_wrong_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("earlier")

    with pytest.raises(ZeroDivisionError):
        break_off(path, ZeroDivisionError())

    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_written_over(tmp_path):
    with atomic_path(tmp_path / "result.txt") as hidden:
        hidden.write_text("old")
    hidden.write_text("from a killed process, and longer")

    with atomic_path(tmp_path / "result.txt") as hidden:
        hidden.write_text("new")

    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


def test_a_disk_that_is_full_is_an_error_of_ours(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*result.txt: No space left"):
        break_off(tmp_path / "result.txt", OSError(28, "No space left on device"))

    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot write"), atomic_path(tmp_path / "file" / "x"):
        pass
