"""PyTorch's formats against the plain modules, and the compiler that one of them needs."""

import json
import shutil

import pytest

from sam2_hf.errors import ExportError
from sam2_hf.export.photo_folder import ABOUT, PhotoFolder, export_photo
from tests.export.photo_prompts import compare_with_modules


@pytest.mark.parametrize("format_name", ["torch-export", "torchscript"])
def test_prompts_of_any_number_of_objects_are_answered_as_by_the_modules(
    photo_export, small_model, format_name
):
    compare_with_modules(photo_export(format_name), small_model)


def test_a_compiled_package_is_the_modules_and_belongs_to_its_version_of_torch(
    photo_export, small_model, tmp_path
):
    folder = photo_export("aotinductor")
    compare_with_modules(folder, small_model)

    old = shutil.copytree(folder, tmp_path / "old")
    about = json.loads((old / ABOUT).read_text())
    about["needs"]["torch"] = "2.6.0"
    (old / ABOUT).write_text(json.dumps(about))
    with pytest.raises(ExportError, match=r"compiled for torch 2\.6\.0, but this machine has"):
        PhotoFolder(old)


def test_a_package_needs_a_compiler(small_model, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")

    with pytest.raises(ExportError, match=r"there is no no-such-compiler\. Install gcc"):
        export_photo(small_model, tmp_path / "out", "aotinductor")
    assert not (tmp_path / "out").exists()
