"""What transformers' API takes for one object or several on a frame, read once.

Suffixes: h, w = rows and columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.number_reading import shown
from sam2_hf.processing.prompt_tensors import ImagePrompts, read_prompts

from .labelled_points import frame_prompts
from .object_prompts import FramePrompts
from .prompt_reading import Mask, read_object_id

MAP_DIMENSIONS = 2
ARGUMENTS = ("input_points", "input_labels", "input_boxes")
Ids = int | Sequence[int]


def read_ids(obj_ids: Ids) -> list[int]:
    """Copy one object's number, or several, into a list of our own.

    Raises:
        PromptError: One of them is no whole number, or there is none.
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
        values: In this order; None for what is not given.
        size: `(height, width)` that they are measured in.
        model_size: Input size of the model.
        point_pad_value: Both coordinates of a point that is padding.

    Raises:
        PromptError: They are none, wrongly nested, or lie outside.
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
    """Take the prompts of one object.

    Args:
        asked: The prompts of all of them.
        place: Which object.
        count: How many objects there should be.

    Raises:
        PromptError: There is another number of them, or nothing for this one.
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
        masks: A list; or an array, tensor or picture `(h, w)`, or `(objects, h, w)`, also with
            leading axes of length 1.
        count: How many objects there should be.

    Raises:
        PromptError: There is another number of them.
    """
    given: Any = np.asarray(masks) if isinstance(masks, Image.Image) else masks
    if isinstance(given, (np.ndarray, Tensor)):
        while given.ndim > MAP_DIMENSIONS + 1 and given.shape[0] == 1:
            given = given[0]
        given = [given] if given.ndim <= MAP_DIMENSIONS else given
    if not isinstance(given, Iterable):
        raise PromptError(f"input_masks is {shown(given)}. Give one map (h, w) for each object.")
    found = list(given)
    if len(found) != count:
        raise PromptError(
            f"there are {len(found)} mask(s) and {count} object id(s). Give one mask for each."
        )
    return found
