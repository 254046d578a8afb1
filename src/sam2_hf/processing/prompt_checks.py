"""Checks of prompts before the model; every error is a `PromptError` that names the prompt.

Suffixes: n = points or boxes, 2 = x and y, 4 = x0, y0, x1, y1; pixels of the original frame.
"""

import torch
from torch import Tensor

from sam2_hf.errors import PromptError

PADDING_LABEL = -10
NOT_A_POINT_LABEL = -1
LABELS = {1: "positive", 0: "negative", 2: "top-left corner of a box", 3: "bottom-right corner"}
PLACELESS_LABELS = (
    PADDING_LABEL,
    NOT_A_POINT_LABEL,
)  # the model ignores their coordinates
MASK_STRIDE = 4  # a mask prompt is this much smaller than the model's input
OUTSIDE_TOLERANCE = 1.0  # pixels; a click on the very edge survives rounding and rescaling


def check_labels(labels_n: Tensor, what: str) -> None:
    """Refuse labels that the prompt encoder does not know.

    Args:
        labels_n: `(n,)`.
        what: Whose labels, for the message.

    Raises:
        PromptError: A label is not 1, 0, 2, 3, -1 or -10.
    """
    known = torch.tensor([*LABELS, *PLACELESS_LABELS], device=labels_n.device)
    wrong = ~torch.isin(labels_n.to(torch.float64), known.to(torch.float64))
    if wrong.any():
        raise PromptError(
            f"label {_number(labels_n[wrong][0])} of {what} is unknown. "
            "Use 1 for a positive and 0 for a negative point (2 and 3 mark the corners of a box, "
            "-1 no point, -10 padding)."
        )


def check_points(
    points_n2: Tensor,
    labels_n: Tensor,
    original_size: tuple[int, int],
    what: str,
    *,
    tolerance: float = OUTSIDE_TOLERANCE,
) -> None:
    """Refuse points outside the picture.

    Args:
        points_n2: `(n, 2)`.
        labels_n: `(n,)`. Padding, "not a point" and box corners may lie anywhere.
        original_size: `(height, width)`.
        what: Whose points, for the message.
        tolerance: How far outside a click may lie, pixels.

    Raises:
        PromptError: A coordinate is not finite, or a click lies farther outside.

    Differs: the original accepts any coordinates, and segments something else.
    """
    check_finite(points_n2, f"a point of {what}")
    height, width = original_size
    limit = torch.tensor([width, height], device=points_n2.device) + tolerance
    outside = ((points_n2 < -tolerance) | (points_n2 > limit)).any(dim=-1)
    outside &= (labels_n == 0) | (labels_n == 1)
    if outside.any():
        raise PromptError(
            f"point {_numbers(points_n2[outside][0])} of {what} lies outside the picture, which is "
            f"{width} pixels wide and {height} high. Give (x, y) in pixels of the original "
            "picture, not (row, column) and not fractions of its size."
        )


def check_boxes(boxes_n4: Tensor, original_size: tuple[int, int], what: str) -> None:
    """Refuse boxes that are inverted or miss the picture.

    A box may extend over the edge, as those of detectors often do.

    Args:
        boxes_n4: `(n, 4)`.
        original_size: `(height, width)`.
        what: Whose boxes, for the message.

    Raises:
        PromptError: A coordinate is not finite, x1 < x0, y1 < y0, or the box does not overlap the
            picture.
    """
    check_finite(boxes_n4, f"the box of {what}")
    height, width = original_size
    corner, far_corner = boxes_n4[..., :2], boxes_n4[..., 2:]
    turned = (far_corner < corner).any(dim=-1)
    if turned.any():
        raise PromptError(
            f"box {_numbers(boxes_n4[turned][0])} of {what} ends before it begins. "
            "Give (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1: two corners, not corner and size."
        )
    limit = torch.tensor([width, height], device=boxes_n4.device) + OUTSIDE_TOLERANCE
    missed = ((far_corner < -OUTSIDE_TOLERANCE) | (corner > limit)).any(dim=-1)
    if missed.any():
        raise PromptError(
            f"box {_numbers(boxes_n4[missed][0])} of {what} lies outside the picture, which is "
            f"{width} pixels wide and {height} high. Give (x0, y0, x1, y1) in pixels of the "
            "original picture."
        )


def check_mask(mask_hw: Tensor, model_size: int, what: str) -> None:
    """Refuse a mask prompt that is not a low-resolution map of logits.

    Args:
        mask_hw: `(h, w)`.
        model_size: Input size of the model, such as 1024.
        what: Whose mask, for the message.

    Raises:
        PromptError: It is not a quarter of the input size, not of a floating type, or not finite.
    """
    side = mask_side(model_size)
    if mask_hw.shape[-2:] != (side, side):
        found = " x ".join(map(str, mask_hw.shape))
        raise PromptError(
            f"the mask prompt of {what} is {found}; the model expects {side} x {side}: a quarter "
            f"of its input size {model_size}. Give `pred_masks` of an earlier prediction "
            "unchanged, or resize yours."
        )
    if not mask_hw.is_floating_point():
        kind = "boolean" if mask_hw.dtype == torch.bool else f"a drawn mask of {mask_hw.dtype}"
        raise PromptError(
            f"the mask prompt of {what} is {kind}; the model expects logits. "
            "Give torch.where(mask > 0, 10.0, -10.0), or ObjectPrompt(mask=mask) to the pipeline."
        )
    check_finite(mask_hw, f"the mask prompt of {what}")


def mask_side(model_size: int) -> int:
    """Return the side of a mask prompt for a model of this input size."""
    return model_size // MASK_STRIDE


def check_finite(values: Tensor, what: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        PromptError: One of `values` is not a finite number.
    """
    wrong = ~torch.isfinite(values)
    if wrong.any():
        raise PromptError(
            f"{what} holds {_number(values[wrong][0])}, which is not finite. Give finite numbers."
        )


def _number(value: Tensor) -> str:
    return f"{value.item():g}"


def _numbers(values: Tensor) -> str:
    return f"({', '.join(f'{value:g}' for value in values.tolist())})"
