"""How a phone says which way is up: the display matrix of a video.

Suffixes: hwc = rows, columns, channels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MATRIX_BYTES = 36  # nine whole numbers of 32 bits


def read_matrix(side_data: bytes) -> tuple[int, int, int, int]:
    """Take the four numbers that turn and mirror out of FFmpeg's display matrix.

    Args:
        side_data: Nine native int32: `a, b, u, c, d, v, x, y, w`.

    Returns:
        `(a, b, c, d)`: the pixel (x, y) belongs at (ax + cy, bx + dy).
    """
    numbers = np.frombuffer(side_data[:MATRIX_BYTES], np.int32)
    return int(numbers[0]), int(numbers[1]), int(numbers[3]), int(numbers[4])


def turn_upright(picture_hwc: NDArray[np.uint8], matrix: Sequence[int]) -> NDArray[np.uint8]:
    """Turn and mirror a picture by quarter turns; angles between are left out, as players do.

    Args:
        picture_hwc: As it is stored.
        matrix: `(a, b, c, d)` from `read_matrix`.

    Returns:
        `(h, w, c)` or `(w, h, c)`, contiguous.
    """
    a, b, c, d = matrix
    if abs(b) > abs(a):  # x becomes y
        picture_hwc, x_sign, y_sign = picture_hwc.swapaxes(0, 1), c, b
    else:
        x_sign, y_sign = a, d
    if x_sign < 0:
        picture_hwc = picture_hwc[:, ::-1]
    if y_sign < 0:
        picture_hwc = picture_hwc[::-1]
    return np.ascontiguousarray(picture_hwc)
