"""Visitors of the Space without a browser: few of them, shortly; and that mixing would show."""

import numpy as np

from evaluation.space_load import __main__
from evaluation.space_load.__main__ import Tally, is_of, main, own_photo
from sam2_hf.overlay import FILL, OKABE_ITO


def test_some_visitors_meet_no_error_and_nobody_elses_photo(capsys, monkeypatch):
    # a server's first seconds warm it up; whether memory stays is a question for two minutes
    monkeypatch.setattr(__main__, "MOST_GROWTH", 1.5)

    status = main(["--visitors", "4", "--seconds", "6", "--think", "0.5"])

    told = capsys.readouterr().out
    assert status == 0, told
    assert "errors 0, mixed visits 0" in told
    assert "videos    1 tracked" in told or "videos    2 tracked" in told
    assert "files     0 left" in told
    assert int(told.split("clicks ")[1].split(",")[0]) >= 3


def test_a_photo_is_told_from_all_others_under_a_mask_and_without():
    photos = [own_photo(number)[0] for number in range(27)]
    mask_color = np.array(OKABE_ITO[0])

    for number, photo_hw3 in enumerate(photos):
        masked_hw3 = photo_hw3.copy()
        masked_hw3[:, :200] = (1 - FILL) * photo_hw3[:, :200] + FILL * mask_color
        for shown in (photo_hw3[::3, ::3], masked_hw3[::3, ::3]):  # a part tells, and sooner
            assert [other for other in range(27) if is_of(other, shown)] == [number]


def test_figures_are_told_without_a_click_as_well():
    lines = list(Tally(errors=["VisitError: no"] * 3).lines())

    assert lines[0] == "clicks    0, errors 3, mixed visits 0"
    assert lines[-1] == "error     VisitError: no"
