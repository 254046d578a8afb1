"""COCO JSON of a picture: masks as run lengths or polygons, names as categories."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sam2_hf import rle as run_lengths
from sam2_hf.atomic_write import write_atomically
from sam2_hf.version import __version__

from .found_object import UNNAMED, FoundObject, Json
from .polygons import mask_polygons

DIGITS = 6  # of scores and coordinates in JSON; more is float32 noise


def coco_document(
    file_name: str,
    size: tuple[int, int],
    objects: Iterable[FoundObject],
    model: str,
    *,
    polygons: bool = False,
) -> dict[str, Any]:
    """Describe the objects of a picture as COCO's dictionary.

    Args:
        file_name: Of the picture.
        size: `(height, width)` of the picture.
        objects: Its objects.
        model: Name of the model.
        polygons: Whether masks are lists of polygons, one for each connected part, with holes
            joined to the outline by a slit; objects without a pixel are left out. By default masks
            are run lengths.
    """
    if polygons:
        annotations = [polygon_annotation(found) for found in objects if found.area]
    else:
        annotations = [mask_annotation(found) for found in objects]
    return document(file_name, size, annotations, model)


def mask_annotation(found: FoundObject) -> dict[str, Any]:
    """Make the annotation of an object, with run lengths."""
    return _annotation(found, run_lengths.to_coco(found.rle))


def polygon_annotation(found: FoundObject) -> dict[str, Any]:
    """Make the annotation of an object, with polygons."""
    flat = [ring_n2.reshape(-1).tolist() for ring_n2 in mask_polygons(found.mask)]
    return _annotation(found, flat)


def _annotation(found: FoundObject, segmentation: Json) -> dict[str, Any]:
    left, top, right, bottom = found.box
    fields: dict[str, Any] = {
        "iscrowd": 0,
        "area": found.area,
        "bbox": [left, top, right - left, bottom - top],
    }
    named = {} if found.name is None else {"name": found.name}
    return {**fields, **named, **found.about, "segmentation": segmentation}


def document(
    file_name: str, size: tuple[int, int], annotations: Sequence[Mapping[str, Any]], model: str
) -> dict[str, Any]:
    """Number annotations, and list their names as categories."""
    height, width = size
    categories = category_ids(about.get("name") for about in annotations)
    numbered = [
        {
            "id": place,
            "image_id": 1,
            "category_id": categories[about.get("name") or UNNAMED],
            **about,
        }
        for place, about in enumerate(annotations, 1)
    ]
    return {
        "info": information(model),
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
        "categories": category_rows(categories),
        "annotations": numbered,
    }


def category_ids(names: Iterable[str | None]) -> dict[str, int]:
    """Number names from 1, in order; unnamed objects share a category."""
    distinct = list(dict.fromkeys(name or UNNAMED for name in names)) or [UNNAMED]
    return {name: number for number, name in enumerate(distinct, 1)}


def category_rows(categories: Mapping[str, int]) -> list[dict[str, Any]]:
    """Describe categories as COCO does."""
    return [{"id": number, "name": name} for name, number in categories.items()]


def information(model: str) -> dict[str, Any]:
    """Describe what made the masks."""
    about = {"description": "masks by sam2-hf", "version": __version__}
    return {**about, "model": model} if model else about


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write JSON with one line per image, category and annotation, atomically.

    Raises:
        OutputError: It cannot be written.
    """
    sections = []
    for name, section in content.items():
        if isinstance(section, list):
            rows = ",\n".join(f"    {json.dumps(_rounded(row))}" for row in section)
            sections.append(f'  "{name}": [\n{rows}\n  ]' if rows else f'  "{name}": []')
        else:
            sections.append(f'  "{name}": {json.dumps(_rounded(section))}')
    body = ",\n".join(sections)
    return write_atomically(path, f"{{\n{body}\n}}\n".encode())


def _rounded(value: Json) -> Json:
    if isinstance(value, float):
        return int(value) if value.is_integer() else round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
