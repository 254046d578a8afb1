"""Scores of predicted masks, read back from their files, frame by frame.

Of SA-V every object is scored by itself, on its own annotated frames without the first and the
last; elsewhere all objects together, on the annotated frames of the video without those two.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evaluation.metrics.masklets import SKIPPED, MaskletValues
from evaluation.metrics.sequences import ScoringRules, SequenceScorer
from evaluation.sets.labelled_video import LabelledVideo
from sam2_hf.errors import DataError

from .prediction_files import read_labels, read_mask


def score_video(video: LabelledVideo, out: Path) -> dict[int, MaskletValues]:
    """Score the prediction of a video.

    Args:
        video: The video with its true masks.
        out: Folder of all predictions.

    Returns:
        The values of every object that counts; of a set whose objects may come and go, one that no
        scored frame shows does not.

    Raises:
        DataError: A prediction is missing, damaged or of another size; or by the policy "davis" it
            has an object that the first frame does not.
    """
    if video.rules.per_object:
        return _score_objects(video, out)
    frames = _scored(video.annotated, video.rules.scoring, video.name)
    scorer = SequenceScorer(video.labels(video.annotated[0]), video.rules.scoring)
    for frame in frames:
        place = f"{video.name}, frame {video.row.frame_names[frame]}"
        scorer.feed(video.labels(frame), read_labels(video, frame, out), place)
    return scorer.conclude()


def scored_frames(video: LabelledVideo, number: int, count: int) -> Sequence[int]:
    """Tell on which frames an object was scored.

    Args:
        video: The video with its true masks.
        number: Which object.
        count: How many frames were: those before its first appearance may not count.
    """
    return _scored(video.annotated_for(number), video.rules.scoring, video.name)[-count:]


def _score_objects(video: LabelledVideo, out: Path) -> dict[int, MaskletValues]:
    """Score each object by itself; the truth is read once for all of them."""
    rules = video.rules.scoring
    scored = {
        number: set(_scored(video.annotated_for(number), rules, f"{video.name}, object {number}"))
        for number in video.given
    }
    empty_hw = np.zeros(video.size, np.uint8)
    scorers = {number: SequenceScorer(empty_hw, rules) for number in scored}
    for frame in video.annotated:
        truth = video.masks(frame)
        for number, scorer in scorers.items():
            if frame in scored[number]:
                predicted_hw = read_mask(video, frame, out, number).astype(np.uint8)
                place = f"{video.name}, object {number}, frame {video.row.frame_names[frame]}"
                scorer.feed(truth[number].astype(np.uint8), predicted_hw, place)
    found = {number: scorer.conclude() for number, scorer in scorers.items()}
    return {number: values[1] for number, values in found.items() if values}


def _scored(annotated: Sequence[int], rules: ScoringRules, name: str) -> Sequence[int]:
    """Leave out the first and the last annotated frame where the rules want it."""
    if not rules.skip_first_and_last:
        return annotated
    if len(annotated) <= SKIPPED:
        raise DataError(
            f"{name} has {len(annotated)} annotated frame(s), so none to score: the first and the "
            "last do not count. Leave it out."
        )
    return annotated[1:-1]
