"""The folder of a set."""

import os
import threading

import pytest

from sam2_hf.engine.prompts.given_objects import GivenObject, GivenPrompt
from sam2_hf.engine.set_folder import Failure, SetFolder
from sam2_hf.engine.settings import LabelSettings
from sam2_hf.engine.video_queue import QueuedVideo
from sam2_hf.errors import DataError, SessionError

VIDEOS = [QueuedVideo.at(f"/v/{name}.mp4", f"{name}.mp4") for name in "ab"]


@pytest.fixture
def folder(tmp_path):
    made = SetFolder(tmp_path / "set")
    made.begin(LabelSettings("tiny"), VIDEOS[:1])
    return made


def test_videos_are_added_and_stay(folder):
    folder.begin(LabelSettings("tiny"), [VIDEOS[1], VIDEOS[0]])

    assert folder.queue() == VIDEOS


def test_settings_may_change_until_something_is_labeled(folder):
    folder.begin(LabelSettings("other"), [])
    folder.labels("a").parent.mkdir()
    folder.labels("a").write_text("{}")

    assert folder.settings().model == "other"
    with pytest.raises(SessionError, match="model 'other', not 'tiny'"):
        folder.begin(LabelSettings("tiny"), [])


def test_settings_do_not_change_while_a_worker_has_a_video(folder):
    with SetFolder(folder.root).claims.hold(VIDEOS[0].id):
        folder.begin(LabelSettings("tiny"), [VIDEOS[1]])
        with pytest.raises(SessionError, match="model 'tiny', not 'other'"):
            folder.begin(LabelSettings("other"), [])
    folder.begin(LabelSettings("other"), [])

    assert folder.settings().model == "other"


def test_another_model_of_the_same_name_is_refused(folder):
    folder.require_model("tiny", "ab")
    folder.require_model("tiny", "ab")

    with pytest.raises(DataError, match="other weights of tiny"):
        folder.require_model("tiny", "cd")


def test_failures_are_kept_until_they_are_forgotten(folder):
    folder.fail(Failure("a", "/v/a.mp4", "broken"))

    assert [failure.error for failure in folder.failures().values()] == ["broken"]
    folder.forget_failures()
    assert folder.failures() == {}


def test_a_folder_that_is_no_set_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"is not a set\. Begin one"):
        SetFolder(tmp_path).require()
    (tmp_path / "queue.json").write_text('[{"x": 1}]')
    with pytest.raises(DataError, match="holds no queue"):
        SetFolder(tmp_path).queue()


def test_prompts_may_change_until_their_video_is_labeled(folder):
    first, second = ([GivenObject((GivenPrompt(frame, ((1.0, 1.0, True),)),))] for frame in (0, 1))
    video_id = VIDEOS[0].id
    folder.begin(LabelSettings("tiny"), [], {video_id: first})
    folder.begin(LabelSettings("tiny"), [], {video_id: second})
    assert folder.given(video_id) == second

    folder.labels(video_id).parent.mkdir()
    folder.labels(video_id).write_text("{}")

    folder.begin(LabelSettings("tiny"), [VIDEOS[1]], {video_id: second, VIDEOS[1].id: first})
    with pytest.raises(SessionError, match="not those that it was labeled with"):
        folder.begin(LabelSettings("tiny"), [], {video_id: first})


def test_two_commands_that_add_videos_at_once_lose_none(tmp_path):
    videos = [QueuedVideo.at(f"/v/{number}.mp4", f"{number}.mp4") for number in range(12)]

    def add(video):
        SetFolder(tmp_path / "set").begin(LabelSettings("tiny"), [video])

    threads = [threading.Thread(target=add, args=[video]) for video in videos]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {video.id for video in SetFolder(tmp_path / "set").queue()} == {v.id for v in videos}


def test_only_old_leftovers_of_killed_workers_are_removed(folder):
    places = [folder.root / name for name in ("videos", "parts/a", "claims", "failures")]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        for name in (".old.part", ".new.part"):
            (place / name).write_text("half")
        os.utime(place / ".old.part", (1, 1))

    folder.clear_leftovers()

    left = [path.name for place in places for path in place.iterdir()]
    assert left == [".new.part"] * len(places)
