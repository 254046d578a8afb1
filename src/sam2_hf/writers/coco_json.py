"""COCO JSON and mask pictures of a photo.

Suffixes: h, w = rows and columns in pixels of the photo, 3 = red, green, blue.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sam2_hf import rle as run_lengths
from sam2_hf.atomic_write import write_atomically
from sam2_hf.boxes import xyxy_to_xywh
from sam2_hf.masks import masks_to_boxes
from sam2_hf.overlay import DrawnPrompts, label_picture
from sam2_hf.pipelines.generated_masks import GeneratedMasks
from sam2_hf.pipelines.image_prompts import SegmentationResult
from sam2_hf.rle import CocoRle
from sam2_hf.upsampled_masks import upsampled_statistics
from sam2_hf.version import __version__

DIGITS = 6  # of scores and coordinates in JSON; more is float32 noise
BYTE = 255

Json = Any  # numbers, texts, lists and dictionaries of them


def write_png(path: Path, picture: Image.Image | NDArray[np.uint8]) -> Path:
    """Write a picture atomically.

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
    """Write masks as a COCO-style JSON file, atomically.

    Args:
        path: The file.
        photo: Path of the photo; its name goes into the file.
        size: `(height, width)` of the photo.
        annotations: One dictionary per mask, see [`annotation`].
        model: Name of the model.

    Raises:
        OutputError: It cannot be written.
    """
    height, width = size
    image = {"id": 1, "file_name": Path(photo).name, "width": width, "height": height}
    numbered = [
        {"id": place, "image_id": 1, **annotation}
        for place, annotation in enumerate(annotations, 1)
    ]
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
    """Make the COCO annotation of one mask.

    Args:
        segmentation: The mask.
        box: `(x, y, width, height)` between the outermost pixels, as from the pipelines. COCO
            includes the outermost pixels, so width and height grow by one.
        area: In pixels.
        **about: Further fields, such as scores.
    """
    x, y, width, height = box
    whole = [x, y, width + 1, height + 1] if area else [0, 0, 0, 0]
    fields = {"category_id": 1, "iscrowd": 0, "area": area, "bbox": whole}
    return {**fields, **about, "segmentation": segmentation}


def answer_annotation(
    result: SegmentationResult, row: int, prompts: DrawnPrompts, **about: Any
) -> dict[str, Any]:
    """Make the annotation of one mask of a prompted object.

    Args:
        result: The masks of the object.
        row: Index of the mask.
        prompts: The clicks and boxes.
        **about: Further fields.
    """
    mask_hw = result.masks[row]
    rle = run_lengths.encode(mask_hw)
    logits_1hw = torch.from_numpy(result.low_res_logits[row : row + 1])
    measured = upsampled_statistics(logits_1hw, (mask_hw.shape[0], mask_hw.shape[1]))
    return annotation(
        run_lengths.to_coco(rle),
        xyxy_to_xywh(masks_to_boxes(torch.from_numpy(mask_hw)[None])[0]).tolist(),
        area=run_lengths.area(rle),
        predicted_iou=float(result.scores[row]),
        stability_score=float(torch.nan_to_num(measured.stability_m)[0]),
        object_score=result.object_score,
        prompt_points=[[x, y, int(positive)] for x, y, positive in prompts.clicks],
        prompt_boxes=[list(box) for box in prompts.boxes],
        **about,
    )


def generated_annotations(masks: GeneratedMasks) -> list[dict[str, Any]]:
    """Make the annotations of all masks found in a photo."""
    return [
        annotation(
            mask.coco_rle,
            mask.bbox,
            area=mask.area,
            predicted_iou=mask.predicted_iou,
            stability_score=mask.stability_score,
            point_coords=mask.point_coords,
            crop_box=mask.crop_box,
        )
        for mask in masks
    ]


def mask_picture(masks: Sequence[NDArray[np.bool_]]) -> Image.Image:
    """Draw one mask in black and white, several as a palette picture of labels."""
    if len(masks) == 1:
        return Image.fromarray(masks[0].astype(np.uint8) * 255)
    return label_picture(masks, (masks[0].shape[0], masks[0].shape[1]))


def as_picture(photo_3hw: Tensor) -> NDArray[np.uint8]:
    """Convert a photo `(3, height, width)`, uint8 or float 0-1, to `(height, width, 3)` uint8."""
    pixels = photo_3hw.permute(1, 2, 0).numpy(force=True)
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    return np.rint(pixels * BYTE).clip(0, BYTE).astype(np.uint8)


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
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
