"""XML of CVAT for images 1.1: a mask for each object, as run lengths within its box.

CVAT's run lengths read row by row and begin with pixels outside.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from sam2_hf.atomic_write import write_atomically

from .found_object import FoundObject

VERSION = "1.1"


def cvat_document(
    file_name: str, size: tuple[int, int], objects: Sequence[FoundObject]
) -> ElementTree.Element:
    """Describe the objects of a picture as CVAT's XML.

    Args:
        file_name: Of the picture, as in the task.
        size: `(height, width)` of the picture.
        objects: Its objects; hidden ones are left out.
    """
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = VERSION
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    for name, text in (("name", file_name), ("size", "1"), ("mode", "annotation")):
        ElementTree.SubElement(task, name).text = text
    labels = ElementTree.SubElement(task, "labels")
    for label in dict.fromkeys(found.label for found in objects):
        element = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(element, "name").text = label
        ElementTree.SubElement(element, "type").text = "any"
    height, width = size
    about = {"id": "0", "name": file_name, "width": str(width), "height": str(height)}
    image = ElementTree.SubElement(root, "image", about)
    for found in objects:
        if found.area:
            ElementTree.SubElement(image, "mask", _mask_fields(found))
    return root


def write_cvat(
    path: Path, file_name: str, size: tuple[int, int], objects: Sequence[FoundObject]
) -> Path:
    """Write a file that CVAT imports as annotations of a task with the picture.

    Raises:
        OutputError: It cannot be written.
    """
    root = cvat_document(file_name, size, objects)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return write_atomically(path, body + b"\n")


def _mask_fields(found: FoundObject) -> dict[str, str]:
    part_hw, (left, top, right, bottom) = found.part()
    return {
        "label": found.label,
        "source": "semi-auto",
        "occluded": "0",
        "rle": ", ".join(map(str, _row_runs(part_hw))),
        "left": str(left),
        "top": str(top),
        "width": str(right - left),
        "height": str(bottom - top),
        "z_order": "0",
        "group_id": str(found.object_id),
    }


def _row_runs(mask_hw: NDArray[np.bool_]) -> list[int]:
    """Lengths of alternating runs of 0 and 1, row by row, starting with 0."""
    flat = np.concatenate([[False], mask_hw.reshape(-1)])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    runs: list[int] = np.diff([0, *changes, len(flat) - 1]).tolist()
    return runs
