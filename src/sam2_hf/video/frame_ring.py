"""Frames decoded ahead by background threads, never more than a fixed number of them.

Threads do all the work. They first serve the frame that somebody waits for, then go along the
plan: the frames that were announced, in order. What was read stays for a while, because whoever
tracks a frame often draws on it a moment later.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sam2_hf.errors import FrameError

Item = TypeVar("Item")
Finish = Callable[[], Item]

READ_PART = 4  # one of so many places is for frames that were read already, or out of turn


class FrameRing(Generic[Item]):
    """A bounded number of frames, ready to be read.

    Args:
        take: Starts the work on a frame and returns the rest of it. Called for one frame at a time,
            in the order in which frames are wanted; the rest may run in several threads at once.
        capacity: The most frames that are held or worked on.
        num_threads: How many threads work.
    """

    def __init__(
        self, take: Callable[[int], Finish[Item]], *, capacity: int, num_threads: int
    ) -> None:
        self._take = take
        self._capacity = capacity
        self._most_ahead = capacity - max(1, capacity // READ_PART)
        self._ready: OrderedDict[int, Item | Exception] = OrderedDict()  # least recently read first
        self._busy: set[int] = set()
        self._ahead: deque[int] = deque()  # begun because of the plan, not read yet
        self._plan: Sequence[int] = ()
        self._begun = 0  # so many of the plan
        self._awaited: int | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._turn = threading.Lock()  # to take a frame
        self._reader = threading.Lock()  # to wait for a frame
        self._threads = [
            threading.Thread(target=self._work, name=f"frames-{number}", daemon=True)
            for number in range(num_threads)
        ]

    def expect(self, frames: Sequence[int]) -> None:
        """Replace the plan."""
        with self._changed:
            self._plan = frames if isinstance(frames, range) else tuple(frames)
            self._begun = 0
            self._ahead.clear()
            self._start()
            self._changed.notify_all()

    def read(self, frame: int) -> Item:
        """Wait for a frame, and move the plan to after it.

        Raises:
            FrameError: The frames were closed; or what went wrong in the thread.
        """
        with self._reader, self._changed:
            self._move_plan_past(frame)
            self._awaited = frame
            self._start()
            self._changed.notify_all()
            while frame not in self._ready and not self._closed:
                self._changed.wait()
            self._awaited = None
            if self._closed:
                raise FrameError(f"frame {frame} cannot be read: the video was closed.")
            item = self._ready[frame]
            self._ready.move_to_end(frame)
            if isinstance(item, Exception):
                del self._ready[frame]  # so that the next attempt is a new one
                raise item
            return item

    def close(self) -> None:
        """End the threads; a second call does nothing."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        if threading.current_thread() in self._threads:
            return  # the garbage collector can run in any thread, which cannot wait for itself
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    @property
    def num_held(self) -> int:
        """How many frames are held or worked on."""
        with self._changed:
            return len(self._ready) + len(self._busy)

    def _start(self) -> None:
        for thread in self._threads:
            if thread.ident is None and not self._closed:
                thread.start()

    def _move_plan_past(self, frame: int) -> None:
        """Forget what was to be read before this frame; it is not coming any more."""
        if frame in self._ahead:
            while self._ahead.popleft() != frame:
                pass
        elif frame in (rest := self._plan[self._begun :]):
            self._ahead.clear()
            self._begun += rest.index(frame) + 1

    def _work(self) -> None:
        while True:
            with self._turn:
                frame = self._begin()
                if frame is None:
                    return
                try:
                    finish = self._take(frame)
                except Exception as error:  # kept for whoever reads this frame
                    self._deposit(frame, error)
                    continue
            try:
                item: Item | Exception = finish()
            except Exception as error:
                item = error
            del finish  # it holds the decoded frame
            self._deposit(frame, item)

    def _begin(self) -> int | None:
        """Wait for something to do; None when it is time to end."""
        with self._changed:
            while not self._closed:
                frame = self._next_wanted()
                if frame is not None and self._make_room():
                    if frame != self._awaited:
                        self._begun += 1
                        self._ahead.append(frame)
                    self._busy.add(frame)
                    return frame
                self._changed.wait()
        return None

    def _next_wanted(self) -> int | None:
        if self._awaited is not None and not self._has(self._awaited):
            return self._awaited
        while self._begun < len(self._plan) and len(self._ahead) < self._most_ahead:
            frame = self._plan[self._begun]
            if not self._has(frame):
                return frame
            self._begun += 1
            self._ahead.append(frame)
        return None

    def _has(self, frame: int) -> bool:
        return frame in self._ready or frame in self._busy

    def _make_room(self) -> bool:
        """Drop frames that were read; False while there are none and every place is taken."""
        kept = {*self._ahead, self._awaited}
        spare = iter([frame for frame in self._ready if frame not in kept])
        while len(self._ready) + len(self._busy) >= self._capacity:
            frame = next(spare, None)
            if frame is None:
                return False
            del self._ready[frame]
        return True

    def _deposit(self, frame: int, item: Item | Exception) -> None:
        with self._changed:
            self._busy.discard(frame)
            if not self._closed:
                self._ready[frame] = item
            self._changed.notify_all()
