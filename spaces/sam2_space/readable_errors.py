"""Turn whatever goes wrong into a message for the visitor, without a path of the server."""

import functools
import inspect
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import gradio as gr

from sam2_hf.errors import Sam2Error

Handler = TypeVar("Handler", bound=Callable[..., Any])
Answer = Any  # whatever the handler gives
SHOWN_FOR = 20  # seconds
PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.\-+@]+){2,}")
UNEXPECTED = (
    "Something went wrong here, and it is not your fault. What you have is kept; try again, or "
    "upload the file again."
)

logger = logging.getLogger(__name__)


def readable(handler: Handler) -> Handler:
    """Wrap what handles an event, a generator or not."""
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
    """Say what went wrong; what nobody expected goes to the log, and only that it happened out."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, PermissionError):
        text = "This file is not yours, or it has been deleted. Upload it again."
        return gr.Error(text, duration=SHOWN_FOR, print_exception=False)
    if isinstance(error, Sam2Error):
        text = without_paths(str(error))
        return gr.Error(text, duration=SHOWN_FOR, print_exception=False)
    logger.error("unexpected", exc_info=error)
    return gr.Error(UNEXPECTED, duration=SHOWN_FOR, print_exception=False)


def without_paths(text: str) -> str:
    """Replace the paths in a message."""
    return PATH.sub("the file", text)
