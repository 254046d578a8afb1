"""Preprocessing of frames: bytes of any size to bytes at input size to normalized floats.

Resizing is slow, runs in background threads, and leaves few bytes to keep; normalizing is quick and
runs on the model's device.

Suffixes: hw3 = rows, columns, red green blue; 3hw = red green blue first; s = input size.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sam2_hf.errors import ImageError
from sam2_hf.processing.images import ImageSource, load_image, read_values, rgb_of, scale_of, to_rgb
from sam2_hf.processing.pixel_values import (
    BYTE,
    RELEASED_PIXELS,
    Compat,
    PixelRules,
    normalize_pixels,
    resize_pixels,
)
from sam2_hf.processing.value_range import ValueRange, ValueScale, read_value_range

from .host_copies import to_device

RGB_DIMENSIONS = 3


@dataclass(frozen=True, slots=True)
class FramePixels:
    """Settings for turning frames into model input.

    Attributes:
        image_size: Rows and columns of the input, in pixels.
        compat: "official" resizes with Pillow's bicubic filter, as the original does when it reads
            a folder of JPEGs. "transformers" does what its video processor does.
        rules: Normalization of the checkpoint, and how "transformers" resamples; their own size and
            compat are ignored.
    """

    image_size: int
    compat: Compat = "official"
    rules: PixelRules = RELEASED_PIXELS

    def __post_init__(self) -> None:
        size = (self.image_size, self.image_size)
        object.__setattr__(self, "rules", replace(self.rules, size=size, compat=self.compat))

    def shrink(self, picture_hw3: NDArray[np.uint8]) -> Tensor:
        """Resize a frame to input size.

        Args:
            picture_hw3: RGB, uint8; may be read-only, is not modified.

        Returns:
            `(3, S, S)`, uint8, contiguous.

        Source: sam2/utils/misc.py:92-101 @ 2b90b9f.
        """
        side = self.image_size
        if picture_hw3.shape[:2] != (side, side):
            if self.compat == "transformers":
                return resize_pixels(to_rgb(picture_hw3, "channels_last"), self.rules)
            picture_hw3 = np.asarray(Image.fromarray(picture_hw3).resize((side, side)))
        # numpy copies in this thread alone. A thread that runs parallel torch operations gets its
        # own OpenMP pool, and with more pool threads than cores all of them sleep between two
        # operations: the model, in another thread, would be 20 % slower.
        return torch.from_numpy(np.array(picture_hw3.transpose(2, 0, 1), order="C"))

    def normalize(self, bytes_3ss: Tensor, device: torch.device | str | None = None) -> Tensor:
        """Normalize bytes as the image encoder was trained.

        Args:
            bytes_3ss: From `shrink`.
            device: Target device of the floats.

        Returns:
            `(3, S, S)`, float32.

        See [`normalize_pixels`].
        """
        return normalize_pixels(to_device(bytes_3ss, device), self.rules).to(torch.float32)


class ClipScale:
    """One value scale for all pictures of a clip; by default the first picture decides.

    Args:
        value_range: Which numbers are black and white; see `processing/value_range.py`.
        scale: A scale decided before.

    Raises:
        ImageError: `value_range` makes no sense.
    """

    def __init__(self, value_range: ValueRange = None, scale: ValueScale | None = None) -> None:
        self._value_range = read_value_range(value_range)
        self._scale = scale

    @classmethod
    def of_frames(
        cls, read: Callable[[int], Tensor], frames: Iterable[int], value_range: ValueRange
    ) -> "ClipScale":
        """Choose the scale from several frames.

        Args:
            read: Returns the values of a frame, `(c, h, w)`.
            frames: Frame numbers. Unreadable ones are skipped here and reported when they are read.
            value_range: As above.

        Raises:
            ImageError: The scale cannot be decided.
        """
        values = []
        for frame in frames:
            with suppress(ImageError):
                values.append(read(frame))
        return cls(value_range, scale_of(values, value_range) if values else None)

    @classmethod
    def of_files(
        cls, read: Callable[[int], Tensor], num_frames: int, value_range: ValueRange
    ) -> "ClipScale":
        """Choose the scale of frames on disk: percentiles from some of them, else from the first.

        Args:
            read: As in `of_frames`.
            num_frames: Number of frames.
            value_range: As above.

        Raises:
            ImageError: The scale cannot be decided.
        """
        if value_range != "percentile":
            return cls(value_range)
        frames = range(0, num_frames, -(-num_frames // 16))  # 16 at most, to find percentiles
        return cls.of_frames(read, frames, value_range)

    def picture(self, source: ImageSource, channels: str | None = None) -> NDArray[np.uint8]:
        """Convert a picture of the clip to RGB bytes; see `to_picture`."""
        image = load_image(source)
        if self._scale is None:
            self._scale = scale_of([read_values(image, channels)], self._value_range)
        return to_picture(image, channels, self._scale)


def to_picture(
    source: ImageSource, channels: str | None = None, scale: ValueScale | None = None
) -> NDArray[np.uint8]:
    """Convert a picture of any kind to RGB bytes.

    Args:
        source: A path, or a picture in memory; see [`images.to_rgb`].
        channels: "channels_first" or "channels_last" where an array could be read both ways.
        scale: Which numbers are black and white; decided for this picture alone if None.

    Returns:
        `(h, w, 3)`, uint8, read-only. Shares memory with `source` if that holds RGB bytes.

    Raises:
        ImageError: It is unreadable, not a picture, or does not fit the scale.
    """
    image = load_image(source)
    if scale is None or scale.given is None:
        if isinstance(image, Image.Image) and _is_plain_rgb(image):
            return read_only(np.asarray(image))
        if isinstance(image, np.ndarray) and channels != "channels_first" and _is_rgb_bytes(image):
            return read_only(image)
    if isinstance(image, Tensor):
        image = image.detach().cpu()
    values_chw = read_values(image, channels)
    pixels_3hw = rgb_of(values_chw, scale or scale_of([values_chw]))
    if pixels_3hw.dtype != torch.uint8:
        pixels_3hw = (pixels_3hw * BYTE).round().to(torch.uint8)
    return read_only(pixels_3hw.permute(1, 2, 0).contiguous().numpy())


def read_only(picture_hw3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a read-only view; the array itself stays writable."""
    view_hw3 = picture_hw3.view()
    view_hw3.flags.writeable = False
    return view_hw3


def _is_plain_rgb(image: Image.Image) -> bool:
    return image.mode == "RGB" and "transparency" not in image.info


def _is_rgb_bytes(array: NDArray[np.generic]) -> bool:
    """Whether no conversion is needed. Empty arrays are refused elsewhere."""
    return (
        array.dtype == np.uint8
        and array.ndim == RGB_DIMENSIONS
        and array.shape[-1] == RGB_DIMENSIONS
        and array.size > 0
    )
