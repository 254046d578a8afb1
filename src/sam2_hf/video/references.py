"""References: objects known from another picture or video, as memories without a time.

Every frame of a session reads them, in both directions, so an object needs no prompt in the video
itself. They have the temporal code of a prompted frame. The time of their pointers is the longest
that the model was trained with: a constant, so that results do not depend on where in the video an
object appears, and far away, since 0 would be the time of the current frame, whose pointer is never
among the memories.

Suffixes: h, w = rows and columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from sam2_hf.errors import FrameError, ImageError, PromptError, VideoError
from sam2_hf.frames.base import Frames, frame_number
from sam2_hf.model.outputs import FrameMemory
from sam2_hf.number_reading import shown
from sam2_hf.video.storage.object_library import KnownObject
from sam2_hf.video.storage.session_checkpoint import open_session_frames

from .frame_encoder import FrameEncoder, model_mark
from .masklet import describe_frames
from .prompts import Mask, read_mask, read_object_id
from .session_options import SessionOptions
from .tracked_object import PromptedOutput, TrackedObject
from .tracker import Tracker
from .tracking_model import TrackingModel, require_memory

Masks = Mask | Mapping[int, Mask]


class TakesReferences(Protocol):
    """Interface of a session to a [`Reference`]."""

    def reference(self, picture: object, masks: Masks, object_id: int) -> None:
        """Add what an object looks like in another picture or video."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What an object looks like in another picture or video; for [`VideoSegmentationPipeline`].

    Attributes:
        picture: A picture of any size; or a video, see [`open_frames`].
        masks: `(height, width)` of the picture; for a video, frame -> mask.
        object_id: The object in the video to track, any integer.
        name: What it is, for results.

    Raises:
        PromptError: The object id is not a whole number.

    Example:
        >>> cup = np.zeros((400, 600), dtype=bool)
        >>> cup[90:310, 190:400] = True
        >>> session.reset()
        >>> Reference(photo, cup, object_id=1).add_to(session)
        >>> masks = [result.masks[1] for result in session.propagate()]
    """

    picture: object = field(repr=False)
    masks: Masks = field(repr=False)
    object_id: int
    name: str | None = None

    def __post_init__(self) -> None:
        """Check the id."""
        object.__setattr__(self, "object_id", read_object_id(self.object_id))

    def add_to(self, session: TakesReferences) -> None:
        """Add it to the session's references of the object.

        Raises:
            ImageError: The picture cannot be read.
            PromptError: A mask is empty or has another size.

        Example:
            >>> cup = session.preview(0).masks[1]
            >>> Reference(clip[0], cup, object_id=2).add_to(session)
            >>> session.object_ids
            (1, 2)
        """
        session.reference(self.picture, self.masks, self.object_id)


@torch.no_grad()
def encode_references(
    picture: object, masks: Masks, object_id: int, model: TrackingModel, options: SessionOptions
) -> list[FrameMemory]:
    """Encode the memories of an object in another picture or video.

    The masks are encoded as mask prompts on these frames would be.

    Args:
        picture: A picture, or a video if `masks` is a mapping.
        masks: The mask, or frame -> mask.
        object_id: The object, for messages.
        model: The model.
        options: How frames are resized and memories encoded.

    Raises:
        ImageError: The picture cannot be read.
        VideoError: The video cannot be opened.
        FrameError: The video has no such frame.
        PromptError: A mask is empty, has another size, or ambiguous values; or a video has one
            mask without its frame.
        SessionError: The model has no memory.
    """
    require_memory(model)
    what = f"object {object_id} in its reference"
    with _open(picture, what, options, model, is_video=isinstance(masks, Mapping)) as frames:
        listed = masks if isinstance(masks, Mapping) else {0: masks}
        read = {
            number: _read_mask(mask, frames, number, model, what)
            for number, mask in ((frame_number(frame), mask) for frame, mask in listed.items())
        }
        if not read:
            raise PromptError(f"there is no mask of {what}. Give at least one.")
        # a compiled graph may reuse the tensors in which the session caches a frame's features
        encoder = FrameEncoder(frames, replace(options, compile=False), model)
        return [_encode(frame, mask_hw, encoder, options) for frame, mask_hw in read.items()]


@torch.no_grad()
def learned_object(
    tracker: Tracker, obj: TrackedObject, frames: Sequence[int] | None
) -> KnownObject:
    """Collect an object's memories; see `VideoSession.learned`.

    Queued prompts count as if they were applied, but stay queued: a propagation that is running
    decides when it applies them.

    Raises:
        FrameError: It has no memory of a frame, or none at all.
    """
    bank = obj.bank
    if isinstance(frames, str | bytes) or not isinstance(frames, Iterable | None):
        raise FrameError(f"frames are {shown(frames)}. Give a list of frame numbers.")
    queued = _queued_memories(tracker, obj)
    if frames is None:
        prompted = obj.conditioning_frames(
            with_corrections=tracker.options.add_all_frames_to_correct_as_cond
        )
        known = {**bank.prompted, **{n: queued[n] for n in queued if n in prompted}}
        found: list[FrameMemory | None] = [*bank.references, *known.values()]
    else:
        numbers = map(frame_number, frames)
        found = [queued.get(number) or bank.memory(number) for number in numbers]
    memories = [memory for memory in found if memory is not None]
    if len(memories) < len(found) or not memories:
        asked = "" if frames is None else f" of one of the frames {list(frames)}"
        remembered = describe_frames(sorted({*bank.prompted, *bank.tracked, *queued}))
        raise FrameError(
            f"object {obj.object_id} has no memory{asked}. Frames with one: {remembered}. "
            "session.propagate() makes more."
        )
    return KnownObject(tuple(memory.to("cpu") for memory in memories), model_mark(tracker.model))


def _queued_memories(tracker: Tracker, obj: TrackedObject) -> dict[int, FrameMemory]:
    """Encode the memories that an object's queued prompts are going to leave, by frame."""
    tracker.answer_all_prompts()
    condition = tracker.options.add_all_frames_to_correct_as_cond
    return {
        frame: tracker.queued_memories(frame)[obj.object_id]
        for frame, calls in sorted(obj.queued.items())
        if not tracker.frames.may_come(frame)
        # a correction that leaves the frame's own prompt in place leaves no memory
        and (calls[-1].direction is None or condition or obj.state(frame).output is None)
    }


def _open(
    picture: object, what: str, options: SessionOptions, model: TrackingModel, *, is_video: bool
) -> Frames:
    """Open a picture as a video of one frame, preprocessed as the session's frames are.

    `Frames` that are given, such as those of another session, stay open.
    """
    if is_video:
        return open_session_frames(picture, options, model, is_borrowed=True)
    try:
        frames = open_session_frames([picture], options, model, is_borrowed=True)
    except VideoError as error:
        raise ImageError(
            f"the picture of {what} cannot be used: {error.__cause__ or error}"
        ) from error
    if frames.num_frames != 1:
        frames.close()
        count = "a stream" if frames.num_frames is None else f"{frames.num_frames} frames"
        raise PromptError(
            f"the picture of {what} is a video ({count}), so it is unknown which frame its mask "
            "belongs to. Give {frame: mask}, or one picture."
        )
    return frames


def _read_mask(mask: Mask, frames: Frames, frame: int, model: TrackingModel, what: str) -> Tensor:
    frames.require(frame)
    mask_hw = read_mask(mask, frames.size, model.image_size, what)
    if not mask_hw.any():
        raise PromptError(
            f"the mask of {what} is empty, or too small to be seen at the model's input size. Give "
            "a mask of the object."
        )
    return mask_hw


def _encode(
    frame: int, mask_hw: Tensor, encoder: FrameEncoder, options: SessionOptions
) -> FrameMemory:
    """Encode the memory of one mask prompt; see `Tracker.consolidate_prompts`."""
    model, features = encoder.model, encoder.encode(frame)
    found = model.use_mask_as_output(features, mask_hw[None, None].to(model.device))
    given = PromptedOutput.of(found, options)
    score_b1 = given.answer.score_1[None]
    spatial_bx = model.encode_memory(
        features,
        given.logits_for_memory(model.image_size),
        score_b1,
        binarize=options.binarize_mask_from_pts_for_mem_enc,
    )
    # copied, so that no larger tensor is kept alive
    parts = (spatial_bx.to(options.memory_dtype), given.pointer_1d, score_b1)
    return FrameMemory(frame, *[part.clone() for part in parts])
