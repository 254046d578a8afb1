"""Data sets in the layout of ultralytics: a picture, and a text file of polygons with its name.

    folder/data.yaml              names of the classes
    folder/images/NAME.png
    folder/labels/NAME.txt        a line for each object: class, x and y of each corner, 0-1

A line holds one polygon, so parts of an object and holes are joined by slits without width.
"""

import itertools
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import OutputError
from sam2_hf.picture_files import PICTURE_ENDINGS

from .found_object import UNNAMED, FoundObject
from .pictures import picture_bytes
from .polygons import joined, mask_polygons

DIGITS = 6
NAMES_FILE = "data.yaml"


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

    New names are appended to those of an existing data set, so that its labels stay valid. The same
    picture again replaces its labels; another picture of this name gets a number.

    Args:
        folder: Of the data set.
        name: Of the picture, without ending.
        picture_hw3: The picture.
        objects: Its objects; none make an empty file, which means background.
        ending: Of the picture; .jpg is smaller and not lossless.

    Raises:
        OutputError: A file cannot be written, or `data.yaml` cannot be read.
    """
    known = read_classes(folder)
    labels = [found.label for found in objects] or ([] if known else [UNNAMED])
    classes = list(dict.fromkeys([*known, *labels]))
    if classes != known:
        # A name that is there twice keeps both numbers.
        classes = [*known, *classes[len(set(known)) :]]
        write_classes(folder, classes)
    lines = label_lines(objects, classes, (picture_hw3.shape[0], picture_hw3.shape[1]))
    content = picture_bytes(Image.fromarray(picture_hw3), ending)
    free = _free_name(folder, name, ending, content)
    write_atomically(folder / "images" / f"{free}{ending}", content)
    text = "".join(f"{line}\n" for line in lines)
    write_atomically(folder / "labels" / f"{free}.txt", text.encode("ascii"))
    return folder


def _free_name(folder: Path, name: str, ending: str, content: bytes) -> str:
    """Return the name, with a number if another picture or its labels have it."""
    for number in itertools.count(1):
        free = name if number == 1 else f"{name}_{number}"
        picture = folder / "images" / f"{free}{ending}"
        if picture.is_file() and picture.read_bytes() == content:
            return free
        # Labels belong to every picture of their name, whatever its ending.
        places = [picture.with_name(f"{free}{other}") for other in PICTURE_ENDINGS]
        if not any(map(os.path.lexists, [*places, folder / "labels" / f"{free}.txt"])):
            return free
    return name


def read_classes(folder: Path) -> list[str]:
    """Read the names of a data set, ours or another program's; empty if there is none.

    Raises:
        OutputError: Its `data.yaml` cannot be read, or does not number the names from 0.
    """
    text = _read_names_file(folder)
    return [] if text is None else _find_names(text, folder).classes


def write_classes(folder: Path, classes: Sequence[str]) -> Path:
    """Write `data.yaml`, which training reads; a new one validates on the same pictures.

    In one that exists, names and their count `nc` are replaced, and the rest stays as it is.

    Raises:
        OutputError: It cannot be read or written.
    """
    # A text of JSON is a text of YAML, whatever characters it has.
    rows = "".join(f"\n  {number}: {json.dumps(name)}" for number, name in enumerate(classes))
    text = _read_names_file(folder)
    if text is None:
        return _write(folder, f"train: images\nval: images\nnames:{rows}\n")
    found = _find_names(text, folder)
    edits = [(found.names, f"names:{rows}")]
    if found.count is not None:
        edits.append((found.count, f"nc: {len(classes)}"))
    for (begin, end), new in sorted(edits, reverse=True):
        text = f"{text[:begin]}{new}{text[end:]}"
    if _find_names(text, folder).classes != list(classes):
        raise _unreadable(folder, "its names cannot be replaced")
    return _write(folder, text)


def _read_names_file(folder: Path) -> str | None:
    """Read `data.yaml`; None if it is missing or empty."""
    path = folder / NAMES_FILE
    if not os.path.lexists(path):
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(folder, str(error)) from error
    return text if text.strip() else None


def _write(folder: Path, text: str) -> Path:
    return write_atomically(folder / NAMES_FILE, text.encode())


@dataclass(frozen=True, slots=True)
class _FoundNames:
    """Where a `data.yaml` has its names, as the first and last character of keys with values.

    Attributes:
        classes: The names.
        names: Of `names`.
        count: Of `nc`; None if it is missing.
    """

    classes: list[str]
    names: tuple[int, int]
    count: tuple[int, int] | None


def _find_names(text: str, folder: Path) -> _FoundNames:
    """Find the names: a list, or a mapping from numbers."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _unreadable(folder, " ".join(str(error).split())) from error
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    entries = {key.value: (key, value) for key, value in pairs if key.id == "scalar"}
    if "names" not in entries:
        raise _unreadable(folder, "it has no names")
    classes = _listed(entries["names"][1])
    if classes is None:
        raise _unreadable(folder, "its names are not numbered from 0")
    count = _span(*entries["nc"]) if "nc" in entries else None
    return _FoundNames(classes, _span(*entries["names"]), count)


def _listed(names: yaml.Node) -> list[str] | None:
    """List names in order of their numbers; None if they have none."""
    if names.id == "sequence":
        values = names.value
    elif names.id == "mapping" and all(key.value.isdecimal() for key, _ in _scalars(names)):
        by_number = {int(key.value): value for key, value in _scalars(names)}
        if sorted(by_number) != list(range(len(names.value))):
            return None
        values = [by_number[number] for number in range(len(by_number))]
    else:
        return None
    return [value.value for value in values] if all(v.id == "scalar" for v in values) else None


def _scalars(mapping: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return [(key, value) for key, value in mapping.value if key.id == "scalar"]


def _span(key: yaml.Node, value: yaml.Node) -> tuple[int, int]:
    """Return first and last character of a key with its value, without what follows."""
    last = value
    if value.id != "scalar" and not value.flow_style and value.value:
        last = value.value[-1] if value.id == "sequence" else value.value[-1][1]
    return key.start_mark.index, last.end_mark.index


def _unreadable(folder: Path, reason: str) -> OutputError:
    return OutputError(
        f"cannot add to the data set {folder}: {NAMES_FILE} cannot be used: {reason}. "
        "Repair it, or choose another folder."
    )
