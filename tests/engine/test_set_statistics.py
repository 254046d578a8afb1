"""Statistics of a set."""

import os

import pytest

from sam2_hf.engine.set_folder import Failure, SetFolder
from sam2_hf.engine.set_statistics import SetStatistics, write_page
from sam2_hf.engine.settings import LabelSettings
from sam2_hf.engine.video_labels import LabeledMasklet, ReviewAction, VideoLabels, write_labels
from sam2_hf.engine.video_queue import QueuedVideo

QUEUE = [QueuedVideo.at(f"/v/{name}.mp4", f"{name}.mp4") for name in ("a", "b", "c<i>")]
ACTIONS = (ReviewAction("Ann", "review", "1", {"4": 2}), ReviewAction("Ann", "accepted", "2"))


@pytest.fixture
def folder(tmp_path):
    made = SetFolder(tmp_path / "set")
    made.begin(LabelSettings("tiny"), QUEUE)
    masklets = (
        LabeledMasklet(1, status="accepted"),
        LabeledMasklet(2, status="accepted", history=ACTIONS),
        LabeledMasklet(3, status="review"),
        LabeledMasklet(4, status="rejected"),
    )
    about = (QUEUE[0].id, "a.mp4", "", (9, 9), 100, None, "phase3")
    video = VideoLabels(*about, masklets, parts=((0, 100),))
    write_labels(made.labels(video.id), video, [])
    made.record_time(video.id, {"seconds": 7200.0})
    made.fail(Failure(QUEUE[2].id, QUEUE[2].address, "broken"))
    return made


def test_masklets_and_the_time_of_machines_and_persons_are_counted(folder):
    found = SetStatistics.of(folder)

    assert (found.videos, found.labeled, found.failed) == (3, 1, 1)
    assert found.masklets == {"accepted": 2, "review": 1, "rejected": 1}
    assert (found.share_accepted, found.accepted_alone) == (0.5, 1)
    assert found.masklets_per_hour == 2
    assert (found.reviews, found.clicks) == (2, 2)
    assert found.person_seconds == 2 * 10 + 1 + 2 * 1.5
    assert found.waiting_seconds == 10 + 19 * (1 + 3 * 1.5)  # 19.04 % of 100 frames, 2.68 clicks
    assert found.by_hand()["phase1"] == 37.8 * 400


def test_the_page_has_the_numbers_and_what_failed_as_text(folder):
    page = write_page(folder, SetStatistics.of(folder)).read_text()

    assert "50.0 %" in page
    assert "c&lt;i&gt;.mp4" in page
    assert "broken" in page


def test_a_file_name_that_is_not_utf_8_does_not_end_the_page(folder):
    name = os.fsdecode(b"/v/caf\xe9.mp4")
    folder.fail(Failure("caf", name, f"{name} is damaged"))

    assert "/v/caf\\udce9.mp4" in write_page(folder, SetStatistics.of(folder)).read_text()


def test_an_empty_set_has_a_page(tmp_path):
    folder = SetFolder(tmp_path)
    folder.begin(LabelSettings("tiny"), [])

    assert "0.0 %" in write_page(folder, SetStatistics.of(folder)).read_text()
