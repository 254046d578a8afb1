"""Annotations of one frame: a label map, or masks that may overlap, read from a table.

Suffixes: hw = rows and columns of the picture, ss = of the model's input, o = objects.
"""

import functools
import io
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sam2_hf.errors import DataError, ImageError
from sam2_hf.frames.preprocessing import to_picture
from sam2_hf.processing.images import load_image

from .affine import AffineMap
from .rows import StoredPicture

MOST_UNITED = 4  # labels of a union, except the whole foreground
FEWEST_UNITED = 2
PLANES = 8  # masks in the bits of a byte, resampled at once
Mask = NDArray[np.bool_]


class FrameObjects(ABC):
    """Objects annotated on a frame, with ids that are stable over a clip.

    Attributes:
        size: `(height, width)` of the annotation.
        unknown: Objects whose visibility is not annotated.
    """

    size: tuple[int, int]
    unknown: frozenset[int] = frozenset()

    @abstractmethod
    def areas(self) -> dict[int, float]:
        """Return the area of each visible object, as a fraction of the picture."""

    @abstractmethod
    def mask(self, object_id: int) -> Mask:
        """Return one object at full size, `(h, w)`; an absent object is empty."""

    @abstractmethod
    def transformed(self, object_ids: Sequence[int], affine: AffineMap) -> Mask:
        """Return objects in the model's input, `(o, S, S)`."""

    def point(self, object_id: int, rng: np.random.Generator) -> tuple[float, float]:
        """Draw a random pixel of an object; its center `(x, y)`."""
        inside = np.flatnonzero(self.mask(object_id))
        row, column = divmod(int(inside[rng.integers(len(inside))]), self.size[1])
        return column + 0.5, row + 0.5


class LabelMap(FrameObjects):
    """One number per pixel, where 0 is the background.

    Args:
        labels_hw: `(h, w)`, uint8 or int32.
        unions: Groups of labels that form further objects, parts of a whole; their ids follow the
            largest label.
    """

    def __init__(
        self,
        labels_hw: NDArray[np.uint8] | NDArray[np.int32],
        unions: Sequence[Sequence[int]] = (),
    ) -> None:
        self._labels_hw = labels_hw
        height, width = labels_hw.shape
        self.size = height, width
        first = int(labels_hw.max(initial=0)) + 1 if unions else 0
        self._unions = {first + place: list(union) for place, union in enumerate(unions)}

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
        alone = {label: share for label, share in pairs if label}
        sums = {
            number: sum(alone.get(label, 0.0) for label in union)
            for number, union in self._unions.items()
        }
        return alone | {number: share for number, share in sums.items() if share > 0}

    def mask(self, object_id: int) -> Mask:
        """See [`FrameObjects.mask`]."""
        return self._mask(self._labels_hw, object_id)

    def transformed(self, object_ids: Sequence[int], affine: AffineMap) -> Mask:
        """See [`FrameObjects.transformed`]."""
        labels_ss = affine.labels(self._labels_hw)
        return np.stack([self._mask(labels_ss, number) for number in object_ids])

    def _mask(self, labels_hw: NDArray[Any], object_id: int) -> Mask:
        union = self._unions.get(object_id)
        return labels_hw == object_id if union is None else np.isin(labels_hw, union)


def draw_unions(
    labels_hw: NDArray[np.uint8] | NDArray[np.int32], count: int, rng: np.random.Generator
) -> list[list[int]]:
    """Draw unions of touching labels, as parts of one object touch.

    If there is a background, the first union is the whole foreground. The others have two to four
    labels.

    Args:
        labels_hw: `(h, w)`, 0 for the background.
        count: Maximum number of unions.
        rng: Random generator.
    """
    labels = np.unique(labels_hw).tolist()
    has_background = labels[0] == 0
    labels = labels[has_background:]
    if count < 1 or len(labels) < FEWEST_UNITED:
        return []
    unions = [labels] if has_background else []
    neighbors = _neighbors(labels_hw)
    for _ in range(count - len(unions)):
        union = [labels[int(rng.integers(len(labels)))]]
        for _ in range(int(rng.integers(1, MOST_UNITED))):
            around = sorted(set[int]().union(*(neighbors[label] for label in union)) - set(union))
            if around:
                union.append(around[int(rng.integers(len(around)))])
        if FEWEST_UNITED <= len(union) < len(labels):
            unions.append(union)
    return unions


def _neighbors(labels_hw: NDArray[np.integer]) -> dict[int, set[int]]:
    """Map each label to the labels that touch it, without the background."""
    beside = [(labels_hw[:, :-1], labels_hw[:, 1:]), (labels_hw[:-1], labels_hw[1:])]
    found: dict[int, set[int]] = defaultdict(set)
    for labels, shifted in beside:
        edge = (labels != shifted) & (labels > 0) & (shifted > 0)
        for pair in np.unique(np.stack((labels[edge], shifted[edge])), axis=1).T.tolist():
            found[pair[0]].add(pair[1])
            found[pair[1]].add(pair[0])
    return found


class MaskList(FrameObjects):
    """Separate masks, which may overlap and are decoded on demand.

    Args:
        size: `(height, width)`.
        areas: Pixels of each object; objects without pixels are not visible.
        draw: Returns an object's mask, `(h, w)`; called only for objects with pixels.
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
        """Make a list of masks in memory, numbered from 0."""
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

    def transformed(self, object_ids: Sequence[int], affine: AffineMap) -> Mask:
        """See [`FrameObjects.transformed`]."""
        found = np.zeros((len(object_ids), affine.side, affine.side), np.bool_)
        there = [place for place, number in enumerate(object_ids) if number in self._areas]
        for first in range(0, len(there), PLANES):
            places = there[first : first + PLANES]
            # Run lengths are decoded column by column, and bits are joined in the same order.
            planes = [
                self._draw(object_ids[place]).view(np.uint8) << np.uint8(bit)
                for bit, place in enumerate(places)
            ]
            packed_ss = affine.labels(functools.reduce(np.bitwise_or, planes))
            for bit, place in enumerate(places):
                found[place] = (packed_ss >> np.uint8(bit)) & 1
        return found


MAP_DIMENSIONS = 2
LARGEST_LABEL = 2**31 - 128  # the largest below 2**31 that float32 holds exactly
EXPECTED = "Tables hold paths, pictures, or the bytes of PNG or JPEG files."


def open_picture(stored: StoredPicture) -> Image.Image:
    """Open a picture, whatever its mode.

    Raises:
        ImageError: It is missing, damaged, or not a picture.
    """
    if isinstance(stored, Image.Image):
        return stored
    if isinstance(stored, str):
        opened = load_image(stored)
        if isinstance(opened, Image.Image):
            return opened
    try:
        picture = Image.open(io.BytesIO(stored))  # type: ignore[arg-type]  # bytes are left
        picture.load()
    except UnidentifiedImageError as error:
        raise ImageError(f"a stored picture has an unknown format. {EXPECTED}") from error
    except Exception as error:  # Pillow's readers raise many types for damaged files
        raise ImageError(f"a stored picture cannot be read: {error}. {EXPECTED}") from error
    return picture


def open_rgb(stored: StoredPicture) -> Image.Image:
    """Open a picture as RGB.

    Raises:
        ImageError: As in `open_picture`.
    """
    picture = open_picture(stored)
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    return Image.fromarray(to_picture(picture))


def open_label_map(stored: StoredPicture) -> NDArray[np.uint8] | NDArray[np.int32]:
    """Open a picture that holds a number for each pixel; a palette gives its indices.

    Returns:
        `(h, w)`, uint8 or int32.

    Raises:
        ImageError: As in `open_picture`.
        DataError: It holds colors.
    """
    picture = open_picture(stored)
    values = np.asarray(picture)
    if values.ndim != MAP_DIMENSIONS:
        name = stored if isinstance(stored, str) else "a mask"
        raise DataError(
            f"{name} holds colors (mode {picture.mode}), but a mask has one number per pixel. "
            "Save it as a gray or palette PNG."
        )
    if values.dtype in (np.bool_, np.uint8):
        return values.astype(np.uint8, copy=False)
    # written so that NaN fails as well
    if not (np.abs(values) <= LARGEST_LABEL).all() or not (values == np.rint(values)).all():
        raise DataError(
            "a mask holds floats that are not whole numbers, or too large. Save it as a gray or "
            "palette PNG."
        )
    return values.astype(np.int32, copy=False)
