"""Scores of unprompted masklets by the rules of DAVIS' unsupervised task, and identity switches.

At most 20 masklets of a video are proposals. Each true object is assigned one, so that the sum of
J&F is largest (Hungarian matching over whole masklets), and scored on all annotated frames, the
first and the last among them; a true object without a masklet scores 0 where it is in view.

Identity switches are counted as in CLEAR MOT: on each frame true objects and masklets are paired by
IoU, at least 0.5, keeping the pairs of the frame before as long as they are that good. A switch is
a pairing with another id than the last one of the same true object, also after an absence.

Suffixes: g = true objects, p = proposals, h, w = rows and columns in pixels.

Source: davis2017-evaluation, `_evaluate_unsupervised` @ ac7c43f; Bernardin and Stiefelhagen 2008
    for switches.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from evaluation.metrics.frames import MaskAccuracy, score_frame
from evaluation.metrics.masklets import GOOD, PERCENT, MaskletScore, MaskletValues
from evaluation.metrics.sequences import VOID
from evaluation.sets.labeled_video import LabeledVideo
from sam2_hf.errors import DataError
from sam2_hf.writers.frame_journal import TrackedFrame

Mask = NDArray[np.bool_]

MOST_PROPOSALS = 20  # of DAVIS 2019
SAME = 0.5  # least IoU of a true object and a masklet on a frame


@dataclass(frozen=True, slots=True)
class UnpromptedScore:
    """Scores of a video.

    Attributes:
        objects: J and F of each true object, by id, on all annotated frames.
        assigned: The masklet of each true object, by id; None if there were too few.
        switches: Identity switches of each true object, over all masklets.
        num_masklets: Masklets of the video, before the choice of proposals.
    """

    objects: Mapping[int, MaskletValues]
    assigned: Mapping[int, int | None]
    switches: Mapping[int, int]
    num_masklets: int

    @property
    def found(self) -> int:
        """Number of true objects whose mean J is above 0.5."""
        return sum(values.score.j > PERCENT * GOOD for values in self.objects.values())


@dataclass(frozen=True, slots=True)
class UnpromptedSummary(MaskletScore):
    """Scores of a data set.

    Attributes:
        recall: Percentage of true objects that were found.
        switches: Identity switches, sum over all objects.
        num_objects: Number of true objects.
        num_masklets: Number of masklets, mean over videos.
    """

    recall: float
    switches: int
    num_objects: int
    num_masklets: float


def score_unprompted(video: LabeledVideo, frames: Iterable[TrackedFrame]) -> UnpromptedScore:
    """Score the masklets of a video.

    Args:
        video: The video with its true masks.
        frames: All frames with their masklets, iterated several times.

    Raises:
        DataError: The video has no true object.
    """
    kept = proposals(frames)
    true_ids = sorted({n for frame in video.annotated for n in _truth(video, frame)[0]})
    if not true_ids:
        raise DataError(f"{video.name} shows no true object. Leave it out: --videos names others.")
    annotated = set(video.annotated)
    accuracies: dict[tuple[int, int | None], list[MaskAccuracy]] = {
        (number, proposal): [] for number in true_ids for proposal in (*kept, None)
    }
    counter = SwitchCounter()
    ids: set[int] = set()
    for tracked in frames:
        ids |= {found.object_id for found in tracked.objects}
        if tracked.frame not in annotated:
            continue
        truth, known_hw = _truth(video, tracked.frame)
        masks = {n: mask_hw & known_hw for n, mask_hw in tracked.masks().items()}
        counter.feed(truth, {n: mask_hw for n, mask_hw in masks.items() if mask_hw.any()})
        nothing_hw = np.zeros_like(known_hw)
        for (number, proposal), values in accuracies.items():
            found_hw = masks.get(proposal, nothing_hw) if proposal is not None else nothing_hw
            values.append(score_frame(truth.get(number, nothing_hw), found_hw))
    assigned = _assign(true_ids, kept, accuracies)
    objects = {n: MaskletValues(tuple(accuracies[n, assigned[n]])) for n in true_ids}
    switches = {n: counter.switches.get(n, 0) for n in true_ids}
    return UnpromptedScore(objects, assigned, switches, len(ids))


def proposals(frames: Iterable[TrackedFrame]) -> list[int]:
    """Choose the masklets that are proposals: those in view on most frames, then the larger."""
    seen: dict[int, list[int]] = {}
    for tracked in frames:
        for found in tracked.objects:
            if found.area:
                seen.setdefault(found.object_id, []).append(found.area)
    order = sorted(seen, key=lambda number: (-len(seen[number]), -sum(seen[number]), number))
    return sorted(order[:MOST_PROPOSALS])


def summarize_unprompted(videos: Sequence[UnpromptedScore]) -> UnpromptedSummary:
    """Average over all true objects of all videos, with equal weight.

    Raises:
        DataError: There is no video.
    """
    if not videos:
        raise DataError("there is no video to average. Give at least one.")
    scores = [values.score for video in videos for values in video.objects.values()]
    return UnpromptedSummary(
        float(np.mean([score.j for score in scores])),
        float(np.mean([score.f for score in scores])),
        PERCENT * sum(video.found for video in videos) / len(scores),
        sum(count for video in videos for count in video.switches.values()),
        len(scores),
        float(np.mean([video.num_masklets for video in videos])),
    )


class SwitchCounter:
    """Counter of identity switches, fed frame by frame.

    Attributes:
        switches: Number of switches by true object; those without one are missing.
    """

    def __init__(self) -> None:
        self.switches: dict[int, int] = {}
        self._last: dict[int, int] = {}  # true object -> masklet it was last paired with

    def feed(self, truth: Mapping[int, Mask], found: Mapping[int, Mask]) -> None:
        """Pair the true objects of the next frame with masklets.

        Args:
            truth: True masks in view, by object id.
            found: Masks in view, by masklet.
        """
        true_ids, ids = list(truth), list(found)
        iou_gp = np.array([[_iou(truth[n], found[p]) for p in ids] for n in true_ids])
        iou_gp = iou_gp.reshape(len(true_ids), len(ids))
        for row, number in enumerate(true_ids):
            column = ids.index(self._last[number]) if self._last.get(number) in found else None
            if column is not None and iou_gp[row, column] >= SAME:
                iou_gp[row, column] += 1  # before all pairs that are new
        cost_gp = np.where(iou_gp >= SAME, -iou_gp, 0.0)
        for row, column in zip(*linear_sum_assignment(cost_gp), strict=True):
            if cost_gp[row, column] < 0:
                number, masklet = true_ids[row], ids[column]
                if self._last.setdefault(number, masklet) != masklet:
                    self.switches[number] = self.switches.get(number, 0) + 1
                    self._last[number] = masklet


def _assign(
    true_ids: Sequence[int],
    kept: Sequence[int],
    accuracies: Mapping[tuple[int, int | None], Sequence[MaskAccuracy]],
) -> dict[int, int | None]:
    """Assign a proposal to each true object, so that the sum of J&F is largest."""
    quality_gp = np.array(
        [[np.mean([a.j + a.f for a in accuracies[n, p]]) for p in kept] for n in true_ids]
    ).reshape(len(true_ids), len(kept))
    pairs = dict(zip(*linear_sum_assignment(-quality_gp), strict=True))
    return {n: kept[pairs[row]] if row in pairs else None for row, n in enumerate(true_ids)}


def _truth(video: LabeledVideo, frame: int) -> tuple[dict[int, Mask], Mask]:
    """Read the true masks in view on a frame, and which pixels are annotated."""
    masks = video.masks(frame)
    void_hw = masks.pop(VOID, None) if video.row.label_maps and not video.rules.binary else None
    known_hw = np.ones(video.size, bool) if void_hw is None else ~void_hw
    return {n: mask_hw for n, mask_hw in masks.items() if mask_hw.any()}, known_hw


def _iou(first_hw: Mask, second_hw: Mask) -> float:
    union = np.count_nonzero(first_hw | second_hw)
    return np.count_nonzero(first_hw & second_hw) / union if union else 0.0
