"""Clips to learn from: two drawn shapes that pass each other, and what a model sees of them."""

import numpy as np
import torch

from tests.small_checkpoint import SIDE

MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def moving_shapes(num_frames=4, shift=0.0):
    """A disc before a box: frames `(t, h, w, 3)` uint8 and masks `(2, t, h, w)` bool."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    ground = np.stack((np.sin(9 * x + 2 * y), np.cos(7 * y), np.sin(30 * x * y)), axis=-1)
    frames = np.repeat((0.4 + 0.15 * ground)[None], num_frames, axis=0)
    masks = np.zeros((2, num_frames, SIDE, SIDE), dtype=bool)
    for t in range(num_frames):
        disc = (y - 0.3 - 0.02 * t - shift) ** 2 + (x - 0.25 - 0.06 * t) ** 2 < 0.17**2
        box = (abs(y - 0.72 + 0.02 * t) < 0.15) & (abs(x - 0.7 + 0.05 * t + shift) < 0.19)
        masks[:, t] = disc, box & ~disc
        frames[t][disc] = (0.9, 0.3, 0.1)
        frames[t][masks[1, t]] = (0.1, 0.4, 0.9)
    return (255 * frames).clip(0, 255).astype(np.uint8), masks


def as_batch(*clips):
    """Frames and masks as the objective takes them."""
    pixels = torch.stack([torch.from_numpy(frames) for frames, _ in clips]) / 255
    labels = torch.stack([torch.from_numpy(masks) for _, masks in clips])
    return ((pixels - MEAN) / DEVIATION).movedim(-1, 2), labels


def two_clips(num_frames=3):
    """Two clips that differ; the second shape of the second one is only padding."""
    clips, labels = as_batch(moving_shapes(num_frames), moving_shapes(num_frames, shift=0.1))
    labels[1, 1] = False
    return clips, labels
