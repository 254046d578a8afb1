"""`sam2-hf export`: a model becomes a folder for other runtimes, or such a folder is checked."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sam2_hf.cli.inputs.early_checks import EXPORT_CHECK
from sam2_hf.errors import ExportError
from sam2_hf.export.exported_folder import ExportedFolder, open_export
from sam2_hf.export.graph_runtimes import RUNTIMES
from sam2_hf.export.hub_upload import push_export
from sam2_hf.export.onnx_files import GraphDtype, export_onnx, with_input_size
from sam2_hf.export.openvino_files import export_openvino
from sam2_hf.export.parity import Parity
from sam2_hf.export.photo_folder import PHOTO_FORMATS, export_photo
from sam2_hf.interruption import DONE
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.pipelines.loading import load_video_model

from .console import note, say
from .report import CommandReport

MIB = 2**20
GRAPH_SUFFIXES = {
    *(suffix for runtime in RUNTIMES for suffix in runtime.suffixes),
    *(kind.suffix for kind in PHOTO_FORMATS.values()),
}
COLUMNS = ("", "difference", "mean IoU", "lowest IoU", "PyTorch ms", "graphs ms", "ratio")


def run(arguments: argparse.Namespace) -> int:
    """Export `model` to `target`, or check the export in `target`.

    Raises:
        CheckpointError: The model cannot be loaded.
        ExportError: It cannot be exported, or the export cannot be used.
        OutputError: The folder cannot be written.
    """
    if arguments.model == EXPORT_CHECK:
        return _check(arguments)
    model = with_input_size(load_video_model(arguments.model, device="cpu"), arguments.image_size)
    if arguments.format in PHOTO_FORMATS:
        folder = export_photo(model, arguments.target, arguments.format, on_graph=_report)
    else:
        dtype: GraphDtype = arguments.dtype
        fixed: bool = arguments.fixed
        write = export_openvino if arguments.format == "openvino" else export_onnx
        folder = write(model, arguments.target, dtype=dtype, fixed=fixed, on_graph=_report)
    files = [path for path in sorted(folder.iterdir()) if path.suffix in GRAPH_SUFFIXES]
    for path in files:
        say(f"{path}  {path.stat().st_size / MIB:.1f} MiB")
    report: CommandReport = arguments.report
    report.model = arguments.model
    facts: dict[str, Any] = {"format": arguments.format, "dtype": arguments.dtype}
    if arguments.push_to_hub is not None:
        export = open_export(folder)
        rows = _measure(export, model)
        facts |= {
            "checks": _facts(rows),
            "pushed_to": _push(export, rows, arguments.model, arguments),
        }
    report.add(arguments.model, [folder, *files], **facts)
    return DONE


def _report(name: str) -> None:
    note(f"exporting {name}")


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
    report: CommandReport = arguments.report
    report.model = name
    # Other types round the weights, so their export differs from the model by design.
    different = [row for row in rows if export.dtype == "float32" and not row.is_equal]
    if export.dtype == "float32":
        say("not equal to the model" if different else "equal to the model")
    pushed_to = None if different else _push(export, rows, name, arguments)
    facts = {"dtype": export.dtype, "checks": _facts(rows), "pushed_to": pushed_to}
    report.add(str(arguments.target), [], **facts)
    if different:
        report.fail(_difference_text(arguments.target, name, different))
    return report.code


def _difference_text(target: Path, name: str, different: list[Parity]) -> str:
    described = "; ".join(
        f"{row.work}: difference {row.difference:.1e}, lowest IoU {row.least_iou:.4f}"
        for row in different
    )
    return f"{target} is not equal to {name} ({described}). Export the model again."


def _facts(rows: list[Parity]) -> list[dict[str, Any]]:
    return [{**asdict(row), "is_equal": row.is_equal} for row in rows]


def _push(
    export: ExportedFolder, rows: list[Parity], source: str, arguments: argparse.Namespace
) -> str | None:
    """Push an export, if that is asked for; returns its address."""
    if arguments.push_to_hub is None:
        return None
    private: bool = arguments.private
    address = push_export(export, arguments.push_to_hub, rows, source=source, private=private)
    say(address)
    return address


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
