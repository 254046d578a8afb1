"""Pictures of a camera, as they come.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_hf.errors import FrameError, VideoError
from sam2_hf.pipelines.video_writer import import_av

DEVICE = "/dev/video{}"
FORMAT: str | None = "v4l2"  # Linux' name for its cameras


class Camera:
    """An open camera; `open_camera` makes one.

    Args:
        av: The package.
        container: What it opened.
        device: What to call the camera in a message.
    """

    def __init__(self, av: ModuleType, container: Any, device: str) -> None:  # noqa: ANN401
        self._av = av
        self._container = container
        self._device = device
        stream = container.streams.video[0]
        self.size: tuple[int, int] = (stream.height, stream.width)

    def pictures(self) -> Iterator[tuple[NDArray[np.uint8], float | None]]:
        """Wait for pictures, `(height, width, 3)`, and their times in seconds, without end.

        Raises:
            FrameError: The camera stopped working.
        """
        try:
            for decoded in self._container.decode(video=0):
                yield decoded.to_ndarray(format="rgb24"), decoded.time
        except self._av.FFmpegError as error:
            raise FrameError(
                f"{self._device} gives no more pictures: {error.strerror or error}."
            ) from error


@contextlib.contextmanager
def open_camera(number: int) -> Iterator[Camera]:
    """Open a camera, and let go of it in the end.

    Args:
        number: 0 is the first one.

    Raises:
        MissingPackageError: PyAV is not installed.
        VideoError: There is no such camera, or it is in use or not allowed.
    """
    device = DEVICE.format(number)
    av = import_av()
    if not Path(device).exists():
        known = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
        raise VideoError(
            f"there is no camera {number}: {device} does not exist (found: {known}). Plug one in, "
            "or track a video file. Cameras work on Linux."
        )
    try:
        container = av.open(device, format=FORMAT)
    except av.FFmpegError as error:
        raise VideoError(
            f"camera {number} ({device}) cannot be opened: {error.strerror or error}. Close the "
            "program that uses it, or ask for the right to."
        ) from error
    with contextlib.closing(container):
        yield Camera(av, container, device)
