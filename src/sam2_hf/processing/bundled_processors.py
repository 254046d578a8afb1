"""Processors of checkpoints that come with this package: found by their bare name.

`model/bundled_models.py` finds the models of the same folders in the same way. Neither folder of
code imports the other, so the rule stands in both; a test holds them equal.
"""

import os
from pathlib import Path
from typing import Any, Self

BUNDLED = Path(__file__).parents[1] / "bundled"  # a folder per checkpoint


class FromBundled:
    """Mix into a processor: its `from_pretrained` then knows bundled checkpoints by name, too."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> Self:
        """Load from a bundled checkpoint, a folder or the Hub; else as the base class does."""
        source = bundled_folder(pretrained_model_name_or_path) or pretrained_model_name_or_path
        return super().from_pretrained(source, *args, **kwargs)  # type: ignore[misc]


def bundled_folder(name: str | os.PathLike[str]) -> Path | None:
    """Find the folder of a bundled checkpoint; None for all else, folders of that name included."""
    bare = os.fspath(name)
    if bare in ("", ".", "..") or Path(bare).name != bare or Path(bare).is_dir():
        return None
    folder = BUNDLED / bare
    return folder if (folder / "config.json").is_file() else None
