"""Which frames a person should look at, from scores and areas alone: no model, no state."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import groupby, pairwise

from .masklet import Masklet


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """When a frame is doubtful.

    Args:
        min_iou: Predicted IoU below which a mask in view is doubtful.
        unsure_score: Object scores nearer to 0 than this leave open if the object is in view;
            logits (1 is a probability of 0.73).
        max_flicker: Up to this many frames out of view, between frames in view, are doubtful; the
            same for frames in view between frames out of view.
        max_area_factor: The area of an object in view may grow or shrink by this factor from one
            frame to the next.
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
        reasons: Why, in words.
        severity: The larger the more doubtful; each reason adds 0 to 1.
    """

    frame: int
    object_id: int
    reasons: tuple[str, ...]
    severity: float


@dataclass(frozen=True, slots=True)
class _Doubt:
    """One reason to look at a frame; severity from 0 (at the rule's limit) to 1."""

    frame: int
    reason: str
    severity: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of an object on a frame."""

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
        rules: When a frame is doubtful.
        prompted: `(frame, object_id)` of each prompt. A person has seen these frames; they are not
            listed.
        one_per_run: Of consecutive doubtful frames of an object only the worst, where a correction
            helps most; otherwise all of them.

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
    """Gather the doubts of one object by frame, in order of time."""
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
    """Doubts that a frame raises by itself. Out of view there is no mask to be bad."""
    for one in seen:
        if one.in_view and one.iou < rules.min_iou:
            reason = f"predicted IoU {one.iou:.2f} is below {rules.min_iou:g}"
            yield _Doubt(one.frame, reason, min(1.0, rules.min_iou - one.iou))
        if abs(one.score) < rules.unsure_score:
            reason = f"object score {one.score:.2f} leaves open if it is in view"
            yield _Doubt(one.frame, reason, 1 - abs(one.score) / rules.unsure_score)
        if one.in_view and one.area == 0:
            yield _Doubt(one.frame, "the mask is empty although the object is in view", 1.0)


def _area_jumps(seen: list[_Seen], rules: ReviewRules) -> Iterator[_Doubt]:
    """Doubt the later one of two neighbors whose areas differ too much."""
    for before, now in pairwise(seen):
        if now.frame != before.frame + 1 or not (before.in_view and now.in_view):
            continue
        small, large = sorted((before.area, now.area))
        if small and large > rules.max_area_factor * small:
            reason = f"area went from {before.area} to {now.area} pixels in one frame"
            yield _Doubt(now.frame, reason, 1 - rules.max_area_factor * small / large)


def _flickers(seen: list[_Seen], rules: ReviewRules) -> Iterator[_Doubt]:
    """Doubt short absences between presences, and short presences between absences."""
    for stretch in _stretches(seen):
        groups = [list(group) for _, group in groupby(stretch, key=lambda one: one.in_view)]
        for group in groups[1:-1]:
            if len(group) > rules.max_flicker:
                continue
            what = "in view" if group[0].in_view else "out of view"
            reason = f"{what} for only {len(group)} frame{'s' * (len(group) > 1)}"
            for one in group:
                yield _Doubt(one.frame, reason, 1 / len(group))


def _stretches(seen: list[_Seen]) -> Iterator[list[_Seen]]:
    """Split at frames that were not tracked: beyond those nothing is known of neighbors."""
    stretch: list[_Seen] = []
    for one in seen:
        if stretch and one.frame != stretch[-1].frame + 1:
            yield stretch
            stretch = []
        stretch.append(one)
    if stretch:
        yield stretch


def _worst_of_runs(doubtful: list[FrameToReview]) -> Iterator[FrameToReview]:
    """Pick the worst of each run of consecutive frames."""
    # within a run frame number and position grow together, so their difference stays
    runs = groupby(enumerate(doubtful), key=lambda pair: pair[1].frame - pair[0])
    for _, run in runs:
        yield min((frame for _, frame in run), key=_worst_first)


def _worst_first(frame: FrameToReview) -> tuple[float, int, int]:
    return -frame.severity, frame.frame, frame.object_id
