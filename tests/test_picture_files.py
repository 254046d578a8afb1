"""Picture files before they are decoded."""

import subprocess
import sys

import pytest
from PIL import Image

from sam2_hf.errors import ImageError
from sam2_hf.picture_files import (
    file_problem,
    header_problem,
    is_picture_name,
    natural_order,
    picture_errors,
)


def test_names_sort_by_the_numbers_in_them():
    assert sorted(["f10.png", "f2.png", "F1.png"], key=natural_order) == [
        "F1.png",
        "f2.png",
        "f10.png",
    ]
    assert sorted(["a01", "a1", "a001"], key=natural_order) == ["a001", "a01", "a1"]


def test_hidden_files_and_other_kinds_are_no_pictures():
    assert is_picture_name("cup.JPG")
    assert not is_picture_name("._cup.jpg")
    assert not is_picture_name("cup.txt")


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path):
    assert "there is no mask file" in file_problem(tmp_path / "none.png", "mask file")
    assert "is a folder" in file_problem(tmp_path)
    assert "cannot be read" in file_problem("a\0b")


def test_a_text_that_is_called_a_picture_is_told_by_its_first_bytes(tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")
    Image.new("RGB", (4, 3)).save(tmp_path / "cup.png")

    assert "PIL does not know its format" in header_problem(tmp_path / "text.jpg")
    assert header_problem(tmp_path / "cup.png") is None


def test_whatever_a_reader_raises_becomes_one_kind_of_error():
    told = r"cup.png cannot be read as an image: odd"
    with pytest.raises(ImageError, match=told), picture_errors("cup.png"):
        raise ZeroDivisionError("odd")


def test_looking_at_a_file_needs_neither_torch_nor_numpy():
    code = (
        "import sys, sam2_hf.picture_files as files; files.header_problem('none.jpg'); "
        "sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
