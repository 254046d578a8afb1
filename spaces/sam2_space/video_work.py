"""A visitor's video: its session, the prompts so far as values with undo, and tracking jobs.

Videos are checked before they are opened, with little memory and a folder for what is spilled.
"""

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sam2_hf.errors import FrameError, PromptError, SessionError, VideoError
from sam2_hf.overlay import DrawnPrompts, Xyxy
from sam2_hf.processing.prompts import ObjectPrompt
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.masklet import Masklet
from sam2_hf.video.propagation import PropagationDirection, count_frames
from sam2_hf.video.review import FrameToReview
from sam2_hf.video.session import VideoSession

from .file_places import SPILL
from .limits import Limits, too_many_objects
from .photo_work import Xy, box_of_corners, middle
from .space_model import SpaceModel


@dataclass(frozen=True, slots=True)
class SaidOnFrame:
    """A click or a box.

    Attributes:
        frame: On which frame.
        number: About which object.
        click: `(x, y, positive)`; None for a box.
        box: None for a click.
    """

    frame: int
    number: int
    click: tuple[float, float, bool] | None = None
    box: Xyxy | None = None


@dataclass(frozen=True, slots=True)
class VideoScene:
    """All that was said, and which object is next.

    Attributes:
        said: Clicks and boxes, in order.
        active: Number of the object that clicks are for.
        corner: First corner of a box whose second is still to come, and its frame.
    """

    said: tuple[SaidOnFrame, ...] = ()
    active: int = 1
    corner: tuple[int, Xy] | None = None

    @property
    def numbers(self) -> list[int]:
        """The objects, the active one included."""
        return sorted({self.active, *(one.number for one in self.said)})

    @property
    def prompted(self) -> list[int]:
        """The objects about which something was said."""
        return sorted({one.number for one in self.said})

    def prompted_on(self, frame: int) -> frozenset[int]:
        """List the objects about which something was said on a frame."""
        return frozenset(one.number for one in self.said if one.frame == frame)

    def drawn_on(self, frame: int) -> DrawnPrompts:
        """Collect what is to be drawn on a frame: what concerns the active object."""
        mine = [one for one in self.said if (one.frame, one.number) == (frame, self.active)]
        clicks = [one.click for one in mine if one.click is not None]
        if self.corner is not None and self.corner[0] == frame:
            clicks.append((*self.corner[1], True))
        return DrawnPrompts(tuple(clicks), tuple(one.box for one in mine if one.box is not None))

    def with_said(self, said: SaidOnFrame) -> "VideoScene":
        """Add a click or a box."""
        return replace(self, said=(*self.said, said), corner=None)

    def without_frame(self, frame: int) -> "VideoScene":
        """Forget what was said about the active object on a frame."""
        here = (frame, self.active)
        said = tuple(one for one in self.said if (one.frame, one.number) != here)
        return replace(self, said=said, corner=None)

    def without_active(self) -> "VideoScene":
        """Forget the active object."""
        said = tuple(one for one in self.said if one.number != self.active)
        left = {one.number for one in said}
        return VideoScene(said, min(left, default=1))

    def with_new_object(self, most: int, taken: frozenset[int] = frozenset()) -> "VideoScene":
        """Let the next click begin another object, unless the active one is still without any.

        Args:
            most: How many there may be.
            taken: Numbers that are in use although nothing is said about them any more.

        Raises:
            LimitError: There are `most` already.
        """
        used = {*self.prompted, *taken}
        if self.active not in used:
            return self
        if len(used) >= most:
            raise too_many_objects(most)
        free = next(number for number in range(1, most + 1) if number not in used)
        return replace(self, active=free, corner=None)


@dataclass(frozen=True, slots=True)
class TrackStep:
    """How far tracking is.

    Attributes:
        frame: The frame that has just been tracked.
        done: Frames so far.
        total: Frames in all.
        rate: Frames per second.
    """

    frame: int
    done: int
    total: int
    rate: float


def require_prompts(scene: VideoScene, object_ids: Iterable[int]) -> None:
    """Refuse to track objects without a prompt.

    Raises:
        PromptError: Nothing was pointed at, or an object has lost all that was said about it.
    """
    if not scene.said:
        raise PromptError("There is nothing to track yet. Click an object in a frame first.")
    if empty := sorted(set(object_ids) - set(scene.prompted)):
        raise PromptError(
            f"Object {empty[0]} has no click any more. Click it in a frame, or remove it."
        )


UNDO_DEPTH = 100  # steps, as many as a session keeps
Change = Callable[[], None]


class VideoWork:
    """One video and all that was said about it.

    Args:
        name: Beginning of the result files' names.
        session: On the video.
        model: The model.
        limits: How many objects there may be.

    Attributes:
        model: The model.
        scene: What was said.
        folder: Where all files of the video are, deleted with it; None if it has none.
        files_folder: Where the newest result files are; None before the first.
        written: What had been said when they were.
    """

    def __init__(self, name: str, session: VideoSession, model: SpaceModel, limits: Limits) -> None:
        if session.size is None or session.num_frames is None:
            raise VideoError("This video has no frames. Choose an MP4, MOV or WebM video.")
        self.name = name
        self.size: tuple[int, int] = session.size
        self.num_frames: int = session.num_frames
        self.scene = VideoScene()
        self.session = session
        self.folder: Path | None = None
        self.files_folder: Path | None = None
        self.written: tuple[SaidOnFrame, ...] = ()
        self.is_tracking = False
        self._is_closed = False
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self.model = model
        self._limits = limits
        self._earlier: list[tuple[VideoScene, bool]] = []  # and whether the session undoes, too
        self._removed: set[int] = set()

    @property
    def seconds(self) -> float | None:
        """How long the video is; None if unknown."""
        fps = self.session.frames.fps
        return float(self.num_frames / fps) if fps else None

    @property
    def numbers(self) -> list[int]:
        """The objects: those that were pointed at, the active one, those with masks only."""
        return sorted({*self.scene.numbers, *self.session.object_ids})

    @property
    def tracked(self) -> list[int]:
        """Frames with a mask of some object."""
        return sorted({frame for one in self.masklets() for frame in one.frames})

    @contextlib.contextmanager
    def reading(self) -> Iterator[VideoSession]:
        """Lend the session for reading, while nothing changes it.

        Raises:
            FrameError: The visit has ended.
        """
        with self._lock:
            self._require_open()
            yield self.session

    def masklets(self) -> list[Masklet]:
        """The masks so far of each object that has any."""
        with self._lock:
            return [self.session.masklet(number) for number in sorted(self.session.object_ids)]

    def click(self, frame: int, xy: Xy, *, positive: bool) -> None:
        """Point at the active object on a frame, or beside it.

        Raises:
            PromptError: The click is outside, or the first one is beside the object.
            SessionError: Tracking is going on.
        """
        if not positive and self.scene.active not in self.scene.prompted:
            raise PromptError("Click on the object first, then beside it to take something away.")
        number = self.scene.active
        self._say(
            SaidOnFrame(frame, number, click=(*xy, positive)),
            lambda: self.session.click(frame, number, xy, positive=positive),
        )

    def corner(self, frame: int, xy: Xy) -> None:
        """Give a corner of a box; the second one on the same frame makes the box.

        Raises:
            PromptError: The box is empty.
            SessionError: Tracking is going on.
        """
        first = self.scene.corner
        if first is None or first[0] != frame:
            self._become(replace(self.scene, corner=(frame, xy)), None)
            return
        self.box(frame, box_of_corners(first[1], xy))

    def box(self, frame: int, box: Xyxy) -> None:
        """Draw a box around the active object on a frame.

        Raises:
            PromptError: It is outside the frame.
            SessionError: Tracking is going on.
        """
        number = self.scene.active
        ObjectPrompt(box=box).check(self.size, 0, f"object {number}")

        def draw() -> None:
            if self.model.knows_boxes:
                self.session.box(frame, number, box)
            else:
                self.session.click(frame, number, middle(box))

        self._say(SaidOnFrame(frame, number, box=box), draw)

    def new_object(self) -> None:
        """Let the next click begin another object.

        Raises:
            LimitError: There are too many.
        """
        taken = frozenset(self.session.object_ids)
        self._become(self.scene.with_new_object(self._limits.objects, taken), None)

    def activate(self, number: int) -> None:
        """Go on with another object."""
        self.scene = replace(self.scene, active=number, corner=None)

    def clear(self, frame: int) -> None:
        """Forget what was said about the active object on a frame."""
        number = self.scene.active
        if number in self.scene.prompted_on(frame):
            self._become(self.scene.without_frame(frame), lambda: self.session.clear(frame, number))

    def remove(self) -> None:
        """Remove the active object with its masks."""
        number = self.scene.active
        if number in self.session.object_ids:
            self._become(self.scene.without_active(), lambda: self.session.remove(number))
            self._removed.add(number)

    def undo(self) -> bool:
        """Take the last step back; tell whether there was one.

        Raises:
            SessionError: Tracking is going on.
        """
        if not self._earlier:
            return False
        with self._changing():
            scene, is_of_session = self._earlier.pop()
            if is_of_session and not self.session.undo():
                self._earlier.clear()  # the session has forgotten it, and what was before it
                return False
            self.scene = scene
        return True

    def track(
        self, direction: PropagationDirection, start: int | None = None
    ) -> Iterator[TrackStep]:
        """Track all objects, one frame at a time, letting others have their turn in between.

        Args:
            direction: Which way.
            start: First frame; the first one with a prompt if None.

        Yields:
            How far it is, after each frame. Stopping early, or [`stop`], loses nothing.

        Raises:
            PromptError: Nothing was pointed at.
            SessionError: Tracking is going on already.
            FrameError: A frame cannot be read; those before it are tracked.
        """
        require_prompts(self.scene, self.session.object_ids)
        with self._changing():
            self.is_tracking = True
        began = time.monotonic()
        prompted = {one.frame for one in self.scene.said}
        try:
            total = count_frames(start, None, direction, self.num_frames, prompted) or 0
            results = self.session.propagate(start, direction=direction)
            for done in range(1, total + 1):
                with self.model.turns.taken(), self._lock:
                    if self._stop.is_set():
                        return
                    result = next(results, None)
                if result is None:
                    return
                rate = done / max(time.monotonic() - began, 1e-6)
                yield TrackStep(result.frame, done, total, rate)
        finally:
            self.is_tracking = False

    def stop(self) -> None:
        """Let tracking end after its frame, or in the queue; what is done stays."""
        self._stop.set()

    def expect_job(self) -> None:
        """Forget an earlier stop, before a job goes into the queue or begins its next part."""
        self._stop.clear()

    @property
    def is_stopped(self) -> bool:
        """Whether the job that runs or waits is to end."""
        return self._stop.is_set()

    @property
    def is_outdated(self) -> bool:
        """Whether something was said since the result files were written."""
        return self.files_folder is not None and self.scene.said != self.written

    def review(self) -> list[FrameToReview]:
        """List the frames where the track is doubtful, worst first."""
        with self._lock:
            return self.session.frames_to_review()

    def close(self) -> None:
        """Let go of the video and everything that was tracked."""
        self.stop()
        with self._lock:
            self._is_closed = True
            self.session.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def new_folder(self) -> Path:
        """Make a folder for result files, deleted with the video.

        Raises:
            FrameError: The visit has ended, or there is another video.
        """
        with self._lock:
            self._require_open()
            made = Path(tempfile.mkdtemp(dir=self.folder))
        return made

    def _say(self, said: SaidOnFrame, change: Change) -> None:
        if said.number not in self.scene.prompted:
            self._limits.check_objects(len(self.scene.prompted))
        if said.number in self._removed and said.number not in self.session.object_ids:
            # The session forgets a removed object's steps when its number is given again.
            self._earlier.clear()
        self._become(self.scene.with_said(said), change)

    def _become(self, scene: VideoScene, change: Change | None) -> None:
        """Change the session and what was said together, or neither."""
        with self._changing():
            if change is not None:
                change()
            self._earlier = [*self._earlier, (self.scene, change is not None)][-UNDO_DEPTH:]
            self.scene = scene

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            self._require_open()
            if self.is_tracking:
                raise SessionError("Tracking is going on. Press Stop first; what is done stays.")
            yield

    def _require_open(self) -> None:
        """Refuse to go on after the end of a visit."""
        if self._is_closed:
            raise FrameError("This video has been deleted. Upload it again.")


RAM_BUDGET = 64 * 2**20  # bytes of a visit's session; the rest of it lies in its folder


def open_video(path: Path, name: str, model: SpaceModel, limits: Limits, folder: Path) -> VideoWork:
    """Open a video; nothing is decoded but its first frame.

    Args:
        path: The file; it must stay there.
        name: Beginning of the result files' names.
        model: The model.
        limits: For the video and its objects.
        folder: For the result files and what does not fit into memory; deleted in the end.

    Raises:
        VideoError: It is no video.
        LimitError: It is too large or too long.
    """
    session = _open_session(path, model, limits, folder)
    try:
        work = VideoWork(name, session, model, limits)
        limits.check_length(work.num_frames, work.seconds)
    except BaseException:
        session.close()
        raise
    work.folder = folder
    return work


def _open_session(path: Path, model: SpaceModel, limits: Limits, folder: Path) -> VideoSession:
    limits.check_video_file(path)
    spill = folder / SPILL
    spill.mkdir(parents=True, exist_ok=True)
    try:
        return Sam2VideoInferenceSession.open(
            str(path), model.video, ram_budget=RAM_BUDGET, spill_folder=spill
        )
    except VideoError as error:
        raise VideoError(
            "This file is not a video that can be read. Choose an MP4, MOV or WebM video."
        ) from error
