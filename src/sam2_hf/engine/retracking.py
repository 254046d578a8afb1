"""Reviews applied to a labeled video: corrected objects are tracked again, decisions recorded."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sam2_hf.errors import DataError, PromptError, Sam2Error
from sam2_hf.writers.frame_journal import TrackedFrame

from .claims import Claim
from .labeling import judged
from .reviews import (
    Review,
    clicks_by_frame,
    corrected_prompts,
    forget_reviews,
    pending_reviews,
    set_aside,
)
from .set_folder import SetFolder
from .settings import AcceptRules
from .tracked_objects import ClipToLabel, joined, track_objects
from .video_labels import (
    REVIEW,
    LabeledFrames,
    LabeledMasklet,
    ReviewAction,
    VideoLabels,
    read_labels,
    write_labels,
)


class LabelsChangedError(Sam2Error, RuntimeError):
    """Another worker has changed the labels that this one was changing."""


def apply_reviews(
    folder: SetFolder,
    video_id: str,
    clip: ClipToLabel,
    rules: AcceptRules,
    claim: Claim | None = None,
) -> VideoLabels:
    """Apply the pending reviews of a video, and write its labels again.

    A review that was applied before a crash is not applied twice. One that cannot be applied is
    set aside, and the others are.

    Args:
        folder: The set.
        video_id: The video.
        clip: The whole video, with the model that tracks corrected objects.
        rules: When a corrected masklet without a decision is accepted.
        claim: Of the video; the labels are left to a successor, if it has one.

    Returns:
        The video with its new decisions.

    Raises:
        PromptError: Some reviews cannot be used; the labels have the others.
        LabelsChangedError: Another worker has changed the labels meanwhile; these are not written.
        DataError: Labels or reviews are damaged.
        OutputError: The labels cannot be written.
    """
    path = folder.labels(video_id)
    version = _version(path)
    video, frames = read_labels(path), list(LabeledFrames(path))
    reviews, failed = pending_reviews(folder, video_id), dict[str, Sam2Error]()
    for review in reviews:
        try:
            video, frames = _applied(video, frames, review, clip, rules)
        except (PromptError, DataError) as error:
            failed[review.token] = error
    if _version(path) != version or not (claim is None or folder.claims.is_latest(claim)):
        raise LabelsChangedError(f"another worker has changed the labels of {video_id}. Try again.")
    write_labels(path, video, frames)
    aside = [review for review in reviews if review.token in failed]
    place = set_aside(folder, video_id, aside) if aside else None
    forget_reviews(folder, video_id, {review.token for review in reviews})
    if place is not None:
        texts = (f"object {item.object_id}: {failed[item.token]}" for item in aside)
        raise PromptError(f"reviews cannot be applied, and are now in {place}. {' '.join(texts)}")
    return video


def _version(path: Path) -> tuple[int, int]:
    """Identify what a file holds; it is replaced, never changed.

    Raises:
        DataError: It is missing.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    return found.st_ino, found.st_mtime_ns


def _applied(
    video: VideoLabels,
    frames: list[TrackedFrame],
    review: Review,
    clip: ClipToLabel,
    rules: AcceptRules,
) -> tuple[VideoLabels, list[TrackedFrame]]:
    """Apply one review, unless it was."""
    masklet = video.masklet(review.object_id)
    if any(action.token == review.token for action in masklet.history):
        return video, frames
    outside = [
        item.frame for item in review.corrections if item.frame not in range(video.num_frames)
    ]
    if outside:
        raise PromptError(f"{video.name} has no frame {outside[0]!r}.")
    if review.corrections:
        masklet, frames = _tracked_again(video, masklet, frames, review, clip, rules)
    return video.with_masklet(_decided(masklet, review)), frames


def _decided(masklet: LabeledMasklet, review: Review) -> LabeledMasklet:
    action = ReviewAction(
        review.by, review.verdict, review.token, dict(clicks_by_frame(review.corrections))
    )
    status = masklet.status if review.verdict == REVIEW else review.verdict
    return replace(masklet, status=status, history=(*masklet.history, action))


def _tracked_again(
    video: VideoLabels,
    masklet: LabeledMasklet,
    frames: list[TrackedFrame],
    review: Review,
    clip: ClipToLabel,
    rules: AcceptRules,
) -> tuple[LabeledMasklet, list[TrackedFrame]]:
    """Track one object with its corrections; return it, and all frames with its new masks."""
    object_id = masklet.object_id
    before = {
        tracked.frame: found
        for tracked in frames
        for found in tracked.objects
        if found.object_id == object_id
    }
    masks = {frame: found.segmentation for frame, found in before.items() if found.area}
    prompts = corrected_prompts(masklet, review.corrections, masks)
    own = replace(clip, frames=_part_of(video, prompts[0].frame))
    found = track_objects(own, {object_id: prompts})
    (corrected,) = judged(own, found, rules)
    corrected = replace(corrected, name=masklet.name, history=masklet.history)
    return corrected, _replaced(frames, found.frames, object_id)


def _part_of(video: VideoLabels, frame: int) -> range:
    """Return the range of frames that was tracked together with a frame."""
    for first, stop in video.parts:
        if first <= frame < stop:
            return range(first, stop)
    return range(video.num_frames)


def _replaced(
    frames: list[TrackedFrame], tracked: Sequence[TrackedFrame], object_id: int
) -> list[TrackedFrame]:
    """Put the new masks of an object in the place of its old ones."""
    rows: dict[int, TrackedFrame] = {}
    for frame in frames:
        others = tuple(item for item in frame.objects if item.object_id != object_id)
        rows[frame.frame] = replace(frame, objects=others)
    for frame in tracked:
        before = rows.get(frame.frame)
        rows[frame.frame] = frame if before is None else joined(before, frame)
    return [rows[number] for number in sorted(rows)]
