"""GIF of the objects of a video, cut to their box, transparent around them.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue, 4 = and opacity.
"""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.atomic_write import atomic_path
from sam2_hf.errors import OutputError

from .mp4 import import_av, pyav_failures

Corners = tuple[int, int, int, int]  # left, top, right, bottom

LONGEST_SIDE = 480  # pixels
SHORTEST_DELAY = 4  # hundredths of a second; faster frames are left out
TRANSPARENT = 255  # index in the palette
# Without these, frames are patches of earlier ones, and transparency means "as before".
FLAGS = {"gifflags": "-offsetting-transdiff"}


@contextlib.contextmanager
def gif_writer(path: Path, box: Corners | None, aspect: Fraction) -> Iterator["GifWriter"]:
    """Open a GIF for writing; it loops.

    Args:
        path: The file.
        box: Part of the frames to show; None for all.
        aspect: Width of a pixel over its height.

    Yields:
        The writer.

    Raises:
        OutputError: The file cannot be written.
    """
    av = import_av()
    with atomic_path(path) as hidden:
        writer = GifWriter(av, hidden, path, box, aspect)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


class GifWriter:
    """Encoder of a GIF; created by `gif_writer`. One frame is in memory.

    Args:
        av: The package.
        hidden: Temporary file.
        path: Final name of the file.
        box: Part of the frames to show; None for all.
        aspect: Width of a pixel over its height.
    """

    def __init__(
        self, av: ModuleType, hidden: Path, path: Path, box: Corners | None, aspect: Fraction
    ) -> None:
        self._av = av
        self._hidden = hidden
        self._path = path
        self._box = box
        self._aspect = aspect
        self._container: Any = None
        self._stream: Any = None
        self._last: int | None = None
        self._first_s = 0.0

    def write(self, cutout_hw4: NDArray[np.uint8], time_s: float) -> None:
        """Add a frame.

        Args:
            cutout_hw4: `(height, width, 4)`, opacity 0 or 255.
            time_s: When it is shown, seconds.

        Raises:
            OutputError: The file cannot be written.
        """
        left, top, right, bottom = self._box or (0, 0, cutout_hw4.shape[1], cutout_hw4.shape[0])
        part = Image.fromarray(np.ascontiguousarray(cutout_hw4[top:bottom, left:right]))
        size = _fitted(part.width * float(self._aspect), part.height)
        with pyav_failures(self._av, self._path):
            if self._container is None:
                self._first_s = time_s
                self._open(size)
            ticks = round(100 * (time_s - self._first_s))
            if self._last is not None and ticks < self._last + SHORTEST_DELAY:
                return
            self._last = ticks
            shrunk = part if part.size == size else part.resize(size, Image.Resampling.BOX)
            self._container.mux(self._stream.encode(self._frame(np.asarray(shrunk), ticks)))

    def finish(self) -> None:
        """Complete the file.

        Raises:
            OutputError: There was no frame, or the file cannot be written.
        """
        if self._container is None:
            raise OutputError(f"{self._path} has no frame to write. Write at least one.")
        with pyav_failures(self._av, self._path):
            self._container.mux(self._stream.encode(None))
            container, self._container = self._container, None
            container.close()

    def close(self) -> None:
        """Close the file, complete or not."""
        container, self._container = self._container, None
        if container is not None:
            with contextlib.suppress(OSError, ValueError, self._av.FFmpegError):
                container.close()

    def _open(self, size: tuple[int, int]) -> None:
        self._container = self._av.open(str(self._hidden), "w", format="gif", options={"loop": "0"})
        self._stream = self._container.add_stream("gif", rate=25, options=dict(FLAGS))
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "pal8"
        self._stream.codec_context.time_base = Fraction(1, 100)

    def _frame(self, cutout_hw4: NDArray[np.uint8], ticks: int) -> Any:  # noqa: ANN401 - PyAV's
        """Choose a palette for the opaque pixels of a frame."""
        inside_hw = cutout_hw4[..., 3] > TRANSPARENT // 2
        colors_13 = cutout_hw4[inside_hw][None, :, :3]
        indices_hw = np.full(inside_hw.shape, TRANSPARENT, np.uint8)
        palette_4 = np.zeros((256, 4), np.uint8)  # opacity first
        palette_4[:TRANSPARENT, 0] = 255
        if colors_13.size:
            reduced = Image.fromarray(np.ascontiguousarray(colors_13)).quantize(TRANSPARENT)
            table = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)[:TRANSPARENT]
            palette_4[: len(table), 1:] = table
            indices_hw[inside_hw] = np.asarray(reduced)[0]
        frame = self._av.VideoFrame.from_ndarray((indices_hw, palette_4), format="pal8")
        frame.pts, frame.time_base = ticks, Fraction(1, 100)
        return frame


def _fitted(width: float, height: float) -> tuple[int, int]:
    """Shrink a size to the longest side."""
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    return max(round(scale * width), 1), max(round(scale * height), 1)
