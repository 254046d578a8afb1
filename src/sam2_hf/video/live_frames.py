"""A live stream: frames come one by one, and the last ones are kept.

Suffixes: hw3 = rows, columns, red green blue; 3ss = red green blue, input rows and columns.
"""

import operator
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import FrameError, ImageError
from sam2_hf.processing.images import ImageSource
from sam2_hf.processing.value_range import ValueRange

from .abstract_frames import Frames, frame_number
from .frame_pixels import ClipScale, FramePixels
from .frame_window import FrameWindow, ReceivedFrame

WINDOW = 32  # frames; at 30 frames a second, a click may come one second late
INPUT_DIMENSIONS = 3


class LiveFrames(Frames):
    """Frames that are appended as a camera gives them.

    Args:
        window: How many of the last frames are kept, to be read or prompted.
        pixels: How frames become model input. `open_frames` sets it to what the model needs.
        value_range: Which numbers are black and white; see `processing/value_range.py`. Without it
            the first frame decides for floats.

    Raises:
        VideoError: The window is not positive.
        ImageError: The range makes no sense.
    """

    num_frames: int | None = None
    fps: Fraction | None = None

    def __init__(
        self,
        window: int = WINDOW,
        pixels: FramePixels | None = None,
        value_range: ValueRange = None,
    ) -> None:
        self.size = None
        self.pixels = pixels
        self._scale = ClipScale(value_range)
        self._window = FrameWindow(
            window,
            advice=f"Keep more of them with LiveFrames(window={2 * window}) (a session: "
            f"window={2 * window}).",
        )

    @property
    def kept(self) -> list[int]:
        """The frames that can be read, in order."""
        return self._window.kept

    @property
    def num_received(self) -> int:
        """Number of the next frame, unless it comes with its own; see [`FrameWindow`]."""
        return self._window.num_received

    def set_value_range(self, value_range: ValueRange) -> None:
        """Say which numbers are black and white, for the frames that come from now on."""
        self._scale = ClipScale(value_range)

    def append(self, picture: ImageSource, frame: int | None = None) -> int:
        """Add a frame; the oldest one is dropped if the window is full.

        Args:
            picture: A picture of any kind. It is copied.
            frame: Its number, where the caller counts: a camera that drops frames leaves gaps, and
                a number that is there already gets the new picture. The next one if None.

        Returns:
            The number of the frame.

        Raises:
            FrameError: It is no picture, has another size than the frames before, or a negative
                number.
        """
        number = self.num_received if frame is None else frame_number(frame)
        try:
            picture_hw3 = self._scale.picture(picture)
        except ImageError as error:
            raise FrameError(f"frame {number} cannot be read: {error}") from error
        self._window.add_picture(picture_hw3, number)
        self.size = self._window.size
        return number

    def append_pixel_values(
        self,
        pixel_values_3ss: Tensor,
        size: tuple[int, int] | None = None,
        frame: int | None = None,
    ) -> int:
        """Add a frame that is model input already.

        Args:
            pixel_values_3ss: `(3, S, S)`, normalized. It is copied, and stays on its device.
            size: `(height, width)` of the original frame. Without it, that of the frames before,
                or the input size.
            frame: Its number; see `append`.

        Returns:
            The number of the frame.

        Raises:
            FrameError: The shape is not `(3, S, S)`, the size is not that of the frames before, or
                the number is negative.
        """
        shape = tuple(pixel_values_3ss.shape)
        side = self.pixels.image_size if self.pixels is not None else shape[-1]
        if len(shape) != INPUT_DIMENSIONS or shape != (3, side, side):
            raise FrameError(
                f"pixel values have the shape {shape}, but one frame of input is "
                f"(3, {side}, {side}). Give what the processor returns for one frame."
            )
        values_3ss = pixel_values_3ss.detach().to(torch.float32, copy=True)
        height, width = size or self.size or (side, side)
        received = ReceivedFrame(pixel_values_3ss=values_3ss)
        number = self._window.add(received, (height, width), frame)
        self.size = self._window.size
        return number

    def drop(self, frame: int) -> None:
        """Forget a frame before the window does; its number stays used."""
        self._window.drop(frame)

    def may_come(self, frame: int) -> bool:
        """Tell whether a frame is still to come; see [`FrameWindow.may_come`]."""
        return self._window.may_come(frame)

    def go_on_from(
        self,
        num_received: int,
        size: tuple[int, int] | None,
        kept: Mapping[int, Tensor] | None = None,
    ) -> None:
        """Number frames as if so many had come and been dropped, to go on with a saved session.

        Args:
            num_received: How many.
            size: `(height, width)` of them; None if there were none.
            kept: Those that can still be read, model input `(3, S, S)` by number.

        Raises:
            FrameError: Frames have come already.
        """
        frames = {
            frame: ReceivedFrame(pixel_values_3ss=values) for frame, values in (kept or {}).items()
        }
        self._window.go_on_from(num_received, size, frames)
        self.size = size

    def reaches(self, frame: int) -> bool:
        """Tell whether a frame has come, be it dropped again or not."""
        return 0 <= frame < self.num_received

    def require(self, frame: int) -> None:
        """Refuse a frame that has been dropped or has not come yet."""
        self._window.get(operator.index(frame))

    def time(self, frame: int) -> None:
        """Nothing is known of time."""

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Read an appended frame; see [`Frames.picture`].

        Raises:
            FrameError: It has been dropped, has not come yet, or came as pixel values only.
        """
        picture_hw3 = self._window.get(operator.index(frame)).picture_hw3
        if picture_hw3 is None:
            raise FrameError(
                f"frame {frame} came as prepared pixel values only, so there is no picture of it. "
                "Append pictures to read them back."
            )
        return picture_hw3

    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read an appended frame as model input; see [`Frames.pixel_values`]."""
        received = self._window.get(operator.index(frame))
        if received.pixel_values_3ss is not None:
            return received.pixel_values_3ss.to(device or received.pixel_values_3ss.device)
        if self.pixels is None:
            raise FrameError(
                "the stream does not know the model's input size. Open it with open_frames, or "
                "give LiveFrames(pixels=FramePixels(image_size=...))."
            )
        return self.pixels.normalize(self.pixels.shrink(self.picture(frame)), device)

    def expect(self, frames: Sequence[int]) -> None:
        """Frames come when they come."""

    def close(self) -> None:
        """Forget the frames."""
        self._window.clear()
