"""Run-length encoding (RLE) of masks: the original's uncompressed form, and COCO's compressed one.

An uncompressed RLE is `{"size": [height, width], "counts": [...]}`: lengths of alternating runs of
0 and 1, starting with 0, read column by column.
"""

import operator
from collections.abc import Iterable
from typing import TypedDict, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor

from .errors import DataError

# COCO encodes each run as 5-bit digits, lowest first, as characters starting at "0".
FIRST_LETTER, DIGIT_SIZE, DIGIT_BITS, SIGN_BIT, MORE_DIGITS = 48, 5, 0x1F, 0x10, 0x20

MOST_DIGITS = 7  # of the difference of two runs of 32 bits
MAX_PIXELS = 2**30  # of a decoded mask: 1 GiB as booleans


class Rle(TypedDict):
    """Uncompressed run lengths, column-major."""

    size: list[int]
    counts: list[int]


class CocoRle(TypedDict):
    """COCO's compressed run lengths, as text for JSON."""

    size: list[int]
    counts: str


def encode(mask_hw: np.ndarray | Tensor) -> Rle:
    """Encode one binary mask as run lengths.

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
    np.not_equal(mask[0, 1:], mask[-1, :-1], out=changed[0, 1:])  # at column boundaries
    rows, columns = np.divmod(_true_positions(changed), width)
    positions = columns * height + rows
    positions.sort()
    edges = np.concatenate([[0], positions, [height * width]])
    counts = np.diff(edges).tolist()
    return {"size": [height, width], "counts": [0, *counts] if mask[0, 0] else counts}


def encode_all(masks_mhw: Iterable[np.ndarray | Tensor]) -> list[Rle]:
    """Encode masks one by one, which saves memory."""
    return [encode(mask_hw) for mask_hw in masks_mhw]


def decode(rle: Rle) -> np.ndarray:
    """Decode an uncompressed RLE: `(height, width)`, boolean.

    Raises:
        DataError: See `whole`.

    Source: sam2/utils/amg.py:127-138 @ 2b90b9f.
    """
    rle = whole(rle)
    height, width = rle["size"]
    values = np.arange(len(rle["counts"])) % 2 == 1
    return np.repeat(values, rle["counts"]).reshape(width, height).T


def area(rle: Rle) -> int:
    """Return the area in pixels."""
    return sum(rle["counts"][1::2])


def to_coco(rle: Rle) -> CocoRle:
    """Compress for COCO's tools and JSON files.

    Raises:
        DataError: See `whole`.

    Source: sam2/utils/amg.py:298-304 @ 2b90b9f.
    """
    rle = whole(rle)  # pycocotools crashes on invalid input
    height, width = rle["size"]
    packed = coco_mask.frPyObjects(dict(rle), height, width)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def from_coco(coco: CocoRle) -> Rle:
    """Expand COCO's compressed form.

    Args:
        coco: Size and text; bytes, as in pycocotools, are accepted as well.

    Raises:
        DataError: The text is damaged, or its runs do not fill the size.

    Source: rleFrString of cocoapi, common/maskApi.c.
    Differs: parses the text itself, since `pycocotools.mask.decode` warns under numpy 2, and
        checks it.
    """
    try:
        size, counts = coco["size"], cast(str | bytes, coco["counts"])
        text = counts if isinstance(counts, bytes) else counts.encode("ascii")
    except (TypeError, KeyError, AttributeError, UnicodeError) as error:
        raise DataError(
            f'a mask is {str(coco)[:60]} ({error}). Compressed run lengths are {{"size": [height, '
            'width], "counts": text}.'
        ) from error
    digits = np.frombuffer(text, np.uint8).astype(np.int64) - FIRST_LETTER
    if digits.size and (digits.min() < 0 or digits.max() >= 64):
        raise DataError(
            f"compressed run lengths {text[:40]!r} hold a character that COCO does not use: they "
            "are damaged. Save the mask again."
        )
    return whole({"size": size, "counts": _accumulated(_numbers(digits)).tolist()})


def whole(rle: Rle) -> Rle:
    """Check run lengths from a file.

    Returns:
        The same with plain integers.

    Raises:
        DataError: They are not lengths, do not fill their size, or exceed `MAX_PIXELS`.
    """
    try:
        height, width = map(operator.index, rle["size"])
        counts = np.asarray(rle["counts"])
        if counts.ndim != 1 or counts.dtype.kind not in "iu" or not counts.size:
            raise TypeError("counts are not a list of integers")
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise DataError(
            f"a mask is {str(rle)[:60]} ({error}). Run lengths are "
            '{"size": [height, width], "counts": integers or text}.'
        ) from error
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise DataError(
            f"the size of a mask is {height}x{width} (height x width). It must have 1 to "
            f"{MAX_PIXELS:,} pixels."
        )
    if counts.min() < 0 or counts.max() > MAX_PIXELS:
        raise DataError(
            f"a run of a mask is {counts.min()} to {counts.max()} pixels long: the run lengths are "
            "damaged. Save the mask again."
        )
    if counts.sum() != height * width:
        raise DataError(
            f"the run lengths of a mask cover {counts.sum()} pixels, but its size "
            f"{height}x{width} has {height * width}: they are damaged. Save the mask again."
        )
    return {"size": [height, width], "counts": counts.tolist()}


def _numbers(digits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Combine 5-bit digits, lowest first, to signed numbers."""
    ends = np.flatnonzero(digits & MORE_DIGITS == 0)
    if not digits.size:
        return digits
    if not ends.size or ends[-1] != digits.size - 1:
        raise DataError(
            "compressed run lengths end within a number: the text was cut off. Save the mask again."
        )
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > MOST_DIGITS:
        raise DataError(
            f"compressed run lengths hold a number of {lengths.max()} letters, but COCO writes at "
            f"most {MOST_DIGITS}: they are damaged. Save the mask again."
        )
    places = np.arange(digits.size) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((digits & DIGIT_BITS) << (DIGIT_SIZE * places), starts)
    negative = (digits[ends] & SIGN_BIT) != 0
    return np.where(negative, numbers - (1 << (DIGIT_SIZE * lengths)), numbers)


def _accumulated(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Undo delta coding: from the fourth run on, each is relative to the one two before."""
    counts = numbers.copy()
    for first in (1, 2):
        counts[first::2] = np.cumsum(numbers[first::2])
    return counts


def _as_bool_array(mask_hw: np.ndarray | Tensor) -> np.ndarray:
    """View the mask as booleans, without a copy if it is boolean already."""
    mask = mask_hw.numpy(force=True) if isinstance(mask_hw, torch.Tensor) else mask_hw
    return np.ascontiguousarray(mask if mask.dtype == bool else mask != 0)


def _true_positions(flags: np.ndarray) -> np.ndarray:
    """Return flat positions of set flags; tests eight at a time, since few are set."""
    flat = flags.reshape(-1)
    whole = flat.size // 8 * 8
    words = np.flatnonzero(flat[:whole].view(np.uint64))
    bytes_at = (words[:, None] * 8 + np.arange(8)).reshape(-1)
    tail = whole + np.flatnonzero(flat[whole:])
    return np.concatenate([bytes_at[flat[bytes_at]], tail])
