"""Find an original `.pt` checkpoint among files."""

import os
from collections.abc import Iterable
from pathlib import Path

from .checkpoint_errors import CheckpointError, CheckpointNotFoundError
from .configuration_checks import checked_config, read_json_object
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
    """Refuse a folder without any weights; what is no folder is left alone.

    Raises:
        CheckpointNotFoundError: If the folder has none; the message lists what is there.
    """
    if not os.path.isdir(folder):
        return
    where = Path(folder) / subfolder
    names = sorted(entry.name for entry in where.iterdir()) if where.is_dir() else []
    if not any(is_for_transformers(name) for name in names):
        raise CheckpointNotFoundError(
            f"the folder {where} has no weights, neither model.safetensors nor a .pt file; "
            f"it holds {listing(names)}. Pass the folder the weights are in."
        )


def shards_of(index: Path) -> list[Path]:
    """List the files that an index says the weights are in.

    Args:
        index: A `...index.json`, whose `weight_map` has a file name for each weight.

    Raises:
        CheckpointError: If it is damaged, or names a file outside its folder.
        CheckpointNotFoundError: If a file that it names is not there.
    """
    fields = read_json_object(index)
    named = fields.get("weight_map")
    if not isinstance(named, dict) or not isinstance(fields.get("metadata", {}), dict):
        raise CheckpointError(
            f"{index} is damaged: it must hold a weight_map and metadata. Download it again."
        )
    for name in named.values():
        # what an index says is data: it must not lead out of the folder
        if not isinstance(name, str) or Path(name).name != name or "\0" in name:
            raise CheckpointError(
                f"{index} names the file {name!r}; weights lie beside their index. Download it "
                "again."
            )
        if not (index.parent / name).is_file():
            raise CheckpointNotFoundError(
                f"{index} names the file {name}, which is not there. Download it as well."
            )
    return [index.parent / name for name in sorted(set(named.values()))]


def require_sound_indexes(folder: str | os.PathLike[str], subfolder: str = "") -> None:
    """Refuse a folder with an index that is no good; see `shards_of`."""
    for index in sorted((Path(folder) / subfolder).glob("*.index.json")):
        shards_of(index)


def config_beside(checkpoint: str | os.PathLike[str]) -> Sam2VideoConfig | None:
    """Read the config.json in the folder of a checkpoint, if it describes a SAM 2.

    Raises:
        CheckpointError: If the file is no JSON object, or describes no model that can be built.
    """
    path = Path(checkpoint).parent / CONFIG
    if not path.is_file():
        return None
    fields = read_json_object(path)
    if fields.get("model_type") not in ("sam2", "sam2_video"):
        return None
    return checked_config(lambda: Sam2VideoConfig.from_dict(fields), str(path))


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
