"""Photos of Label Studio: smart keypoints and rectangles in, a brush mask or polygons out.

Coordinates of Label Studio are percent of the photo's width and height.

Suffixes: h, w = rows and columns in pixels.
"""

import math
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from sam2_hf import Click, ObjectPrompt
from sam2_hf.errors import PromptError
from sam2_hf.results.polygons import mask_polygons

from .brush_rle import brush_rle
from .labeling_config import AnswerTag

ANSWER_TAGS = ("BrushLabels", "PolygonLabels")
Region = dict[str, Any]


def read_prompt(regions: Sequence[Region], size: tuple[int, int]) -> ObjectPrompt:
    """Read the smart regions that were drawn for one object.

    Args:
        regions: Keypoints and at most one rectangle.
        size: `(height, width)` of the photo.

    Raises:
        PromptError: A region is of another kind, or the photo is shown turned.
    """
    clicks, box = [], None
    for region in regions:
        kind = str(region["type"]).removesuffix("labels")
        if region.get("image_rotation"):
            raise PromptError("the photo is shown turned. Turn it back, then click.")
        if kind == "keypoint":
            given = region.get("is_positive")
            is_positive = given is None or bool(int(given))
            clicks.append(Click(_inside(region["value"], size), positive=is_positive))
        elif kind == "rectangle" and box is None:
            box = _box(region["value"], size)
        elif kind == "rectangle":
            raise PromptError("there are two rectangles. Draw one for each object.")
        else:
            raise PromptError(
                f"a smart region of type {region['type']!r} is no prompt. Use KeyPointLabels and "
                'RectangleLabels with smart="true".'
            )
    return ObjectPrompt(clicks=tuple(clicks), box=box)


def label_of(regions: Sequence[Region]) -> str | None:
    """Return the label that was chosen last; None without one."""
    for region in reversed(regions):
        labels = region["value"].get(region["type"]) or region["value"].get("labels")
        if labels:
            return str(labels[0])
    return None


def answer_regions(
    mask_hw: NDArray[np.bool_], score: float, tag: AnswerTag, label: str | None
) -> list[Region]:
    """Make regions of a mask: one with a brush, or a polygon for each connected part.

    Args:
        mask_hw: `(height, width)` bool.
        score: Predicted IoU.
        tag: Where the regions go.
        label: Their label.
    """
    height, width = mask_hw.shape
    if tag.kind == "BrushLabels":
        values: list[Region] = [{"format": "rle", "rle": brush_rle(mask_hw)}]
    else:
        to_percent = np.array([100 / width, 100 / height])
        rings = mask_polygons(mask_hw)
        values = [{"points": (ring * to_percent).tolist(), "closed": True} for ring in rings]
    kind = tag.kind.lower()
    named = {} if label is None else {kind: [label]}
    return [
        {
            "id": uuid4().hex[:10],
            "from_name": tag.name,
            "to_name": tag.shown,
            "type": kind,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "score": score,
            "value": {**value, **named},
        }
        for value in values
    ]


def _inside(value: Region, size: tuple[int, int]) -> tuple[float, float]:
    """Read a place; the right and lower edge count as the last pixel."""
    height, width = size
    x, y = value["x"] * width / 100, value["y"] * height / 100
    return min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)


def _box(value: Region, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Read a rectangle, the box around it if it is turned (about its first corner, clockwise)."""
    height, width = size
    left, top = value["x"] * width / 100, value["y"] * height / 100
    across, down = value["width"] * width / 100, value["height"] * height / 100
    angle = math.radians(value.get("rotation", 0))
    corners = [
        (
            left + x * math.cos(angle) - y * math.sin(angle),
            top + x * math.sin(angle) + y * math.cos(angle),
        )
        for x, y in ((0, 0), (across, 0), (0, down), (across, down))
    ]
    xs, ys = zip(*corners, strict=True)
    return (
        min(max(min(xs), 0), width),
        min(max(min(ys), 0), height),
        min(max(max(xs), 0), width),
        min(max(max(ys), 0), height),
    )
