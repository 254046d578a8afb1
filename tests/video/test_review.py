"""Frames that a person should look at."""

import numpy as np
import pytest

from sam2_hf.video.masklet import FrameScore, FrameScores, Masklet, MaskletStore
from sam2_hf.video.review import FrameToReview, ReviewRules, frames_to_review
from sam2_hf.video.storage.record_store import RecordStore

GOOD = FrameScore(iou=0.9, object_score=8.0, area=1000)
OUT = FrameScore(iou=0.1, object_score=-8.0, area=0)
ALL_OFF = ReviewRules(min_iou=0.0, unsure_score=0.0, max_flicker=0, max_area_factor=1e9)
SIZE = (100, 100)


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
    assert listed(masklet(GOOD, *[OUT] * 20)) == {}


@pytest.mark.parametrize("score", [0.4, -0.4])
def test_a_score_near_zero_is_doubtful(score):
    (reasons,) = listed(masklet(GOOD, GOOD, row(object_score=score, area=900))).values()

    assert reasons == (f"object score {score:.2f} leaves open whether it is in view",)


def test_a_short_absence_is_doubtful_and_of_a_long_one_only_the_return():
    assert listed(masklet(GOOD, OUT, OUT, GOOD, *[OUT] * 4, GOOD, GOOD, GOOD, GOOD)) == {
        (1, 1): ("out of view for only 2 frames",),
        (2, 1): ("out of view for only 2 frames",),
        (3, 1): ("in view for only 1 frame",),
        (8, 1): ("in view again after 4 frames; it may be another object",),
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


def drawn(*boxes, object_id=1, first=0, score=8.0, ious=None):
    """A masklet of rectangles, each (left, top, right, bottom), or None where it is out of view."""
    store = MaskletStore(object_id, RecordStore(ram_budget=10**6), SIZE)
    for frame, box in enumerate(boxes, first):
        mask = np.zeros(SIZE, bool)
        if box is not None:
            left, top, right, bottom = box
            mask[top:bottom, left:right] = True
        iou = 0.9 if ious is None else ious[frame - first]
        store.put(frame, mask, iou, score if box is not None else -score)
    return store.masklet


def test_a_mask_that_is_suddenly_elsewhere_may_be_on_another_object():
    track = drawn((0, 0, 10, 10), (4, 0, 14, 10), (70, 60, 80, 70), (71, 60, 81, 70))

    assert listed(track) == {
        (2, 1): ("the mask moved 89 pixels in one frame; it may be on another object",)
    }


def test_a_fast_object_may_move_as_far_as_twice_its_size():
    assert listed(drawn((0, 0, 10, 10), (20, 10, 30, 20), (40, 20, 50, 30))) == {}


def test_objects_that_had_one_mask_and_part_may_be_exchanged():
    left, right = (0, 0, 20, 20), (60, 0, 80, 20)
    middle = (30, 0, 50, 20)
    first = drawn(left, (15, 0, 35, 20), middle, middle, (45, 0, 65, 20), right)
    second = drawn(right, (45, 0, 65, 20), middle, middle, (15, 0, 35, 20), left, object_id=2)

    assert listed(first, second) == {
        (4, 1): ("had the mask of object 2 on frames 2-3; check the ids",),
        (4, 2): ("had the mask of object 1 on frames 2-3; check the ids",),
    }


def test_objects_that_end_as_one_are_doubtful_where_that_begins():
    places = [(0, 0, 20, 20), (10, 0, 30, 20), (20, 0, 40, 20)]
    first = drawn(*places, *[(30, 0, 50, 20)] * 3)
    second = drawn(*[(30, 0, 50, 20)] * 6, object_id=2)

    assert set(listed(first, second)) == {(3, 1), (3, 2)}


def test_copies_of_one_object_are_no_exchange():
    place = (10, 10, 30, 30)

    assert listed(drawn(place, place), drawn(place, place, object_id=2)) == {}


def test_a_predicted_iou_that_sinks_for_good_is_drift_and_one_that_recovers_is_not():
    place = (10, 10, 30, 30)
    good, low = [1.0] + [0.98] * 6, [0.77] * 6

    drifting = listed(drawn(*[place] * 13, ious=good + low))
    recovering = listed(drawn(*[place] * 19, ious=good + low + good[1:]))

    assert list(drifting) == [(11, 1)]
    assert "sank from 0.98 to 0.77" in drifting[11, 1][0]
    assert recovering == {}


def test_what_was_noted_while_tracking_is_listed_with_the_rest():
    note = FrameToReview(1, 1, ("found again",), 0.9)

    found = frames_to_review([masklet(GOOD, row(iou=0.7), GOOD)], noted=[note])

    assert [(doubt.frame, doubt.reasons) for doubt in found] == [
        (1, ("predicted IoU 0.70 is below 0.75", "found again"))
    ]
    assert found[0].severity > 0.9
