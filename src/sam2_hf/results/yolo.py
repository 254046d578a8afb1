"""Data sets in the layout of ultralytics: a picture, and a text file of polygons with its name.

    folder/data.yaml              names of the classes
    folder/images/NAME.png
    folder/labels/NAME.txt        a line for each object: class, x and y of each corner, 0-1

A line holds one polygon, so parts of an object and holes are joined by slits without width.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.atomic_write import write_atomically

from .found_object import UNNAMED, FoundObject
from .pictures import write_picture
from .polygons import joined, mask_polygons

DIGITS = 6
NAMES_FILE = "data.yaml"
NAME_LINE = re.compile(r'^ +\d+: (".*")$', re.MULTILINE)


def label_lines(
    objects: Iterable[FoundObject], classes: Sequence[str], size: tuple[int, int]
) -> list[str]:
    """Write a line for each object that is seen.

    Args:
        objects: The objects of one picture.
        classes: The names.
        size: `(height, width)` of the picture.
    """
    height, width = size
    lines = []
    for found in objects:
        rings = mask_polygons(found.mask)
        if rings:
            corners = (joined(rings) / (width, height)).reshape(-1).tolist()
            numbers = " ".join(f"{number:.{DIGITS}f}" for number in corners)
            lines.append(f"{classes.index(found.label)} {numbers}")
    return lines


def add_yolo_picture(
    folder: Path,
    name: str,
    picture_hw3: NDArray[np.uint8],
    objects: Sequence[FoundObject],
    *,
    ending: str = ".png",
) -> Path:
    """Add a picture and its labels to a data set, new or existing.

    New names are appended to those of an existing data set, so that its labels stay valid.

    Args:
        folder: Of the data set.
        name: Of the picture, without ending.
        picture_hw3: The picture.
        objects: Its objects; none make an empty file, which means background.
        ending: Of the picture; .jpg is smaller and not lossless.

    Raises:
        OutputError: A file cannot be written.
    """
    known = read_classes(folder)
    labels = [found.label for found in objects] or ([] if known else [UNNAMED])
    classes = list(dict.fromkeys([*known, *labels]))
    if classes != known or not (folder / NAMES_FILE).exists():
        write_classes(folder, classes)
    lines = label_lines(objects, classes, (picture_hw3.shape[0], picture_hw3.shape[1]))
    write_picture(folder / "images" / f"{name}{ending}", Image.fromarray(picture_hw3))
    text = "".join(f"{line}\n" for line in lines)
    write_atomically(folder / "labels" / f"{name}.txt", text.encode("ascii"))
    return folder


def read_classes(folder: Path) -> list[str]:
    """Read the names of a data set that this module wrote; empty if there is none."""
    path = folder / NAMES_FILE
    if not path.is_file():
        return []
    return [json.loads(text) for text in NAME_LINE.findall(path.read_text(encoding="utf-8"))]


def write_classes(folder: Path, classes: Sequence[str]) -> Path:
    """Write `data.yaml`, which training reads; it validates on the same pictures.

    Raises:
        OutputError: It cannot be written.
    """
    # A text of JSON is a text of YAML, whatever characters it has.
    names = "".join(f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(classes))
    text = f"train: images\nval: images\nnames:\n{names}"
    return write_atomically(folder / NAMES_FILE, text.encode("ascii"))
