"""Prompts as nested lists, arrays or tensors, read into one tensor per object and checked.

Suffixes: n = points of one object, 2 = x and y, 4 = x0, y0, x1, y1, h, w = rows and columns of a
mask prompt. `[image][object]` stands for a list of lists.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.number_reading import UNREADABLE, shown

from .prompt_reading import read_mask_logits

Objects = list[list[Tensor]]  # [image][object]


@dataclass(frozen=True, slots=True)
class Nesting:
    """Nesting of an argument, described for messages.

    Attributes:
        name: Name of the argument.
        levels: Meaning of each level of lists.
        length: Count of numbers in the innermost lists; None if any.
        example: One image with one object.
    """

    name: str
    levels: tuple[str, ...]
    length: int | None
    example: str

    def __str__(self) -> str:
        """Write the levels as indices."""
        return "".join(f"[{level}]" for level in self.levels)


POINTS = Nesting("input_points", ("image", "object", "point", "x, y"), 2, "[[[[500, 375]]]]")
LABELS = Nesting("input_labels", ("image", "object", "point"), None, "[[[1]]]")
BOXES = Nesting("input_boxes", ("image", "object", "x0, y0, x1, y1"), 4, "[[[75, 275, 1725, 850]]]")


def read_nested(data: object, nesting: Nesting) -> Objects:
    """Read points, labels or boxes.

    Args:
        data: Lists, tuples, arrays, tensors, or any nesting of these. Not modified.
        nesting: Required nesting.

    Returns:
        For each image, for each object a tensor of doubles: `(n, 2)`, `(n,)` or `(4,)`. An image
        may have no object, an object no point.

    Raises:
        PromptError: The depth is wrong, or a point or box has too many or too few numbers.
    """
    try:
        lists = _plain(data, nesting)
        depths = set(_depths(lists))
    except RecursionError as error:
        raise PromptError(
            f"{nesting.name} is nested in itself. It needs {len(nesting.levels)} levels: "
            f"{nesting}. One image with one object is {nesting.example}."
        ) from error
    wanted = len(nesting.levels)
    if depths - {wanted}:
        raise PromptError(
            f"{nesting.name} has {_words(depths)} levels of nesting, it needs {wanted}: {nesting}. "
            f"One image with one object is {nesting.example}."
        )
    return [[_object_tensor(prompt, nesting) for prompt in objects] for objects in lists]


def read_masks(data: Any, num_images: int) -> Objects:  # noqa: ANN401 - whatever a caller has
    """Read mask prompts.

    Args:
        data: Logits, `(images, objects, h, w)`, with or without an axis of length 1 before `h`; or
            a list with one `(objects, h, w)` or list of `(h, w)` per image.
        num_images: Number of images; with one, the outermost level may be omitted.

    Returns:
        For each image, for each object `(h, w)`.

    Raises:
        PromptError: A mask is not a single map, or the nesting is wrong.
    """
    images = data if isinstance(data, (list, tuple)) else _as_array(data)
    if isinstance(images, Tensor) and images.ndim <= 3 and num_images == 1:
        images = images[None]
    return [[read_mask_logits(_as_array(mask)) for mask in list_maps(entry)] for entry in images]


def list_maps(masks: Any) -> list[Any]:  # noqa: ANN401 - whatever a caller has
    """Split the masks of one picture, one for each object.

    Args:
        masks: A list; or an array, tensor or picture `(h, w)`, or `(objects, h, w)`, also with
            leading axes of length 1.

    Raises:
        PromptError: It has another form.
    """
    given = np.asarray(masks) if isinstance(masks, Image.Image) else masks
    if isinstance(given, (np.ndarray, Tensor)):
        while given.ndim > 3 and given.shape[0] == 1:
            given = given[0]
        return [given] if given.ndim <= 2 else list(given)
    if not isinstance(given, Iterable):
        raise PromptError(f"input_masks is {shown(given)}. Give one map (h, w) for each object.")
    return list(given)


def _as_array(data: Any) -> Tensor:  # noqa: ANN401
    try:
        return data.detach() if isinstance(data, Tensor) else torch.from_numpy(np.array(data))
    except UNREADABLE as error:
        raise PromptError(f"input_masks cannot be read as maps of numbers: {error}.") from error


def _plain(data: object, nesting: Nesting) -> Any:  # noqa: ANN401
    """Convert to plain lists and numbers."""
    if isinstance(data, (np.ndarray, np.generic, Tensor)):
        return _plain(data.tolist(), nesting)  # an object array holds more lists
    if isinstance(data, (list, tuple)):
        return [_plain(item, nesting) for item in data]
    if isinstance(data, (int, float)):
        return data
    raise PromptError(
        f"{nesting.name} holds {shown(data)}, which is not a number. Give lists, an array or a "
        f"tensor, such as {nesting.example}."
    )


def _depths(lists: object, depth: int = 0) -> Iterator[int]:
    """Yield the depth of each number."""
    if not isinstance(lists, list):
        yield depth
        return
    for item in lists:
        yield from _depths(item, depth + 1)


def _words(depths: set[int]) -> str:
    return " and ".join(str(depth) for depth in sorted(depths))


def _object_tensor(prompt: Sequence[Any], nesting: Nesting) -> Tensor:
    """Read one object's numbers, checking their count."""
    has_places = len(nesting.levels) > 3  # image, object, numbers
    for place in prompt if has_places else [prompt]:
        if nesting.length is not None and len(place) != nesting.length:
            raise PromptError(
                f"{nesting.name} holds {shown(place)} where {nesting.length} numbers are needed: "
                f"({nesting.levels[-1]})."
            )
    try:
        tensor = torch.tensor(prompt, dtype=torch.float64)
    except UNREADABLE as error:  # 10**400, or a list in place of a number
        raise PromptError(
            f"{nesting.name} holds {shown(prompt)}, which are not numbers. Give lists, an array "
            f"or a tensor, such as {nesting.example}."
        ) from error
    if has_places:
        return tensor.reshape(-1, nesting.length or 1)
    if tensor.ndim != 1:
        raise PromptError(f"{nesting.name} holds {shown(prompt)}, where numbers are needed.")
    return tensor
