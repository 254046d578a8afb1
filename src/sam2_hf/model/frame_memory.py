"""What the encoder sees on a frame, and what the tracker remembers of it.

Suffixes: b = objects, c = channels, d = decoder channels (256), h, w = feature rows and columns
(input size / 16, so 64 for 1024-pixel frames).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class FrameFeatures:
    """Features of one frame, which all its objects share; or of one frame per object.

    Attributes:
        fine_bchw: For the mask decoder, `(b or 1, 32, 4h, 4w)`.
        coarse_bchw: For the mask decoder, `(b or 1, 64, 2h, 2w)`.
        embedding_bchw: Image embedding without any memory, `(b or 1, 256, h, w)`.
    """

    fine_bchw: Tensor
    coarse_bchw: Tensor
    embedding_bchw: Tensor

    def to(self, device: torch.device | str) -> "FrameFeatures":
        """Return these features on `device`."""
        return FrameFeatures(
            self.fine_bchw.to(device), self.coarse_bchw.to(device), self.embedding_bchw.to(device)
        )


@dataclass(frozen=True, slots=True, eq=False)
class FrameMemory:
    """One row of a memory bank. Never changed in place; a new prompt makes a new row.

    Attributes:
        frame: Index of the frame in its video, counted from 0.
        spatial_bchw: Fused image-and-mask memory, `(b, 64, h, w)`.
        pointer_bd: Object pointer from the mask decoder, `(b, 256)`.
        score_b1: Object score in logits, `(b, 1)`. Above 0 the object is in view.
    """

    frame: int
    spatial_bchw: Tensor
    pointer_bd: Tensor
    score_b1: Tensor

    def to(self, device: torch.device | str) -> "FrameMemory":
        """Return this memory on `device`; all its tensors move together."""
        return replace(
            self,
            spatial_bchw=self.spatial_bchw.to(device),
            pointer_bd=self.pointer_bd.to(device),
            score_b1=self.score_b1.to(device),
        )
