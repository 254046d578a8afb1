"""Boxes of masks: non-maximum suppression, and boxes cut off by a crop.

Suffixes: n = boxes, 4 = x0, y0, x1, y1 in pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

NMS_BLOCK = 128  # boxes compared with all others at a time: 128 x 3,000 floats stay in the cache


def nms(boxes_n4: Tensor, scores_n: Tensor, iou_threshold: float) -> Tensor:
    """Keep the best box of each cluster (greedy non-maximum suppression).

    Args:
        boxes_n4: `(n, 4)`, any device.
        scores_n: `(n,)`. Equal scores keep their order.
        iou_threshold: A box is dropped if its IoU with a better kept one is above this.

    Returns:
        Indices of the kept boxes, best first, int64, on the device of `boxes_n4`.

    Source: torchvision.ops.nms. Widths have no +1, so a box without area never suppresses another.
    Differs: only in the order of work: blocks of boxes instead of single ones.
    """
    order = torch.sort(scores_n, descending=True, stable=True).indices.cpu().numpy()
    corners = _sorted_corners(boxes_n4, order)
    alive = np.ones(len(order), dtype=bool)
    for start in range(0, len(order), NMS_BLOCK):
        block = start + np.flatnonzero(alive[start : start + NMS_BLOCK])
        kept = _greedy(block, corners, iou_threshold)
        alive[block] = False
        alive[kept] = True
        rest = start + NMS_BLOCK + np.flatnonzero(alive[start + NMS_BLOCK :])
        repeats = _iou(corners, kept, rest) > iou_threshold
        alive[rest[repeats.any(axis=0)]] = False
    return torch.from_numpy(order[alive]).to(boxes_n4.device)


def _sorted_corners(boxes_n4: Tensor, order: np.ndarray) -> np.ndarray:
    """Rows x0, y0, x1, y1 and the area, best box first, floating point; `(5, n)`."""
    boxes = boxes_n4.detach().cpu()
    values = boxes if boxes.dtype == torch.float64 else boxes.to(torch.float32)
    x0, y0, x1, y1 = np.ascontiguousarray(values.numpy()[order].T.reshape(4, -1))
    return np.stack([x0, y0, x1, y1, (x1 - x0) * (y1 - y0)])


def _greedy(block: np.ndarray, corners: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Suppress inside one block, box by box."""
    repeats = _iou(corners, block, block) > iou_threshold
    alive = np.ones(len(block), dtype=bool)
    for index in range(len(block)):
        if alive[index]:
            alive[index + 1 :] &= ~repeats[index, index + 1 :]
    return block[alive]


def _iou(corners: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU of two lists of boxes, `(first, second)`; 0 / 0 is NaN, never above a threshold."""
    a, b = corners[:, first, None], corners[:, None, second]
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    overlap = np.maximum(width, 0, out=width) * np.maximum(height, 0, out=height)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou: np.ndarray = overlap / (a[4] + b[4] - overlap)
    return iou


def near_crop_edge(
    boxes_n4: Tensor,
    crop_box: Sequence[float],
    original_size: tuple[int, int],
    tolerance: float = 20.0,
) -> Tensor:
    """Find boxes cut off by a crop: near its edge, but not near the picture's own edge.

    Args:
        boxes_n4: `(n, 4)`, pixels of the crop.
        crop_box: `(x0, y0, x1, y1)` of the crop, pixels of the picture.
        original_size: `(height, width)` of the picture.
        tolerance: Largest distance that counts as near, in pixels; the default is the original's.

    Returns:
        `(n,)`, boolean.

    Source: sam2/utils/amg.py:71-82 @ 2b90b9f.
    """
    height, width = original_size
    edges = torch.tensor(
        [[float(edge) for edge in crop_box], [0, 0, width, height]],
        dtype=torch.float32,
        device=boxes_n4.device,
    )
    boxes = uncrop_boxes(boxes_n4, crop_box).to(torch.float32)
    near_crop = (boxes - edges[0]).abs() <= tolerance
    near_picture = (boxes - edges[1]).abs() <= tolerance
    return (near_crop & ~near_picture).any(dim=1)


def uncrop_boxes(boxes_n4: Tensor, crop_box: Sequence[float]) -> Tensor:
    """Shift boxes `(n, 4)` from pixels of a crop to pixels of the picture; keeps their type."""
    left, top = int(crop_box[0]), int(crop_box[1])
    return boxes_n4 + torch.tensor([left, top, left, top], device=boxes_n4.device)


def xyxy_to_xywh(boxes_n4: Tensor) -> Tensor:
    """Convert corners to top-left corner, width and height; a new tensor `(..., 4)`."""
    return torch.cat([boxes_n4[..., :2], boxes_n4[..., 2:] - boxes_n4[..., :2]], dim=-1)
