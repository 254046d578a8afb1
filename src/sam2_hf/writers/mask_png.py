"""PNG masks of a frame, in the formats of DAVIS and SA-V.

DAVIS: one picture per frame whose pixel values are object ids, with DAVIS' colors. SA-V: one
picture per object and frame, 0 and 1.

Suffixes: h, w = rows and columns in pixels.
"""

import io
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.atomic_write import write_atomically
from sam2_hf.results.formats import LAST_LABEL as LAST_LABEL, check_ids

COLOR_BITS = 8


@cache
def davis_palette() -> bytes:
    """Return DAVIS' 256 colors, 768 bytes: red, green, blue of label 0, then of 1 ...

    The bits of the label go to red, green and blue in turn, from the highest bit of the color
    downward, so that small labels get distinct colors. The formula is PASCAL VOC's.
    """
    colors = np.zeros((LAST_LABEL + 1, 3), np.uint8)
    labels = np.arange(LAST_LABEL + 1)
    for bit in range(COLOR_BITS):
        channel, place = bit % 3, COLOR_BITS - 1 - bit // 3
        colors[:, channel] |= (((labels >> bit) & 1) << place).astype(np.uint8)
    return colors.tobytes()


def label_frame(masks: Mapping[int, NDArray[np.bool_]], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Label every pixel with the id of its object.

    Args:
        masks: `(height, width)` bool by object id, 1-255.
        size: `(height, width)`.

    Returns:
        `(height, width)` uint8. Where masks overlap the smaller id wins.

    Raises:
        PromptError: An id is not within 1-255.

    Source: tools/vos_inference.py @ 2b90b9f, which paints large ids first.
    """
    check_ids(masks, ["davis"])
    labels_hw = np.zeros(size, np.uint8)
    for object_id in sorted(masks, reverse=True):
        labels_hw[masks[object_id]] = object_id
    return labels_hw


def write_label_png(
    path: str | os.PathLike[str], masks: Mapping[int, NDArray[np.bool_]], size: tuple[int, int]
) -> Path:
    """Write all objects of a frame as one palette PNG, see [`label_frame`].

    Raises:
        PromptError: An id is not within 1-255.
        OutputError: The file cannot be written.
    """
    return _write_palette_png(path, label_frame(masks, size))


def write_object_png(path: str | os.PathLike[str], mask_hw: NDArray[np.bool_]) -> Path:
    """Write one object of a frame as a palette PNG of 0 and 1.

    Raises:
        OutputError: The file cannot be written.
    """
    return _write_palette_png(path, mask_hw.astype(np.uint8))


def _write_palette_png(path: str | os.PathLike[str], labels_hw: NDArray[np.uint8]) -> Path:
    picture = Image.fromarray(labels_hw)
    picture.putpalette(davis_palette())
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return write_atomically(path, buffer.getvalue())
