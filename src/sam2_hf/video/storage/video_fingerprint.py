"""Video fingerprints: thumbnails of a few frames.

They are computed from the model's input, so the source of frames does not matter, and compared with
a tolerance, since decoder versions round colors differently.

Suffixes: 3ss = red green blue, input rows and columns; 3hw = red green blue, cells.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from sam2_hf.errors import FrameError, SessionError
from sam2_hf.frames.base import Frames

Fingerprint = dict[int, Tensor]  # frame -> mean color of each cell, `(3, h, w)`, levels of 0-255
CELLS = 32  # maximum rows and columns of a thumbnail
TOLERANCE = 3.0  # levels; another decoder changes the mean of a cell by less than 1
MOST_FRAMES = 9  # including first, middle and last; each costs reading a frame
BYTE = 255


def video_fingerprint(frames: Frames) -> Fingerprint:
    """Fingerprint up to `MOST_FRAMES` evenly spaced frames; of an iterator the first one kept.

    Unreadable frames are skipped, and a live stream has no repeatable frames.
    """
    found = {}
    for frame in frames.comparable_frames(MOST_FRAMES):
        try:
            found[frame] = _small_picture(frames, frame)
        except FrameError:
            continue
    return found


def require_same_video(frames: Frames, expected: Mapping[int, Tensor]) -> None:
    """Compare a video with the fingerprint of the one that a session was saved with.

    Args:
        frames: The video.
        expected: Output of `video_fingerprint`; nothing is compared if empty.

    Raises:
        SessionError: A frame differs or cannot be read.
    """
    for frame, small_3hw in expected.items():
        try:
            found_3hw = _small_picture(frames, frame)
        except FrameError as error:
            raise SessionError(
                f"frame {frame} cannot be compared with that of the saved session: {error}"
            ) from error
        difference = float("inf")
        if found_3hw.shape == small_3hw.shape:
            difference = (found_3hw - small_3hw).abs().max().item()
        if not difference <= TOLERANCE:
            raise SessionError(
                f"frame {frame} of the video is not that of the saved session: colors differ by "
                f"{difference:.0f} of 255 where {TOLERANCE:.0f} are allowed. Give the video that "
                "the session was saved with, or begin a new session on this one."
            )


def _small_picture(frames: Frames, frame: int) -> Tensor:
    """Average a frame over cells; `(3, h, w)`, levels of 0-255 for image input."""
    values_3ss = frames.pixel_values(frame, "cpu").float()
    cells = min(CELLS, values_3ss.shape[-1])
    means_3hw = functional.adaptive_avg_pool2d(values_3ss, cells)
    mean, deviation = (
        torch.tensor(numbers)[:, None, None]
        for numbers in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    )
    return (means_3hw * deviation + mean) * BYTE
