"""Output of the command line: results on stdout, messages on stderr.

`--quiet` leaves the errors; `--json` leaves one JSON object on stdout.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_has_results = ContextVar("_has_results", default=True)
_has_notes = ContextVar("_has_notes", default=True)


@contextmanager
def showing(*, results: bool, notes: bool) -> Iterator[None]:
    """Choose what is shown within the context.

    Args:
        results: Whether `say` writes.
        notes: Whether `note` writes and progress bars are drawn.
    """
    before = _has_results.set(results), _has_notes.set(notes)
    try:
        yield
    finally:
        _has_results.reset(before[0])
        _has_notes.reset(before[1])


def shows_notes() -> bool:
    """Whether messages other than errors are shown."""
    return _has_notes.get()


def say(text: str) -> None:
    """Write a line of results."""
    if not _has_results.get():
        return
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Write a line of progress or a warning to stderr."""
    if shows_notes():
        _write(text)


def complain(text: str) -> None:
    """Write an error to stderr, also with `--quiet`."""
    _write(f"error: {text}")


def one_line(error: BaseException) -> str:
    """Format an error's message as one line; its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _write(text: str) -> None:
    sys.stderr.write(f"sam2-hf: {text}\n")
    sys.stderr.flush()
