"""Output of the command line: results on stdout, messages on stderr.

`--quiet` leaves the errors; `--json` leaves one JSON object on stdout.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

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
    write_line(text)


def write_line(text: str) -> None:
    """Write a line to stdout in any case; characters that it cannot hold are escaped."""
    _write(sys.stdout, text)


def can_print(text: str) -> bool:
    """Whether stdout can hold every character, also of a file name that is no valid text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def note(text: str) -> None:
    """Write a line of progress or a warning to stderr."""
    if shows_notes():
        _write(sys.stderr, f"sam2-hf: {text}")


def complain(text: str) -> None:
    """Write an error to stderr, also with `--quiet`."""
    _write(sys.stderr, f"sam2-hf: error: {text}")


def one_line(error: BaseException) -> str:
    """Format an error's message as one line; its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    fitting = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(f"{fitting}\n")
        stream.flush()
    except BrokenPipeError:  # the reader has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
