"""Prompts of CVAT's XML: tracks of a video, or shapes on frames of a task of pictures.

A keyframe that a person drew is a prompt; frames between two keyframes are CVAT's interpolation.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np

from sam2_hf import rle
from sam2_hf.errors import DataError

from .given_objects import GivenObject, GivenPrompt, trailing_number

SHAPES = ("box", "points", "polygon", "mask")


def cvat_objects(root: Element, by: str) -> dict[str, list[GivenObject]]:
    """Read "CVAT for video 1.1" (one video) or "CVAT for images 1.1" (`VIDEO/frame_000012.jpg`).

    Raises:
        DataError: A file with tracks does not name its video, or a mask is damaged.
    """
    tracks = list(root.iter("track"))
    if tracks:
        return {_source(root, by): list(_tracked(tracks, _frame_size(root), by))}
    found: dict[str, list[GivenObject]] = {}
    counts: dict[str, int] = {}
    for image in root.iter("image"):
        path = PurePosixPath(image.attrib["name"])
        place = counts.get(path.parent.name, 0)
        counts[path.parent.name] = place + 1
        number = trailing_number(path.stem)
        frame = place if number is None else number
        for shape in image:
            if shape.tag in SHAPES:
                size = int(image.attrib["height"]), int(image.attrib["width"])
                prompt = replace(_prompt(shape, frame, size), stem=path.stem)
                given = GivenObject((prompt,), shape.get("label"), by)
                found.setdefault(path.parent.name, []).append(given)
    return found


def _source(root: Element, by: str) -> str:
    for place in ("meta/source", "meta/task/source", "meta/job/source", "meta/task/name"):
        name = root.findtext(place)
        if name:
            return name.strip()
    raise DataError(f"{by} does not name its video. Export the whole task, as CVAT for video 1.1.")


def _frame_size(root: Element) -> tuple[int, int] | None:
    """Read height and width of the frames; None if the file does not say."""
    for place in ("meta", "meta/task", "meta/job"):
        sides = [root.findtext(f"{place}/original_size/{side}") for side in ("height", "width")]
        if all(sides):
            height, width = (int(side or 0) for side in sides)
            return height, width
    return None


def _tracked(tracks: list[Element], size: tuple[int, int] | None, by: str) -> Iterator[GivenObject]:
    for track in tracks:
        prompts = tuple(
            _prompt(shape, int(shape.attrib["frame"]), size)
            for shape in track
            if shape.tag in SHAPES
            and shape.get("keyframe", "1") == "1"
            and shape.get("outside", "0") == "0"
        )
        if prompts:
            yield GivenObject(prompts, track.get("label"), by)


def _prompt(shape: Element, frame: int, size: tuple[int, int] | None) -> GivenPrompt:
    about = shape.attrib
    if shape.tag == "box":
        left, top, right, bottom = (float(about[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        return GivenPrompt(frame, box=(left, top, right, bottom))
    if shape.tag == "mask":
        return GivenPrompt(frame, segmentation=_mask(shape, size))
    points = [tuple(map(float, place.split(","))) for place in about["points"].split(";")]
    if shape.tag == "points":
        return GivenPrompt(frame, clicks=tuple((x, y, True) for x, y in points))
    return GivenPrompt(frame, segmentation=[[value for point in points for value in point]])


def _mask(shape: Element, size: tuple[int, int] | None) -> rle.CocoRle:
    """Read run lengths: row by row within a box, beginning with pixels outside.

    Raises:
        DataError: The size of the frame is unknown, or the runs do not fill the box.
    """
    left, top, width, height = (
        int(float(shape.attrib[key])) for key in ("left", "top", "width", "height")
    )
    runs = [int(length) for length in shape.attrib["rle"].split(",")]
    part = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    if size is None:
        raise DataError(
            "a file of CVAT has masks, but not the size of the frames (meta/task/original_size). "
            "Export it again, or export boxes and polygons."
        )
    if part.size != width * height:
        raise DataError(f"a mask of CVAT has {part.size} pixels in a box of {width}x{height}.")
    mask_hw = np.zeros(size, bool)
    mask_hw[top : top + height, left : left + width] = part.reshape(height, width)
    return rle.to_coco(rle.encode(mask_hw))
