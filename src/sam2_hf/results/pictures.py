"""Pictures of results: overlay with labels, mask, cutout, crops.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue, 4 = and opacity.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import OutputError
from sam2_hf.overlay import label_picture

BYTE = 255
ENCODINGS = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
JPEG_QUALITY = 95
PNG_LEVEL = 3  # photos are as small as at zlib's default 6, in two fifths of the time
NO_PICTURE = 48  # gray level behind masks whose picture is unknown


def as_picture(photo_3hw: Tensor) -> NDArray[np.uint8]:
    """Convert a photo `(3, height, width)`, uint8 or float 0-1, to `(height, width, 3)` uint8."""
    pixels = photo_3hw.permute(1, 2, 0).numpy(force=True)
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    return np.rint(pixels * BYTE).clip(0, BYTE).astype(np.uint8)


def png_bytes(picture: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def write_png(path: Path, picture: Image.Image | NDArray[np.uint8]) -> Path:
    """Write a picture atomically.

    Raises:
        OutputError: It cannot be written.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return write_atomically(path, png_bytes(image))


def write_picture(path: Path, picture: Image.Image) -> Path:
    """Write a picture in the format of its ending, PNG without one, atomically.

    Raises:
        OutputError: It cannot be written, or the ending is unknown.
    """
    if path.suffix.lower() not in ("", ".png", *ENCODINGS):
        endings = ", ".join((".png", *ENCODINGS))
        raise OutputError(f"cannot write {path}: no picture ends in {path.suffix}. Use {endings}.")
    return write_atomically(path, picture_bytes(picture, path.suffix))


def picture_bytes(picture: Image.Image, ending: str) -> bytes:
    """Encode a picture in the format of an ending, PNG by default."""
    buffer = io.BytesIO()
    kind = ENCODINGS.get(ending.lower())
    if kind is None:
        return png_bytes(picture)
    picture.save(buffer, kind, quality=JPEG_QUALITY)
    return buffer.getvalue()


def mask_picture(masks: Sequence[NDArray[np.bool_]], size: tuple[int, int]) -> Image.Image:
    """Draw one mask in black and white, any other number as a picture of labels.

    Args:
        masks: `(height, width)` bool arrays.
        size: `(height, width)`.
    """
    if len(masks) == 1:
        return Image.fromarray(masks[0].astype(np.uint8) * BYTE)
    return label_picture(masks, size)


def cutout_picture(
    picture_hw3: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]]
) -> NDArray[np.uint8]:
    """Make everything outside the masks transparent.

    Returns:
        `(height, width, 4)`, opacity 0 or 255; black where transparent, so that nothing of the
        background is left in the file.
    """
    inside_hw = union(masks, (picture_hw3.shape[0], picture_hw3.shape[1]))
    cut_hw4 = np.zeros((*inside_hw.shape, 4), np.uint8)
    cut_hw4[inside_hw, :3] = picture_hw3[inside_hw]
    cut_hw4[inside_hw, 3] = BYTE
    return cut_hw4


def union(masks: Sequence[NDArray[np.bool_]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Combine masks to one, `(height, width)`."""
    inside_hw = np.zeros(size, bool)
    for mask_hw in masks:
        inside_hw |= mask_hw
    return inside_hw
