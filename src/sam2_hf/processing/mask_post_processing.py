"""Post-processing: the decoder's low-resolution logits to masks of the original pictures.

Suffixes: p = objects of one image, k = masks of one object, h, w = rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam2_hf.errors import KindError, PromptError
from sam2_hf.masks import clean_masks
from sam2_hf.number_reading import is_finite_number, shown
from sam2_hf.upsampled_masks import upsampled_logits, upsampled_masks

MASK_DIMENSIONS = 4

MOST_PIXELS = 2**31  # of a side


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskOptions:
    """Options of post-processing.

    Attributes:
        mask_threshold: Threshold of a mask, logits.
        binarize: Whether to return booleans instead of logits.
        max_hole_area: Largest hole to fill, pixels of the low-resolution mask; 0 fills none.
        max_sprinkle_area: Largest speckle to remove, in the same pixels.
        apply_non_overlapping_constraints: Whether each pixel belongs to one object at most.
    """

    mask_threshold: float = 0.0
    binarize: bool = True
    max_hole_area: float = 0.0
    max_sprinkle_area: float = 0.0
    apply_non_overlapping_constraints: bool = False


def finish_masks(
    masks: object, original_sizes: object, num_objects: Sequence[int] | None, options: MaskOptions
) -> list[Tensor]:
    """Clean, enlarge and binarize the masks of several images.

    Args:
        masks: One entry per image, `(p, k, h, w)`, logits: a list of tensors or arrays, or one
            tensor or array. Not modified.
        original_sizes: `(height, width)` of each image.
        num_objects: Objects of each image; padding beyond them is removed.
        options: The options.

    Returns:
        One tensor per image, `(p, k, height, width)`: booleans, or logits of their own type.

    Raises:
        KindError: `masks` is neither tensors nor arrays.
        PromptError: The numbers of images differ, a mask is not a map, or an option is not a
            number.
    """
    sizes = read_sizes(original_sizes)
    for name in ("mask_threshold", "max_hole_area", "max_sprinkle_area"):
        if not is_finite_number(value := getattr(options, name)):
            raise PromptError(f"{name} is {shown(value)}; it must be a finite number.")
    if not isinstance(masks, (list, tuple, Tensor, np.ndarray)):
        raise _wrong_type(masks)
    logits = [_logits(image_masks) for image_masks in masks]
    for name, values in (("masks", logits), ("num_objects", num_objects)):
        if values is not None and len(values) != len(sizes):
            raise PromptError(
                f"{name} has {len(values)} entries for {len(sizes)} image(s) in original_sizes. "
                "Give one per image."
            )
    if num_objects is not None:
        logits = [own[:count] for own, count in zip(logits, num_objects, strict=True)]
    return [_finish(own, size, options) for own, size in zip(logits, sizes, strict=True)]


def read_sizes(original_sizes: object) -> list[tuple[int, int]]:
    """Read `(height, width)` of each image from lists, an array or a tensor.

    Raises:
        PromptError: They are not pairs of positive numbers.
    """
    values = _plain(original_sizes)
    sizes: list[tuple[int, int]] = []
    for size in values if isinstance(values, Sequence) else [values]:
        pair = _plain(size)
        is_pair = isinstance(pair, Sequence) and len(pair) == 2
        if not is_pair or not all(map(_is_side, pair)):
            raise PromptError(
                f"original_sizes holds {shown(size)}. Give (height, width) of every image, such as "
                "[[1200, 1800]]."
            )
        sizes.append((int(pair[0]), int(pair[1])))
    return sizes


def _is_side(value: Any) -> bool:  # noqa: ANN401 - whatever a caller has
    """Whether it is a valid number of rows or columns, possibly as a float."""
    return is_finite_number(value) and 1 <= value <= MOST_PIXELS and int(value) == value


def _plain(values: Any) -> Any:  # noqa: ANN401 - whatever a caller has
    return values.tolist() if isinstance(values, (Tensor, np.ndarray)) else values


def _finish(logits_pkhw: Tensor, size: tuple[int, int], options: MaskOptions) -> Tensor:
    """Finish the masks of one image; only the result and a few maps are at full size."""
    cleaned = clean_masks(
        logits_pkhw, options.max_hole_area, options.max_sprinkle_area, options.mask_threshold
    )
    apart = options.apply_non_overlapping_constraints
    dtype = cleaned.dtype if cleaned.is_floating_point() else torch.float32
    dtype = torch.bool if options.binarize else dtype
    finished = torch.empty((*cleaned.shape[:2], *size), dtype=dtype, device=cleaned.device)
    # objects compete for pixels, the masks of one object do not
    for rank, logits_phw in enumerate(cleaned.unbind(1)):
        if options.binarize:
            maps = upsampled_masks(logits_phw, size, options.mask_threshold, apart=apart)
        else:
            maps = upsampled_logits(logits_phw, size, apart=apart)
        for place, map_hw in enumerate(maps):
            finished[place, rank] = map_hw
    return finished


def _logits(masks: object) -> Tensor:
    """Read the masks of one image."""
    if isinstance(masks, np.ndarray):
        masks = torch.from_numpy(masks)
    if not isinstance(masks, Tensor):
        raise _wrong_type(masks)
    if masks.ndim != MASK_DIMENSIONS:
        raise PromptError(
            f"the masks of one image have the shape {tuple(masks.shape)}. Give "
            "(objects, masks per object, height, width), as pred_masks has them for each image."
        )
    return masks


def _wrong_type(masks: object) -> KindError:
    return KindError(
        f"masks are given as {type(masks).__name__}. "
        "Give a tensor, an array, or a list with one tensor or array per image."
    )
