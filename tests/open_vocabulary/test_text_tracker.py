"""Tracking by name, with a stand-in for the detector and for the model."""

import numpy as np
import pytest

from sam2_hf.errors import DetectionError, PromptError, SessionError
from sam2_hf.open_vocabulary import text_tracker
from sam2_hf.open_vocabulary.mask_matching import MatchingRules
from sam2_hf.open_vocabulary.text_tracker import TextTracker
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.fakes import FakeModel, center_of, fake_clip, fake_session_on
from tests.stand_in_detector import KnownBoxes

# The fake model finds a disc of 10 pixels in the middle of a box; it moves one pixel a frame.
LEFT, LEFT_LATER, RIGHT = (5, 20, 25, 40), (9, 20, 29, 40), (30, 20, 50, 40)


def centers(result):
    return {object_id: center_of(mask) for object_id, mask in result.masks.items()}


def run(boxes, num_frames=8, text=("dog", "cat"), **options):
    session = fake_session_on(num_frames)
    tracker = TextTracker(session, KnownBoxes(boxes), text, **options)
    return tracker, session, list(tracker.propagate())


def test_the_first_frames_objects_are_those_of_box_prompts():
    tracker, _, results = run({0: {"dog": [LEFT], "cat": [RIGHT]}})
    by_hand = fake_session_on(8)
    by_hand.box(0, 1, LEFT)
    by_hand.box(0, 2, RIGHT)

    assert tracker.names == {1: "dog", 2: "cat"}
    for result, expected in zip(results, by_hand.propagate(), strict=True):
        assert result.names == {1: "dog", 2: "cat"}
        for object_id in (1, 2):
            np.testing.assert_array_equal(result.masks[object_id], expected.masks[object_id])


def test_a_new_instance_joins_with_the_next_id_and_an_old_one_is_not_doubled():
    tracker, _, results = run({0: {"dog": [LEFT]}, 4: {"dog": [LEFT_LATER, RIGHT]}}, every=4)

    assert tracker.names == {1: "dog", 2: "dog"}
    assert [sorted(result.masks) for result in results] == [[1]] * 4 + [[1, 2]] * 4
    assert [result.frame for result in results] == list(range(8))
    assert centers(results[4])[2] == (40, 30)
    assert tracker.prompts[1].frame == 4


def test_an_object_that_joins_is_tracked_as_if_it_had_been_prompted_before():
    _, session, results = run({0: {"dog": [LEFT]}, 4: {"cat": [RIGHT]}}, every=2)
    by_hand = fake_session_on(8)
    by_hand.box(0, 1, LEFT)
    by_hand.box(4, 2, RIGHT)

    for result, expected in zip(results, by_hand.propagate(), strict=True):
        for object_id in result.object_ids:
            row = expected.object_ids.index(object_id)
            mine = result.object_ids.index(object_id)
            np.testing.assert_array_equal(result.logits_bhw[mine], expected.logits_bhw[row])
    assert session.masklet(1).frames == list(range(8))
    assert session.masklet(2).frames == [4, 5, 6, 7]  # where it was seen


def test_the_detector_looks_at_every_kth_frame_only():
    detector = KnownBoxes({0: {"dog": [LEFT]}})

    list(TextTracker(fake_session_on(8), detector, "dog", every=3).propagate())

    assert detector.asked == [(0, ["dog"]), (3, ["dog"]), (6, ["dog"])]


def test_without_a_number_of_frames_it_looks_at_the_first_frame_only():
    detector = KnownBoxes({0: {"dog": [LEFT]}})

    list(TextTracker(fake_session_on(4), detector, "dog", every=None).propagate())

    assert len(detector.asked) == 1


def test_frames_before_the_first_object_have_results_without_masks():
    _, session, results = run({4: {"dog": [LEFT]}}, every=2)

    assert [len(result.masks) for result in results] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert session.masklet(1).frames == [4, 5, 6, 7]


def test_a_video_in_which_nothing_is_found_has_no_objects():
    _, session, results = run({0: {}})

    assert [len(result.masks) for result in results] == [0] * 8
    assert session.object_ids == ()


def test_a_part_with_another_name_is_an_object_of_its_own():
    part = (9, 24, 21, 36)  # the same disc, since the fake looks at the middle alone
    _, _, results = run({0: {"dog": [LEFT, part]}})
    apart = run({0: {"dog": [LEFT], "cat": [(17, 20, 37, 40)]}})[2]

    assert len(results[0].masks) == 1
    assert len(apart[0].masks) == 2


def test_a_run_can_be_continued_where_it_stopped():
    boxes = {0: {"dog": [LEFT]}, 4: {"dog": [RIGHT]}, 6: {"cat": [(5, 45, 20, 60)]}}
    _, _, whole = run(boxes, every=2)
    session, detector = fake_session_on(8), KnownBoxes(boxes)
    first = TextTracker(session, detector, ["dog", "cat"], every=2)
    results = list(first.propagate(limit=5))

    rest = TextTracker(session, detector, ["dog", "cat"], every=2, found=first.prompts)
    results += rest.propagate(start=5)

    assert rest.names == {1: "dog", 2: "dog", 3: "cat"}
    for result, expected in zip(results, whole, strict=True):
        assert result.names == expected.names
        np.testing.assert_array_equal(result.logits_bhw, expected.logits_bhw)


def test_objects_that_were_clicked_are_not_found_again():
    session = fake_session_on(4)
    session.click(0, 7, (15, 30))

    tracker = TextTracker(session, KnownBoxes({0: {"dog": [LEFT, RIGHT]}}), "dog")
    results = list(tracker.propagate())

    assert [sorted(result.masks) for result in results] == [[7, 8]] * 4


def test_an_iterator_of_frames_can_be_tracked_by_name():
    session = Sam2VideoInferenceSession.open(iter(fake_clip(6)), FakeModel())
    detector = KnownBoxes({2: {"dog": [LEFT]}, 4: {"dog": [RIGHT]}})

    results = list(TextTracker(session, detector, "dog", every=2).propagate())

    assert [len(result.masks) for result in results] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("every", [0, -1, 2.5, True, "often"])
def test_a_number_of_frames_that_is_none_is_refused(every):
    with pytest.raises(PromptError, match="every is"):
        TextTracker(fake_session_on(2), KnownBoxes({}), "dog", every=every)


def test_a_detector_that_fails_is_named():
    class Broken:
        def detect(self, image, labels):
            raise ZeroDivisionError("no weights")

    with pytest.raises(DetectionError, match="the detector Broken failed on a picture of 64 x 64"):
        list(TextTracker(fake_session_on(2), Broken(), "dog").propagate())


def test_the_rules_say_what_is_new():
    boxes = {0: {"dog": [LEFT]}, 2: {"dog": [(12, 20, 32, 40)]}}

    assert len(run(boxes, every=2)[0].names) == 1
    assert len(run(boxes, every=2, rules=MatchingRules(iou=0.9, containment=0.95))[0].names) == 2


def test_a_detection_without_a_mask_is_left_out(monkeypatch):
    monkeypatch.setattr(
        text_tracker,
        "box_masks",
        lambda session, frame, boxes: np.zeros((len(boxes), 16, 16), bool),
    )

    tracker, session, results = run({0: {"dog": [LEFT]}}, every=None)

    assert (tracker.names, session.object_ids, len(results)) == ({}, (), 8)


def test_names_are_not_looked_for_in_a_live_stream():
    with pytest.raises(SessionError, match="live stream"):
        TextTracker(fake_session_on(None), KnownBoxes({}), "dog")
