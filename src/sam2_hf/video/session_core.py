"""What every way of using a session has in common: its parts, stepping, saving, closing."""

from collections.abc import Iterator
from contextlib import closing

from tqdm import tqdm

from sam2_hf.closing import Closing
from sam2_hf.errors import FrameError, OutputError, SessionError, UnknownObjectError
from sam2_hf.frames.base import frame_number
from sam2_hf.frames.open import Frames
from sam2_hf.frames.streams import LiveFrames

from .bytes_held import BytesHeld
from .frame_result import FrameResult
from .prompt_answers import commit
from .prompts import read_object_id
from .propagation import ENDLESS, Runs, ToCome, begins_backward_from_first
from .session_lock import SessionLock
from .session_options import SessionOptions
from .tracked_object import Snapshot, TrackedObject, UndoStack
from .tracker import FrameRequest, Tracker


class SessionCore(Closing):
    """Base of the session class, not one itself."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._undo = UndoStack()
        self.lock = SessionLock()

    @property
    def frames(self) -> Frames:
        """Where pixels come from."""
        return self._tracker.frames

    @property
    def options(self) -> SessionOptions:
        """How the session was opened."""
        return self._tracker.options

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects, in the order in which they came."""
        return tuple(self._tracker.objects)

    @property
    def num_frames(self) -> int | None:
        """Frames of the video; of a stream None, unless it has ended."""
        return self._tracker.frames.num_frames

    @property
    def size(self) -> tuple[int, int] | None:
        """`(height, width)` of the original frames; None before the first one of a stream."""
        return self._tracker.frames.size

    def bytes_held(self) -> BytesHeld:
        """Count what is held on the device, in RAM and on disk; decoded frames are not counted."""
        return self._tracker.bytes_held()

    def close(self) -> None:
        """Let go of video, memories and spill file; a second call does nothing."""
        self._tracker.close()

    def settle(self) -> None:
        """Let go of video, features and memories for good, and keep the masks, in RAM or on disk.

        For results that outlive the work on them: masklets can be read, nothing can be tracked.
        """
        self._tracker.settle()
        self._forget_changes()

    def _run(
        self, runs: Runs, *, progress: bool, passes_prompted: bool = True
    ) -> Iterator[FrameResult]:
        """Remember all prompts, then visit frames; see `propagate`.

        Each step holds the lock, and begins with the prompts that came since the one before: those
        for frames that are still to come wait for their turn, the others count from here on.
        """
        only_first = begins_backward_from_first(runs)
        total = sum(len(frames) for frames, _ in runs if frames.stop != ENDLESS)
        bar = tqdm(total=total or None, unit="frame", desc="tracking", disable=not progress)
        with closing(bar):
            with self.lock:
                self._tracker.require_open()
                corrections = commit(self._tracker)
                if passes_prompted:  # as in the original, a run that visits them overwrites them
                    corrections.clear()
            for number, (frames, direction) in enumerate(runs):
                self.frames.expect(frames)
                for frame in frames:
                    if self.frames.may_come(frame):
                        continue  # the caller's own numbers of a stream may have gaps
                    full: list[OutputError] = []
                    visit = FrameRequest(
                        frame,
                        direction,
                        passes_prompted=passes_prompted,
                        leaves_trace=not only_first,
                        ahead=None if self.num_frames is None else _following(frame, frames),
                    )
                    reached = self.frames.reaches(frame)  # an iterator may keep this thread waiting
                    with self.lock:
                        self._tracker.require_open()
                        if not reached:
                            break  # an iterator has ended
                        corrections |= commit(self._tracker, ToCome(frame, runs[number:]))
                        result = self._tracker.segment(visit.keeping(corrections), full)
                    bar.update()
                    yield result
                    if full:  # the frame is tracked and handed out; there is no room for more
                        raise full[0]

    def _live(self) -> LiveFrames:
        """Return the live stream.

        Raises:
            SessionError: The session has a video instead.
        """
        if not isinstance(self.frames, LiveFrames):
            raise SessionError(
                "this session has a video of its own: use session.propagate(). For a stream, open "
                "the session with video=None."
            )
        return self.frames

    def _step(self, frame: int, *, remember: bool = True) -> FrameResult:
        """Track all objects on a frame that a stream has just got."""
        self._tracker.require_open()
        commit(self._tracker)
        return self._tracker.segment(FrameRequest(frame, remember=remember))

    def _require(self, frame: int) -> int:
        """Refuse a frame that cannot be had; return its number as a plain one.

        Raises:
            FrameError: It is beyond the video, dropped by a stream, or no number.
        """
        number = frame_number(frame)
        self.frames.require(number)
        return number

    def _known(self, object_id: int) -> TrackedObject:
        """Look an object up.

        Raises:
            UnknownObjectError: There is no such object.
        """
        number = read_object_id(object_id)
        if number not in self._tracker.objects:
            raise UnknownObjectError(number, self._tracker.objects)
        return self._tracker.objects[number]

    def _to_change(self, object_id: int, frame: int) -> TrackedObject:
        """Look an object up, or make it, and note what it was like."""
        number = read_object_id(object_id)
        if number in self._tracker.objects:
            self._note(self._tracker.objects[number], frame)
            return self._tracker.objects[number]
        # the number of a removed object: its masks cannot come back any more
        self._undo.forget_object(number)
        one = self._tracker.object(number)
        self._push(Snapshot.of(one, None, frame))
        return one

    def _note(self, one: TrackedObject, frame: int | None) -> None:
        """Note what an object is like before a verb changes it."""
        place = list(self._tracker.objects).index(one.object_id)
        self._push(Snapshot.of(one, place, frame))

    def _drop_lost(self, one: TrackedObject) -> None:
        """Drop prompts that are not remembered, on frames that a stream has dropped since."""
        for frame in [frame for frame in one.rounds if not self.frames.may_come(frame)]:
            try:
                self.frames.require(frame)
            except FrameError:
                one.drop_rounds(frame)

    def _push(self, snapshot: Snapshot) -> None:
        for gone in self._undo.push(snapshot):
            self._tracker.drop_records(gone)

    def _forget_changes(self) -> None:
        """Drop what could be undone, and the removed objects with it."""
        for gone in self._undo.clear():
            self._tracker.drop_records(gone)


def _following(frame: int, frames: range) -> int | None:
    """Name the frame that comes next; None at the end."""
    return frame + frames.step if frame + frames.step in frames else None
