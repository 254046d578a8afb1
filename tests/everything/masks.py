"""Rectangles as key-frame masks."""

import numpy as np

from sam2_hf.everything.key_frame_masks import KeyFrameMask

SIZE = (40, 60)


def rectangle(left, top, right, bottom):
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def found(left, top, right, bottom, quality=0.9):
    """A rectangle found on a key frame."""
    return KeyFrameMask.of(rectangle(left, top, right, bottom), quality)


def tracked(*boxes):
    """Masks of objects 1, 2, ... in view."""
    return {number: found(*box).segmentation for number, box in enumerate(boxes, 1)}
