"""The video session: prompt objects on some frames, track them through all.

The session owns all state; the model is stateless. Coordinates are pixels of the original frame,
(x, y), top-left 0; frames count from 0; an object id is any integer.
"""

import copy
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from sam2_hf.closing import Closing
from sam2_hf.errors import SessionError
from sam2_hf.frames.base import Frames, frame_number
from sam2_hf.frames.preprocessing import FramePixels
from sam2_hf.model.outputs import FrameMemory
from sam2_hf.processing.images import ImageSource
from sam2_hf.video.storage.object_library import KnownObject, recalled_memories
from sam2_hf.video.storage.session_checkpoint import load_tracker, open_session_frames, save_tracker

from .explanation import Explanation, explain_frame
from .frame_encoder import require_video_model, sized_model
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
from .propagation import PropagationDirection, Runs
from .propagation_run import plan_runs, step_stream, visit_frames
from .references import Masks, encode_references, learned_object
from .review import FrameToReview, ReviewRules, review_objects
from .session_lock import SessionLock, one_thread_at_a_time
from .session_options import SessionOptions
from .tracked_object import TrackedObject
from .tracker import Tracker
from .tracking_model import TrackingModel
from .video_processing_sam2_video import checkpoint_pixels


@one_thread_at_a_time(but=("frames", "model", "options", "num_frames", "size", "object_ids"))
class VideoSession(Closing):
    """Session on one video.

    Open one with `VideoSession.open(video, model)`. [`Sam2VideoInferenceSession`] adds
    transformers' names. Frames with prompts are conditioning frames ("prompted"); all others are
    tracked. Thread-safe: calls are serialized, and `propagate` releases the lock after every frame.
    A copy shares the model and the pixels of frames: `copy.deepcopy` copies objects, memories and
    masks, reopens a video file and recomputes image features. An unpickled session has no model
    until `use_model` is called, and refers to video files by path.

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
        model: TrackingModel,
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
            **changes: Single options, such as `keep="window"`; `compat="official"` selects the
                original's defaults.

        Raises:
            VideoError: The video cannot be opened.
            SessionError: An option is unknown or its value invalid.
        """
        if options is not None and changes:
            raise SessionError(f"give either options or single ones ({', '.join(changes)}).")
        chosen = options or SessionOptions.preset(**changes)
        frames = open_session_frames(video, chosen, model)
        return cls._of_tracker(Tracker(frames, chosen, model))

    @classmethod
    def _of_tracker(cls, tracker: Tracker) -> Self:
        """Make a session; overridden by subclasses with another constructor."""
        return cls(tracker)

    def __copy__(self) -> Self:
        """Copy as `copy.deepcopy` does: sessions cannot share mutable state."""
        return copy.deepcopy(self)

    @property
    def frames(self) -> Frames:
        """The source of pixels."""
        return self._tracker.frames

    @property
    def model(self) -> TrackingModel:
        """The model; see `use_model`."""
        return self._tracker.model

    @property
    def options(self) -> SessionOptions:
        """The session's options; see `use_options`."""
        return self._tracker.options

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects, in order of creation."""
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
        """Add one or several clicks to the prompts of an object on a frame.

        Args:
            frame: The frame.
            object_id: The object; a new id adds an object.
            xy: `(x, y)`, or a list of them.
            positive: Whether the click is on the object; one for all, or one per click.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
            PromptError: A click lies outside the frame, or is malformed.
        """
        frame = self._require(frame)
        clicks = read_clicks(xy, positive, self.size, f"object {object_id}")
        earlier = self.prompts_of(frame, object_id)
        self.put_prompts(frame, object_id, earlier.with_clicks(clicks))

    def box(self, frame: int, object_id: int, xyxy: Sequence[float]) -> None:
        """Set the box of an object on a frame; it is combined with clicks.

        Args:
            frame: The frame.
            object_id: The object.
            xyxy: `(x0, y0, x1, y1)`.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
            PromptError: The box is inverted or lies outside the frame.
        """
        frame = self._require(frame)
        box = read_box(xyxy, self.size, f"object {object_id}")
        self.put_prompts(frame, object_id, self.prompts_of(frame, object_id).with_box(box))

    def mask(self, frame: int, object_id: int, mask_hw: Mask) -> None:
        """Set the mask of an object on a frame; it replaces clicks and box.

        Args:
            frame: The frame.
            object_id: The object.
            mask_hw: Array, tensor or picture of the frame's size: booleans, 0 and 1, 0 and 255,
                probabilities or logits; see [`read_mask`].

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
            PromptError: The mask's size differs from the frame's, or its values are ambiguous.
        """
        frame = self._require(frame)
        side = self._tracker.model.image_size
        mask = read_mask(mask_hw, self.size, side, f"object {object_id}")
        self.put_prompts(frame, object_id, FramePrompts().with_mask(mask))

    def reference(self, picture: object, masks: Masks, object_id: int) -> None:
        """Add what an object looks like in another picture or video: a memory without a time.

        All frames tracked from now on read it, in both directions; `max_cond_frames_in_attn` does
        not count it. Such an object needs no prompt: see `propagate`.

        Args:
            picture: A picture of any size; if `masks` is a mapping a video, see [`open_frames`].
            masks: Its mask, `(height, width)` of the picture; or for a video, frame -> mask.
            object_id: The object; a new id adds an object.

        Raises:
            ImageError: The picture cannot be read.
            VideoError: The video cannot be opened.
            FrameError: The video has no such frame.
            PromptError: A mask is empty, its size differs from the picture's, or a video has one
                mask without its frame.
            SessionError: The model has no memory.
        """
        object_id = read_object_id(object_id)
        memories = encode_references(picture, masks, object_id, self.model, self.options)
        self._refer(object_id, memories)

    def recall(self, known: KnownObject, object_id: int) -> None:
        """Add references of an object from a library; see `reference`.

        Raises:
            SessionError: They were made by another model, or this one has no memory.
        """
        memories = recalled_memories(known, self.model, self.options)
        self._refer(read_object_id(object_id), memories)

    def learned(self, object_id: int, frames: Sequence[int] | None = None) -> KnownObject:
        """Return what an object looks like, for an [`ObjectLibrary`]; changes nothing.

        Args:
            object_id: The object.
            frames: Frames to take its memories of; if None, prompted frames and references.

        Raises:
            UnknownObjectError: There is no such object.
            FrameError: It has no memory of a frame.
        """
        return learned_object(self._tracker, self._known(object_id), frames)

    def prompts_of(self, frame: int, object_id: int) -> FramePrompts:
        """Return the prompts of an object on a frame; empty if there are none."""
        obj = self._tracker.objects.get(read_object_id(object_id))
        prompts = None if obj is None else obj.state(frame).prompts
        return FramePrompts() if prompts is None else prompts

    def replace_prompts(self, prompt: VideoPrompt) -> None:
        """Replace all prompts of an object on a frame by a [`VideoPrompt`].

        The decoder starts from the previous mask, as after another click; `clear` drops it.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
            PromptError: A click or the box lies outside the frame, or the mask has another size.
        """
        prompt.replace_in(self)

    def put_prompts(self, frame: int, object_id: int, prompts: FramePrompts) -> None:
        """Replace all prompts of an object on a frame. It may be a future frame of a live stream.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
        """
        number = frame_number(frame)
        if not self.frames.may_come(number):
            self.frames.require(number)
        tracker, device = self._tracker, self._tracker.memory_device
        obj = tracker.registry.begin_change(read_object_id(object_id), number, device)
        tracker.queue_prompts(obj, number, prompts)

    def preview(self, frame: int, *, objects: Collection[int] | None = None) -> FrameResult:
        """Return the masks of a frame with all prompts so far; does not affect later tracking.

        Args:
            frame: The frame.
            objects: Ids of the objects to show; all if None.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
        """
        frame = self._require(frame)
        self._tracker.follow_weights()
        answers = {
            obj.object_id: self._tracker.answer_prompts(obj, frame)
            for obj in self._tracker.registry.chosen(objects)
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
        objects: Collection[int] | None = None,
    ) -> Iterator[FrameResult]:
        """Track all objects through the video, frame by frame; results are stored as they come.

        The session may be used between two frames, also from other threads. A prompt on a frame
        still to come in this run is applied at that frame; one on the current or another frame is
        applied from the next frame on, as if the run had been restarted there. So are `clear`,
        `remove` and `undo`.

        Args:
            start: First frame; the first prompted one if None (backward: the last one). If no
                object has a prompt, only references: the first of the video (backward: the last).
            limit: Number of frames in each direction; all if None.
            direction: "forward", "backward", or "both": forward, then back from `start`.
            progress: Whether to show a progress bar.
            objects: Ids of the objects to track, all if None; others keep what they have.

        Returns:
            Results, lazily. Stopping early loses nothing.

        Raises:
            NoPromptError: There is no object, or one has neither a prompt nor a reference.
            UnknownObjectError: `objects` has an unknown one.
            FrameError: A frame is not available; those before it are tracked.
            OutputError: The disk is full; tracked frames are kept, resume when there is space.
        """
        if self.frames.is_live:
            raise SessionError("a live stream has no next frame yet. Pass each to session.step().")
        chosen = self._tracker.registry.chosen(objects)
        runs = plan_runs(self._tracker, chosen, start, limit, direction)
        only = None if objects is None else frozenset(obj.object_id for obj in chosen)
        return self._visit(runs, progress=progress, only=only)

    def step(self, picture: ImageSource, *, frame: int | None = None) -> FrameResult:
        """Append a frame to a live stream and track all objects on it.

        Args:
            picture: PIL image, array `(height, width, 3)` or tensor.
            frame: Its number, if the caller counts and frames may be missing; see
                [`LiveFrames.append`]. Memories are selected by these numbers.

        Raises:
            SessionError: The session is not a live stream.
            FrameError: The picture's size differs from earlier ones, or its number is negative.
        """
        return step_stream(self._tracker, picture, frame)

    def remove(self, object_id: int) -> None:
        """Remove an object with all its masks; others are unaffected.

        Raises:
            UnknownObjectError: There is no such object.
        """
        self._tracker.registry.remove(self._known(object_id))

    def clear(self, frame: int, object_id: int) -> None:
        """Remove all prompts of an object on a frame; tracked frames stay.

        Raises:
            UnknownObjectError: There is no such object.
        """
        obj = self._known(object_id)
        number = frame_number(frame)
        if obj.state(number).prompts is not None:
            self._tracker.registry.note(obj, number)
            obj.clear(number)
        elif number < 0 or self.num_frames is not None:
            self.frames.require(number)

    def undo(self) -> bool:
        """Undo the last click, box, mask, reference, clear or remove.

        Frames tracked since then stay until the next `propagate` overwrites them. The last 8
        removed objects can be restored.

        Returns:
            Whether there was anything to undo.
        """
        obj = self._tracker.registry.undo()
        if obj is not None:
            obj.drop_unavailable(self.frames)
        return obj is not None

    def reset(self) -> None:
        """Remove all objects for good; the frames stay."""
        self._tracker.registry.reset()

    def masklet(self, object_id: int) -> Masklet:
        """Return the masks of an object so far.

        Raises:
            UnknownObjectError: There is no such object.
        """
        return self._tracker.masklet_store(self._known(object_id)).masklet

    def explain(self, frame: int, object_id: int, *, mask_only: bool = False) -> Explanation:
        """Report which memories a tracked frame attended to, from the memories that there are now.

        Args:
            frame: The frame.
            object_id: The object.
            mask_only: Whether to weigh only what the cells of the object's mask attended to.

        Raises:
            UnknownObjectError: There is no such object.
            FrameError: The frame was not tracked, is not available, or its memories are gone.
            SessionError: The model cannot report it: an export, EdgeTAM, an EfficientTAM with
                pooling, or one without memory. Or the policy is "tree", with several hypotheses.
        """
        frame = self._require(frame)
        return explain_frame(self._tracker, self._known(object_id), frame, mask_only=mask_only)

    def frames_to_review(
        self, rules: ReviewRules | None = None, *, one_per_run: bool = True
    ) -> list[FrameToReview]:
        """List the frames for human review, worst first; see [`ReviewRules`]."""
        return review_objects(self._tracker, rules, one_per_run=one_per_run)

    def use_model(self, model: TrackingModel) -> None:
        """Set the model, as needed after unpickling.

        Raises:
            SessionError: The frames are prepared for another input size, the session was pickled
                with another model, or this model cannot track.
        """
        require_video_model(model)
        model = sized_model(model, self.options)
        self._tracker.encoder.require_input_size(model)
        side, compat = model.image_size, self.options.frame_compat
        self.frames.use_preprocessing(lambda: FramePixels(side, compat, checkpoint_pixels(model)))
        self._tracker.bind(model)

    def use_options(self, options: SessionOptions) -> None:
        """Set options for later calls, such as `replace(session.options, fill_hole_area=0)`.

        Raises:
            SessionError: One of `FIXED_OPTIONS` (session_options.py) differs.
        """
        self._tracker.use_options(options)

    def bytes_held(self) -> BytesHeld:
        """Count bytes on the device, in RAM and on disk, without decoded frames."""
        return self._tracker.bytes_held()

    def close(self) -> None:
        """Release video, memories and spill files; idempotent."""
        self._tracker.close()

    def settle(self) -> None:
        """Release video, features and memories for good, but keep the masks, in RAM or on disk.

        Masklets can still be read; nothing can be tracked.
        """
        self._tracker.release_inputs()

    def save(self, folder: str | Path) -> None:
        """Save everything but video, model and undo, to resume bit-exactly in another process.

        Args:
            folder: Target folder. An interrupted save leaves the previous one intact.

        Raises:
            OutputError: The folder cannot be written, or the disk is full.
        """
        save_tracker(self._tracker, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, video: object, model: TrackingModel) -> Self:
        """Load a saved session.

        Args:
            folder: The folder of `save`.
            video: The same video; None for a stream, which continues where it was.
            model: The same model.

        Raises:
            SessionError: There is no save, it is damaged, the model differs, or the video differs
                in size, length, or the content of compared frames.
        """
        return cls._of_tracker(load_tracker(Path(folder), video, model))

    def _visit(self, runs: Runs, **how: Any) -> Iterator[FrameResult]:
        """Visit frames; see [`visit_frames`]."""
        return visit_frames(self._tracker, self.lock, runs, **how)

    def _refer(self, object_id: int, memories: Sequence[FrameMemory]) -> None:
        """Add references to an object; `undo` removes them."""
        tracker = self._tracker
        tracker.encoder.require_open()
        obj = tracker.registry.begin_change(object_id, None, tracker.memory_device)
        obj.bank.refer_to(memories)

    def _require(self, frame: int) -> int:
        """Refuse an unavailable frame; return its number as an int.

        Raises:
            FrameError: It is beyond the video, dropped by a stream, or not a number.
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
