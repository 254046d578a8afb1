"""Segmentation maps: one whole number per pixel, for training and evaluation.

Suffixes: h, w = rows and columns.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sam2_hf.errors import ImageError

from .images import ImageSource, as_tensor, load_image

MAP_DIMENSIONS, CHANNELLED_DIMENSIONS = 2, 3


def label_maps(
    maps: Any,  # noqa: ANN401 - whatever a caller has
    num_images: int,
    size: tuple[int, int] | None,
) -> list[Tensor]:
    """Read one map per image.

    Args:
        maps: One map, a list, or an array with one axis more.
        num_images: Required number.
        size: `(height, width)` to resize to; None keeps each size.

    Returns:
        Each `(h, w)`, int64.

    Raises:
        ImageError: The numbers differ, or a map is a color picture or unreadable.
    """
    if not isinstance(maps, (list, tuple)):
        stacked = isinstance(maps, (np.ndarray, Tensor)) and maps.ndim > MAP_DIMENSIONS
        maps = list(maps) if stacked and num_images > 1 else [maps]
    if len(maps) != num_images:
        raise ImageError(
            f"there are {len(maps)} segmentation map(s) for {num_images} image(s). "
            "Give one per image."
        )
    labels = [to_label_map(label_map) for label_map in maps]
    return labels if size is None else [resize_label_map(label, size) for label in labels]


def to_label_map(label_map: ImageSource) -> Tensor:
    """Read one map.

    Args:
        label_map: PIL image (a palette image gives its indices), array or tensor, `(h, w)`,
            `(1, h, w)` or `(h, w, 1)`; or the path of one.

    Returns:
        `(h, w)`, int64.

    Raises:
        ImageError: It is a color picture, unreadable, or holds fractions.
    """
    found = load_image(label_map)
    values = found if isinstance(found, Tensor) else as_tensor(np.array(found))
    if values.ndim == CHANNELLED_DIMENSIONS and 1 in (values.shape[0], values.shape[-1]):
        values = values.squeeze(0 if values.shape[0] == 1 else -1)
    if values.ndim != MAP_DIMENSIONS:
        raise ImageError(
            f"a segmentation map has the shape {tuple(values.shape)}; it must be (height, width): "
            "one label per pixel, not colors."
        )
    labels = values.to(torch.int64)
    if values.is_floating_point() and not torch.equal(labels.to(values.dtype), values):
        raise ImageError(
            "a segmentation map holds floats that are not whole numbers, such as probabilities. "
            "Give one label per pixel."
        )
    return labels


def resize_label_map(labels_hw: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbor resize, so that no new label appears."""
    # Doubles hold every label exactly; torch has no nearest resize of whole numbers.
    resized = functional.interpolate(labels_hw[None, None].to(torch.float64), size, mode="nearest")
    return resized[0, 0].to(labels_hw.dtype)
