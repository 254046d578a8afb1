"""Picture of the worst frames of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.metrics.masklets import PERCENT, MaskletValues
from evaluation.sets.labeled_video import LabeledVideo
from evaluation.sets.open_set import VideoSet
from sam2_hf.contact_sheet import Cell, save_sheet
from sam2_hf.overlay import draw_overlay

from .prediction_files import read_labels, read_mask
from .scoring import scored_frames

COUNT = 6  # frames to draw


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """The worst frame of an object.

    Attributes:
        video: Index of the video in its set.
        number: Of the object.
        frame: Index among the scored frames of the object.
        j: 0-100.
        f: 0-100.
    """

    video: int
    number: int
    frame: int
    j: float
    f: float


def find_worst(
    videos: VideoSet, scored: Mapping[str, Mapping[int, MaskletValues]], count: int = COUNT
) -> list[WorstFrame]:
    """Find the objects with the worst frames, worst first, one frame each.

    Args:
        videos: The set.
        scored: Values by video and object.
        count: Number of frames.
    """
    found = []
    for place, name in enumerate(videos.names):
        for number, values in scored[name].items():
            j_t, f_t = values.j_t, values.f_t
            frame = int(np.argmin(j_t + f_t))
            scores = (PERCENT * float(values[frame]) for values in (j_t, f_t))
            found.append(WorstFrame(place, number, frame, *scores))
    return sorted(found, key=lambda worst: worst.j + worst.f)[:count]


def draw_worst(
    videos: VideoSet, scored: Mapping[str, Mapping[int, MaskletValues]], masks: Path, path: Path
) -> None:
    """Draw the worst frames, beside the truth.

    Args:
        videos: The set.
        scored: Values by video and object, at least one.
        masks: Folder of the predictions.
        path: The PNG.

    Raises:
        DataError: A mask cannot be read.
    """
    rows = []
    for worst in find_worst(videos, scored):
        video = videos[worst.video]
        count = len(scored[video.name][worst.number].frames)
        frame = scored_frames(video, worst.number, count)[worst.frame]
        rows.append(_row(video, worst, frame, masks))
    save_sheet(rows, path)


def _row(video: LabeledVideo, worst: WorstFrame, frame: int, masks: Path) -> list[Cell]:
    if video.rules.per_object:
        found_hw = read_mask(video, frame, masks, worst.number)
    else:
        found_hw = read_labels(video, frame, masks) == worst.number
    true_hw = video.masks(frame).get(worst.number, np.zeros_like(found_hw))
    picture = video.picture(frame)
    title = f"{video.name}, object {worst.number}, frame {video.row.frame_names[frame]}"
    return [
        Cell(f"{title}: J {worst.j:.1f}, F {worst.f:.1f}", draw_overlay(picture, [found_hw])),
        Cell("truth", draw_overlay(picture, [true_hw])),
    ]
