"""Report of a command: what it wrote, what failed, its exit code; as JSON with `--json`."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_hf import __version__
from sam2_hf.errors import Sam2Error
from sam2_hf.interruption import DONE, FAILED, INTERRUPTED

from .console import can_print, complain, one_line

if TYPE_CHECKING:
    from sam2_hf.results.found_object import FoundObject

OUT_OF_MEMORY = ("out of memory", "can't allocate memory")  # torch's messages on a GPU, on the CPU
NAMES_SHOWN = 10  # of the failed photos
DIGITS = 6  # of numbers in JSON
# of an object, besides its predicted IoU
SCORES = ("stability_score", "object_score", "detection_score", "name_score")


def failure_text(error: Exception) -> str:
    """Say in one line what went wrong; empty for an error that is a bug of ours."""
    if isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY):
        return "out of memory. Try a smaller --model, --dtype bfloat16 or --device cpu."
    is_told = isinstance(error, (Sam2Error, OSError, ValueError, MemoryError))
    return one_line(error) if is_told else ""


class CommandReport:
    """What a command has done so far.

    Args:
        command: Its name.

    Attributes:
        model: Name of the model; None if none is loaded yet.
        total: Number of photos or videos that were asked for.
    """

    def __init__(self, command: str) -> None:
        self.model: str | None = None
        self.total = 1
        self._command = command
        self._began = time.monotonic()
        self._results: list[dict[str, Any]] = []
        self._failed: dict[str, list[str]] = {}
        self._error: str | None = None

    @property
    def code(self) -> int:
        """Exit code, if the command ended by itself."""
        return FAILED if self._failed or self._error else DONE

    def add(self, source: str, files: Sequence[Path], **facts: Any) -> None:
        """Add a photo or video that is done.

        Args:
            source: As given.
            files: Files and folders that were written.
            **facts: Further fields of its JSON.
        """
        self._results.append({"source": source, "files": [str(file) for file in files], **facts})

    def fail(self, text: str, source: str = "") -> None:
        """Write an error to stderr and keep it.

        Args:
            text: One line.
            source: The photo that failed, of several; empty if it is the command as a whole.
        """
        complain(text)
        if source:
            self._failed.setdefault(source, []).append(text)
        else:
            self._error = text

    def summarize(self) -> None:
        """Name the photos that failed, where there were several."""
        if self._failed and self.total > 1:
            names = list(self._failed)
            more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
            count = sum(map(len, self._failed.values()))
            complain(f"{count} of {self.total} failed: {', '.join(names[:NAMES_SHOWN])}{more}")

    def as_json(self, code: int) -> str:
        """Serialize, with the exit code."""
        content = {
            "command": self._command,
            "version": __version__,
            "model": self.model,
            "exit_code": code,
            "error": "interrupted" if code == INTERRUPTED else self._error,
            "seconds": time.monotonic() - self._began,
            "results": self._results,
            "failed": [
                {"source": source, "error": text}
                for source, texts in self._failed.items()
                for text in texts
            ],
        }
        text = json.dumps(_rounded(content), ensure_ascii=False)
        return text if can_print(text) else json.dumps(_rounded(content))


def object_facts(objects: Sequence["FoundObject"]) -> list[dict[str, Any]]:
    """Return id, name, area, box and scores of objects, without their masks."""
    return [
        {
            "id": found.object_id,
            "name": found.name,
            "area": found.area,
            "box": list(found.box),
            "predicted_iou": found.score,
            **{name: found.about[name] for name in SCORES if name in found.about},
        }
        for found in objects
    ]


def _rounded(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
