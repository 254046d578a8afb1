"""The video session: click an object on one frame, follow it through all of them.

The session owns everything that changes; the model owns nothing. Coordinates are pixels of the
original frame, (x, y), top-left 0; frames count from 0; an object's id is any whole number.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from sam2_hf.closing import Closing
from sam2_hf.errors import FrameError, SessionError
from sam2_hf.frames.base import Frames, frame_number
from sam2_hf.frames.preprocessing import FramePixels
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.images import ImageSource
from sam2_hf.video.storage.session_checkpoint import load_tracker, open_session_frames, save_tracker

from .frame_encoder import require_video_model
from .frame_result import FrameResult
from .masklet import Masklet
from .object_registry import BytesHeld
from .prompts import (
    FramePrompts,
    Mask,
    VideoPrompt,
    Xy,
    read_box,
    read_clicks,
    read_mask,
    read_object_id,
)
from .propagation import (
    ENDLESS,
    FrameRequest,
    PropagationDirection,
    Runs,
    ToCome,
    begins_backward_from_first,
    plan_propagation,
)
from .review import FrameToReview, ReviewRules, frames_to_review
from .session_lock import SessionLock, one_thread_at_a_time
from .session_options import SessionOptions
from .tracked_object import TrackedObject
from .tracker import Tracker
from .video_processing_sam2_video import checkpoint_pixels


@one_thread_at_a_time(but=("frames", "model", "options", "num_frames", "size", "object_ids"))
class VideoSession(Closing):
    """Everything about one video while it is being segmented.

    Open one with `VideoSession.open(video, model)`. [`Sam2VideoInferenceSession`] is this session
    with transformers' names beside its own.

    Frames with prompts are conditioning frames, "prompted" ones; all others are tracked.

    Threads may share it: each call waits for the one before, and `propagate` lets others in after
    every frame. A copy shares the model and the pixels of frames: `copy.deepcopy` copies objects,
    memories and masks, opens a video file again and computes image features again. Pickled, a
    session has no model until `use_model` is called, and refers to videos on the disk by path.

    Args:
        tracker: The tracker, with the video.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self.lock = SessionLock()

    @classmethod
    def open(
        cls,
        video: object,
        model: Sam2VideoModel,
        *,
        options: SessionOptions | None = None,
        **changes: Any,
    ) -> Self:
        """Open a session on a video, or on a live stream.

        Args:
            video: A video file, a folder of pictures, a list, array or tensor of frames, an
                iterator, or None for a live stream; see [`open_frames`].
            model: The model, in eval mode. Frames are normalized by the settings of the processor
                that is saved where the model was loaded from.
            options: See [`SessionOptions`].
            **changes: Single options, such as `keep="window"`; `compat="official"` takes the
                original's defaults.

        Raises:
            VideoError: The video cannot be opened.
            SessionError: There is no such option, or its value makes no sense.
        """
        if options is not None and changes:
            raise SessionError(f"give either options or single ones ({', '.join(changes)}).")
        chosen = options or SessionOptions.preset(**changes)
        frames = open_session_frames(video, chosen, model)
        return cls._of_tracker(Tracker(frames, chosen, model))

    @classmethod
    def _of_tracker(cls, tracker: Tracker) -> Self:
        """Make a session; those whose constructor takes something else override it."""
        return cls(tracker)

    def __copy__(self) -> Self:
        """Copy as `copy.deepcopy` does: two sessions cannot share what both change."""
        return copy.deepcopy(self)

    @property
    def frames(self) -> Frames:
        """Where pixels come from."""
        return self._tracker.frames

    @property
    def model(self) -> Sam2VideoModel:
        """The model; see `use_model`."""
        return self._tracker.model

    @property
    def options(self) -> SessionOptions:
        """How the session tracks; see `use_options`."""
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

    def click(
        self, frame: int, object_id: int, xy: Xy | Sequence[Xy], *, positive: object = True
    ) -> None:
        """Add one click or several to what was said about an object on a frame.

        Args:
            frame: Which frame.
            object_id: Which object; a new id is a new object.
            xy: `(x, y)`, or a list of them.
            positive: Whether the click is on the object; one for all, or one for each.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
            PromptError: A click lies outside the frame, or is malformed.
        """
        frame = self._require(frame)
        clicks = read_clicks(xy, positive, self.size, f"object {object_id}")
        said = self.prompts_of(frame, object_id)
        self.put_prompts(frame, object_id, said.with_clicks(clicks))

    def box(self, frame: int, object_id: int, xyxy: Sequence[float]) -> None:
        """Draw a box around an object on a frame; it joins the clicks there.

        Args:
            frame: Which frame.
            object_id: Which object.
            xyxy: `(x0, y0, x1, y1)`.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
            PromptError: The box is turned over or lies outside the frame.
        """
        frame = self._require(frame)
        box = read_box(xyxy, self.size, f"object {object_id}")
        self.put_prompts(frame, object_id, self.prompts_of(frame, object_id).with_box(box))

    def mask(self, frame: int, object_id: int, mask_hw: Mask) -> None:
        """Give the mask of an object on a frame; it takes the place of clicks and box there.

        Args:
            frame: Which frame.
            object_id: Which object.
            mask_hw: Array, tensor or picture of the frame's size: booleans, 0 and 1, 0 and 255,
                probabilities or logits; see [`read_mask`].

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
            PromptError: The mask has another size than the frame, or can be read in more ways than
                one.
        """
        frame = self._require(frame)
        side = self._tracker.model.image_size
        mask = read_mask(mask_hw, self.size, side, f"object {object_id}")
        self.put_prompts(frame, object_id, FramePrompts().with_mask(mask))

    def prompts_of(self, frame: int, object_id: int) -> FramePrompts:
        """Return what has been said about an object on a frame; empty if nothing."""
        one = self._tracker.objects.get(read_object_id(object_id))
        prompts = None if one is None else one.state(frame).prompts
        return FramePrompts() if prompts is None else prompts

    def replace_prompts(self, prompt: VideoPrompt) -> None:
        """Say what a prompt says, in place of all that was said about its object on its frame.

        The answer starts from the mask before, as with one more click; `clear` forgets it.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
            PromptError: A click or the box lies outside the frame, or the mask has another size.
        """
        prompt.replace_in(self)

    def put_prompts(self, frame: int, object_id: int, prompts: FramePrompts) -> None:
        """Say all of it at once, in place of what has been said about an object on a frame.

        The frame may be one that a live stream has yet to bring.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
        """
        number = frame_number(frame)
        if not self.frames.may_come(number):
            self.frames.require(number)
        tracker, device = self._tracker, self._tracker.memory_device
        one = tracker.registry.begin_change(read_object_id(object_id), number, device)
        tracker.queue_prompts(one, number, prompts)

    def preview(self, frame: int) -> FrameResult:
        """Show the masks of a frame, with all prompts so far; what is tracked later stays the same.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
        """
        frame = self._require(frame)
        self._tracker.follow_weights()
        answers = {
            one.object_id: self._tracker.answer_prompts(one, frame)
            for one in self._tracker.objects.values()
        }
        known = {number: answer for number, answer in answers.items() if answer is not None}
        return self._tracker.result(frame, known).on_host()

    def propagate(
        self,
        start: int | None = None,
        limit: int | None = None,
        direction: PropagationDirection = "forward",
        *,
        progress: bool = False,
    ) -> Iterator[FrameResult]:
        """Track all objects through the video, frame by frame; each result is kept as it comes.

        Between two frames everything may be done with the session. A prompt for a frame that is
        still to come in this run counts when its frame comes; one for the present frame or for
        another one counts from the next frame on, as if the run had been stopped and begun again
        there. So do `clear`, `remove` and `undo`. Other threads may do it too.

        Args:
            start: First frame; the first prompted one if None (backward: the last one).
            limit: How many frames, in each direction; all if None.
            direction: "forward", "backward", or "both": forward, then back from `start`.
            progress: Whether to show a progress bar.

        Returns:
            Results, as they are made. Stopping early loses nothing.

        Raises:
            NoPromptError: There is no object, or one of them has no prompt.
            FrameError: A frame cannot be had; those before it are tracked.
            OutputError: The disk is full; what was tracked is kept, go on when there is space.
        """
        if self.frames.is_live:
            raise SessionError("a live stream has no next frame yet. Pass each to session.step().")
        self._tracker.registry.require_prompts()
        prompted = self._tracker.registry.conditioning_frames()
        runs = plan_propagation(start, limit, direction, self.num_frames, prompted)
        if self.options.skip_backward_from_first and begins_backward_from_first(runs):
            runs = []
        return self._run(runs, progress=progress)

    def step(self, picture: ImageSource, *, frame: int | None = None) -> FrameResult:
        """Append a frame to a live stream and track all objects on it.

        Args:
            picture: PIL picture, array `(height, width, 3)` or tensor.
            frame: Its number, where the caller counts and frames may be missing; see
                [`LiveFrames.append`]. Memories are chosen by these numbers.

        Raises:
            SessionError: The session has a video of its own.
            FrameError: The picture has another size than those before, or a negative number.
        """
        if self.frames.is_live:
            self._tracker.consolidate_prompts()  # while the oldest frame, maybe prompted, is there
        number = self.frames.append(picture, frame)
        self._tracker.encoder.features.discard(number)
        self._tracker.encoder.require_open()
        self._tracker.consolidate_prompts()
        result, write_error = self._tracker.segment(FrameRequest(number))
        if write_error is not None:
            raise write_error
        return result

    def remove(self, object_id: int) -> None:
        """Remove an object with all its masks; the others stay as they are.

        Raises:
            UnknownObjectError: There is no such object.
        """
        self._tracker.registry.remove(self._known(object_id))

    def clear(self, frame: int, object_id: int) -> None:
        """Take back all prompts of an object on a frame; what was tracked stays.

        Raises:
            UnknownObjectError: There is no such object.
        """
        one = self._known(object_id)
        number = frame_number(frame)
        if one.state(number).prompts is not None:
            self._tracker.registry.note(one, number)
            one.clear(number)
        elif number < 0 or self.num_frames is not None:
            self.frames.require(number)

    def undo(self) -> bool:
        """Undo the last click, box, mask, clear or remove.

        What has been tracked since stays, until the next propagate overwrites it. Of removed
        objects the last 8 can come back.

        Returns:
            Whether there was anything to undo.
        """
        one = self._tracker.registry.undo()
        if one is None:
            return False
        for frame in one.queued:  # prompts on frames that a stream has dropped since are lost
            if not self.frames.may_come(frame):
                try:
                    self.frames.require(frame)
                except FrameError:
                    one.drop_queued(frame)
        return True

    def reset(self) -> None:
        """Remove all objects for good; the frames stay."""
        self._tracker.registry.reset()

    def masklet(self, object_id: int) -> Masklet:
        """Return the masks of an object so far.

        Raises:
            UnknownObjectError: There is no such object.
        """
        return self._tracker.masklet_store(self._known(object_id)).masklet

    def frames_to_review(
        self, rules: ReviewRules | None = None, *, one_per_run: bool = True
    ) -> list[FrameToReview]:
        """List the frames where a person should look, worst first; see [`ReviewRules`]."""
        objects = self._tracker.objects.values()
        return frames_to_review(
            [self._tracker.masklet_store(one).masklet for one in objects],
            rules=rules,
            prompted={(frame, one.object_id) for one in objects for frame in one.prompts},
            one_per_run=one_per_run,
        )

    def use_model(self, model: Sam2VideoModel) -> None:
        """Use a model from now on, as a session that was unpickled must be told.

        Raises:
            SessionError: The frames are prepared for another input size, the session was pickled
                with another model, or this one cannot track.
        """
        require_video_model(model)
        self._tracker.encoder.require_input_size(model)
        side, compat = model.image_size, self.options.frame_compat
        self.frames.use_preprocessing(lambda: FramePixels(side, compat, checkpoint_pixels(model)))
        self._tracker.bind(model)

    def use_options(self, options: SessionOptions) -> None:
        """Use other options for what comes next, as `replace(session.options, fill_hole_area=0)`.

        Raises:
            SessionError: One of `FIXED_OPTIONS` (session_options.py) differs.
        """
        self._tracker.use_options(options)

    def bytes_held(self) -> BytesHeld:
        """Count what is held on the device, in RAM and on disk; decoded frames are not counted."""
        return self._tracker.bytes_held()

    def close(self) -> None:
        """Release video, memories and spill file; a second call does nothing."""
        self._tracker.close()

    def settle(self) -> None:
        """Release video, features and memories for good, and keep the masks, in RAM or on disk.

        For results that outlive the work on them: masklets can be read, nothing can be tracked.
        """
        self._tracker.release_inputs()

    def save(self, folder: str | Path) -> None:
        """Save everything but video, model and undo, to go on in another process with equal bits.

        Args:
            folder: Where to. A save that is interrupted leaves the one before as it was.

        Raises:
            OutputError: The folder cannot be written, or the disk is full.
        """
        save_tracker(self._tracker, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, video: object, model: Sam2VideoModel) -> Self:
        """Go on with a saved session.

        Args:
            folder: What was given to `save`.
            video: The same video; None for a stream, which goes on where it was.
            model: The same model.

        Raises:
            SessionError: There is no save, it is damaged, the model is another one, or the video
                has another size or length, or shows something else on its first, middle or last
                frame.
        """
        return cls._of_tracker(load_tracker(Path(folder), video, model))

    def _run(
        self, runs: Runs, *, progress: bool, passes_prompted: bool = True
    ) -> Iterator[FrameResult]:
        """Remember all prompts, then visit frames; see `propagate`.

        Each step holds the lock, and begins with the prompts that came since the one before: those
        for frames that are still to come wait for their turn, the others count from here on.
        """
        tracker, only_first = self._tracker, begins_backward_from_first(runs)
        encoder = tracker.encoder  # its frames may be exchanged between two steps
        total = sum(len(frames) for frames, _ in runs if frames.stop != ENDLESS)
        bar = tqdm(total=total or None, unit="frame", desc="tracking", disable=not progress)
        with closing(bar):
            with self.lock:
                encoder.require_open()
                corrections = tracker.consolidate_prompts()
                if passes_prompted:  # as in the original, a run that visits them overwrites them
                    corrections.clear()
            for number, (frames, direction) in enumerate(runs):
                encoder.frames.expect(frames)
                for frame in frames:
                    if encoder.frames.may_come(frame):
                        continue  # the caller's own numbers of a stream may have gaps
                    following = frame + frames.step
                    is_known = encoder.frames.num_frames is not None and following in frames
                    request = FrameRequest(
                        frame,
                        direction,
                        passes_prompted=passes_prompted,
                        leaves_trace=not only_first,
                        ahead=following if is_known else None,
                    )
                    # an iterator may keep this thread waiting
                    reached = encoder.frames.reaches(frame)
                    with self.lock:
                        encoder.require_open()
                        if not reached:
                            break  # an iterator has ended
                        corrections |= tracker.consolidate_prompts(ToCome(frame, runs[number:]))
                        result, write_error = tracker.segment(request.keeping(corrections))
                    bar.update()
                    yield result
                    if write_error is not None:  # the frame is handed out; there is no more room
                        raise write_error

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
        return self._tracker.registry.known(read_object_id(object_id))
