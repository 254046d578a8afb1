"""Contact sheets of predictions beside the truth.

Suffixes: t = frames, h, w = rows and columns in pixels, 3 = red, green, blue.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from evaluation.comparison.baselines import innermost_point
from evaluation.comparison.model_answers import MODEL, ModelGuesser, ModelTracker, Pipelines
from evaluation.metrics import region_similarity, score_masklet
from sam2_hf.contact_sheet import Cell, save_sheet
from sam2_hf.overlay import DrawnPrompts, draw_overlay, mask_colors

from .sets import LabeledClip, LabeledPhoto, MicroClips, MicroPhotos

MOST_SEGMENTS = 5  # drawn on one photo, the largest first
MOST_SHARED = 0.3  # maximum overlap of a segment with earlier ones
ROWS_PER_SHEET = 6
FRAMES = 8  # of a clip
EVERYTHING_GRID = 16  # clicks per side

Item = TypeVar("Item")


def write_pictures(
    photo_sets: Sequence[MicroPhotos], clips: MicroClips, model: Pipelines, count: int, folder: Path
) -> list[Path]:
    """Write contact sheets.

    Args:
        photo_sets: Photos, of which some, spread evenly over each set, are drawn: masks of clicks
            on their largest segments, the truth, and mask generation.
        clips: Clips, drawn as frames with the tracked mask above the true one.
        model: The model.
        count: Number of photos per set.
        folder: Output folder.

    Returns:
        The files.
    """
    written = []
    for photos in photo_sets:
        name = photos.name.replace("/", "-").replace(" ", "-")
        chosen = tqdm(spread(list(photos), count), desc=photos.name, unit="photo")
        rows = [photo_row(photo, model) for photo in chosen]
        for start in range(0, len(rows), ROWS_PER_SHEET):
            sheet = rows[start : start + ROWS_PER_SHEET]
            path = folder / f"{name}-{start // ROWS_PER_SHEET + 1}.png"
            written.append(save_sheet(sheet, path))
    for clip in tqdm(clips, total=len(clips), desc=clips.name, unit="clip"):
        written.append(save_sheet(clip_rows(clip, model), folder / f"{clip.name}.png"))
    return written


def photo_row(photo: LabeledPhoto, model: Pipelines) -> list[Cell]:
    """Draw one photo three times: masks of clicks, the truth, mask generation."""
    truths = distinct_segments(photo.segments)
    clicks = [innermost_point(mask_hw) for mask_hw in truths]
    answers = list(ModelGuesser(model.segment)(photo.picture_hw3, clicks))
    masks = [guess.mask_hw for answer in answers for guess in answer if guess.method == MODEL]
    ious = [region_similarity(*pair) for pair in zip(truths, masks, strict=True)]
    colors = mask_colors(truths)
    prompts = DrawnPrompts(clicks=tuple((x + 0.5, y + 0.5, True) for x, y in clicks))
    everything = model.everything(photo.picture_hw3, points_per_side=EVERYTHING_GRID)
    listed = ", ".join(f"{iou:.2f}" for iou in ious)
    return [
        Cell(
            f"{photo.name}: one click each, IoU {listed}",
            draw_overlay(photo.picture_hw3, masks, prompts, colors=colors),
        ),
        Cell("truth", draw_overlay(photo.picture_hw3, truths, prompts, colors=colors)),
        Cell(
            f"everything: {len(everything)} mask(s)",
            draw_overlay(photo.picture_hw3, [mask.segmentation for mask in everything]),
        ),
    ]


def clip_rows(clip: LabeledClip, model: Pipelines) -> list[list[Cell]]:
    """Draw frames of a clip twice each: the tracked mask, and the true one."""
    (track,) = ModelTracker(model.track)(clip.frames_thw3, clip.masks_thw[0])
    score = score_masklet(clip.masks_thw, track.masks_thw)
    frames = spread(list(range(len(clip.frames_thw3))), FRAMES)
    title = f"J&F {score.j_and_f:.1f}"
    rows = [
        _frames(clip, track.masks_thw, frames, f"tracked, {title}"),
        _frames(clip, clip.masks_thw, frames, "truth"),
    ]
    half = (len(frames) + 1) // 2
    return [part for cut in (slice(None, half), slice(half, None)) for part in _cut(rows, cut)]


def distinct_segments(segments: Sequence[NDArray[np.bool_]]) -> list[NDArray[np.bool_]]:
    """Choose the largest segments with little overlap; annotators mark many objects twice."""
    chosen: list[NDArray[np.bool_]] = []
    for mask_hw in sorted(segments, key=np.count_nonzero, reverse=True):
        taken = np.any(chosen, axis=0) if chosen else np.zeros_like(mask_hw)
        if np.count_nonzero(mask_hw & taken) <= MOST_SHARED * np.count_nonzero(mask_hw):
            chosen.append(mask_hw)
    return chosen[:MOST_SEGMENTS]


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """Choose evenly spaced items, including the first and, with two or more, the last."""
    if count < 1 or not items:
        return []
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def _frames(
    clip: LabeledClip, masks_thw: NDArray[np.bool_], frames: Sequence[int], title: str
) -> list[Cell]:
    return [
        Cell(
            f"{clip.name}, frame {frame}: {title}",
            draw_overlay(clip.frames_thw3[frame], [masks_thw[frame]]),
        )
        for frame in frames
    ]


def _cut(rows: Sequence[list[Cell]], cut: slice) -> list[list[Cell]]:
    return [row[cut] for row in rows if row[cut]]
