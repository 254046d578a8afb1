"""Labeling of a clip: sources, scores, decisions."""

from sam2_hf.engine.labeling import label_clip
from sam2_hf.engine.settings import AcceptRules
from sam2_hf.engine.tracked_objects import track_objects
from sam2_hf.engine.video_labels import ACCEPTED, REVIEW
from tests.engine.test_tracked_objects import click, clip


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
    assert doubtful[0].reasons[0].startswith("predicted iou 0.0")
    assert len(frames) == 6


def test_frames_that_are_not_tracked_cannot_agree():
    (masklet, _), _ = label_clip(clip("phase1"), Clicked(), [], AcceptRules())

    assert masklet.scores["agreement"] is None
