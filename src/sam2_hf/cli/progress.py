"""A progress bar over photos, on stderr; nothing where stderr is a file."""

import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tqdm import tqdm

BAR = "{desc} |{bar:30}| {percentage:3.0f}% [{elapsed}<{remaining}]"


class PhotoProgress:
    """Count photos, and within a photo its clicks.

    Args:
        total: How many photos there are.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._bar = tqdm(
            total=total, bar_format=BAR, file=sys.stderr, disable=None, leave=False, mininterval=0.2
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    def begin(self, photo: str) -> None:
        """Show which photo is being worked on."""
        self._bar.set_description_str(f"{self.done + 1}/{self.total} {Path(photo).name}")

    def clicks(self, done: int, total: int) -> None:
        """Show how far the photo is."""
        self._bar.n = self.done + done / total
        self._bar.update(0)  # draws, but not more often than a few times a second

    def end(self) -> None:
        """Count the photo as done and leave the line free for a message."""
        self.done += 1
        self._bar.n = self.done
        self._bar.clear()
