"""Prompts as the original's image predictor takes them: arrays of one object or of several.

Suffixes: p = objects, n = points of an object with the corners of its box first, h, w = rows and
columns of a mask prompt, 2 = x and y, 4 = x0, y0, x1, y1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.geometry import BOX_CORNER_LABELS, to_model_pixels
from sam2_hf.number_reading import UNREADABLE, read_numbers, shown
from sam2_hf.processing.prompt_checks import check_boxes, check_labels, check_mask, check_points
from sam2_hf.processing.prompt_reading import read_mask_logits

Given = Any  # an array, a list, a tensor or None
GivenBatch = Any  # a list of these, or None
Size = tuple[int, int]
SEVERAL = 3  # dimensions of the points of several objects


class PromptTensors(NamedTuple):
    """Prompts of one photo as the model takes them.

    Attributes:
        points_pn2: Corners of boxes and points, `(p, n, 2)`, model pixels; n may be 0.
        labels_pn: Their labels, `(p, n)`, int64.
        masks_phw: Mask prompts, `(p, h, w)` or `(1, h, w)`, logits.
    """

    points_pn2: Tensor
    labels_pn: Tensor
    masks_phw: Tensor | None

    def split(self, count: int) -> "list[PromptTensors]":
        """Deal the objects out, `count` at a time; no objects are one part."""
        parts = zip(self.points_pn2.split(count), self.labels_pn.split(count), strict=True)
        if self.masks_phw is None or len(self.masks_phw) == 1:
            return [PromptTensors(*part, self.masks_phw) for part in parts]
        masks = self.masks_phw.split(count)
        return [PromptTensors(*part, own) for part, own in zip(parts, masks, strict=True)]


class GivenPrompts(NamedTuple):
    """What a caller gave for one photo; see `SAM2ImagePredictor.predict`."""

    point_coords: Given
    point_labels: Given
    box: Given
    mask_input: Given

    def read(self, size: Size, model_size: int, *, normalize: bool) -> PromptTensors:
        """Read, check and scale.

        Args:
            size: `(height, width)` of the photo.
            model_size: Input size of the model.
            normalize: Whether places are pixels of the photo; otherwise shares of width and height.

        Raises:
            PromptError: There is no prompt, a part cannot be used, or the parts are of different
                numbers of objects.

        Source: sam2/sam2_image_predictor.py:316-350 and :393-416 @ 2b90b9f.
        """
        unit = (1.0, 1.0) if normalize else (float(size[1]), float(size[0]))  # in pixels
        parts = [
            part
            for part in (_read_boxes(self.box, size, unit), self._points(size, unit))
            if part is not None
        ]
        masks_phw = None if self.mask_input is None else _read_masks(self.mask_input, model_size)
        if not parts:
            if masks_phw is None:
                raise PromptError("there is no prompt. Give point_coords, box or mask_input.")
            labels_p0 = torch.zeros(len(masks_phw), 0, dtype=torch.int64)
            return PromptTensors(torch.zeros(*labels_p0.shape, 2), labels_p0, masks_phw)
        counts = [len(places) for places, _ in parts]
        if masks_phw is not None and len(masks_phw) > 1:  # a single one is for all objects
            counts.append(len(masks_phw))
        if len(set(counts)) > 1:
            raise PromptError(
                f"box, points and mask_input are for {', '.join(map(str, counts))} objects. Give "
                "each object its own: boxes (p, 4), points (p, n, 2), masks (p, 1, h, w)."
            )
        points_pn2, labels_pn = (torch.cat(kind, dim=1) for kind in zip(*parts, strict=True))
        # shares are of a picture of one pixel
        scaled_pn2 = to_model_pixels(points_pn2, size if normalize else (1, 1), model_size)
        return PromptTensors(scaled_pn2, labels_pn, masks_phw)

    def _points(self, size: Size, unit: tuple[float, float]) -> tuple[Tensor, Tensor] | None:
        """Read points `(p, n, 2)` as they are given, and labels `(p, n)`."""
        coords, labels = self.point_coords, self.point_labels
        if coords is None and labels is None:
            return None
        if coords is None or labels is None:
            raise PromptError("point_coords and point_labels belong together. Give both.")
        places, kinds = read_numbers(coords), read_numbers(labels)
        if places is not None and places.size == 0 and places.ndim < SEVERAL:
            return None  # an object without points
        if places is not None and places.ndim == SEVERAL - 1:
            places = places[None]
        if places is None or places.ndim != SEVERAL or places.shape[-1] != 2:
            raise PromptError(
                f"point_coords is {shown(coords)}. Give (n, 2) for one object, or (p, n, 2) for p "
                "objects; each point is (x, y)."
            )
        if kinds is None or kinds.size != places[..., 0].size:
            raise PromptError(
                f"point_labels is {shown(labels)} for point_coords of the shape {places.shape}. "
                "Give one label for each point: 1 on the object, 0 outside it, -1 no point."
            )
        points_pn2 = torch.from_numpy(places).float()
        labels_pn = torch.from_numpy(kinds.reshape(places.shape[:2]))
        check_labels(labels_pn, "point_labels")
        # the original takes any place, and callers rely on it for clicks beside the photo
        check_points(
            points_pn2 * torch.tensor(unit), labels_pn, size, "point_coords", tolerance=max(size)
        )
        return points_pn2, labels_pn.long()


def given_per_photo(batches: Sequence[GivenBatch], count: int) -> list[GivenPrompts]:
    """Deal out the lists of `predict_batch`.

    Args:
        batches: In the order of [`GivenPrompts`]; each a list with an entry per photo, or None.
        count: Number of photos.

    Raises:
        PromptError: A list has another number of entries.
    """
    columns = []
    for name, given in zip(GivenPrompts._fields, batches, strict=True):
        column = [None] * count if given is None else given
        if not hasattr(column, "__len__") or len(column) != count:
            raise PromptError(
                f"{name}_batch is {shown(given)}, and {count} photos are set. Give a list with one "
                "entry for each; None for a photo without."
            )
        columns.append(column)
    return [GivenPrompts(*row) for row in zip(*columns, strict=True)]


def _read_boxes(box: Given, size: Size, unit: tuple[float, float]) -> tuple[Tensor, Tensor] | None:
    """Read boxes as two corners each, `(p, 2, 2)`, and label these, `(p, 2)`."""
    if box is None:
        return None
    numbers = read_numbers(box)
    is_empty = numbers is not None and numbers.size == 0
    is_box = numbers is not None and (numbers.shape[-1:] == (4,) or numbers.shape[-2:] == (2, 2))
    if numbers is None or not (is_empty or is_box):
        raise PromptError(f"box is {shown(box)}. Give (x0, y0, x1, y1), or (p, 4) for p objects.")
    boxes_p4 = torch.from_numpy(numbers).float().reshape(-1, 4)
    check_boxes(boxes_p4 * torch.tensor((*unit, *unit)), size, "box")
    labels_p2 = torch.tensor(BOX_CORNER_LABELS).expand(len(boxes_p4), -1)
    return boxes_p4.unflatten(-1, (2, 2)), labels_p2


def _read_masks(given: Given, model_size: int) -> Tensor:
    """Read mask prompts, `(p, h, w)`."""
    try:
        masks = given if isinstance(given, Tensor) else torch.as_tensor(np.array(given))
    except UNREADABLE:
        masks = torch.zeros(0)
    is_column = masks.ndim == SEVERAL + 1 and masks.shape[1] == 1 and len(masks) > 0
    is_single = masks.ndim == SEVERAL - 1 or (masks.ndim == SEVERAL and len(masks) == 1)
    if not (is_column or is_single):
        raise PromptError(
            f"mask_input has the shape {tuple(masks.shape)}. Give (1, h, w) for one object, or "
            "(p, 1, h, w) for p objects: logits of an earlier answer."
        )
    maps = masks.unbind() if is_column else [masks]
    masks_phw = torch.stack([read_mask_logits(logits) for logits in maps])
    check_mask(masks_phw, model_size, "mask_input")
    return masks_phw
