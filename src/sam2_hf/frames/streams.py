"""Streams that keep their last frames: live streams and iterators.

Frames of a live stream are appended; an iterator is read as far as frames are requested.

Suffixes: hw3 = rows, columns, red green blue; 3ss = red green blue, input rows and columns.
"""

import copy
import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import FrameError, ImageError, VideoError
from sam2_hf.processing.images import ImageSource
from sam2_hf.processing.value_range import ValueRange

from .base import EditableFrames, Frames, check_range, frame_number
from .frame_window import FrameWindow, ReceivedFrame
from .preprocessing import ClipScale, FramePixels

WINDOW = 32  # frames; at 30 frames a second, a click may come one second late


class LiveFrames(EditableFrames):
    """Frames that are appended as a camera gives them.

    Args:
        window: Number of last frames kept, to be read or prompted.
        pixels: How frames become model input. `open_frames` sets it to what the model needs.
        value_range: Which numbers are black and white; see `processing/value_range.py`. Without it
            the first frame decides for floats.
        declares_size: Whether the caller declares the size of the original frames, as for frames
            that come as model input; until then it is a guess. The first picture also sets it.

    Raises:
        VideoError: The window is not positive.
        ImageError: The range is invalid.

    Example:
        >>> session = VideoSession.open(None, model)
        >>> number = session.frames.append(clip[0])
        >>> session.frames.kept
        [0]
    """

    num_frames: int | None = None
    fps: Fraction | None = None

    def __init__(
        self,
        window: int = WINDOW,
        pixels: FramePixels | None = None,
        value_range: ValueRange = None,
        *,
        declares_size: bool = False,
    ) -> None:
        self.size = None
        self.size_is_known = not declares_size
        self.pixels = pixels
        self._declares_size = declares_size
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
    def numbers(self) -> list[int]:
        """The frames that can be read, in order; others were dropped or have not arrived."""
        return self._window.kept

    def comparable_frames(self, most: int) -> list[int]:
        """Return none: a stream cannot be read a second time."""
        return []

    def use_preprocessing(self, make: Callable[[], FramePixels]) -> None:
        """Set how frames become model input; see [`Frames.use_preprocessing`]."""
        if self.pixels is None:
            self.pixels = make()

    @property
    def num_received(self) -> int:
        """Default number of the next frame; see [`FrameWindow`]."""
        return self._window.num_received

    def set_value_range(self, value_range: ValueRange) -> None:
        """Set which numbers are black and white, for later frames."""
        self._scale = ClipScale(value_range)

    def append(self, picture: ImageSource, frame: int | None = None) -> int:
        """Add a frame; the oldest one is dropped if the window is full.

        Args:
            picture: A picture of any kind. It is copied.
            frame: Its number, if the caller counts: a camera that drops frames leaves gaps, and an
                existing frame is replaced. None takes the next number.

        Returns:
            The number of the frame.

        Raises:
            FrameError: It is not a picture, its size differs from that of earlier frames, or its
                number is negative.

        Example:
            >>> frames = LiveFrames()
            >>> frames.append(clip[0]), frames.append(clip[1])
            (0, 1)
        """
        number = self.num_received if frame is None else frame_number(frame)
        try:
            picture_hw3 = self._scale.picture(picture)
        except ImageError as error:
            raise FrameError(f"frame {number} cannot be read: {error}") from error
        self._window.add_picture(picture_hw3, number)
        self.size = self._window.size
        self.size_is_known = True
        return number

    def append_pixel_values(
        self,
        pixel_values_3ss: Tensor,
        size: tuple[int, int] | None = None,
        frame: int | None = None,
    ) -> int:
        """Add a frame given as model input.

        Args:
            pixel_values_3ss: `(3, S, S)`, normalized. It is copied, and stays on its device.
            size: `(height, width)` of the original frame. By default that of earlier frames, or the
                input size.
            frame: Its number; see `append`.

        Returns:
            The number of the frame.

        Raises:
            FrameError: The shape is not `(3, S, S)`, the size differs from that of earlier frames,
                or the number is negative.

        Example:
            >>> frames = LiveFrames()
            >>> frames.append_pixel_values(pixels[0], size=(180, 240))
            0
        """
        shape = tuple(pixel_values_3ss.shape)
        side = self.pixels.image_size if self.pixels is not None else shape[-1]
        if shape != (3, side, side):
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

    def declare_size(self, size: tuple[int, int]) -> bool:
        """Set the size of the original frames; see [`Frames.declare_size`]."""
        if self._declares_size:
            self.size = self._window.size = size
            self.size_is_known = True
        return self._declares_size

    def put(self, values_3ss: Tensor, frame: int | None = None) -> int:
        """Add a frame given as model input; see `append_pixel_values`."""
        return self.append_pixel_values(values_3ss, frame=frame)

    def drop(self, frame: int, *, keep_number: bool = False) -> None:
        """Drop a frame before the window does; its number always stays used."""
        self._window.drop(frame)

    def may_come(self, frame: int) -> bool:
        """Whether a frame may still arrive; see [`FrameWindow.may_come`]."""
        return self._window.may_come(frame)

    def go_on_from(
        self,
        num_received: int,
        size: tuple[int, int] | None,
        kept: Mapping[int, Tensor] | None = None,
    ) -> None:
        """Number frames as if earlier ones had been received and dropped, as in a saved session.

        Args:
            num_received: Number of earlier frames.
            size: Their `(height, width)`; None if there were none.
            kept: Those that can still be read, model input `(3, S, S)` by number.

        Raises:
            FrameError: Frames were received already.
        """
        frames = {
            frame: ReceivedFrame(pixel_values_3ss=values) for frame, values in (kept or {}).items()
        }
        self._window.go_on_from(num_received, size, frames)
        self.size = size
        self.size_is_known = size is not None or not self._declares_size

    def reaches(self, frame: int) -> bool:
        """Whether a frame was received, even if dropped since."""
        return 0 <= frame < self.num_received

    def require(self, frame: int) -> None:
        """Raise for a frame that was dropped or has not arrived yet."""
        self._window.get(operator.index(frame))

    def time(self, frame: int) -> None:
        """Return None: times are unknown."""

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Read an appended frame; see [`Frames.picture`].

        Raises:
            FrameError: It was dropped, has not arrived yet, or came as pixel values only.

        Example:
            >>> frames = LiveFrames()
            >>> frames.picture(frames.append(clip[0])).shape
            (180, 240, 3)
        """
        picture_hw3 = self._window.get(operator.index(frame)).picture_hw3
        if picture_hw3 is None:
            raise FrameError(
                f"frame {frame} came as prepared pixel values only, so there is no picture of it. "
                "Append pictures to read them back."
            )
        return picture_hw3

    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read an appended frame as model input; see [`Frames.pixel_values`].

        Example:
            >>> session = VideoSession.open(None, model)
            >>> values = session.frames.pixel_values(session.frames.append(clip[0]))
            >>> values.shape == pixels[0].shape
            True
        """
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
        """Do nothing: frames cannot be decoded ahead."""

    def close(self) -> None:
        """Drop the frames.

        Example:
            >>> frames = LiveFrames()
            >>> number = frames.append(clip[0])
            >>> frames.close()
        """
        self._window.clear()


class StreamedFrames(Frames):
    """The pictures of an iterator; the last ones are kept.

    The iterator runs in the reading thread; the first picture is read at once. Its errors pass
    through.

    Args:
        pictures: Yields pictures of any kind.
        pixels: How they become model input.
        window: Number of last pictures kept.
        value_range: Which numbers are black and white; see `processing/value_range.py`. Without it
            the first picture decides for floats.

    Raises:
        VideoError: The iterator is empty, its first picture is unreadable, or the window is not
            positive.
    """

    fps: Fraction | None = None

    def __init__(
        self,
        pictures: Iterator[ImageSource],
        pixels: FramePixels,
        *,
        window: int,
        value_range: ValueRange = None,
    ) -> None:
        self.num_frames = None
        self._pictures = pictures
        self._pixels = pixels
        self._scale = ClipScale(value_range)
        self._window = FrameWindow(
            window,
            advice=f"Keep more of them with ring={2 * window} (a session: window={2 * window}); a "
            "list, a folder and a video file keep every frame within reach.",
        )
        self._lock = threading.Lock()
        self._receive_until(0)
        if self.num_frames == 0:
            raise VideoError("the iterator gives no pictures, so the video has no frames.")
        self.size = self._window.size

    def reaches(self, frame: int) -> bool:
        """Read up to a frame; False if the iterator ends before it."""
        self._receive_until(operator.index(frame))
        return 0 <= frame < self._window.num_received

    def require(self, frame: int) -> None:
        """Raise for a frame that is beyond the end or was dropped; see [`Frames.require`]."""
        number = operator.index(frame)
        if not self.reaches(number) and self.num_frames is not None:
            check_range(number, self.num_frames, "the video")
        self._window.get(number)

    def time(self, frame: int) -> None:
        """Return None: times are unknown."""

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Read a frame, advancing the iterator up to it; see [`Frames.picture`]."""
        number = operator.index(frame)
        self._receive_until(number)
        if self.num_frames is not None:
            check_range(number, self.num_frames, "the video")
        received = self._window.get(number)
        if received.picture_hw3 is None:
            raise FrameError(received.problem)
        return received.picture_hw3

    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read a frame as model input; see [`Frames.pixel_values`]."""
        return self._pixels.normalize(self._pixels.shrink(self.picture(frame)), device)

    @property
    def kept(self) -> list[int]:
        """The pictures that can be read again, in order."""
        return self._window.kept

    def comparable_frames(self, most: int) -> list[int]:
        """Return the first kept picture; another iterator is read up to there."""
        return self._window.kept[:1]

    def __deepcopy__(self, memo: dict[int, object]) -> "StreamedFrames":
        """Copy the pictures that are kept, once the iterator has ended."""
        twin = StreamedFrames.__new__(StreamedFrames)
        twin.__setstate__(self.__getstate__() | {"_window": copy.deepcopy(self._window, memo)})
        return twin

    def __getstate__(self) -> dict[str, object]:
        if self.num_frames is None:
            raise VideoError(
                "a session on an iterator cannot be copied before the iterator has ended, since "
                "its pictures come only once. Open the session on a list, folder or file instead."
            )
        return {**self.__dict__, "_pictures": None, "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._pictures, self._lock = iter(()), threading.Lock()

    def expect(self, frames: Sequence[int]) -> None:
        """Do nothing: an iterator is read on demand."""

    def close(self) -> None:
        """Drop the pictures and the iterator."""
        self._window.clear()
        self._pictures = iter(())

    def _receive_until(self, frame: int) -> None:
        with self._lock:
            while self.num_frames is None and self._window.num_received <= frame:
                try:
                    picture = next(self._pictures)
                except StopIteration:
                    self.num_frames = self._window.num_received
                    return
                self._receive(picture)

    def _receive(self, picture: ImageSource) -> None:
        """Add a picture; an unusable one keeps its number and raises when it is read."""
        number = self._window.num_received
        try:
            self._window.add_picture(self._scale.picture(picture))
        except ImageError as error:
            self._receive_problem(f"frame {number} cannot be read: {error}")
        except FrameError as error:
            self._receive_problem(str(error))

    def _receive_problem(self, problem: str) -> None:
        if self._window.size is None:
            raise VideoError(problem)
        self._window.add(ReceivedFrame(problem=problem), self._window.size)
