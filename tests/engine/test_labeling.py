"""Labeling of a clip: sources, scores, decisions."""

from dataclasses import replace

import pytest

from sam2_hf.engine.labeling import judged, label_clip
from sam2_hf.engine.settings import AcceptRules
from sam2_hf.engine.tracked_objects import track_objects
from sam2_hf.engine.video_labels import ACCEPTED, REVIEW
from tests.engine.test_tracked_objects import click, clip
from tests.fakes import FakeModel


class Clicked:
    """A source that knows where the objects are."""

    def find(self, given_clip, given):
        return track_objects(given_clip, {1: [click(0)], 2: [click(0, 40, 20)]})


def test_masklets_that_reach_the_thresholds_are_accepted():
    low = AcceptRules(predicted_iou=0.0, object_score=0.0, stability=0.5, agreement=0.5)
    high = AcceptRules(predicted_iou=0.99, object_score=0.0, stability=0.0, agreement=0.0)

    accepted, frames = label_clip(clip(), Clicked(), [], low)
    doubtful, _ = label_clip(clip(), Clicked(), [], high)

    assert [masklet.status for masklet in accepted] == [ACCEPTED, ACCEPTED]
    assert [masklet.status for masklet in doubtful] == [REVIEW, REVIEW]
    assert doubtful[0].reasons[0].startswith("predicted IoU 0.0")
    assert len(frames) == 6


class Brief:
    """A source whose object is gone after the first frame."""

    def find(self, given_clip, given):
        hidden = FakeModel(gone_on=range(1, 9))
        return track_objects(replace(given_clip, model=hidden), {1: [click(0)]})


def test_an_object_that_is_shown_on_one_frame_alone_is_not_accepted():
    none = AcceptRules(0, 0, 0, 0)

    (masklet,), _ = label_clip(clip(), Brief(), [], none)
    (single,), _ = label_clip(clip(frames=range(1)), Brief(), [], none)

    assert masklet.reasons == ("it is shown on 1 of 6 frames",)
    assert single.status == ACCEPTED


class Empty:
    """A source whose object is never in view."""

    def find(self, given_clip, given):
        hidden = FakeModel(gone_on=range(9))
        return track_objects(replace(given_clip, model=hidden), {1: [click(0)]})


@pytest.mark.parametrize(("phase", "length"), [("phase3", 6), ("phase3", 1), ("phase1", 1)])
def test_an_object_that_no_frame_shows_is_not_accepted(phase, length):
    (masklet,), _ = label_clip(clip(phase, range(length)), Empty(), [], AcceptRules())

    assert set(masklet.scores.values()) == {None}
    assert masklet.status == REVIEW
    assert masklet.reasons == (f"it is shown on 0 of {length} frames",)


def test_scoring_is_progress():
    beats = []
    given = clip()
    found = Clicked().find(given, [])

    judged(replace(given, beat=lambda: beats.append(1)), found, AcceptRules())
    tracking_back = 6
    assert len(beats) >= tracking_back + 2 * 5  # two objects, five pairs of frames


def test_frames_that_are_not_tracked_cannot_agree():
    (masklet, _), _ = label_clip(clip("phase1"), Clicked(), [], AcceptRules())

    assert masklet.scores["agreement"] is None
