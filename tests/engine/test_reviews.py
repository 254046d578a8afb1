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
)
from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.engine.video_labels import LabeledMasklet, MaskletPrompt, VideoLabels
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
        (clicked({"frame": 0}), DataError, "cannot be read as"),
        ([], DataError, "cannot be read as"),
    ],
)
def test_a_file_of_reviews_is_checked_against_the_set(content, error, match, small_set, tmp_path):
    path = tmp_path / "reviews.json"
    path.write_text(json.dumps(content))

    with pytest.raises(error, match=match):
        read_review_file(path, SetFolder(small_set))
