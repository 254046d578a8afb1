"""Opening a video from a path, pictures in memory, an iterator or a stream."""

import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TypeGuard

import numpy as np
from PIL import Image
from torch import Tensor

from sam2_hf.errors import VideoError
from sam2_hf.picture_files import PICTURE_ENDINGS, VIDEO_ENDINGS, file_problem
from sam2_hf.processing.pixel_values import RELEASED_PIXELS, Compat, PixelRules
from sam2_hf.processing.value_range import ValueRange, read_value_range

from .base import Frames, PictureSource
from .image_sequence import PictureFolder, PictureList, PicturePages, is_paged
from .prefetch import BufferedFrames
from .preprocessing import FramePixels
from .streams import LiveFrames, StreamedFrames
from .torchcodec_video import TorchcodecFile, TorchcodecVideo
from .video_file import VideoFile

__all__ = ["Frames", "open_frames"]

BATCH, CLIP = 5, 4  # axes of (videos, frames, h, w, 3) and of one video
ADDRESS = re.compile("[A-Za-z][A-Za-z0-9+.-]+://")
PATH = (str, os.PathLike)
KINDS = (
    "Give a folder of pictures, a video file, a list of pictures, an array "
    "(frames, height, width, 3), an iterator of pictures, or None for a live stream."
)


def open_frames(
    source: object,
    *,
    image_size: int,
    compat: Compat = "official",
    rules: PixelRules = RELEASED_PIXELS,
    ring: int = 16,
    num_threads: int = 2,
    value_range: ValueRange = None,
) -> Frames:
    """Open a video without decoding it: a folder, a file, pictures in memory, or a stream.

    Args:
        source: Path of a folder of pictures, of a video file, or of a picture file with several
            pages or frames (TIFF stack, animated WebP or PNG); a list of pictures or of their
            paths; an array or tensor `(t, h, w, 3)`, `(t, 3, h, w)` or gray `(t, h, w)`; an
            iterator of pictures; None or [`LiveFrames`] for a live stream; [`TorchcodecVideo`]; or
            `Frames`, which are handed back as they are.
        image_size: Rows and columns of the model's input.
        compat: How frames become model input; see [`FramePixels`].
        rules: Normalization of the checkpoint; see [`FramePixels`].
        ring: Maximum number of decoded frames held.
        num_threads: Threads that decode and resize.
        value_range: Which numbers are black and white: `(low, high)`, "percentile", "full", or None
            for what the type of the values says; see `processing/value_range.py`.

    Raises:
        ImageError: `value_range` makes no sense.
        VideoError: There is no such file, it is empty or not a video, or there are several videos.
        MissingPackageError: A video file is given, and PyAV is not installed.

    Example:
        >>> frames = open_frames("clip.mp4", image_size=1024)
        >>> frames.num_frames, frames.size
        (3, (180, 240))
        >>> frames.close()
    """
    if ring < 1 or num_threads < 1:
        raise VideoError(f"ring={ring} and num_threads={num_threads} must both be 1 or more.")
    value_range = read_value_range(value_range)
    pixels = FramePixels(image_size, compat, rules)
    video = only_video(source)
    if video is None:
        return LiveFrames(pixels=pixels, value_range=value_range)
    if isinstance(video, LiveFrames):
        video.pixels = pixels
        if value_range is not None:
            video.set_value_range(value_range)
    if isinstance(video, Frames):
        return video
    if isinstance(video, Iterable) and is_stream(video):
        return StreamedFrames(iter(video), pixels, window=ring, value_range=value_range)
    found = find_source(video, ring, value_range)
    # a pickle may be read in another folder
    again = os.path.abspath(os.fspath(video)) if isinstance(video, PATH) else video
    reopen = partial(find_source, again, ring, value_range)
    return BufferedFrames(found, pixels, ring=ring, num_threads=num_threads, reopen=reopen)


def find_source(video: object, ring: int, value_range: ValueRange = None) -> PictureSource:
    """Choose how to read a video of known length.

    Raises:
        VideoError: No frames can be made of it.
    """
    if isinstance(video, PATH):
        return _find_on_disk(os.fspath(video), ring, value_range)
    if isinstance(video, TorchcodecVideo):
        return TorchcodecFile(video, keep=ring, value_range=value_range)
    is_list = hasattr(video, "__len__") and hasattr(video, "__getitem__")
    if not is_list or isinstance(video, (bytes, bytearray, Mapping)):
        raise VideoError(f"cannot make a video from a {type(video).__name__}. {KINDS}")
    if isinstance(video, (list, tuple)):
        for item in video:
            refuse_address(item)
    # PictureList refuses items that are not pictures
    return PictureList(video, value_range=value_range)  # type: ignore[arg-type]


def only_video(source: object) -> object:
    """Unwrap a list or a batch of one video.

    Raises:
        VideoError: There are several videos.
    """
    if isinstance(source, (np.ndarray, Tensor)):
        is_several = source.ndim == BATCH
    elif isinstance(source, (list, tuple)):
        is_several = any(map(is_video, source)) or _is_paged_file(source)
    else:
        return source
    if not is_several:
        return source
    if len(source) == 1:
        return only_video(source[0])
    raise VideoError(
        f"there are {len(source)} videos where one is expected. Open a session for each of them, "
        "or give the frames of one video as one list."
    )


def are_videos(source: object) -> TypeGuard[Sequence[object]]:
    """Whether a list holds several whole videos, and not the pictures of one."""
    return isinstance(source, (list, tuple)) and len(source) > 1 and any(map(is_video, source))


def is_video(item: object) -> bool:
    """Whether an item of a list is a whole video and not a picture."""
    if isinstance(item, PATH):
        path = os.fspath(item)
        return path.lower().endswith(VIDEO_ENDINGS) or os.path.isdir(path)
    if isinstance(item, (np.ndarray, Tensor)):
        return item.ndim >= CLIP
    return isinstance(item, (list, tuple, Frames))


def _is_paged_file(items: Sequence[object]) -> bool:
    """Whether a list is one file with several pages."""
    return len(items) == 1 and isinstance(items[0], PATH) and is_paged(os.fspath(items[0]))


def is_stream(video: Iterable[object]) -> bool:
    """Whether it yields pictures one by one, and only once. An open file yields lines."""
    return not hasattr(video, "__len__") and not isinstance(video, (io.IOBase, Image.Image))


def refuse_address(item: object) -> None:
    """Refuse to read frames from the network.

    Raises:
        VideoError: The item is an address.
    """
    if isinstance(item, str) and ADDRESS.match(item):
        raise VideoError(f"{item[:100]} is a URL. Download it first, and give the path.")


def _find_on_disk(path: str, ring: int, value_range: ValueRange) -> PictureSource:
    refuse_address(path)
    if os.path.isdir(path):
        return PictureFolder(path, value_range=value_range)
    if not os.path.exists(path):
        raise VideoError(f"there is no video file or folder {path}. Check the path.")
    problem = file_problem(path)
    if problem:
        raise VideoError(problem)
    if is_paged(path):
        return PicturePages(path, value_range=value_range)
    if path.lower().endswith(PICTURE_ENDINGS) and not path.lower().endswith(VIDEO_ENDINGS):
        return PictureList([path], value_range=value_range)
    return VideoFile(path, keep=ring, value_range=value_range)
