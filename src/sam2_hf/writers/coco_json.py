"""COCO annotations of the pipelines' results, where a program keeps objects of its own."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.overlay import DrawnPrompts
from sam2_hf.results import pictures
from sam2_hf.results.coco import (
    annotation as annotation,
    mask_annotation,
    write_coco as write_coco,
)
from sam2_hf.results.found_object import FoundObject
from sam2_hf.results.picture_masks import PictureMasks
from sam2_hf.results.pictures import as_picture as as_picture, write_png as write_png


class HasCandidates(Protocol):
    """Masks of one object, such as a `SegmentationResult`."""

    def found_object(self, row: int) -> FoundObject:
        """Return the object with one of its masks."""


def answer_annotation(
    result: HasCandidates, row: int, prompts: DrawnPrompts, **about: Any
) -> dict[str, Any]:
    """Make the annotation of one mask of a prompted object.

    Args:
        result: The masks of the object.
        row: Index of the mask.
        prompts: The clicks and boxes of this object.
        **about: Further fields; `name` becomes the category.
    """
    own = {
        "prompt_points": [[x, y, int(positive)] for x, y, positive in prompts.clicks],
        "prompt_boxes": [list(box) for box in prompts.boxes],
    }
    return {**mask_annotation(result.found_object(row)), **own, **about}


def generated_annotations(masks: PictureMasks) -> list[dict[str, Any]]:
    """Make the annotations of all masks found in a photo."""
    return [mask_annotation(found) for found in masks.found_objects()]


def mask_picture(masks: Sequence[NDArray[np.bool_]]) -> Image.Image:
    """Draw one mask in black and white, several as a palette picture of labels."""
    return pictures.mask_picture(masks, (masks[0].shape[0], masks[0].shape[1]))
