"""Textures of synthetic objects: pieces of photos, noise, stripes, gradients and checkers.

Suffixes: h, w = rows and columns, 3 = red, green, blue. Colors are float32 0-1.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

TEXTURES = ("photo", "noise", "stripes", "gradient", "checkers")
PATTERNS = TEXTURES[1:]  # without a photo
BYTE = 255

GRAY_3 = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # brightness of red, green, blue


def draw_pattern(rng: np.random.Generator, kind: str, side: int) -> np.ndarray:
    """Draw a procedural surface.

    Args:
        rng: Random generator.
        kind: One of `PATTERNS`.
        side: Pixels.

    Returns:
        Colors `(side, side, 3)`.
    """
    values_hw = PATTERN_VALUES[kind](rng, side)
    grain_hw = fractal_noise(rng, side) - 0.5  # no real surface has only one color
    shade_hw1 = (rng.uniform(0, 0.5) * grain_hw)[..., None]
    return np.clip(_colored(rng, values_hw) + shade_hw1, 0, 1).astype(np.float32)


def photo_piece(photo_hw3: np.ndarray, rng: np.random.Generator, side: int) -> np.ndarray:
    """Crop a random square of a photo, rotated or mirrored at random, as `(side, side, 3)`.

    Args:
        photo_hw3: RGB bytes.
        rng: Random generator.
        side: Pixels of the result.
    """
    height, width = photo_hw3.shape[:2]
    shorter = min(height, width)
    piece = shorter * min(1.0, max(0.15, side / shorter * rng.uniform(0.7, 2.0)))
    left, top = rng.uniform(0, width - piece), rng.uniform(0, height - piece)
    box = (left, top, left + piece, top + piece)
    picture = Image.fromarray(photo_hw3).resize((side, side), Image.Resampling.BILINEAR, box)
    colors_hw3 = np.rot90(np.asarray(picture), int(rng.integers(4)))
    if rng.integers(2):
        colors_hw3 = colors_hw3[:, ::-1]
    return colors_hw3.astype(np.float32) / BYTE


def shift_colors(rng: np.random.Generator, colors_hw3: np.ndarray) -> np.ndarray:
    """Randomly change brightness, contrast, saturation and tint."""
    gray_hw1 = (colors_hw3 @ GRAY_3)[..., None]
    mixed_hw3 = gray_hw1 + (colors_hw3 - gray_hw1) * rng.uniform(0.2, 1.6)
    tint_3 = rng.normal(0, 0.1, 3) + rng.normal(0, 0.15)
    middle_3 = mixed_hw3.mean(axis=(0, 1))
    shifted_hw3 = middle_3 + (mixed_hw3 - middle_3) * rng.uniform(0.6, 1.4) + tint_3
    return np.clip(shifted_hw3, 0, 1).astype(np.float32)


def match_colors(colors_hw3: np.ndarray, like_hw3: np.ndarray) -> np.ndarray:
    """Match the mean color and the contrast of another surface."""
    middle_3, spread = colors_hw3.mean(axis=(0, 1)), colors_hw3.std() + 1e-3
    gain = min(2.0, float(like_hw3.std() + 1e-3) / float(spread))
    matched_hw3 = (colors_hw3 - middle_3) * gain + like_hw3.mean(axis=(0, 1))
    return np.clip(matched_hw3, 0, 1).astype(np.float32)


def fractal_noise(rng: np.random.Generator, side: int, *, octaves: int = 5) -> np.ndarray:
    """Sum noise over octaves, as in clouds, bark, gravel.

    Returns:
        Values `(side, side)`, float32, from 0 to 1.
    """
    loss = rng.uniform(0.4, 0.8)  # of strength from one octave to the next
    first = int(rng.integers(2, 5))
    total_hw = np.zeros((side, side), dtype=np.float32)
    for octave in range(octaves):
        cells = first << octave
        if cells > side:
            break
        coarse = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
        fine = coarse.resize((side, side), Image.Resampling.BICUBIC)
        total_hw += loss**octave * np.asarray(fine)
    low, high = float(total_hw.min()), float(total_hw.max())
    return (total_hw - low) / max(high - low, 1e-6)


def defocused(colors_hw3: np.ndarray, radius: float) -> np.ndarray:
    """Blur a surface; `radius` in pixels."""
    picture = Image.fromarray((colors_hw3 * BYTE + 0.5).astype(np.uint8))
    blurred = picture.filter(ImageFilter.BoxBlur(radius))
    return np.asarray(blurred).astype(np.float32) / BYTE


def _stripes(rng: np.random.Generator, side: int) -> np.ndarray:
    """Draw stripes in a direction, distorted by noise, soft or sharp."""
    bend_hw = fractal_noise(rng, side, octaves=2) * rng.uniform(0, 1.5)
    phase_hw = _ramp(rng, side) * rng.uniform(2, 14) + bend_hw
    waves_hw = np.sin(2 * np.pi * phase_hw) * rng.choice([1.0, 8.0])
    return (1 + np.clip(waves_hw, -1, 1)) / 2


def _checkers(rng: np.random.Generator, side: int) -> np.ndarray:
    phases = [_ramp(rng, side) * rng.uniform(2, 10) for _ in range(2)]
    fields_hw = [np.clip(8 * np.sin(2 * np.pi * phase_hw), -1, 1) for phase_hw in phases]
    return (1 + fields_hw[0] * fields_hw[1]) / 2


def _ramp(rng: np.random.Generator, side: int) -> np.ndarray:
    """Rise from 0 to 1 across the square in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    steps = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    ramp_hw = np.cos(angle) * steps + np.sin(angle) * steps[:, None]
    low, high = ramp_hw.min(), ramp_hw.max()
    return (ramp_hw - low) / (high - low)


PATTERN_VALUES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "noise": fractal_noise,
    "stripes": _stripes,
    "gradient": _ramp,
    "checkers": _checkers,
}


def _colored(rng: np.random.Generator, values_hw: np.ndarray) -> np.ndarray:
    """Map values to colors along a random palette, usually of related colors."""
    count = int(rng.integers(2, 5))
    reach = rng.choice([0.1, 0.25, 0.6])
    colors_k3 = rng.uniform(0.1, 0.9, 3) + rng.uniform(-reach, reach, (count, 3))
    gray_k1 = (colors_k3 @ GRAY_3)[:, None]
    colors_k3 = np.clip(gray_k1 + rng.beta(1.2, 2.0) * (colors_k3 - gray_k1), 0, 1)
    stops = np.linspace(0, 1, count)
    bands = [np.interp(values_hw, stops, colors_k3[:, band]) for band in range(3)]
    return np.stack(bands, axis=-1)
