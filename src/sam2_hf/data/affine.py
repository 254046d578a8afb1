"""Affine augmentation: one map from a picture to the model's square input, for pixels and masks.

Coordinates are continuous, as in Pillow: the picture spans 0 to its width and 0 to its height, and
the center of the first pixel lies at (0.5, 0.5).

Suffixes: hw = rows and columns of the picture, ss = of the input, 3 = red, green, blue, 33 = a
homogeneous matrix.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .config import Augmentation

FILL = (124, 116, 104)  # the mean of normalization, so that a margin becomes about 0
Anchor = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class AffineMap:
    """Map from the model's input to the picture.

    Attributes:
        matrix_33: From the input's coordinates to the picture's, `(3, 3)`.
        side: Rows and columns of the input.
        size: `(height, width)` of the picture.
    """

    matrix_33: NDArray[np.float64]
    side: int
    size: tuple[int, int]

    def pixels(self, picture: Image.Image) -> NDArray[np.uint8]:
        """Resample an RGB picture: shrink it first to avoid aliasing, then transform.

        Returns:
            `(S, S, 3)`, uint8.
        """
        height, width = self.size
        inner = np.linalg.inv(self.matrix_33)[:2, :2]
        shares = np.minimum(np.hypot(*inner), 1.0)  # input pixels to a pixel of the picture
        columns = max(round(float(width * shares[0])), 1)
        rows = max(round(float(height * shares[1])), 1)
        small = picture if (columns, rows) == (width, height) else picture.resize((columns, rows))
        matrix_33 = np.diag([columns / width, rows / height, 1.0]) @ self.matrix_33
        if small.size == (self.side, self.side) and np.allclose(matrix_33, np.eye(3), atol=1e-9):
            return np.asarray(small)
        moved = small.transform(
            (self.side, self.side),
            Image.Transform.AFFINE,
            _coefficients(matrix_33),
            Image.Resampling.BILINEAR,
            fillcolor=FILL,
        )
        return np.asarray(moved)

    def labels(self, labels_hw: NDArray[np.uint8] | NDArray[np.int32]) -> NDArray[np.integer]:
        """Resample a label map; each pixel takes the label at its center, the margin 0.

        Args:
            labels_hw: uint8 or int32.

        Returns:
            `(S, S)`, of the same type.
        """
        moved = Image.fromarray(labels_hw).transform(
            (self.side, self.side),
            Image.Transform.AFFINE,
            _coefficients(self.matrix_33),
            Image.Resampling.NEAREST,
        )
        return np.asarray(moved)


def whole_picture(size: tuple[int, int], side: int) -> AffineMap:
    """Stretch the whole picture to the input, as SAM 2 does at inference."""
    height, width = size
    return AffineMap(np.diag([width / side, height / side, 1.0]), side, size)


def draw_affine(
    augment: Augmentation,
    size: tuple[int, int],
    side: int,
    anchor: Anchor,
    rng: np.random.Generator,
) -> AffineMap:
    """Draw flips, rotation, shear and zoom as one map.

    Args:
        augment: Amount of each.
        size: `(height, width)` of the picture.
        side: Rows and columns of the input.
        anchor: `(x, y)` in the picture, a point of an object that a zoom may target.
        rng: Random generator.

    Source: training/dataset/transforms.py:174-190, :303-369 @ 2b90b9f.
    Differs: resamples once instead of after each step, and shrinks before rotating.
    """
    height, width = size
    flip_33 = _flip(augment, size, rng)
    turn_33 = _turn(augment, size, rng)
    there_33 = turn_33 @ flip_33
    scale = math.exp(rng.uniform(math.log(augment.zoom[0]), math.log(augment.zoom[1])))
    stretch = math.exp(rng.uniform(-0.5, 0.5) * math.log(augment.stretch))
    crop = (width / scale * stretch, height / scale / stretch)
    to_object = rng.random() < augment.zoom_on_object
    places = rng.random(2)
    x, y, _ = there_33 @ (*anchor, 1.0)
    corner = [
        _corner(length, part, place, target if to_object else None)
        for length, part, place, target in zip(
            (width, height), crop, places.tolist(), (float(x), float(y)), strict=True
        )
    ]
    cut_33 = np.array(
        [[crop[0] / side, 0.0, corner[0]], [0.0, crop[1] / side, corner[1]], [0.0, 0.0, 1.0]]
    )
    return AffineMap(np.linalg.inv(there_33) @ cut_33, side, size)


def _flip(
    augment: Augmentation, size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    height, width = size
    matrix_33 = np.eye(3)
    if rng.random() < augment.horizontal_flip:
        matrix_33[0] = (-1.0, 0.0, width)
    if rng.random() < augment.vertical_flip:
        matrix_33[1] = (0.0, -1.0, height)
    return matrix_33


def _turn(
    augment: Augmentation, size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Rotate and shear about the picture's center."""
    height, width = size
    angle = math.radians(rng.uniform(-1, 1) * augment.degrees)
    slant = -math.tan(math.radians(rng.uniform(-1, 1) * augment.shear))
    turn_22 = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    center = np.array([width / 2, height / 2])
    matrix_33 = np.eye(3)
    matrix_33[:2, :2] = turn_22 @ np.array([[1.0, slant], [0.0, 1.0]])
    matrix_33[:2, 2] = center - matrix_33[:2, :2] @ center
    return matrix_33


def _corner(length: float, part: float, place: float, target: float | None) -> float:
    """Choose the start of a crop along one axis.

    Args:
        length: Length of the picture.
        part: Length of the crop, which may exceed that of the picture.
        place: Drawn from 0 to 1.
        target: Coordinate to place in the middle half of the crop; None for anywhere.
    """
    room = length - part
    if target is None or room <= 0:
        return place * room
    wanted = target - (0.25 + 0.5 * place) * part
    return min(max(wanted, 0.0), room)


def _coefficients(matrix_33: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(matrix_33[:2].reshape(-1).tolist())
