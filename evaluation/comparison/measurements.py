"""Scores of methods on sets of photos and clips."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from evaluation.metrics import MaskletScore, mean_score, region_similarity, score_masklet
from evaluation.micro.sets import MicroClips, MicroPhotos

from .baselines import Guesser, Track, Xy, innermost_point

Tracker = Callable[[NDArray[np.uint8], NDArray[np.bool_]], Iterator[Track]]
"""Maps frames `(t, h, w, 3)` and the first mask to tracks of one or more methods."""


@dataclass(frozen=True, slots=True)
class PhotoScore:
    """The mean IoU of one method with one setting over all segments of a set, 0-1."""

    method: str
    setting: str
    mean_iou: float


@dataclass(frozen=True, slots=True)
class ClipScore:
    """The score of one method with one setting on one clip, or the mean over all clips, 0-100."""

    method: str
    setting: str
    clip: str
    j: float
    f: float
    j_and_f: float


@dataclass(frozen=True, slots=True)
class PhotoScores:
    """Scores of one guesser on a set of photos."""

    photos: int
    segments: int
    scores: tuple[PhotoScore, ...]


@dataclass(frozen=True, slots=True)
class ClipScores:
    """Scores of one tracker on a set of clips."""

    clips: int
    frames: int
    scores: tuple[ClipScore, ...]


ALL_CLIPS = "mean"  # `clip` of the score that is the mean over clips


def measure_photos(photos: MicroPhotos, guess: Guesser, title: str) -> PhotoScores:
    """Click every segment of every photo once, at its innermost point, and compute IoU.

    Args:
        photos: The set.
        guess: The guesser. Of several masks of a method with one setting, the best one counts.
        title: Label of the progress bar.

    Returns:
        Means over all segments of all photos and annotators.
    """
    ious: dict[tuple[str, str], list[float]] = {}
    counted = 0
    for photo in tqdm(photos, total=len(photos), desc=title, unit="photo"):
        for segments in _by_click(photo.segments, guess, photo.picture_hw3):
            counted += 1
            for key, iou in segments.items():
                ious.setdefault(key, []).append(iou)
    scores = (PhotoScore(*key, float(np.mean(values))) for key, values in ious.items())
    return PhotoScores(len(photos), counted, tuple(scores))


def measure_clips(clips: MicroClips, track: Tracker, title: str) -> ClipScores:
    """Track every clip from the true mask of its first frame, and score the other frames.

    Args:
        clips: The set.
        track: The tracker.
        title: Label of the progress bar.

    Returns:
        Scores by clip, and their mean over clips.
    """
    found: dict[tuple[str, str], dict[str, MaskletScore]] = {}
    frames = 0
    for clip in tqdm(clips, total=len(clips), desc=title, unit="clip"):
        frames += len(clip.frames_thw3)
        for track_of_method in track(clip.frames_thw3, clip.masks_thw[0]):
            score = score_masklet(clip.masks_thw, track_of_method.masks_thw)
            found.setdefault((track_of_method.method, track_of_method.setting), {})[clip.name] = (
                score
            )
    scores = []
    for (method, setting), by_clip in found.items():
        rows = {**by_clip, ALL_CLIPS: mean_score(list(by_clip.values()))}
        scores += [
            ClipScore(method, setting, name, row.j, row.f, row.j_and_f)
            for name, row in rows.items()
        ]
    return ClipScores(len(clips), frames, tuple(scores))


def best_photo_scores(scores: Iterable[PhotoScore]) -> dict[str, PhotoScore]:
    """Keep each method's best setting."""
    best: dict[str, PhotoScore] = {}
    for score in scores:
        if score.method not in best or score.mean_iou > best[score.method].mean_iou:
            best[score.method] = score
    return best


def best_clip_scores(scores: Iterable[ClipScore]) -> dict[str, ClipScore]:
    """Keep the mean over clips of each method's best setting."""
    best: dict[str, ClipScore] = {}
    for score in scores:
        known = best.get(score.method)
        if score.clip == ALL_CLIPS and (known is None or score.j_and_f > known.j_and_f):
            best[score.method] = score
    return best


def _by_click(
    segments: Sequence[NDArray[np.bool_]], guess: Guesser, picture_hw3: NDArray[np.uint8]
) -> Iterator[dict[tuple[str, str], float]]:
    """Compute each method's IoU on each segment, grouping segments with equal clicks."""
    clicked: dict[Xy, list[NDArray[np.bool_]]] = {}
    for mask_hw in segments:
        clicked.setdefault(innermost_point(mask_hw), []).append(mask_hw)
    for truths, guesses in zip(clicked.values(), guess(picture_hw3, list(clicked)), strict=True):
        for truth_hw in truths:
            ious: dict[tuple[str, str], float] = {}
            for made in guesses:
                key = (made.method, made.setting)
                iou = region_similarity(truth_hw, made.mask_hw)
                ious[key] = max(iou, ious.get(key, 0.0))
            yield ious
