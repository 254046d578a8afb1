"""Files of a photo's masks: pictures, and JSON in COCO's form.

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

DIGITS = 6  # of scores and coordinates in JSON; more would be noise of float32
BYTE = 255
INSIDE = 255  # gray level of the mask in the mask picture of a single object
Json = Any  # numbers, texts, lists and dictionaries of them


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


def answer_annotation(
    result: SegmentationResult, row: int, prompts: DrawnPrompts, **about: Any
) -> dict[str, Any]:
    """Describe one of the masks of a prompted object.

    Args:
        result: The masks of the object.
        row: Which of them.
        prompts: What was pointed at.
        **about: More fields.
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
    """Describe everything that was found in a photo."""
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
    """Draw the mask of one object in black and white, those of several as numbered colors."""
    if len(masks) == 1:
        return Image.fromarray(masks[0].astype(np.uint8) * INSIDE)
    return label_picture(masks, (masks[0].shape[0], masks[0].shape[1]))


def as_picture(photo_3hw: Tensor) -> NDArray[np.uint8]:
    """Bring a photo `(3, height, width)`, uint8 or float 0-1, to `(height, width, 3)` uint8."""
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
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value
