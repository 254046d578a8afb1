"""The prompts of a forward pass: complete what is left out, and know what is only padding.

Suffixes: b = images, p = objects of an image, t = points of an object, h, w = rows and columns.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from .prompt_encoder import NOT_A_POINT, PADDING

NO_OBJECT = -1024.0  # logits of a mask that is not there, as in the original's tracker
OF_EACH_IMAGE, OF_EACH_OBJECT = 3, 5  # dimensions of masks given as (b, h, w) and (b, p, 1, h, w)


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """Prompts as tensors in model pixels; see [`Sam2Model.forward`].

    Attributes:
        points_bpt2: Clicks as (x, y).
        labels_bpt: Their kinds.
        boxes_bp4: Boxes as (x0, y0, x1, y1).
        masks_bphw: Earlier mask logits.
    """

    points_bpt2: Tensor | None = None
    labels_bpt: Tensor | None = None
    boxes_bp4: Tensor | None = None
    masks_bphw: Tensor | None = None

    def completed(self, mask_size: tuple[int, int], embedding_bchw: Tensor | None = None) -> Self:
        """Fill in what the prompt encoder needs.

        Args:
            mask_size: Rows and columns a mask prompt must have.
            embedding_bchw: The image embedding; with it, images without a point or a box get a
                token that is not a point.

        Raises:
            ValueError: If points, labels, boxes, masks and images differ in number.
        """
        points, labels, masks = self.points_bpt2, self.labels_bpt, self.masks_bphw
        if masks is not None:
            masks = fit_masks(masks, mask_size)
        if points is None and self.boxes_bp4 is None and embedding_bchw is not None:
            objects = 1 if masks is None else masks.shape[1]
            shape, device = (embedding_bchw.shape[0], objects, 1), embedding_bchw.device
            points = torch.zeros(*shape, 2, device=device)
            labels = torch.full(shape, NOT_A_POINT, device=device)
        if points is not None and labels is None:
            labels = torch.ones_like(points[..., 0], dtype=torch.long)
        completed = replace(self, points_bpt2=points, labels_bpt=labels, masks_bphw=masks)
        completed._require_fit(None if embedding_bchw is None else embedding_bchw.shape[0])
        return completed

    @property
    def num_objects(self) -> int:
        """Objects of each image, padding included; once `completed`."""
        places = self.boxes_bp4 if self.points_bpt2 is None else self.points_bpt2
        return 0 if places is None else places.shape[1]

    def padding_objects(self) -> Tensor | None:
        """Mark objects of nothing but padding, `(b, p)` bool; None without points and boxes."""
        marks = [
            (values == PADDING).all(dim=-1)
            for values in (self.labels_bpt, self.boxes_bp4)
            if values is not None
        ]
        return torch.stack(marks).all(dim=0) if marks else None

    def _require_fit(self, batch: int | None) -> None:
        """Refuse what broadcasting would quietly stretch."""
        self._require_same_objects()
        points, labels, masks = self.points_bpt2, self.labels_bpt, self.masks_bphw
        if points is not None and labels is not None and labels.shape != points.shape[:-1]:
            raise ValueError(
                f"input_labels have the shape {tuple(labels.shape)} for input_points "
                f"{tuple(points.shape)}. Give one label per point."
            )
        places = points if points is not None else self.boxes_bp4
        if places is None:
            return
        if batch is not None and places.shape[0] != batch:
            raise ValueError(
                f"There are prompts for {places.shape[0]} images and {batch} images. "
                "Give the prompts of each image."
            )
        if masks is not None and (
            masks.shape[0] != places.shape[0] or masks.shape[1] not in (1, places.shape[1])
        ):
            raise ValueError(
                f"input_masks have the shape {tuple(masks.shape)} for {places.shape[0]} images of "
                f"{places.shape[1]} objects. Give one mask per image or one per object."
            )

    def _require_same_objects(self) -> None:
        if self.points_bpt2 is None or self.boxes_bp4 is None:
            return
        clicked, boxed = self.points_bpt2.shape[:2], self.boxes_bp4.shape[:2]
        if clicked != boxed:
            raise ValueError(
                f"You should provide as many bounding boxes as input points per box. Got points "
                f"for {clicked[1]} objects of {clicked[0]} images and {boxed[1]} boxes on "
                f"{boxed[0]}."
            )


def fit_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring mask prompts to `(b, p, *size)`.

    Args:
        masks: Logits, `(b, h, w)`, `(b, p, h, w)` or `(b, p, 1, h, w)`.
        size: Rows and columns that the prompt encoder reads.
    """
    if masks.dim() == OF_EACH_OBJECT:
        masks = masks[:, :, 0]
    if masks.dim() == OF_EACH_IMAGE:
        masks = masks[:, None]
    if masks.shape[-2:] == size:
        return masks
    resized = functional.interpolate(masks.float(), size=size, mode="bilinear", antialias=True)
    return resized.to(masks.dtype)


def blank(values: Tensor, ghosts_bp: Tensor | None, value: float) -> Tensor:
    """Overwrite what was predicted for padding objects."""
    if ghosts_bp is None or not (torch.compiler.is_compiling() or ghosts_bp.any()):
        return values
    return values.masked_fill(ghosts_bp.reshape(*ghosts_bp.shape, *[1] * (values.dim() - 2)), value)
