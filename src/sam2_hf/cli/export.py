"""`sam2-hf export`: a model becomes a folder for other runtimes, or such a folder is checked."""

import argparse

from sam2_hf.errors import ExportError
from sam2_hf.export.exported_folder import ExportedFolder, open_export
from sam2_hf.export.graph_runtimes import RUNTIMES
from sam2_hf.export.hub_upload import push_export, require_repo_id
from sam2_hf.export.onnx_files import GraphDtype, export_onnx, with_input_size
from sam2_hf.export.openvino_files import export_openvino
from sam2_hf.export.parity import Parity
from sam2_hf.export.photo_folder import PHOTO_FORMATS, export_photo
from sam2_hf.interruption import DONE, FAILED
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.pipelines.loading import load_video_model

from .console import note, say

CHECK = "check"  # in place of a model; a folder of that name is ./check
MIB = 2**20
VIDEO_FORMATS = ("onnx", "openvino")  # every part; the others hold the graphs of photos
GRAPH_SUFFIXES = {
    *(suffix for runtime in RUNTIMES for suffix in runtime.suffixes),
    *(kind.suffix for kind in PHOTO_FORMATS.values()),
}
COLUMNS = ("", "difference", "mean IoU", "least IoU", "PyTorch ms", "graphs ms", "ratio")
# what other tools make of the ONNX files, and how
BEYOND = {"tensorrt": "trtexec", "coreml": "ONNX Runtime's CoreML execution provider"}


def run(arguments: argparse.Namespace) -> int:
    """Export `model` to `target`, or check the export in `target`.

    Raises:
        CheckpointError: The model cannot be loaded.
        ExportError: It cannot be exported, or the export cannot be used.
        OutputError: The folder cannot be written.
    """
    if arguments.push_to_hub is not None:
        require_repo_id(arguments.push_to_hub)
    if arguments.model == CHECK:
        return _check(arguments)
    _require_possible(arguments)
    model = with_input_size(load_video_model(arguments.model, device="cpu"), arguments.image_size)
    if arguments.format in PHOTO_FORMATS:
        folder = export_photo(model, arguments.target, arguments.format, on_graph=_report)
    else:
        dtype: GraphDtype = arguments.dtype
        fixed: bool = arguments.fixed
        write = export_openvino if arguments.format == "openvino" else export_onnx
        folder = write(model, arguments.target, dtype=dtype, fixed=fixed, on_graph=_report)
    for path in sorted(folder.iterdir()):
        if path.suffix in GRAPH_SUFFIXES:
            say(f"{path}  {path.stat().st_size / MIB:.1f} MiB")
    if arguments.push_to_hub is not None:
        export = open_export(folder)
        _push(export, _measure(export, model), arguments.model, arguments)
    return DONE


def _report(name: str) -> None:
    note(f"exporting {name}")


def _require_possible(arguments: argparse.Namespace) -> None:
    """Refuse a format, or a form of it, that is not written here."""
    name: str = arguments.format
    if name in BEYOND:
        raise ExportError(
            f"{name} is not written here: {BEYOND[name]} reads the ONNX files. "
            "Export to onnx; README.md in that folder has the commands, which are untested."
        )
    known = (*VIDEO_FORMATS, *PHOTO_FORMATS)
    if name not in known:
        raise ExportError(f"there is no export to {name!r}. Choose {', '.join(known)}.")
    if name not in PHOTO_FORMATS:
        return
    if arguments.dtype != "float32":
        raise ExportError(f"{name} keeps float32, not {arguments.dtype}. Leave --dtype out.")
    if arguments.fixed:
        raise ExportError(f"{name} has no fixed shapes. Leave --fixed out.")


def _check(arguments: argparse.Namespace) -> int:
    """Compare an export with the model it was made of; fail if float32 differs."""
    export = open_export(arguments.target)
    name = arguments.reference or export.model_name
    if not name:
        raise ExportError(
            f"{export.folder} does not say which model it was made of. Give --reference."
        )
    model = with_input_size(load_video_model(name, device="cpu"), export.image_size)
    export.require_made_of(model, name)
    say(f"{name}, {export.image_size} pixels, {export.dtype}, {export.runtime}")
    rows = _measure(export, model)
    if export.dtype == "float32":
        are_equal = all(row.is_equal for row in rows)
        say("equal to the model" if are_equal else "not equal to the model")
        if not are_equal:
            return FAILED
    _push(export, rows, name, arguments)
    return DONE


def _push(
    export: ExportedFolder, rows: list[Parity], source: str, arguments: argparse.Namespace
) -> None:
    """Push an export, if that is asked for."""
    if arguments.push_to_hub is not None:
        private: bool = arguments.private
        say(push_export(export, arguments.push_to_hub, rows, source=source, private=private))


def _measure(export: ExportedFolder, model: Sam2VideoModel) -> list[Parity]:
    """Compare an export with its model; print each row of a table when it is measured."""
    say("  ".join([f"{COLUMNS[0]:28}", *(f"{column:>10}" for column in COLUMNS[1:])]))
    rows = []
    for row in export.measure(model):
        rows.append(row)
        numbers = (
            f"{row.difference:10.1e}",
            f"{row.mean_iou:10.4f}",
            f"{row.least_iou:10.4f}",
            f"{1000 * row.model_seconds:10.1f}",
            f"{1000 * row.graph_seconds:10.1f}",
            f"{row.model_seconds / row.graph_seconds:10.2f}",
        )
        say("  ".join([f"{row.work:28}", *numbers]))
    return rows
