"""Output of the command line: results on stdout; notes and progress bars on stderr.

Bars are drawn only where stderr is a terminal.
"""

import sys
import time
from pathlib import Path

from tqdm import tqdm

from sam2_hf.closing import Closing


def say(text: str) -> None:
    """Write a line of results."""
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """Write a line about what is going on."""
    sys.stderr.write(f"sam2-hf: {text}\n")
    sys.stderr.flush()


def one_line(error: BaseException) -> str:
    """Bring an error's message to one line; its type where it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


BAR = "{desc} |{bar:30}| {percentage:3.0f}% [{elapsed}<{remaining}]"
FRAME_BAR = "{desc} |{bar:30}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}]"
FRAME_COUNT = "{desc} {n_fmt} frames [{elapsed}, {rate_noinv_fmt}]"  # of who knows how many


class PhotoProgress(Closing):
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

    def close(self) -> None:
        """Take the bar away."""
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


class FrameProgress(Closing):
    """Count frames, and tell how many there are in a second.

    Args:
        what: What is being done, in front of the bar.
        total: How many frames there are; None if unknown.
        done: How many of them were done before; they do not count as speed.
    """

    def __init__(self, what: str, total: int | None, done: int = 0) -> None:
        self._began = time.monotonic()
        self.counted = 0
        self._bar = tqdm(
            desc=what,
            total=total,
            initial=done,
            unit=" frames",
            bar_format=FRAME_COUNT if total is None else FRAME_BAR,
            file=sys.stderr,
            disable=None,
            leave=False,
            mininterval=0.2,
        )

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    @property
    def rate(self) -> float:
        """Frames per second so far."""
        return self.counted / max(time.monotonic() - self._began, 1e-9)

    def advance(self) -> None:
        """Count a frame."""
        self.counted += 1
        self._bar.update(1)
