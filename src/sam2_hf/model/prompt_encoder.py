"""The prompt encoder: clicks and boxes to tokens, masks to an addition to the image embedding.

[`Prompts`] holds its inputs, completes missing ones and marks padding.

Suffixes: b = images, p = objects of an image, t = points or tokens of an object, c = channels,
n = cells of the image embedding, h, w = rows and columns.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

from sam2_hf.model.configs.configuration_sam2 import Sam2PromptEncoderConfig
from sam2_hf.model.kernels.fast_paths import decides_fast_paths, known_module

from .layers import ChannelLayerNorm, table_rows
from .position_encoding import FourierPositions

NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = 0, 1, 2, 3  # rows of `point_embed`
NOT_A_POINT = -1  # closes every prompt without a box
PADDING = -10  # pads shorter prompts; ignored


@known_module
class MaskEmbedding(nn.Module):
    """Downsample a mask prompt by 4 to the grid of the image embedding."""

    def __init__(self, config: Sam2PromptEncoderConfig) -> None:
        super().__init__()
        wide, narrow = config.mask_input_channels, config.mask_input_channels // 4
        self.activation = ACT2FN[config.hidden_act]
        self.conv1 = nn.Conv2d(1, narrow, kernel_size=2, stride=2)
        self.conv2 = nn.Conv2d(narrow, wide, kernel_size=2, stride=2)
        self.conv3 = nn.Conv2d(wide, config.hidden_size, kernel_size=1)
        self.layer_norm1 = ChannelLayerNorm(narrow, eps=config.layer_norm_eps)
        self.layer_norm2 = ChannelLayerNorm(wide, eps=config.layer_norm_eps)

    def forward(self, logits_b1hw: Tensor) -> Tensor:
        """Embed masks `(b, 1, 4h, 4w)`, logits, as `(b, 256, h, w)`."""
        hidden_bchw = self.activation(self.layer_norm1(self.conv1(logits_b1hw)))
        hidden_bchw = self.activation(self.layer_norm2(self.conv2(hidden_bchw)))
        return self.conv3(hidden_bchw)


@known_module
class PromptEncoder(nn.Module):
    """Encode the prompts of every object of every image.

    Source: sam2/modeling/sam/prompt_encoder.py:17-202 @ 2b90b9f.
    Differs: tokens that pad a shorter prompt are zero, so that the decoder can leave them out; a
        mask prompt may belong to one object or to all objects of an image.
    """

    def __init__(self, config: Sam2PromptEncoderConfig) -> None:
        super().__init__()
        self.hidden_size = config.hidden_size
        self.image_size, self.grid, self.mask_input_size = input_sizes(config)
        self.shared_embedding = FourierPositions(config.hidden_size, config.scale)
        self.mask_embed = MaskEmbedding(config)
        self.no_mask_embed = nn.Embedding(1, config.hidden_size)
        self.point_embed = nn.Embedding(config.num_point_embeddings, config.hidden_size)
        self.not_a_point_embed = nn.Embedding(1, config.hidden_size)

    @decides_fast_paths
    def forward(
        self,
        input_points: Tensor | None,
        input_labels: Tensor | None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode prompts, with the arguments and outputs of transformers.

        Args:
            input_points: Clicks as (x, y) in model pixels, `(b, p, t, 2)`.
            input_labels: 1 on the object, 0 outside it, 2 and 3 corners of a box, -1 not a point,
                -10 padding; `(b, p, t)`.
            input_boxes: Boxes as (x0, y0, x1, y1) in model pixels, `(b, p, 4)`; all -10 is padding.
            input_masks: Earlier mask logits, `(b, p or 1, 4h, 4w)`, at `mask_input_size`.

        Returns:
            Tokens, `(b, p, t, 256)`, zero at padding; and the addition to the image embedding, `(b
            * p, 256, h, w)`, or `(b, 256, h, w)` if all objects of an image share it.

        Raises:
            ValueError: If there are points without labels, or neither points nor boxes.
        """
        tokens: list[Tensor] = []
        if input_points is not None:
            if input_labels is None:
                raise ValueError(
                    "There are points without labels: pass 1 for each point on the object, 0 for "
                    "each outside it."
                )
            tokens.append(self._embed_points(input_points, input_labels))
        if input_boxes is not None:
            corners_bpt2 = input_boxes.unflatten(-1, (2, 2))
            tokens.append(self._embed_points(corners_bpt2, labels_for_boxes(input_boxes)))
        if not tokens:
            raise ValueError(
                "There are neither points nor boxes to encode: pass at least one of them."
            )
        batch, objects = tokens[0].shape[:2]
        not_a_point_1c = table_rows(self.not_a_point_embed, 1, tokens[0].device)
        closing = not_a_point_1c.expand(batch, objects, 1, -1)
        dense_bchw = self._embed_masks(input_masks, batch, tokens[0].device)
        return torch.cat([*tokens, closing], dim=2), dense_bchw

    def _embed_points(self, points_bpt2: Tensor, labels_bpt: Tensor) -> Tensor:
        """Add position and label embeddings of every point, `(b, p, t, 256)`."""
        # + 0.5: a click means the center of its pixel
        places_bptc = self.shared_embedding((points_bpt2.float() + 0.5) / self.image_size)
        kinds_bptc = self.point_embed(labels_bpt.long().clamp(min=0))
        tokens_bptc = places_bptc.to(kinds_bptc.dtype) + kinds_bptc
        labels_bpt1 = labels_bpt[..., None]
        tokens_bptc = torch.where(
            labels_bpt1 == NOT_A_POINT,
            table_rows(self.not_a_point_embed, 1, labels_bpt.device),
            tokens_bptc,
        )
        return tokens_bptc.masked_fill(labels_bpt1 == PADDING, 0.0)

    @property
    def image_embedding_size(self) -> tuple[int, int]:
        """Rows and columns of the image embedding, under transformers' name."""
        return self.grid

    @property
    def input_image_size(self) -> int:
        """Side of the square input, under transformers' name."""
        return self.image_size

    def _embed_masks(self, masks_bphw: Tensor | None, batch: int, device: torch.device) -> Tensor:
        """Embed mask prompts, `(b * p, 256, h, w)`."""
        no_mask_1c = table_rows(self.no_mask_embed, 1, device)
        if masks_bphw is None:
            return no_mask_1c[..., None, None].expand(batch, -1, *self.grid)
        logits_b1hw = masks_bphw.to(no_mask_1c.dtype).flatten(0, 1)[:, None]
        return self.mask_embed(logits_b1hw)


def input_sizes(
    config: Sam2PromptEncoderConfig,
) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """Read the side of the input, and rows and columns of image embedding and of mask logits.

    Raises:
        ValueError: If rows and columns differ.
    """
    side = _side(config.image_size)
    rows = columns = side // _side(config.patch_size)
    return side, (rows, columns), (4 * rows, 4 * columns)


def _side(size: int | list[int] | tuple[int, int]) -> int:
    """Read the side of a square.

    Raises:
        ValueError: If rows and columns differ.
    """
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise ValueError(f"the size {size} is not square: SAM 2 reads square input, e.g. 1024.")
    return sides.pop()


def labels_for_boxes(boxes_bp4: Tensor) -> Tensor:
    """Label the corners of each box, padding for padded boxes; `(b, p, 2)` int64."""
    corners = torch.tensor([TOP_LEFT, BOTTOM_RIGHT], device=boxes_bp4.device)
    is_padding = (boxes_bp4 == PADDING).all(dim=-1, keepdim=True)
    return torch.where(is_padding, PADDING, corners)


NO_OBJECT = -1024.0  # mask logits of an absent object, as in the original's tracker
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
        """Fill in missing inputs of the prompt encoder.

        Args:
            mask_size: Rows and columns a mask prompt must have.
            embedding_bchw: The image embedding; with it, images without points and boxes get the
                token `NOT_A_POINT`.

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
        """Objects per image, including padding; once `completed`."""
        places = self.boxes_bp4 if self.points_bpt2 is None else self.points_bpt2
        return 0 if places is None else places.shape[1]

    def padding_objects(self) -> Tensor | None:
        """Mark objects that are only padding, `(b, p)` bool; None without points and boxes."""
        marks = [
            (values == PADDING).all(dim=-1)
            for values in (self.labels_bpt, self.boxes_bp4)
            if values is not None
        ]
        return torch.stack(marks).all(dim=0) if marks else None

    def _require_fit(self, batch: int | None) -> None:
        """Refuse shapes that broadcasting would silently expand."""
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


def fill_padding_objects(values: Tensor, padding_bp: Tensor | None, value: float) -> Tensor:
    """Overwrite predictions for padding objects."""
    if padding_bp is None or not (torch.compiler.is_compiling() or padding_bp.any()):
        return values
    return values.masked_fill(
        padding_bp.reshape(*padding_bp.shape, *[1] * (values.dim() - 2)), value
    )
