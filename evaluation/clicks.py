"""Where a person would click: at the innermost point of what is to be segmented.

Suffixes: h, w = rows and columns in pixels.
"""

import numpy as np
from numpy.typing import NDArray

from sam2_hf.errors import DataError
from sam2_hf.training.click_sampling import innermost_pixel


def innermost_point(mask_hw: NDArray[np.bool_]) -> tuple[int, int]:
    """Find the pixel of a mask that is farthest from everything outside.

    What lies beyond the picture is outside too. Distances are exact. Of several such pixels the
    first in reading order is taken.

    Args:
        mask_hw: `(height, width)` bool, in one piece or several.

    Returns:
        `(x, y)`, pixels, counted from 0.

    Raises:
        DataError: If the mask is empty.

    Source: sam2/modeling/sam2_utils.py `sample_one_point_from_error_center` @ 2b90b9f, for a first
        click.
    Differs: an empty mask is an error instead of a click at (0, 0).
    """
    depth, x, y = innermost_pixel(mask_hw)
    if not depth:
        raise DataError("an empty mask has no innermost point. Leave empty masks out.")
    return x, y
