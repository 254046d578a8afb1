"""What a visitor uploads: taken as it came, since only a check of ours tells what is wrong.

Gradio's picture input looks into a file before it hands it on, and fails without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that has come.

    Attributes:
        path: Where it says it is; to be checked.
        name: What the visitor calls it; to be cleaned.
    """

    path: str
    name: str

    @classmethod
    def of_payload(cls, payload: object) -> "Upload | None":
        """Read what a browser or a client sends for a file; None if it is none."""
        path = payload.get("path") if isinstance(payload, Mapping) else None
        if not isinstance(payload, Mapping) or not isinstance(path, str) or not path:
            return None
        return cls(path, str(payload.get("orig_name") or ""))


def forget(path: Path) -> None:
    """Delete an upload that has been read."""
    path.unlink(missing_ok=True)
