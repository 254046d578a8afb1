"""Point grids of mask generation, on the photo and on overlapping crops."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam2_hf.errors import PromptError
from sam2_hf.geometry import crop_boxes, point_grids_per_layer
from sam2_hf.number_reading import read_numbers, shown

MOST_CLICKS = 10_000_000
MOST_LAYERS = 12  # the last of them would have 4**12 crops
Grid = NDArray[np.float64]  # (n, 2), x and y as fractions of width and height


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of the photo that is searched separately.

    Attributes:
        left: First column, pixels of the photo.
        top: First row.
        right: Column after the last.
        bottom: Row after the last.
        layer: 0 for the whole photo; each further layer has twice as many crops along a side.
    """

    left: int
    top: int
    right: int
    bottom: int
    layer: int = 0

    @property
    def xyxy(self) -> tuple[int, int, int, int]:
        """`(left, top, right, bottom)`."""
        return self.left, self.top, self.right, self.bottom

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)`, pixels."""
        return self.bottom - self.top, self.right - self.left

    @property
    def area(self) -> int:
        """Pixels inside."""
        return self.size[0] * self.size[1]


def crops_of(size: tuple[int, int], *, num_layers: int, overlap_ratio: float) -> list[Crop]:
    """List overlapping crops of a photo, the whole photo first; see [`geometry.crop_boxes`].

    Args:
        size: `(height, width)` of the photo, pixels.
        num_layers: Crop layers besides the whole photo.
        overlap_ratio: Overlap in the first layer, as a fraction of the photo's short side.
    """
    boxes, layers = crop_boxes(size, num_layers, overlap_ratio)
    crops = [
        Crop(left, top, right, bottom, layer)
        for (left, top, right, bottom), layer in zip(boxes, layers, strict=True)
    ]
    # On a photo of a few pixels, rounding moves some crops off its edge.
    return [crop for crop in crops if min(crop.size) > 0]


def layer_grids(points_per_side: int, *, num_layers: int, downscale: int) -> list[Grid]:
    """Make one grid per layer, each `downscale` times sparser than the one before.

    Args:
        points_per_side: Points along a side for the whole photo.
        num_layers: Crop layers besides the whole photo.
        downscale: Factor between the points per side of one layer and the next.

    Raises:
        PromptError: The last layer would have no point.
    """
    if num_layers > MOST_LAYERS:
        raise PromptError(
            f"crop_n_layers is {num_layers}, the most is {MOST_LAYERS}: layer n has 4**n crops."
        )
    if points_per_side < downscale**num_layers:
        raise PromptError(
            f"crop layer {num_layers} would have no points: points_per_side {points_per_side} "
            f"divided by crop_n_points_downscale_factor {downscale} to the power {num_layers} is "
            "below 1. "
            "Use more points per side or a smaller factor."
        )
    sides = [points_per_side // downscale**layer for layer in range(num_layers + 1)]
    _require_few([side**2 for side in sides])
    return point_grids_per_layer(points_per_side, num_layers, downscale)


def own_grids(grids: Sequence[object], *, num_layers: int) -> list[Grid]:
    """Check custom grids.

    Args:
        grids: One array-like `(n, 2)` per layer, x and y as fractions of width and height in [0,
            1].
        num_layers: Crop layers besides the whole photo.

    Raises:
        PromptError: There are too few grids, or one is not `(n, 2)` finite numbers in [0, 1].
    """
    given = [] if not isinstance(grids, Iterable) else [read_numbers(grid) for grid in grids]
    checked = [grid for grid in given if grid is not None]
    if len(checked) < len(given) or not given:
        raise PromptError(
            f"point_grids is {shown(grids)}. Give a list with an array (number of points, 2) for "
            "each layer."
        )
    if len(checked) < num_layers + 1:
        raise PromptError(
            f"point_grids has {len(checked)} grids for {num_layers + 1} layers. "
            "Give one for the whole photo and one for each crop layer."
        )
    for layer, grid in enumerate(checked):
        if grid.ndim != 2 or grid.shape[1] != 2 or len(grid) == 0:
            raise PromptError(
                f"point_grids[{layer}] has shape {grid.shape}. It must be (number of points, 2)."
            )
        if not np.all((grid >= 0) & (grid <= 1)):  # NaN fails this too
            raise PromptError(
                f"point_grids[{layer}] has values from {grid.min()} to {grid.max()}. Points are "
                "fractions of the photo's width and height: divide pixels by these to get 0-1."
            )
    _require_few([len(grid) for grid in checked[: num_layers + 1]])
    return checked


def _require_few(points_per_crop: Sequence[int]) -> None:
    """Refuse an impractical number of clicks.

    Args:
        points_per_crop: For each layer the points of one of its crops.
    """
    clicks = sum(4**layer * count for layer, count in enumerate(points_per_crop))
    if clicks > MOST_CLICKS:
        raise PromptError(
            f"there would be {clicks:.1e} clicks, more than {MOST_CLICKS}. Use fewer points per "
            "side, or fewer layers of crops."
        )
