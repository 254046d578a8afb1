"""Reviews applied: corrected objects are tracked again, decisions stay, nothing else changes."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sam2_hf.engine import retracking
from sam2_hf.engine.retracking import LabelsChangedError, apply_reviews
from sam2_hf.engine.reviews import Review, add_reviews, pending_reviews
from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.engine.settings import AcceptRules
from sam2_hf.engine.video_labels import (
    LabeledFrames,
    LabeledMasklet,
    MaskletPrompt,
    VideoLabels,
    read_labels,
    write_labels,
)
from sam2_hf.errors import PromptError
from tests.engine.clips import content
from tests.engine.conftest import label


def videos_of(out):
    return {video.name: video for video in SetFolder(out).videos()}


def retrack(out, tmp_path, reviews):
    path = tmp_path / "reviews.json"
    path.write_text(json.dumps(reviews))
    label("--out", out, "--retrack", "--review", path)
    return videos_of(out)


def test_decisions_are_kept_with_who_made_them(small_set, tmp_path):
    before = content(small_set)

    videos = retrack(
        small_set,
        tmp_path,
        {
            "clip00": [{"object": 1, "verdict": "accepted", "by": "Ann"}],
            "clip01": [{"object": 1, "verdict": "rejected", "by": "Bo"}],
        },
    )

    assert [video.masklets[0].status for video in videos.values()] == [
        "accepted",
        "rejected",
        "review",
    ]
    (action,) = videos["clip00"].masklets[0].history
    assert (action.by, action.verdict, action.clicks) == ("Ann", "accepted", {})
    masks = {name: text.partition(b"\n")[2] for name, text in content(small_set).items()}
    assert masks == {name: text.partition(b"\n")[2] for name, text in before.items()}


def test_a_click_changes_the_masks_of_its_object_from_its_prompts_and_the_present_mask(
    small_set, tmp_path
):
    folder = SetFolder(small_set)
    video_id = videos_of(small_set)["clip00"].id
    before = list(LabeledFrames(folder.labels(video_id)))
    click = {"frame": 1, "xy": [30, 2], "positive": False}

    review = {"object": 1, "by": "Ann", "clicks": [click]}

    videos = retrack(small_set, tmp_path, {"clip00": [review]})

    (masklet,) = videos["clip00"].masklets
    after = list(LabeledFrames(folder.labels(video_id)))
    assert [prompt.frame for prompt in masklet.prompts] == [0, 1]
    assert masklet.prompts[1].mask == before[1].objects[0].segmentation
    assert (masklet.prompts[1].clicks, masklet.prompts[1].by) == (((30.0, 2.0, False),), "Ann")
    assert masklet.history[0].clicks == {"1": 1}
    assert masklet.name == "square"
    assert after[1] != before[1]
    assert after[1].objects[0].prompted


def test_a_review_that_was_applied_before_a_crash_is_not_applied_twice(small_set, monkeypatch):
    folder = SetFolder(small_set)
    video_id = videos_of(small_set)["clip00"].id
    correction = MaskletPrompt(1, ((9.0, 9.0, True),), by="Ann")
    add_reviews(folder, video_id, [Review(1, "accepted", "Ann", (correction,))])
    with monkeypatch.context() as patched:  # killed before the reviews are removed
        patched.setattr(retracking, "forget_reviews", lambda *_: None)
        patched.setattr("sam2_hf.engine.set_run.POLL_S", 0)
        patched.setattr("sam2_hf.engine.work_items.reviewed_videos", _once(video_id))
        label("--out", small_set, "--retrack")
    (once,) = videos_of(small_set)["clip00"].masklets
    assert pending_reviews(folder, video_id)

    label("--out", small_set, "--retrack")

    assert videos_of(small_set)["clip00"].masklets == (once,)
    assert len(once.history) == 1
    assert not pending_reviews(folder, video_id)


@pytest.fixture
def decided(tmp_path):
    """A set with one labeled video, and a clip that nothing is tracked in."""
    folder = SetFolder(tmp_path / "set")
    about = ("v", "v", "", (24, 32), 3, None, "phase3")
    masklets = (LabeledMasklet(1), LabeledMasklet(2))
    write_labels(folder.labels("v"), VideoLabels(*about, masklets), [])
    return folder, SimpleNamespace(frames=range(3))


def statuses(folder):
    return [masklet.status for masklet in read_labels(folder.labels("v")).masklets]


def test_a_review_that_cannot_be_applied_is_set_aside_and_the_others_are_applied(decided):
    folder, clip = decided
    beyond = Review(1, "accepted", corrections=(MaskletPrompt(7, ((1.0, 1.0, True),)),))
    gone = Review(9, "accepted")
    add_reviews(folder, "v", [beyond, gone, Review(2, "rejected")])

    with pytest.raises(
        PromptError, match=r"object 1: v has no frame 7\. object 9: v has no object"
    ):
        apply_reviews(folder, "v", clip, AcceptRules())

    assert statuses(folder) == ["review", "rejected"]
    assert not pending_reviews(folder, "v")
    aside = json.loads((folder.root / "reviews/v.failed.json").read_text())
    assert [item["token"] for item in aside] == [beyond.token, gone.token]


def test_labels_that_changed_meanwhile_are_not_overwritten(decided, monkeypatch):
    folder, clip = decided
    add_reviews(folder, "v", [Review(1, "accepted")])

    def late(video, *rest):
        write_labels(folder.labels("v"), replace(video, phase="phase2"), [])
        return video, []

    monkeypatch.setattr(retracking, "_applied", late)
    with pytest.raises(LabelsChangedError, match="Try again"):
        apply_reviews(folder, "v", clip, AcceptRules())

    assert read_labels(folder.labels("v")).phase == "phase2"
    assert pending_reviews(folder, "v")


def test_labels_are_left_to_the_successor_of_a_late_worker(decided):
    folder, clip = decided
    add_reviews(folder, "v", [Review(1, "accepted")])
    claim = folder.claims.take("v")
    (folder.claims.folder / "v.2").write_text("elsewhere\n1\n\n")

    with pytest.raises(LabelsChangedError):
        apply_reviews(folder, "v", clip, AcceptRules(), claim)

    assert statuses(folder) == ["review", "review"]


def _once(video_id):
    answers = iter([[video_id], [video_id], [video_id]])
    return lambda folder: next(answers, [])
