"""One picture of many predictions: each row shows a picture, the truth and what was found."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.overlay import DrawnPrompts, draw_overlay, object_colours

from .predictions import Prediction

CELL = 256  # pixels; the width of a picture on the sheet
GAP = 4
SHOWN_FRAMES = 3  # of a clip: one after the first, the middle, the last
Pixels = NDArray[np.uint8]


def contact_sheet(predictions: Iterable[Prediction]) -> Pixels | None:
    """Draw predictions below each other.

    Args:
        predictions: Photos and clips; a clip takes a row for each of three frames.

    Returns:
        The sheet, `(h, w, 3)` uint8; None if there is nothing to draw.
    """
    rows = [row for prediction in predictions for row in _rows(prediction)]
    return np.concatenate(rows) if rows else None


def _rows(prediction: Prediction) -> Iterator[Pixels]:
    clip = prediction.clip
    count = len(clip.frames_thw3)
    colours = object_colours(len(clip.masks_othw))
    clicks = tuple((x, y, True) for x, y in prediction.clicks)
    frames = [0] if count == 1 else sorted({1, count // 2, count - 1})[:SHOWN_FRAMES]
    for frame in frames:
        picture = clip.frames_thw3[frame]
        truth = draw_overlay(picture, list(clip.masks_othw[:, frame]), colours=colours)
        found = draw_overlay(
            picture,
            list(prediction.found_othw[:, frame]),
            DrawnPrompts(clicks),
            colours=colours,
        )
        yield np.concatenate([_cell(one) for one in (picture, truth, found)], axis=1)


def _cell(picture_hw3: Pixels) -> Pixels:
    """Bring a picture to the width of a cell, with white to its right and below."""
    height, width = picture_hw3.shape[:2]
    rows = max(round(height * CELL / width), 1)
    image = Image.fromarray(picture_hw3).resize((CELL, rows), Image.Resampling.BOX)
    cell = Image.new("RGB", (CELL + GAP, rows + GAP), "white")
    cell.paste(image)
    return np.asarray(cell)
