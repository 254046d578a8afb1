"""Nested prompts of a batch of images, checked, scaled and padded for the model.

Suffixes: b = images, p = objects, n = points of one object, 2 = x and y, 4 = x0, y0, x1, y1,
h, w = rows and columns of a mask prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.geometry import boxes_to_model_pixels, to_model_pixels

from .nested_prompts import BOXES, LABELS, POINTS, Nesting, Objects, read_masks, read_nested
from .prompt_checks import (
    NOT_A_POINT_LABEL,
    PADDING_LABEL,
    check_boxes,
    check_labels,
    check_mask,
    check_points,
)
from .prompt_reading import NESTED_NAMES, label_each_point

ARGUMENTS = ("input_points", "input_labels", "input_boxes", "input_masks")


@dataclass(frozen=True, slots=True, eq=False)
class ImagePrompts:
    """Prompts of one image: one tensor per object, or None for a kind that was not given.

    Attributes:
        points: Each `(n, 2)`, pixels of the original frame, or model pixels once `scaled`.
        labels: Each `(n,)`; -10 is padding.
        boxes: Each `(4,)`; all -10 is padding.
        masks: Each `(h, w)`, logits.
    """

    points: list[Tensor] | None
    labels: list[Tensor] | None
    boxes: list[Tensor] | None
    masks: list[Tensor] | None

    def check(self, size: tuple[int, int], model_size: int, image: str) -> None:
        """Check every object against its picture.

        Args:
            size: `(height, width)` of the picture.
            model_size: Input size of the model.
            image: Name of the picture in messages.

        Raises:
            PromptError: A label is unknown, labels and points differ in number, a point is
                outside, a box is inverted, a mask has the wrong size, or an object has no point.
                An image without objects is fine.
        """
        for index in range(self._count(image)):
            what = f"object {index} of {image}"
            if self.points is not None and self.labels is not None:
                _check_clicks(self.points[index], self.labels[index], size, what)
            if self.boxes is not None and not _is_padding(self.boxes[index]):
                check_boxes(self.boxes[index][None], size, what)
            if self.masks is not None:
                check_mask(self.masks[index], model_size, what)
            if self.points is not None and not len(self.points[index]) and self.boxes is None:
                raise PromptError(f"{what} has no point. Give it one, or leave the object out.")

    def scaled(self, size: tuple[int, int], model_size: int) -> "ImagePrompts":
        """Scale coordinates from the original frame to model pixels, except padding."""
        points, boxes = self.points, self.boxes
        if points is not None and self.labels is not None:
            points = [
                torch.where(label[:, None] == PADDING_LABEL, xy, _scaled(xy, size, model_size))
                for xy, label in zip(points, self.labels, strict=True)
            ]
        if boxes is not None:
            boxes = [
                box if _is_padding(box) else boxes_to_model_pixels(box, size, model_size)
                for box in boxes
            ]
        return replace(self, points=points, boxes=boxes)

    def _count(self, image: str) -> int:
        """Number of objects, which must agree over all kinds."""
        kinds = dict(
            zip(ARGUMENTS, (self.points, self.labels, self.boxes, self.masks), strict=True)
        )
        counts = {name: len(objects) for name, objects in kinds.items() if objects is not None}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise PromptError(
                f"the numbers of objects of {image} differ: {listed}. Give every object an entry "
                "in each; an object without points has the empty list []."
            )
        return max(counts.values())


def read_prompts(
    arguments: Mapping[str, object], num_images: int, point_pad_value: float
) -> list[ImagePrompts]:
    """Read nested arguments.

    Args:
        arguments: The given ones of `ARGUMENTS`. Not modified.
        num_images: Number of images.
        point_pad_value: Both coordinates of a padding point.

    Returns:
        One entry per image.

    Raises:
        PromptError: The nesting is wrong, the number of images differs, or labels came without
            points.
    """
    if "input_labels" in arguments and "input_points" not in arguments:
        raise PromptError("input_labels came without input_points. Give both, or neither.")
    read: dict[str, Objects] = {
        nesting.name: read_nested(_per_image(arguments[nesting.name], nesting, num_images), nesting)
        for nesting in (POINTS, LABELS, BOXES)
        if nesting.name in arguments
    }
    if "input_masks" in arguments:
        masks = _nothing_per_image(arguments["input_masks"], num_images)
        read["input_masks"] = read_masks(masks, num_images)
    for name, images in read.items():
        if len(images) != num_images:
            raise PromptError(
                f"{name} has prompts for {len(images)} image(s), there are {num_images}. "
                "Give one list of objects per image."
            )
    return [_of_image(read, index, point_pad_value) for index in range(num_images)]


def pad_prompts(
    prompts: Sequence[ImagePrompts], point_pad_value: float, mask_side: int
) -> dict[str, Tensor]:
    """Stack the prompts of all images.

    Args:
        prompts: Scaled, all with the same kinds.
        point_pad_value: Both coordinates of a padding point.
        mask_side: Rows and columns of a mask prompt.

    Returns:
        `input_points` `(b, p, n, 2)`, `input_labels` `(b, p, n)`, `input_boxes` `(b, p, 4)` and
        `input_masks` `(b, p, h, w)`, if given; p is 0 if no image has an object.
    """
    if prompts[0].points is None and prompts[0].boxes is None:
        prompts = _with_marked_masks(prompts, point_pad_value)
    kinds = {
        "input_points": ([of_image.points for of_image in prompts], float(point_pad_value), (1, 2)),
        "input_labels": ([of_image.labels for of_image in prompts], PADDING_LABEL, (1,)),
        "input_boxes": ([of_image.boxes for of_image in prompts], float(PADDING_LABEL), (4,)),
        "input_masks": ([of_image.masks for of_image in prompts], 0.0, (mask_side, mask_side)),
    }
    return {
        name: pad_objects([image for image in images if image is not None], value, shape).to(
            torch.int64 if name == "input_labels" else torch.float32
        )
        for name, (images, value, shape) in kinds.items()
        if images[0] is not None
    }


def pad_objects(
    tensors: Sequence[Sequence[Tensor]], value: float, shape_of_none: tuple[int, ...] = ()
) -> Tensor:
    """Stack tensors of all objects of all images, padded with `value`.

    Args:
        tensors: For each image, for each object a tensor; they differ in their first axis only.
        value: Padding value.
        shape_of_none: Shape of an object's tensor, used if there is no object.

    Returns:
        `(b, p, ...)`, sized by the largest.
    """
    objects = [tensor for image in tensors for tensor in image]
    if not objects:
        return torch.empty((len(tensors), 0, *shape_of_none))
    longest = max(len(tensor) for tensor in objects)
    most = max(len(image) for image in tensors)
    shape = (len(tensors), most, longest, *objects[0].shape[1:])
    padded = torch.full(shape, value, dtype=objects[0].dtype)
    for image_index, image in enumerate(tensors):
        for object_index, tensor in enumerate(image):
            padded[image_index, object_index, : len(tensor)] = tensor
    return padded


def count_objects(inputs: Mapping[str, Tensor]) -> list[int]:
    """Count the objects of each image that are not padding.

    Args:
        inputs: Result of `pad_prompts`.

    Returns:
        One number per image.
    """
    real = []
    if "input_labels" in inputs:
        real.append((inputs["input_labels"] != PADDING_LABEL).any(dim=-1))
    if "input_boxes" in inputs:
        real.append((inputs["input_boxes"] != PADDING_LABEL).any(dim=-1))
    if real:
        return [int(count) for count in torch.stack(real).any(dim=0).sum(dim=-1)]
    masks = inputs.get("input_masks")
    return [] if masks is None else [masks.shape[1]] * len(masks)


def _of_image(read: Mapping[str, Objects], index: int, point_pad_value: float) -> ImagePrompts:
    points, labels, boxes, masks = (
        read[name][index] if name in read else None for name in ARGUMENTS
    )
    if points is not None:
        labels = _spread_labels(points, labels, point_pad_value)
    objects = boxes if points is None else points
    if masks is not None and objects is not None and len(masks) == 1:
        masks = masks * len(objects)  # one mask for all objects of the image
    return ImagePrompts(points=points, labels=labels, boxes=boxes, masks=masks)


def _per_image(data: object, nesting: Nesting, num_images: int) -> object:
    """Accept boxes of a single image in a detector's form, `(n, 4)`."""
    if nesting is BOXES and num_images == 1 and isinstance(data, np.ndarray | Tensor):
        data = data[None] if data.ndim == len(BOXES.levels) - 1 else data
    return _nothing_per_image(data, num_images)


def _nothing_per_image(data: Any, num_images: int) -> Any:  # noqa: ANN401 - whatever a caller has
    """Read an empty argument, `[]` or an array without rows, as no object in any image."""
    is_array = isinstance(data, np.ndarray | Tensor) and data.ndim > 0
    if (is_array or isinstance(data, list | tuple)) and len(data) == 0:
        return [[]] * num_images
    return data


def _with_marked_masks(
    prompts: Sequence[ImagePrompts], point_pad_value: float
) -> Sequence[ImagePrompts]:
    """Mark masks by labels to distinguish them from padding, if their numbers differ.

    The model itself adds a label of -1 to an object without points, so this changes no result.
    """
    masks = [of_image.masks or [] for of_image in prompts]
    if len(set(map(len, masks))) == 1:
        return prompts
    place = torch.full((1, 2), float(point_pad_value), dtype=torch.float64)
    label = torch.tensor([NOT_A_POINT_LABEL])
    return [
        replace(of_image, points=[place] * len(own), labels=[label] * len(own))
        for of_image, own in zip(prompts, masks, strict=True)
    ]


def _spread_labels(
    points: list[Tensor], labels: list[Tensor] | None, point_pad_value: float
) -> list[Tensor]:
    """Expand the labels of objects that have one label, or none (then points are positive).

    A wrong number of labels is kept for `check`, which names the object.
    """
    if labels is not None and len(labels) != len(points):
        return labels
    spread = []
    for index, points_n2 in enumerate(points):
        label_n = torch.ones(1, dtype=torch.int64) if labels is None else labels[index]
        if labels is None or (len(label_n) == 1 and len(points_n2) > 1):
            is_padding = (points_n2 == point_pad_value).all(dim=-1)
            label_n = torch.where(is_padding, PADDING_LABEL, label_n)
        spread.append(label_n)
    return spread


def _check_clicks(points_n2: Tensor, labels_n: Tensor, size: tuple[int, int], what: str) -> None:
    label_each_point(labels_n, len(points_n2), what, NESTED_NAMES)
    check_labels(labels_n, what)
    check_points(points_n2, labels_n, size, what)


def _scaled(xy: Tensor, size: tuple[int, int], model_size: int) -> Tensor:
    return to_model_pixels(xy, size, model_size).to(xy.dtype)


def _is_padding(box_4: Tensor) -> bool:
    return bool((box_4 == PADDING_LABEL).all())
