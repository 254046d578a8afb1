"""Parsing of clicks, boxes and masks, by one rule at every entry point.

The labels of points are `labels` for photos, `positive` in a session, `input_labels` in processors;
their values and error messages are the same:

| given | read as |
|---|---|
| True, 1, 1.0 | on the object |
| False, 0, 0.0 | outside it |
| one label, possibly in a list or array | the label of all points |
| one label per point | one each |
| nothing | all points are on the object |

Other values are refused. Only the nested arguments of processors take further labels, for the
corners of boxes and for padding; see `processing/prompt_checks.py`.

Suffixes: n = points, 2 = x and y, h, w = rows and columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.geometry import BOX_CORNER_LABELS
from sam2_hf.number_reading import read_flags, read_numbers, read_row, shown

from .mask_values import Mask, drawn_mask, one_map
from .prompt_checks import check_boxes, check_finite, check_points

Xyxy = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Click:
    """A positive or negative point.

    Attributes:
        xy: `(x, y)` in pixels of the original picture.
        positive: Whether the point belongs to the object.

    Raises:
        PromptError: `xy` is not two finite numbers, or `positive` is neither True nor False.

    Example:
        >>> Click((290, 225))
        Click(xy=(290.0, 225.0), positive=True)
        >>> Click((120, 260), positive=False).positive
        False
    """

    xy: tuple[float, float]
    _: KW_ONLY
    positive: bool = True

    def __post_init__(self) -> None:
        xy = read_row(self.xy)
        if len(xy) != 2:
            raise PromptError(f"a click is {shown(self.xy)}; it must be 2 numbers (x, y).")
        check_finite(torch.tensor(xy, dtype=torch.float64), f"a click {xy}")
        object.__setattr__(self, "xy", xy)
        flags = read_flags(self.positive)
        if flags is None or len(flags) != 1:
            raise _wrong_labels("positive", "a click", self.positive)
        object.__setattr__(self, "positive", flags[0])


@dataclass(frozen=True, slots=True)
class ClickNames:
    """Argument names of an entry point, for messages.

    Attributes:
        points: Name of the points.
        labels: Name of the labels.
    """

    points: str = "points"
    labels: str = "labels"


PHOTO_NAMES = ClickNames()
PROMPT_NAMES = ClickNames("clicks", "positive")
SESSION_NAMES = ClickNames("xy", "positive")
NESTED_NAMES = ClickNames("input_points", "input_labels")


def read_clicks(
    points: object, labels: object, what: str, names: ClickNames = PHOTO_NAMES
) -> tuple[Click, ...]:
    """Read one click or several.

    Args:
        points: `(x, y)`; a list, array or tensor of them; a [`Click`]; or a list with some. May
            be empty.
        labels: One for all, or one for each, by the table at the top of this file; None if all are
            positive. Clicks carry their own.
        what: Whose clicks, for messages.
        names: What the arguments are called.

    Raises:
        PromptError: A point or label is invalid, labels and points differ in number, or labels come
            with Clicks.
    """
    if isinstance(points, Click | Iterator):
        points = (points,) if isinstance(points, Click) else tuple(points)
    if isinstance(points, Sequence) and any(isinstance(point, Click) for point in points):
        if labels is not None:
            raise PromptError(
                f"{names.points} of {what} holds Clicks, which carry their own labels. "
                f"Leave {names.labels} out."
            )
        return tuple(
            point if isinstance(point, Click) else read_clicks([point], None, what, names)[0]
            for point in points
        )
    points_n2 = _read_points(points, what, names)
    flags = [True] * len(points_n2) if labels is None else read_flags(labels)
    if flags is None:
        raise _wrong_labels(names.labels, what, labels)
    labels_n = label_each_point(torch.tensor(flags), len(points_n2), what, names)
    pairs = zip(points_n2.tolist(), labels_n.tolist(), strict=True)
    return tuple(Click((x, y), positive=flag) for (x, y), flag in pairs)


def label_each_point(
    labels_n: Tensor, num_points: int, what: str, names: ClickNames = PHOTO_NAMES
) -> Tensor:
    """Expand labels to one per point.

    Args:
        labels_n: `(n,)` or `(1,)`.
        num_points: n.
        what: Their object, for messages.
        names: What the arguments are called.

    Returns:
        `(n,)`.

    Raises:
        PromptError: The number of labels differs.
    """
    if len(labels_n) == 1 and num_points > 0:
        return labels_n.expand(num_points)
    if len(labels_n) != num_points:
        raise PromptError(
            f"{names.points} of {what} has {num_points} point(s) and {names.labels} has "
            f"{len(labels_n)} label(s). Give one label per point, or one for all: 1 for a point on "
            "the object, 0 for one outside it."
        )
    return labels_n


def labeled_points(clicks: Sequence[Click], box: Xyxy | None) -> tuple[Tensor, Tensor]:
    """List corners of the box, then clicks, with their labels: `(n, 2)` and `(n,)`.

    Source: sam2/sam2_image_predictor.py:393-404 @ 2b90b9f (box first).
    """
    corners = [] if box is None else [box[:2], box[2:]]
    corner_labels = [] if box is None else list(BOX_CORNER_LABELS)
    xy = [*corners, *(click.xy for click in clicks)]
    labels = [*corner_labels, *(int(click.positive) for click in clicks)]
    return (
        torch.tensor(xy, dtype=torch.float32).reshape(-1, 2),
        torch.tensor(labels, dtype=torch.int64),
    )


def check_clicks(clicks: Sequence[Click], size: tuple[int, int], what: str) -> None:
    """Refuse clicks outside the picture.

    Args:
        clicks: Any number.
        size: `(height, width)` of the picture.
        what: Whose clicks, for messages.

    Raises:
        PromptError: A click lies outside.
    """
    check_points(*labeled_points(clicks, None), size, what)


def read_box(xyxy: object, size: tuple[int, int] | None, what: str) -> Xyxy:
    """Read a box.

    Args:
        xyxy: `(x0, y0, x1, y1)`, pixels.
        size: `(height, width)` of the picture; None if unknown.
        what: Whose box, for messages.

    Raises:
        PromptError: It is not four finite numbers, is inverted, or lies outside the picture.
    """
    numbers = read_row(xyxy)
    if len(numbers) != 4:
        raise PromptError(
            f"the box of {what} is {shown(xyxy)}; it must be 4 numbers (x0, y0, x1, y1)."
        )
    check_finite(torch.tensor(numbers, dtype=torch.float64), f"the box {numbers} of {what}")
    if size is not None:
        check_boxes(torch.tensor([numbers]), size, what)
    x0, y0, x1, y1 = numbers
    return x0, y0, x1, y1


def read_mask(
    mask: Mask,
    size: tuple[int, int] | None,
    side: int,
    what: str,
    *,
    as_transformers: bool = False,
) -> Tensor:
    """Read a mask by the rule of `processing/mask_values.py`, at the model's input size.

    Args:
        mask: `(height, width)`, also with leading axes of length 1.
        size: `(height, width)` of the frame; None allows any.
        side: Input size of the model.
        what: Whose mask, for messages.
        as_transformers: Whether to threshold resized logits at 0.5, as both other implementations
            do.

    Returns:
        `(side, side)`, boolean.

    Raises:
        PromptError: It is not one map, its size is not that of the frame, or its values are
            ambiguous.

    Source: sam2/sam2_video_predictor.py:312-334 @ 2b90b9f.
    Differs: there, and in transformers, every nonzero value of a float array is the object, so
        logits and probabilities cover the frame; a tensor is read as here.
    """
    mask_hw = one_map(mask, f"the mask of {what}")
    if size is not None:
        check_mask_size(mask_hw, size, what)
    return drawn_mask(mask_hw, side, f"the mask of {what}", keeps_logits=as_transformers)


def read_mask_logits(mask: Mask) -> Tensor:
    """Read low-resolution logits as float32, dropping leading axes of length 1.

    Args:
        mask: `(h, w)`, `(1, h, w)` and so on.

    Returns:
        `(h, w)`; other types, such as booleans, are kept for the check to name them.

    Raises:
        PromptError: There are several maps.
    """
    map_hw = one_map(mask, "a mask prompt")
    if map_hw.dtype == torch.bool:
        return map_hw
    may_be_logits = map_hw.is_floating_point() or bool((map_hw.to(torch.int64) < 0).any())
    return map_hw.to(torch.float32) if may_be_logits else map_hw


def check_mask_size(
    mask_hw: Tensor, size: tuple[int, int], what: str, answer_side: int | None = None
) -> None:
    """Refuse a mask whose size is not that of its picture.

    Args:
        mask_hw: `(height, width)`.
        size: `(height, width)` of the picture.
        what: Whose mask, for messages.
        answer_side: Side of the model's answers, if these are allowed as well.

    Raises:
        PromptError: Its size differs.
    """
    answers = None if answer_side is None else (answer_side, answer_side)
    if tuple(mask_hw.shape) in (tuple(size), answers):
        return
    found, whole = (" x ".join(map(str, shape)) for shape in (mask_hw.shape, size))
    other = "" if answer_side is None else f", or at {answer_side} x {answer_side} as answers have"
    raise PromptError(
        f"the mask of {what} is {found}, the picture is {whole} (height x width). Give the mask at "
        f"the size of the original picture{other}."
    )


def _read_points(points: object, what: str, names: ClickNames) -> np.ndarray:
    """Read one point or several as rows of x and y, doubles."""
    numbers = read_numbers(points)
    table = np.zeros(1) if numbers is None else numbers
    if table.shape == (0,):
        table = table.reshape(0, 2)
    table = table[None] if table.shape == (2,) else table
    if table.ndim != 2 or table.shape[1] != 2:
        raise PromptError(
            f"{names.points} of {what} is {shown(points)}. Give (x, y), or a list of (x, y)."
        )
    check_finite(torch.from_numpy(table), f"{names.points} of {what}")
    return table


def _wrong_labels(name: str, what: str, labels: object) -> PromptError:
    return PromptError(
        f"{name} of {what} is {shown(labels)}. Give True or 1 for a point on the object, False or "
        "0 for one outside it; one for all points, or one for each."
    )
