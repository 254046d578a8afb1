"""Video of a visitor: its session, prompts as immutable values with undo, and tracking jobs.

Videos are checked before they are opened, with little memory and a spill folder.
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
from .photo_work import MAX_NAME, Xy, box_of_corners, middle
from .space_model import SpaceModel


@dataclass(frozen=True, slots=True)
class FramePrompt:
    """A click or a box.

    Attributes:
        frame: Its frame.
        number: Its object.
        click: `(x, y, positive)`; None for a box.
        box: None for a click.
    """

    frame: int
    number: int
    click: tuple[float, float, bool] | None = None
    box: Xyxy | None = None


@dataclass(frozen=True, slots=True)
class VideoScene:
    """Prompts of a video, and the active object.

    Attributes:
        prompts: Clicks and boxes, in order.
        active: Number of the object that clicks apply to.
        corner: First corner of an unfinished box, and its frame.
    """

    prompts: tuple[FramePrompt, ...] = ()
    active: int = 1
    corner: tuple[int, Xy] | None = None

    @property
    def numbers(self) -> list[int]:
        """The objects, the active one included."""
        return sorted({self.active, *(prompt.number for prompt in self.prompts)})

    @property
    def prompted(self) -> list[int]:
        """The objects with prompts."""
        return sorted({prompt.number for prompt in self.prompts})

    def prompted_on(self, frame: int) -> frozenset[int]:
        """The objects with prompts on a frame."""
        return frozenset(prompt.number for prompt in self.prompts if prompt.frame == frame)

    def drawn_on(self, frame: int) -> DrawnPrompts:
        """Prompts to draw on a frame: those of the active object."""
        mine = [
            prompt
            for prompt in self.prompts
            if (prompt.frame, prompt.number) == (frame, self.active)
        ]
        clicks = [prompt.click for prompt in mine if prompt.click is not None]
        return DrawnPrompts(
            tuple(clicks), tuple(prompt.box for prompt in mine if prompt.box is not None)
        )

    def corner_on(self, frame: int) -> Xy | None:
        """The first corner of an unfinished box on a frame; None if there is none."""
        return self.corner[1] if self.corner is not None and self.corner[0] == frame else None

    def with_prompt(self, prompt: FramePrompt) -> "VideoScene":
        """Add a click or a box."""
        return replace(self, prompts=(*self.prompts, prompt), corner=None)

    def without_frame(self, frame: int) -> "VideoScene":
        """Remove the active object's prompts on a frame."""
        here = (frame, self.active)
        prompts = tuple(prompt for prompt in self.prompts if (prompt.frame, prompt.number) != here)
        return replace(self, prompts=prompts, corner=None)

    def without_active(self) -> "VideoScene":
        """Remove the active object."""
        prompts = tuple(prompt for prompt in self.prompts if prompt.number != self.active)
        left = {prompt.number for prompt in prompts}
        return VideoScene(prompts, min(left, default=1))

    def with_new_object(self, most: int, taken: frozenset[int] = frozenset()) -> "VideoScene":
        """Start another object with the next click, unless the active one has none yet.

        Args:
            most: Maximum number of objects.
            taken: Numbers in use without prompts.

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
    """Progress of tracking.

    Attributes:
        frame: The last tracked frame.
        done: Number of tracked frames.
        total: Number of all frames.
        rate: Frames per second.
    """

    frame: int
    done: int
    total: int
    rate: float


def require_prompts(scene: VideoScene, object_ids: Iterable[int]) -> None:
    """Refuse to track objects without a prompt.

    Raises:
        PromptError: There is no prompt, or an object has lost all its prompts.
    """
    if not scene.prompts:
        raise PromptError("There is nothing to track yet. Click an object in a frame first.")
    if empty := sorted(set(object_ids) - set(scene.prompted)):
        raise PromptError(
            f"Object {empty[0]} has no click left. Click it in a frame, or remove it."
        )


UNDO_DEPTH = 100  # steps, as in a session
Change = Callable[[], None]


class VideoWork:
    """One video with its prompts.

    Args:
        name: Stem of the result files.
        session: On the video.
        model: The model.
        limits: Maximum number of objects.

    Attributes:
        model: The model.
        scene: Current state.
        folder: Folder of all files of the video, deleted with it; may be None.
        files_folder: Folder of the newest result files; None before the first.
        written: Prompts at the time these were written.
        names: The visitor's name for each named object, by number.
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
        self.written: tuple[FramePrompt, ...] = ()
        self.names: dict[int, str] = {}
        self.is_tracking = False
        self._is_closed = False
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self.model = model
        self._limits = limits
        self._earlier: list[tuple[VideoScene, bool]] = []  # and whether the session undoes as well
        self._removed: set[int] = set()

    @property
    def seconds(self) -> float | None:
        """Duration of the video; None if unknown."""
        fps = self.session.frames.fps
        return float(self.num_frames / fps) if fps else None

    @property
    def numbers(self) -> list[int]:
        """The objects: prompted ones, the active one, and those with masks only."""
        return sorted({*self.scene.numbers, *self.session.object_ids})

    @property
    def tracked(self) -> list[int]:
        """Frames with a mask of some object."""
        return sorted({frame for masklet in self.masklets() for frame in masklet.frames})

    @contextlib.contextmanager
    def reading(self) -> Iterator[VideoSession]:
        """Lock the session for reading.

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
        """Add a positive or negative click on the active object on a frame.

        Raises:
            PromptError: The click is outside, or the first one is negative.
            SessionError: Tracking is running.
        """
        if not positive and self.scene.active not in self.scene.prompted:
            raise PromptError(
                "Click on the object first; then exclude the parts that do not belong."
            )
        number = self.scene.active
        self._add_prompt(
            FramePrompt(frame, number, click=(*xy, positive)),
            lambda: self.session.click(frame, number, xy, positive=positive),
        )

    def corner(self, frame: int, xy: Xy) -> None:
        """Set a corner of a box; the second one on the same frame completes it.

        Raises:
            PromptError: The box is empty.
            SessionError: Tracking is running.
        """
        first = self.scene.corner
        if first is None or first[0] != frame:
            self._become(replace(self.scene, corner=(frame, xy)), None)
            return
        self.box(frame, box_of_corners(first[1], xy))

    def box(self, frame: int, box: Xyxy) -> None:
        """Prompt the active object with a box on a frame.

        Raises:
            PromptError: It is outside the frame.
            SessionError: Tracking is running.
        """
        number = self.scene.active
        ObjectPrompt(box=box).check(self.size, 0, f"object {number}")

        def draw() -> None:
            if self.model.knows_boxes:
                self.session.box(frame, number, box)
            else:
                self.session.click(frame, number, middle(box))

        self._add_prompt(FramePrompt(frame, number, box=box), draw)

    def new_object(self) -> None:
        """Start another object with the next click.

        Raises:
            LimitError: There are too many.
        """
        taken = frozenset(self.session.object_ids)
        self._become(self.scene.with_new_object(self._limits.objects, taken), None)

    def activate(self, number: int) -> None:
        """Activate another object."""
        self.scene = replace(self.scene, active=number, corner=None)

    def rename(self, name: str, number: int) -> None:
        """Name an object; an empty name takes it back."""
        self.names[number] = " ".join(name.split())[:MAX_NAME]

    def name_of(self, number: int) -> str:
        """Return the name of an object, "object" and its number if it has none."""
        return self.names.get(number) or f"object {number}"

    def clear(self, frame: int) -> None:
        """Remove the active object's prompts on a frame."""
        number = self.scene.active
        if number in self.scene.prompted_on(frame):
            self._become(self.scene.without_frame(frame), lambda: self.session.clear(frame, number))

    def remove(self) -> None:
        """Remove the active object with its masks."""
        number = self.scene.active
        if number in self.session.object_ids:
            self._become(self.scene.without_active(), lambda: self.session.remove(number))
            self._removed.add(number)
            self.names.pop(number, None)  # the next object of this number is another one

    def undo(self) -> bool:
        """Undo the last step; return whether there was one.

        Raises:
            SessionError: Tracking is running.
        """
        if not self._earlier:
            return False
        with self._changing():
            scene, is_of_session = self._earlier.pop()
            if is_of_session and not self.session.undo():
                self._earlier.clear()  # the session no longer has this step, nor earlier ones
                return False
            self.scene = scene
        return True

    def use_memory_policy(self, name: str) -> None:
        """Track with another memory policy from now on; see `SessionOptions.memory_policy`.

        Raises:
            SessionError: There is no such policy, or tracking is running.
        """
        with self._changing():
            self.session.use_options(replace(self.session.options, memory_policy=name))

    def track(
        self, direction: PropagationDirection, start: int | None = None
    ) -> Iterator[TrackStep]:
        """Track all objects frame by frame, yielding the model to others in between.

        Args:
            direction: Direction of tracking.
            start: First frame; by default the first one with a prompt.

        Yields:
            Progress after each frame. Stopping early, or [`stop`], loses nothing.

        Raises:
            PromptError: There is no prompt.
            SessionError: Tracking is already running.
            FrameError: A frame cannot be read; earlier ones are tracked.
        """
        require_prompts(self.scene, self.session.object_ids)
        with self._changing():
            self.is_tracking = True
        began = time.monotonic()
        prompted = {prompt.frame for prompt in self.scene.prompts}
        try:
            total = count_frames(start, None, direction, self.num_frames, prompted) or 0
            results = self.session.propagate(start, direction=direction)
            for done in range(1, total + 1):
                with self.model.lock.taken(), self._lock:
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
        """Stop tracking after its frame, or in the queue; finished frames are kept."""
        self._stop.set()

    def expect_job(self) -> None:
        """Clear an earlier stop, before a job is queued or starts its next part."""
        self._stop.clear()

    @property
    def is_stopped(self) -> bool:
        """Whether the running or queued job is to stop."""
        return self._stop.is_set()

    @property
    def is_outdated(self) -> bool:
        """Whether prompts changed since the result files were written."""
        return self.files_folder is not None and self.scene.prompts != self.written

    def review(self) -> list[FrameToReview]:
        """List the frames where the track is uncertain, worst first."""
        with self._lock:
            return self.session.frames_to_review()

    def close(self) -> None:
        """Close the video and drop all results."""
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

    def _add_prompt(self, prompt: FramePrompt, change: Change) -> None:
        if prompt.number not in self.scene.prompted:
            self._limits.check_objects(len(self.scene.prompted))
        if prompt.number in self._removed and prompt.number not in self.session.object_ids:
            # The session drops a removed object's history when its number is reused.
            self._earlier.clear()
        self._become(self.scene.with_prompt(prompt), change)

    def _become(self, scene: VideoScene, change: Change | None) -> None:
        """Change the session and the prompts together, or neither."""
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
                raise SessionError(
                    "Tracking is running. Press Stop first; the tracked frames are kept."
                )
            yield

    def _require_open(self) -> None:
        """Raise after the end of a visit."""
        if self._is_closed:
            raise FrameError("This video was deleted. Upload it again.")


RAM_BUDGET = 64 * 2**20  # bytes of a visit's session; the rest is spilled to its folder


def open_video(path: Path, name: str, model: SpaceModel, limits: Limits, folder: Path) -> VideoWork:
    """Open a video; nothing is decoded but its first frame.

    Args:
        path: The file, which must be kept.
        name: Stem of the result files.
        model: The model.
        limits: For the video and its objects.
        folder: For result files and spilled data; deleted at the end.

    Raises:
        VideoError: It is not a video.
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
