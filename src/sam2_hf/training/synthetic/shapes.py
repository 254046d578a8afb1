"""Random shapes, drawn as coverage: the part of each pixel inside an outline.

A shape fills the square from -1 to 1 except for a border of a few pixels.
Suffixes: n = corners of an outline, 2 = x and y, h, w = rows and columns.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SHAPES = ("blob", "ellipse", "polygon", "star", "bent", "union", "ring")
BORDER = 2  # empty pixels, so that edges can be softened and sampled smoothly
FINENESS = 2  # supersampling factor
CORNERS = 72  # of a smooth outline


def draw_shape(rng: np.random.Generator, kinds: tuple[str, ...], side: int) -> np.ndarray:
    """Draw one random shape.

    Args:
        rng: Random generator.
        kinds: Some of `SHAPES`, of which one is drawn.
        side: Pixels of its square.

    Returns:
        Coverage `(side, side)`, float32 0-1; not empty, and 0 along the border.
    """
    kind = kinds[rng.integers(len(kinds))]
    picture = _canvas(side)
    if kind == "union":
        for outline_n2 in _cluster(rng):
            _fill(picture, outline_n2, inside=True)
    else:
        outline_n2 = _outline(rng, "blob" if kind == "ring" else kind)
        _fill(picture, outline_n2, inside=True)
        if kind == "ring":
            hole_n2 = _outline(rng, "blob") * rng.uniform(0.3, 0.65) + rng.uniform(-0.15, 0.15, 2)
            _fill(picture, hole_n2, inside=False)
    return _coverage(picture)


def draw_bar(rng: np.random.Generator, side: int) -> np.ndarray:
    """Draw a long thin shape, like poles, branches and fences."""
    outline_n2 = _fit(_outline(rng, "polygon" if rng.integers(2) else "blob"))
    picture = _canvas(side)
    _fill(picture, outline_n2 * (rng.uniform(0.06, 0.25), 1.0), inside=True)
    return _coverage(picture)


def soften(coverage_hw: np.ndarray, radius: float) -> np.ndarray:
    """Blur a coverage map; `radius` in pixels."""
    picture = Image.fromarray((coverage_hw * 255 + 0.5).astype(np.uint8))
    blurred = np.asarray(picture.filter(ImageFilter.BoxBlur(radius)))
    return blurred.astype(np.float32) / 255


def _blob(rng: np.random.Generator) -> np.ndarray:
    """Draw a smooth outline: a circle with waves, the short ones lower."""
    angles_n = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    waves_k = np.arange(2, 2 + rng.integers(2, 7))
    heights_k = rng.normal(0, rng.uniform(0.1, 0.6), len(waves_k)) / waves_k**0.7
    phases_k = rng.uniform(0, 2 * np.pi, len(waves_k))
    radii_n = 1 + np.cos(np.outer(angles_n, waves_k) + phases_k) @ heights_k
    # A minimum radius keeps the outline from crossing itself at the center.
    return _around(angles_n, np.maximum(radii_n, 0.15))


def _ellipse(rng: np.random.Generator) -> np.ndarray:
    angles_n = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    # an exponent above 2 makes a superellipse, like cars and boxes
    exponent = 2 / rng.choice([2.0, 2.0, 4.0, 8.0])
    x_n, y_n = np.cos(angles_n), np.sin(angles_n)
    return np.stack([np.sign(v) * np.abs(v) ** exponent for v in (x_n, y_n)], axis=1)


def _polygon(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.integers(3, 9))
    steps_n = rng.uniform(0.5, 1.5, count)
    angles_n = np.cumsum(steps_n) * 2 * np.pi / steps_n.sum()
    return _around(angles_n, rng.uniform(0.5, 1.0, count))


def _star(rng: np.random.Generator) -> np.ndarray:
    """Draw an outline with arms."""
    count = int(rng.integers(3, 8))
    angles_n = np.linspace(0, 2 * np.pi, 2 * count, endpoint=False)
    angles_n = angles_n + rng.uniform(-0.15, 0.15, 2 * count)
    radii_n = rng.uniform(0.7, 1.0, 2 * count)
    radii_n[::2] *= rng.uniform(0.3, 0.6)
    return _around(angles_n, radii_n)


def _bent(rng: np.random.Generator) -> np.ndarray:
    """Draw a long blob along an arc, like animals and letters."""
    outline_n2 = _blob(rng) * (1.0, rng.uniform(0.15, 0.4))
    bend = rng.uniform(0.6, 2.2)
    radius_n = 1 / bend + outline_n2[:, 1]
    angles_n = outline_n2[:, 0] * bend
    return np.stack([radius_n * np.sin(angles_n), radius_n * np.cos(angles_n)], axis=1)


OUTLINES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "blob": _blob,
    "ellipse": _ellipse,
    "polygon": _polygon,
    "star": _star,
    "bent": _bent,
}


def _outline(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Draw an outline of a kind, stretched in one direction and rotated."""
    outline_n2 = OUTLINES[kind](rng)
    stretch = rng.uniform(0.4, 1.0) if kind != "bent" else 1.0
    return _fit(_turned(outline_n2 * (1.0, stretch), rng.uniform(0, 2 * np.pi)))


def _cluster(rng: np.random.Generator) -> list[np.ndarray]:
    """Draw two or three touching outlines, fitted into the square."""
    kinds = tuple(OUTLINES)
    outlines = [_outline(rng, kinds[rng.integers(len(kinds))])]
    for _ in range(rng.integers(1, 3)):
        other_n2 = _outline(rng, kinds[rng.integers(len(kinds))]) * rng.uniform(0.4, 0.9)
        direction = rng.uniform(0, 2 * np.pi)
        shift = rng.uniform(0.4, 0.9) * np.array([np.cos(direction), np.sin(direction)])
        outlines.append(other_n2 + shift)
    ends = np.cumsum([len(outline_n2) for outline_n2 in outlines])[:-1]
    return np.split(_fit(np.concatenate(outlines)), ends)


def _around(angles_n: np.ndarray, radii_n: np.ndarray) -> np.ndarray:
    return np.stack([radii_n * np.cos(angles_n), radii_n * np.sin(angles_n)], axis=1)


def _turned(outline_n2: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return outline_n2 @ np.array([[cos, sin], [-sin, cos]])


def _fit(outline_n2: np.ndarray) -> np.ndarray:
    """Center an outline and scale it to the square."""
    low_2, high_2 = outline_n2.min(axis=0), outline_n2.max(axis=0)
    return (outline_n2 - (low_2 + high_2) / 2) * (2 / (high_2 - low_2).max())


def _canvas(side: int) -> Image.Image:
    return Image.new("L", (side * FINENESS, side * FINENESS))


def _fill(picture: Image.Image, outline_n2: np.ndarray, *, inside: bool) -> None:
    half = picture.width / 2
    corners = half - 0.5 + outline_n2 * (half - BORDER * FINENESS)
    ImageDraw.Draw(picture).polygon([tuple(xy) for xy in corners], fill=255 if inside else 0)


def _coverage(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.reduce(FINENESS)).astype(np.float32) / 255
