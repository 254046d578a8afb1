import pytest

from sam2_hf.data.folders import file_names, folder_names, picture_names
from sam2_hf.errors import DataError


def test_names_come_in_the_order_a_person_would_count(tmp_path):
    for name in ("f10.jpg", "f9.png", ".hidden.jpg", "note.txt"):
        (tmp_path / name).touch()
    for name in ("s2", "s11", ".git"):
        (tmp_path / name).mkdir()

    assert picture_names(tmp_path) == ["f9.png", "f10.jpg"]
    assert file_names(tmp_path) == ["f9.png", "f10.jpg", "note.txt"]
    assert folder_names(tmp_path) == ["s2", "s11"]


@pytest.mark.parametrize("read", [file_names, folder_names])
def test_a_folder_that_is_not_there_is_named(tmp_path, read):
    with pytest.raises(DataError, match="gone cannot be read"):
        read(tmp_path / "gone")
