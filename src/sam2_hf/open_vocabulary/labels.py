"""Names to look for. Nothing here imports torch, so that the command line checks them at once."""

from collections.abc import Iterable, Mapping

from sam2_hf.errors import PromptError

EVERY = 30  # frames between two looks for new objects in a video: about a second


def read_labels(text: object, what: str = "text") -> tuple[str, ...]:
    """Read the names to look for: one, or several distinct ones.

    Args:
        text: A text, or a list of texts.
        what: Name of the argument in messages.

    Raises:
        PromptError: There is none, one is empty or given twice, or it is no text.
    """
    given = [text] if isinstance(text, str) else text
    if not isinstance(given, Iterable) or isinstance(given, bytes | bytearray | Mapping):
        raise PromptError(f"{what} is {_shown(text)}. Give a text such as 'a dog', or a list.")
    labels = [_read_label(label, what) for label in given]
    if not labels:
        raise PromptError(f"{what} is empty. Give at least one name, such as 'a dog'.")
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise PromptError(f"{what} names {_shown(twice)} twice. Give each name once.")
    return tuple(labels)


def _read_label(label: object, what: str) -> str:
    words = label.split() if isinstance(label, str) else []
    if not words:
        raise PromptError(f"{what} holds {_shown(label)}. Each must be a text such as 'a dog'.")
    return " ".join(words)


def _shown(value: object) -> str:
    """Format a value for a message; a text may be long, and any other may have no `repr`."""
    return f"{value!r:.80}" if isinstance(value, str) else f"a {type(value).__name__}"
