"""Names in messages, and checks of names."""

from collections import Counter
from collections.abc import Iterable, Sequence

from sam2_hf.errors import DataError

NAMED = 5  # names in a message; others are counted
MOST_BYTES = 200  # of a name; file systems allow 255, extensions included
SEPARATORS = frozenset("/\\:")  # of folders and drives


def require_known(only: Sequence[str], listed: Sequence[str], place: str) -> None:
    """Refuse unknown ids of videos.

    Raises:
        DataError: There is one.
    """
    if unknown := sorted(set(only) - set(listed)):
        raise DataError(
            f"{place} has no video {unknown[0]}, but {some_of(listed)}. Name some of those."
        )


def some_of(names: Iterable[str]) -> str:
    """List a few names, and count the others."""
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return f"{', '.join(listed[:NAMED])}{more}"


def require_unique(names: Sequence[str], place: str) -> None:
    """Refuse duplicate names, whose results would collide.

    Raises:
        DataError: There are some.
    """
    counted = Counter(names)
    if twice := [name for name, count in counted.items() if count > 1]:
        raise DataError(
            f"{place}: {counted[twice[0]]} of {len(names)} are called {twice[0]}, so that their "
            "results would collide. Give them different names."
        )


def require_plain(names: Sequence[object], place: str, kind: str = "video") -> None:
    """Refuse names that are unsafe as names of files or folders.

    Args:
        names: The names.
        place: Their source, for the message.
        kind: What they name.

    Raises:
        DataError: There is one.
    """
    if odd := [name for name in names if not is_plain_name(name)]:
        raise DataError(
            f"{place} has a {kind} called {odd[0]!r}, which is not a valid file name on "
            "every system. Rename it."
        )


def is_plain_name(name: object) -> bool:
    """Whether a name is a safe file name on any system."""
    if not isinstance(name, str) or not 0 < len(name.encode(errors="replace")) <= MOST_BYTES:
        return False
    return name not in (".", "..") and name.isprintable() and not set(name) & SEPARATORS
