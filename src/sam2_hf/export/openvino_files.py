"""Folders of OpenVINO's graphs (IR): each a `.xml` with a `.bin` of weights."""

from collections.abc import Mapping
from pathlib import Path

import torch

from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .graph_runtimes import ONNX_NOTES, OPENVINO, WEIGHTS_FILE, hash_of, openvino_core
from .graphs import Graph
from .onnx_files import (
    GraphDtype,
    Progress,
    require_dtype,
    require_package,
    write_folder,
    write_graph,
)
from .quantization import BITS, quantize


def export_openvino(
    model: Sam2VideoModel,
    folder: str | Path,
    *,
    dtype: GraphDtype = "float32",
    fixed: bool = False,
    on_graph: Progress | None = None,
) -> Path:
    """Write a folder of graphs for OpenVINO, each converted from the graph in ONNX.

    Args:
        model: As of `export_onnx`.
        folder: As of `export_onnx`.
        dtype: As of `export_onnx`. All of them compute in float32, but for "int8": its weights are
            those of "int8-weights", and OpenVINO rounds what they are multiplied with as well.
        fixed: As of `export_onnx`.
        on_graph: As of `export_onnx`.

    Returns:
        The folder.

    Raises:
        ExportError: There is no such dtype, or something else lies in the folder.
        MissingPackageError: onnx, onnxscript or openvino is not installed.
        OutputError: The folder cannot be written.
    """
    require_dtype(dtype)
    narrow = "int8-weights" if dtype == "int8" else dtype
    extra = ["onnxruntime"] if narrow in BITS else []
    require_package("onnx", "onnxscript", "openvino", *extra)

    def write(graph: Graph, path: Path, about: Mapping[str, str]) -> None:
        write_graph(graph, path, about)
        if narrow in BITS:
            quantize(path, narrow)
        _convert(path, compress_to_fp16=dtype == "float16")
        path.unlink()

    stored = (torch.float32, dtype)  # halved by the converter
    return write_folder(model, folder, stored, write, fixed=fixed, on_graph=on_graph)


def _convert(path: Path, *, compress_to_fp16: bool) -> None:
    """Write OpenVINO's files beside an ONNX one, with what that says of itself.

    `Core.read_model` converts as `openvino.convert_model` does, which would report each use to a
    server and write to the home folder.
    """
    import openvino

    model = openvino_core().read_model(path)
    files = OPENVINO.files(path.parent, path.stem)
    openvino.save_model(model, files[0], compress_to_fp16=compress_to_fp16)
    # again, now that the hash of the weights is known
    model.set_rt_info(hash_of(files[1]), [ONNX_NOTES, WEIGHTS_FILE])
    openvino.save_model(model, files[0], compress_to_fp16=compress_to_fp16)
