"""Result cache: a JSON file per item, so that an interrupted run can resume."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import DataError
from sam2_hf.json_input import load_json

DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError)
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ItemFiles(Generic[Item]):
    """Result files of one kind of items.

    Attributes:
        folder: Their folder.
        as_json: Converts a result to JSON.
        from_json: Converts it back; raises one of `DAMAGE` if it cannot.
    """

    folder: Path
    as_json: Callable[[Item], Any]
    from_json: Callable[[Any], Item]

    def save(self, name: str, item: Item) -> None:
        """Save a result.

        Raises:
            OutputError: The file cannot be written.
        """
        text = json.dumps(self.as_json(item)) + "\n"
        write_atomically(self._path(name), text.encode())

    def load(self, name: str) -> Item | None:
        """Load a result; None if it is missing or damaged."""
        try:
            return self.from_json(load_json(self._path(name)))
        except DAMAGE:
            return None

    def forget(self, name: str) -> None:
        """Remove a result."""
        self._path(name).unlink(missing_ok=True)

    def load_all(self, names: Iterable[str]) -> dict[str, Item]:
        """Load the results of all items, in order.

        Raises:
            DataError: A file is missing, since a process wrote elsewhere, or damaged.
        """
        found = {}
        for name in names:
            if (item := self.load(name)) is None:
                raise DataError(
                    f"{self._path(name)} is missing or damaged. All processes must write to one "
                    "folder; run it again to continue."
                )
            found[name] = item
        return found

    def _path(self, name: str) -> Path:
        """Return the file of an item, for any name."""
        return self.folder / f"{quote(name, safe='')}.json"
