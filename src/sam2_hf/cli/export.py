"""`sam2-hf export`: a model becomes a folder of graphs, or an exported folder is checked."""

import argparse
from pathlib import Path

from sam2_hf.errors import ExportError
from sam2_hf.export.exported_sam2 import ExportedSam2
from sam2_hf.export.graph_folder import GraphFolder
from sam2_hf.export.graph_runtimes import RUNTIMES
from sam2_hf.export.onnx_files import (
    WEIGHTS,
    GraphDtype,
    export_onnx,
    weights_of,
    with_input_size,
)
from sam2_hf.export.openvino_files import export_openvino
from sam2_hf.export.parity import measure_parity
from sam2_hf.interruption import DONE, FAILED
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.pipelines.loading import load_video_model

from .console import note, say

CHECK = "check"  # in place of a model; a folder of that name is ./check
MIB = 2**20
GRAPH_FILES = {suffix for runtime in RUNTIMES for suffix in runtime.suffixes}
COLUMNS = ("", "difference", "mean IoU", "least IoU", "PyTorch ms", "graphs ms", "ratio")


def run(arguments: argparse.Namespace) -> int:
    """Export `model` to `target`, or check the export in `target`.

    Raises:
        CheckpointError: The model cannot be loaded.
        ExportError: It cannot be exported, or the export cannot be used.
        OutputError: The folder cannot be written.
    """
    writers = {"onnx": export_onnx, "openvino": export_openvino}
    if arguments.format not in writers:
        raise ExportError(
            f"there is no export to {arguments.format!r}. Choose {', '.join(writers)}; other "
            "runtimes read files of onnx."
        )
    if arguments.model == CHECK:
        return _check(arguments.target, arguments.reference)
    model = with_input_size(load_video_model(arguments.model, device="cpu"), arguments.image_size)
    dtype: GraphDtype = arguments.dtype
    folder = writers[arguments.format](
        model,
        arguments.target,
        dtype=dtype,
        fixed=arguments.fixed,
        on_graph=lambda name: note(f"exporting {name}"),
    )
    for path in sorted(folder.iterdir()):
        if path.suffix in GRAPH_FILES:
            say(f"{path}  {path.stat().st_size / MIB:.1f} MiB")
    return DONE


def _check(folder: Path, reference: str | None) -> int:
    """Compare an export with the model it was made of, as a table; fail if float32 differs."""
    graphs = GraphFolder(folder)
    name = reference or graphs.about["sam2_hf.model"]
    if not name:
        raise ExportError(f"{folder} does not say which model it was made of. Give --reference.")
    model = with_input_size(load_video_model(name, device="cpu"), graphs.image_size)
    _require_same_weights(model, graphs, name)
    dtype = graphs.about["sam2_hf.dtype"]
    opset = graphs.about["sam2_hf.opset"]
    runtime = f"{graphs.runtime.name}, ONNX opset {opset}"
    say(f"{name}, {graphs.image_size} pixels, {dtype}, {runtime}")
    say("  ".join([f"{COLUMNS[0]:28}", *(f"{column:>10}" for column in COLUMNS[1:])]))
    are_equal = True
    for row in measure_parity(model, ExportedSam2(graphs)):
        are_equal = are_equal and row.is_equal
        numbers = (
            f"{row.difference:10.1e}",
            f"{row.mean_iou:10.4f}",
            f"{row.least_iou:10.4f}",
            f"{1000 * row.model_seconds:10.1f}",
            f"{1000 * row.graph_seconds:10.1f}",
            f"{row.model_seconds / row.graph_seconds:10.2f}",
        )
        say("  ".join([f"{row.work:28}", *numbers]))
    if dtype != "float32":
        return DONE
    say("equal to the model" if are_equal else "not equal to the model")
    return DONE if are_equal else FAILED


def _require_same_weights(model: Sam2VideoModel, graphs: GraphFolder, name: str) -> None:
    """Refuse to compare an export with a model that it was not made of."""
    if weights_of(model) != graphs.about[WEIGHTS]:
        raise ExportError(
            f"{graphs.folder} was not made of {name}: other weights. Give the model with "
            "--reference, or export it again."
        )
