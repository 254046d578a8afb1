"""Contact sheets: rows of pictures with titles.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CELL = (480, 360)  # pixels, width and height
TITLE = 18  # pixels of the line above a picture
GAP = 6
PAPER, INK = (255, 255, 255), (40, 40, 40)


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A picture and its title."""

    title: str
    picture_hw3: NDArray[np.uint8]


def contact_sheet(rows: Sequence[Sequence[Cell]], cell_size: tuple[int, int] = CELL) -> Image.Image:
    """Arrange pictures on one sheet; rows may differ in length.

    Args:
        rows: At least one picture.
        cell_size: Width and height in pixels that pictures are resized to fit into.
    """
    fitted = [[_fitted(cell.picture_hw3, cell_size) for cell in row] for row in rows]
    columns = max(len(row) for row in fitted)
    heights = [max(picture.height for picture in row) + TITLE + GAP for row in fitted]
    tops = [GAP, *(GAP + end for end in accumulate(heights))]
    font, step = ImageFont.load_default(TITLE - 5), cell_size[0] + GAP
    # wide enough for the title of the last picture of each row
    ends = [(len(row) - 1) * step + font.getlength(row[-1].title) for row in rows if row]
    width = max(columns * step, math.ceil(max(ends, default=0)) + GAP) + GAP
    sheet = Image.new("RGB", (width, tops[-1]), PAPER)
    pen = ImageDraw.Draw(sheet)
    for top, cells, pictures in zip(tops, rows, fitted, strict=False):
        for column, (cell, picture) in enumerate(zip(cells, pictures, strict=True)):
            left = GAP + column * step
            pen.text((left, top), cell.title, fill=INK, font=font)
            sheet.paste(picture, (left, top + TITLE))
    return sheet


def save_sheet(rows: Sequence[Sequence[Cell]], path: Path) -> Path:
    """Write a contact sheet as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows).save(path)
    return path


def _fitted(picture_hw3: NDArray[np.uint8], cell_size: tuple[int, int]) -> Image.Image:
    height, width = picture_hw3.shape[:2]
    scale = min(cell_size[0] / width, cell_size[1] / height)
    size = max(round(scale * width), 1), max(round(scale * height), 1)
    return Image.fromarray(picture_hw3).resize(size, Image.Resampling.LANCZOS)
