"""Writing graphs for OpenVINO, and opening what is damaged."""

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
from sam2_hf.pipelines.loading import load_video_model

openvino = pytest.importorskip("openvino", reason="it is optional: pip install '.[openvino]'")
ALIKE = {"float32": 1e-5, "float16": 2e-3, "int8": 0.05, "int8-weights": 0.02, "int4-weights": 0.2}
SMALLER = {"float32": 1.1, "float16": 0.6, "int8": 0.4, "int8-weights": 0.4, "int4-weights": 0.3}


@pytest.fixture
def folder(exported_openvino, tmp_path):
    """A copy of the export to be damaged."""
    return shutil.copytree(exported_openvino, tmp_path / "export")


def refuse(folder, words):
    with pytest.raises(ExportError, match=words) as caught:
        load_video_model(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


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


def test_a_folder_for_two_runtimes_is_refused(folder, exported):
    shutil.copyfile(exported / "no_memory.onnx", folder / "no_memory.onnx")

    refuse(folder, "has graphs for ONNX Runtime and OpenVINO. Export each")


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_a_missing_file_is_named(folder, suffix):
    (folder / f"mask_decoder{suffix}").unlink()

    refuse(folder, f"no graph mask_decoder{suffix}")


@pytest.mark.parametrize("part", [0, 0.5, 0.9999])
@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_a_truncated_file_is_refused(folder, suffix, part):
    path = folder / f"mask_decoder{suffix}"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])

    refuse(folder, r"mask_decoder\.")


def test_weights_of_another_graph_are_refused(folder):
    path = folder / "mask_decoder.bin"
    weights = bytearray(path.read_bytes())
    weights[len(weights) // 2] ^= 1
    path.write_bytes(weights)

    refuse(folder, r"mask_decoder\.bin is damaged, or not that of mask_decoder\.xml")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            'sam2_hf.weights value="',
            'sam2_hf.weights value="0',
            "of another model .* other weights",
        ),
        ('sam2_hf.graph value="', 'sam2_hf.graph value="x', r"is not the graph mask_decoder"),
        ("sam2_hf.format", "sam2_hf.other", "no format"),
    ],
)
def test_a_graph_of_another_model_is_refused(folder, before, after, words):
    path = folder / "mask_decoder.xml"
    path.write_text(path.read_text().replace(before, after))

    refuse(folder, words)


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
