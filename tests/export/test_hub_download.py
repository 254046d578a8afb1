"""Exports by their Hub name, out of the cache, and names that are none."""

import pytest

from sam2_hf import CheckpointError
from sam2_hf.errors import ExportError
from sam2_hf.export import OnnxSam2
from sam2_hf.export.hub_download import download_export, is_hub_id, local_folder
from sam2_hf.pipelines.loading import load_model, load_video_model
from tests.hub.conftest import hub  # noqa: F401 - a fixture


def test_an_export_is_loaded_by_its_hub_name_and_then_from_the_cache(hub, exported, onnx_model):  # noqa: F811
    hub.add("me/micro-onnx", {path.name: path.read_bytes() for path in exported.iterdir()})

    assert OnnxSam2.from_pretrained("me/micro-onnx").fingerprint == onnx_model.fingerprint
    assert isinstance(load_video_model("me/micro-onnx"), OnnxSam2)
    hub.vanish()
    assert isinstance(load_model("me/micro-onnx"), OnnxSam2)
    assert OnnxSam2.from_pretrained("me/micro-onnx").fingerprint == onnx_model.fingerprint


def test_a_repo_without_graphs_is_no_export(hub):  # noqa: F811
    hub.add("some/empty", {"README.md": b"hello"})

    assert download_export("some/empty") is None
    with pytest.raises(CheckpointError, match="some/empty has no weights"):
        load_model("some/empty")


def test_a_name_that_the_hub_does_not_have_is_one_line(hub):  # noqa: F811
    with pytest.raises(ExportError, match="'some/none' is neither a folder here nor") as caught:
        OnnxSam2.from_pretrained("some/none")
    assert "\n" not in str(caught.value)


def test_a_path_is_not_looked_up_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some" / "folder").mkdir(parents=True)

    assert [is_hub_id(name) for name in ("some/folder", "./a", "~/a", "/a/b", "a")] == [False] * 5
    assert is_hub_id("some/model")
    assert str(local_folder("some/folder")) == "some/folder"
