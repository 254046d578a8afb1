"""Tracked frames made by hand: a square that moves one pixel a frame."""

import numpy as np

from sam2_hf import rle
from sam2_hf.writers.frame_journal import ObjectOnFrame, TrackedFrame

SIZE = (8, 10)


def square(left, size=SIZE):
    """A mask of 3 x 2 pixels; empty if it begins outside."""
    mask = np.zeros(size, bool)
    if left >= 0:
        mask[2:5, left : left + 2] = True
    return mask


def tracked_object(object_id, left, *, prompted=False, iou=0.9, score=5.0):
    runs = rle.encode(square(left))
    return ObjectOnFrame(object_id, rle.to_coco(runs), rle.area(runs), iou, score, prompted)


def tracked_frame(frame, *objects, time_s=None):
    return TrackedFrame(frame, time_s, objects)
