"""Outlines of masks: closed polygons that give the mask back, with as few corners as possible.

Pixel (x, y) covers the square from (x, y) to (x + 1, y + 1). A pixel is inside a polygon if its
center is, by the even-odd rule. Touching corners connect pixels (8-connectivity). A hole is joined
to the outline around it by a slit without width, and so are parts where a format has room for one
polygon only: readers by that rule get the same mask.

Suffixes: h, w = rows and columns in pixels, n = corners, 2 = x, y.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from scipy import ndimage

from sam2_hf import rle as run_lengths

Ring = NDArray[np.float64]

TOLERANCE = 0.3  # pixels; centers of pixels are at least 0.35 away from an outline
SHARP = 3  # sides of at least this many pixels meet in a sharp corner, others are beveled
DIRECTIONS = 2
EIGHT_NEIGHBORS = np.ones((3, 3), bool)


def mask_polygons(mask_hw: NDArray[np.bool_]) -> list[Ring]:
    """Outline each connected part of a mask, holes included.

    Args:
        mask_hw: `(height, width)`, boolean.

    Returns:
        A closed polygon `(n, 2)` for each part, pixels, the first corner not repeated. COCO's tools
        draw exactly this mask from them. Empty for an empty mask.
    """
    labels_hw, count = ndimage.label(mask_hw, structure=EIGHT_NEIGHBORS)
    parts: list[list[Ring]] = [[] for _ in range(count)]
    for ring_n2, (row, column) in _corner_rings(mask_hw):
        parts[labels_hw[row, column] - 1].append(ring_n2)
    boxes = ndimage.find_objects(labels_hw)
    return [
        _simplest(rings, labels_hw[box] == number, (box[1].start, box[0].start))
        for number, (rings, box) in enumerate(zip(parts, boxes, strict=True), 1)
    ]


def joined(rings: Sequence[Ring]) -> Ring:
    """Join closed polygons to one, by slits without width.

    Args:
        rings: At least one `(n, 2)`; none lies on another one's side of the first but in it or
            beside it.

    Returns:
        `(n, 2)`; by the even-odd rule the same area.
    """
    whole_n2, *rest = rings
    for ring_n2 in sorted(rest, key=lambda ring_n2: float(ring_n2[:, 0].min())):
        start = int(ring_n2[:, 0].argmin())
        there_n2 = np.concatenate([ring_n2[start:], ring_n2[: start + 1]])
        near = int(((whole_n2 - there_n2[0]) ** 2).sum(axis=1).argmin())
        whole_n2 = np.concatenate([whole_n2[: near + 1], there_n2, whole_n2[near:]])
    return whole_n2


def draw_polygons(rings: Sequence[Ring], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw polygons as a mask, with COCO's tools.

    Args:
        rings: Each `(n, 2)`; what several cover is inside.
        size: `(height, width)`.
    """
    height, width = size
    drawn_hw = np.zeros(size, bool)
    for ring_n2 in rings:
        if len(ring_n2) > DIRECTIONS:
            (packed,) = coco_mask.frPyObjects([ring_n2.reshape(-1).tolist()], height, width)
            drawn_hw |= run_lengths.decode(run_lengths.from_coco(packed))
    return drawn_hw


def _simplest(rings: Sequence[Ring], part_hw: NDArray[np.bool_], origin: tuple[int, int]) -> Ring:
    """Join the rings of one part, simplified where that leaves the mask as it is."""
    beveled = [_thinned(_beveled(ring_n2)) for ring_n2 in rings]
    for candidates in (beveled, rings):
        whole_n2 = joined(sorted(candidates, key=_extent, reverse=True))
        # Drawn in the box of the part, which is smaller than the picture.
        drawn_hw = draw_polygons([whole_n2 - origin], (part_hw.shape[0], part_hw.shape[1]))
        if np.array_equal(drawn_hw, part_hw):
            return whole_n2
    return whole_n2


def _extent(ring_n2: Ring) -> float:
    """Area of the box around a ring; the outermost ring of a part has the largest."""
    width, height = np.ptp(ring_n2, axis=0).tolist()
    return float(width * height)


def _beveled(ring_n2: Ring) -> Ring:
    """Cut short corners at the middles of their pixels' sides, so that stairs become slopes."""
    before_n2, after_n2 = np.roll(ring_n2, 1, axis=0), np.roll(ring_n2, -1, axis=0)
    back_n2, ahead_n2 = before_n2 - ring_n2, after_n2 - ring_n2
    lengths = [np.abs(side_n2).sum(axis=1, keepdims=True) for side_n2 in (back_n2, ahead_n2)]
    sharp_n = (np.minimum(*lengths) >= SHARP)[:, 0]
    cut_n22 = np.stack(
        [
            ring_n2 + 0.5 * side_n2 / length
            for side_n2, length in zip((back_n2, ahead_n2), lengths, strict=True)
        ],
        axis=1,
    )
    cut_n22[sharp_n] = ring_n2[sharp_n, None]
    corners_n2 = cut_n22.reshape(-1, 2)
    repeated_n = (corners_n2 == np.roll(corners_n2, 1, axis=0)).all(axis=1)
    return corners_n2[~repeated_n]


def _thinned(ring_n2: Ring) -> Ring:
    """Drop corners that lie within `TOLERANCE` of a line between kept ones (Douglas-Peucker)."""
    far = int(((ring_n2 - ring_n2[0]) ** 2).sum(axis=1).argmax())
    closed_n2 = np.concatenate([ring_n2, ring_n2[:1]])
    kept = {0, far}
    spans = [(0, far), (far, len(ring_n2))]
    while spans:
        first, last = spans.pop()
        if last - first < DIRECTIONS:
            continue
        line_2 = closed_n2[last] - closed_n2[first]
        rest_n2 = closed_n2[first + 1 : last] - closed_n2[first]
        share_n = np.clip(rest_n2 @ line_2 / max(float(line_2 @ line_2), 1e-9), 0, 1)
        away_n = ((rest_n2 - share_n[:, None] * line_2) ** 2).sum(axis=1)
        worst = int(away_n.argmax())
        if away_n[worst] > TOLERANCE**2:
            middle = first + 1 + worst
            kept.add(middle)
            spans += [(first, middle), (middle, last)]
    thin_n2 = ring_n2[sorted(kept)]
    return thin_n2 if len(thin_n2) > DIRECTIONS else ring_n2


def _corner_rings(mask_hw: NDArray[np.bool_]) -> Iterator[tuple[Ring, tuple[int, int]]]:
    """Follow the border between inside and outside, which is to the left.

    Yields:
        The corners of a closed line, `(n, 2)`, and row and column of a pixel inside it.
    """
    padded_hw = np.pad(mask_hw, 1).astype(np.int8)
    across = _Sides.of(padded_hw[1:, 1:-1] - padded_hw[:-1, 1:-1])  # a line is a y, a place an x
    down = _Sides.of((padded_hw[1:-1, :-1] - padded_hw[1:-1, 1:]).T)  # a line is an x, a place a y
    width = padded_hw.shape[1]
    # Where four sides meet, the border turns left, so that pixels are connected by their corners.
    then_down = _following(
        across.line * width + across.end,
        down.start * width + down.line,
        wanted=-across.sign,
        signs=down.sign,
    ).tolist()
    then_across = _following(
        down.end * width + down.line,
        across.line * width + across.start,
        wanted=down.sign,
        signs=across.sign,
    ).tolist()
    corner_n2 = np.stack([across.start, across.line], axis=1)
    seen = [False] * len(corner_n2)
    for first in range(len(seen)):
        sides, here = [], first
        while not seen[here]:
            seen[here] = True
            sides.append(here)
            here = then_across[then_down[here]]
        if sides:
            ends_n2 = np.stack([across.end, across.line], axis=1)[sides]
            ring_n2 = np.stack([corner_n2[sides], ends_n2], axis=1).reshape(-1, 2)
            is_below = across.sign[first] > 0
            row, column = across.line[first], min(across.start[first], across.end[first])
            yield ring_n2.astype(np.float64), (int(row) - (not is_below), int(column))


@dataclass(frozen=True, slots=True, eq=False)
class _Sides:
    """Straight sides of a border in one direction, `(n,)` each.

    Attributes:
        line: Number of the line that the side lies on.
        start: Place on the line where it starts.
        end: Where it ends.
        sign: 1 if places grow from start to end, else -1.
    """

    line: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    sign: NDArray[np.int64]

    @classmethod
    def of(cls, steps: NDArray[np.int8]) -> "_Sides":
        """Find runs of equal steps.

        Args:
            steps: `(lines, places)`: 1 or -1 where a side runs up or down the places, 0 elsewhere.
        """
        padded = np.pad(steps, ((0, 0), (1, 1)))
        before, after = padded[:, :-1], padded[:, 1:]
        line, low = np.nonzero((before != after) & (after != 0))
        _, high = np.nonzero((before != after) & (before != 0))
        sign = steps[line, low].astype(np.int64)
        return cls(line, np.where(sign > 0, low, high), np.where(sign > 0, high, low), sign)


def _following(
    ends: NDArray[np.int64],
    starts: NDArray[np.int64],
    *,
    wanted: NDArray[np.int64],
    signs: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Find the side that starts where another one ends.

    Args:
        ends: Corners, `(n,)`.
        starts: Corners, `(m,)`.
        wanted: Sign of the side to take where two start.
        signs: Signs of the sides that start.
    """
    order = np.argsort(2 * starts + (signs > 0))
    codes = (2 * starts + (signs > 0))[order]
    place = np.searchsorted(codes, 2 * ends + (wanted > 0)).clip(max=len(codes) - 1)
    is_there = codes[place] == 2 * ends + (wanted > 0)
    other = np.searchsorted(codes, 2 * ends + (wanted <= 0)).clip(max=len(codes) - 1)
    return order[np.where(is_there, place, other)]
