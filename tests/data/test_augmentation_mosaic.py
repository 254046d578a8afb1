import numpy as np
import pytest

from sam2_hf.data.augmentation import Mosaic, draw_mosaic
from tests.training.drawn_data import agreement, is_red, photo, square

SQUARE = square((10, 4, 30, 20), (48, 48))


@pytest.mark.parametrize("cell", range(4))
@pytest.mark.parametrize("mirrored", [(False,) * 4, (True,) * 4, (True, False, False, True)])
def test_the_mask_lies_on_one_of_four_copies(cell, mirrored):
    mosaic = Mosaic(cell // 2, cell % 2, mirrored)

    seen = is_red(mosaic.pixels(photo((SQUARE,))))
    mask = mosaic.masks(SQUARE[None])[0]

    assert seen.sum() == pytest.approx(SQUARE.sum(), rel=0.2)
    meant = np.zeros_like(seen)
    meant[24 * (cell // 2) :, 24 * (cell % 2) :][:24, :24] = True
    assert not mask[~meant].any()
    assert agreement(mask, seen & meant) > 0.8


def test_every_cell_is_drawn():
    rng = np.random.default_rng(0)

    drawn = [draw_mosaic(rng) for _ in range(200)]

    assert {(mosaic.row, mosaic.column) for mosaic in drawn} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert len({mosaic.mirrored for mosaic in drawn}) == 16
