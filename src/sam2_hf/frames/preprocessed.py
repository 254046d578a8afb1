"""Frames given as model input, as in transformers' API.

Suffixes: t3ss = frames, red green blue, input rows and columns; 3ss = one of them.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import FrameError, VideoError

from .base import EditableFrames, Frames, check_range, frame_number

VIDEO_DIMENSIONS, FRAME_DIMENSIONS = 4, 3


class PreparedFrames(EditableFrames):
    """A video of model input, all of it in memory; single frames can be replaced or dropped.

    Args:
        video_t3ss: Normalized frames, any float type. Their size counts as that of the original
            frames until `declare_size` is called.

    Raises:
        VideoError: It has another shape, or no frames.
    """

    fps = None

    def __init__(self, video_t3ss: Tensor) -> None:
        shape = tuple(video_t3ss.shape)
        if len(shape) != VIDEO_DIMENSIONS or shape[1] != 3 or shape[2] != shape[3] or not shape[0]:
            raise VideoError(
                f"video has the shape {shape}; prepared frames are (frames, 3, S, S). Let "
                "Sam2VideoProcessor.init_video_session(video) prepare them."
            )
        self.side = shape[-1]
        self.size: tuple[int, int] = (self.side, self.side)
        self._frames: dict[int, Tensor | None] = dict(enumerate(video_t3ss))
        self.num_frames: int = len(self._frames)

    @classmethod
    def of_mapping(cls, frames: Mapping[int, Tensor | None], size: tuple[int, int]) -> Self:
        """Make a video of numbered frames.

        Args:
            frames: Number -> `(3, S, S)`, or None for a frame whose pixels are not kept. Numbers
                may have gaps.
            size: `(height, width)` of the original frames.

        Raises:
            VideoError: There is no frame with pixels, or they are of several shapes.
        """
        present = [values for values in frames.values() if values is not None]
        shapes = {tuple(values.shape) for values in present}
        if len(shapes) != 1:
            raise VideoError(
                f"the frames have the shapes {sorted(shapes) or 'of nothing'}. Give at least one "
                "frame (3, S, S), and all of one shape."
            )
        video = cls(present[0][None])
        video._frames = {frame_number(frame): values for frame, values in frames.items()}
        check_range(min(video._frames), 1 + max(video._frames), "the video")
        video.num_frames = 1 + max(video._frames)
        video.size = size
        return video

    def put(self, values_3ss: Tensor, frame: int | None = None) -> int:
        """Add or replace a frame; see [`EditableFrames.put`]."""
        _check_shape(values_3ss, self.side)
        number = self.num_frames if frame is None else frame
        check_range(number, max(self.num_frames, number) + 1, "the video")
        self._frames[number] = values_3ss
        self.num_frames = max(self.num_frames, number + 1)
        return number

    def drop(self, frame: int, *, keep_number: bool = False) -> None:
        """Free the pixels of a frame; see [`EditableFrames.drop`]."""
        if keep_number:
            self._frames[frame] = None
        else:
            self._frames.pop(frame, None)

    @property
    def numbers(self) -> list[int]:
        """The existing frame numbers."""
        return sorted(self._frames)

    def has_pixels(self, frame: int) -> bool:
        """Whether a frame exists and can be read."""
        return self._frames.get(frame) is not None

    def declare_size(self, size: tuple[int, int]) -> bool:
        """Set the size of the original frames, `(height, width)`."""
        self.size = size
        return True

    def time(self, frame: int) -> None:
        """Return None: times are unknown. The frame must exist."""
        self._find(frame)

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Raise: there are no pictures.

        Raises:
            FrameError: Always.
        """
        raise FrameError(_no_picture(frame))

    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read a frame; see [`Frames.pixel_values`]."""
        return self._find(frame).to(device, torch.float32)

    def expect(self, frames: Sequence[int]) -> None:
        """Do nothing: all frames are in memory."""

    def close(self) -> None:
        """Drop the frames."""
        self._frames = {}
        self.num_frames = 0

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Copy the video, sharing the pixels."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update({**self.__dict__, "_frames": dict(self._frames)})
        return twin

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_frames": _cloned(self._frames)}

    def _find(self, frame: int) -> Tensor:
        check_range(frame, self.num_frames, "the video")
        values_3ss = self._frames.get(frame)
        if values_3ss is None:
            raise FrameError(_dropped(frame))
        return values_3ss


class EditedFrames(EditableFrames):
    """A video with some frames replaced, dropped, or added as model input.

    Args:
        frames: The underlying video, closed with this one.
        side: Rows and columns of the model's input.
    """

    def __init__(self, frames: Frames, side: int) -> None:
        self._original = frames
        self._side = side
        self._frames: dict[int, Tensor | None] = {}  # replaced or added; None: dropped
        self._gone: set[int] = set()

    @property
    def size(self) -> tuple[int, int] | None:  # type: ignore[override]  # that of the original
        """`(height, width)` of the original frames."""
        return self._original.size

    @property
    def fps(self) -> Fraction | None:  # type: ignore[override]
        """Frames per second, where known."""
        return self._original.fps

    @property
    def num_frames(self) -> int | None:  # type: ignore[override]
        """Number of frames, dropped ones included."""
        count = self._original.num_frames
        return None if count is None else max([count, *(frame + 1 for frame in self._frames)])

    def put(self, values_3ss: Tensor, frame: int | None = None) -> int:
        """Add or replace a frame; see [`EditableFrames.put`]."""
        number = self.num_frames if frame is None else frame
        if number is None:
            raise FrameError("an iterator has no last frame yet. Give the number of the frame.")
        _check_shape(values_3ss, self._side)
        check_range(number, max(self.num_frames or 0, number) + 1, "the video")
        self._frames[number] = values_3ss
        self._gone.discard(number)
        return number

    def drop(self, frame: int, *, keep_number: bool = False) -> None:
        """Make a frame unreadable; see [`EditableFrames.drop`]."""
        self._frames[frame] = None
        if keep_number:
            self._gone.discard(frame)
        else:
            self._gone.add(frame)

    @property
    def numbers(self) -> list[int]:
        """The existing frame numbers, without those an iterator has yet to yield."""
        return sorted({*range(self._original.num_frames or 0), *self._frames} - self._gone)

    def has_pixels(self, frame: int) -> bool:
        """Whether a frame exists and can be read."""
        return self.reaches(frame) and self._frames.get(frame, frame) is not None

    def reaches(self, frame: int) -> bool:
        """Check whether a frame lies before the end; see [`Frames.reaches`]."""
        return frame in self._frames or self._original.reaches(frame)

    def time(self, frame: int) -> float | None:
        """Return when a frame is shown; see [`Frames.time`]."""
        if frame not in self._frames:
            return self._original.time(frame)
        self._require_pixels(frame)
        return self._original.time(frame) if self._original.reaches(frame) else None

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Read a frame that was not replaced; see [`Frames.picture`]."""
        if frame not in self._frames:
            return self._original.picture(frame)
        self._require_pixels(frame)
        raise FrameError(_no_picture(frame))

    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read a frame as model input; see [`Frames.pixel_values`]."""
        if frame not in self._frames:
            return self._original.pixel_values(frame, device)
        return self._require_pixels(frame).to(device, torch.float32)

    def expect(self, frames: Sequence[int]) -> None:
        """Read ahead; see [`Frames.expect`]."""
        self._original.expect(frames)

    def close(self) -> None:
        """Close the video."""
        self._original.close()
        self._frames.clear()

    def __deepcopy__(self, memo: dict[int, object]) -> "EditedFrames":
        """Copy the video, sharing the pixels."""
        twin = EditedFrames(copy.deepcopy(self._original, memo), self._side)
        twin._frames, twin._gone = dict(self._frames), set(self._gone)
        return twin

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_frames": _cloned(self._frames)}

    def _require_pixels(self, frame: int) -> Tensor:
        values_3ss = self._frames[frame]
        if values_3ss is None:
            raise FrameError(_dropped(frame))
        return values_3ss


class TensorSequence(Protocol):
    """Indexable tensors: a list, a tensor, or an object that computes each on access."""

    def __len__(self) -> int:
        """Return the number of tensors."""

    def __getitem__(self, number: int, /) -> Tensor:
        """Return one tensor."""


class LazyPreparedFrames(Frames):
    """A video of model input, read frame by frame from another object.

    Args:
        images: The frames, `(3, S, S)`, normalized; not cached. Closed with this object if it has
            `close`.
        size: `(height, width)` of the original frames.
        side: Rows and columns of the model's input; any if None.

    Raises:
        VideoError: There are no frames.

    Attributes:
        images: The source of frames.
    """

    fps = None

    def __init__(
        self, images: TensorSequence, size: tuple[int, int], side: int | None = None
    ) -> None:
        self.images = images
        self.size: tuple[int, int] = size
        self.num_frames: int = len(images)
        self._side = side
        if not self.num_frames:
            raise VideoError("the frames are an empty sequence. Give at least one frame (3, S, S).")

    def declare_size(self, size: tuple[int, int]) -> bool:
        """Set the size of the original frames, `(height, width)`."""
        self.size = size
        return True

    def time(self, frame: int) -> None:
        """Return None, as times are unknown; the frame must exist."""
        check_range(frame, self.num_frames, "the video")

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Refuse: there is no picture.

        Raises:
            FrameError: Always.
        """
        raise FrameError(_no_picture(frame))

    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read a frame; see [`Frames.pixel_values`]."""
        self.time(frame)
        values_3ss = one_frame(torch.as_tensor(self.images[frame]))
        _check_shape(values_3ss, self._side or values_3ss.shape[-1])
        return values_3ss.to(device, torch.float32)

    def expect(self, frames: Sequence[int]) -> None:
        """Do nothing: frames are computed on access."""

    def close(self) -> None:
        """Release the sequence."""
        close: Callable[[], object] | None = getattr(self.images, "close", None)
        if callable(close):
            close()
        self.images = ()
        self.num_frames = 0


def _cloned(frames: dict[int, Tensor | None]) -> dict[int, Tensor | None]:
    """Copy frames, since a slice is pickled with the whole video."""
    return {frame: None if values is None else values.clone() for frame, values in frames.items()}


def _check_shape(values_3ss: Tensor, side: int) -> None:
    """Refuse a frame whose shape differs from the others."""
    if tuple(values_3ss.shape) != (3, side, side):
        raise FrameError(
            f"pixel values have the shape {tuple(values_3ss.shape)}, but the frames before are "
            f"(3, {side}, {side})."
        )


def _dropped(frame: int) -> str:
    """Message for a frame whose pixels were removed."""
    return (
        f"the pixels of frame {frame} were removed from session.processed_frames. Put them back "
        "with session.add_new_frame(pixel_values, frame_idx) to track or prompt on this frame."
    )


def _no_picture(frame: int) -> str:
    """Message for a frame without a picture."""
    return (
        f"frame {frame} came as prepared pixel values only, so there is no picture of it. Open "
        "the session on the video itself to read pictures."
    )


def one_frame(pixel_values: Tensor) -> Tensor:
    """Unwrap `(1, 3, S, S)`; `(3, S, S)` stays as it is.

    Raises:
        FrameError: It has another shape.
    """
    values = pixel_values
    while values.ndim > FRAME_DIMENSIONS and values.shape[0] == 1:
        values = values[0]
    if values.ndim != FRAME_DIMENSIONS:
        raise FrameError(
            f"a frame has the shape {tuple(pixel_values.shape)}; it must be (3, S, S) or "
            "(1, 3, S, S). Give one frame at a time."
        )
    return values
