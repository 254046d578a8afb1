"""Progress bars on stderr, without color; drawn only on a terminal that can move its cursor."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sam2_hf.closing import Closing

from .console import shows_notes

BAR = "{desc} |{bar:30}| {percentage:3.0f}% [{elapsed}<{remaining}]"
FRAME_BAR = "{desc} |{bar:30}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}]"
FRAME_COUNT = "{desc} {n_fmt} frames [{elapsed}, {rate_noinv_fmt}]"  # total unknown
REDRAW_SECONDS = 0.2


def draw_bar(**options: Any) -> tqdm:
    """Make a bar that vanishes when it is closed.

    Args:
        **options: Of tqdm.
    """
    is_off = not shows_notes() or os.environ.get("TERM") == "dumb"
    return tqdm(
        file=sys.stderr,
        disable=True if is_off else None,  # None: where stderr is no terminal
        leave=False,
        mininterval=REDRAW_SECONDS,
        **options,
    )


class PhotoProgress(Closing):
    """Progress bar of photos, and within a photo of clicks.

    Args:
        total: Number of photos.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._begun = 0  # one more than are done while the last one is written
        self._bar = draw_bar(total=total, bar_format=BAR)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def begin(self, photo: str) -> None:
        """Show the current photo."""
        self._begun += 1
        self._bar.set_description_str(f"{self._begun}/{self.total} {Path(photo).name}")

    def clicks(self, done: int, total: int) -> None:
        """Show the progress within the photo."""
        self._bar.n = self._begun - 1 + done / total
        self._bar.update(0)  # redraws a few times a second at most

    def end(self) -> None:
        """Count the photo as done and clear the line for a message."""
        self.done += 1
        self._bar.n = self.done
        self._bar.clear()


class FrameProgress(Closing):
    """Progress bar of frames, with their rate.

    Args:
        what: Label in front of the bar.
        total: Number of frames; None if unknown.
        done: Frames done before, which do not count for the rate.
    """

    def __init__(self, what: str, total: int | None, done: int = 0) -> None:
        self._began = time.monotonic()
        self.counted = 0
        self._bar = draw_bar(
            desc=what,
            total=total,
            initial=done,
            unit=" frames",
            bar_format=FRAME_COUNT if total is None else FRAME_BAR,
        )

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    @property
    def rate(self) -> float:
        """Frames per second so far."""
        return self.counted / max(time.monotonic() - self._began, 1e-9)

    def advance(self) -> None:
        """Count a frame."""
        self.counted += 1
        self._bar.update(1)
