"""Writing graphs for OpenVINO: what lies in the folder, and how exact each type is."""

import json
import shutil
import sys

import pytest
import torch

from sam2_hf.errors import ExportError, MissingPackageError
from sam2_hf.export import onnx_files, openvino_files
from sam2_hf.export.graph_folder import GraphFolder
from sam2_hf.export.graph_runtimes import OPENVINO, OnnxGraph, OpenVinoGraph
from sam2_hf.export.graphs import graphs_of
from sam2_hf.export.onnx_files import DTYPES, GRAPHS, is_export, weights_of
from sam2_hf.export.openvino_files import export_openvino

openvino = pytest.importorskip("openvino", reason="it is optional: pip install '.[openvino]'")
ALIKE = {"float32": 1e-5, "float16": 2e-3, "int8": 0.05, "int8-weights": 0.02, "int4-weights": 0.2}
SMALLER = {"float32": 1.1, "float16": 0.6, "int8": 0.4, "int8-weights": 0.4, "int4-weights": 0.3}


def test_every_graph_says_what_it_is_made_of(exported_openvino, bundled_model):
    folder = GraphFolder(exported_openvino)

    assert is_export(exported_openvino)
    assert folder.runtime is OPENVINO
    assert folder.about["sam2_hf.weights"] == weights_of(bundled_model)
    assert folder.about["sam2_hf.model"] == "sam2-hiera-micro"
    assert json.loads(folder.about["sam2_hf.config"])["num_maskmem"] == 7
    assert folder.num_bytes > 2**24
    assert (exported_openvino / "processor_config.json").is_file()
    assert not list(exported_openvino.glob("*.onnx"))
    assert not (exported_openvino / "numpy_runner.py").exists()


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_dtype_gives_nearly_the_same_numbers(
    exported, bundled_model, tmp_path, monkeypatch, dtype
):
    def one_graph(*arguments):
        return [graph for graph in graphs_of(*arguments) if graph.name == "object_pointer"]

    def copy(graph, path, about):
        shutil.copyfile(exported / path.name, path)

    monkeypatch.setattr(onnx_files, "graphs_of", one_graph)
    monkeypatch.setattr(openvino_files, "write_graph", copy)
    whole = exported / "object_pointer.onnx"
    out = export_openvino(bundled_model, tmp_path / "out", dtype=dtype)
    feeds = {"token": torch.randn(3, 128).numpy(), "score": torch.tensor([[1.0]] * 3).numpy()}

    (wanted,), (found,) = OnnxGraph(whole)(feeds), OpenVinoGraph(out / "object_pointer.xml")(feeds)

    assert (out / "object_pointer.bin").stat().st_size < SMALLER[dtype] * whole.stat().st_size
    assert abs(found - wanted).max() <= ALIKE[dtype] * abs(wanted).max()


def test_a_missing_package_is_named(bundled_model, exported_openvino, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)

    for use in (
        lambda: export_openvino(bundled_model, tmp_path / "out"),
        lambda: GraphFolder(exported_openvino),
    ):
        with pytest.raises(MissingPackageError, match=r"openvino.*sam2-hf\[openvino\]"):
            use()
    assert not (tmp_path / "out").exists()


def test_an_unknown_dtype_is_refused(bundled_model, tmp_path):
    with pytest.raises(ExportError, match=r"'bfloat16' cannot be exported\. Choose float32"):
        export_openvino(bundled_model, tmp_path / "out", dtype="bfloat16")


def test_there_are_files_for_every_graph(exported_openvino):
    assert {path.stem for path in exported_openvino.glob("*.bin")} == set(GRAPHS)
