"""What a person said about one object on one frame, call by call.

Each call is a round: the decoder answers it from all prompts of the frame so far and from its own
answer to the round before, whenever it is asked to. So a preview never changes what comes out.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sam2_hf.geometry import to_model_pixels
from sam2_hf.processing.prompts import Click, ObjectPrompt

Xyxy = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class FramePrompts:
    """All prompts of an object on a frame. A given mask replaces clicks and box, and they it.

    Attributes:
        clicks: Positive and negative points, in the order they came.
        box: `(x0, y0, x1, y1)`, pixels of the original frame.
        mask_hw: A given mask at input size, boolean.
    """

    clicks: tuple[Click, ...] = ()
    box: Xyxy | None = None
    mask_hw: Tensor | None = None

    def with_clicks(self, clicks: tuple[Click, ...]) -> "FramePrompts":
        """Add clicks."""
        return replace(self, clicks=(*self.clicks, *clicks), mask_hw=None)

    def with_box(self, box: Xyxy) -> "FramePrompts":
        """Set the box."""
        return replace(self, box=box, mask_hw=None)

    def with_mask(self, mask_hw: Tensor) -> "FramePrompts":
        """Set the mask, in place of everything else."""
        return FramePrompts(mask_hw=mask_hw)

    def model_points(self, size: tuple[int, int], side: int) -> tuple[Tensor, Tensor]:
        """List corners of the box, then clicks, in model pixels, with their labels.

        Args:
            size: `(height, width)` of the original frame.
            side: Input size of the model.

        Returns:
            `(n, 2)` and `(n,)`.
        """
        xy, labels = ObjectPrompt(clicks=self.clicks, box=self.box).labelled_points()
        return to_model_pixels(xy, size, side), labels.to(torch.int64)
