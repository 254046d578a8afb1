"""Readers of results, written from the formats' documentation, and objects to write.

A pixel is inside a polygon if its center is, by the even-odd rule.
"""

import re
from xml.etree import ElementTree

import numpy as np

from sam2_hf import rle
from sam2_hf.results.found_object import FoundObject, Origin
from sam2_hf.results.picture_masks import PictureMasks

SIZE = (40, 60)
LABELME_KEYS = {
    "version": str,
    "flags": dict,
    "shapes": list,
    "imagePath": str,
    "imageData": type(None),
    "imageHeight": int,
    "imageWidth": int,
}
SHAPE_KEYS = {
    "label": str,
    "points": list,
    "group_id": int,
    "description": str,
    "shape_type": str,
    "flags": dict,
    "mask": type(None),
}
YOLO_LINE = re.compile(r"\d+( [01]\.\d{6}){6,}")


def ring_mask():
    """A disc with a hole, beside a square: two parts, one hole, slopes and straight sides."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    away = np.hypot(y - 18, x - 17)
    mask = (away < 14) & (away > 5)
    mask[5:30, 40:52] = True
    return mask


def plain_mask():
    mask = np.zeros(SIZE, bool)
    mask[33:, 2:39] = True
    return mask


def found(object_id, mask, name=None, **about):
    return FoundObject(object_id, rle.encode(mask), 0.75, name, about)


def objects():
    """A named object with parts and a hole, an unnamed one at the border, a hidden one."""
    return [
        found(0, ring_mask(), "truck & co", prompt_points=[[17, 5, 1]]),
        found(300, plain_mask(), None, prompt_points=[[5, 36, 1]]),
        found(7, np.zeros(SIZE, bool), "gone"),
    ]


def picture(size=SIZE):
    """Another color in every pixel."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([4 * x % 256, 6 * y % 256, 128 + 0 * x], axis=2).astype(np.uint8)


class Scene(PictureMasks):
    """A picture with objects."""

    def __init__(self, given, origin=None):
        self.given = list(given)
        self.origin = origin

    picture_size = SIZE

    @property
    def picture_origin(self):
        return self.origin

    def found_objects(self):
        return self.given

    def named(self, names):
        return self


def scene(path="photos/street.png"):
    return Scene(objects(), Origin(path, picture))


def fill(rings, size):
    """Draw polygons by the even-odd rule at centers of pixels; several add up."""
    drawn = np.zeros(size, bool)
    centers = np.arange(size[0]) + 0.5
    for ring in map(np.asarray, rings):
        inside = np.zeros(size, bool)
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            rows = np.flatnonzero((centers >= min(y0, y1)) & (centers < max(y0, y1)))
            for row in rows:
                x = x0 + (centers[row] - y0) * (x1 - x0) / (y1 - y0)
                inside[row, max(int(np.ceil(x - 0.5)), 0) :] ^= True
        drawn |= inside
    return drawn


def read_yolo(text, size):
    """Check the lines of a label file; return class and mask of each."""
    height, width = size
    read = []
    for line in text.splitlines():
        assert YOLO_LINE.fullmatch(line)
        number, *corners = line.split()
        assert len(corners) % 2 == 0
        ring = np.array(corners, float).reshape(-1, 2)
        assert ((ring >= 0) & (ring <= 1)).all()
        read.append((int(number), fill([ring * (width, height)], size)))
    return read


def read_labelme(content):
    """Check the keys of a labelme file; return label and mask by group."""
    assert {key: type(value) for key, value in content.items()} == LABELME_KEYS
    size = content["imageHeight"], content["imageWidth"]
    masks = {}
    for shape in content["shapes"]:
        assert {key: type(value) for key, value in shape.items()} == SHAPE_KEYS
        assert (shape["shape_type"], len(shape["points"]) > 2) == ("polygon", True)
        label, earlier = masks.get(shape["group_id"], (shape["label"], np.zeros(size, bool)))
        masks[shape["group_id"]] = label, earlier | fill([shape["points"]], size)
    return masks


def read_cvat(text):
    """Return label and mask of each object of the only image."""
    root = ElementTree.fromstring(text)
    assert (root.tag, root.findtext("version")) == ("annotations", "1.1")
    (image,) = root.findall("image")
    height, width = int(image.get("height")), int(image.get("width"))
    known = [label.findtext("name") for label in root.iter("label")]
    read = []
    for element in image.findall("mask"):
        left, top, w, h = (int(element.get(key)) for key in ("left", "top", "width", "height"))
        runs = list(map(int, element.get("rle").split(",")))
        assert sum(runs) == w * h
        part = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(h, w)
        mask = np.zeros((height, width), bool)
        mask[top : top + h, left : left + w] = part
        assert element.get("label") in known
        read.append((element.get("label"), mask))
    return image.get("name"), read
