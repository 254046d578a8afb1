"""Frames that a person should look at."""

import pytest

from sam2_hf.video.masklet import FrameScore, FrameScores, Masklet
from sam2_hf.video.review import ReviewRules, frames_to_review
from sam2_hf.video.storage.record_store import RecordStore

GOOD = FrameScore(iou=0.9, object_score=8.0, area=1000)
OUT = FrameScore(iou=0.1, object_score=-8.0, area=0)
ALL_OFF = ReviewRules(min_iou=0.0, unsure_score=0.0, max_flicker=0, max_area_factor=1e9)


def masklet(*rows, object_id=1, first=0):
    scores = FrameScores()
    for frame, row in enumerate(rows, first):
        scores[frame] = row
    return Masklet(object_id, RecordStore(ram_budget=0), scores, (100, 100))


def row(**changes):
    return GOOD._replace(**changes)


def listed(*masklets, **options):
    found = frames_to_review(masklets, one_per_run=False, **options)
    return {(one.frame, one.object_id): one.reasons for one in found}


def test_a_good_track_has_nothing_to_review():
    assert frames_to_review([masklet(*[GOOD] * 10)]) == []
    assert frames_to_review([masklet()]) == []


def test_a_low_predicted_iou_in_view_is_doubtful():
    assert listed(masklet(GOOD, row(iou=0.7), row(iou=0.76))) == {
        (1, 1): ("predicted IoU 0.70 is below 0.75",)
    }


def test_an_object_out_of_view_is_not_doubtful_for_its_iou_or_empty_mask():
    assert listed(masklet(GOOD, *[OUT] * 20, GOOD)) == {}


@pytest.mark.parametrize("score", [0.4, -0.4])
def test_a_score_near_zero_is_doubtful(score):
    (reasons,) = listed(masklet(GOOD, GOOD, row(object_score=score, area=900))).values()

    assert reasons == (f"object score {score:.2f} leaves open whether it is in view",)


def test_a_short_absence_is_doubtful_and_a_long_one_is_not():
    assert listed(masklet(GOOD, OUT, OUT, GOOD, *[OUT] * 4, GOOD, GOOD, GOOD, GOOD)) == {
        (1, 1): ("out of view for only 2 frames",),
        (2, 1): ("out of view for only 2 frames",),
        (3, 1): ("in view for only 1 frame",),
    }


def test_absence_at_the_beginning_or_end_of_a_track_is_not_a_flicker():
    assert listed(masklet(OUT, GOOD, GOOD, GOOD, GOOD, OUT)) == {}


def test_frames_that_were_not_tracked_part_the_track():
    scores = FrameScores()
    for frame, one in {0: GOOD, 1: OUT, 5: GOOD, 6: row(area=10), 9: row(area=5000)}.items():
        scores[frame] = one

    found = listed(Masklet(1, RecordStore(ram_budget=0), scores, (100, 100)))

    assert found == {(6, 1): ("area went from 1000 to 10 pixels in one frame",)}


@pytest.mark.parametrize(
    ("area", "doubtful"), [(501, False), (499, True), (1999, False), (2001, True)]
)
def test_the_later_of_two_areas_a_factor_apart_is_doubtful(area, doubtful):
    assert ((1, 1) in listed(masklet(GOOD, row(area=area)))) is doubtful


def test_areas_do_not_matter_while_the_object_is_out_of_view():
    specks = [OUT._replace(area=area) for area in (3, 900, 2, 50)]

    assert listed(masklet(GOOD, *specks)) == {}


def test_an_empty_mask_in_view_is_doubtful():
    assert listed(masklet(GOOD, row(area=0))) == {
        (1, 1): ("the mask is empty although the object is in view",)
    }


def test_prompted_frames_are_not_listed_for_their_object():
    bad = row(iou=0.2)

    found = listed(masklet(bad), masklet(bad, object_id=2), prompted={(0, 2)})

    assert set(found) == {(0, 1)}


def test_the_worst_comes_first_and_several_reasons_are_worse_than_one():
    track = [GOOD, row(iou=0.7), GOOD, row(iou=0.2), GOOD, row(iou=0.2, object_score=0.1)]

    found = frames_to_review([masklet(*track)])

    assert [one.frame for one in found] == [5, 3, 1]
    assert len(found[0].reasons) == 2
    assert found[0].severity > found[1].severity > found[2].severity > 0


def test_of_a_run_of_doubtful_frames_the_worst_is_proposed():
    ious = [0.9, 0.7, 0.3, 0.6, 0.9, 0.5, 0.74]
    track = masklet(*(row(iou=iou) for iou in ious))

    assert [one.frame for one in frames_to_review([track])] == [2, 5]
    assert len(frames_to_review([track], one_per_run=False)) == 5


def test_a_prompted_frame_parts_a_run():
    track = masklet(*[row(iou=0.5)] * 5)

    assert [one.frame for one in frames_to_review([track], prompted={(2, 1)})] == [0, 3]


def test_every_rule_can_be_loosened():
    bad = [GOOD, row(iou=0.1), OUT, row(object_score=0.1), row(area=10)]

    assert listed(masklet(*bad), rules=ALL_OFF) == {}
    assert len(listed(masklet(*bad))) == 4
