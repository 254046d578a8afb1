import numpy as np
import pytest

from sam2_hf.frames.video_file import read_matrix, turn_upright

PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
ONE = 65536


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), PICTURE),
        ((0, 1, -1, 0), np.rot90(PICTURE, -1)),
        ((-1, 0, 0, -1), np.rot90(PICTURE, 2)),
        ((0, -1, 1, 0), np.rot90(PICTURE, 1)),
        ((-1, 0, 0, 1), np.fliplr(PICTURE)),
        ((1, 0, 0, -1), np.flipud(PICTURE)),
        ((0, 1, 1, 0), PICTURE.swapaxes(0, 1)),
        ((0, -1, -1, 0), np.rot90(PICTURE, 2).swapaxes(0, 1)),
        ((0.98, 0.2, -0.2, 0.98), PICTURE),
    ],
)
def test_a_picture_is_turned_and_mirrored_as_its_matrix_says(matrix, expected):
    turned = turn_upright(PICTURE, [round(ONE * number) for number in matrix])

    assert np.array_equal(turned, expected)
    assert turned.flags.c_contiguous


def test_the_four_numbers_that_turn_are_found_among_nine():
    data = np.array([0, ONE, 7, -ONE, 5, 8, 9, 10, 1 << 30], np.int32).tobytes()

    assert read_matrix(data) == (0, ONE, -ONE, 5)
