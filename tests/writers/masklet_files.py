"""Files of masklets as `sam2-hf track` writes them."""

import json

import numpy as np

from sam2_hf import rle

SIZE = (6, 8)


def mask_of(columns):
    mask_hw = np.zeros(SIZE, bool)
    mask_hw[:, :columns] = True
    return mask_hw


def write_masklets(path, rows, object_ids):
    """Write columns of each mask as `sam2-hf track` writes masks; None where there is none."""
    masks = [
        [None if n is None else rle.to_coco(rle.encode(mask_of(n))) for n in row] for row in rows
    ]
    path.write_text(json.dumps({"masklet_id": object_ids, "masklet": masks}))
    return path
