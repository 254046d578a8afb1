"""ExecuTorch's programs against the plain modules, where the package is installed."""

import sys

import pytest

from sam2_hf.errors import MissingPackageError
from sam2_hf.export.photo_folder import export_photo
from tests.export.photo_prompts import compare_with_modules


def test_prompts_of_any_number_of_objects_are_answered_as_by_the_modules(photo_export, small_model):
    pytest.importorskip("executorch", reason="the format executorch: pip install executorch")

    compare_with_modules(photo_export("executorch"), small_model)


def test_a_missing_package_is_named_before_anything_is_done(small_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "executorch", None)

    with pytest.raises(MissingPackageError, match=r"executorch.*pip install executorch"):
        export_photo(small_model, tmp_path / "out", "executorch")
    assert not (tmp_path / "out").exists()
