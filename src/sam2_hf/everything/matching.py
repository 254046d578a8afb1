"""Matching of key-frame masks to what is tracked: which object each is, or that it is new.

Suffixes: h, w = rows and columns in pixels of the frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sam2_hf.rle import CocoRle

from .key_frame_masks import KeyFrameMask, Overlaps, pair_up
from .options import VideoEverythingOptions


@dataclass(frozen=True, slots=True, eq=False)
class KeyFrameMatch:
    """What the masks of a key frame are.

    Attributes:
        known: Object id -> the key-frame mask of this object.
        new: Masks of new objects, best first.
    """

    known: dict[int, KeyFrameMask]
    new: list[KeyFrameMask]


def distinct_masks(
    found: Sequence[KeyFrameMask], size: tuple[int, int], options: VideoEverythingOptions
) -> list[KeyFrameMask]:
    """Drop small masks and duplicates; of duplicates the better predicted IoU stays.

    Args:
        found: Masks of a key frame.
        size: `(height, width)` of the frame.
        options: Thresholds.

    Returns:
        The others, best first.
    """
    least = max(1.0, options.min_area * size[0] * size[1])
    listed = sorted((mask for mask in found if mask.area >= least), key=lambda m: -m.quality)
    runs = [mask.segmentation for mask in listed]
    iou_mn = Overlaps.of(runs, runs).iou_mn
    kept: list[int] = []
    for row in range(len(listed)):
        if all(iou_mn[row, other] < options.duplicate_iou for other in kept):
            kept.append(row)
    return [listed[row] for row in kept]


def match_masks(
    found: Sequence[KeyFrameMask],
    tracked: Mapping[int, CocoRle],
    options: VideoEverythingOptions,
) -> KeyFrameMatch:
    """Match the masks of a key frame to the objects in view.

    A mask is a tracked object if their IoU is at least `match_iou`, best pairs first, each once. It
    is a new object if it is none and enough of it lies outside everything tracked. So neither a
    part of a tracked object (the mask lies in it) nor a whole whose parts are tracked (they lie in
    the mask) is new. In the panoptic layout a new object is only what no other one covers.

    Args:
        found: Distinct masks of the key frame, best first.
        tracked: Masks of the objects in view, by id.
        options: Thresholds.
    """
    ids, masks = list(tracked), list(tracked.values())
    overlaps = Overlaps.of([mask.segmentation for mask in found], masks)
    pairs = pair_up(overlaps.iou_mn, options.match_iou)
    known = {ids[column]: found[row] for row, column in pairs}
    rest = [mask for row, mask in enumerate(found) if row not in {row for row, _ in pairs}]
    return KeyFrameMatch(known, _uncovered(rest, masks, options))


def duplicate_tracks(
    tracked: Mapping[int, CocoRle], options: VideoEverythingOptions
) -> dict[int, int]:
    """List objects whose masks are those of an older one: id -> id of the older."""
    ids, masks = sorted(tracked), [tracked[number] for number in sorted(tracked)]
    iou_mn = Overlaps.of(masks, masks).iou_mn
    twins: dict[int, int] = {}
    for older, younger in combinations(range(len(ids)), 2):
        if iou_mn[older, younger] >= options.duplicate_iou:
            twins.setdefault(ids[younger], ids[older])
    return twins


def _uncovered(
    masks: Sequence[KeyFrameMask], tracked: Sequence[CocoRle], options: VideoEverythingOptions
) -> list[KeyFrameMask]:
    """Keep the masks that are mostly outside the tracked ones; cut to that part if panoptic."""
    if not masks:
        return []
    taken_hw = np.zeros(masks[0].segmentation["size"], bool)
    for segmentation in tracked:
        taken_hw |= KeyFrameMask(segmentation, 0, 0.0).mask()
    least = options.min_area * taken_hw.size
    new = []
    for mask in masks:
        free_hw = mask.mask() & ~taken_hw
        area = int(np.count_nonzero(free_hw))
        if area < max(1.0, least, options.min_new_share * mask.area):
            continue
        if options.layout == "panoptic":
            taken_hw |= free_hw
            mask = KeyFrameMask.of(free_hw, mask.quality)
        new.append(mask)
    return new
