"""Where a person would click: at the innermost point of what is to be segmented.

Suffixes: h, w = rows and columns in pixels.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from sam2_hf.errors import DataError


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
    rows = np.flatnonzero(mask_hw.any(axis=1))
    columns = np.flatnonzero(mask_hw.any(axis=0))
    if not rows.size:
        raise DataError("an empty mask has no innermost point. Leave empty masks out.")
    top, left = rows[0], columns[0]
    part_hw = np.pad(mask_hw[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    y, x = np.unravel_index(distance_transform_edt(part_hw).argmax(), part_hw.shape)
    return int(x + left - 1), int(y + top - 1)
