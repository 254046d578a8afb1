"""Folders that segment photos in formats other than ONNX: written, and opened.

Each has the files of two graphs, `config.json`, the settings of the image processor, a README, and
`export.json`, which says what they were made of.
"""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam2_hf.errors import ExportError, MissingPackageError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.version import __version__
from sam2_hf.video.video_processing_sam2_video import checkpoint_pixels

from .executorch_files import EXECUTORCH
from .graph_runtimes import hash_of
from .graphs import quietly
from .onnx_files import export_draft, exportable_copy, weights_of
from .photo_graphs import PHOTO_GRAPHS, PhotoFormat, photo_graphs
from .torch_files import AOTINDUCTOR, TORCH_EXPORT, TORCHSCRIPT

PHOTO_FORMATS: Mapping[str, PhotoFormat] = MappingProxyType(
    {
        "torch-export": TORCH_EXPORT,
        "aotinductor": AOTINDUCTOR,
        "torchscript": TORCHSCRIPT,
        "executorch": EXECUTORCH,
    }
)
ABOUT = "export.json"
README, TEMPLATE = "README.md", "readme_photo.md"
AGAIN = "Export the model again."
KINDS = {
    "format": str,
    "model": str,
    "weights": str,
    "image_size": int,
    "files": dict,
    "needs": dict,
}


def export_photo(
    model: Sam2VideoModel,
    folder: str | Path,
    format_name: str,
    *,
    on_graph: Callable[[str], None] | None = None,
) -> Path:
    """Write a folder that segments photos, in float32.

    Args:
        model: The model; it stays as it is.
        folder: Where to; an earlier export of this kind is replaced as a whole.
        format_name: One of `PHOTO_FORMATS`.
        on_graph: Called with the name of each graph before it is made.

    Returns:
        The folder.

    Raises:
        ExportError: There is no such format, something else lies in the folder, or there is no
            compiler, which "aotinductor" needs.
        MissingPackageError: The format's package is not installed.
        OutputError: The folder cannot be written.
    """
    kind = _format(format_name)
    target = Path(folder).expanduser()
    if target.is_dir() and any(target.iterdir()) and not is_photo_export(target):
        raise ExportError(
            f"{target} holds something other than an export to {format_name}. Give an empty folder."
        )
    ready = exportable_copy(model, torch.float32)
    for part in ready.modules():
        if hasattr(part, "config"):
            part.config._attn_implementation = kind.attention
    with export_draft(target) as draft:
        for graph in photo_graphs(ready):
            if on_graph is not None:
                on_graph(graph.name)
            kind.write(graph, draft / f"{graph.name}{kind.suffix}")
        _describe(model, draft, format_name)
    return target


def is_photo_export(folder: str | Path) -> bool:
    """Whether a folder was written by `export_photo`."""
    return (Path(folder).expanduser() / ABOUT).is_file()


def require_no_photo_export(folder: str | Path) -> None:
    """Refuse a folder as a model if it holds photo graphs.

    Raises:
        ExportError: It does.
    """
    if is_photo_export(folder):
        raise ExportError(
            f"{folder} holds photo graphs, which pipelines and sessions cannot use: its "
            f"{README} has the code that runs them. Export to onnx for those."
        )


class PhotoFolder:
    """The two graphs of a folder, ready to run.

    Args:
        folder: What `export_photo` wrote.

    Attributes:
        folder: Its path.
        format_name: One of `PHOTO_FORMATS`.
        model_name: Name of the exported model.
        weights: Mark of its weights, see `weights_of`.
        image_size: Side of the square input, model pixels.

    Raises:
        ExportError: A file is missing, damaged, or of another export, or was compiled for another
            version of PyTorch or another CPU.
        MissingPackageError: The format's package is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        about = _read_about(self.folder / ABOUT)
        self.format_name: str = about["format"]
        self.model_name: str = about["model"]
        self.weights: str = about["weights"]
        self.image_size: int = about["image_size"]
        kind = _format(self.format_name)
        _require_needs(self.folder, about["needs"], kind.needs())
        paths = {name: self.folder / f"{name}{kind.suffix}" for name in PHOTO_GRAPHS}
        for path in paths.values():
            _require_whole(path, about["files"].get(path.name))
        self._runs = {name: _open(kind, path) for name, path in paths.items()}

    def __call__(self, name: str, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run a graph.

        Args:
            name: Which.
            *inputs: In its order.
        """
        return tuple(self._runs[name](inputs))


def _format(name: str) -> PhotoFormat:
    """Find a format by its name, if what it needs is installed."""
    if name not in PHOTO_FORMATS:
        raise ExportError(f"there is no format {name!r}. Choose {', '.join(PHOTO_FORMATS)}.")
    kind = PHOTO_FORMATS[name]
    if kind.package is not None:
        try:
            with quietly():
                importlib.import_module(kind.package)
        except ImportError as error:
            raise MissingPackageError(
                kind.package,
                purpose=f"The format {name}",
                install=f"Install it with pip install {kind.package}.",
            ) from error
    return kind


def _describe(model: Sam2VideoModel, folder: Path, format_name: str) -> None:
    """Write all that is no graph: config, processor, README, and what the export is made of."""
    kind, side, rules = PHOTO_FORMATS[format_name], model.image_size, checkpoint_pixels(model)
    name = model.name_or_path
    about = {
        "format": format_name,
        "model": Path(name).name if Path(name).exists() else name,
        "weights": weights_of(model),
        "version": __version__,
        "image_size": side,
        "files": {path.name: hash_of(path) for path in sorted(folder.iterdir())},
        "needs": dict(kind.needs()),
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")
    model.config.save_pretrained(folder)
    Sam2ImageProcessor(
        size={"height": side, "width": side},
        rescale_factor=rules.rescale_factor,
        do_rescale=rules.rescale_factor is not None,
        image_mean=rules.mean,
        image_std=rules.std,
        do_normalize=rules.mean is not None,
    ).save_pretrained(folder)
    words = {
        "title": kind.title,
        "version": __version__,
        "model": about["model"] or "a model without a name",
        "side": str(side),
        "low": str(model.mask_input_size[0]),
        "suffix": kind.suffix,
        "python": kind.python,
        "cpp": Template(kind.cpp).safe_substitute(side=side),
        "factor": repr(rules.rescale_factor or 1.0),
        "mean": _per_channel(rules.mean, 0.0),
        "std": _per_channel(rules.std, 1.0),
        "needs": kind.limits,
    }
    text = Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8")
    (folder / README).write_text(Template(text).substitute(words), encoding="utf-8")


def _per_channel(numbers: float | Sequence[float] | None, default: float) -> str:
    """Write three numbers, one for each channel."""
    given = default if numbers is None else numbers
    return repr([float(number) for number in np.broadcast_to(given, 3)])


def _read_about(path: Path) -> Mapping[str, Any]:
    """Read what an export says of itself."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ExportError(
            f"{path.parent} has no {path.name}, so it is not an export of photo graphs. {AGAIN}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{path} cannot be read: {error}. {AGAIN}") from error
    fields = about if isinstance(about, dict) else {}
    wrong = [key for key, kind in KINDS.items() if not isinstance(fields.get(key), kind)]
    if wrong:
        raise ExportError(f"{path} cannot be used: its {wrong[0]} is missing or wrong. {AGAIN}")
    return fields


def _require_needs(folder: Path, wanted: Mapping[str, object], present: Mapping[str, str]) -> None:
    """Refuse machine code for another version of PyTorch, or another CPU."""
    for key, value in present.items():
        if wanted.get(key) != value:
            raise ExportError(
                f"{folder} was compiled for {key} {wanted.get(key)!s:.60}, but this machine has "
                f"{value}. {AGAIN[:-1]} on this machine."
            )


def _require_whole(path: Path, wanted: object) -> None:
    """Refuse a file that is not the one that was exported."""
    if not path.is_file():
        raise ExportError(f"{path.parent} has no {path.name}. {AGAIN}")
    if hash_of(path) != wanted:
        raise ExportError(f"{path} is truncated, changed, or of another export. {AGAIN}")


def _open(kind: PhotoFormat, path: Path) -> Any:  # noqa: ANN401 - a `Run`
    """Open the file of a graph."""
    try:
        with quietly():
            return kind.open(path)
    except Exception as error:  # the kinds are those of C++ libraries
        reason = " ".join(str(error).split())[:160].rstrip(". ")
        raise ExportError(f"{path} cannot be opened by {kind.title}: {reason}. {AGAIN}") from error
