"""What is left to do in a set."""

from dataclasses import replace

import pytest

from sam2_hf.engine.set_folder import Failure, SetFolder
from sam2_hf.engine.settings import LabelSettings
from sam2_hf.engine.video_queue import QueuedVideo
from sam2_hf.engine.work_items import open_items, review_items

SETTINGS = LabelSettings("tiny")
VIDEOS = [QueuedVideo.at(f"/v/{n}.mp4", f"{n}.mp4", num_bytes=n) for n in (10, 30, 20)]


def begin(path, settings=SETTINGS):
    folder = SetFolder(path)
    folder.begin(settings, VIDEOS)
    return folder


def finish(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


def kinds(folder):
    return [(item.kind, item.number) for item in open_items(folder)]


def test_the_largest_videos_come_first_and_finished_or_failed_ones_not_at_all(tmp_path):
    folder = begin(tmp_path)
    assert [item.weight for item in open_items(folder)] == [30, 20, 10]

    finish(folder.labels(VIDEOS[1].id))
    folder.fail(Failure(VIDEOS[2].id, "", ""))

    assert [item.video for item in open_items(folder)] == [replace(VIDEOS[0], num_bytes=0)]


def test_a_long_video_is_planned_labeled_in_parts_and_joined(tmp_path):
    folder = begin(tmp_path, replace(SETTINGS, split_frames=100))
    assert kinds(folder) == [("plan", 0)] * 3

    folder.write_plan(VIDEOS[0].id, [(0, 50)])
    folder.write_plan(VIDEOS[1].id, [(0, 90), (90, 180)])
    finish(folder.labels(VIDEOS[2].id))
    assert kinds(folder) == [("part", 0), ("part", 1), ("label", 0)]
    keys = {item.key for item in open_items(folder)}
    assert len(keys) == 3

    finish(folder.part(VIDEOS[1].id, 1))
    assert kinds(folder)[0] == ("part", 0)
    finish(folder.part(VIDEOS[1].id, 0))
    assert ("join", 0) in kinds(folder)


@pytest.mark.parametrize("is_labeled", [True, False])
def test_only_labeled_videos_are_reviewed(is_labeled, tmp_path):
    folder = begin(tmp_path)
    finish(folder.root / f"reviews/{VIDEOS[0].id}.json")
    if is_labeled:
        finish(folder.labels(VIDEOS[0].id))

    assert [item.kind for item in review_items(folder)] == ["retrack"] * is_labeled
