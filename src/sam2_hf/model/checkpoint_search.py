"""Find an original `.pt` checkpoint among files."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from .checkpoint_errors import CheckpointError, CheckpointNotFoundError
from .configuration_sam2_video import Sam2VideoConfig

ORIGINAL_SUFFIXES = (".pt", ".pth")
CONFIG = "config.json"
NAMES_SHOWN = 8  # of the files in a folder


def find_local_original(source: str | os.PathLike[str], subfolder: str = "") -> Path | None:
    """Find the checkpoint that a path means.

    Args:
        source: Path to a `.pt` or `.pth`, a folder, or anything else.
        subfolder: Folder inside the folder.

    Returns:
        The file itself, or the only `.pt` of a folder that has no weights for transformers to
        read; None for everything else, Hub ids included.

    Raises:
        CheckpointNotFoundError: If the path ends in `.pt` and there is no such file.
        CheckpointError: If the folder holds several checkpoints.
    """
    path = Path(source)
    if path.suffix in ORIGINAL_SUFFIXES and not path.is_dir():
        if not path.is_file():
            raise CheckpointNotFoundError(f"there is no file {path}. Check the path.")
        return path
    folder = path / subfolder
    if not path.is_dir() or not folder.is_dir():
        return None
    names = [entry.name for entry in folder.iterdir()]
    if any(is_for_transformers(name) for name in names):
        return None
    only = only_original(names, str(folder))
    return folder / only if only else None


def require_weights(folder: str | os.PathLike[str], subfolder: str = "") -> None:
    """Refuse a folder without any weights.

    Raises:
        CheckpointNotFoundError: If the folder has none; the message lists what is there.
    """
    where = Path(folder) / subfolder
    names = sorted(entry.name for entry in where.iterdir()) if where.is_dir() else []
    if not any(is_for_transformers(name) for name in names):
        raise CheckpointNotFoundError(
            f"the folder {where} has no weights, neither model.safetensors nor a .pt file; "
            f"it holds {listing(names)}. Pass the folder the weights are in."
        )


def config_beside(checkpoint: str | os.PathLike[str]) -> Sam2VideoConfig | None:
    """Read the config.json in the folder of a checkpoint, if it describes a SAM 2.

    Raises:
        CheckpointError: If the file is no JSON object.
    """
    path = Path(checkpoint).parent / CONFIG
    if not path.is_file():
        return None
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}. Repair or remove it.") from error
    if not isinstance(fields, dict) or fields.get("model_type") not in ("sam2", "sam2_video"):
        return None
    return Sam2VideoConfig.from_dict(fields)


def is_for_transformers(name: str) -> bool:
    """Tell whether transformers takes weights from a file of this name."""
    is_bin = name.startswith("pytorch_model") and (".bin" in name)
    return name.endswith((".safetensors", ".safetensors.index.json")) or is_bin


def only_original(names: Iterable[str], where: str) -> str | None:
    """Return the only checkpoint among some files, None if there is none."""
    found = sorted(name for name in names if name.endswith(ORIGINAL_SUFFIXES))
    if len(found) > 1:
        raise CheckpointError(
            f"{where} holds {len(found)} checkpoints: {listing(found)}. "
            "Pass the path of the one to load."
        )
    return found[0] if found else None


def listing(names: list[str]) -> str:
    """Write out some file names."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return (", ".join(names[:NAMES_SHOWN]) or "nothing") + more


def first_line(error: BaseException) -> str:
    """Shorten another library's message for use inside one of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
