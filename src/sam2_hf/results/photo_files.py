"""Result files of one photo: a writer for each format."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.atomic_write import make_folder
from sam2_hf.overlay import label_picture

from .coco import coco_document, write_json
from .cvat import write_cvat
from .found_object import FoundObject, LazyMasks, file_name_of
from .labelme import write_labelme
from .pictures import cutout_picture, mask_picture, write_picture, write_png
from .yolo import add_yolo_picture

NOT_IN_NAMES = re.compile(r"[^\w.-]+")  # characters that a file's name need not hold


@dataclass(frozen=True, slots=True, eq=False)
class PhotoToWrite:
    """The objects of a photo on their way to files.

    Attributes:
        objects: The objects.
        size: `(height, width)` of the photo.
        photo: Its path or address; may be empty.
        picture: Reads its pixels, `(height, width, 3)`.
        overlay: Draws the overlay.
        model: Name of the model.
        stem: Of the pictures and labels in a data set; that of the photo if empty.
        is_numbered: Whether the mask is a picture of labels also for one object.
    """

    objects: Sequence[FoundObject]
    size: tuple[int, int]
    photo: str
    picture: Callable[[], NDArray[np.uint8]]
    overlay: Callable[[], Image.Image]
    model: str = ""
    stem: str = ""
    is_numbered: bool = False

    def write(self, kind: str, path: Path) -> Path:
        """Write one of `PHOTO_FORMATS`.

        Args:
            kind: Its name.
            path: The file or folder.

        Raises:
            OutputError: It cannot be written.
        """
        return WRITERS[kind](self, path)

    @property
    def file_name(self) -> str:
        """Name of the photo's file; empty if it has none."""
        return file_name_of(self.photo)

    @property
    def masks(self) -> LazyMasks:
        """All masks, decoded when needed."""
        return LazyMasks([found.rle for found in self.objects])


def _overlay(files: PhotoToWrite, path: Path) -> Path:
    return write_picture(path, files.overlay())


def _mask(files: PhotoToWrite, path: Path) -> Path:
    draw = label_picture if files.is_numbered else mask_picture
    return write_png(path, draw(files.masks, files.size))


def _cutout(files: PhotoToWrite, path: Path) -> Path:
    return write_png(path, cutout_picture(files.picture(), files.masks))


def _crops(files: PhotoToWrite, folder: Path) -> Path:
    """Write the rectangle around each object that is seen, named by its number and name.

    Other files in the folder stay: it may be the user's own.
    """
    picture_hw3 = files.picture()
    make_folder(folder)
    for found in files.objects:
        left, top, right, bottom = found.box
        if right > left:
            named = "" if found.name is None else f"_{NOT_IN_NAMES.sub('-', found.name)}"
            path = folder / f"{found.object_id:03d}{named}.png"
            crop_hw3 = np.ascontiguousarray(picture_hw3[top:bottom, left:right])
            write_png(path, crop_hw3)
    return folder


def _coco(files: PhotoToWrite, path: Path) -> Path:
    return write_json(path, coco_document(files.file_name, files.size, files.objects, files.model))


def _coco_polygons(files: PhotoToWrite, path: Path) -> Path:
    content = coco_document(files.file_name, files.size, files.objects, files.model, polygons=True)
    return write_json(path, content)


def _yolo(files: PhotoToWrite, folder: Path) -> Path:
    name = files.stem or Path(files.file_name).stem or "picture"
    return add_yolo_picture(folder, name, files.picture(), files.objects)


def _labelme(files: PhotoToWrite, path: Path) -> Path:
    return write_labelme(path, files.photo, files.size, files.objects)


def _cvat(files: PhotoToWrite, path: Path) -> Path:
    return write_cvat(path, files.file_name, files.size, files.objects)


WRITERS: dict[str, Callable[[PhotoToWrite, Path], Path]] = {
    "overlay": _overlay,
    "mask": _mask,
    "cutout": _cutout,
    "crop": _crops,
    "coco": _coco,
    "coco-polygons": _coco_polygons,
    "yolo": _yolo,
    "labelme": _labelme,
    "cvat": _cvat,
}
