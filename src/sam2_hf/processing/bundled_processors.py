"""Processors of checkpoints that come with this package: found by their bare name.

`model/bundled_models.py` finds the models of the same folders in the same way. Neither folder of
code imports the other, so the rule stands in both; a test holds them equal.
"""

import os
from pathlib import Path

BUNDLED = Path(__file__).parents[1] / "bundled"  # a folder per checkpoint


def bundled_folder(name: str | os.PathLike[str]) -> Path | None:
    """Find the folder of a bundled checkpoint; None for all else, folders of that name included."""
    bare = os.fspath(name)
    if bare in ("", ".", "..") or Path(bare).name != bare or Path(bare).is_dir():
        return None
    folder = BUNDLED / bare
    return folder if (folder / "config.json").is_file() else None


def checkpoint_source(name: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return where a processor is loaded from: the folder of a bundled checkpoint, or `name`."""
    return bundled_folder(name) or name
