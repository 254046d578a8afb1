"""Selection of frames for human review, from scores, areas and overlaps of masks."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from pycocotools import mask as coco_mask

from sam2_hf.errors import FrameError
from sam2_hf.rle import CocoRle

from .masklet import Masklet
from .tracker import Tracker

Box = tuple[float, ...]  # left, top, width, height
Pair = tuple[int, int]

RETURN, EXCHANGE = 0.5, 0.8  # severities


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
        min_absence: After an absence of at least this many frames, the first frame in view again
            is doubtful.
        max_jump: Largest move of a visible object's mask from one frame to the next, unless the
            boxes of both masks overlap; in diagonals of the larger box.
        max_shared: Two objects that share more than this (IoU), but did not at first, may have
            been exchanged when they part.
        max_iou_drop: A track may have drifted if the mean predicted IoU of `drift_frames` frames in
            view is lower by more than this than that of the first ones.
        drift_frames: Number of these frames.

    Example:
        >>> doubts = tracked.frames_to_review(ReviewRules(min_iou=0.9))
    """

    min_iou: float = 0.75
    unsure_score: float = 1.0
    max_flicker: int = 3
    max_area_factor: float = 2.0
    min_absence: int = 4
    max_jump: float = 2.0
    max_shared: float = 0.5
    max_iou_drop: float = 0.2
    drift_frames: int = 5


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

    @property
    def is_drawn(self) -> bool:
        return self.score > 0 and self.area > 0


def review_objects(
    tracker: Tracker, rules: ReviewRules | None, *, one_per_run: bool
) -> list[FrameToReview]:
    """List the frames of a session's objects for review; see `frames_to_review`."""
    objects = tracker.objects.values()
    return frames_to_review(
        [tracker.masklet_store(obj).masklet for obj in objects],
        rules=rules,
        prompted={(frame, obj.object_id) for obj in objects for frame in obj.prompts},
        one_per_run=one_per_run,
    )


def frames_to_review(
    masklets: Iterable[Masklet],
    *,
    rules: ReviewRules | None = None,
    prompted: Set[tuple[int, int]] = frozenset(),
    noted: Iterable[FrameToReview] = (),
    one_per_run: bool = True,
) -> list[FrameToReview]:
    """List the frames on which a track is doubtful, worst first.

    Besides single doubtful frames these are suspected re-entries (in view again after a longer
    absence: is it the same object?), switches of identity (the mask jumped to another place, or two
    objects had the same mask and parted) and drift (the predicted IoU sank for good).

    Args:
        masklets: The objects.
        rules: Thresholds of doubtful frames.
        prompted: `(frame, object_id)` of each prompt. These frames were seen and are not listed.
        noted: Doubts that were noted while tracking.
        one_per_run: Whether to list only the worst of consecutive doubtful frames of an object,
            where a correction helps most, or all.

    Returns:
        The frames, worst first.
    """
    chosen = ReviewRules() if rules is None else rules
    rows = {masklet: _rows(masklet) for masklet in masklets}
    between = _exchanges(rows, chosen)
    for note in noted:
        for reason in note.reasons:
            between.setdefault(note.object_id, []).append(_Doubt(note.frame, reason, note.severity))
    found: list[FrameToReview] = []
    for masklet, seen in rows.items():
        doubtful = [
            frame
            for frame in _doubtful_frames(masklet, seen, chosen, between.get(masklet.object_id, []))
            if (frame.frame, frame.object_id) not in prompted
        ]
        found.extend(_worst_of_runs(doubtful) if one_per_run else doubtful)
    return sorted(found, key=_worst_first)


def _rows(masklet: Masklet) -> list[_Seen]:
    """Read the scores of an object, in order of frames."""
    return [
        _Seen(frame, masklet.iou(frame), masklet.object_score(frame), masklet.area(frame))
        for frame in masklet.frames
    ]


def _doubtful_frames(
    masklet: Masklet, seen: list[_Seen], rules: ReviewRules, more: list[_Doubt]
) -> list[FrameToReview]:
    """Collect the doubts of one object by frame, in order."""
    doubts = [*_doubts_alone(seen, rules), *_area_jumps(seen, rules), *_flickers(seen, rules)]
    doubts += [*_returns(seen, rules), *_jumps(masklet, seen, rules), *_drift(seen, rules), *more]
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


def _returns(seen: list[_Seen], rules: ReviewRules) -> Iterator[_Doubt]:
    """Yield doubts on objects that come back after a longer absence."""
    for stretch in _stretches(seen):
        groups = [list(group) for _, group in groupby(stretch, key=lambda row: row.in_view)]
        for absence, presence in pairwise(groups[1:]):
            if presence[0].in_view and len(absence) >= rules.min_absence:
                reason = f"in view again after {len(absence)} frames; it may be another object"
                yield _Doubt(presence[0].frame, reason, RETURN)


def _jumps(masklet: Masklet, seen: list[_Seen], rules: ReviewRules) -> Iterator[_Doubt]:
    """Yield doubts on masks that are suddenly elsewhere: they may be on another object."""
    boxes = {row.frame: _box(masklet, row.frame) for row in seen if row.is_drawn}
    for frame, now in boxes.items():
        before = boxes.get(frame - 1)
        if before is None or now is None or _touch(before, now):
            continue
        moved = math.dist(_middle(before), _middle(now))
        most = rules.max_jump * max(math.hypot(*before[2:]), math.hypot(*now[2:]))
        if moved > most:
            reason = f"the mask moved {moved:.0f} pixels in one frame; it may be on another object"
            yield _Doubt(frame, reason, 1 - most / moved)


def _drift(seen: list[_Seen], rules: ReviewRules) -> Iterator[_Doubt]:
    """Yield a doubt on the frame from which the predicted IoU stays low until the end."""
    rows = [row for row in seen if row.in_view][1:]  # the first one may be a given mask
    count = rules.drift_frames
    if len(rows) < 2 * count:
        return
    ious = [row.iou for row in rows]
    means = [sum(ious[end - count : end]) / count for end in range(count, len(ious) + 1)]
    least = means[0] - rules.max_iou_drop
    low = len(means)
    while means[low - 1] < least:
        low -= 1
    if low < len(means):
        reason = (
            f"predicted IoU sank from {means[0]:.2f} to {means[-1]:.2f} (means of {count} frames); "
            "the mask may have drifted"
        )
        yield _Doubt(rows[low + count - 1].frame, reason, min(1.0, means[0] - means[-1]))


def _exchanges(rows: Mapping[Masklet, list[_Seen]], rules: ReviewRules) -> dict[int, list[_Doubt]]:
    """List doubts on objects that had the same mask as another one for a while, by object id."""
    shown = [(row.frame, masklet) for masklet, seen in rows.items() for row in seen if row.is_drawn]
    on_frame: dict[int, list[Masklet]] = {}
    since: dict[int, int] = {}  # first frame in view of each object
    for frame, masklet in shown:
        on_frame.setdefault(frame, []).append(masklet)
        since.setdefault(masklet.object_id, frame)
    together: dict[Pair, Pair] = {}  # ids -> first and last frame so far
    runs: list[tuple[Pair, Pair, int]] = []  # ids, first and last frame, frame after
    for frame in sorted(on_frame):
        shared = _sharing(on_frame[frame], frame, rules.max_shared)
        there = {masklet.object_id for masklet in on_frame[frame]}
        for pair in [known for known in together if known not in shared and there >= {*known}]:
            runs.append((pair, together.pop(pair), frame))
        for pair in shared:
            together[pair] = together.get(pair, (frame, frame))[0], frame
    runs += [(pair, run, run[0]) for pair, run in together.items()]
    # else one was a copy of the other from the beginning
    return _parted([run for run in runs if run[1][0] > max(since[number] for number in run[0])])


def _parted(runs: list[tuple[Pair, Pair, int]]) -> dict[int, list[_Doubt]]:
    """Make a doubt for each object and frame on which it parts from others."""
    others: dict[Pair, list[str]] = {}  # object id and frame
    for pair, (first, last), frame in sorted(runs):
        for own, other in (pair, pair[::-1]):
            others.setdefault((own, frame), []).append(f"{other} on frames {first}-{last}")
    doubts: dict[int, list[_Doubt]] = {}
    for (own, frame), named in others.items():
        reason = f"had the mask of object {', of '.join(named)}; check the ids"
        doubts.setdefault(own, []).append(_Doubt(frame, reason, EXCHANGE))
    return doubts


def _sharing(masklets: Sequence[Masklet], frame: int, most: float) -> set[Pair]:
    """List the pairs of objects whose masks share more than `most` (IoU), by ids."""
    masks = [(masklet.object_id, _mask(masklet, frame)) for masklet in masklets]
    known = [(object_id, dict(mask)) for object_id, mask in masks if mask is not None]
    if len(known) < 2:
        return set()
    listed = [mask for _, mask in known]
    iou_nn = np.triu(coco_mask.iou(listed, listed, [0] * len(listed)), 1)
    return {(known[row][0], known[column][0]) for row, column in np.argwhere(iou_nn > most)}


def _mask(masklet: Masklet, frame: int) -> CocoRle | None:
    """Look up a mask; None if another thread has dropped it meanwhile."""
    try:
        return masklet.rle(frame)
    except FrameError:
        return None


def _box(masklet: Masklet, frame: int) -> Box | None:
    """Left, top, width and height of a mask, pixels; None if it is gone."""
    mask = _mask(masklet, frame)
    return None if mask is None else tuple(coco_mask.toBbox(dict(mask)).tolist())


def _middle(box: Box) -> tuple[float, float]:
    left, top, width, height = box
    return left + width / 2, top + height / 2


def _touch(first: Box, second: Box) -> bool:
    """Whether two boxes share pixels; then the masks may."""
    return all(
        first[axis] < second[axis] + second[axis + 2]
        and second[axis] < first[axis] + first[axis + 2]
        for axis in (0, 1)
    )


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
