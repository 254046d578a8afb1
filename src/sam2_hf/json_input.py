"""Parsing of untrusted JSON."""

import json
from pathlib import Path
from typing import Any

from .errors import DataError


def parse_json(text: str | bytes, place: str) -> Any:  # noqa: ANN401 - any JSON
    """Parse JSON.

    Args:
        text: Content of a file or of a table's column.
        place: Its name in error messages.

    Raises:
        DataError: It is damaged, or nested too deeply.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not valid JSON: {error}.") from error


def load_json(path: str | Path) -> Any:  # noqa: ANN401 - any JSON
    """Read a JSON file.

    Raises:
        DataError: It is missing or damaged.
    """
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    return parse_json(text, str(path))
