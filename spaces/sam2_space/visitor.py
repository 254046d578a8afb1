"""One visit: its files, its pictures, what is being worked on."""

import contextlib
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .limits import LimitError

PICTURES_KEPT = 32  # of each visit; what the page shows is among the newest
RESULTS_KEPT = 8  # folders of each visit; a program fetches its files before it asks for so many
JPEG_QUALITY = 88
MOST_QUEUED = 3600.0  # seconds for which a job in the queue keeps its visit


class Work(Protocol):
    """What a visitor is working on."""

    def close(self) -> None:
        """Let go of files and memory."""


class Visitor:
    """One visit: one page in one browser.

    Args:
        folder: Where its files go; deleted in the end.
        clock: Seconds that never go back.

    Attributes:
        lock: Held while something of the visit is read or changed.
        works: What is being worked on, by the tab's name.
        last_seen: When somebody was here, or a job did something.
        left_at: When the page went away; None while it is there.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._clock = clock
        self.lock = threading.RLock()
        self.works: dict[str, Work] = {}
        self.last_seen = clock()
        self.left_at: float | None = None
        self.is_closed = False
        self._num_jobs = 0
        self._queued_until = clock()
        self._pictures: deque[Path] = deque()
        self._results: deque[Path] = deque()

    def touch(self) -> None:
        """Note that something happens, so that the visit does not count as idle."""
        self.last_seen = self._clock()

    def expect_job(self) -> None:
        """Note that a job waits in the queue; until it runs, the visit does not count as idle."""
        self._queued_until = self._clock() + MOST_QUEUED

    @contextlib.contextmanager
    def job(self) -> Iterator[None]:
        """Keep the visit inside the `with`, whatever the job does."""
        with self.lock:
            self._num_jobs += 1
            self._queued_until = self._clock()
        try:
            yield
        finally:
            with self.lock:
                self._num_jobs -= 1
            self.touch()

    def is_idle(self, since: float) -> bool:
        """Whether nobody was here since then, and no job runs or waits."""
        has_job = self._num_jobs > 0 or self._queued_until > self._clock()
        return self.last_seen < since and not has_job

    def drop_work(self, tab: str) -> None:
        """Close what a tab was working on, if anything."""
        with self.lock:
            before = self.works.pop(tab, None)
        if before is not None:
            before.close()

    def set_work(self, tab: str, work: Work) -> None:
        """Put something else in place of what a tab was working on; that is closed.

        Raises:
            LimitError: The visit has ended; then `work` is closed as well.
        """
        with self.lock:
            if self.is_closed:
                work.close()
            self._require_here()
            before, self.works[tab] = self.works.get(tab), work
        if before is not None:
            before.close()

    def new_folder(self) -> Path:
        """Make a folder; its name cannot be guessed. Whoever asked for it deletes it.

        Raises:
            LimitError: The visit has ended.
        """
        with self.lock:
            self._require_here()
            made = self.folder / secrets.token_hex(8)
            made.mkdir(parents=True, exist_ok=True)
        return made

    def results_folder(self) -> Path:
        """Make a folder for files to download; of the older ones the last few stay.

        Raises:
            LimitError: The visit has ended.
        """
        with self.lock:
            made = self.new_folder()
            self._results.append(made)
            while len(self._results) > RESULTS_KEPT:
                shutil.rmtree(self._results.popleft(), ignore_errors=True)
        return made

    def store_picture(self, picture_hw3: NDArray[np.uint8]) -> str:
        """Write a picture that the page shows; of the older ones the last few stay.

        Args:
            picture_hw3: `(height, width, 3)`.

        Returns:
            Its path.

        Raises:
            LimitError: The visit has ended.
        """
        path = self.folder / f"{secrets.token_hex(8)}.jpg"
        with self.lock:
            self._require_here()
            self.touch()
            self.folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture_hw3).save(path, quality=JPEG_QUALITY)
            self._pictures.append(path)
            while len(self._pictures) > PICTURES_KEPT:
                self._pictures.popleft().unlink(missing_ok=True)
        return str(path)

    def close(self) -> None:
        """Delete everything."""
        with self.lock:
            self.is_closed = True
            works, self.works = list(self.works.values()), {}
        for work in works:
            work.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()  # if it was the last visit of this browser

    def _require_here(self) -> None:
        """Refuse to make anything new after the end: nobody would delete it."""
        if self.is_closed:
            raise LimitError("This visit has ended, and everything of it is deleted.")
