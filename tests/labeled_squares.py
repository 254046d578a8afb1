"""Photos and clips of a few pixels, in the folders of the real sets, to be evaluated on.

The truth is known: on every photo a bright square on dark ground; on the clips it moves one pixel
to the right from frame to frame.
"""

import json

import numpy as np
from PIL import Image

HEIGHT, WIDTH, FRAMES = 24, 36, 5
SQUARE = (slice(8, 16), slice(6, 14))
DARK, BRIGHT = (20, 30, 40), (220, 200, 90)


def square_mask(shift=0):
    """The true mask, moved right by some pixels."""
    mask_hw = np.zeros((HEIGHT, WIDTH), bool)
    mask_hw[SQUARE[0], SQUARE[1].start + shift : SQUARE[1].stop + shift] = True
    return mask_hw


def picture_of(mask_hw):
    """The photo of a mask."""
    return np.where(mask_hw[..., None], BRIGHT, DARK).astype(np.uint8)


def save(array, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def write_photos(root):
    """Two photos with two annotators each, and the same two with one instance each."""
    mask_hw = square_mask()
    coarse_hw, fine_hw = 1 + mask_hw.astype(np.uint8), 1 + 4 * mask_hw.astype(np.uint8)
    fine_hw[0, 0] = 9  # a speck, too small to be measured
    images, annotations = [], []
    for number, name in enumerate(("100", "200"), start=1):
        save(picture_of(mask_hw), root / f"bsds500/val/{name}.jpg")
        save(coarse_hw, root / f"bsds500/val/{name}.0.png")
        save(fine_hw, root / f"bsds500/val/{name}.1.png")
        save(picture_of(mask_hw), root / f"coco128/images/{name}.jpg")
        images.append({"id": number, "file_name": f"{name}.jpg", "height": 24, "width": 36})
        square = [[6, 8, 14, 8, 14, 16, 6, 16]]
        annotations.append({"image_id": number, "segmentation": square, "iscrowd": 0})
    table = {"images": images, "annotations": annotations}
    (root / "coco128/instances_val.json").write_text(json.dumps(table))


def write_clips(root, names=("blackswan", "kite-surf")):
    """The two clips that are kept for validation, or others."""
    for name in names:
        for frame in range(FRAMES):
            mask_hw = square_mask(frame)
            save(picture_of(mask_hw), root / f"davis16-half/JPEGImages/480p/{name}/{frame:05}.jpg")
            label_hw = mask_hw.astype(np.uint8)
            save(label_hw, root / f"davis16-half/Annotations/480p/{name}/{frame:05}.png")
