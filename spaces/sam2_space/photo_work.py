"""Photo of a visitor: prompts and masks as immutable values, so that undo is one assignment.

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
from sam2_hf.pipelines.generated_masks import GeneratedMask, GeneratedMasks
from sam2_hf.pipelines.image_prompts import SegmentationResult
from sam2_hf.processing.images import to_rgb
from sam2_hf.processing.prompts import Click, ObjectPrompt
from sam2_hf.results.pictures import as_picture
from sam2_hf.upsampled_masks import upsampled_masks

from .limits import LimitError, Limits, ShownSize, too_many_objects
from .space_model import SpaceModel

Xy = tuple[float, float]
MAX_NAME = 40  # characters


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Candidate masks of an object.

    Attributes:
        logits_khw: Low-resolution logits of each.
        scores: Predicted IoU of each.
        object_score: Logits; above 0 the object is visible.
        chosen: Index of the chosen one.
    """

    logits_khw: NDArray[np.float32]
    scores: tuple[float, ...]
    object_score: float
    chosen: int

    @classmethod
    def of_results(
        cls, several: SegmentationResult, single: SegmentationResult | None = None
    ) -> "Answer":
        """Collect three masks, after a single one if given, and choose the best."""
        parts = [several] if single is None else [single, several]
        scores = tuple(float(score) for result in parts for score in result.scores)
        return cls(
            np.concatenate([result.low_res_logits for result in parts]),
            scores,
            several.object_score,
            int(np.argmax(scores)),
        )

    def mask(self, size: tuple[int, int], which: int | None = None) -> NDArray[np.bool_]:
        """Return the mask of a candidate.

        Args:
            size: `(height, width)`.
            which: Index of the candidate; the chosen one if None.
        """
        place = self.chosen if which is None else which
        (mask_hw,) = upsampled_masks(torch.from_numpy(self.logits_khw[place : place + 1]), size)
        return mask_hw.numpy()

    def closest_to(self, mask_hw: NDArray[np.bool_]) -> "Answer":
        """Choose the candidate with the highest IoU with a mask."""
        size = mask_hw.shape[0], mask_hw.shape[1]
        candidates = [self.mask(size, which) for which in range(len(self.scores))]
        unions = [int(np.count_nonzero(candidate | mask_hw)) for candidate in candidates]
        ious = [
            np.count_nonzero(candidate & mask_hw) / max(union, 1)
            for candidate, union in zip(candidates, unions, strict=True)
        ]
        return replace(self, chosen=int(np.argmax(ious)))

    def as_result(self, size: tuple[int, int]) -> SegmentationResult:
        """Return the chosen candidate as a pipeline's result."""
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
        name: The visitor's name for it.
        clicks: `(x, y, positive)` of each.
        box: Box prompt, if any.
        answer: Candidate masks; None before the first prompt.
    """

    number: int
    name: str
    clicks: tuple[tuple[float, float, bool], ...] = ()
    box: Xyxy | None = None
    answer: Answer | None = None

    @property
    def drawn(self) -> DrawnPrompts:
        """Its prompts for drawing."""
        return DrawnPrompts(self.clicks, () if self.box is None else (self.box,))

    @property
    def is_ambiguous(self) -> bool:
        """Whether it has a single click, which may mean a part or the whole."""
        return self.box is None and len(self.clicks) == 1

    def prompt(self, *, knows_boxes: bool = True) -> ObjectPrompt:
        """Return its prompt; with later clicks the chosen mask is a mask prompt.

        Args:
            knows_boxes: Whether the model supports boxes; if not, a box becomes a click at its
                center.
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
    """State of a photo.

    Attributes:
        objects: In order of creation.
        active: Number of the object that clicks apply to.
        corner: First corner of an unfinished box.
        everything: Result of everything-mode, if shown.
        picked: Numbers of the objects picked from it.
    """

    objects: tuple[SceneObject, ...] = (SceneObject(1, "object"),)
    active: int = 1
    corner: Xy | None = None
    everything: GeneratedMasks | None = None
    picked: frozenset[int] = frozenset()

    @property
    def current(self) -> SceneObject:
        """The object that clicks apply to."""
        return next(
            scene_object for scene_object in self.objects if scene_object.number == self.active
        )

    @property
    def answered(self) -> tuple[SceneObject, ...]:
        """The objects that have a mask."""
        return tuple(
            scene_object for scene_object in self.objects if scene_object.answer is not None
        )

    @property
    def drawn(self) -> DrawnPrompts:
        """Prompts to draw: those of the current object."""
        return self.current.drawn

    def with_object(self, changed: SceneObject) -> "PhotoScene":
        """Update an object, and show objects."""
        objects = tuple(
            changed if scene_object.number == changed.number else scene_object
            for scene_object in self.objects
        )
        return replace(self, objects=objects, corner=None, everything=None)

    def with_picked(self, picked: SceneObject, found: GeneratedMasks) -> "PhotoScene":
        """Update an object that was picked from everything-mode, and stay there."""
        numbers = self.picked | {picked.number}
        return replace(self.with_object(picked), everything=found, picked=numbers)

    def with_new_object(self, most: int) -> "PhotoScene":
        """Add an object for the next clicks, unless the newest one has none yet.

        Raises:
            LimitError: There are `most` already.
        """
        unused = [scene_object for scene_object in self.objects if scene_object.answer is None]
        if unused:
            return replace(self, active=unused[-1].number, corner=None, everything=None)
        if len(self.objects) >= most:
            raise too_many_objects(most)
        number = max(scene_object.number for scene_object in self.objects) + 1
        objects = (*self.objects, SceneObject(number, "object"))
        return replace(self, objects=objects, active=number, corner=None, everything=None)

    def with_active(self, number: int) -> "PhotoScene":
        """Activate another object; an unknown one changes nothing."""
        known = any(scene_object.number == number for scene_object in self.objects)
        return replace(self, active=number, corner=None, everything=None) if known else self

    def with_name(self, name: str, number: int) -> "PhotoScene":
        """Rename an object."""
        short = " ".join(name.split())[:MAX_NAME] or "object"
        objects = (
            replace(scene_object, name=short) if scene_object.number == number else scene_object
            for scene_object in self.objects
        )
        return replace(self, objects=tuple(objects))

    def with_choice(self, which: int) -> "PhotoScene":
        """Choose another candidate of the current object."""
        answer = self.current.answer
        if answer is None or not 0 <= which < len(answer.scores):
            return self
        return self.with_object(replace(self.current, answer=replace(answer, chosen=which)))

    def labels(self) -> Iterator[tuple[str, int]]:
        """List the objects as choices: label and number."""
        for scene_object in self.objects:
            yield f"{scene_object.number} · {scene_object.name}", scene_object.number


def middle(box: Xyxy) -> Xy:
    """Return the center of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


WORK_SIDE = 2048  # pixels; larger photos are shrunk, to bound memory and latency
UNDO_DEPTH = 50  # steps
DECODING = threading.BoundedSemaphore(2)  # concurrent photos in memory at full size
STOPPED = "Stopped. The previous result is kept."


class PhotoWork:
    """One photo with its prompts.

    Args:
        name: Stem of the result files.
        picture_hw3: The photo, `(height, width, 3)`.
        model: The model.
        limits: Maximum number of objects.

    Attributes:
        scene: Current state.
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
        with model.lock.taken():
            self._encoded = model.photos.encode(self.picture_hw3)

    @classmethod
    def read(cls, path: Path, name: str, model: SpaceModel, limits: Limits) -> "PhotoWork":
        """Read a photo's file and encode it.

        Raises:
            ImageError: It is not a picture.
            LimitError: It has too many pixels.
        """
        limits.check_photo(path)
        with DECODING:
            picture_hw3 = as_picture(to_rgb(path))
            smaller = ShownSize.within(picture_hw3.shape[:2], WORK_SIDE)
            small_hw3 = smaller.picture(picture_hw3)
            original_size = picture_hw3.shape[0], picture_hw3.shape[1]
            del picture_hw3  # it is large, and others are waiting
        work = cls(name, small_hw3, model, limits)
        work.original_size = original_size
        return work

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)` of the shrunk photo."""
        return self.picture_hw3.shape[0], self.picture_hw3.shape[1]

    def click(self, xy: Xy, *, positive: bool) -> None:
        """Add a positive or negative click on the current object.

        Raises:
            PromptError: The click is outside the photo, or the first one is negative.
        """
        current = self.scene.current
        if not positive and current.answer is None:
            raise PromptError(
                "Click on the object first; then exclude the parts that do not belong."
            )
        self._ask(replace(current, clicks=(*current.clicks, (*xy, positive))))

    def corner(self, xy: Xy) -> None:
        """Set a corner of a box; the second one completes it."""
        if self.scene.corner is None:
            self._become(replace(self.scene, corner=xy, everything=None))
            return
        self.box(box_of_corners(self.scene.corner, xy))

    def box(self, box: Xyxy) -> None:
        """Prompt the current object with a box, dropping its clicks.

        Raises:
            PromptError: The box is empty or outside the photo.
        """
        ObjectPrompt(box=box).check(self.size, 0, "the object")
        self._ask(replace(self.scene.current, box=box, clicks=(), answer=None))

    def add_object(
        self, clicks: tuple[tuple[float, float, bool], ...], box: Xyxy | None = None
    ) -> None:
        """Add an object with all its prompts.

        Raises:
            LimitError: There are too many.
            PromptError: A click or the box is outside the photo.
        """
        self.new_object()
        self._ask(replace(self.scene.current, clicks=clicks, box=box))

    def choose(self, which: int) -> None:
        """Choose another candidate."""
        self._become(self.scene.with_choice(which))

    def new_object(self) -> None:
        """Start another object with the next click.

        Raises:
            LimitError: There are too many.
        """
        self._become(self.scene.with_new_object(self._limits.objects))

    def activate(self, number: int) -> None:
        """Activate another object."""
        self.scene = self.scene.with_active(number)

    def rename(self, name: str, number: int) -> None:
        """Rename an object."""
        self.scene = self.scene.with_name(name, number)

    def undo(self) -> bool:
        """Undo the last step; return whether there was one."""
        if not self._earlier:
            return False
        self.scene = self._earlier.pop()
        return True

    def clear(self) -> None:
        """Remove all objects; can be undone."""
        self._become(PhotoScene())

    def find_all(
        self, options: dict[str, Any], on_progress: Callable[[int, int], None]
    ) -> GeneratedMasks:
        """Find everything in the photo, yielding the model to others after each batch.

        Args:
            options: Of [`EverythingOptions`].
            on_progress: Called with the number of clicks done and of all. Its exceptions end the
                search.

        Raises:
            PromptError: An option has an unusable value.
        """
        lock = self._model.lock
        if self._stop.is_set():  # while it waited in the queue
            raise LimitError(STOPPED)

        def after_batch(done: int, total: int) -> None:
            lock.pass_on()
            if self._stop.is_set():
                raise LimitError(STOPPED)
            on_progress(done, total)

        report = after_batch if self._model.reports_progress else None
        with lock.taken():
            found = self._model.photos.find_all(self.picture_hw3, options, report)
        self._become(replace(self.scene, corner=None, everything=found, picked=frozenset()))
        return found

    def pick(self, xy: Xy) -> bool:
        """Pick the mask of everything-mode at a position as an object of its own.

        The object gets the click that the mask was found with, so that more clicks can refine it.

        Returns:
            Whether there is a mask.

        Raises:
            LimitError: There are too many objects.
        """
        everything = self.scene.everything
        found = self._found_at(xy)
        if everything is None or found is None:
            return False
        clicks = ((*found.point_coords[0], True),)
        for earlier in self.scene.answered:
            if earlier.number in self.scene.picked and earlier.clicks == clicks:
                self.scene = replace(self.scene, active=earlier.number)
                return True
        scene = self.scene.with_new_object(self._limits.objects)
        asked = replace(scene.current, clicks=clicks, box=None, answer=None)
        with self._model.lock.taken():
            several = self._model.photos.answer(self._encoded, asked.prompt(), True)  # noqa: FBT003
        answer = Answer.of_results(several).closest_to(found.segmentation)
        scene = replace(scene, picked=self.scene.picked)
        self._become(scene.with_picked(replace(asked, answer=answer), everything))
        return True

    def preview(self, xy: Xy, size: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Return the mask that a click would give, without waiting for the model.

        Args:
            xy: Where the click would be.
            size: `(height, width)` of the mask.

        Returns:
            The mask; None if the model is busy, or if there is nothing.
        """
        if self.scene.everything is not None:
            found = self._found_at(xy)
            return None if found is None else ShownSize(size, 1.0).mask(found.segmentation)
        current = self.scene.current
        asked = replace(current, clicks=(*current.clicks, (*xy, True)))
        prompt = asked.prompt(knows_boxes=self._model.knows_boxes)
        with self._model.lock.taken_if_free() as is_free:
            if not is_free:
                return None
            result = self._model.photos.answer(self._encoded, prompt, asked.is_ambiguous)
        return Answer.of_results(result).mask(size)

    def stop(self) -> None:
        """Stop everything-mode after its batch, or in the queue."""
        self._stop.set()

    def expect_job(self) -> None:
        """Clear an earlier stop, before a search is queued."""
        self._stop.clear()

    def close(self) -> None:
        """Stop running work, and drop the history."""
        self.stop()
        self._earlier.clear()

    def _found_at(self, xy: Xy) -> GeneratedMask | None:
        """Return the smallest mask of everything-mode at a position; None if there is none."""
        x, y = xy
        column, row = int(x), int(y)
        for mask in sorted(self.scene.everything or (), key=lambda mask: mask.area):
            left, top, width, height = mask.bbox
            is_near = left <= column <= left + width and top <= row <= top + height
            if is_near and mask.segmentation[row, column]:
                return mask
        return None

    def _ask(self, asked: SceneObject) -> None:
        """Segment an object with its current prompts."""
        prompt = asked.prompt(knows_boxes=self._model.knows_boxes)
        with self._model.lock.taken():
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
    """Make a box of two opposite corners, in any order.

    Raises:
        PromptError: They lie on one line.
    """
    (x0, y0), (x1, y1) = first, second
    if x0 == x1 or y0 == y1:
        raise PromptError(
            "These two corners do not make a box. Click two opposite corners around the object."
        )
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
