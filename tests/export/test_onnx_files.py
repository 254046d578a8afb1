"""Writing an export: what lies in the folder, what the files say, what is refused."""

import json
import sys

import pytest
import torch

from sam2_hf import Sam2VideoConfig, Sam2VideoModel, Sam2VideoProcessor, __version__
from sam2_hf.errors import ExportError, MissingPackageError, OutputError
from sam2_hf.export import onnx_files
from sam2_hf.export.graph_runtimes import OnnxGraph
from sam2_hf.export.graphs import graphs_of
from sam2_hf.export.onnx_files import (
    GRAPHS,
    OPSET,
    export_onnx,
    is_export,
    weights_of,
    with_input_size,
)

onnx = pytest.importorskip("onnx", reason="export needs it: pip install '.[export]'")


def description(path):
    return {one.key: one.value for one in onnx.load(path).metadata_props}


def test_every_graph_says_what_it_is_made_of(exported, bundled_model):
    for name in GRAPHS:
        about = description(exported / f"{name}.onnx")

        assert about["sam2_hf.graph"] == name
        assert about["sam2_hf.model"] == "sam2-hiera-micro"
        assert about["sam2_hf.version"] == __version__
        assert about["sam2_hf.opset"] == str(OPSET)
        assert about["sam2_hf.dtype"] == "float32"
        assert about["sam2_hf.image_size"] == "256"
        assert about["sam2_hf.weights"] == weights_of(bundled_model)
        config = Sam2VideoConfig.from_dict(json.loads(about["sam2_hf.config"]))
        assert config.num_maskmem == bundled_model.config.num_maskmem


def test_no_graph_names_places_on_this_machine(exported):
    for path in exported.glob("*.onnx"):
        assert b"site-packages" not in path.read_bytes(), path.name


def test_graphs_are_complete_and_of_the_stated_opset(exported):
    for path in exported.glob("*.onnx"):
        proto = onnx.load(path)

        onnx.checker.check_model(proto)
        assert [one.version for one in proto.opset_import if not one.domain] == [OPSET]


def test_dimensions_that_vary_have_names(exported):
    graph = onnx.load(exported / "memory_attention.onnx").graph
    shapes = {
        one.name: [each.dim_param or each.dim_value for each in one.type.tensor_type.shape.dim]
        for one in graph.input
    }

    assert shapes["embedding"] == [1, 128, 16, 16]
    assert shapes["spatial"] == ["objects", "memories", 64, 16, 16]
    assert shapes["pointers"] == ["objects", "pointers", 128]


@pytest.mark.parametrize("side", [None, 128])
def test_the_settings_of_the_processor_come_along_for_the_input_size(
    bundled_model, tmp_path, monkeypatch, side
):
    monkeypatch.setattr(onnx_files, "write_graph", lambda graph, path, about: path.touch())
    export_onnx(with_input_size(bundled_model, side), tmp_path / "out")

    processor = Sam2VideoProcessor.from_pretrained(tmp_path / "out")
    edges = {"height": side or 256, "width": side or 256}
    assert dict(processor.image_processor.size) == dict(processor.video_processor.size) == edges
    assert processor.target_size == (side or 256)


def test_a_place_that_cannot_be_written_is_an_error_of_ours(bundled_model, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_files, "write_graph", lambda graph, path, about: path.touch())
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match="file/out"):
        export_onnx(bundled_model, tmp_path / "file" / "out")


def test_what_is_no_export_is_not_replaced(bundled_model, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")

    with pytest.raises(ExportError, match="something other"):
        export_onnx(bundled_model, tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"
    assert not is_export(tmp_path)


def test_an_unknown_dtype_is_refused(bundled_model, tmp_path):
    with pytest.raises(ExportError, match="float32, float16, int8"):
        export_onnx(bundled_model, tmp_path / "out", dtype="int4")


def test_a_missing_package_is_named_before_anything_is_done(bundled_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)

    with pytest.raises(MissingPackageError, match=r"onnxscript.*sam2-hf\[export\]"):
        export_onnx(bundled_model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_that_fails_leaves_the_one_before(exported, bundled_model, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "no_memory.onnx").write_bytes((exported / "no_memory.onnx").read_bytes())

    def fail(*_):
        raise RuntimeError("no more")

    monkeypatch.setattr(onnx_files, "write_graph", fail)
    with pytest.raises(RuntimeError, match="no more"):
        export_onnx(bundled_model, out)

    assert [path.name for path in out.iterdir()] == ["no_memory.onnx"]


def test_another_input_size_keeps_the_weights(tiny_video_model):
    larger = with_input_size(tiny_video_model, 96)

    assert isinstance(larger, Sam2VideoModel)
    assert larger.image_size == 96
    assert tiny_video_model.image_size == 64
    assert with_input_size(tiny_video_model, None) is tiny_video_model
    for one, other in zip(larger.parameters(), tiny_video_model.parameters(), strict=True):
        assert one.equal(other)


def test_an_input_size_that_cannot_be_halved_is_refused(tiny_video_model):
    with pytest.raises(ValueError, match="multiple of 32"):
        with_input_size(tiny_video_model, 100)


@pytest.mark.parametrize(
    ("dtype", "share", "most"),
    [
        ("float16", 0.6, 1e-2),
        ("int8", 0.5, 0.1),
        ("int8-weights", 0.4, 0.02),
        ("int4-weights", 0.3, 0.2),
    ],
)
def test_smaller_weights_give_nearly_the_same_numbers(
    exported, bundled_model, tmp_path, monkeypatch, dtype, share, most
):
    def one_graph(*arguments):
        return [graph for graph in graphs_of(*arguments) if graph.name == "object_pointer"]

    monkeypatch.setattr(onnx_files, "graphs_of", one_graph)
    path = export_onnx(bundled_model, tmp_path / "out", dtype=dtype) / "object_pointer.onnx"
    feeds = {"token": torch.randn(3, 128).numpy(), "score": torch.tensor([[1.0]] * 3).numpy()}

    found, wanted = (OnnxGraph(one)(feeds)[0] for one in (path, exported / "object_pointer.onnx"))

    assert path.stat().st_size < share * (exported / "object_pointer.onnx").stat().st_size
    assert description(path)["sam2_hf.dtype"] == dtype
    assert abs(found - wanted).max() <= most * abs(wanted).max()


def test_a_graph_does_not_say_where_its_model_lay(bundled_model, tmp_path, monkeypatch):
    folder = tmp_path / "secret" / "cups"
    bundled_model.save_pretrained(folder)
    found = []
    monkeypatch.setattr(onnx_files, "write_graph", lambda _, __, about: found.append(about))

    export_onnx(Sam2VideoModel.from_pretrained(folder), tmp_path / "out")

    assert "secret" not in json.dumps(found)
    assert {about["sam2_hf.model"] for about in found} == {"cups"}
    assert "secret" not in (tmp_path / "out" / "config.json").read_text()
