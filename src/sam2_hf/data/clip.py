"""Clips of a data set, and batches of clips for the model.

Suffixes: b = clips, o = objects, t = frames, h, w = rows and columns, S = input size, 3 = red,
green, blue.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.processing.pixel_values import RELEASED_PIXELS, normalize_pixels


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames with the masklets of some objects; a photo is a clip of one frame.

    Attributes:
        frames_thw3: `(t, h, w, 3)`, uint8, RGB.
        masks_othw: `(o, t, h, w)`, bool. Every object is visible on the first frame.
        name: Its name in the data set.
    """

    frames_thw3: NDArray[np.uint8]
    masks_othw: NDArray[np.bool_]
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class ClipBatch:
    """Clips of one source and one length.

    Attributes:
        frames_bthw3: `(b, t, S, S, 3)`, uint8, RGB: a quarter of the bytes of floats.
        labels_bothw: `(b, o, t, S, S)`, bool. An object that is empty on all frames is padding.
        num_objects: Objects of all clips, without padding.
        seeds_b: `(b,)`, int64. Seeds of everything drawn for a clip's clicks.
        names: Names of the clips in the data set.
        source: Name of their source in reports.
        skipped: A message for each unusable item that was replaced.
    """

    frames_bthw3: Tensor
    labels_bothw: Tensor
    num_objects: int
    seeds_b: Tensor
    names: tuple[str, ...]
    source: str
    skipped: tuple[str, ...] = ()

    @property
    def clips_bt3hw(self) -> Tensor:
        """Compute the input of the image encoder, `(b, t, 3, S, S)`, normalized."""
        return normalize(self.frames_bthw3)

    def to(self, device: torch.device | str) -> "ClipBatch":
        """Return this batch on a device."""
        return replace(
            self,
            frames_bthw3=self.frames_bthw3.to(device, non_blocking=True),
            labels_bothw=self.labels_bothw.to(device, non_blocking=True),
            seeds_b=self.seeds_b.to(device, non_blocking=True),
        )

    def pin_memory(self) -> "ClipBatch":
        """Return this batch in page-locked memory."""
        return replace(
            self,
            frames_bthw3=self.frames_bthw3.pin_memory(),
            labels_bothw=self.labels_bothw.pin_memory(),
            seeds_b=self.seeds_b.pin_memory(),
        )


def collate(clips: Sequence[Clip], seeds: Sequence[int], source: str) -> ClipBatch:
    """Make a batch of clips of equal sizes; clips with fewer objects get empty ones.

    Args:
        clips: At least one.
        seeds: One per clip.
        source: Name of their source in reports.
    """
    frames_bthw3 = np.stack([clip.frames_thw3 for clip in clips])
    most_objects = max(len(clip.masks_othw) for clip in clips)
    labels_bothw = np.zeros((len(clips), most_objects, *frames_bthw3.shape[1:4]), np.bool_)
    for labels_othw, clip in zip(labels_bothw, clips, strict=True):
        labels_othw[: len(clip.masks_othw)] = clip.masks_othw
    return ClipBatch(
        frames_bthw3=torch.from_numpy(frames_bthw3),
        labels_bothw=torch.from_numpy(labels_bothw),
        num_objects=int(np.count_nonzero(labels_bothw.any(axis=(2, 3, 4)))),
        seeds_b=torch.tensor(seeds, dtype=torch.int64),
        names=tuple(clip.name for clip in clips),
        source=source,
    )


def normalize(frames_bthw3: Tensor) -> Tensor:
    """Normalize bytes as the image encoder was trained.

    Args:
        frames_bthw3: `(..., h, w, 3)`, uint8.

    Returns:
        `(..., 3, h, w)`, contiguous.
    """
    # Permuted as bytes, since floats would move four times as much.
    return normalize_pixels(frames_bthw3.movedim(-1, -3).contiguous(), RELEASED_PIXELS)
