"""Tracking of prompted objects by the rules of a phase, and back again to check them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sam2_hf.errors import FrameError
from sam2_hf.video.frame_result import FrameResult
from sam2_hf.video.prompts import VideoPrompt
from sam2_hf.video.review import FrameToReview
from sam2_hf.video.session import VideoSession
from sam2_hf.video.tracking_model import TrackingModel
from sam2_hf.writers.frame_journal import TrackedFrame

from .claims import Beat, no_beat
from .phases import Phase
from .quality import mask_iou, rows_by_object, way_back
from .video_labels import MaskletPrompt

Prompts = Mapping[int, Sequence[MaskletPrompt]]  # by object id
SMALLEST_INPUT = 64  # pixels; for those who read only original pictures
CONFIDENT_IOU, CONFIDENT_SCORE = 0.7, 0.5  # of the frame that tracking back begins on


@dataclass(frozen=True, slots=True, eq=False)
class ClipToLabel:
    """A video, or a range of its frames, on its way to masklets.

    Attributes:
        video: What `open_frames` takes.
        name: File or folder name.
        model: The model, in eval mode.
        model_facts: Its name and fingerprint.
        frames: Frames to label.
        phase: How objects are tracked.
        beat: Called after each step, as a sign of progress; may raise to stop.
    """

    video: Any
    name: str
    model: TrackingModel
    model_facts: Mapping[str, str]
    frames: range
    phase: Phase
    beat: Beat = no_beat


@dataclass(frozen=True, slots=True, eq=False)
class ClipMasklets:
    """Masklets of a clip.

    Attributes:
        frames: Tracked frames, in order.
        prompts: What each object was pointed at with.
        names: Names of objects, by id.
        doubts: Frames to look at, worst first.
    """

    frames: Sequence[TrackedFrame] = ()
    prompts: Prompts = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    doubts: Sequence[FrameToReview] = ()


def track_objects(clip: ClipToLabel, prompts: Prompts) -> ClipMasklets:
    """Make the masklets of prompted objects.

    Args:
        clip: The clip.
        prompts: At least one for each object.

    Raises:
        FrameError: A prompt is for a frame outside the clip, or a frame cannot be read.
        PromptError: A prompt cannot be used.
        VideoError: The video cannot be opened.
    """
    if not prompts:
        return ClipMasklets()
    with VideoSession.open(clip.video, clip.model) as session:
        given = _session_prompts(clip, prompts)
        if not clip.phase.propagates:
            frames = _frame_by_frame(session, clip, given)
        else:
            if not clip.phase.refines:
                given = _as_masks(session, clip, given)
            for prompt in given:
                prompt.add_to(session)
            frames = _propagated(session, clip, sorted({prompt.frame for prompt in given}))
        return ClipMasklets(frames, prompts, doubts=session.frames_to_review())


def agreement_backward(clip: ClipToLabel, frames: Sequence[TrackedFrame]) -> dict[int, float]:
    """Track each object back from its last confident frame, and compare on its first frame.

    Objects that are shown on one frame alone are left out.

    Returns:
        IoU by object id.
    """
    rows = rows_by_object(frames).items()
    ways = {
        object_id: way
        for object_id, seen in rows
        if (way := way_back(seen, CONFIDENT_IOU, CONFIDENT_SCORE)) is not None
    }
    if not ways:
        return {}
    start, until = max(end[0] for _, end in ways.values()), min(b[0] for b, _ in ways.values())
    found: dict[int, float] = {}
    with VideoSession.open(clip.video, clip.model) as session:
        for object_id, (_, (frame, item)) in ways.items():
            session.mask(frame, object_id, item.mask())
        for result in session.propagate(start, start - until + 1, "backward"):
            clip.beat()
            for object_id, ((frame, item), _) in ways.items():
                if frame == result.frame:
                    found[object_id] = mask_iou(result.masks[object_id], item.mask())
    return found


def _session_prompts(clip: ClipToLabel, prompts: Prompts) -> list[VideoPrompt]:
    given = []
    for object_id, listed in sorted(prompts.items()):
        for prompt in sorted(listed, key=lambda item: item.frame):
            if prompt.frame not in clip.frames:
                raise FrameError(
                    f"a prompt of object {object_id} is for frame {prompt.frame}, but {clip.name} "
                    f"has the frames {clip.frames.start} to {clip.frames.stop - 1}."
                )
            given += prompt.for_session(object_id)
    return given


def _frame_by_frame(
    session: VideoSession, clip: ClipToLabel, given: Sequence[VideoPrompt]
) -> list[TrackedFrame]:
    """Segment each prompted frame alone; nothing is tracked, so nothing is remembered."""
    for prompt in given:
        prompt.add_to(session)
    frames = []
    for frame in sorted({prompt.frame for prompt in given}):
        frames.append(_tracked(session, session.preview(frame)))
        clip.beat()
    return frames


def _as_masks(
    session: VideoSession, clip: ClipToLabel, given: Sequence[VideoPrompt]
) -> list[VideoPrompt]:
    """Segment prompted frames alone, and make prompts of their masks; the session is empty after.

    A mask that was given together with clicks is replaced: a correction starts from nothing.
    """
    clicked = {(item.frame, item.object_id) for item in given if item.mask is None}
    for prompt in given:
        if prompt.mask is None:
            prompt.add_to(session)
    masks = []
    for frame in sorted({frame for frame, _ in clicked}):
        for object_id, mask_hw in session.preview(frame).masks.items():
            if (frame, object_id) in clicked:
                masks.append(VideoPrompt(frame, object_id, mask=mask_hw))
        clip.beat()
    session.reset()
    kept = [prompt for prompt in given if (prompt.frame, prompt.object_id) not in clicked]
    return [*kept, *masks]


def _propagated(
    session: VideoSession, clip: ClipToLabel, prompted: Sequence[int]
) -> list[TrackedFrame]:
    """Track from the first prompted frame to both ends of the clip."""
    first, tracked = prompted[0], {}
    runs = [session.propagate(first, clip.frames.stop - first)]
    if first > clip.frames.start:
        runs.append(session.propagate(first, first - clip.frames.start + 1, "backward"))
    for run in runs:
        for result in run:
            tracked[result.frame] = _tracked(session, result)
            clip.beat()
    return [tracked[frame] for frame in sorted(tracked)]


def _tracked(session: VideoSession, result: FrameResult) -> TrackedFrame:
    return TrackedFrame.from_result(result, session.frames.time(result.frame))


def joined(first: TrackedFrame, second: TrackedFrame) -> TrackedFrame:
    """Put the objects of two results of one frame together."""
    objects = sorted((*first.objects, *second.objects), key=lambda item: item.object_id)
    return replace(first, objects=tuple(objects))
