"""Conversion of prompts between transformers' format and a session's.

Suffixes: n = points of one object, 2 = x and y, 4 = x0, y0, x1, y1; pixels of the original frame;
h, w = rows and columns of a mask.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.geometry import BOX_CORNER_LABELS
from sam2_hf.number_reading import UNREADABLE
from sam2_hf.processing.nested_prompts import list_maps
from sam2_hf.processing.prompt_checks import PLACELESS_LABELS, check_labels
from sam2_hf.processing.prompt_reading import Click, ClickNames, label_each_point
from sam2_hf.processing.prompt_tensors import ImagePrompts, read_prompts
from sam2_hf.video.prompts import FramePrompts, Mask, Xyxy, read_object_id

TOP_LEFT, BOTTOM_RIGHT = BOX_CORNER_LABELS
ARGUMENTS = ("input_points", "input_labels", "input_boxes")
Ids = int | Sequence[int]


def frame_prompts(
    points_n2: Tensor, labels_n: Tensor, box_4: Tensor | None, what: str
) -> FramePrompts:
    """Sort labeled points into clicks and the box.

    Args:
        points_n2: `(n, 2)`.
        labels_n: `(n,)`: 1 on the object, 0 outside it, 2 and 3 corners of a box; -1 and -10 are
            ignored.
        box_4: The box, if given separately.
        what: Name of their owner in messages.

    Raises:
        PromptError: A label is unknown, a corner is missing, there are two boxes, or nothing.
    """
    check_labels(labels_n, what)
    corners: dict[int, tuple[float, float]] = {}
    clicks = []
    for (x, y), label in zip(points_n2.tolist(), labels_n.tolist(), strict=True):
        if label in BOX_CORNER_LABELS:
            if label in corners:
                raise PromptError(f"{what} has two boxes. Give one, or make it two objects.")
            corners[int(label)] = (x, y)
        elif label not in PLACELESS_LABELS:
            clicks.append(Click((x, y), positive=bool(label)))
    box = _box_of_corners(corners, what)
    if box_4 is not None:
        if box is not None:
            raise PromptError(f"{what} has a box and points labeled as corners. Give one of them.")
        x0, y0, x1, y1 = box_4.tolist()
        box = (x0, y0, x1, y1)
    if box is None and not clicks:
        raise PromptError(f"{what} has no point and no box. Give it one, or leave the object out.")
    return FramePrompts(clicks=tuple(clicks), box=box)


def scaled(
    prompts: FramePrompts, given_size: tuple[int, int], size: tuple[int, int]
) -> FramePrompts:
    """Rescale prompts from one frame size to another; sizes are `(height, width)`."""
    if tuple(given_size) == tuple(size):
        return prompts
    down, right = size[0] / given_size[0], size[1] / given_size[1]
    clicks = tuple(
        Click((click.xy[0] * right, click.xy[1] * down), positive=click.positive)
        for click in prompts.clicks
    )
    box = prompts.box
    if box is not None:
        box = (box[0] * right, box[1] * down, box[2] * right, box[3] * down)
    return FramePrompts(clicks=clicks, box=box, mask_hw=prompts.mask_hw)


def check_near_frame(prompts: FramePrompts, size: tuple[int, int], what: str) -> None:
    """Refuse clicks and boxes that lie more than a frame's size outside the frame.

    Args:
        prompts: Clicks and box.
        size: `(height, width)` of the frame.
        what: Name of their owner in messages.

    Raises:
        PromptError: A value is not finite or far outside, or the box is inverted.

    Differs: transformers accepts any position.
    """
    box = () if prompts.box is None else (prompts.box[:2], prompts.box[2:])
    for x, y in (*(click.xy for click in prompts.clicks), *box):
        if not (-size[1] <= x <= 2 * size[1] and -size[0] <= y <= 2 * size[0]):
            raise PromptError(
                f"({x:g}, {y:g}) of {what} lies far outside the frame, which is {size[1]} pixels "
                f"wide and {size[0]} high."
            )
    if prompts.box is not None and (
        prompts.box[2] < prompts.box[0] or prompts.box[3] < prompts.box[1]
    ):
        raise PromptError(
            f"the box {prompts.box} of {what} ends before it begins. Give the top left corner "
            "first."
        )


def points_and_labels(inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Split transformers' inputs for one object on one frame into points and labels.

    Args:
        inputs: `point_coords`, `(1, 1, n, 2)`, and `point_labels`, `(1, 1, n)` or one for all.

    Returns:
        `(n, 2)` and `(n,)`.

    Raises:
        PromptError: One is missing, or their numbers differ.
    """
    if set(inputs) != {"point_coords", "point_labels"}:
        raise PromptError(
            f"inputs hold {', '.join(map(str, inputs)) or 'nothing'}. Give point_coords and "
            "point_labels."
        )
    given = inputs["point_labels"]
    try:
        points_n2 = torch.as_tensor(inputs["point_coords"]).reshape(-1, 2)
        labels_n = torch.as_tensor(given if isinstance(given, Tensor) else np.asarray(given))
    except UNREADABLE as error:
        raise PromptError(
            f"point_coords and point_labels cannot be read as points (x, y) with labels: {error}."
        ) from error
    labels_n = labels_n.reshape(-1)
    names = ClickNames("point_coords", "point_labels")
    return points_n2, label_each_point(labels_n, len(points_n2), "the object", names)


def _box_of_corners(corners: dict[int, tuple[float, float]], what: str) -> Xyxy | None:
    if not corners:
        return None
    if len(corners) != len(BOX_CORNER_LABELS):
        raise PromptError(
            f"{what} has one corner of a box only. Label the top left one 2 and the bottom right "
            "one 3."
        )
    return (*corners[TOP_LEFT], *corners[BOTTOM_RIGHT])


def read_ids(obj_ids: Ids) -> list[int]:
    """Read one object id or several as a list.

    Raises:
        PromptError: An id is not an integer, or there is none.
    """
    values: Any = obj_ids.tolist() if isinstance(obj_ids, (np.ndarray, Tensor)) else obj_ids
    ids = list(values) if isinstance(values, Sequence) else [values]
    if not ids:
        raise PromptError("obj_ids is empty. Give the number of at least one object.")
    return [read_object_id(number) for number in ids]


def read_frame(
    values: tuple[object, object, object],
    size: tuple[int, int],
    model_size: int,
    point_pad_value: float,
) -> ImagePrompts:
    """Read and check nested points, labels and boxes of one frame.

    Args:
        values: Points, labels and boxes; None if missing.
        size: `(height, width)` of the coordinates.
        model_size: Input size of the model.
        point_pad_value: Both coordinates of a point that is padding.

    Raises:
        PromptError: They are missing, wrongly nested, or lie outside.
    """
    given: Mapping[str, object] = {
        name: value for name, value in zip(ARGUMENTS, values, strict=True) if value is not None
    }
    if not given:
        raise PromptError("there is no prompt. Give input_points, input_boxes or input_masks.")
    (asked,) = read_prompts(given, 1, point_pad_value)
    asked.check(size, model_size, "the frame")
    return asked


def prompts_of_object(asked: ImagePrompts, place: int, count: int) -> FramePrompts:
    """Select the prompts of one object.

    Args:
        asked: The prompts of all objects.
        place: Which object.
        count: Expected number of objects.

    Raises:
        PromptError: Their number differs, or this object has none.
    """
    number = len(asked.points or asked.boxes or ())
    if number != count:
        raise PromptError(
            f"there are prompts for {number} object(s) and {count} object id(s). Give one list of "
            "points, or one box, for each."
        )
    points = asked.points[place] if asked.points else torch.zeros(0, 2)
    labels = asked.labels[place] if asked.labels else torch.zeros(0)
    box = asked.boxes[place] if asked.boxes else None
    return frame_prompts(points, labels, box, f"object {place} of the frame")


def list_masks(masks: Mask | Sequence[Mask], count: int) -> list[Mask]:
    """List one mask for each object.

    Args:
        masks: See [`list_maps`].
        count: Expected number of objects.

    Raises:
        PromptError: Their number differs.
    """
    found = list_maps(masks)
    if len(found) != count:
        raise PromptError(
            f"there are {len(found)} mask(s) and {count} object id(s). Give one mask for each."
        )
    return found
