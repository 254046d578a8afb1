"""Boxes, points, polygons and masks of CVAT as prompts: every object comes back with a mask.

    python -m examples.refine_cvat annotations.xml --photos photos --out refined.xml

Reads and writes "CVAT for images 1.1". Suffixes: h, w = rows and columns in pixels.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from sam2_hf import Click, ImageSegmentationPipeline, ObjectPrompt
from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import ImageError, Sam2Error
from sam2_hf.pipelines.loading import load_model
from sam2_hf.results.cvat import cvat_document
from sam2_hf.results.found_object import FoundObject
from sam2_hf.results.polygons import draw_polygons

PROMPTS = ("box", "points", "polygon", "mask")  # elements of an image that are read
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class CvatImage:
    """An image of a CVAT file.

    Attributes:
        name: Its path, as in the task.
        size: `(height, width)`.
        labels: Of its objects.
        prompts: Of its objects.
    """

    name: str
    size: tuple[int, int]
    labels: tuple[str, ...]
    prompts: tuple[ObjectPrompt, ...]


def read_cvat(path: Path) -> list[CvatImage]:
    """Read a file that CVAT exported, or that `--save cvat` wrote.

    Raises:
        ImageError: It is no such file.
    """
    try:
        return list(_images(ElementTree.parse(path).getroot()))
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise ImageError(f"{path} is not a CVAT for images 1.1 file: {error!r}.") from error


def _images(root: ElementTree.Element) -> Iterator[CvatImage]:
    for image in root.iter("image"):
        size = int(image.attrib["height"]), int(image.attrib["width"])
        elements = [element for element in image if element.tag in PROMPTS]
        yield CvatImage(
            image.attrib["name"],
            size,
            tuple(element.attrib["label"] for element in elements),
            tuple(_prompt(element, size) for element in elements),
        )


def _prompt(element: ElementTree.Element, size: tuple[int, int]) -> ObjectPrompt:
    about = element.attrib
    if element.tag == "box":
        left, top, right, bottom = (float(about[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        return ObjectPrompt(box=(left, top, right, bottom))
    if element.tag == "mask":
        return ObjectPrompt(mask=_mask(element, size))
    places = [tuple(map(float, place.split(","))) for place in about["points"].split(";")]
    if element.tag == "points":
        return ObjectPrompt(clicks=tuple(Click((x, y)) for x, y in places))
    return ObjectPrompt(mask=draw_polygons([np.array(places)], size))


def _mask(element: ElementTree.Element, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read run lengths: row by row within a box, beginning with pixels outside."""
    left, top, width, height = (
        int(element.attrib[key]) for key in ("left", "top", "width", "height")
    )
    runs = [int(length) for length in element.attrib["rle"].split(",")]
    part = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    mask_hw = np.zeros(size, bool)
    mask_hw[top : top + height, left : left + width] = part.reshape(height, width)
    return mask_hw


def write_task(path: Path, images: Sequence[tuple[CvatImage, Sequence[FoundObject]]]) -> Path:
    """Write a file that CVAT imports as annotations of a task with several images.

    Raises:
        OutputError: It cannot be written.
    """
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    for number, (image, objects) in enumerate(images):
        (element,) = cvat_document(image.name, image.size, objects).findall("image")
        element.set("id", str(number))
        root.append(element)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return write_atomically(path, body + b"\n")


def refine(
    images: Sequence[CvatImage], photos: Path, segment: ImageSegmentationPipeline
) -> Iterator[tuple[CvatImage, list[FoundObject]]]:
    """Segment the objects of each image.

    Args:
        images: From `read_cvat`.
        photos: Folder of the photos.
        segment: The pipeline.

    Yields:
        An image, and its objects with their masks.

    Raises:
        ImageError: A photo cannot be read, or has another size than in the file.
    """
    for image in images:
        photo = segment.encode(str(photos / image.name))
        if photo.original_size != image.size:
            raise ImageError(
                f"{image.name} is {photo.original_size} (height, width), but {image.size} in the "
                "file. Give the folder of the task's photos."
            )
        names = dict(enumerate(image.labels, 1))
        results = segment(photo, list(image.prompts), multimask=False) if image.prompts else []
        yield image, [result.named(names).found_objects()[0] for result in results]


def main(arguments: list[str] | None = None) -> int:
    """Refine a file.

    Args:
        arguments: Of the command line; by default those of the program.

    Returns:
        The status to exit with.
    """
    parser = argparse.ArgumentParser(prog="python -m examples.refine_cvat", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("annotations", type=Path, help="CVAT for images 1.1")
    parser.add_argument("--photos", type=Path, required=True, help="folder of the task's photos")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--model", default="facebook/sam2.1-hiera-tiny", help="Hub id or folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        images = read_cvat(options.annotations)
        segment = ImageSegmentationPipeline(load_model(options.model))
        refined = list(refine(images, options.photos, segment))
        path = write_task(options.out, refined)
    except (Sam2Error, OSError) as error:
        logger.error("error: %s", error)
        return 1
    logger.info("%s: %d objects", path, sum(len(objects) for _, objects in refined))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
