"""Scoring of predicted masks, read from their files, frame by frame.

For SA-V and LVOS every object is scored separately, on its own annotated frames without the first
and the last; otherwise all objects together, on the annotated frames of the video without those
two.

Suffixes: hw = rows and columns.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from evaluation.metrics.masklets import SKIPPED, MaskletValues
from evaluation.metrics.sequences import ScoringRules, SequenceScorer
from evaluation.sets.labeled_video import LabeledVideo
from sam2_hf.errors import DataError

from .prediction_files import MaskHw, read_labels, read_mask


def score_video(video: LabeledVideo, out: Path) -> dict[int, MaskletValues]:
    """Score the prediction of a video.

    Args:
        video: The video with its true masks.
        out: Folder of all predictions.

    Returns:
        The values of every scored object, without objects that are visible on no scored frame or
        have none, in sets with late objects.

    Raises:
        DataError: A prediction is missing, damaged or has another size; or with the policy "davis"
            it has an object that is not on the first frame.
    """
    if video.rules.per_object or video.row.object_frames:
        return _score_objects(video, out)
    frames = _scored(video.annotated, video.rules.scoring, video.name)
    scorer = SequenceScorer(video.labels(video.annotated[0]), video.rules.scoring)
    for frame in frames:
        place = f"{video.name}, frame {video.row.frame_names[frame]}"
        scorer.feed(video.labels(frame), read_labels(video, frame, out), place)
    return scorer.conclude()


def scored_frames(video: LabeledVideo, number: int, count: int) -> Sequence[int]:
    """Return the frames on which an object was scored.

    Args:
        video: The video with its true masks.
        number: The object.
        count: Number of its scored frames: those before its first appearance may be excluded.
    """
    return _scored(video.annotated_for(number), video.rules.scoring, video.name)[-count:]


def _score_objects(video: LabeledVideo, out: Path) -> dict[int, MaskletValues]:
    """Score each object separately, reading the truth once."""
    rules = video.rules.scoring
    annotated = {number: video.annotated_for(number) for number in video.given}
    scored = {
        number: set(_scored(frames, rules, f"{video.name}, object {number}"))
        for number, frames in annotated.items()
        if len(frames) > SKIPPED
    }
    # with the policy "davis", objects of the first frame are scored on every frame
    first_hw = np.full(video.size, rules.policy == "davis", np.uint8)
    scorers = {number: SequenceScorer(first_hw, rules) for number in scored}
    nothing_hw = np.zeros(video.size, np.bool_)
    for frame in sorted(set().union(*scored.values())):
        truth = video.masks(frame)
        for number, found_hw in _predicted(video, frame, out, scorers):
            if frame in scored[number]:
                true_hw = truth.get(number, nothing_hw)
                place = f"{video.name}, object {number}, frame {video.row.frame_names[frame]}"
                scorers[number].feed(true_hw.view(np.uint8), found_hw.view(np.uint8), place)
    found = {number: scorer.conclude() for number, scorer in scorers.items()}
    return {number: values[1] for number, values in found.items() if values}


def _predicted(
    video: LabeledVideo, frame: int, out: Path, numbers: Iterable[int]
) -> Iterator[tuple[int, MaskHw]]:
    """Read the predicted masks of some objects on a frame."""
    if video.rules.per_object:
        for number in numbers:
            yield number, read_mask(video, frame, out, number)
        return
    labels_hw = read_labels(video, frame, out)
    for number in numbers:
        yield number, labels_hw == number


def _scored(annotated: Sequence[int], rules: ScoringRules, name: str) -> Sequence[int]:
    """Drop the first and the last annotated frame, if the rules require it."""
    if not rules.skip_first_and_last:
        return annotated
    if len(annotated) <= SKIPPED:
        raise DataError(
            f"{name} has {len(annotated)} annotated frame(s), so none to score: the first and the "
            "last do not count. Leave it out."
        )
    return annotated[1:-1]
