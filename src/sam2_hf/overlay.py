"""Overlays of masks and prompts on photos, and label maps.

Colors are those of Okabe and Ito, distinct for color-blind viewers; touching masks get different
ones.

Suffixes: h, w = rows and columns in pixels of the photo, n = masks, 3 = red, green, blue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.special import ndtri

Rgb = tuple[int, int, int]
Xyxy = tuple[float, float, float, float]

OKABE_ITO: tuple[Rgb, ...] = (
    (86, 180, 233),  # first, since it is rare in photos
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
)
WHITE: Rgb = (255, 255, 255)
POSITIVE: Rgb = (0, 150, 80)
NEGATIVE: Rgb = (214, 30, 50)
BOX: Rgb = (255, 196, 0)

HEAT: Rgb = (255, 196, 0)

DIMMED = 0.6  # brightness of a picture under a heat map
HEAT_OPACITY = 0.8  # of the largest value, so that the picture below stays visible
FILL = 0.45  # opacity of a mask; the photo stays readable below
HALO = 0.85  # opacity of the white rim around a contour, visible on any photo
SUPERSAMPLING = 4  # factor for smooth edges of markers
MAX_PALETTE = 255  # labels of an 8-bit label map besides the background


@dataclass(frozen=True, slots=True)
class DrawnPrompts:
    """The prompts to draw over a picture, pixels of the photo.

    Attributes:
        clicks: `(x, y, positive)` of each click.
        boxes: `(x0, y0, x1, y1)` of each box.
    """

    clicks: tuple[tuple[float, float, bool], ...] = ()
    boxes: tuple[Xyxy, ...] = ()


@dataclass(frozen=True, slots=True)
class _Stroke:
    """Line widths in pixels of the photo, proportional to its size."""

    contour: float
    halo: float
    marker: float

    @classmethod
    def for_size(cls, height: int, width: int) -> "_Stroke":
        scale = max(height, width) / 1000
        contour = float(np.clip(3.0 * scale, 1.6, 9.0))
        return cls(contour, 0.55 * contour, float(np.clip(15.0 * scale, 7.0, 45.0)))


def draw_overlay(
    image_hw3: NDArray[np.uint8],
    masks: Sequence[NDArray[np.bool_]],
    prompts: DrawnPrompts | None = None,
    *,
    colors: Sequence[Rgb] | None = None,
) -> NDArray[np.uint8]:
    """Draw masks, their contours and the prompts over a photo.

    Smaller masks are on top, such as a wheel on its car.

    Args:
        image_hw3: The photo, `(height, width, 3)` uint8.
        masks: One `(height, width)` bool array per mask.
        prompts: Clicks and boxes to draw on top of everything.
        colors: One per mask; by default chosen so that neighbors differ.

    Returns:
        The picture, `(height, width, 3)` uint8. The photo is not modified.
    """
    height, width = image_hw3.shape[:2]
    stroke = _Stroke.for_size(height, width)
    chosen = mask_colors(masks) if colors is None else colors
    colors_n3 = np.array(chosen, np.float32).reshape(-1, 3)
    order = _largest_first(masks)
    labels_hw = _labels(masks, order, (height, width))
    canvas_hw3 = image_hw3.astype(np.float32)
    inside_hw = labels_hw > 0
    canvas_hw3[inside_hw] *= 1 - FILL
    canvas_hw3[inside_hw] += FILL * colors_n3[labels_hw[inside_hw] - 1]
    for index in order:
        _draw_contour(canvas_hw3, masks[index], colors_n3[index], stroke)
    picture = np.clip(np.rint(canvas_hw3), 0, 255).astype(np.uint8)
    return picture if prompts is None else _draw_prompts(picture, prompts, stroke)


def draw_heat(
    picture_hw3: NDArray[np.uint8],
    heat_hw: NDArray[np.floating],
    color: Rgb = HEAT,
    *,
    largest: float | None = None,
) -> NDArray[np.uint8]:
    """Tint a picture where a map is high; the rest is dimmed.

    Args:
        picture_hw3: The picture, `(height, width, 3)` uint8; not modified.
        heat_hw: Map of any size, 0 or more.
        color: The color.
        largest: Value that gets `HEAT_OPACITY` of the color; the map's own largest if None.
    """
    height, width = picture_hw3.shape[:2]
    largest = largest or float(heat_hw.max())
    levels_hw = heat_hw.astype(np.float32) / (largest if largest > 0 else 1.0)
    resized = Image.fromarray(levels_hw).resize((width, height), Image.Resampling.BILINEAR)
    share_hw1 = HEAT_OPACITY * np.asarray(resized)[..., None].clip(0, 1)
    dimmed_hw3 = DIMMED * picture_hw3.astype(np.float32)
    tinted_hw3 = dimmed_hw3 * (1 - share_hw1) + share_hw1 * np.array(color, np.float32)
    return np.rint(tinted_hw3).astype(np.uint8)


def label_map(masks: Sequence[NDArray[np.bool_]], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Label every pixel with the number of the smallest mask that covers it.

    Args:
        masks: `(height, width)` bool arrays; may be empty.
        size: `(height, width)`.

    Returns:
        `(height, width)` uint16: 0 without a mask, else 1 + the mask's index in `masks`.
    """
    return _labels(masks, _largest_first(masks), size)


def label_picture(masks: Sequence[NDArray[np.bool_]], size: tuple[int, int]) -> Image.Image:
    """Make a picture whose pixel values are mask numbers, see [`label_map`].

    Up to 255 masks give an 8-bit picture with a color per mask; more give a 16-bit gray one.

    Args:
        masks: `(height, width)` bool arrays; may be empty.
        size: `(height, width)`.
    """
    labels_hw = label_map(masks, size)
    if len(masks) > MAX_PALETTE:
        return Image.fromarray(labels_hw)
    picture = Image.fromarray(labels_hw.astype(np.uint8))
    palette = [0, 0, 0] + [value for color in mask_colors(masks) for value in color]
    picture.putpalette(palette)
    return picture


def mask_colors(masks: Sequence[NDArray[np.bool_]]) -> list[Rgb]:
    """Choose a color for each mask so that masks with touching boxes differ if possible.

    The choice is deterministic in the order of the masks.
    """
    palette = _palette()
    boxes = [_box(mask) for mask in masks]
    chosen: list[int] = []
    for index, box in enumerate(boxes):
        near = [chosen[other] for other in range(index) if _touch(box, boxes[other])]
        # fewest neighbors of that color, then the least used color, then the palette's order
        cost = [(near.count(c), chosen.count(c), c) for c in range(len(palette))]
        chosen.append(min(cost)[-1])
    return [palette[c] for c in chosen]


def object_colors(count: int) -> list[Rgb]:
    """List fixed colors for the objects of a video.

    From the fifteenth on they repeat.
    """
    palette = _palette()
    return [palette[place % len(palette)] for place in range(count)]


def _palette() -> list[Rgb]:
    return [*OKABE_ITO, *(_mixed(color, WHITE, 0.45) for color in OKABE_ITO)]


def _largest_first(masks: Sequence[NDArray[np.bool_]]) -> list[int]:
    areas = [int(np.count_nonzero(mask)) for mask in masks]
    return sorted(range(len(masks)), key=lambda index: -areas[index])


def _labels(
    masks: Sequence[NDArray[np.bool_]], order: Sequence[int], size: tuple[int, int]
) -> NDArray[np.uint16]:
    """Paint the number of each mask, later ones on top."""
    labels_hw = np.zeros(size, np.uint16)
    for index in order:
        labels_hw[masks[index]] = index + 1
    return labels_hw


def _mixed(color: Rgb, other: Rgb, share: float) -> Rgb:
    pairs = zip(color, other, strict=True)
    red, green, blue = (round(a * (1 - share) + b * share) for a, b in pairs)
    return red, green, blue


def _box(mask_hw: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Return left, top, right, bottom of a mask, inclusive; None if it is empty."""
    rows, columns = np.flatnonzero(mask_hw.any(axis=1)), np.flatnonzero(mask_hw.any(axis=0))
    if rows.size == 0:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _touch(a: tuple[int, int, int, int] | None, b: tuple[int, int, int, int] | None) -> bool:
    if a is None or b is None:
        return False
    return a[0] <= b[2] + 1 and b[0] <= a[2] + 1 and a[1] <= b[3] + 1 and b[1] <= a[3] + 1


def _draw_contour(
    canvas_hw3: NDArray[np.float32],
    mask_hw: NDArray[np.bool_],
    color: NDArray[np.float32],
    stroke: _Stroke,
) -> None:
    """Draw a smooth line along a mask's edge, with a white rim, into the canvas.

    A blurred step edge is the normal CDF, so its inverse gives the subpixel distance to the edge:
    lines are anti-aliased without staircases.
    """
    box = _box(mask_hw)
    if box is None:
        return
    reach = stroke.contour / 2 + stroke.halo + 1.0
    blur = 0.5 * reach
    margin = int(4 * blur) + 1
    rows = slice(max(box[1] - margin, 0), box[3] + margin + 1)
    columns = slice(max(box[0] - margin, 0), box[2] + margin + 1)
    # "nearest" extends a mask past the photo's border, so that no line runs along it
    soft = gaussian_filter(mask_hw[rows, columns].astype(np.float32), blur, mode="nearest")
    edge = (soft > 0) & (soft < 1)
    distance = np.abs(blur * ndtri(soft[edge]))
    halo = HALO * np.clip(stroke.contour / 2 + stroke.halo + 0.5 - distance, 0, 1)[:, None]
    line = np.clip(stroke.contour / 2 + 0.5 - distance, 0, 1)[:, None]
    part = canvas_hw3[rows, columns]
    pixels = part[edge] * (1 - halo) + 255 * halo
    part[edge] = pixels * (1 - line) + color * line


def _draw_prompts(
    picture_hw3: NDArray[np.uint8], prompts: DrawnPrompts, stroke: _Stroke
) -> NDArray[np.uint8]:
    canvas = Image.fromarray(picture_hw3)
    for box in prompts.boxes:
        _draw_box(canvas, box, stroke)
    for x, y, positive in prompts.clicks:
        _draw_marker(canvas, (x, y), stroke, positive=positive)
    return np.asarray(canvas)


def _draw_box(canvas: Image.Image, box: Xyxy, stroke: _Stroke) -> None:
    """Draw a prompt box as four thin layers instead of one as large as the photo."""
    x0, y0, x1, y1 = box
    line, rim = 0.6 * stroke.contour, 0.5 * stroke.halo
    sides = [(x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1)]
    for reach, color in ((line + rim, WHITE), (line, BOX)):
        for left, top, right, bottom in sides:
            bar = (left - reach, top - reach, right + reach, bottom + reach)
            _draw_bars(canvas, [bar], color, reach)


def _draw_marker(
    canvas: Image.Image, xy: tuple[float, float], stroke: _Stroke, *, positive: bool
) -> None:
    """Draw a plus for a positive click, a minus for a negative one."""
    arm, half = stroke.marker, 0.28 * stroke.marker
    rim = 0.2 * stroke.marker
    color = POSITIVE if positive else NEGATIVE
    for grow, paint in ((rim, WHITE), (0.0, color)):
        long, short = arm + grow, half + grow
        bars = [(xy[0] - long, xy[1] - short, xy[0] + long, xy[1] + short)]
        if positive:
            bars.append((xy[0] - short, xy[1] - long, xy[0] + short, xy[1] + long))
        _draw_bars(canvas, bars, paint, 0.5 * short)


def _draw_bars(canvas: Image.Image, bars: list[Xyxy], color: Rgb, radius: float) -> None:
    """Paint rounded bars with smooth edges; pixel (0, 0) has its center at (0.5, 0.5)."""
    x0, y0 = (int(np.floor(min(bar[i] for bar in bars))) - 1 for i in (0, 1))
    x1, y1 = (int(np.ceil(max(bar[i] for bar in bars))) + 2 for i in (2, 3))
    layer = Image.new("L", ((x1 - x0) * SUPERSAMPLING, (y1 - y0) * SUPERSAMPLING))
    pen = ImageDraw.Draw(layer)
    for left, top, right, bottom in bars:
        corners = [left + 0.5 - x0, top + 0.5 - y0, right + 0.5 - x0, bottom + 0.5 - y0]
        pen.rounded_rectangle(
            [SUPERSAMPLING * value for value in corners], SUPERSAMPLING * radius, fill=255
        )
    alpha = layer.resize((x1 - x0, y1 - y0), Image.Resampling.BOX)
    canvas.paste(color, (x0, y0), alpha)
