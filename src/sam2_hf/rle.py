"""Masks as run lengths: the uncompressed form of the original, and COCO's compressed one.

An uncompressed RLE is `{"size": [height, width], "counts": [...]}`: lengths of alternating runs of
0 and 1, starting with 0, read column by column.
"""

from collections.abc import Iterable
from typing import TypedDict

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

# COCO writes each run in digits of five bits, lowest first, as letters from "0" on.
FIRST_LETTER, DIGIT_SIZE, DIGIT_BITS, SIGN_BIT, MORE_DIGITS = 48, 5, 0x1F, 0x10, 0x20
FIRST_WHOLE_RUNS = 2


class Rle(TypedDict):
    """Uncompressed run lengths, column-major."""

    size: list[int]
    counts: list[int]


class CocoRle(TypedDict):
    """COCO's compressed run lengths, as text that JSON can carry."""

    size: list[int]
    counts: str


def encode(mask_hw: np.ndarray | Tensor) -> Rle:
    """Write one binary mask as run lengths.

    Args:
        mask_hw: `(height, width)`, boolean (or 0 and 1).

    Source: sam2/utils/amg.py:96-124 @ 2b90b9f.
    Differs: finds the changes row by row and sorts them, instead of transposing the whole mask.
    """
    mask = _as_bool_array(mask_hw)
    height, width = mask.shape
    changed = np.empty_like(mask)
    np.not_equal(mask[1:], mask[:-1], out=changed[1:])
    changed[0, 0] = False
    np.not_equal(mask[0, 1:], mask[-1, :-1], out=changed[0, 1:])  # where one column ends
    rows, columns = np.divmod(_true_positions(changed), width)
    positions = columns * height + rows
    positions.sort()
    edges = np.concatenate([[0], positions, [height * width]])
    counts = np.diff(edges).tolist()
    return {"size": [height, width], "counts": [0, *counts] if mask[0, 0] else counts}


def encode_all(masks_mhw: Iterable[np.ndarray | Tensor]) -> list[Rle]:
    """Write many masks, one after another, so that memory stays small."""
    return [encode(mask_hw) for mask_hw in masks_mhw]


def decode(rle: Rle) -> np.ndarray:
    """Draw the mask of an uncompressed RLE: `(height, width)`, boolean.

    Source: sam2/utils/amg.py:127-138 @ 2b90b9f.
    """
    height, width = rle["size"]
    values = np.arange(len(rle["counts"])) % 2 == 1
    return np.repeat(values, rle["counts"]).reshape(width, height).T


def area(rle: Rle) -> int:
    """Count the pixels inside."""
    return sum(rle["counts"][1::2])


def to_coco(rle: Rle) -> CocoRle:
    """Compress, as COCO's tools and JSON files want it.

    Source: sam2/utils/amg.py:298-304 @ 2b90b9f.
    """
    height, width = rle["size"]
    packed = coco_mask.frPyObjects(dict(rle), height, width)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def from_coco(coco: CocoRle) -> Rle:
    """Expand COCO's compressed form.

    Source: rleFrString of cocoapi, common/maskApi.c.
    Differs: reads the text itself, since `pycocotools.mask.decode` warns under numpy 2.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in coco["counts"].encode("ascii"):
        digit = letter - FIRST_LETTER
        value |= (digit & DIGIT_BITS) << shift
        shift += DIGIT_SIZE
        if digit & MORE_DIGITS:
            continue
        if digit & SIGN_BIT:
            value -= 1 << shift
        # From the fourth run on, what is written is the change since the run of the same colour.
        counts.append(value + counts[-2] if len(counts) > FIRST_WHOLE_RUNS else value)
        value = shift = 0
    return {"size": [int(side) for side in coco["size"]], "counts": counts}


def _as_bool_array(mask_hw: np.ndarray | Tensor) -> np.ndarray:
    """See the mask as booleans, without a copy where it already is one."""
    mask = mask_hw.numpy(force=True) if isinstance(mask_hw, torch.Tensor) else mask_hw
    return np.ascontiguousarray(mask if mask.dtype == bool else mask != 0)


def _true_positions(flags: np.ndarray) -> np.ndarray:
    """Flat positions of the set flags; looks at eight at a time, since few are set."""
    flat = flags.reshape(-1)
    whole = flat.size // 8 * 8
    words = np.flatnonzero(flat[:whole].view(np.uint64))
    bytes_at = (words[:, None] * 8 + np.arange(8)).reshape(-1)
    tail = whole + np.flatnonzero(flat[whole:])
    return np.concatenate([bytes_at[flat[bytes_at]], tail])
