"""The tutorial of the export runs, on the bundled model's export."""

import sys

import pytest

from tests.docs.files import write_files
from tests.docs.test_pages import EXPORT, run_page


@pytest.mark.usefixtures("one_thread")
def test_the_blocks_of_the_tutorial_run_one_after_another(exported, tmp_path, monkeypatch):
    write_files(tmp_path)
    (tmp_path / "tiny-onnx").symlink_to(exported)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delitem(sys.modules, "numpy_runner", raising=False)

    run_page(EXPORT)

    assert (tmp_path / "onnx-masks").is_dir()
