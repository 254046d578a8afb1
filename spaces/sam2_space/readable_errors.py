"""Error messages for visitors, without paths of the server."""

import functools
import inspect
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import gradio as gr

from sam2_hf.errors import Sam2Error


class NumberOfInputsError(ValueError):
    """A program sent a wrong number of values to an endpoint."""


Handler = TypeVar("Handler", bound=Callable[..., Any])
Answer = Any  # result of a handler
SHOWN_FOR = 20  # seconds
PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.\-+@]+){2,}")
UNEXPECTED = (
    "Something went wrong on our side. Your work is kept; try again, or upload the file again."
)

MOST_TRACEBACKS = 100  # logged in full

logger = logging.getLogger(__name__)
_logged: set[str] = set()


def readable(handler: Handler) -> Handler:
    """Wrap an event handler, generator or not."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def steps(*arguments: Any, **named: Any) -> Iterator[Any]:
            try:
                yield from handler(*arguments, **named)
            except Exception as error:
                raise as_message(error) from error

        return steps  # type: ignore[return-value]

    @functools.wraps(handler)
    def once(*arguments: Any, **named: Any) -> Answer:
        try:
            return handler(*arguments, **named)
        except Exception as error:
            raise as_message(error) from error

    return once  # type: ignore[return-value]


def as_message(error: Exception) -> gr.Error:
    """Convert an error to a message; details of unexpected errors are only logged."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, PermissionError):
        text = "This file is not yours, or it was deleted. Upload it again."
        return gr.Error(text, duration=SHOWN_FOR, print_exception=False)
    if isinstance(error, Sam2Error | NumberOfInputsError):
        text = without_paths(str(error))
        return gr.Error(text, duration=SHOWN_FOR, print_exception=False)
    log_unexpected(error)
    return gr.Error(UNEXPECTED, duration=SHOWN_FOR, print_exception=False)


def log_unexpected(error: Exception) -> None:
    """Log an unexpected error: its traceback once, then a line per repetition.

    Otherwise repeated failing requests could fill the log.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
    kind = f"{type(error).__name__} in {place}"
    if kind in _logged or len(_logged) >= MOST_TRACEBACKS:
        logger.error("again: %s", kind)
        return
    _logged.add(kind)
    logger.error("unexpected: %s", kind, exc_info=error)


def without_paths(text: str) -> str:
    """Replace paths in a message."""
    return PATH.sub("the file", text)
