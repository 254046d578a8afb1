"""Names in messages, and names that must be known."""

from collections import Counter
from collections.abc import Iterable, Sequence

from sam2_hf.errors import DataError

NAMED = 5  # in a message; more are counted
MOST_BYTES = 200  # of a name; file systems take 255, endings included
SEPARATORS = frozenset("/\\:")  # of folders and drives


def require_known(only: Sequence[str], listed: Sequence[str], place: str) -> None:
    """Refuse ids of videos that a set does not have.

    Raises:
        DataError: There is one.
    """
    if unknown := sorted(set(only) - set(listed)):
        raise DataError(
            f"{place} has no video {unknown[0]}, but {some_of(listed)}. Name some of those."
        )


def some_of(names: Iterable[str]) -> str:
    """Name a few of many."""
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return f"{', '.join(listed[:NAMED])}{more}"


def require_unique(names: Sequence[str], place: str) -> None:
    """Refuse two things of one name, whose results could not be told apart.

    Raises:
        DataError: There are some.
    """
    counted = Counter(names)
    if twice := [name for name, count in counted.items() if count > 1]:
        raise DataError(
            f"{place}: {counted[twice[0]]} of {len(names)} are called {twice[0]}, so that their "
            "results could not be told apart. Give them different names."
        )


def require_plain(names: Sequence[object], place: str, kind: str = "video") -> None:
    """Refuse names that would lead elsewhere as names of files or folders.

    Args:
        names: Whatever data says.
        place: Where it says so, for the message.
        kind: What is called so.

    Raises:
        DataError: There is one.
    """
    if odd := [name for name in names if not is_unmodified(name)]:
        raise DataError(
            f"{place} has a {kind} called {odd[0]!r}, which is no name of a file or folder on "
            "every system. Rename it."
        )


def is_unmodified(name: object) -> bool:
    """Tell whether a name means the same file below any folder, on any system."""
    if not isinstance(name, str) or not 0 < len(name.encode(errors="replace")) <= MOST_BYTES:
        return False
    return name not in (".", "..") and name.isprintable() and not set(name) & SEPARATORS
