"""Memories and candidate masks that are written down by hand."""

import numpy as np
import torch

from sam2_hf.video.policies.mask_candidates import MaskCandidates
from sam2_hf.video.policies.memory_policy import MemoryRules, TrackingStep

RULES = MemoryRules()
LEFT, RIGHT = (8, 8, 24, 24), (40, 40, 56, 56)


class Remembered:
    """What a policy knows of earlier frames.

    Args:
        scores: Frame -> object score and predicted IoU; 5.0 and 0.9 where nothing else is said.
        prompted: Frames with a prompt.
    """

    def __init__(self, scores=None, prompted=(0,)):
        self.scores = scores or {}
        self.prompted = dict.fromkeys(prompted)
        self.noted = {}

    def score(self, frame):
        return self.scores[frame][0] if frame in self.scores else None

    def iou(self, frame):
        return self.scores[frame][1] if frame in self.scores else None

    def notes(self, frame, policy):
        return self.noted.get((frame, policy))

    def remember(self, frame, notes, score=5.0, iou=0.9):
        self.scores[frame] = (score, iou)
        self.noted |= {(frame, name): numbers for name, numbers in notes.items()}


def seen(frames, score=5.0, iou=0.9):
    return dict.fromkeys(frames, (score, iou))


def boxes(*places, iou, score=5.0, side=64):
    """Candidates that are filled boxes, or lists of boxes; None is an empty mask."""
    masks = np.full((len(places), side, side), -1.0, np.float32)
    for mask_hw, place in zip(masks, places, strict=True):
        for x0, y0, x1, y1 in place if isinstance(place, list) else [place] if place else []:
            mask_hw[y0:y1, x0:x1] = 1.0
    return MaskCandidates(torch.from_numpy(masks), list(iou), score)


def tracked(policy, steps, start=1):
    """Play a policy on frames of candidates; return what it chose, and its memories."""
    memories, chosen = Remembered(), []
    for frame, found in enumerate(steps, start):
        kept = policy.keep(TrackingStep(frame), memories, [found])
        memories.remember(frame, kept.notes, found.score, found.iou[kept.masks[0][1]])
        chosen.append(kept.masks[0][1])
    return chosen, memories


def at(x, iou, other=RIGHT):
    return boxes((x, 8, x + 16, 24), other, None, iou=iou)
