"""Labelme JSON: a polygon for each part of an object; parts of one object share a `group_id`.

Holes are joined to the outline by slits without width, since labelme knows no holes.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sam2_hf.atomic_write import write_atomically

from .found_object import FoundObject, file_name_of
from .polygons import mask_polygons

VERSION = "5.4.1"  # of labelme's files


def labelme_document(
    image_path: str, size: tuple[int, int], objects: Iterable[FoundObject]
) -> dict[str, Any]:
    """Describe the objects of a picture as labelme's dictionary.

    Args:
        image_path: Path of the picture as seen from the JSON file.
        size: `(height, width)` of the picture.
        objects: Its objects.
    """
    shapes = [
        {
            "label": found.label,
            "points": ring_n2.tolist(),
            "group_id": found.object_id,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
        for found in objects
        for ring_n2 in mask_polygons(found.mask)
    ]
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": size[0],
        "imageWidth": size[1],
    }


def write_labelme(
    path: Path, photo: str, size: tuple[int, int], objects: Iterable[FoundObject]
) -> Path:
    """Write a file that labelme opens together with the photo.

    Args:
        path: The file.
        photo: Path of the photo, which the file points to relative to itself; of an address, or a
            file that is gone, the name alone.
        size: `(height, width)` of the photo.
        objects: Its objects.

    Raises:
        OutputError: It cannot be written.
    """
    seen_from = _seen_from(photo, path.parent) if photo and _exists(photo) else file_name_of(photo)
    content = labelme_document(seen_from, size, objects)
    return write_atomically(path, f"{json.dumps(content, indent=1)}\n".encode())


def _exists(photo: str) -> bool:
    try:
        return Path(photo).exists()
    except (OSError, ValueError):  # a `data:` address is too long for a path
        return False


def _seen_from(photo: str, folder: Path) -> str:
    try:
        return Path(os.path.relpath(photo, folder)).as_posix()
    except ValueError:  # on another drive
        return Path(photo).absolute().as_posix()
