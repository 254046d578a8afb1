"""A JSON file for each item."""

import pytest

from evaluation.item_files import ItemFiles
from sam2_hf.errors import DataError


@pytest.fixture
def files(tmp_path):
    return ItemFiles(tmp_path / "items", lambda item: {"value": item}, lambda rows: rows["value"])


@pytest.mark.parametrize("name", ["plain", "../up", "/etc/x", "a/b", "..", "a b.jpg", "ü"])
def test_whatever_an_item_is_called_its_file_lies_in_the_folder(files, name, tmp_path):
    files.save(name, 3)

    assert files.load(name) == 3
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "items"]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '{"other": 1}'])
def test_a_damaged_file_is_none(files, text, tmp_path):
    files.save("a", 1)
    (tmp_path / "items" / "a.json").write_text(text)

    assert files.load("a") is None
    with pytest.raises(DataError, match=r"a\.json"):
        files.load_all(["a"])


def test_all_items_come_in_the_asked_order_and_one_can_be_dropped(files):
    files.save("a", 1)
    files.save("b", 2)

    assert list(files.load_all(["b", "a"]).items()) == [("b", 2), ("a", 1)]
    files.forget("a")
    assert files.load("a") is None
