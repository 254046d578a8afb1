"""Pictures on a sheet."""

import numpy as np
from PIL import Image

from sam2_hf.contact_sheet import CELL, GAP, TITLE, Cell, contact_sheet, save_sheet

RED, BLUE = (200, 0, 0), (0, 0, 200)


def plain(color, size=(36, 48)):
    return np.full((*size, 3), color, np.uint8)


def test_pictures_stand_in_rows_below_their_titles():
    rows = [[Cell("a", plain(RED)), Cell("b", plain(BLUE))], [Cell("c", plain(BLUE))]]

    sheet = contact_sheet(rows)

    assert sheet.size == (2 * CELL[0] + 3 * GAP, 2 * (CELL[1] + TITLE + GAP) + GAP)
    assert sheet.getpixel((GAP + 9, GAP + TITLE + 9)) == RED
    assert sheet.getpixel((2 * GAP + CELL[0] + 9, GAP + TITLE + 9)) == BLUE
    assert sheet.getpixel((2 * GAP + CELL[0] + 9, sheet.height - 50)) == (255, 255, 255)


def test_titles_are_written():
    with_title, without = (
        np.asarray(contact_sheet([[Cell(title, plain(RED))]]))[: GAP + TITLE]
        for title in ("IoU 0.52", "")
    )

    assert (without == 255).all()
    assert (with_title < 128).any()


def test_a_flat_row_takes_less_room_and_keeps_its_shape():
    sheet = np.asarray(contact_sheet([[Cell("", plain(RED, (10, 40)))]]))

    reds = np.argwhere((sheet == RED).all(axis=2))
    assert np.ptp(reds, axis=0).tolist() == [CELL[0] // 4 - 1, CELL[0] - 1]
    assert len(sheet) == CELL[0] // 4 + TITLE + 2 * GAP


def test_a_sheet_is_written_into_a_new_folder(tmp_path):
    path = save_sheet([[Cell("a", plain(RED))]], tmp_path / "new" / "sheet.png")

    with Image.open(path) as picture:
        assert picture.size == (CELL[0] + 2 * GAP, CELL[1] + TITLE + 2 * GAP)
