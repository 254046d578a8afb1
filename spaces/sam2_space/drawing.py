"""Rendering of photos and frames for the page, and of result files.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFilter

from sam2_hf.overlay import Rgb, draw_overlay, object_colors
from sam2_hf.results.found_object import FoundObject
from sam2_hf.results.labeled_overlay import draw_masklets
from sam2_hf.results.photo_files import PhotoToWrite
from sam2_hf.results.pictures import write_png

from .limits import LimitError, ShownSize
from .photo_work import Answer, PhotoScene, PhotoWork, Xy
from .video_work import VideoWork

THUMBNAIL_SIDE = 320
READINGS = ("A", "B", "C")


CORNER_ARM, CORNER_LINE = 34, 5  # pixels of the shown picture
CORNER_COLOR, CORNER_RIM = (255, 196, 0), (0, 0, 0)
FAINT = 0.5  # part of the plain photo behind what is picked from everything-mode
BLUR_PARTS = 60  # a blurred background loses details below this part of the longer side
EDGE = 0.7  # pixels over which a cutout's edge fades, against staircases
BACKGROUNDS = ("Transparent", "White", "Blurred", "Custom color")


@dataclass(frozen=True, slots=True)
class PhotoFiles:
    """Result files of one photo."""

    overlay: Path
    mask: Path
    coco: Path


def shown_size(work: PhotoWork) -> ShownSize:
    """Return the size of a photo on the page."""
    return ShownSize.on_page(work.size)


def draw_view(work: PhotoWork) -> NDArray[np.uint8]:
    """Draw the photo for the page, with masks and prompts: `(height, width, 3)`."""
    shown = shown_size(work)
    picture_hw3 = _draw(work, work.scene, shown)
    return draw_corner(picture_hw3, work.scene.corner, shown)


def draw_corner(
    picture_hw3: NDArray[np.uint8], corner: Xy | None, shown: ShownSize
) -> NDArray[np.uint8]:
    """Draw the first corner of a box as two arms at a right angle.

    Args:
        picture_hw3: The shown picture, `(height, width, 3)`.
        corner: In pixels of the photo; None if there is none.
        shown: Size of the shown picture.
    """
    if corner is None:
        return picture_hw3
    canvas = Image.fromarray(picture_hw3)
    pen = ImageDraw.Draw(canvas)
    x, y = corner[0] / shown.scale, corner[1] / shown.scale
    # The arms point to where there is more room, where the other corner will be.
    right = x + (CORNER_ARM if x < canvas.width / 2 else -CORNER_ARM)
    down = y + (CORNER_ARM if y < canvas.height / 2 else -CORNER_ARM)
    for width, color in ((CORNER_LINE + 4, CORNER_RIM), (CORNER_LINE, CORNER_COLOR)):
        pen.line([(right, y), (x, y), (x, down)], fill=color, width=width, joint="curve")
    return np.asarray(canvas)


def draw_candidates(work: PhotoWork) -> list[tuple[NDArray[np.uint8], str]]:
    """Draw a thumbnail of each candidate of the current object, with its predicted IoU."""
    answer = work.scene.current.answer
    if answer is None or work.scene.everything is not None:
        return []
    shown = ShownSize.within(work.size, THUMBNAIL_SIDE)
    small_hw3 = shown.picture(work.picture_hw3)
    color = object_colors(work.scene.active)[-1]
    return [
        (
            draw_overlay(small_hw3, [answer.mask(shown.size, which)], colors=[color]),
            f"{_candidate_name(answer, which)} · {answer.scores[which]:.2f}",
        )
        for which in range(len(answer.scores))
    ]


def write_files(work: PhotoWork, folder: Path, model: str) -> PhotoFiles:
    """Write overlay, mask and JSON.

    Raises:
        LimitError: There is no mask yet.
        OutputError: The disk is full.
    """
    scene = work.scene
    if scene.picked:
        scene = replace(scene, everything=None)
    is_everything = scene.everything is not None
    objects = _found(work) if scene.everything is None else scene.everything.found_objects()
    if not objects and not is_everything:
        raise LimitError("There is no mask yet. Click an object first.")
    whole = ShownSize(work.size, 1.0)
    files = PhotoToWrite(
        objects,
        work.size,
        photo=f"{work.name}.jpg",
        picture=lambda: work.picture_hw3,
        overlay=lambda: Image.fromarray(_draw(work, scene, whole)),
        model=model,
        is_numbered=is_everything,
    )
    base = folder / work.name
    return PhotoFiles(
        files.write("overlay", Path(f"{base}_overlay.png")),
        files.write("mask", Path(f"{base}_mask.png")),
        files.write("coco", Path(f"{base}_coco.json")),
    )


def write_cutout(work: PhotoWork, folder: Path, background: str, color: str) -> Path:
    """Write the objects cut out of the photo, over another background.

    Args:
        work: The photo.
        folder: Folder of the file.
        background: One of `BACKGROUNDS`.
        color: The visitor's own color, for the last one, as CSS has it.

    Raises:
        LimitError: There is no object yet.
        OutputError: The disk is full.
    """
    objects = _found(work)
    if not objects:
        raise LimitError(
            "There is no object yet. Click one first, or pick a mask found by Everything."
        )
    opacity = Image.fromarray(
        np.any([found.mask for found in objects], axis=0).astype(np.uint8) * 255
    )
    opacity = opacity.filter(ImageFilter.GaussianBlur(EDGE))
    photo = Image.fromarray(work.picture_hw3)
    if background == BACKGROUNDS[0]:
        # black where nothing is seen, so that nothing of the background is left in the file
        cut = Image.composite(photo, Image.new("RGB", photo.size), opacity.point(bool, "1"))
        cut.putalpha(opacity)
    elif background == BACKGROUNDS[2]:
        blurred = photo.filter(ImageFilter.GaussianBlur(max(photo.size) / BLUR_PARTS))
        cut = Image.composite(photo, blurred, opacity)
    else:
        plain = "#ffffff" if background == BACKGROUNDS[1] else color
        cut = Image.composite(photo, Image.new("RGB", photo.size, rgb_of(plain)), opacity)
    return write_png(folder / f"{work.name}_cutout.png", cut)


def rgb_of(color: str) -> Rgb:
    """Read a color as browsers write it, such as `#ff8800` or `rgba(255, 136, 0, 1)`.

    Raises:
        LimitError: It is none.
    """
    numbers = re.findall(r"[\d.]+", color) if color.startswith("rgb") else []
    try:
        if numbers:
            red, green, blue = (min(round(float(number)), 255) for number in numbers[:3])
        else:
            red, green, blue = ImageColor.getrgb(color)[:3]
    except ValueError as error:
        raise LimitError(
            f"{color[:40]!r} is not a color. Choose one in the color field."
        ) from error
    return red, green, blue


def _candidate_name(answer: Answer, which: int) -> str:
    """Name a candidate: a letter, or "all clicks"."""
    num_single = len(answer.scores) - len(READINGS)
    return "All" if which < num_single else READINGS[which - num_single]


def _draw(work: PhotoWork, scene: PhotoScene, shown: ShownSize) -> NDArray[np.uint8]:
    """Draw the photo with its masks and prompts."""
    picture_hw3 = shown.picture(work.picture_hw3)
    if scene.everything is not None:
        masks = [shown.mask(mask.segmentation) for mask in scene.everything]
        found_hw3 = draw_overlay(picture_hw3, masks)
        if not scene.picked:
            return found_hw3
        faint = Image.blend(Image.fromarray(found_hw3), Image.fromarray(picture_hw3), FAINT)
        picture_hw3 = np.asarray(faint)
    masks_by_number = {
        scene_object.number: scene_object.answer.mask(shown.size)
        for scene_object in scene.objects
        if scene_object.answer is not None
    }
    numbers = range(1, max((scene_object.number for scene_object in scene.objects), default=1) + 1)
    return draw_masklets(picture_hw3, masks_by_number, list(numbers), shown.prompts(scene.drawn))


def _found(work: PhotoWork) -> list[FoundObject]:
    """List the objects that have a mask, each with its own prompts."""
    objects = []
    for scene_object in work.scene.objects:
        if scene_object.answer is None:
            continue
        (found,) = scene_object.answer.as_result(work.size).found_objects()
        drawn = scene_object.drawn
        about = {
            **found.about,
            "object_id": scene_object.number,
            "prompt_points": [[x, y, int(positive)] for x, y, positive in drawn.clicks],
            "prompt_boxes": [list(box) for box in drawn.boxes],
        }
        number, name = scene_object.number, scene_object.name
        objects.append(replace(found, object_id=number, name=name, about=about))
    return objects


def draw_frame(work: VideoWork, frame: int) -> NDArray[np.uint8]:
    """Draw a frame with masks and prompts, at the page's size.

    A frame with new clicks shows a preview by the model.

    Raises:
        FrameError: The frame cannot be read.
    """
    with work.model.lock.taken(), work.reading() as session:
        result = session.preview(frame)
        picture_hw3 = session.frames.picture(frame)
    shown = ShownSize.on_page(work.size)
    masks = {number: shown.mask(mask_hw) for number, mask_hw in result.masks.items()}
    drawn_hw3 = draw_masklets(
        shown.picture(picture_hw3),
        masks,
        color_order(work),
        shown.prompts(work.scene.drawn_on(frame)),
    )
    return draw_corner(drawn_hw3, work.scene.corner_on(frame), shown)


def color_order(work: VideoWork) -> list[int]:
    """List object numbers in the order of colors."""
    return list(range(1, max(work.numbers) + 1))


def hint(work: VideoWork, frame: int) -> str:
    """Return the hint for the next step on a frame."""
    scene = work.scene
    if scene.corner is not None:
        return "Now click the **opposite corner** of the box."
    if not scene.prompts:
        return "**Click an object** in this frame, or move to another frame first."
    if not work.tracked:
        return "**Track** when the mask looks right; or click what is missing, add a new object."
    if frame not in work.tracked:
        return "This frame is not tracked. Click an object here, or **Track**."
    return (
        "Not right here? **Include what is missing, exclude what does not belong** in this frame, "
        "then Track again."
    )
