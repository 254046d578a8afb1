"""Limits of a visit: set by flags, shown on the page, checked before any expensive work.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sam2_hf.errors import ImageError, Sam2Error, VideoError
from sam2_hf.frames.video_file import open_stream
from sam2_hf.overlay import DrawnPrompts

MILLION = 1_000_000
PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # few parsers for untrusted files


class LimitError(Sam2Error):
    """A limit of this server is exceeded."""


def too_many_objects(most: int) -> LimitError:
    """Make the error for too many objects."""
    return LimitError(
        f"There are already {most} objects, the most allowed here. "
        "Work on one of them, or remove one."
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of a server.

    Attributes:
        file_mb: Size of an uploaded file, millions of bytes.
        megapixels: Pixels of a photo, millions.
        seconds: Length of a video.
        frames: Frames of a video.
        side: Longer side of a video, pixels.
        objects: Objects in a photo, video or live stream.
        jobs: Concurrent jobs (tracking, everything-mode); more wait in a queue.
        waiting: Maximum queue length of jobs, and of clicks.
        visitors: Concurrent visits.
        idle_minutes: Lifetime of a visit after the last click.
        grace_seconds: Lifetime of a visit after its page was closed.
    """

    file_mb: int = 100
    megapixels: int = 40
    seconds: int = 60
    frames: int = 1800
    side: int = 1920
    objects: int = 8
    jobs: int = 2
    waiting: int = 60
    visitors: int = 60
    idle_minutes: float = 20.0
    grace_seconds: int = 60

    def photo_text(self) -> str:
        """Return the limits of photos in one line."""
        return (
            f"Up to {self.file_mb} MB and {self.megapixels} megapixels, {self.objects} objects. "
            f"Private, and deleted {self.idle_minutes:g} minutes after your last click."
        )

    def video_text(self) -> str:
        """Return the limits of videos in one line."""
        return (
            f"Up to {self.file_mb} MB, {self.seconds} seconds, {self.frames} frames, "
            f"{self.side} pixels a side, {self.objects} objects; {self.jobs} "
            f"{'job runs' if self.jobs == 1 else 'jobs run'} at a time. "
            f"Private, and deleted {self.idle_minutes:g} minutes after your last click."
        )

    def check_objects(self, count: int) -> None:
        """Check that another object is allowed.

        Raises:
            LimitError: The maximum is reached.
        """
        if count >= self.objects:
            raise too_many_objects(self.objects)

    def check_photo(self, path: Path) -> None:
        """Check the header of a photo's file, without decoding it.

        Raises:
            ImageError: It is not a picture.
            LimitError: It has too many pixels.
        """
        if path.stat().st_size == 0:
            raise ImageError("This file is empty (0 bytes). Choose a JPEG, PNG or WebP photo.")
        try:
            with warnings.catch_warnings():  # large pictures are refused below
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(path, formats=PHOTO_FORMATS) as picture:
                    width, height = picture.size
        except Image.DecompressionBombError as error:
            raise LimitError(
                f"This photo is far too large; {self.megapixels} megapixels are allowed here. "
                "Shrink it and try again."
            ) from error
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            raise ImageError(
                "This file is not a picture that can be read. Choose a JPEG, PNG or WebP photo."
            ) from error
        if width * height > self.megapixels * MILLION:
            raise LimitError(
                f"This photo has {width * height / MILLION:.1f} megapixels ({width} x {height}); "
                f"{self.megapixels} are allowed here. Shrink it and try again."
            )

    def check_video_file(self, path: Path) -> None:
        """Check the header of a video's file, without decoding a frame.

        Raises:
            VideoError: It is not a video.
            LimitError: Its frames are too large.
        """
        if path.stat().st_size == 0:
            raise VideoError("This file is empty (0 bytes). Choose an MP4, MOV or WebM video.")
        try:
            container, _ = open_stream(av, str(path))  # containers only: no playlists
            with container:
                sizes = [(stream.width, stream.height) for stream in container.streams.video]
        except (av.FFmpegError, ValueError, OSError) as error:
            raise VideoError(
                "This file is not a video that can be read. Choose an MP4, MOV or WebM video."
            ) from error
        for width, height in sizes:
            if max(width, height) > self.side:
                raise LimitError(
                    f"The video is {width} x {height} pixels; {self.side} a side are allowed here. "
                    "Shrink it and try again."
                )

    def check_length(self, num_frames: int, seconds: float | None) -> None:
        """Check a video's length.

        Args:
            num_frames: Number of frames.
            seconds: Duration; None if unknown.

        Raises:
            LimitError: It is too long.
        """
        if seconds is not None and seconds > self.seconds:
            raise LimitError(
                f"The video is {seconds:.0f} seconds long; {self.seconds} are allowed here. "
                "Cut it and try again."
            )
        if num_frames > self.frames:
            raise LimitError(
                f"The video has {num_frames} frames; {self.frames} are allowed here. "
                "Cut it and try again."
            )


VIEW_SIDE = 1280  # pixels; the page shows no more
SMALL_SIDE, ENLARGED_SIDE = 480, 640  # pixels; what is smaller is enlarged, to be clicked precisely


@dataclass(frozen=True, slots=True)
class ShownSize:
    """Size and scale of a shown picture.

    Attributes:
        size: Shown `(height, width)`.
        scale: Pixels of the picture per shown pixel; below 1 it is enlarged.
    """

    size: tuple[int, int]
    scale: float

    @classmethod
    def on_page(cls, size: tuple[int, int]) -> "ShownSize":
        """Fit a picture of `(height, width)` to the page, enlarged if it is small."""
        longer = max(size)
        scale = longer / ENLARGED_SIDE if longer < SMALL_SIDE else max(1.0, longer / VIEW_SIDE)
        return cls((max(1, round(size[0] / scale)), max(1, round(size[1] / scale))), scale)

    @classmethod
    def within(cls, size: tuple[int, int], side: int) -> "ShownSize":
        """Fit a picture of `(height, width)` into a square of `side` pixels."""
        scale = max(1.0, max(size) / side)
        return cls((max(1, round(size[0] / scale)), max(1, round(size[1] / scale))), scale)

    def prompts(self, prompts: DrawnPrompts) -> DrawnPrompts:
        """Scale prompts to the shown picture."""
        return DrawnPrompts(
            tuple((x / self.scale, y / self.scale, sign) for x, y, sign in prompts.clicks),
            tuple(
                (x0 / self.scale, y0 / self.scale, x1 / self.scale, y1 / self.scale)
                for x0, y0, x1, y1 in prompts.boxes
            ),
        )

    def xy(self, shown: tuple[float, float]) -> tuple[float, float]:
        """Convert a clicked position to pixels of the picture."""
        return shown[0] * self.scale, shown[1] * self.scale

    def mask(self, mask_hw: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Resize a mask."""
        if mask_hw.shape == self.size:
            return mask_hw
        small = Image.fromarray(mask_hw).resize(self.size[::-1], Image.Resampling.NEAREST)
        return np.asarray(small)

    def picture(self, picture_hw3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize a picture."""
        if picture_hw3.shape[:2] == self.size:
            return picture_hw3
        small = Image.fromarray(picture_hw3).resize(self.size[::-1], Image.Resampling.LANCZOS)
        return np.asarray(small)
