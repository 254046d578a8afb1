"""Visits: isolated uploads, photos and videos of each visitor, deleted at the end."""

import contextlib
import logging
import os
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

from .file_places import UPLOADS, FilePlaces
from .limits import LimitError, Limits
from .returned_memory import give_memory_back

PICTURES_KEPT = 32  # per visit; shown pictures are among the newest
RESULTS_KEPT = 8  # folders per visit; programs download files before making so many
JPEG_QUALITY = 88
MOST_QUEUED = 3600.0  # seconds that a queued job keeps its visit alive


class Work(Protocol):
    """Work of a visitor."""

    def close(self) -> None:
        """Release files and memory."""


class Visitor:
    """One visit: one page in one browser.

    Args:
        folder: Folder of its files, deleted at the end.
        clock: Monotonic clock, seconds.

    Attributes:
        lock: Held while the visit is read or changed.
        works: Current work, by the tab's name.
        last_seen: Time of the last request, or of the last progress of a job.
        left_at: When the page was closed; None while it is open.
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
        """Record activity, so that the visit is not idle."""
        self.last_seen = self._clock()

    def expect_job(self) -> None:
        """Record a queued job; until it runs, the visit is not idle."""
        self._queued_until = self._clock() + MOST_QUEUED

    @contextlib.contextmanager
    def job(self) -> Iterator[None]:
        """Keep the visit alive for the context of a job."""
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
        """Whether there was no request since then, and no running or queued job."""
        has_job = self._num_jobs > 0 or self._queued_until > self._clock()
        return self.last_seen < since and not has_job

    def drop_work(self, tab: str) -> None:
        """Close the work of a tab, if any."""
        with self.lock:
            before = self.works.pop(tab, None)
        if before is not None:
            before.close()

    def set_work(self, tab: str, work: Work) -> None:
        """Replace the work of a tab, closing the old one.

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
        """Make a folder with an unguessable name; the caller deletes it.

        Raises:
            LimitError: The visit has ended.
        """
        with self.lock:
            self._require_here()
            made = self.folder / secrets.token_hex(8)
            made.mkdir(parents=True, exist_ok=True)
        return made

    def results_folder(self) -> Path:
        """Make a folder for downloads, removing all but the newest ones.

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
        """Write a picture for the page, removing all but the newest ones.

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
            self.folder.parent.rmdir()  # fails unless it was the browser's last visit

    def _require_here(self) -> None:
        """Raise after the end, since new files would never be deleted."""
        if self.is_closed:
            raise LimitError("This visit has ended, and all of its files were deleted.")


SECONDS = 60.0  # of a minute
LEAST_WAIT, MOST_WAIT = 0.5, 10.0  # seconds between rounds of cleaning
LEAST_IDLE = 60.0  # seconds after which a visit may be evicted for another one
Key = tuple[str, str]  # the browser's cookie, and the page's number

logger = logging.getLogger(__name__)


class Visitors:
    """All visits.

    Args:
        places: Folders of files.
        limits: Number and lifetime of visits.
        clock: Monotonic clock, seconds.
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
        self._num_left = 0  # since memory was last released

    def __len__(self) -> int:
        return len(self._visits)

    def of(self, cookie: str, page: str) -> Visitor:
        """Return a visit, starting it if new.

        Args:
            cookie: The browser's cookie.
            page: The page's id.

        Raises:
            LimitError: There are too many already.
        """
        with self._guard:
            found = self._visits.get((cookie, page))
            gone = None
            if found is None:
                if len(self._visits) >= self.limits.visitors:
                    gone = self._make_room()
                folder = self.places.owner_folder(cookie) / secrets.token_hex(8)
                found = self._visits[cookie, page] = Visitor(folder, self._clock)
            found.touch()
            found.left_at = None
        if gone is not None:
            gone.close()
        return found

    def went_away(self, cookie: str, page: str) -> None:
        """Record that a page was closed or disconnected."""
        with self._guard:
            found = self._visits.get((cookie, page))
            if found is not None:
                found.left_at = self._clock()

    def came_back(self, cookie: str, page: str) -> None:
        """Record a page's heartbeat; it does not start a visit."""
        with self._guard:
            found = self._visits.get((cookie, page))
            if found is not None:
                found.left_at = None

    def leave(self, cookie: str, page: str) -> None:
        """End a visit, if there is one, and delete its data."""
        with self._guard:
            found = self._visits.pop((cookie, page), None)
        if found is not None:
            self._num_left += 1
            found.close()

    def clean(self) -> None:
        """End abandoned and idle visits; delete unopened uploads."""
        # A lost connection looks like a closed page, and may reconnect.
        now, grace = self._clock(), self.limits.grace_seconds
        oldest = now - SECONDS * self.limits.idle_minutes
        with self._guard:
            over = [
                key
                for key, visitor in self._visits.items()
                if visitor.is_idle(oldest)
                or (visitor.left_at is not None and visitor.left_at <= now - grace)
            ]
        for key in over:
            try:
                self.leave(*key)
            except Exception:  # of one visit; the others must still end
                logger.exception("a visit could not be ended")
        self._delete_old_uploads(time.time() - SECONDS * self.limits.idle_minutes)
        if self._num_left:
            self._num_left = 0
            give_memory_back()

    def keep_clean(self) -> None:
        """Clean periodically, in a thread, until `close`."""
        shortest = min(SECONDS * self.limits.idle_minutes, self.limits.grace_seconds)
        wait = min(MOST_WAIT, max(LEAST_WAIT, shortest / 4))

        def rounds() -> None:
            while not self._ended.wait(wait):
                try:
                    self.clean()
                except Exception:  # this thread must outlive errors
                    logger.exception("cleaning failed")

        threading.Thread(target=rounds, name="clean visits", daemon=True).start()

    def close(self) -> None:
        """End every visit."""
        self._ended.set()
        for key in list(self._visits):
            self.leave(*key)

    def _make_room(self) -> Visitor:
        """Evict the longest idle visit, preferring those without work.

        Raises:
            LimitError: All of them are busy.
        """
        now = self._clock()
        idle = [item for item in self._visits.items() if item[1].is_idle(now - LEAST_IDLE)]
        if not idle:
            raise LimitError(
                f"{self.limits.visitors} people are already using this page, the most it "
                "can serve. Try again in a few minutes."
            )
        key, gone = min(idle, key=lambda item: (bool(item[1].works), item[1].last_seen))
        del self._visits[key]
        self._num_left += 1
        return gone

    def _delete_old_uploads(self, before: float) -> None:
        """Delete old unused uploads."""
        for folder in self.places.root.glob(f"*/{UPLOADS}"):
            for path in folder.glob("*"):
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < before:
                        path.unlink()
            for left in (folder, folder.parent):
                with contextlib.suppress(OSError):
                    os.rmdir(left)  # fails unless empty
