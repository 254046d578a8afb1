"""Rendering of photos and frames for the page, and of result files.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_hf.overlay import draw_overlay, label_picture, object_colors
from sam2_hf.writers.coco_json import (
    answer_annotation,
    generated_annotations,
    mask_picture,
    write_coco,
    write_png,
)
from sam2_hf.writers.overlay_video import draw_masklets

from .limits import LimitError, ShownSize
from .photo_work import Answer, PhotoScene, PhotoWork
from .video_work import VideoWork

THUMBNAIL_SIDE = 320
READINGS = ("A", "B", "C")


@dataclass(frozen=True, slots=True)
class PhotoFiles:
    """Result files of one photo."""

    overlay: Path
    mask: Path
    coco: Path


def shown_size(work: PhotoWork) -> ShownSize:
    """Return the size of a photo on the page."""
    return ShownSize.within(work.size)


def draw_view(work: PhotoWork) -> NDArray[np.uint8]:
    """Draw the photo for the page, with masks and prompts: `(height, width, 3)`."""
    shown = shown_size(work)
    return _draw(work, work.scene, shown)


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
    everything: list[NDArray[np.bool_]] | None = None
    if scene.everything is not None:
        # Decoded once: there may be hundreds, each of the photo's size.
        masks = everything = list(scene.everything["masks"])
        records = generated_annotations(scene.everything)
        drawn = label_picture(masks, work.size)
    else:
        masks, records = _object_masks(work)
        if not masks:
            raise LimitError("There is no mask yet. Click an object first.")
        drawn = mask_picture(masks)
    whole = ShownSize(work.size, 1.0)
    base = folder / work.name
    name = f"{work.name}.jpg"
    return PhotoFiles(
        write_png(Path(f"{base}_overlay.png"), _draw(work, scene, whole, everything)),
        write_png(Path(f"{base}_mask.png"), drawn),
        write_coco(Path(f"{base}_coco.json"), name, work.size, records, model),
    )


def _candidate_name(answer: Answer, which: int) -> str:
    """Name a candidate: a letter, or "all clicks"."""
    num_single = len(answer.scores) - len(READINGS)
    return "All" if which < num_single else READINGS[which - num_single]


def _draw(
    work: PhotoWork,
    scene: PhotoScene,
    shown: ShownSize,
    everything: list[NDArray[np.bool_]] | None = None,
) -> NDArray[np.uint8]:
    """Draw the photo; `everything` are already decoded masks of everything-mode."""
    picture_hw3 = shown.picture(work.picture_hw3)
    if scene.everything is not None:
        masks = everything or [shown.mask(mask.segmentation) for mask in scene.everything]
        return draw_overlay(picture_hw3, masks)
    masks_by_number = {
        scene_object.number: scene_object.answer.mask(shown.size)
        for scene_object in scene.objects
        if scene_object.answer is not None
    }
    numbers = range(1, max((scene_object.number for scene_object in scene.objects), default=1) + 1)
    return draw_masklets(picture_hw3, masks_by_number, list(numbers), shown.prompts(scene.drawn))


def _object_masks(work: PhotoWork) -> tuple[list[NDArray[np.bool_]], list[dict[str, Any]]]:
    """Return the mask of each object and its annotation."""
    masks, records = [], []
    for scene_object in work.scene.objects:
        if scene_object.answer is None:
            continue
        result = scene_object.answer.as_result(work.size)
        masks.append(result.masks[0])
        records.append(
            answer_annotation(
                result, 0, scene_object.drawn, object_id=scene_object.number, name=scene_object.name
            )
        )
    return masks, records


def draw_frame(work: VideoWork, frame: int) -> NDArray[np.uint8]:
    """Draw a frame with masks and prompts, at the page's size.

    A frame with new clicks shows a preview by the model.

    Raises:
        FrameError: The frame cannot be read.
    """
    with work.model.lock.taken(), work.reading() as session:
        result = session.preview(frame)
        picture_hw3 = session.frames.picture(frame)
    shown = ShownSize.within(work.size)
    masks = {number: shown.mask(mask_hw) for number, mask_hw in result.masks.items()}
    return draw_masklets(
        shown.picture(picture_hw3),
        masks,
        color_order(work),
        shown.prompts(work.scene.drawn_on(frame)),
    )


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
    return "Not right here? **Click what is missing or too much** in this frame, then Track again."
