"""What every result with masks of one picture can do: plot, save, convert.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.errors import ImageError, Sam2Error
from sam2_hf.number_reading import shown
from sam2_hf.overlay import DrawnPrompts

from .coco import coco_document
from .formats import PHOTO_FORMATS, format_for, read_formats
from .found_object import FoundObject, LazyMasks, Origin
from .labeled_overlay import draw_masklets, draw_objects
from .other_libraries import fiftyone_detections, supervision_detections
from .photo_files import PhotoToWrite
from .pictures import NO_PICTURE, cutout_picture, png_bytes
from .polygons import Ring, mask_polygons

ENDINGS = {
    ".png": "overlay",
    ".jpg": "overlay",
    ".jpeg": "overlay",
    ".webp": "overlay",
    ".json": "coco",
    ".xml": "cvat",
}
NAMES_SHOWN = 3  # in a repr
Picture = Image.Image | NDArray[np.uint8]


class PictureMasks(ABC):
    """Masks of one picture, with ids, names and scores.

    The picture is remembered where it came from and read again when needed; `image=` replaces it.
    """

    __slots__ = ()
    IS_EVERYTHING: ClassVar[bool] = False  # many masks, drawn without numbers
    IS_TRACKED: ClassVar[bool] = False  # whether ids follow objects through a video

    @abstractmethod
    def found_objects(self) -> list[FoundObject]:
        """List the objects, each with one mask.

        Example:
            >>> [found.object_id for found in session.preview(0).found_objects()]
            [1]
        """

    @property
    @abstractmethod
    def picture_size(self) -> tuple[int, int]:
        """`(height, width)` of the picture."""

    @property
    @abstractmethod
    def picture_origin(self) -> Origin | None:
        """Where the picture came from; None if unknown."""

    @abstractmethod
    def named(self, names: Mapping[int, str]) -> Self:
        """Return the same result with names of objects.

        Args:
            names: By object id; others keep theirs.

        Example:
            >>> session.preview(0).named({1: "cup"}).to_coco()["categories"][0]["name"]
            'cup'
        """

    def drawn_prompts(self) -> DrawnPrompts | None:
        """Return the prompts to draw on the picture; None if there are none.

        Example:
            >>> segment = ImageSegmentationPipeline(image_model)
            >>> segment(photo, points=[(290, 225)]).drawn_prompts().clicks
            ((290.0, 225.0, True),)
        """
        return None

    def plot(self, image: Picture | None = None) -> Image.Image:
        """Draw the masks over the picture.

        Args:
            image: The picture, if not the remembered one; `(height, width, 3)` uint8 or Pillow's.
                Without either, masks are drawn on dark gray.

        Raises:
            ImageError: The picture has another size, or can no longer be read.

        Example:
            >>> session.preview(0).plot().size
            (240, 180)
        """
        picture_hw3, objects = self._pixels(image), self.found_objects()
        if not self.IS_TRACKED:
            prompts, numbered = self.drawn_prompts(), not self.IS_EVERYTHING
            return draw_objects(picture_hw3, objects, prompts, numbered=numbered)
        masks = {found.object_id: found.mask for found in objects}
        names = {found.object_id: found.name for found in objects if found.name is not None}
        drawn = draw_masklets(picture_hw3, masks, list(masks), self.drawn_prompts(), names)
        return Image.fromarray(drawn)

    def cutout(self, image: Picture | None = None) -> Image.Image:
        """Cut the objects out: RGBA at the picture's size, transparent around them.

        Args:
            image: As in `plot`.

        Raises:
            ImageError: As in `plot`.

        Example:
            >>> session.preview(0).cutout().mode
            'RGBA'
        """
        lazy = LazyMasks([found.rle for found in self.found_objects()])
        return Image.fromarray(cutout_picture(self._pixels(image), lazy))

    def polygons(self) -> dict[int, list[Ring]]:
        """Outline the masks.

        Returns:
            By object id a polygon for each connected part, `(corners, 2)` x and y in pixels, holes
            joined to the outline by a slit. COCO's tools draw exactly the masks from them.

        Example:
            >>> outlines = session.preview(0).polygons()[1]
            >>> outlines[0].shape[1]
            2
        """
        return {found.object_id: mask_polygons(found.mask) for found in self.found_objects()}

    def to_coco(self, *, polygons: bool = False) -> dict[str, Any]:
        """Make COCO's dictionary, ready for JSON; names are categories.

        Args:
            polygons: Whether masks are polygons; by default they are compressed run lengths.

        Example:
            >>> session.preview(0).to_coco()["annotations"][0]["segmentation"]["size"]
            [180, 240]
        """
        name = "" if self.picture_origin is None else self.picture_origin.name
        return coco_document(
            name, self.picture_size, self.found_objects(), model="", polygons=polygons
        )

    def to_supervision(self) -> Any:  # noqa: ANN401 - supervision may not be installed
        """Make `supervision.Detections`; see [`supervision_detections`].

        Raises:
            MissingPackageError: supervision is not installed.

        Example:
            >>> result = session.preview(0)
            >>> detections = result.to_supervision()  # doctest: +SKIP
        """
        return supervision_detections(
            self.found_objects(), self.picture_size, tracked=self.IS_TRACKED
        )

    def to_fiftyone(self) -> Any:  # noqa: ANN401 - fiftyone may not be installed
        """Make `fiftyone.Detections`; see [`fiftyone_detections`].

        Raises:
            MissingPackageError: fiftyone is not installed.

        Example:
            >>> result = session.preview(0)
            >>> detections = result.to_fiftyone()  # doctest: +SKIP
        """
        return fiftyone_detections(self.found_objects(), self.picture_size)

    def save(
        self,
        path: str | os.PathLike[str],
        kind: str | None = None,
        *,
        image: Picture | None = None,
    ) -> Path:
        """Write the result to a file.

        Args:
            path: The file, or the folder of "crop" and "yolo". A picture is added to a "yolo"
                folder that exists.
            kind: One of `sam2-hf segment --save`: overlay, mask, cutout, crop, coco,
                coco-polygons, yolo, labelme, cvat. By default what the ending says: a picture is
                an overlay, .json COCO, .xml CVAT.
            image: As in `plot`.

        Raises:
            PromptError: There is no such kind, or the ending does not say which.
            ImageError: As in `plot`.
            OutputError: The file cannot be written.

        Example:
            >>> session.preview(0).save("frame.png").name
            'frame.png'
            >>> session.preview(0).save("labels", "yolo").is_dir()
            True
        """
        target = Path(path)
        chosen = format_for(target.suffix, ENDINGS) if kind is None else kind
        (name,) = read_formats([chosen], PHOTO_FORMATS)
        origin = self.picture_origin
        files = PhotoToWrite(
            objects=self.found_objects(),
            size=self.picture_size,
            photo="" if origin is None else origin.path,
            picture=lambda: self._pixels(image),
            overlay=lambda: self.plot(image),
            is_numbered=self.IS_EVERYTHING,
        )
        return files.write(name, target)

    def _pixels(self, image: Picture | None) -> NDArray[np.uint8]:
        """Return the picture, `(height, width, 3)`."""
        height, width = self.picture_size
        if image is None and self.picture_origin is None:
            return self._gray()
        if image is None and self.picture_origin is not None:
            pixels = self.picture_origin.read()
        else:
            is_picture = isinstance(image, Image.Image)
            pixels = np.asarray(image.convert("RGB") if is_picture else image)  # type: ignore[union-attr]
        if pixels.shape != (height, width, 3) or pixels.dtype != np.uint8:
            raise ImageError(
                f"the picture is {shown(pixels.shape)} of {pixels.dtype}, the masks are of "
                f"{(height, width, 3)} (height, width, 3) uint8. Give the picture that was "
                "segmented."
            )
        return pixels

    def _gray(self) -> NDArray[np.uint8]:
        return np.full((*self.picture_size, 3), NO_PICTURE, np.uint8)

    def _repr_png_(self) -> bytes:
        """Show the plot in a notebook, on gray if the picture is gone."""
        try:
            return png_bytes(self.plot())
        except Sam2Error:
            return png_bytes(self.plot(self._gray()))

    def __repr__(self) -> str:
        objects = self.found_objects()
        height, width = self.picture_size
        return f"{type(self).__name__}({_counted(objects)}, {width} x {height} pixels)"


def _counted(objects: Sequence[FoundObject]) -> str:
    """Describe objects in a few words."""
    if len(objects) != 1:
        named = list(dict.fromkeys(found.name for found in objects if found.name))
        names = ", ".join(named[:NAMES_SHOWN]) + " ..." * (len(named) > NAMES_SHOWN)
        return f"{len(objects)} objects{f' ({names})' if named else ''}"
    (found,) = objects
    return f"{found.name or f'object {found.object_id}'}, IoU {found.score:.3f}, area {found.area}"
