"""Prompts of the objects of one photo."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.number_reading import read_numbers, shown
from sam2_hf.open_vocabulary.detection import Detection
from sam2_hf.processing.prompt_reading import read_clicks
from sam2_hf.processing.prompts import ObjectPrompt

from .segmentation_result import (
    SegmentationDict,
    SegmentationList,
    SegmentationResult as SegmentationResult,
)

Given = Any  # any argument: numbers, lists, arrays, tensors


class PromptParts(TypedDict, total=False):
    """One object as keyword arguments; pixels of the photo.

    Attributes:
        points: One `(x, y)`, several, or [`Click`]s.
        labels: 1 for a point on the object, 0 for one outside it; one for all points, or one for
            each; all 1 by default.
        box: `(x0, y0, x1, y1)`.
        mask: A mask of the object or an earlier answer; see [`ObjectPrompt`].
    """

    points: Any
    labels: Any
    box: Any
    mask: Any


PARTS = frozenset(PromptParts.__annotations__)
OneObject = ObjectPrompt | PromptParts
Objects = OneObject | Sequence[OneObject] | Mapping[Hashable, OneObject]


@dataclass(frozen=True, slots=True)
class AskedObjects:
    """The objects requested for one photo.

    Attributes:
        names: Name or number of each object, for messages and for `shaped`.
        prompts: The objects.
        form: Whether one object, a list or a dictionary was given.
        detections: What a detector says of each; empty if the objects were given.
    """

    names: tuple[Hashable, ...]
    prompts: tuple[ObjectPrompt, ...]
    form: type
    detections: tuple[Detection, ...] = ()

    @classmethod
    def read(cls, objects: Objects | None, parts: Mapping[str, Any]) -> "AskedObjects":
        """Parse the arguments of a call.

        Args:
            objects: One object, a list of objects, or a dictionary from names to objects; the list
                and the dictionary may be empty.
            parts: Instead, one object's parts as keyword arguments, or `boxes`, `(n, 4)`, one
                object each.

        Raises:
            PromptError: Both or neither are given, or a part is invalid.
        """
        given = {name: part for name, part in parts.items() if part is not None}
        if isinstance(objects, np.ndarray | Tensor) and not given:
            return cls._of_boxes(objects)
        if "boxes" in given and len(given) == 1 and objects is None:
            return cls._of_boxes(given["boxes"])
        if "boxes" in given:
            raise PromptError(
                "boxes are given together with other prompts. They mean one object per row; "
                "give box= for one object, or objects=[...] for several with clicks of their own."
            )
        if (objects is None) == (not given):
            raise PromptError(
                f"there {'is no prompt' if objects is None else 'are both objects and keywords'}. "
                "Give points=, box= or mask= for one object, objects= or boxes= for several."
            )
        asked: Any = given if objects is None else objects
        if isinstance(asked, ObjectPrompt) or objects is None or _is_parts(asked):
            return cls(("the object",), (object_prompt(asked),), ObjectPrompt)
        if isinstance(asked, Mapping):
            names, values = tuple(asked), list(asked.values())
        elif not isinstance(asked, Sequence):
            raise PromptError(
                f"objects are {shown(asked)}. Give an ObjectPrompt, a list or a dictionary of "
                "them, or (n, 4) boxes."
            )
        else:
            names, values = tuple(range(len(asked))), list(asked)
        form = dict if isinstance(asked, Mapping) else list
        return cls(names, tuple(map(object_prompt, values)), form)

    @classmethod
    def _of_boxes(cls, boxes: Given) -> "AskedObjects":
        """Make an object of each row of a detector's `(n, 4)` boxes; n may be 0."""
        numbers = read_numbers(boxes)
        table = np.zeros(1) if numbers is None else numbers
        if table.size == 0 and table.shape[-1] in (0, 4):
            table = table.reshape(0, 4)
        if table.ndim != 2 or table.shape[1] != 4:
            raise PromptError(
                f"boxes are {shown(boxes)}. Give (n, 4): a row (x0, y0, x1, y1) for each object."
            )
        prompts = tuple(ObjectPrompt(box=tuple(row)) for row in table.tolist())
        return cls(tuple(range(len(prompts))), prompts, list)

    @classmethod
    def of_detections(cls, detections: Sequence[Detection]) -> "AskedObjects":
        """Make an object of each detection; there may be none."""
        prompts = tuple(ObjectPrompt(box=detection.box) for detection in detections)
        return cls(tuple(range(len(prompts))), prompts, list, tuple(detections))

    def check(self, original_size: tuple[int, int], model_size: int) -> None:
        """Check every prompt against the photo's and the model's size.

        Raises:
            PromptError: A click or box is outside, a box is inverted, or a mask does not fit.
        """
        for name, prompt in zip(self.names, self.prompts, strict=True):
            what = str(name) if self.form is ObjectPrompt else f"object {name!r}"
            prompt.check(original_size, model_size, what)

    def shaped(self, results: Sequence[Given]) -> Given:
        """Return results in the form of the objects: one, a list, or a dictionary."""
        if self.form is ObjectPrompt:
            return results[0]
        if self.form is dict:
            return SegmentationDict(zip(self.names, results, strict=True))
        return SegmentationList(results)

    def detection_score(self, place: int) -> float | None:
        """Return the detector's score of an object; None if it was given."""
        return self.detections[place].score if self.detections else None

    def name_of(self, place: int) -> str | None:
        """Return the name of an object; None if objects are numbered."""
        if self.detections:
            return self.detections[place].label
        name = self.names[place]
        return name if self.form is dict and isinstance(name, str) else None


def object_prompt(given: Given) -> ObjectPrompt:
    """Read one object.

    Args:
        given: An [`ObjectPrompt`], or a dictionary with `points`, `labels`, `box`, `mask`.

    Raises:
        PromptError: It has another type, or a part is invalid.
    """
    if isinstance(given, ObjectPrompt):
        return given
    if not isinstance(given, Mapping) or not set(given) <= PARTS:
        raise PromptError(
            f"an object is given as {shown(given)}. Give ObjectPrompt(clicks=..., box=...), or a "
            "dictionary with some of points, labels, box and mask."
        )
    points, labels = given.get("points"), given.get("labels")
    clicks = read_clicks(() if points is None else points, labels, "the object")
    return ObjectPrompt(clicks=clicks, box=given.get("box"), mask=given.get("mask"))


def _is_parts(asked: Given) -> bool:
    """Whether a dictionary holds one object's parts, not named objects."""
    if not isinstance(asked, Mapping) or not asked or not set(asked) <= PARTS:
        return False
    return not any(isinstance(value, Mapping | ObjectPrompt) for value in asked.values())
