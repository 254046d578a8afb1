"""Processors of checkpoints that come with this package: found by their bare name.

`model/bundled_models.py` finds the models of the same folders in the same way. Neither folder of
code imports the other, so the rule stands in both; a test holds them equal.
"""

import os
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

BUNDLED = Path(__file__).parents[1] / "bundled"  # a folder per checkpoint
Source = str | os.PathLike[str]
Processor = TypeVar("Processor")


def bundled_folder(name: Source) -> Path | None:
    """Find the folder of a bundled checkpoint; None for all else, folders of that name included."""
    bare = os.fspath(name)
    if bare in ("", ".", "..") or Path(bare).name != bare or Path(bare).is_dir():
        return None
    folder = BUNDLED / bare
    return folder if (folder / "config.json").is_file() else None


def checkpoint_source(name: Source) -> Source:
    """Return where a processor is loaded from: the folder of a bundled checkpoint, or `name`."""
    return bundled_folder(name) or name


def loads_bundled(cls: type[Processor]) -> type[Processor]:
    """Decorate a processor class: its `from_pretrained` then knows bundled checkpoints by name.

    Signature and bases stay those that transformers gives, which programs look at.
    """
    load = cls.from_pretrained.__func__  # type: ignore[attr-defined]

    @wraps(load)
    def from_pretrained(
        cls: type[Processor], pretrained_model_name_or_path: Source, *args: Any, **kwargs: Any
    ) -> Processor:
        return load(cls, checkpoint_source(pretrained_model_name_or_path), *args, **kwargs)

    cls.from_pretrained = classmethod(from_pretrained)  # type: ignore[attr-defined]
    return cls
