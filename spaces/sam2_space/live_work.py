"""A visitor's webcam: each picture is tracked as it comes; a click begins an object.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import threading
import time

import numpy as np
from numpy.typing import NDArray

from sam2_hf.pipelines.masklet_overlay import draw_masklets
from sam2_hf.video.session import Sam2VideoInferenceSession

from .limits import LimitError, Limits
from .photo_scene import Xy
from .picture_sizes import ShownSize
from .space_model import SpaceModel

LIVE_SIDE = 640  # pixels; smaller pictures come and go faster


class LiveWork:
    """One stream of pictures.

    Args:
        model: The model.
        limits: How many objects there may be.

    Attributes:
        active: Number of the object that clicks are for.
        rate: Pictures per second, of late.
    """

    def __init__(self, model: SpaceModel, limits: Limits) -> None:
        self.active = 1
        self.rate = 0.0
        self._model = model
        self._limits = limits
        self._lock = threading.RLock()
        self._session = Sam2VideoInferenceSession.open(None, model.video)
        self._size: tuple[int, int] | None = None
        self._frame = -1
        self._before = time.monotonic()

    @property
    def numbers(self) -> list[int]:
        """The objects, the active one included."""
        return sorted({self.active, *self._session.object_ids})

    def step(self, picture_hw3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Follow all objects into the next picture.

        A picture of another size than those before, as after a phone was turned, begins anew.

        Returns:
            The picture with masks, `(height, width, 3)`.
        """
        size = picture_hw3.shape[0], picture_hw3.shape[1]
        small_hw3 = ShownSize.within(size, LIVE_SIDE).picture(picture_hw3)
        with self._model.turns.taken(), self._lock:
            if self._size not in (None, small_hw3.shape[:2]):
                self.reset()
            self._size = small_hw3.shape[0], small_hw3.shape[1]
            result = self._session.step(small_hw3)
            self._frame = result.frame
        now = time.monotonic()
        self.rate = 1 / max(now - self._before, 1e-3)
        self._before = now
        return draw_masklets(small_hw3, result.masks, self._colour_order())

    def click(self, xy: Xy, *, positive: bool) -> None:
        """Point at the active object in the newest picture, or beside it.

        Raises:
            LimitError: There is no picture yet, or there are too many objects.
            PromptError: The click is outside.
        """
        with self._lock:
            if self._frame < 0:
                raise LimitError("There is no picture yet. Start the camera first.")
            if self.active not in self._session.object_ids:
                if not positive:
                    raise LimitError("Click on the object first, then beside it.")
                self._limits.check_objects(len(self._session.object_ids))
            self._session.click(self._frame, self.active, xy, positive=positive)

    def new_object(self) -> None:
        """Let the next click begin another object.

        Raises:
            LimitError: There are too many.
        """
        with self._lock:
            if self.active in self._session.object_ids:
                self._limits.check_objects(len(self._session.object_ids))
                self.active = max(self._session.object_ids) + 1

    def reset(self) -> None:
        """Forget all objects and pictures."""
        with self._lock:
            self._session.close()
            self._session = Sam2VideoInferenceSession.open(None, self._model.video)
            self._size, self._frame, self.active = None, -1, 1

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._session.close()

    def _colour_order(self) -> list[int]:
        return list(range(1, max(self.numbers) + 1))
