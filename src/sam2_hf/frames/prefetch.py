"""Prefetching of frames: background threads decode ahead into a bounded ring.

Threads first serve the frame that a reader waits for, then follow the plan: the announced frames,
in order. Frames that were read stay for a while, since a tracked frame is often prompted right
after.

Suffixes: hw3 = rows, columns, red green blue; 3ss = red green blue, input rows and columns.
"""

import operator
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import FrameError, VideoError

from .base import Finish, Frames, PictureSource, check_range
from .preprocessing import FramePixels, read_only

Item = TypeVar("Item")


class FrameRing(Generic[Item]):
    """A bounded buffer of decoded frames.

    Args:
        take: Starts the work on a frame and returns the rest of it. Called for one frame at a time,
            in the order in which frames are wanted; the rest may run in several threads at once.
        capacity: Maximum number of frames held or in progress.
        num_threads: Number of threads.
    """

    def __init__(
        self, take: Callable[[int], Callable[[], Item]], *, capacity: int, num_threads: int
    ) -> None:
        self._take = take
        self._capacity = capacity
        # A quarter of the places is for frames that were read already, or out of turn.
        self._most_ahead = capacity - max(1, capacity // 4)
        self._ready: OrderedDict[int, Item | Exception] = OrderedDict()  # least recently read first
        self._busy: set[int] = set()
        self._ahead: deque[int] = deque()  # begun by the plan, not read yet
        self._plan: Sequence[int] = ()
        self._begun = 0  # position in the plan
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
        """Wait for a frame, and advance the plan past it.

        Raises:
            FrameError: The frames were closed, or the thread failed to read this one.
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
                del self._ready[frame]  # so that the next read tries again
                raise item
            return item

    def close(self) -> None:
        """End the threads; a second call does nothing."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        if threading.current_thread() in self._threads:
            return  # the garbage collector may run in this thread, which cannot join itself
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    @property
    def num_held(self) -> int:
        """Number of frames held or in progress."""
        with self._changed:
            return len(self._ready) + len(self._busy)

    def _start(self) -> None:
        for thread in self._threads:
            if thread.ident is None and not self._closed:
                thread.start()

    def _move_plan_past(self, frame: int) -> None:
        """Skip the planned frames before this one."""
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
                except Exception as error:  # raised when this frame is read
                    self._deposit(frame, error)
                    continue
            try:
                item: Item | Exception = finish()
            except Exception as error:
                item = error
            del finish  # it holds the decoded frame
            self._deposit(frame, item)

    def _begin(self) -> int | None:
        """Wait for the next frame to read; None once closed."""
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
        """Drop frames that were read; False if every place holds an unread frame."""
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


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """A frame in the ring: bytes only, since floats would take four times the memory.

    Attributes:
        picture_hw3: The original frame, RGB, uint8, read-only.
        bytes_3ss: The same at input size, uint8.
    """

    picture_hw3: NDArray[np.uint8]
    bytes_3ss: Tensor


class BufferedFrames(Frames):
    """A video of known length, decoded ahead of its reader.

    Args:
        source: The pictures. It is closed with these frames.
        pixels: How they become model input.
        ring: Maximum number of frames held.
        num_threads: Threads that decode and resize.
        reopen: Opens the source again, for copies and pickles; None forbids them.
    """

    def __init__(
        self,
        source: PictureSource,
        pixels: FramePixels,
        *,
        ring: int,
        num_threads: int,
        reopen: Callable[[], PictureSource] | None = None,
    ) -> None:
        self.size = source.size
        self.num_frames = source.num_frames
        self.fps = source.fps
        self._source = source
        self._pixels = pixels
        self._ring = FrameRing(
            partial(_begin, source, pixels), capacity=ring, num_threads=num_threads
        )
        self._reopen = reopen
        self._rules = {"ring": ring, "num_threads": num_threads}
        # The threads refer to the ring, not to this object, so that its collection ends them.
        self._end = weakref.finalize(self, _end, self._ring, source)

    def time(self, frame: int) -> float | None:
        """Say when a frame is shown; see [`Frames.time`]."""
        return self._source.time(self._checked(frame))

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Read the original frame; see [`Frames.picture`]."""
        return self._ring.read(self._checked(frame)).picture_hw3

    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read a frame as model input; see [`Frames.pixel_values`]."""
        return self._pixels.normalize(self._ring.read(self._checked(frame)).bytes_3ss, device)

    def expect(self, frames: Sequence[int]) -> None:
        """Decode these frames ahead; see [`Frames.expect`]."""
        self._ring.expect(frames)

    def close(self) -> None:
        """End the threads and close the file."""
        self._end()

    def __deepcopy__(self, memo: dict[int, object]) -> "BufferedFrames":
        """Open the same video once more."""
        return _open_again(*self._how_to_open())

    def __reduce__(self) -> tuple[Callable[..., "BufferedFrames"], tuple[Any, ...]]:
        return _open_again, self._how_to_open()

    def _how_to_open(self) -> tuple[Callable[[], PictureSource], FramePixels, dict[str, int]]:
        if self._reopen is None:
            raise VideoError(
                "these frames cannot be copied, since there is no way to reopen their source. "
                "Open them with open_frames(video, image_size=...)."
            )
        return self._reopen, self._pixels, self._rules

    @property
    def num_held(self) -> int:
        """Number of frames held or in progress; never more than `ring`."""
        return self._ring.num_held

    def _checked(self, frame: int) -> int:
        number = operator.index(frame)
        check_range(number, self._source.num_frames, "the video")
        return number


def _open_again(
    reopen: Callable[[], PictureSource], pixels: FramePixels, rules: dict[str, int]
) -> BufferedFrames:
    return BufferedFrames(reopen(), pixels, **rules, reopen=reopen)


def _begin(source: PictureSource, pixels: FramePixels, frame: int) -> "_Rest":
    """Take a frame from its source; one call at a time."""
    try:
        return _Rest(source, pixels, frame, source.take(frame))
    except FrameError:
        raise
    except Exception as error:  # decoders raise many types
        raise _unreadable(source, frame, error) from error


@dataclass(frozen=True, slots=True)
class _Rest:
    """The part of reading a frame that may run in parallel."""

    source: PictureSource
    pixels: FramePixels
    frame: int
    finish: Finish

    def __call__(self) -> DecodedFrame:
        try:
            picture_hw3 = self.finish()
        except Exception as error:
            raise _unreadable(self.source, self.frame, error) from error
        height, width = picture_hw3.shape[:2]
        if (height, width) != self.source.size:
            raise FrameError(
                f"{self.source.describe(self.frame)} is {width} x {height} pixels, but the first "
                f"is {self.source.size[1]} x {self.source.size[0]}. All frames of a video have one "
                "size: resize them, or leave out what belongs to another video."
            )
        return DecodedFrame(read_only(picture_hw3), self.pixels.shrink(picture_hw3))


def _unreadable(source: PictureSource, frame: int, error: Exception) -> FrameError:
    return FrameError(f"{source.describe(frame)} cannot be read: {error}")


def _end(ring: FrameRing[DecodedFrame], source: PictureSource) -> None:
    ring.close()
    source.close()
