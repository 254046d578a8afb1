"""Prompts of objects, and batches of them as padded tensors.

Suffixes: b = images, p = objects of one image, n = labeled points of one object, 2 = x and y,
h, w = rows and columns of a mask prompt (input size / 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.geometry import to_model_pixels

from .mask_values import Mask, check_mask_values, drawn_logits, is_answer, one_map
from .prompt_checks import PADDING_LABEL, check_boxes, check_finite, check_mask, mask_side
from .prompt_reading import (
    PROMPT_NAMES,
    Click as Click,
    Xyxy,
    check_clicks,
    check_mask_size,
    labeled_points,
    read_box,
    read_clicks,
    read_mask_logits,
)
from .prompt_tensors import pad_objects


@dataclass(frozen=True, slots=True, eq=False)
class ObjectPrompt:
    """Prompts for one object of one picture.

    Attributes:
        clicks: [`Click`]s, or `(x, y)` for positive ones; a single one needs no list.
        box: `(x0, y0, x1, y1)` in pixels of the original picture.
        mask_logits: Low-resolution mask of an earlier prediction, logits, `(h, w)` or
            `(1, h, w)` with h = w = input size / 4. Floats are used as given.
        mask: A mask of the object at the size of the picture or of `mask_logits`: booleans, 0 and
            255, probabilities or logits, see `processing/mask_values.py`. An earlier answer is
            accepted and used like `mask_logits`.

    Raises:
        PromptError: It is empty, has both `mask` and `mask_logits`, or a part is malformed.

    Example:
        >>> ObjectPrompt(clicks=[Click((290, 225)), Click((120, 260), positive=False)]).box is None
        True
        >>> ObjectPrompt(box=(170, 20, 420, 350)).box
        (170.0, 20.0, 420.0, 350.0)
    """

    clicks: Sequence[Click] = ()
    box: Xyxy | None = None
    mask_logits: Tensor | None = field(default=None, repr=False)
    mask: Mask | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        clicks = read_clicks(self.clicks, None, "the object", PROMPT_NAMES)
        object.__setattr__(self, "clicks", clicks)
        if self.box is not None:
            object.__setattr__(self, "box", read_box(self.box, None, "the object"))
        if self.mask_logits is not None:
            object.__setattr__(self, "mask_logits", read_mask_logits(self.mask_logits))
        if self.mask is not None:
            object.__setattr__(self, "mask", one_map(self.mask, "a mask"))
            if self.mask_logits is not None:
                raise PromptError("there are both mask and mask_logits. Give one of them.")
        if not clicks and self.box is None and not self.has_mask:
            raise PromptError(
                "the prompt is empty: it has no click, no box and no mask. "
                "Give at least one, such as ObjectPrompt(clicks=[Click((x, y))])."
            )

    @property
    def has_mask(self) -> bool:
        """Whether there is a mask of either kind."""
        return self.mask is not None or self.mask_logits is not None

    def labeled_points(self) -> tuple[Tensor, Tensor]:
        """List corners of the box, then clicks, with their labels: `(n, 2)` and `(n,)`."""
        return labeled_points(self.clicks, self.box)

    def check(self, original_size: tuple[int, int], model_size: int, what: str) -> None:
        """Check against the picture.

        Args:
            original_size: `(height, width)` of the picture.
            model_size: Input size of the model.
            what: Name of the object in messages.

        Raises:
            PromptError: A click or the box is outside, the box is inverted, or the mask has the
                wrong size or ambiguous values.
        """
        check_clicks(self.clicks, original_size, what)
        if self.box is not None:
            check_boxes(torch.tensor([self.box]), original_size, what)
        if self.mask_logits is not None:
            check_mask(self.mask_logits, model_size, what)
        if isinstance(self.mask, Tensor):
            _check_drawn(self.mask, original_size, mask_side(model_size), what)

    def low_res_mask(self, model_size: int) -> Tensor | None:
        """Return the mask as low-resolution logits, `(h, w)`; None if there is none.

        Args:
            model_size: Input size of the model, as passed to `check`.
        """
        if isinstance(self.mask, Tensor):
            return drawn_logits(self.mask, mask_side(model_size), "the mask")
        return self.mask_logits


@dataclass(frozen=True, slots=True, eq=False)
class PromptBatch:
    """Prompts of several pictures, padded to one shape.

    Attributes:
        input_points: `(b, p, n, 2)`, model pixels, or None if no object has a point or box.
        input_labels: `(b, p, n)`, int64; -10 is padding, which the model ignores.
        input_masks: `(b, p, h, w)`, logits, or None.
        num_objects: Objects of each image before padding.
    """

    input_points: Tensor | None
    input_labels: Tensor | None
    input_masks: Tensor | None
    num_objects: tuple[int, ...]

    @classmethod
    def from_prompts(
        cls,
        prompts: Sequence[Sequence[ObjectPrompt]],
        original_sizes: Sequence[tuple[int, int]],
        model_size: int,
    ) -> "PromptBatch":
        """Check, scale and pad.

        Args:
            prompts: For each image its objects.
            original_sizes: `(height, width)` of each image.
            model_size: Input size of the model, such as 1024.

        Raises:
            PromptError: A prompt does not fit its picture, an image has no object, the numbers of
                images differ, or objects that need separate calls are mixed (see
                `group_by_kind`).
        """
        _check_batch(prompts, original_sizes, model_size)
        points, labels = [], []
        for objects, size in zip(prompts, original_sizes, strict=True):
            pairs = [prompt.labeled_points() for prompt in objects]
            points.append([to_model_pixels(xy, size, model_size) for xy, _ in pairs])
            labels.append([label for _, label in pairs])
        masks = [
            [mask for prompt in row if (mask := prompt.low_res_mask(model_size)) is not None]
            for row in prompts
        ]
        has_points = any(len(label_n) for objects in labels for label_n in objects)
        return cls(
            input_points=pad_objects(points, float(PADDING_LABEL)) if has_points else None,
            input_labels=pad_objects(labels, PADDING_LABEL) if has_points else None,
            input_masks=pad_objects(masks, 0.0) if masks[0] else None,
            num_objects=tuple(len(objects) for objects in prompts),
        )

    def to(self, device: torch.device | str) -> "PromptBatch":
        """Return this batch on `device`."""
        moved = {name: tensor.to(device) for name, tensor in self.model_inputs().items()}
        return PromptBatch(
            input_points=moved.get("input_points"),
            input_labels=moved.get("input_labels"),
            input_masks=moved.get("input_masks"),
            num_objects=self.num_objects,
        )

    def model_inputs(self) -> dict[str, Tensor]:
        """Return the tensors by the model's argument names."""
        named = {
            "input_points": self.input_points,
            "input_labels": self.input_labels,
            "input_masks": self.input_masks,
        }
        return {name: tensor for name, tensor in named.items() if tensor is not None}


def group_by_kind(prompts: Sequence[ObjectPrompt]) -> list[list[int]]:
    """Group objects that can share one call of the model.

    Objects with and without a mask prompt, with and without points, need separate calls.

    Returns:
        Positions in `prompts` for each group, in order.
    """
    groups: dict[tuple[bool, bool], list[int]] = {}
    for index, prompt in enumerate(prompts):
        groups.setdefault(_kind(prompt), []).append(index)
    return list(groups.values())


def _check_batch(
    prompts: Sequence[Sequence[ObjectPrompt]],
    original_sizes: Sequence[tuple[int, int]],
    model_size: int,
) -> None:
    if len(prompts) != len(original_sizes):
        raise PromptError(
            f"there are prompts for {len(prompts)} image(s) and {len(original_sizes)} image(s). "
            "Give one list of objects per image."
        )
    for image_index, (objects, size) in enumerate(zip(prompts, original_sizes, strict=True)):
        if not objects:
            raise PromptError(
                f"image {image_index} has no object to segment. Leave the image out, or add a "
                "prompt for it."
            )
        for object_index, prompt in enumerate(objects):
            prompt.check(size, model_size, f"object {object_index} of image {image_index}")
    if len({_kind(prompt) for objects in prompts for prompt in objects}) > 1:
        raise PromptError(
            "objects with and without a mask prompt (or without any point) cannot share one call. "
            "Prompt them one after another; `group_by_kind` sorts them."
        )


def _check_drawn(mask_hw: Tensor, picture: tuple[int, int], side: int, what: str) -> None:
    """Check the size and the values of a mask."""
    check_mask_size(mask_hw, picture, what, side)
    if is_answer(mask_hw, side):
        check_finite(mask_hw, f"the mask of {what}")
    else:
        check_mask_values(mask_hw, f"the mask of {what}")


def _kind(prompt: ObjectPrompt) -> tuple[bool, bool]:
    return prompt.has_mask, bool(prompt.clicks) or prompt.box is not None
