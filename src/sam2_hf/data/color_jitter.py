"""Color jitter: brightness, contrast, saturation and hue of a frame as one matrix and one offset.

Each change is an affine map of the color, given the picture's mean, so any sequence of them costs
one product.

Suffixes: 3 = red, green, blue, hw3 = rows, columns and these, 33 = a matrix of colors.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .config import Augmentation

BYTE = 255
GRAY = np.array([0.299, 0.587, 0.114])  # ITU-R 601-2, as in Pillow
# Rows: luma and the two chroma axes of NTSC, in whose plane hue rotates.
YIQ_33 = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
RGB_33 = np.linalg.inv(YIQ_33)


@dataclass(frozen=True, slots=True)
class ColorAmounts:
    """Limits of color changes; 0 changes nothing.

    Attributes:
        brightness: 0.1 draws a factor from 0.9 to 1.1.
        contrast: Same, about the picture's mean.
        saturation: Same, about gray.
        hue: Fraction of the color circle to either side.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float


@dataclass(frozen=True, slots=True)
class ColorChange:
    """A drawn change, the same for every frame that it is applied to.

    Attributes:
        order: Order of the four changes.
        brightness: Factor.
        contrast: Factor.
        saturation: Factor.
        hue: Fraction of the color circle.
    """

    order: tuple[int, ...] = (0, 1, 2, 3)
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0


GRAYSCALE = ColorChange(saturation=0.0)


def draw_change(amounts: ColorAmounts, rng: np.random.Generator) -> ColorChange:
    """Draw the order and the strength of each change, uniformly as the original."""
    brightness, contrast, saturation = (
        max(1 + rng.uniform(-1, 1) * amount, 0.0)
        for amount in (amounts.brightness, amounts.contrast, amounts.saturation)
    )
    hue = rng.uniform(-1, 1) * amounts.hue
    order = tuple(rng.permutation(4).tolist())
    return ColorChange(order, brightness, contrast, saturation, hue)


def draw_changes(
    augment: Augmentation, num_frames: int, rng: np.random.Generator
) -> list[list[ColorChange]]:
    """Draw the changes of each frame of a clip: shared ones, then gray, then its own.

    Source: training/dataset/transforms.py:233-300 @ 2b90b9f.
    """
    same = ColorAmounts(augment.brightness, augment.contrast, augment.saturation, augment.hue)
    own = ColorAmounts(
        augment.frame_brightness,
        augment.frame_contrast,
        augment.frame_saturation,
        augment.frame_hue,
    )
    shared = [draw_change(same, rng)]
    if rng.random() < augment.grayscale:
        shared.append(GRAYSCALE)
    return [[*shared, draw_change(own, rng)] for _ in range(num_frames)]


def apply_changes(pixels_hw3: NDArray[np.uint8], changes: list[ColorChange]) -> NDArray[np.uint8]:
    """Change the colors of one frame.

    Args:
        pixels_hw3: uint8.
        changes: Applied in sequence.

    Returns:
        `(h, w, 3)`, uint8.

    Differs: clips values at the end instead of after each change, and rotates the hue in YIQ
        instead of HSV.
    """
    picture = Image.fromarray(pixels_hw3)
    # Integer counts are exact, so that the same pixels give the same mean with any BLAS.
    counts_3n = np.array(picture.histogram()).reshape(3, BYTE + 1)
    mean_3 = (counts_3n * np.arange(BYTE + 1)).sum(axis=1) / counts_3n[0].sum()
    matrix_33, offset_3 = np.eye(3), np.zeros(3)
    for change in changes:
        for kind in change.order:
            step_33, step_3 = _step(kind, change, matrix_33 @ mean_3 + offset_3)
            matrix_33, offset_3 = step_33 @ matrix_33, step_33 @ offset_3 + step_3
    if np.array_equal(matrix_33, np.eye(3)) and not offset_3.any():
        return pixels_hw3
    rows = np.column_stack([matrix_33, offset_3]).reshape(-1).tolist()
    return np.asarray(picture.convert("RGB", tuple(rows)))


def _step(
    kind: int, change: ColorChange, mean_3: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrix and offset of one change for a picture of mean color `mean_3`."""
    eye, none = np.eye(3), np.zeros(3)
    if kind == 0:
        return eye * change.brightness, none
    if kind == 1:
        return eye * change.contrast, np.full(3, (1 - change.contrast) * (GRAY @ mean_3))
    if kind == 2:
        gray_33 = np.tile(GRAY, (3, 1))
        return change.saturation * eye + (1 - change.saturation) * gray_33, none
    if not change.hue:
        return eye, none
    angle = 2 * math.pi * change.hue
    turn_33 = np.eye(3)
    turn_33[1:, 1:] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return RGB_33 @ turn_33 @ YIQ_33, none
