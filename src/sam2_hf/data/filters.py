"""Filters of a source's photos or videos by name."""

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from sam2_hf.errors import DataError

from .config import SourceConfig
from .rows import VideoRow

LISTED = 8  # names shown in a message
WILD = "*?["


class NamePatterns:
    """Names or patterns with `*`, `?`, `[...]`; entries ending in .txt are files, one name a line.

    Raises:
        DataError: There is no such file.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        listed = [name for entry in entries for name in _names_of(entry)]
        self._names = {name for name in listed if not any(sign in name for sign in WILD)}
        self._patterns = [name for name in listed if name not in self._names]

    def __bool__(self) -> bool:
        return bool(self._names or self._patterns)

    def match(self, name: str) -> bool:
        """Whether a name matches."""
        if name in self._names:
            return True
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns)

    def missing(self, names: Sequence[str]) -> list[str]:
        """List the patterns that match none of the names."""
        unused = [pattern for pattern in self._patterns if not fnmatch.filter(names, pattern)]
        return sorted(self._names.difference(names)) + unused


def select_rows(rows: Sequence[VideoRow], config: SourceConfig) -> list[VideoRow]:
    """Keep the rows that the configuration selects.

    Raises:
        DataError: Nothing is left, or a wanted name does not exist.
    """
    return [rows[place] for place in select_names([row.name for row in rows], config)]


def select_names(names: Sequence[str], config: SourceConfig) -> list[int]:
    """Return the indices of the names that the configuration selects.

    Raises:
        DataError: Nothing is left, or a wanted name does not exist.
    """
    only, exclude = NamePatterns(config.only), NamePatterns(config.exclude)
    if missing := only.missing(names):
        raise DataError(
            f"{config.label} has no {list_names(missing)}, which `only` asks for. It has "
            f"{list_names(names)}."
        )
    chosen = [
        place
        for place, name in enumerate(names)
        if (not only or only.match(name)) and not exclude.match(name)
    ]
    if not chosen:
        raise DataError(
            f"{config.label}: `only` and `exclude` leave none of {len(names)} item(s): "
            f"{list_names(names)}."
        )
    return chosen


def list_names(names: Sequence[str]) -> str:
    """Format some names, and the number of the others."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _names_of(entry: str) -> list[str]:
    if not entry.endswith(".txt"):
        return [entry]
    try:
        lines = Path(entry).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"the list of names {entry} cannot be read: {reason}.") from error
    return [line.strip() for line in lines if line.strip()]
