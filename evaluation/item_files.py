"""What is measured item by item: a JSON file for each, so that a run that was stopped goes on."""

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
    """The files of one kind of items.

    Attributes:
        folder: Where they lie.
        as_json: Makes what JSON can hold.
        from_json: Reads that again; what it cannot read raises one of `DAMAGE`.
    """

    folder: Path
    as_json: Callable[[Item], Any]
    from_json: Callable[[Any], Item]

    def save(self, name: str, item: Item) -> None:
        """Keep what was measured.

        Raises:
            OutputError: The file cannot be written.
        """
        text = json.dumps(self.as_json(item)) + "\n"
        write_atomically(self._path(name), text.encode())

    def load(self, name: str) -> Item | None:
        """Read what was measured; None if nothing was, or the file is not whole."""
        try:
            return self.from_json(load_json(self._path(name)))
        except DAMAGE:
            return None

    def forget(self, name: str) -> None:
        """Drop what was measured."""
        self._path(name).unlink(missing_ok=True)

    def load_all(self, names: Iterable[str]) -> dict[str, Item]:
        """Read what was measured of all items, in their order.

        Raises:
            DataError: A file is missing, so that some process wrote elsewhere, or is damaged.
        """
        found = {}
        for name in names:
            if (item := self.load(name)) is None:
                raise DataError(
                    f"there is no whole {self._path(name)}. All processes must write to one "
                    "folder; run it again to go on."
                )
            found[name] = item
        return found

    def _path(self, name: str) -> Path:
        """Name a file after an item, whatever it is called."""
        return self.folder / f"{quote(name, safe='')}.json"
