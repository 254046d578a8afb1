"""Overlay of masks with a color and a label for each object: its name, or its number.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from sam2_hf.overlay import DrawnPrompts, Rgb, draw_overlay, mask_colors, object_colors

from .found_object import FoundObject, LazyMasks

Corners = tuple[int, int, int, int]  # left, top, right, bottom


WHITE: Rgb = (255, 255, 255)
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601 weights of red, green and blue
BRIGHT = 128  # above this luma, black text is easier to read than white
TEXT_SHARE, LEAST_TEXT, MOST_TEXT = 0.022, 10.0, 48.0  # of the longer side; pixels
SUPERSAMPLING = 4  # labels are drawn this much larger and shrunk, so that their edges are smooth


def draw_masklets(
    picture_hw3: NDArray[np.uint8],
    masks: Mapping[int, NDArray[np.bool_]],
    object_ids: Sequence[int],
    prompts: DrawnPrompts | None = None,
    names: Mapping[int, str] | None = None,
) -> NDArray[np.uint8]:
    """Draw the objects of one frame.

    Args:
        picture_hw3: The frame, `(height, width, 3)` uint8.
        masks: `(height, width)` bool by object id; empty where an object is hidden.
        object_ids: All objects of the video, in a fixed order, which determines colors. With two or
            more, each is labeled with its number; named ones with their name, always.
        prompts: Clicks and boxes of this frame.
        names: Names of objects, by id.

    Returns:
        The picture, `(height, width, 3)` uint8.
    """
    by_id = dict(zip(object_ids, object_colors(len(object_ids)), strict=True))
    shown = [object_id for object_id in object_ids if object_id in masks]
    picture = draw_overlay(
        picture_hw3,
        [masks[object_id] for object_id in shown],
        prompts,
        colors=[by_id[object_id] for object_id in shown],
    )
    known = names or {}
    if len(object_ids) == 1 and not known:
        return picture
    labels = [(known.get(item, str(item)), masks[item], by_id[item]) for item in shown]
    return np.asarray(_labeled(picture, labels))


def _labeled(
    picture_hw3: NDArray[np.uint8], labels: Iterable[tuple[str, NDArray[np.bool_], Rgb]]
) -> Image.Image:
    """Write text on masks in their color."""
    canvas = Image.fromarray(picture_hw3)
    text_size = float(np.clip(TEXT_SHARE * max(canvas.size), LEAST_TEXT, MOST_TEXT))
    taken: list[Corners] = []
    for text, mask_hw, color in labels:
        if mask_hw.any():
            label, opacity = _label(text, text_size, color)
            taken.append(_place(label.size, canvas.size, mask_hw, taken))
            canvas.paste(label, taken[-1][:2], opacity)
    return canvas


def draw_objects(
    picture_hw3: NDArray[np.uint8],
    objects: Sequence[FoundObject],
    prompts: DrawnPrompts | None = None,
    *,
    numbered: bool,
) -> Image.Image:
    """Draw objects of a photo: neighbors differ in color, and named ones are labeled.

    Args:
        picture_hw3: The photo, `(height, width, 3)` uint8.
        objects: Its objects.
        prompts: Clicks and boxes.
        numbered: Whether two or more objects without names are labeled with their numbers.
    """
    masks = LazyMasks([found.rle for found in objects])
    colors = mask_colors(masks)
    has_numbers = numbered and len(objects) > 1
    picture = draw_overlay(picture_hw3, masks, prompts, colors=colors)
    texts = [found.name or (str(found.object_id) if has_numbers else "") for found in objects]
    labels = (
        (text, found.mask, color)
        for text, found, color in zip(texts, objects, colors, strict=True)
        if text
    )
    return _labeled(picture, labels)


def _place(
    size: tuple[int, int],
    canvas_size: tuple[int, int],
    mask_hw: NDArray[np.bool_],
    taken: Sequence[Corners],
) -> Corners:
    """Place a label on the top edge of the mask's largest part, beside earlier labels."""
    parts_hw, count = ndimage.label(mask_hw)
    largest = 1 + int(np.bincount(parts_hw.reshape(-1))[1:].argmax())
    main_hw = mask_hw if count == 1 else parts_hw == largest
    row = int(np.flatnonzero(main_hw.any(axis=1))[0])
    columns = np.flatnonzero(main_hw[row])
    column = int(columns[len(columns) // 2])
    left = min(max(column - size[0] // 2, 0), max(canvas_size[0] - size[0], 0))
    top = min(max(row - size[1] // 2, 0), max(canvas_size[1] - size[1], 0))
    for other in sorted(taken):
        x0, y0, x1, y1 = other
        if left < x1 and x0 < left + size[0] and top < y1 and y0 < top + size[1]:
            left = x1
    return left, top, left + size[0], top + size[1]


def _label(text: str, text_size: float, color: Rgb) -> tuple[Image.Image, Image.Image]:
    """Draw a label and its opacity."""
    font = ImageFont.load_default(text_size * SUPERSAMPLING)
    left, top, right, bottom = font.getbbox(text)
    height = 1.5 * text_size * SUPERSAMPLING
    width = max(right - left + 0.7 * text_size * SUPERSAMPLING, height)
    size = (round(width), round(height))
    alpha = Image.new("L", size)
    rim = 0.1 * text_size * SUPERSAMPLING
    radius = height / 2
    ImageDraw.Draw(alpha).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), radius, fill=255)
    label = Image.new("RGB", size, WHITE)
    pen = ImageDraw.Draw(label)
    inner = (rim, rim, size[0] - 1 - rim, size[1] - 1 - rim)
    pen.rounded_rectangle(inner, radius - rim, fill=color)
    luma = sum(share * part for share, part in zip(LUMA, color, strict=True))
    place = ((size[0] - left - right) / 2, (size[1] - top - bottom) / 2)
    pen.text(place, text, (0, 0, 0) if luma > BRIGHT else WHITE, font)
    small = (round(width / SUPERSAMPLING), round(height / SUPERSAMPLING))
    return label.resize(small, Image.Resampling.BOX), alpha.resize(small, Image.Resampling.BOX)
