"""Sampling of clips: frames and objects of a recording.

Suffixes: t = frames, o = objects, S = rows and columns of the model's input, h, w = of the
recording, 3 = red, green, blue.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.errors import DataError, MissingPackageError, NoObjectError, Sam2Error

from .annotated_video import AnnotatedVideo
from .augmentation import ClipAugmentation, draw_augmentation, resize_only
from .clip import Clip
from .config import Augmentation, SourceConfig
from .frame_annotations import FrameObjects, Mask

WINDOW_TRIES = 20  # choices of frames, until an object is visible on the first of them
AUGMENTATION_TRIES = 5
MIN_PIXELS = 16  # of the model's input: one cell of the grid on which masks are decoded
# What decoders raise on damaged files.
DAMAGE = (OSError, EOFError, ValueError, LookupError, struct.error, zlib.error)
AT_A_TIME = 8  # objects are checked in groups, since one resampling carries eight masks


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """Chosen frames, their annotations, and the candidate objects."""

    frames: list[int]
    objects: list[FrameObjects]
    object_ids: list[int]


def sample_clip(
    recording: AnnotatedVideo, config: SourceConfig, image_size: int, rng: np.random.Generator
) -> Clip:
    """Draw consecutive frames, objects visible on the first, and an augmentation.

    Args:
        recording: The video.
        config: Numbers of frames and objects, and augmentation.
        image_size: Rows and columns of the clip.
        rng: Random generator.

    Raises:
        DataError: It has too few frames, no usable object, or cannot be read.
        MissingPackageError: It is a video file, and PyAV is not installed.

    Source: training/dataset/vos_sampler.py:37-83, training/dataset/vos_dataset.py:66-149
    @ 2b90b9f.
    Differs: objects are chosen after the augmentation, among those still visible on the first
        frame; the original chooses before, and skips its one affine change if an object vanishes.
        Here several are tried before that.
    """
    with _reading(recording):
        window = _draw_window(recording, config, rng)
        rng.shuffle(window.object_ids)
        for _ in range(AUGMENTATION_TRIES):
            augmentation = _draw_augmentation(window, config.augment, image_size, rng)
            if visible := _visible(augmentation, window, config.max_objects):
                return _make_clip(recording, window, augmentation, visible)
        # If every augmentation loses all objects, only the colors of the last one are kept.
        augmentation = replace(
            resize_only(window.objects[0].size, image_size), colors=augmentation.colors
        )
        if visible := _visible(augmentation, window, config.max_objects):
            return _make_clip(recording, window, augmentation, visible)
    raise DataError(
        f"{recording.place}: none of {len(window.object_ids)} object(s) keeps {MIN_PIXELS} pixels "
        f"at input size {image_size}. Raise min_area, so that small ones do not count."
    )


def whole_clip(recording: AnnotatedVideo, config: SourceConfig) -> Clip:
    """Take all annotated frames at full size, with all objects of the first one.

    Only the limits of area in `config` apply.

    Raises:
        NoObjectError: It has no usable object.
        DataError: It cannot be read.
        MissingPackageError: It is a video file, and PyAV is not installed.
    """
    with _reading(recording):
        first = recording.objects(0)
        chosen = _large_enough(first, config)
        if not chosen:
            raise _no_object(recording, config)
        masks: list[NDArray[np.bool_]] = []
        frames: list[NDArray[np.uint8]] = []
        for frame in range(recording.num_frames):
            objects = recording.objects(frame)
            _require_size(recording, objects.size, first.size)
            masks.append(np.stack([objects.mask(number) for number in chosen]))
            frames.append(np.asarray(_picture(recording, frame, first.size)))
        return Clip(np.stack(frames), np.stack(masks, axis=1), recording.name)


def draw_frames(
    recording: AnnotatedVideo, config: SourceConfig, rng: np.random.Generator
) -> list[int]:
    """Draw the frames of a clip, in clip order.

    Raises:
        DataError: There are too few annotated ones.
    """
    num_frames = recording.num_frames
    wanted = config.num_frames or num_frames
    low, high = config.frame_step
    if not config.num_frames:
        low = high = 1
    gaps = wanted - 1
    if num_frames < 1 + gaps * low:
        raise DataError(
            f"{recording.place}: {num_frames} annotated frame(s), but a clip takes "
            f"{1 + gaps * low} (num_frames={wanted}, frame_step={low}). Lower them, or exclude it."
        )
    longest = min(high, (num_frames - 1) // gaps) if gaps else low
    step = int(rng.integers(low, longest + 1))
    start = int(rng.integers(num_frames - gaps * step))
    frames = [start + step * place for place in range(wanted)]
    return frames[::-1] if rng.random() < config.reverse else frames


@contextmanager
def _reading(recording: AnnotatedVideo) -> Iterator[None]:
    """Convert every failure of reading into one error, and close the recording."""
    try:
        yield
    except (DataError, MissingPackageError):
        raise
    except (Sam2Error, *DAMAGE) as error:
        raise DataError(f"{recording.place}: {str(error) or type(error).__name__}") from error
    finally:
        recording.close()


def _make_clip(
    recording: AnnotatedVideo,
    window: _Window,
    augmentation: ClipAugmentation,
    visible: dict[int, Mask],
) -> Clip:
    """Read and augment the pictures of a window."""
    first, *others = window.objects
    masks = [np.stack(list(visible.values()))]
    masks.extend(augmentation.masks(objects, list(visible)) for objects in others)
    # A video is decoded forward, even for a reversed clip.
    pictures = {
        frame: _picture(recording, frame, first.size) for frame in sorted(set(window.frames))
    }
    frames = [
        augmentation.frame(pictures[frame], place) for place, frame in enumerate(window.frames)
    ]
    return Clip(np.stack(frames), np.stack(masks, axis=1), recording.name)


def _draw_window(
    recording: AnnotatedVideo, config: SourceConfig, rng: np.random.Generator
) -> _Window:
    """Draw frames until an object is visible on the first of them."""
    tries = 1 if recording.num_frames in (1, config.num_frames) else WINDOW_TRIES
    for _ in range(tries):
        frames = draw_frames(recording, config, rng)
        first = recording.objects(frames[0])
        if not (found := _large_enough(first, config)):
            continue
        objects = [first, *(recording.objects(frame) for frame in frames[1:])]
        unknown = frozenset[int]().union(*(others.unknown for others in objects))
        if not (found := [number for number in found if number not in unknown]):
            continue
        for others in objects:
            _require_size(recording, others.size, first.size)
        return _Window(frames, objects, found)
    raise _no_object(recording, config)


def _draw_augmentation(
    window: _Window, augment: Augmentation | None, side: int, rng: np.random.Generator
) -> ClipAugmentation:
    first = window.objects[0]
    if augment is None:
        return resize_only(first.size, side)
    height, width = first.size
    anchor = (width / 2, height / 2)
    if augment.zoom_on_object and augment.zoom != (1.0, 1.0):
        number = window.object_ids[int(rng.integers(len(window.object_ids)))]
        anchor = first.point(number, rng)
    return draw_augmentation(augment, first.size, side, anchor, len(window.frames), rng)


def _visible(augmentation: ClipAugmentation, window: _Window, limit: int) -> dict[int, Mask]:
    """Find objects, in the drawn order, with enough pixels on the first frame."""
    limit = limit or len(window.object_ids)
    found: dict[int, Mask] = {}
    for first in range(0, len(window.object_ids), AT_A_TIME):
        group = window.object_ids[first : first + AT_A_TIME]
        masks_oss = augmentation.masks(window.objects[0], group)
        for number, mask_ss in zip(group, masks_oss, strict=True):
            if len(found) < limit and np.count_nonzero(mask_ss) >= MIN_PIXELS:
                found[number] = mask_ss
        if len(found) == limit:
            break
    return found


def _large_enough(objects: FrameObjects, config: SourceConfig) -> list[int]:
    return [
        number
        for number, share in objects.areas().items()
        if config.min_area <= share <= config.max_area and number not in objects.unknown
    ]


def _picture(recording: AnnotatedVideo, frame: int, size: tuple[int, int]) -> Image.Image:
    picture = recording.picture(frame)
    _require_size(recording, size, (picture.height, picture.width))
    return picture


def _require_size(recording: AnnotatedVideo, masks: Sequence[int], picture: Sequence[int]) -> None:
    if tuple(masks) != tuple(picture):
        raise DataError(
            f"{recording.place}: the masks are {masks[1]}x{masks[0]} (width x height), but the "
            f"picture is {picture[1]}x{picture[0]}. Masks must have the size of their picture."
        )


def _no_object(recording: AnnotatedVideo, config: SourceConfig) -> NoObjectError:
    limits = f"min_area={config.min_area}, max_area={config.max_area}"
    return NoObjectError(
        f"{recording.place}: no object of a usable size ({limits}) where a clip begins."
    )
