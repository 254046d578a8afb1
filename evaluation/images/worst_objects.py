"""Picture of the worst segmented objects of photos."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2_hf import Sam2Model
from sam2_hf.contact_sheet import Cell, save_sheet
from sam2_hf.overlay import draw_overlay

from .clicking import click_object
from .photos import PhotoSet

COUNT = 6  # objects to draw


def draw_worst(
    model: Sam2Model,
    sets: Sequence[PhotoSet],
    measured: Mapping[str, Sequence[NDArray[np.float64]]],
    clicks: int,
    path: Path,
) -> None:
    """Draw the objects of lowest IoU, beside the truth.

    Args:
        model: The model, which is run again.
        sets: The sets.
        measured: By set, IoU of each object of each photo, `(n, k)`; the last column counts.
        clicks: Number of clicks of the last column.
        path: The PNG.
    """
    listed = [
        (float(iou), photos, item, number)
        for photos in sets
        for item, iou_nk in enumerate(measured[photos.name])
        for number, iou in enumerate(iou_nk[:, -1])
    ]
    rows = []
    for iou, photos, item, number in sorted(listed, key=lambda row: row[0])[:COUNT]:
        photo = photos.photo(item)
        if photo is None:
            continue
        found_hw = click_object(model, photo, number, clicks)
        picture, true_hw = photo.frames_thw3[0], photo.masks_othw[number, 0]
        title = f"{photos.name}, {photo.name}: IoU {iou:.2f} after {clicks} clicks"
        rows.append(
            [
                Cell(title, draw_overlay(picture, [found_hw])),
                Cell("truth", draw_overlay(picture, [true_hw])),
            ]
        )
    save_sheet(rows, path)
