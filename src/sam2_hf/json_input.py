"""JSON that comes from elsewhere."""

import json
from pathlib import Path
from typing import Any

from .errors import DataError


def parse_json(text: str | bytes, place: str) -> Any:  # noqa: ANN401 - whatever it holds
    """Parse JSON.

    Args:
        text: What a file or a column of a table holds.
        place: What the error message calls it.

    Raises:
        DataError: It is damaged, or nested deeper than Python can follow.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} holds no JSON, or not all of it: {error}.") from error


def load_json(path: str | Path) -> Any:  # noqa: ANN401 - whatever it holds
    """Read a JSON file.

    Raises:
        DataError: It is not there, or is damaged.
    """
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    return parse_json(text, str(path))
