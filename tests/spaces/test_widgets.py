"""The server's half of gestures, previews and the timeline, without a browser."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from sam2_hf import PromptError
from sam2_hf.overlay import POSITIVE
from sam2_space.drawing import rgb_of
from sam2_space.limits import LimitError, Limits, ShownSize
from sam2_space.live_tab import LiveWork
from sam2_space.space_model import FairLock, SpaceModel
from sam2_space.widgets import gestures, timeline
from sam2_space.widgets.gestures import Gesture, PreviewPace


def test_marks_stand_where_their_frames_are():
    row = timeline.marks(
        101, 25, tracked=[0, 1, 2, 50, 51], prompted=[0, 50], doubtful={75: 'low "IoU"'}
    )

    assert re.findall(r'class="tracked" style="left:([\d.]+)%;width:([\d.]+)%', row) == [
        ("0.00", "2.00"),
        ("50.00", "1.00"),
    ]
    assert re.findall(r'class="(\w+)" data-mark="(\d+)" style="left:([\d.]+)%', row) == [
        ("prompt", "0", "0.00"),
        ("prompt", "50", "50.00"),
        ("doubt", "75", "75.00"),
    ]
    assert 'class="now" style="left:25.00%"' in row
    assert "&quot;IoU&quot;" in row
    assert 'aria-label="Timeline: frame 25 of 100. Prompts on frames 0, 50.' in row


@pytest.mark.parametrize(("frames", "expected"), [(1, [0]), (3, [0, 1, 2]), (48, range(2, 48, 4))])
def test_thumbnails_are_spread_over_the_video(frames, expected):
    assert timeline.thumb_frames(frames) == list(expected)


@pytest.mark.parametrize(
    ("value", "index"),
    [
        ("box", [1, 2, 3]),
        ("box", [1, 2, 3, "4"]),
        ("exclude", [1, float("nan")]),
        ("exclude", None),
        ("exclude", [1, 2, 3]),
    ],
)
def test_a_gesture_of_another_form_is_refused(value, index):
    with pytest.raises(PromptError, match="not recognized"):
        Gesture.of_event(SimpleNamespace(value=value, index=index))


def test_previews_pause_after_slow_ones_and_come_back():
    now = [0.0]
    pace = PreviewPace(lambda: now[0])
    for seconds in (2.0, 2.0, 0.1, 2.0, 2.0):  # a fast one in between
        pace.record(seconds)
    assert not pace.is_off

    pace.record(2.0)
    assert pace.is_off
    now[0] = gestures.PAUSE + 1
    assert not pace.is_off


def test_a_preview_does_not_wait_for_the_model():
    lock = FairLock()
    with lock.taken(), lock.taken_if_free() as is_free:
        assert not is_free
    with lock.taken_if_free() as is_free:
        assert is_free
        with lock.taken_if_free() as again:
            assert not again
    with lock.taken():  # it is free again
        pass


def test_only_small_pictures_are_enlarged_and_positions_map_back():
    small, middle, large = (ShownSize.on_page(size) for size in ((60, 90), (400, 600), (853, 2560)))

    assert (small.size, middle.size, large.size) == ((427, 640), (400, 600), (426, 1280))
    assert small.xy((320, 427)) == pytest.approx((45, 60), abs=0.1)
    assert middle.scale == 1
    assert large.xy((640, 0)) == (1280, 0)


def test_a_color_is_read_as_browsers_write_it():
    assert rgb_of("#00b140") == rgb_of("rgba(0, 177.4, 64, 1)") == (0, 177, 64)
    for wrong in ("red; evil", "rgb(1)", ""):
        with pytest.raises(LimitError, match="not a color"):
            rgb_of(wrong)


def test_a_click_in_the_live_picture_is_shown_for_a_while(monkeypatch):
    work = LiveWork(SpaceModel.load("sam2-hiera-micro", "cpu"), Limits())
    monkeypatch.setattr("sam2_space.live_tab.CLICK_SHOWN", 600.0)  # also on a slow machine
    picture_hw3 = np.full((120, 160, 3), 128, np.uint8)
    work.step(picture_hw3)
    work.click((80, 60), positive=True)
    said = work.doing

    shown_hw3 = work.step(picture_hw3)
    monkeypatch.setattr("sam2_space.live_tab.CLICK_SHOWN", 0.0)
    later_hw3 = work.step(picture_hw3)

    assert (shown_hw3[60, 80] == POSITIVE).all()
    assert not (later_hw3[60, 80] == POSITIVE).all()
    assert said == "Following object 1"
    work.close()
