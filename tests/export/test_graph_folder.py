"""Opening an exported folder: everything that can be wrong with it is one line."""

import hashlib
import json
import shutil

import pytest

from sam2_hf.errors import ExportError
from sam2_hf.export.graph_folder import GraphFolder
from sam2_hf.export.onnx_files import GRAPHS
from sam2_hf.pipelines.loading import load_video_model

onnx = pytest.importorskip("onnx", reason="export needs it: pip install '.[export]'")


@pytest.fixture
def folder(exported, tmp_path):
    """A copy of the export to be damaged."""
    return shutil.copytree(exported, tmp_path / "export")


def change(path, do):
    proto = onnx.load(path)
    do(proto)
    onnx.save(proto, path)


def describe(key, value):
    def do(proto):
        next(one for one in proto.metadata_props if one.key == key).value = value

    return do


def refuse(folder, words):
    with pytest.raises(ExportError, match=words) as caught:
        load_video_model(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_whole_folder_is_opened(folder):
    graphs = GraphFolder(folder)

    assert graphs.image_size == 256
    whole = b"".join((folder / f"{name}.onnx").read_bytes() for name in GRAPHS)
    assert graphs.fingerprint == hashlib.sha256(whole).hexdigest()


def test_a_folder_without_a_graph_is_refused(folder):
    (folder / "memory_encoder.onnx").unlink()

    refuse(folder, r"no graph memory_encoder\.onnx")


def test_graphs_of_different_models_are_refused(folder):
    change(folder / "mask_decoder.onnx", describe("sam2_hf.weights", "0" * 64))

    refuse(folder, r"mask_decoder\.onnx belongs to a different model .* different weights")


def test_graphs_of_different_dtypes_are_refused(folder):
    change(folder / "mask_decoder.onnx", describe("sam2_hf.dtype", "int8"))

    refuse(folder, "different dtype")


def test_a_graph_under_the_name_of_another_is_refused(folder):
    shutil.copyfile(folder / "no_memory.onnx", folder / "object_pointer.onnx")

    refuse(folder, r"object_pointer\.onnx is not the graph object_pointer")


def test_a_graph_of_another_origin_is_refused(folder):
    change(folder / "no_memory.onnx", lambda proto: proto.ClearField("metadata_props"))

    refuse(folder, "no format")


def test_a_graph_of_an_opset_to_come_is_refused(folder):
    def raise_opset(proto):
        proto.opset_import[0].version = 99

    change(folder / "no_memory.onnx", raise_opset)

    refuse(folder, r"no_memory\.onnx cannot be opened by ONNX Runtime .*Opset 99")


@pytest.mark.parametrize("part", [0, 0.5, 0.999])
def test_a_truncated_graph_is_refused(folder, part):
    path = folder / "mask_decoder.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])

    refuse(folder, r"mask_decoder\.onnx")


def test_a_config_of_another_input_size_is_refused(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["prompt_encoder_config"]["image_size"] = 512
    path.write_text(json.dumps(config))

    refuse(folder, "says that the input has 512 pixels, and the graphs were made for 256")


def test_a_damaged_config_is_refused(folder):
    (folder / "config.json").write_text("{")

    refuse(folder, r"config\.json cannot be read")


def test_a_graph_of_another_input_size_is_refused(folder):
    change(folder / "image_encoder.onnx", describe("sam2_hf.image_size", "512"))

    refuse(folder, "different input size")
