"""Labeling of one clip: find masklets, score them, and decide which are accepted."""

from collections.abc import Sequence

from sam2_hf.engine.prompts.given_objects import GivenObject
from sam2_hf.writers.frame_journal import TrackedFrame

from .masklet_sources import MaskletSource
from .quality import masklet_scores
from .settings import AUTOMATIC, AcceptRules
from .tracked_objects import ClipMasklets, ClipToLabel, agreement_backward
from .video_labels import ACCEPTED, REVIEW, Doubt, LabeledMasklet, MaskletPrompt

DOUBTS_KEPT = 20  # of a masklet, worst first


def label_clip(
    clip: ClipToLabel,
    source: MaskletSource,
    given: Sequence[GivenObject],
    rules: AcceptRules,
) -> tuple[list[LabeledMasklet], Sequence[TrackedFrame]]:
    """Label a clip.

    Args:
        clip: The clip.
        source: Finds its masklets.
        given: Objects of a file of prompts.
        rules: When a masklet is accepted.

    Returns:
        Its masklets, and their masks.

    Raises:
        Exception: Whatever the source raises.
    """
    found = source.find(clip, given)
    return judged(clip, found, rules), found.frames


def judged(clip: ClipToLabel, found: ClipMasklets, rules: AcceptRules) -> list[LabeledMasklet]:
    """Score masklets and decide which are accepted; see [`label_clip`]."""
    agreement = agreement_backward(clip, found.frames) if clip.phase.propagates else {}
    judged_masklets = []
    for object_id, scores in masklet_scores(found.frames, agreement, clip.beat).items():
        reasons = (*rules.reasons(scores), *_unconfirmed(clip, found.frames, object_id))
        doubts = [
            Doubt(doubt.frame, doubt.reasons, round(doubt.severity, 6))
            for doubt in found.doubts
            if doubt.object_id == object_id
        ]
        masklet = LabeledMasklet(
            object_id,
            found.names.get(object_id),
            REVIEW if reasons else ACCEPTED,
            scores,
            reasons,
            tuple(found.prompts.get(object_id, ())) or _first_mask(found.frames, object_id),
            tuple(doubts[:DOUBTS_KEPT]),
            model=dict(clip.model_facts),
        )
        judged_masklets.append(masklet)
    return judged_masklets


def _first_mask(frames: Sequence[TrackedFrame], object_id: int) -> tuple[MaskletPrompt, ...]:
    """Make the first mask of an object its prompt, to track it again from, if it has none."""
    for tracked in frames:
        for item in tracked.objects:
            if item.object_id == object_id and item.area:
                return (MaskletPrompt(tracked.frame, mask=item.segmentation, by=AUTOMATIC),)
    return ()


def _unconfirmed(clip: ClipToLabel, frames: Sequence[TrackedFrame], object_id: int) -> list[str]:
    """Doubt an object that no frame shows, or a tracked one that is shown on one of several."""
    shown = sum(
        item.object_id == object_id and item.area > 0
        for tracked in frames
        for item in tracked.objects
    )
    needed = 2 if clip.phase.propagates and len(clip.frames) > 1 else 1  # one confirms nothing
    return [] if shown >= needed else [f"it is shown on {shown} of {len(clip.frames)} frames"]
