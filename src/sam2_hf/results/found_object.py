"""A mask of a picture with its object: id, name, score.

Suffixes: h, w = rows and columns in pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from sam2_hf import rle as run_lengths
from sam2_hf.rle import Rle

UNNAMED = "object"
Json = Any  # numbers, texts, lists and dictionaries of them


@dataclass(frozen=True, slots=True, eq=False)
class FoundObject:
    """One object on one picture.

    Attributes:
        object_id: Its number.
        rle: Its mask, as uncompressed run lengths; empty where it is hidden.
        score: Predicted IoU of the mask, 0-1.
        name: What it is; None if unknown.
        about: Further fields for its annotation, such as its own prompt.
    """

    object_id: int
    rle: Rle
    score: float
    name: str | None = None
    about: Mapping[str, Json] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name, or "object"."""
        return self.name or UNNAMED

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask, `(height, width)` bool, decoded at each access."""
        return run_lengths.decode(self.rle)

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return run_lengths.area(self.rle)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom edge, pixels; zeros for an empty mask."""
        return mask_box(self.mask)

    def part(self) -> tuple[NDArray[np.bool_], tuple[int, int, int, int]]:
        """Return the mask within its box, and the box."""
        mask_hw = self.mask
        left, top, right, bottom = box = mask_box(mask_hw)
        return mask_hw[top:bottom, left:right], box


def mask_box(mask_hw: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom edge of a mask, pixels; zeros if it is empty."""
    rows, columns = np.flatnonzero(mask_hw.any(axis=1)), np.flatnonzero(mask_hw.any(axis=0))
    if not rows.size:
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where a picture came from, to look at it again.

    Attributes:
        path: Its file or address; empty if there is none.
        read: Reads its pixels, `(height, width, 3)` uint8.
    """

    path: str
    read: Callable[[], NDArray[np.uint8]]

    @property
    def name(self) -> str:
        """File name; empty if there is none."""
        return file_name_of(self.path)


def file_name_of(source: str) -> str:
    """Return the file name in a path or an address; empty if there is none."""
    if source.startswith("data:"):
        return ""
    try:
        path = unquote(urlsplit(source).path) if "://" in source else source
    except ValueError:  # it looks like an address and is none
        path = source
    return Path(path).name


class LazyMasks(Sequence[NDArray[np.bool_]]):
    """Masks decoded at each access, which saves memory.

    Args:
        rles: Their run lengths.
    """

    def __init__(self, rles: Sequence[Rle]) -> None:
        self._rles = rles

    @overload
    def __getitem__(self, key: int) -> NDArray[np.bool_]: ...
    @overload
    def __getitem__(self, key: slice) -> "LazyMasks": ...
    def __getitem__(self, key: int | slice) -> "NDArray[np.bool_] | LazyMasks":
        if isinstance(key, slice):
            return LazyMasks(self._rles[key])
        return run_lengths.decode(self._rles[key])

    def __len__(self) -> int:
        return len(self._rles)
