"""Reviews on their way into a set."""

import json

import pytest

from sam2_hf.engine.reviews import (
    Review,
    add_reviews,
    corrected_prompts,
    forget_reviews,
    pending_reviews,
    read_review_file,
    review_queue,
    reviewed_videos,
    set_aside,
)
from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.engine.settings import LabelSettings
from sam2_hf.engine.video_labels import LabeledMasklet, MaskletPrompt, VideoLabels, write_labels
from sam2_hf.engine.video_queue import QueuedVideo
from sam2_hf.errors import DataError, PromptError, SessionError


def masklet(object_id, worst, status="review"):
    return LabeledMasklet(object_id, status=status, scores={"stability": worst, "agreement": None})


def video(name, *masklets):
    return VideoLabels(name, name, "", (24, 32), 3, None, "phase3", masklets)


def test_the_most_doubtful_masklet_comes_first_and_decided_ones_not_at_all():
    videos = [
        video("a", masklet(1, 0.5), masklet(2, 0.1, "accepted")),
        video("b", masklet(1, 0.2), masklet(2, 0.5)),
    ]

    listed = [(item.video_id, item.object_id) for item in review_queue(videos)]

    assert listed == [("b", 1), ("a", 1), ("b", 2)]


def test_reviews_wait_until_they_are_applied_and_later_ones_stay(tmp_path):
    folder = SetFolder(tmp_path)
    first, second = Review(1, "accepted", "Ann"), Review(2, "rejected", "Bo")
    add_reviews(folder, "v", [first])
    add_reviews(folder, "v", [second])

    assert pending_reviews(folder, "v") == [first, second]
    forget_reviews(folder, "v", {first.token})
    assert pending_reviews(folder, "v") == [second]
    forget_reviews(folder, "v", {second.token})
    assert reviewed_videos(folder) == []


def test_two_processes_do_not_change_reviews_at_once(tmp_path):
    folder = SetFolder(tmp_path)

    with folder.claims.hold("v.review"), pytest.raises(SessionError, match="Try again"):
        add_reviews(folder, "v", [])


def test_clicks_correct_the_mask_that_is_there_and_add_to_earlier_clicks():
    mask = {"size": [1, 1], "counts": "01"}
    before = MaskletPrompt(0, ((1.0, 1.0, True),), by="file")
    given = [MaskletPrompt(n, ((2.0, 2.0, False),), by="Ann") for n in (0, 5)]

    first, other = corrected_prompts(LabeledMasklet(1, prompts=(before,)), given, {5: mask})

    assert first.clicks == ((1.0, 1.0, True), (2.0, 2.0, False))
    assert (first.mask, first.by) == (None, "Ann")
    assert (other.frame, other.mask, other.clicks) == (5, mask, ((2.0, 2.0, False),))


def clicked(click):
    return {"clip00": [{"object": 1, "clicks": [click]}]}


@pytest.mark.parametrize(
    ("content", "error", "match"),
    [
        ({"nowhere": []}, DataError, "is not labeled"),
        ({"clip00": [{"object": 9}]}, DataError, "has no object 9"),
        ({"clip00": [{"object": 1, "verdict": "fine"}]}, DataError, "no verdict 'fine'"),
        (clicked({"frame": 7, "xy": [1, 1]}), PromptError, "frame 7"),
        (clicked({"frame": 1.5, "xy": [1, 1]}), PromptError, r"frame 1\.5"),
        (clicked({"frame": 0, "xy": [32, 1]}), PromptError, "at 32, 1, outside clip00"),
        (clicked({"frame": 0, "xy": [1, float("nan")]}), PromptError, "outside clip00"),
        (clicked({"frame": 0}), DataError, "cannot be read as"),
        ([], DataError, "cannot be read as"),
    ],
)
def test_a_file_of_reviews_is_checked_against_the_set(content, error, match, small_set, tmp_path):
    path = tmp_path / "reviews.json"
    path.write_text(json.dumps(content))

    with pytest.raises(error, match=match):
        read_review_file(path, SetFolder(small_set))


def named_set(tmp_path, *videos):
    """A set of labeled videos with one object each."""
    folder = SetFolder(tmp_path / "set")
    folder.begin(LabelSettings("tiny"), videos)
    for queued in videos:
        about = (queued.id, queued.name, queued.address, (24, 32), 3, None, "phase3")
        write_labels(folder.labels(queued.id), VideoLabels(*about, (masklet(1, 0.5),)), [])
    return folder


def written(tmp_path, content):
    path = tmp_path / "reviews.json"
    path.write_text(json.dumps(content))
    return path


def test_a_name_of_several_videos_is_refused_and_their_ids_are_not(tmp_path):
    first, second = (QueuedVideo.at(f"/{place}/clip", "clip") for place in "ab")
    folder = named_set(tmp_path, first, second)

    with pytest.raises(
        DataError, match=f"fits several videos. Name one of {first.id}, {second.id}"
    ):
        read_review_file(written(tmp_path, {"clip": [{"object": 1}]}), folder)
    assert set(read_review_file(written(tmp_path, {second.id: [{"object": 1}]}), folder)) == {
        second.id
    }


def test_reviews_under_the_name_and_under_the_id_of_a_video_are_both_kept(tmp_path):
    queued = QueuedVideo.at("/a/clip.mp4", "clip.mp4")
    folder = named_set(tmp_path, queued)
    content = {
        queued.id: [{"object": 1, "verdict": "accepted"}],
        "clip.mp4": [{"object": 1, "verdict": "rejected"}],
    }

    found = read_review_file(written(tmp_path, content), folder)

    assert [item.verdict for item in found[queued.id]] == ["accepted", "rejected"]


def test_a_file_that_is_read_again_has_the_same_reviews_and_they_wait_once(tmp_path):
    queued = QueuedVideo.at("/a/clip", "clip")
    folder = named_set(tmp_path, queued)
    click = {"frame": 0, "xy": [1, 1]}
    path = written(tmp_path, {"clip": [{"object": 1, "clicks": [click]}, {"object": 1}]})

    for _ in range(2):
        add_reviews(folder, queued.id, read_review_file(path, folder)[queued.id])

    first, second = pending_reviews(folder, queued.id)
    assert first.token != second.token


def test_what_was_set_aside_does_not_wait(tmp_path):
    folder, failed = SetFolder(tmp_path), [Review(1, "accepted"), Review(2, "rejected")]

    for review in failed:
        path = set_aside(folder, "v", [review])

    assert [item["object_id"] for item in json.loads(path.read_text())] == [1, 2]
    assert reviewed_videos(folder) == []
