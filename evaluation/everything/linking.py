"""Baseline: everything-mode on each frame alone, masks linked to those before by their IoU.

This is what is done without a model that tracks. There is no memory, so an object that is hidden,
or missed on more than a few frames, comes back with another id.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sam2_hf.everything.key_frame_masks import KeyFrameMask, MaskFinder, Overlaps, pair_up
from sam2_hf.everything.matching import distinct_masks, match_masks
from sam2_hf.everything.options import VideoEverythingOptions
from sam2_hf.rle import CocoRle
from sam2_hf.writers.frame_journal import ObjectOnFrame, TrackedFrame

MAX_GAP = 5  # frames without a mask after which an id is not continued
IN_VIEW = 10.0  # object score of a mask, logits


def link_frames(
    pictures: Sequence[NDArray[np.uint8]],
    find_masks: MaskFinder,
    options: VideoEverythingOptions,
    first: int = 0,
) -> Iterator[TrackedFrame]:
    """Find masks on every frame, and link them greedily.

    A mask continues the id whose last mask, at most `MAX_GAP` frames old, it overlaps with most, if
    the IoU is at least `match_iou`; the best pairs come first, each once. Other masks get new ids.
    Masks of a frame are chosen as on the first key frame of the tracker: distinct, large enough,
    cut to one label per pixel if panoptic, at most `max_objects`.

    Args:
        pictures: The frames, `(height, width, 3)` each.
        find_masks: Finds the masks of a frame.
        options: The same as for the tracker.
        first: First frame; those before are left out.
    """
    latest: dict[int, tuple[int, CocoRle]] = {}
    next_id = 1
    for frame in range(first, len(pictures)):
        picture = pictures[frame]
        distinct = distinct_masks(find_masks(frame, picture), picture.shape[:2], options)
        masks = match_masks(distinct, {}, options).new[: options.max_objects]
        latest = {n: known for n, known in latest.items() if frame - known[0] <= MAX_GAP + 1}
        ids = list(latest)
        runs = [mask.segmentation for mask in masks]
        overlaps = Overlaps.of(runs, [known for _, known in latest.values()])
        linked = {row: ids[column] for row, column in pair_up(overlaps.iou_mn, options.match_iou)}
        named: dict[int, KeyFrameMask] = {}
        for row, mask in enumerate(masks):
            object_id = linked.get(row, next_id)
            next_id += row not in linked
            named[object_id] = mask
            latest[object_id] = frame, mask.segmentation
        yield _frame(frame, named)


def _frame(frame: int, named: dict[int, KeyFrameMask]) -> TrackedFrame:
    objects = [
        ObjectOnFrame(n, mask.segmentation, mask.area, mask.quality, IN_VIEW, prompted=False)
        for n, mask in sorted(named.items())
    ]
    return TrackedFrame(frame, None, tuple(objects))
