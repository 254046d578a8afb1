"""Names in messages, and names that must be known."""

from collections.abc import Iterable, Sequence

from sam2_hf.errors import DataError

NAMED = 5  # in a message; more are counted


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
