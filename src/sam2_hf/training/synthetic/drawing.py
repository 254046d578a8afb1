"""Rendering of textured squares: transformed, bent, with motion blur, composited in order.

Suffixes: c = channels, 4 = red, green, blue (premultiplied) and coverage,
k = moments of one exposure, h, w = rows and columns.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .motion import Affine

SHARP = 3.0  # maximum motion between two moments of an exposure, pixels
MOMENTS = 4  # of an exposure, at most
TERMS = 4  # of the product that gives the coordinates of one axis
STEEPEST = 0.7  # of a wave; at 1 an object would fold over itself

Place = Callable[[float], Affine]


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """A shift along one axis: `height * sin(lengths . xy + phase)`, in halves of the square."""

    height: float
    lengths_2: np.ndarray
    phase: float


@dataclass(frozen=True, slots=True, eq=False)
class Waves:
    """Two waves, one along each axis, that deform an object over time.

    Attributes:
        heights_2: Of both, in halves of the square.
        lengths_22: Of each along x and y, radians.
        rates_2: Radians a frame of each.
        phases_2: Of each.
    """

    heights_2: np.ndarray = field(default_factory=lambda: np.zeros(2))
    lengths_22: np.ndarray = field(default_factory=lambda: np.zeros((2, 2)))
    rates_2: np.ndarray = field(default_factory=lambda: np.zeros(2))
    phases_2: np.ndarray = field(default_factory=lambda: np.zeros(2))

    @classmethod
    def draw(cls, rng: np.random.Generator, limits: tuple[float, float]) -> Self:
        """Draw waves with heights in a range; short waves are lower."""
        (own_x, own_y), across_2 = rng.uniform(-1, 1, 2), rng.uniform(1.0, 4.5, 2)
        heights_2 = np.minimum(rng.uniform(*limits, 2), STEEPEST / across_2)
        lengths_22 = np.array([(own_x, across_2[0]), (across_2[1], own_y)])
        return cls(heights_2, lengths_22, rng.uniform(-0.7, 0.7, 2), rng.uniform(0, 2 * np.pi, 2))

    def at(self, time: float) -> list[Wave]:
        """Return both waves at a time."""
        phases = self.phases_2 + self.rates_2 * time
        return [
            Wave(*values) for values in zip(self.heights_2, self.lengths_22, phases, strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A rectangle of a picture.

    Attributes:
        rows: Of the picture.
        columns: Of the picture.
        pixels_chw: Content.
    """

    rows: slice
    columns: slice
    pixels_chw: Tensor

    def cover(self, canvas_3hw: Tensor, coverage_hw: Tensor | None = None) -> None:
        """Composite over a canvas, in place, and over the coverage of its object."""
        colors_3hw, covered_hw = self.pixels_chw[:3], self.pixels_chw[3]
        canvas_3hw[:, self.rows, self.columns].mul_(1 - covered_hw).add_(colors_3hw)
        if coverage_hw is not None:
            part_hw = coverage_hw[self.rows, self.columns]
            part_hw.add_(covered_hw * (1 - part_hw))


def exposure(place: Place, time: float, shutter: float) -> list[float]:
    """List the moments of one exposure, more for faster corners."""
    if shutter <= 0:
        return [time]
    ends = [place(time + share * shutter).corners(1.0) for share in (-0.5, 0.5)]
    distance = float(np.abs(ends[1] - ends[0]).max())
    count = int(np.clip(np.ceil(distance / SHARP), 1, MOMENTS))
    return [time + shutter * ((index + 0.5) / count - 0.5) for index in range(count)]


def draw_layer(
    pixels_chw: Tensor, place: Place, times: list[float], size: int, waves: Waves
) -> Patch | None:
    """Render a square, averaged over the moments of an exposure.

    Args:
        pixels_chw: Colors times coverage, and coverage.
        place: From the square (-1 to 1) to pixels of the picture, at a time.
        times: Moments of the exposure.
        size: Side of the picture, pixels.
        waves: Deformation of the square.

    Returns:
        None if it lies outside the picture.
    """
    places = [place(time) for time in times]
    corners = np.concatenate([place.corners(1 + waves.heights_2.max()) for place in places])
    low_2 = np.clip(np.floor(corners.min(axis=0)), 0, size).astype(int)
    high_2 = np.clip(np.ceil(corners.max(axis=0)), 0, size).astype(int)
    if (high_2 <= low_2).any():
        return None
    grid_khw2 = _grid(places, low_2, high_2, [waves.at(time) for time in times])
    columns, rows = (slice(int(low), int(high)) for low, high in zip(low_2, high_2, strict=True))
    return Patch(rows, columns, _look_up(pixels_chw, grid_khw2, padding="zeros"))


def draw_ground(pixels_chw: Tensor, place: Place, times: list[float], size: int) -> Tensor:
    """Render the background, mirrored beyond its border; `(c, size, size)`."""
    places = [place(time) for time in times]
    waves = [Waves().at(time) for time in times]
    grid_khw2 = _grid(places, np.zeros(2, dtype=int), np.full(2, size), waves)
    return _look_up(pixels_chw, grid_khw2, padding="reflection")


def _grid(
    places: list[Affine], low_2: np.ndarray, high_2: np.ndarray, waves: list[list[Wave]]
) -> Tensor:
    """Compute the coordinates in the square of each pixel of a rectangle, at each moment.

    The angle of a wave is linear in row and column, so `sin(row + column)` is a sum of two products
    of a row's and a column's value. With the linear part it makes a matrix product of few terms:
    `(k, h, 8) @ (k, 8, w * 2)`.
    """
    columns_w, rows_h = (
        np.arange(low, high) + 0.5 for low, high in zip(low_2, high_2, strict=True)
    )
    one_h, one_w = np.ones_like(rows_h), np.ones_like(columns_w)
    left_khr = np.empty((len(places), len(rows_h), 2 * TERMS), dtype=np.float32)
    right_krw2 = np.zeros((len(places), 2 * TERMS, len(columns_w), 2), dtype=np.float32)
    for moment, (place, both) in enumerate(zip(places, waves, strict=True)):
        back = place.inverse()
        x_w2 = columns_w[:, None] * back.matrix_22[:, 0]
        y_h2 = rows_h[:, None] * back.matrix_22[:, 1] + back.shift_2
        for axis, wave in enumerate(both):
            angle_h, angle_w = y_h2 @ wave.lengths_2 + wave.phase, x_w2 @ wave.lengths_2
            lefts = (one_h, y_h2[:, axis], np.sin(angle_h), np.cos(angle_h))
            heights_w = (wave.height * np.cos(angle_w), wave.height * np.sin(angle_w))
            terms = slice(axis * TERMS, (axis + 1) * TERMS)
            left_khr[moment, :, terms] = np.stack(lefts, axis=1)
            right_krw2[moment, terms, :, axis] = np.stack((x_w2[:, axis], one_w, *heights_w))
    shape = (len(places), len(rows_h), len(columns_w), 2)
    right_krn = torch.from_numpy(right_krw2).flatten(2)
    return (torch.from_numpy(left_khr) @ right_krn).view(shape)


def _look_up(pixels_chw: Tensor, grid_khw2: Tensor, *, padding: str) -> Tensor:
    found_kchw = functional.grid_sample(
        pixels_chw.expand(len(grid_khw2), -1, -1, -1),
        grid_khw2,
        padding_mode=padding,
        align_corners=False,
    )
    return found_kchw[0] if len(found_kchw) == 1 else found_kchw.mean(dim=0)
