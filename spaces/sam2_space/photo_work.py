"""A visitor's photo: what has been clicked on it, with undo.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_hf.errors import PromptError
from sam2_hf.overlay import Xyxy
from sam2_hf.pipelines.generated_masks import GeneratedMasks
from sam2_hf.pipelines.photo_files import as_picture
from sam2_hf.processing.images import to_rgb
from sam2_hf.processing.prompts import ObjectPrompt

from .limits import LimitError, Limits
from .photo_scene import Answer, Scene, SceneObject, Xy
from .picture_sizes import ShownSize
from .space_model import SpaceModel

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
        self.scene = Scene()
        self._model = model
        self._limits = limits
        self._earlier: list[Scene] = []
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
        """Draw a box around the current object; it begins anew from that.

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
        self._become(Scene())

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

    def _become(self, scene: Scene) -> None:
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
