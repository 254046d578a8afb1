"""Names and contents of the files that the command line writes."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sam2_hf import __version__
from sam2_hf.errors import OutputError
from sam2_hf.pipelines.atomic_files import write_atomically
from sam2_hf.rle import CocoRle

DIGITS = 6  # of scores and coordinates in JSON; more would be noise of float32
BYTE = 255
Json = Any  # numbers, texts, lists and dictionaries of them


def unique_stems(photos: Sequence[str]) -> list[str]:
    """Choose the beginning of the result files' names, a different one for each photo.

    It is the photo's name without its ending. Photos that would share it (also on file systems that
    do not tell upper from lower case) get their ending or their folders' names added.

    Args:
        photos: Paths; the same path twice gets a number.
    """
    groups: dict[str, list[Path]] = {}
    for path in map(Path, photos):
        groups.setdefault(path.stem.casefold(), []).append(path)
    names = {path: name for group in groups.values() for path, name in _told_apart(group).items()}
    return _numbered([names[Path(photo)] for photo in photos])


def with_ending(base: Path, ending: str) -> Path:
    """Add an ending to a path; unlike `Path.with_suffix`, a dot in the name stays."""
    return base.with_name(base.name + ending)


def prepare_folder(folder: Path) -> None:
    """Make the folder for the results, before any costly work.

    Raises:
        OutputError: It cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror or error}. Choose another --out."
        ) from error


def write_png(path: Path, picture: Image.Image | NDArray[np.uint8]) -> Path:
    """Write a picture, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return write_atomically(path, buffer.getvalue())


def write_coco(
    path: Path, photo: str, size: tuple[int, int], annotations: Sequence[dict[str, Any]], model: str
) -> Path:
    """Write masks as a COCO-style JSON file, whole or not at all.

    Args:
        path: The file.
        photo: Path of the photo; its name goes into the file.
        size: `(height, width)` of the photo.
        annotations: One dictionary per mask, see [`annotation`].
        model: What the model is called.

    Raises:
        OutputError: It cannot be written.
    """
    height, width = size
    image = {"id": 1, "file_name": Path(photo).name, "width": width, "height": height}
    numbered = [{"id": place, "image_id": 1, **one} for place, one in enumerate(annotations, 1)]
    content = {
        "info": {"description": "masks by sam2-hf", "version": __version__, "model": model},
        "images": [image],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": numbered,
    }
    return write_atomically(path, f"{_readable(content)}\n".encode())


def annotation(
    segmentation: CocoRle, box: Sequence[float], *, area: int, **about: Any
) -> dict[str, Any]:
    """Describe one mask as COCO does.

    Args:
        segmentation: The mask.
        box: `(x, y, width, height)` between the outermost pixels, as the pipelines give it. COCO
            counts the outermost pixels in, so width and height grow by one.
        area: Pixels inside.
        **about: More fields, such as scores.
    """
    x, y, width, height = box
    whole = [x, y, width + 1, height + 1] if area else [0, 0, 0, 0]
    fields = {"category_id": 1, "iscrowd": 0, "area": area, "bbox": whole}
    return {**fields, **about, "segmentation": segmentation}


def as_picture(photo_3hw: Tensor) -> NDArray[np.uint8]:
    """Bring a photo `(3, height, width)`, uint8 or float 0-1, to `(height, width, 3)` uint8."""
    pixels = photo_3hw.permute(1, 2, 0).numpy(force=True)
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    return np.rint(pixels * BYTE).clip(0, BYTE).astype(np.uint8)


def _told_apart(paths: Sequence[Path]) -> dict[Path, str]:
    """Name photos of the same stem with as little as tells them apart."""
    different = list(dict.fromkeys(paths))
    for depth in range(max(len(path.parts) for path in different)):
        for with_suffix in (False, True):
            names = {path: _long_name(path, depth, with_suffix=with_suffix) for path in different}
            if len({name.casefold() for name in names.values()}) == len(different):
                return names
    return {path: path.stem for path in different}  # a number is all that is left


def _long_name(path: Path, depth: int, *, with_suffix: bool) -> str:
    """Join the names of `depth` folders, the stem and perhaps the ending."""
    folders = [part for part in path.parts[:-1] if part not in (path.anchor, "..", ".")]
    ending = [path.suffix[1:]] if with_suffix and path.suffix else []
    return "_".join([*folders[max(0, len(folders) - depth) :], path.stem, *ending])


def _numbered(stems: list[str]) -> list[str]:
    """Add numbers to names that are still the same."""
    taken: set[str] = set()
    chosen = []
    for stem in stems:
        number, name = 1, stem
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.casefold())
        chosen.append(name)
    return chosen


def _readable(content: dict[str, Any]) -> str:
    """Write JSON with one line per image, category and annotation."""
    sections = []
    for name, section in content.items():
        if isinstance(section, list):
            rows = ",\n".join(f"    {json.dumps(_rounded(row))}" for row in section)
            sections.append(f'  "{name}": [\n{rows}\n  ]' if rows else f'  "{name}": []')
        else:
            sections.append(f'  "{name}": {json.dumps(section)}')
    return "{\n" + ",\n".join(sections) + "\n}"


def _rounded(value: Json) -> Json:
    if isinstance(value, float):
        return int(value) if value.is_integer() else round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value
