"""The visits: what each visitor has uploaded and clicked, kept apart and deleted in the end."""

import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable

from .file_places import UPLOADS, FilePlaces
from .limits import LimitError, Limits
from .returned_memory import give_memory_back
from .visitor import Visitor

SECONDS = 60.0  # of a minute
LEAST_WAIT, MOST_WAIT = 0.5, 10.0  # seconds between two rounds of cleaning
LEAST_IDLE = 60.0  # seconds before a visit may have to make room for another one
Key = tuple[str, str]  # the browser's cookie, and the page's number

logger = logging.getLogger(__name__)


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
        """Note that a page has been closed, or that its connection is broken."""
        with self._guard:
            found = self._visits.get((cookie, page))
            if found is not None:
                found.left_at = self._clock()

    def came_back(self, cookie: str, page: str) -> None:
        """Note that a page is there; one that has no visit does not begin one."""
        with self._guard:
            found = self._visits.get((cookie, page))
            if found is not None:
                found.left_at = None

    def leave(self, cookie: str, page: str) -> None:
        """End a visit, if there is one, and delete all of it."""
        with self._guard:
            found = self._visits.pop((cookie, page), None)
        if found is not None:
            self._num_left += 1
            found.close()

    def clean(self) -> None:
        """End the visits that have been left or idle; delete uploads nobody came for."""
        # A broken connection looks like a closed page, and comes back.
        now, grace = self._clock(), self.limits.grace_seconds
        oldest = now - SECONDS * self.limits.idle_minutes
        with self._guard:
            over = [
                key
                for key, one in self._visits.items()
                if one.is_idle(oldest) or (one.left_at is not None and one.left_at <= now - grace)
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
        """Clean now and then, in a thread, until `close`."""
        shortest = min(SECONDS * self.limits.idle_minutes, self.limits.grace_seconds)
        wait = min(MOST_WAIT, max(LEAST_WAIT, shortest / 4))

        def rounds() -> None:
            while not self._ended.wait(wait):
                try:
                    self.clean()
                except Exception:  # this thread must not end before the server does
                    logger.exception("cleaning failed")

        threading.Thread(target=rounds, name="clean visits", daemon=True).start()

    def close(self) -> None:
        """End every visit."""
        self._ended.set()
        for key in list(self._visits):
            self.leave(*key)

    def _make_room(self) -> Visitor:
        """Take the visit that has been idle longest out of the list, one without work first.

        Raises:
            LimitError: All of them are busy.
        """
        now = self._clock()
        idle = [item for item in self._visits.items() if item[1].is_idle(now - LEAST_IDLE)]
        if not idle:
            raise LimitError(
                f"{self.limits.visitors} people are using this already, which is all it "
                "can take. Try again in a few minutes."
            )
        key, gone = min(idle, key=lambda item: (bool(item[1].works), item[1].last_seen))
        del self._visits[key]
        self._num_left += 1
        return gone

    def _delete_old_uploads(self, before: float) -> None:
        """Delete what was uploaded long ago and never used."""
        for folder in self.places.root.glob(f"*/{UPLOADS}"):
            for path in folder.glob("*"):
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < before:
                        path.unlink()
            for left in (folder, folder.parent):
                with contextlib.suppress(OSError):
                    os.rmdir(left)  # only if there is nothing in it
