"""Small data sets of colored squares, whose masks are known from their colors.

Suffixes: hw = rows and columns, hw3 = and red, green, blue.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_hf import rle
from sam2_hf.data.annotated_video import ClipRecording
from sam2_hf.data.clip import Clip

HEIGHT, WIDTH = 48, 64
RED, GREEN, GRAY = (230, 20, 20), (20, 200, 20), (90, 90, 90)
RED_BOX, GREEN_BOX = (8, 10, 28, 34), (20, 30, 44, 58)  # top, left, bottom, right; they overlap


def square(box=RED_BOX, size=(HEIGHT, WIDTH)):
    """Draw the mask of a square."""
    mask_hw = np.zeros(size, np.bool_)
    top, left, bottom, right = box
    mask_hw[top:bottom, left:right] = True
    return mask_hw


def photo(masks=None, colors=(RED, GREEN)):
    """Paint masks over gray, one after another; by default a red square."""
    masks = (square(),) if masks is None else masks
    pixels_hw3 = np.full((*masks[0].shape, 3), GRAY, np.uint8)
    for mask_hw, color in zip(masks, colors, strict=False):
        pixels_hw3[mask_hw] = color
    return pixels_hw3


def save(pixels, path):
    """Write a picture; PNG keeps its values."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **({} if str(path).endswith(".png") else {"quality": 95}))
    return path


def save_palette(labels_hw, path):
    """Write a label map as DAVIS and MOSE have it."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(labels_hw.astype(np.uint8))
    picture.putpalette([value for label in range(256) for value in (label, 255 - label, 7)])
    picture.save(path)


def write_pairs(folder, count=3):
    """Write photos NAME.jpg with label maps NAME.png."""
    for number in range(count):
        save(photo(), folder / f"p{number}.jpg")
        save(square().astype(np.uint8) * 5, folder / f"p{number}.png")
    return folder


def write_sequence(root, name, num_frames=4, shift=2):
    """Write a DAVIS sequence with labels 2 (red) and 7 (green); red moves to the right."""
    for frame in range(num_frames):
        red = np.roll(square(), frame * shift, axis=1)
        green = square(GREEN_BOX) & ~red
        save(photo((red, green)), root / "JPEGImages" / name / f"{frame:05d}.jpg")
        labels_hw = red * 2 + green * 7
        save_palette(labels_hw, root / "Annotations" / name / f"{frame:05d}.png")
    return root


def write_coco(root, segmentations, names=("a.jpg", "b.jpg")):
    """Write a COCO file in which every photo has these objects."""
    images = [
        {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH}
        for number, name in enumerate(names)
    ]
    annotations = [
        {"image_id": image["id"], "segmentation": one, "iscrowd": 0}
        for image in images
        for one in segmentations
    ]
    for name in names:
        save(photo((square(), square(GREEN_BOX))), root / "images" / name)
    path = root / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def coco_rle(mask_hw):
    """Write a mask as SA-1B, SA-V and COCO do."""
    return rle.to_coco(rle.encode(mask_hw))


def moving_clip(num_frames=4, shift=2):
    """Make a clip of a red square that moves to the right, in memory."""
    masks = [np.roll(square(), frame * shift, axis=1) for frame in range(num_frames)]
    frames_thw3 = np.stack([photo((mask_hw,)) for mask_hw in masks])
    return Clip(frames_thw3, np.stack(masks)[None], "moving")


def moving_recording(num_frames=4, shift=2):
    """Open such a clip as a source does."""
    return ClipRecording(moving_clip(num_frames, shift))


def is_red(pixels):
    """Find the red square by its color."""
    values = pixels.astype(int)
    return (values[..., 0] - values[..., 1] > 70) & (values[..., 0] - values[..., 2] > 70)


def agreement(mask, other):
    """Divide intersection by union."""
    return (mask & other).sum() / (mask | other).sum()
