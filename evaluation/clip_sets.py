"""Clips with the true masks of one object, in the folders of DAVIS 2016.

    PATH/davis16-half/JPEGImages/480p/NAME/00000.jpg     frames
    PATH/davis16-half/Annotations/480p/NAME/00000.png    what is not 0 is the object

Suffixes: t = frames, h, w = rows and columns in pixels, 3 = red, green, blue.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2_hf.errors import DataError

from .photo_sets import read_labels, read_picture, require_files

VALIDATION_CLIPS = ("blackswan", "kite-surf")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledClip:
    """A clip and the true masks of its object.

    Attributes:
        name: What the clip is called in its set.
        frames_thw3: `(frames, height, width, 3)` uint8, RGB.
        masks_thw: `(frames, height, width)` bool; the object is on the first frame.
    """

    name: str
    frames_thw3: NDArray[np.uint8]
    masks_thw: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ClipSet:
    """A set of clips, read one by one.

    Attributes:
        name: What the set is called in tables.
        files: Every file that it is made of.
    """

    name: str
    files: tuple[Path, ...]
    _read: tuple[Callable[[], LabelledClip], ...] = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self._read)

    def __iter__(self) -> Iterator[LabelledClip]:
        return (read() for read in self._read)


def davis_set(root: Path) -> ClipSet:
    """Find the clips that are kept for validation.

    Raises:
        DataError: If a clip has no frames, or not one mask for each.
    """
    readers, files = [], []
    for name in VALIDATION_CLIPS:
        pictures = _pictures(root / "davis16-half" / "JPEGImages" / "480p" / name, "*.jpg")
        masks = _pictures(root / "davis16-half" / "Annotations" / "480p" / name, "*.png")
        if [path.stem for path in pictures] != [path.stem for path in masks]:
            raise DataError(
                f"clip {name} has {len(pictures)} frames and {len(masks)} masks, or they have "
                "other names. Every frame needs a mask of its name."
            )
        readers.append(partial(_read_clip, name, pictures, masks))
        files += [*pictures, *masks]
    return ClipSet(f"davis16 {' + '.join(VALIDATION_CLIPS)}", tuple(files), tuple(readers))


def _pictures(folder: Path, pattern: str) -> tuple[Path, ...]:
    found = tuple(sorted(folder.glob(pattern)))
    require_files(found, folder / pattern)
    return found


def _read_clip(name: str, pictures: tuple[Path, ...], masks: tuple[Path, ...]) -> LabelledClip:
    frames = [read_picture(path) for path in pictures]
    sizes = {frame.shape for frame in frames}
    if len(sizes) > 1:
        raise DataError(f"the frames of clip {name} have several sizes: {sorted(sizes)}.")
    size = frames[0].shape[0], frames[0].shape[1]
    masks_thw = np.stack([read_labels(path, size) > 0 for path in masks])
    if not masks_thw[0].any():
        raise DataError(f"the first mask of clip {name} is empty, so there is nothing to track.")
    return LabelledClip(name, np.stack(frames), masks_thw)
