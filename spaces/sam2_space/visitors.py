"""The visits: what each visitor has uploaded and clicked, kept apart and deleted in the end."""

import contextlib
import os
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .file_places import UPLOADS, FilePlaces
from .limits import LimitError, Limits
from .returned_memory import give_memory_back

SECONDS = 60.0  # of a minute
PICTURES_KEPT = 32  # of each visit; what the page shows is among the newest
JPEG_QUALITY = 88
MOST_WAIT = 10.0  # seconds between two rounds of cleaning
Key = tuple[str, str]  # the browser's cookie, and the page's number


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
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._clock = clock
        self.lock = threading.RLock()
        self.works: dict[str, Work] = {}
        self.last_seen = clock()
        self.is_closed = False
        self._pictures: deque[Path] = deque()

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
        """Make a folder for files to download; its name cannot be guessed.

        Raises:
            LimitError: The visit has ended.
        """
        self._require_here()
        made = self.folder / secrets.token_hex(8)
        made.mkdir(parents=True, exist_ok=True)
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
            self.last_seen = self._clock()  # so that a long job does not count as idle
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


class Visitors:
    """All visits.

    Args:
        places: Where files lie.
        limits: How many visits, and how long they are kept.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        places: FilePlaces,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.places = places
        self.limits = limits
        self._clock = clock
        self._guard = threading.Lock()
        self._visits: dict[Key, Visitor] = {}
        self._ended = threading.Event()
        self._num_left = 0  # since memory was given back

    def __len__(self) -> int:
        return len(self._visits)

    def of(self, cookie: str, page: str) -> Visitor:
        """Find a visit, or begin it.

        Args:
            cookie: The browser's.
            page: What the page calls itself.

        Raises:
            LimitError: There are too many already.
        """
        with self._guard:
            found = self._visits.get((cookie, page))
            if found is None:
                if len(self._visits) >= self.limits.visitors:
                    raise LimitError(
                        f"{self.limits.visitors} people are using this already, which is all it "
                        "can take. Try again in a few minutes."
                    )
                folder = self.places.owner_folder(cookie) / secrets.token_hex(8)
                found = self._visits[cookie, page] = Visitor(folder, self._clock)
            found.last_seen = self._clock()
            return found

    def leave(self, cookie: str, page: str) -> None:
        """End a visit, if there is one, and delete all of it."""
        with self._guard:
            found = self._visits.pop((cookie, page), None)
        if found is not None:
            found.close()
            self._num_left += 1

    def clean(self) -> None:
        """End the visits that have been idle for too long; delete uploads nobody came for."""
        oldest = self._clock() - SECONDS * self.limits.idle_minutes
        with self._guard:
            idle = [key for key, one in self._visits.items() if one.last_seen < oldest]
        for key in idle:
            self.leave(*key)
        self._delete_old_uploads(time.time() - SECONDS * self.limits.idle_minutes)
        if self._num_left:
            self._num_left = 0
            give_memory_back()

    def keep_clean(self) -> None:
        """Clean now and then, in a thread, until `close`."""
        wait = min(MOST_WAIT, SECONDS * self.limits.idle_minutes / 4)

        def rounds() -> None:
            while not self._ended.wait(wait):
                self.clean()

        threading.Thread(target=rounds, name="clean visits", daemon=True).start()

    def close(self) -> None:
        """End every visit."""
        self._ended.set()
        for key in list(self._visits):
            self.leave(*key)

    def _delete_old_uploads(self, before: float) -> None:
        """Delete what was uploaded long ago and never used."""
        for folder in self.places.root.glob(f"*/{UPLOADS}"):
            for path in folder.iterdir():
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < before:
                        path.unlink()
            for left in (folder, folder.parent):
                with contextlib.suppress(OSError):
                    os.rmdir(left)  # only if there is nothing in it
