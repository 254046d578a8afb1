"""Frames that belong to another: read for a while, neither changed nor closed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import FrameError
from sam2_hf.processing.pixel_values import RELEASED_PIXELS, Compat, PixelRules

from .base import Frames
from .open import only_video, open_frames
from .preprocessing import FramePixels


class BorrowedFrames(Frames):
    """Frames of another owner, such as a session, prepared for a model of one's own.

    Args:
        frames: The frames.
        pixels: How they become model input here.
    """

    def __init__(self, frames: Frames, pixels: FramePixels) -> None:
        self.size = frames.size
        self.num_frames = frames.num_frames
        self.fps = frames.fps
        self._frames = frames
        self._pixels = pixels

    def require(self, frame: int) -> None:
        """Raise for a frame that is unavailable; see [`Frames.require`]."""
        self._frames.require(frame)

    def reaches(self, frame: int) -> bool:
        """Check whether a frame lies before the end; see [`Frames.reaches`]."""
        return self._frames.reaches(frame)

    def time(self, frame: int) -> float | None:
        """Say when a frame is shown; see [`Frames.time`]."""
        return self._frames.time(frame)

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Read the original frame; see [`Frames.picture`]."""
        return self._frames.picture(frame)

    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read a frame as model input; see [`Frames.pixel_values`].

        The picture is resized again, since its owner may have another model. Frames that came as
        model input have no picture, so their input size must be the same.
        """
        try:
            picture_hw3 = self.picture(frame)
        except FrameError:
            values_3ss = self._frames.pixel_values(frame, device)
            if values_3ss.shape[-1] != self._pixels.image_size:
                raise
            return values_3ss
        return self._pixels.normalize(self._pixels.shrink(picture_hw3), device)

    def expect(self, frames: Sequence[int]) -> None:
        """Do nothing: the owner decides what is decoded ahead."""

    def close(self) -> None:
        """Do nothing: the owner closes them."""


def borrow_frames(
    source: object,
    *,
    image_size: int,
    compat: Compat = "official",
    rules: PixelRules = RELEASED_PIXELS,
    **reading: Any,
) -> Frames:
    """Open a video; `Frames` that are given, such as those of a session, stay as they are.

    Args:
        source: See [`open_frames`].
        image_size: Rows and columns of the model's input.
        compat: How frames become model input; see [`FramePixels`].
        rules: Normalization of the checkpoint; see [`FramePixels`].
        **reading: Further arguments of [`open_frames`].

    Raises:
        VideoError: As in [`open_frames`].

    Example:
        >>> with borrow_frames(session.frames, image_size=64) as frames:
        ...     shape = frames.picture(0).shape
        >>> session.frames.picture(0).shape == shape
        True
    """
    video = only_video(source)
    if isinstance(video, Frames):
        return BorrowedFrames(video, FramePixels(image_size, compat, rules))
    return open_frames(video, image_size=image_size, compat=compat, rules=rules, **reading)
