"""The objects of one annotated frame: a label map, or masks that may overlap.

Suffixes: hw = rows and columns of the picture, ss = of the model's input, o = objects.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .warp import Warp

PLANES = 8  # masks that share the bits of a byte, and so a single warp
Mask = NDArray[np.bool_]


class FrameObjects(ABC):
    """What is annotated on a frame; objects are numbers that last through a clip.

    Attributes:
        size: `(height, width)` of the annotation.
        unknown: Objects about which the annotation does not say whether and where they are.
    """

    size: tuple[int, int]
    unknown: frozenset[int] = frozenset()

    @abstractmethod
    def areas(self) -> dict[int, float]:
        """Give the share of the picture that each visible object takes."""

    @abstractmethod
    def mask(self, object_id: int) -> Mask:
        """Give one object at full size, `(h, w)`; an object that is not there is empty."""

    @abstractmethod
    def warped(self, object_ids: Sequence[int], warp: Warp) -> Mask:
        """Give objects as the model's input shows them, `(o, S, S)`."""

    def point(self, object_id: int, rng: np.random.Generator) -> tuple[float, float]:
        """Draw the centre of a pixel of an object, `(x, y)`."""
        inside = np.flatnonzero(self.mask(object_id))
        row, column = divmod(int(inside[rng.integers(len(inside))]), self.size[1])
        return column + 0.5, row + 0.5


class LabelMap(FrameObjects):
    """One number per pixel, where 0 is the background.

    Args:
        labels_hw: `(h, w)`, uint8 or int32.
    """

    def __init__(self, labels_hw: NDArray[np.uint8] | NDArray[np.int32]) -> None:
        self._labels_hw = labels_hw
        height, width = labels_hw.shape
        self.size = height, width

    def areas(self) -> dict[int, float]:
        """See [`FrameObjects.areas`]."""
        if self._labels_hw.dtype == np.uint8:
            counts = np.bincount(self._labels_hw.reshape(-1), minlength=1)
            found = np.flatnonzero(counts)
            numbers = counts[found]
        else:
            found, numbers = np.unique(self._labels_hw, return_counts=True)
        shares = numbers / self._labels_hw.size
        pairs = zip(found.tolist(), shares.tolist(), strict=True)
        return {label: share for label, share in pairs if label}

    def mask(self, object_id: int) -> Mask:
        """See [`FrameObjects.mask`]."""
        return self._labels_hw == object_id

    def warped(self, object_ids: Sequence[int], warp: Warp) -> Mask:
        """See [`FrameObjects.warped`]."""
        labels_ss = warp.labels(self._labels_hw)
        return np.stack([labels_ss == number for number in object_ids])


class MaskList(FrameObjects):
    """Masks of their own, which may overlap, and which are drawn when they are needed.

    Args:
        size: `(height, width)`.
        areas: Pixels of each object; objects without pixels do not count as visible.
        draw: Gives an object's mask, `(h, w)`; asked only for objects that have pixels.
        unknown: See [`FrameObjects`].
    """

    def __init__(
        self,
        size: tuple[int, int],
        areas: Mapping[int, int],
        draw: Callable[[int], Mask],
        unknown: frozenset[int] = frozenset(),
    ) -> None:
        self.size = size
        self.unknown = unknown
        self._areas = {number: pixels for number, pixels in areas.items() if pixels > 0}
        self._draw = draw

    @classmethod
    def of(cls, masks: Sequence[Mask], size: tuple[int, int]) -> "MaskList":
        """Number masks that are in memory from 0 on."""
        areas = {number: int(np.count_nonzero(mask)) for number, mask in enumerate(masks)}
        return cls(size, areas, lambda number: masks[number])

    def areas(self) -> dict[int, float]:
        """See [`FrameObjects.areas`]."""
        pixels = self.size[0] * self.size[1]
        return {number: area / pixels for number, area in self._areas.items()}

    def mask(self, object_id: int) -> Mask:
        """See [`FrameObjects.mask`]."""
        if object_id in self._areas:
            return self._draw(object_id)
        return np.zeros(self.size, np.bool_)

    def warped(self, object_ids: Sequence[int], warp: Warp) -> Mask:
        """See [`FrameObjects.warped`]."""
        found = np.zeros((len(object_ids), warp.side, warp.side), np.bool_)
        there = [place for place, number in enumerate(object_ids) if number in self._areas]
        for first in range(0, len(there), PLANES):
            places = there[first : first + PLANES]
            # Run lengths are drawn column by column, and bits are joined in the same order.
            planes = [
                self._draw(object_ids[place]).view(np.uint8) << np.uint8(bit)
                for bit, place in enumerate(places)
            ]
            packed_ss = warp.labels(functools.reduce(np.bitwise_or, planes))
            for bit, place in enumerate(places):
                found[place] = (packed_ss >> np.uint8(bit)) & 1
        return found
