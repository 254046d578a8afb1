"""Coordinates: pixels of the original frame, model pixels, point grids and crops.

Points are `(x, y)`, boxes `(x0, y0, x1, y1)`, sizes `(height, width)`. Model pixels run from 0 to
the model's input size along both axes, whatever the shape of the picture: it is squashed to a
square, so x and y scale differently.
"""

import math
from itertools import product

import numpy as np
import torch
from torch import Tensor

BOX_CORNER_LABELS = (2, 3)  # labels of top-left and bottom-right corner in the prompt encoder


def to_model_pixels(xy: Tensor, original_size: tuple[int, int], model_size: int) -> Tensor:
    """Scale points from the original frame to the model's input.

    Args:
        xy: Points, `(..., 2)`, pixels of the original frame.
        original_size: `(height, width)` of that frame.
        model_size: Input size of the model, such as 1024.

    Returns:
        New tensor `(..., 2)`, model pixels, float32.

    Source: sam2/utils/transforms.py:54-75 @ 2b90b9f (divide, then multiply, both in float32).
    """
    height, width = original_size
    scale = torch.tensor([width, height], dtype=torch.float32, device=xy.device)
    return xy.to(torch.float32) / scale * model_size


def to_image_pixels(xy: Tensor, original_size: tuple[int, int], model_size: int) -> Tensor:
    """Scale points from model pixels back to the original frame, undoing `to_model_pixels`."""
    height, width = original_size
    scale = torch.tensor([width, height], dtype=torch.float32, device=xy.device)
    return xy.to(torch.float32) / model_size * scale


def boxes_to_model_pixels(xyxy: Tensor, original_size: tuple[int, int], model_size: int) -> Tensor:
    """Scale boxes `(..., 4)` from the original frame to model pixels."""
    corners = xyxy.reshape(*xyxy.shape[:-1], 2, 2)
    return to_model_pixels(corners, original_size, model_size).flatten(-2)


def point_grid(points_per_side: int) -> np.ndarray:
    """Make a regular grid of points in the unit square.

    Args:
        points_per_side: Points along one side.

    Returns:
        `(points_per_side ** 2, 2)`, x fastest, float64 in 0-1.

    Source: sam2/utils/amg.py:180-187 @ 2b90b9f.
    """
    offset = 1 / (2 * points_per_side)
    side = np.linspace(offset, 1 - offset, points_per_side)
    x, y = np.meshgrid(side, side)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def point_grids_per_layer(
    points_per_side: int, num_layers: int, downscale: int
) -> list[np.ndarray]:
    """Make one grid for the whole picture and a sparser one for each further layer of crops.

    Source: sam2/utils/amg.py:190-198 @ 2b90b9f.
    """
    counts = (int(points_per_side / downscale**layer) for layer in range(num_layers + 1))
    return [point_grid(count) for count in counts]


def crop_boxes(
    original_size: tuple[int, int], num_layers: int, overlap_ratio: float
) -> tuple[list[list[int]], list[int]]:
    """Cut a picture into overlapping crops; layer i has `(2 ** i) ** 2` of them.

    Args:
        original_size: `(height, width)`.
        num_layers: Layers beside the whole picture, which is always the first crop.
        overlap_ratio: Overlap in the first layer, as a fraction of the shorter side.

    Returns:
        Crops as `[x0, y0, x1, y1]` in pixels, and the layer of each.

    Source: sam2/utils/amg.py:201-237 @ 2b90b9f.
    Differs: on a picture of a few pixels, rounding moves some crops outside; these are dropped.
    """
    height, width = original_size
    boxes, layers = [[0, 0, width, height]], [0]
    for layer in range(1, num_layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / per_side))
        crop_width = math.ceil((overlap * (per_side - 1) + width) / per_side)
        crop_height = math.ceil((overlap * (per_side - 1) + height) / per_side)
        for column, row in product(range(per_side), range(per_side)):
            x0, y0 = (crop_width - overlap) * column, (crop_height - overlap) * row
            if x0 < width and y0 < height:
                boxes.append([x0, y0, min(x0 + crop_width, width), min(y0 + crop_height, height)])
                layers.append(layer)
    return boxes, layers
