"""A visitor's photo: prompts and answers as immutable values, so undo is one assignment.

Suffixes: k = candidates, h, w = rows and columns in pixels, of the low-resolution map for logits,
3 = red, green, blue.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sam2_hf.errors import PromptError
from sam2_hf.overlay import DrawnPrompts, Xyxy
from sam2_hf.pipelines.generated_masks import GeneratedMasks
from sam2_hf.pipelines.image_prompts import SegmentationResult
from sam2_hf.processing.images import to_rgb
from sam2_hf.processing.prompts import Click, ObjectPrompt
from sam2_hf.upsampled_masks import upsampled_masks
from sam2_hf.writers.coco_json import as_picture

from .limits import LimitError, Limits, ShownSize, too_many_objects
from .space_model import SpaceModel

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
class PhotoScene:
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

    def with_object(self, changed: SceneObject) -> "PhotoScene":
        """Replace an object by what it is now, and show objects."""
        objects = tuple(changed if one.number == changed.number else one for one in self.objects)
        return replace(self, objects=objects, corner=None, everything=None)

    def with_new_object(self, most: int) -> "PhotoScene":
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

    def with_active(self, number: int) -> "PhotoScene":
        """Let clicks be for another object; one that there is not changes nothing."""
        known = any(one.number == number for one in self.objects)
        return replace(self, active=number, corner=None, everything=None) if known else self

    def with_name(self, name: str) -> "PhotoScene":
        """Call the current object something else."""
        short = " ".join(name.split())[:MAX_NAME] or "object"
        objects = (
            replace(one, name=short) if one.number == self.active else one for one in self.objects
        )
        return replace(self, objects=tuple(objects))

    def with_choice(self, which: int) -> "PhotoScene":
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


WORK_SIDE = 2048  # pixels; larger photos are shrunk, so that memory and waiting stay bounded
UNDO_DEPTH = 50  # steps
DECODING = threading.BoundedSemaphore(2)  # photos that are in memory at full size at a time
STOPPED = "Stopped. What was there before is kept."


class PhotoWork:
    """One photo and all that was said about it.

    Args:
        name: Beginning of the result files' names.
        picture_hw3: The photo, `(height, width, 3)`.
        model: The model.
        limits: How many objects there may be.

    Attributes:
        scene: How things stand.
    """

    def __init__(
        self, name: str, picture_hw3: NDArray[np.uint8], model: SpaceModel, limits: Limits
    ) -> None:
        self.name = name
        self.original_size = picture_hw3.shape[0], picture_hw3.shape[1]
        smaller = ShownSize.within(self.original_size, WORK_SIDE)
        self.picture_hw3 = smaller.picture(picture_hw3)
        self.scene = PhotoScene()
        self._model = model
        self._limits = limits
        self._earlier: list[PhotoScene] = []
        self._stop = threading.Event()
        with model.turns.taken():
            self._encoded = model.photos.encode(self.picture_hw3)

    @classmethod
    def read(cls, path: Path, name: str, model: SpaceModel, limits: Limits) -> "PhotoWork":
        """Read a photo's file and encode it.

        Raises:
            ImageError: It is no picture.
            LimitError: It has too many pixels.
        """
        limits.check_photo(path)
        with DECODING:
            picture_hw3 = as_picture(to_rgb(path))
            smaller = ShownSize.within(picture_hw3.shape[:2], WORK_SIDE)
            small_hw3 = smaller.picture(picture_hw3)
            original_size = picture_hw3.shape[0], picture_hw3.shape[1]
            del picture_hw3  # it is large, and others wait
        work = cls(name, small_hw3, model, limits)
        work.original_size = original_size
        return work

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)` of the photo as it is worked on."""
        return self.picture_hw3.shape[0], self.picture_hw3.shape[1]

    def click(self, xy: Xy, *, positive: bool) -> None:
        """Point at the current object, or beside it.

        Raises:
            PromptError: The click is outside the photo, or the first one is beside the object.
        """
        current = self.scene.current
        if not positive and current.answer is None:
            raise PromptError("Click on the object first, then beside it to take something away.")
        self._ask(replace(current, clicks=(*current.clicks, (*xy, positive))))

    def corner(self, xy: Xy) -> None:
        """Give a corner of a box; the second one makes the box."""
        if self.scene.corner is None:
            self._become(replace(self.scene, corner=xy, everything=None))
            return
        self.box(box_of_corners(self.scene.corner, xy))

    def box(self, box: Xyxy) -> None:
        """Draw a box around the current object; it starts over from that.

        Raises:
            PromptError: The box is empty or outside the photo.
        """
        ObjectPrompt(box=box).check(self.size, 0, "the object")
        self._ask(replace(self.scene.current, box=box, clicks=(), answer=None))

    def add_object(
        self, clicks: tuple[tuple[float, float, bool], ...], box: Xyxy | None = None
    ) -> None:
        """Add an object of which everything is said at once.

        Raises:
            LimitError: There are too many.
            PromptError: A click or the box is outside the photo.
        """
        self.new_object()
        self._ask(replace(self.scene.current, clicks=clicks, box=box))

    def choose(self, which: int) -> None:
        """Take another of the candidates."""
        self._become(self.scene.with_choice(which))

    def new_object(self) -> None:
        """Let the next click begin another object.

        Raises:
            LimitError: There are too many.
        """
        self._become(self.scene.with_new_object(self._limits.objects))

    def activate(self, number: int) -> None:
        """Go on with another object."""
        self.scene = self.scene.with_active(number)

    def rename(self, name: str) -> None:
        """Call the current object something else."""
        self.scene = self.scene.with_name(name)

    def undo(self) -> bool:
        """Take the last step back; tell whether there was one."""
        if not self._earlier:
            return False
        self.scene = self._earlier.pop()
        return True

    def clear(self) -> None:
        """Forget all objects; undo brings them back."""
        self._become(PhotoScene())

    def find_all(
        self, options: dict[str, Any], on_progress: Callable[[int, int], None]
    ) -> GeneratedMasks:
        """Find everything in the photo, letting others have their turn after each batch.

        Args:
            options: Of [`EverythingOptions`].
            on_progress: Told how many clicks are done, of how many. What it raises ends the search.

        Raises:
            PromptError: An option has a value that cannot be used.
        """
        turns = self._model.turns
        if self._stop.is_set():  # while it waited in the queue
            raise LimitError(STOPPED)

        def after_batch(done: int, total: int) -> None:
            turns.pass_on()
            if self._stop.is_set():
                raise LimitError(STOPPED)
            on_progress(done, total)

        told = after_batch if self._model.reports_progress else None
        with turns.taken():
            found = self._model.photos.find_all(self.picture_hw3, options, told)
        self._become(replace(self.scene, corner=None, everything=found))
        return found

    def stop(self) -> None:
        """Let a search for everything end after its batch; one in the queue ends, too."""
        self._stop.set()

    def expect_job(self) -> None:
        """Forget an earlier stop, before a search goes into the queue."""
        self._stop.clear()

    def close(self) -> None:
        """End what is going on, and forget the steps."""
        self.stop()
        self._earlier.clear()

    def _ask(self, asked: SceneObject) -> None:
        """Let the model answer what is said of an object now."""
        prompt = asked.prompt(knows_boxes=self._model.knows_boxes)
        with self._model.turns.taken():
            single = None
            if not asked.is_ambiguous:
                single = self._model.photos.answer(self._encoded, prompt, False)  # noqa: FBT003
            several = self._model.photos.answer(self._encoded, prompt, True)  # noqa: FBT003
        self._become(
            self.scene.with_object(replace(asked, answer=Answer.of_results(several, single)))
        )

    def _become(self, scene: PhotoScene) -> None:
        self._earlier = [*self._earlier, self.scene][-UNDO_DEPTH:]
        self.scene = scene


def box_of_corners(first: Xy, second: Xy) -> Xyxy:
    """Make a box of two opposite corners, whichever they are.

    Raises:
        PromptError: They lie on one line.
    """
    (x0, y0), (x1, y1) = first, second
    if x0 == x1 or y0 == y1:
        raise PromptError("The two corners make no box. Click two opposite corners around it.")
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
