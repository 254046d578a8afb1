"""Pictures, masks and prompts at the smaller size that a page shows.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.overlay import DrawnPrompts

VIEW_SIDE = 1280  # pixels; the page shows no more


@dataclass(frozen=True, slots=True)
class ShownSize:
    """How much smaller a picture is shown than it is.

    Attributes:
        size: `(height, width)` as shown.
        scale: Pixels of the picture for one that is shown.
    """

    size: tuple[int, int]
    scale: float

    @classmethod
    def within(cls, size: tuple[int, int], side: int = VIEW_SIDE) -> "ShownSize":
        """Fit a picture of `(height, width)` into a square of `side` pixels."""
        scale = max(1.0, max(size) / side)
        return cls((max(1, round(size[0] / scale)), max(1, round(size[1] / scale))), scale)

    def prompts(self, prompts: DrawnPrompts) -> DrawnPrompts:
        """Move prompts to where they are on the shown picture."""
        return DrawnPrompts(
            tuple((x / self.scale, y / self.scale, sign) for x, y, sign in prompts.clicks),
            tuple(
                (x0 / self.scale, y0 / self.scale, x1 / self.scale, y1 / self.scale)
                for x0, y0, x1, y1 in prompts.boxes
            ),
        )

    def xy(self, shown: tuple[float, float]) -> tuple[float, float]:
        """Find the pixel of the picture for one that was clicked on the page."""
        return shown[0] * self.scale, shown[1] * self.scale

    def mask(self, mask_hw: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Shrink a mask."""
        if mask_hw.shape == self.size:
            return mask_hw
        small = Image.fromarray(mask_hw).resize(self.size[::-1], Image.Resampling.NEAREST)
        return np.asarray(small)

    def picture(self, picture_hw3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Shrink a picture; one that is small enough stays as it is."""
        if picture_hw3.shape[:2] == self.size:
            return picture_hw3
        small = Image.fromarray(picture_hw3).resize(self.size[::-1], Image.Resampling.LANCZOS)
        return np.asarray(small)
