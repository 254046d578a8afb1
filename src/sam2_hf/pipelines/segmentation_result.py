"""Results of promptable segmentation: one object of a photo, or several.

Suffixes: k = masks of one object, h, w = rows and columns of the low-resolution map.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from sam2_hf import rle as run_lengths
from sam2_hf.overlay import DrawnPrompts
from sam2_hf.processing.prompts import ObjectPrompt
from sam2_hf.results.found_object import FoundObject, Origin
from sam2_hf.results.picture_masks import PictureMasks
from sam2_hf.upsampled_masks import upsampled_statistics

from .result_mapping import ResultMapping


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SegmentationResult(ResultMapping, PictureMasks):
    """Masks of one object of one photo; attributes are also items, `result["masks"]`.

    A single click may mean a shirt or the person wearing it, so there are three masks; with
    `multimask=False` there is one. `plot`, `save` and the like take the one with the highest score.

    Attributes:
        masks: `(k, height, width)` bool, pixels of the photo.
        scores: `(k,)` float32, predicted IoU of each mask, 0-1.
        low_res_logits: `(k, h, w)` float32 within +-32, a quarter of the model's input size; one of
            them can be the `mask` of the next prompt.
        object_score: Logits; above 0 the object is in the picture.
        object_id: Number of the object in its call, from 1.
        name: What it is; None if unknown.
        prompt: The prompt that was answered; None if unknown.
        origin: Where the photo came from; None if unknown.
        detection_score: The detector's confidence, 0-1; None for an object that was pointed at.
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("masks", "scores", "low_res_logits", "object_score")

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    low_res_logits: NDArray[np.float32]
    object_score: float
    object_id: int = 1
    name: str | None = None
    prompt: ObjectPrompt | None = None
    origin: Origin | None = None
    detection_score: float | None = None

    @property
    def best_index(self) -> int:
        """Index of the mask with the highest score."""
        return int(self.scores.argmax())

    @property
    def best(self) -> NDArray[np.bool_]:
        """The mask with the highest score, `(height, width)` bool."""
        return self.masks[self.best_index]

    @property
    def best_score(self) -> float:
        """Its score, 0-1."""
        return float(self.scores[self.best_index])

    @property
    def best_logits(self) -> NDArray[np.float32]:
        """Its low-resolution logits, `(h, w)`: pass them as `mask` together with the next click."""
        return self.low_res_logits[self.best_index]

    @property
    def picture_size(self) -> tuple[int, int]:
        """`(height, width)` of the photo."""
        return self.masks.shape[1], self.masks.shape[2]

    @property
    def picture_origin(self) -> Origin | None:
        """Where the photo came from; None if unknown."""
        return self.origin

    def named(self, names: Mapping[int, str]) -> Self:
        """Return the same result with the name of its id."""
        return replace(self, name=names.get(self.object_id, self.name))

    def found_objects(self) -> list[FoundObject]:
        """List the object, with its best mask."""
        return [self.found_object(self.best_index)]

    def found_object(self, row: int) -> FoundObject:
        """Return the object with one of its masks.

        Args:
            row: Index of the mask.
        """
        logits_1hw = torch.from_numpy(self.low_res_logits[row : row + 1])
        stability_1 = upsampled_statistics(logits_1hw, self.picture_size).stability_m
        drawn = self.drawn_prompts() or DrawnPrompts()
        about: dict[str, Any] = {
            "object_id": self.object_id,
            "predicted_iou": float(self.scores[row]),
            "stability_score": float(torch.nan_to_num(stability_1)[0]),
            "object_score": self.object_score,
            "prompt_points": [[x, y, int(positive)] for x, y, positive in drawn.clicks],
            "prompt_boxes": [list(box) for box in drawn.boxes],
        }
        if self.detection_score is not None:
            about["detection_score"] = self.detection_score
        rle = run_lengths.encode(self.masks[row])
        return FoundObject(self.object_id, rle, float(self.scores[row]), self.name, about)

    def drawn_prompts(self) -> DrawnPrompts | None:
        """Return the clicks and the box of its own prompt."""
        if self.prompt is None:
            return None
        clicks = tuple((*click.xy, click.positive) for click in self.prompt.clicks)
        return DrawnPrompts(clicks, () if self.prompt.box is None else (self.prompt.box,))


class _SeveralObjects(PictureMasks):
    """The objects of one photo together."""

    size: tuple[int, int] = (0, 0)
    origin: Origin | None = None

    def _each(self) -> Iterable[SegmentationResult]:
        raise NotImplementedError

    @property
    def picture_size(self) -> tuple[int, int]:
        """`(height, width)` of the photo."""
        return self.size

    @property
    def picture_origin(self) -> Origin | None:
        """Where the photo came from; None if unknown."""
        return self.origin

    def found_objects(self) -> list[FoundObject]:
        """List the objects, each with its best mask."""
        return [found for result in self._each() for found in result.found_objects()]

    def drawn_prompts(self) -> DrawnPrompts | None:
        """Return the clicks and boxes of all objects."""
        drawn = [result.drawn_prompts() or DrawnPrompts() for result in self._each()]
        clicks = tuple(click for prompts in drawn for click in prompts.clicks)
        return DrawnPrompts(clicks, tuple(box for prompts in drawn for box in prompts.boxes))

    def of_photo(self, size: tuple[int, int], origin: Origin | None) -> Self:
        """Remember size and origin of the photo."""
        self.size, self.origin = size, origin
        return self


class SegmentationList(_SeveralObjects, list[SegmentationResult]):
    """A list of [`SegmentationResult`], one for each object of a photo."""

    def _each(self) -> Iterable[SegmentationResult]:
        return iter(self)

    def named(self, names: Mapping[int, str]) -> Self:
        """Return the same list with names of objects, by their ids from 1."""
        return type(self)(result.named(names) for result in self).of_photo(self.size, self.origin)


class SegmentationDict(_SeveralObjects, dict[Hashable, SegmentationResult]):
    """A dictionary from the names of a call to [`SegmentationResult`]s."""

    def _each(self) -> Iterable[SegmentationResult]:
        return self.values()

    def named(self, names: Mapping[int, str]) -> Self:
        """Return the same dictionary with names of objects, by their ids from 1."""
        renamed = {key: result.named(names) for key, result in self.items()}
        return type(self)(renamed).of_photo(self.size, self.origin)


Answers = Any  # a SegmentationResult, a list or a dictionary of them
