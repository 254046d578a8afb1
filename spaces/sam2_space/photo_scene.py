"""What has been said about a photo and answered: values that never change, so undo is easy.

Suffixes: k = candidates, h, w = rows and columns of the low-resolution map.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from sam2_hf.overlay import DrawnPrompts, Xyxy
from sam2_hf.pipelines.generated_masks import GeneratedMasks
from sam2_hf.pipelines.segmentation_result import SegmentationResult
from sam2_hf.processing.prompts import Click, ObjectPrompt
from sam2_hf.upsampled_masks import upsampled_masks

from .limits import too_many_objects

Xy = tuple[float, float]
MAX_NAME = 40  # characters


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The masks that the model offers for an object.

    Attributes:
        logits_khw: Low-resolution logits of each.
        scores: Predicted IoU of each.
        object_score: Whether the object is there at all, logits.
        chosen: Which of them is taken.
    """

    logits_khw: NDArray[np.float32]
    scores: tuple[float, ...]
    object_score: float
    chosen: int

    @classmethod
    def of_results(
        cls, several: SegmentationResult, single: SegmentationResult | None = None
    ) -> "Answer":
        """Offer three masks, and before them a single one if there is; the best one is taken."""
        parts = [several] if single is None else [single, several]
        scores = tuple(float(score) for one in parts for score in one.scores)
        return cls(
            np.concatenate([one.low_res_logits for one in parts]),
            scores,
            several.object_score,
            int(np.argmax(scores)),
        )

    def mask(self, size: tuple[int, int], which: int | None = None) -> NDArray[np.bool_]:
        """Draw a candidate, the chosen one if None.

        Args:
            size: `(height, width)`.
            which: Number of the candidate.
        """
        place = self.chosen if which is None else which
        (mask_hw,) = upsampled_masks(torch.from_numpy(self.logits_khw[place : place + 1]), size)
        return mask_hw.numpy()

    def as_result(self, size: tuple[int, int]) -> SegmentationResult:
        """Give the chosen candidate as the pipelines do."""
        row = slice(self.chosen, self.chosen + 1)
        return SegmentationResult(
            masks=self.mask(size)[None],
            scores=np.array(self.scores[row], np.float32),
            low_res_logits=self.logits_khw[row],
            object_score=self.object_score,
        )


@dataclass(frozen=True, slots=True, eq=False)
class SceneObject:
    """One object in a photo.

    Attributes:
        number: From 1.
        name: What the visitor calls it.
        clicks: `(x, y, positive)` of each.
        box: Around it, if any.
        answer: The model's; None before the first prompt.
    """

    number: int
    name: str
    clicks: tuple[tuple[float, float, bool], ...] = ()
    box: Xyxy | None = None
    answer: Answer | None = None

    @property
    def drawn(self) -> DrawnPrompts:
        """Its prompts, to be drawn."""
        return DrawnPrompts(self.clicks, () if self.box is None else (self.box,))

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is only a click, which may mean a part or the whole."""
        return self.box is None and len(self.clicks) == 1

    def prompt(self, *, knows_boxes: bool = True) -> ObjectPrompt:
        """Put it as the model is asked; a later click improves the mask that was chosen.

        Args:
            knows_boxes: Whether the model does; if not, a box is a click in its middle.
        """
        earlier = None
        if self.answer is not None:
            chosen = self.answer.chosen
            earlier = torch.from_numpy(self.answer.logits_khw[chosen])
        clicks = [Click((x, y), positive=positive) for x, y, positive in self.clicks]
        if self.box is None or knows_boxes:
            return ObjectPrompt(clicks, self.box, earlier)
        return ObjectPrompt([Click(middle(self.box)), *clicks], mask_logits=earlier)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Everything about a photo at one time.

    Attributes:
        objects: In the order they came.
        active: Number of the object that clicks are for.
        corner: First corner of a box whose second is still to come.
        everything: What everything-mode found, if that is to be seen.
    """

    objects: tuple[SceneObject, ...] = (SceneObject(1, "object"),)
    active: int = 1
    corner: Xy | None = None
    everything: GeneratedMasks | None = None

    @property
    def current(self) -> SceneObject:
        """The object that clicks are for."""
        return next(one for one in self.objects if one.number == self.active)

    @property
    def answered(self) -> tuple[SceneObject, ...]:
        """The objects that have a mask."""
        return tuple(one for one in self.objects if one.answer is not None)

    @property
    def drawn(self) -> DrawnPrompts:
        """All prompts that are to be seen: those of the current object."""
        current = self.current.drawn
        corner = () if self.corner is None else ((*self.corner, True),)
        return DrawnPrompts((*current.clicks, *corner), current.boxes)

    def with_object(self, changed: SceneObject) -> "Scene":
        """Replace an object by what it is now, and show objects."""
        objects = tuple(changed if one.number == changed.number else one for one in self.objects)
        return replace(self, objects=objects, corner=None, everything=None)

    def with_new_object(self, most: int) -> "Scene":
        """Add an object for the next clicks, unless the newest one is still without any.

        Raises:
            LimitError: There are `most` already.
        """
        unused = [one for one in self.objects if one.answer is None]
        if unused:
            return replace(self, active=unused[-1].number, corner=None, everything=None)
        if len(self.objects) >= most:
            raise too_many_objects(most)
        number = max(one.number for one in self.objects) + 1
        objects = (*self.objects, SceneObject(number, "object"))
        return replace(self, objects=objects, active=number, corner=None, everything=None)

    def with_active(self, number: int) -> "Scene":
        """Let clicks be for another object; one that there is not changes nothing."""
        known = any(one.number == number for one in self.objects)
        return replace(self, active=number, corner=None, everything=None) if known else self

    def with_name(self, name: str) -> "Scene":
        """Call the current object something else."""
        short = " ".join(name.split())[:MAX_NAME] or "object"
        objects = (
            replace(one, name=short) if one.number == self.active else one for one in self.objects
        )
        return replace(self, objects=tuple(objects))

    def with_choice(self, which: int) -> "Scene":
        """Take another candidate of the current object."""
        answer = self.current.answer
        if answer is None or not 0 <= which < len(answer.scores):
            return self
        return self.with_object(replace(self.current, answer=replace(answer, chosen=which)))

    def labels(self) -> Iterator[tuple[str, int]]:
        """List the objects as choices: what to read, and the number."""
        for one in self.objects:
            yield f"{one.number} · {one.name}", one.number


def middle(box: Xyxy) -> Xy:
    """Find the middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
