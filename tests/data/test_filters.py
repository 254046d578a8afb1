import pytest

from sam2_hf.data.config import SourceConfig
from sam2_hf.data.filters import list_names, select_names
from sam2_hf.errors import DataError

NAMES = ["bear", "bmx-bumps", "bmx-trees", "camel"]


def chosen(**values):
    return [NAMES[place] for place in select_names(NAMES, SourceConfig("davis", "x", **values))]


def test_without_wishes_all_are_taken():
    assert chosen() == NAMES


def test_names_and_patterns_choose():
    assert chosen(only=("bmx-*", "bear")) == ["bear", "bmx-bumps", "bmx-trees"]
    assert chosen(exclude=("bmx-trees", "c?mel")) == ["bear", "bmx-bumps"]
    assert chosen(only=("b*",), exclude=("bear",)) == ["bmx-bumps", "bmx-trees"]


def test_a_file_lists_names(tmp_path):
    (tmp_path / "train.txt").write_text("camel\n\nbear\n")

    assert chosen(only=(str(tmp_path / "train.txt"),)) == ["bear", "camel"]


def test_a_missing_list_is_named():
    with pytest.raises(DataError, match=r"nowhere.txt cannot be read"):
        chosen(only=("nowhere.txt",))


def test_a_list_that_is_no_text_is_named(tmp_path):
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe")

    with pytest.raises(DataError, match=r"train.txt cannot be read"):
        chosen(only=(str(tmp_path / "train.txt"),))


def test_a_wanted_name_that_is_not_there_is_an_error():
    with pytest.raises(DataError, match=r"has no cow, dog\*, which `only` asks for. It has bear"):
        chosen(only=("cow", "bear", "dog*"))


def test_an_excluded_name_that_is_not_there_is_none():
    assert chosen(exclude=("cow",)) == NAMES


def test_leaving_nothing_is_an_error():
    with pytest.raises(DataError, match=r"leave none of 4 item\(s\)"):
        chosen(exclude=("*",))


def test_long_lists_are_cut():
    assert list_names([str(n) for n in range(10)]).endswith("7 and 2 more")
