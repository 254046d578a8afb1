"""Names and folder of the files that the command line writes."""

import os
from collections.abc import Sequence
from pathlib import Path

from sam2_hf.errors import OutputError

HINT = "Choose another --out."


def unique_stems(photos: Sequence[str]) -> list[str]:
    """Choose a unique stem of the result files for each photo.

    It is the stem of the photo. Photos that would share it (also on case-insensitive file systems)
    get their extension or their folders' names added.

    Args:
        photos: Paths; the same path twice gets a number.
    """
    groups: dict[str, list[Path]] = {}
    for path in map(Path, photos):
        groups.setdefault(path.stem.casefold(), []).append(path)
    names = {
        path: name for group in groups.values() for path, name in _distinct_names(group).items()
    }
    return _numbered([names[Path(photo)] for photo in photos])


def with_ending(base: Path, ending: str) -> Path:
    """Append an extension; unlike `Path.with_suffix`, a dot in the name is kept."""
    return base.with_name(base.name + ending)


def check_folder(folder: Path, hint: str = HINT) -> None:
    """Refuse a folder for the results that cannot be made or written to; makes nothing.

    Args:
        folder: The folder.
        hint: What to do about it, in the message.

    Raises:
        OutputError: It, or what it would be made in, is a file or not writable.
    """
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if os.path.isdir(there) and not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{there} is not writable. {hint}")
    if os.path.lexists(there) and not os.path.isdir(there):
        raise _not_a_folder(folder, f"{there} is a file", hint)


def prepare_folder(folder: Path) -> None:
    """Create the folder for the results, before any expensive work.

    Raises:
        OutputError: It cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_a_folder(folder, error.strerror or str(error), HINT) from error


def _not_a_folder(folder: Path, reason: str, hint: str) -> OutputError:
    return OutputError(f"cannot make the folder {folder}: {reason}. {hint}")


def _distinct_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Choose the shortest distinct names for photos with the same stem."""
    different = list(dict.fromkeys(paths))
    for depth in range(max(len(path.parts) for path in different)):
        for with_suffix in (False, True):
            names = {path: _long_name(path, depth, with_suffix=with_suffix) for path in different}
            if len({name.casefold() for name in names.values()}) == len(different):
                return names
    return {path: path.stem for path in different}  # only a number can distinguish them


def _long_name(path: Path, depth: int, *, with_suffix: bool) -> str:
    """Join the names of `depth` folders, the stem and optionally the extension."""
    folders = [part for part in path.parts[:-1] if part not in (path.anchor, "..", ".")]
    ending = [path.suffix[1:]] if with_suffix and path.suffix else []
    return "_".join([*folders[max(0, len(folders) - depth) :], path.stem, *ending])


def _numbered(stems: list[str]) -> list[str]:
    """Number the remaining equal names."""
    taken: set[str] = set()
    chosen = []
    for stem in stems:
        number, name = 1, stem
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.casefold())
        chosen.append(name)
    return chosen
