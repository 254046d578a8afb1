"""Selection of frames for human review, from scores and areas alone."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import groupby, pairwise

from .masklet import Masklet


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """Thresholds that make a frame doubtful.

    Args:
        min_iou: Predicted IoU below which a mask in view is doubtful.
        unsure_score: Object scores closer to 0 than this are doubtful; logits (1 is a probability
            of 0.73).
        max_flicker: Absences between presences of up to this many frames are doubtful, and vice
            versa.
        max_area_factor: Largest change of a visible object's area from one frame to the next, as a
            factor.

    Example:
        >>> doubts = tracked.frames_to_review(ReviewRules(min_iou=0.9))
    """

    min_iou: float = 0.75
    unsure_score: float = 1.0
    max_flicker: int = 3
    max_area_factor: float = 2.0


@dataclass(frozen=True, slots=True)
class FrameToReview:
    """A frame on which a person should check an object.

    Attributes:
        frame: Frame number.
        object_id: The object.
        reasons: Reasons, as text.
        severity: Sum over reasons of 0 to 1 each; larger is more doubtful.

    Example:
        >>> for doubt in tracked.frames_to_review():
        ...     where = doubt.frame, doubt.object_id, doubt.reasons
    """

    frame: int
    object_id: int
    reasons: tuple[str, ...]
    severity: float


@dataclass(frozen=True, slots=True)
class _Doubt:
    """One reason to review a frame; severity from 0 (at the rule's limit) to 1."""

    frame: int
    reason: str
    severity: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """Scores of an object on a frame."""

    frame: int
    iou: float
    score: float
    area: int

    @property
    def in_view(self) -> bool:
        return self.score > 0


def frames_to_review(
    masklets: Iterable[Masklet],
    *,
    rules: ReviewRules | None = None,
    prompted: Set[tuple[int, int]] = frozenset(),
    one_per_run: bool = True,
) -> list[FrameToReview]:
    """List the frames on which a track is doubtful, worst first.

    Args:
        masklets: The objects.
        rules: Thresholds of doubtful frames.
        prompted: `(frame, object_id)` of each prompt. These frames were seen and are not listed.
        one_per_run: Whether to list only the worst of consecutive doubtful frames of an object,
            where a correction helps most, or all.

    Returns:
        The frames, worst first.
    """
    chosen = ReviewRules() if rules is None else rules
    found: list[FrameToReview] = []
    for masklet in masklets:
        doubtful = [
            frame
            for frame in _doubtful_frames(masklet, chosen)
            if (frame.frame, frame.object_id) not in prompted
        ]
        found.extend(_worst_of_runs(doubtful) if one_per_run else doubtful)
    return sorted(found, key=_worst_first)


def _doubtful_frames(masklet: Masklet, rules: ReviewRules) -> list[FrameToReview]:
    """Collect the doubts of one object by frame, in order."""
    seen = [
        _Seen(frame, masklet.iou(frame), masklet.object_score(frame), masklet.area(frame))
        for frame in masklet.frames
    ]
    doubts = [*_doubts_alone(seen, rules), *_area_jumps(seen, rules), *_flickers(seen, rules)]
    doubts.sort(key=lambda doubt: doubt.frame)
    frames = []
    for frame, group in groupby(doubts, key=lambda doubt: doubt.frame):
        same = list(group)
        reasons = tuple(doubt.reason for doubt in same)
        severity = sum(doubt.severity for doubt in same)
        frames.append(FrameToReview(frame, masklet.object_id, reasons, severity))
    return frames


def _doubts_alone(seen: list[_Seen], rules: ReviewRules) -> Iterator[_Doubt]:
    """Yield doubts from single frames. Out of view there is no mask to doubt."""
    for row in seen:
        if row.in_view and row.iou < rules.min_iou:
            reason = f"predicted IoU {row.iou:.2f} is below {rules.min_iou:g}"
            yield _Doubt(row.frame, reason, min(1.0, rules.min_iou - row.iou))
        if abs(row.score) < rules.unsure_score:
            reason = f"object score {row.score:.2f} leaves open whether it is in view"
            yield _Doubt(row.frame, reason, 1 - abs(row.score) / rules.unsure_score)
        if row.in_view and row.area == 0:
            yield _Doubt(row.frame, "the mask is empty although the object is in view", 1.0)


def _area_jumps(seen: list[_Seen], rules: ReviewRules) -> Iterator[_Doubt]:
    """Yield doubts on the later of two neighbors whose areas differ too much."""
    for before, now in pairwise(seen):
        if now.frame != before.frame + 1 or not (before.in_view and now.in_view):
            continue
        small, large = sorted((before.area, now.area))
        if small and large > rules.max_area_factor * small:
            reason = f"area went from {before.area} to {now.area} pixels in one frame"
            yield _Doubt(now.frame, reason, 1 - rules.max_area_factor * small / large)


def _flickers(seen: list[_Seen], rules: ReviewRules) -> Iterator[_Doubt]:
    """Yield doubts on short absences between presences, and vice versa."""
    for stretch in _stretches(seen):
        groups = [list(group) for _, group in groupby(stretch, key=lambda row: row.in_view)]
        for group in groups[1:-1]:
            if len(group) > rules.max_flicker:
                continue
            what = "in view" if group[0].in_view else "out of view"
            reason = f"{what} for only {len(group)} frame{'s' * (len(group) > 1)}"
            for row in group:
                yield _Doubt(row.frame, reason, 1 / len(group))


def _stretches(seen: list[_Seen]) -> Iterator[list[_Seen]]:
    """Split at untracked frames: their neighbors are unknown."""
    stretch: list[_Seen] = []
    for row in seen:
        if stretch and row.frame != stretch[-1].frame + 1:
            yield stretch
            stretch = []
        stretch.append(row)
    if stretch:
        yield stretch


def _worst_of_runs(doubtful: list[FrameToReview]) -> Iterator[FrameToReview]:
    """Pick the worst of each run of consecutive frames."""
    # within a run, frame number minus position is constant
    runs = groupby(enumerate(doubtful), key=lambda pair: pair[1].frame - pair[0])
    for _, run in runs:
        yield min((frame for _, frame in run), key=_worst_first)


def _worst_first(frame: FrameToReview) -> tuple[float, int, int]:
    return -frame.severity, frame.frame, frame.object_id
