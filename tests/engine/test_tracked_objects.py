"""Tracking by the rules of each phase, and back again."""

import numpy as np
import pytest

from sam2_hf import rle
from sam2_hf.engine.phases import PHASES
from sam2_hf.engine.tracked_objects import ClipToLabel, agreement_backward, joined, track_objects
from sam2_hf.engine.video_labels import MaskletPrompt
from sam2_hf.errors import FrameError
from tests.fakes import SIDE, FakeModel, center_of, fake_clip

LENGTH = 6


def clip(phase="phase3", frames=range(LENGTH), model=None):
    return ClipToLabel(fake_clip(LENGTH), "clip", model or FakeModel(), {}, frames, PHASES[phase])


def click(frame, x=20.0, y=30.0):
    return MaskletPrompt(frame, ((x, y, True),))


def centers(found, object_id=1):
    return {
        tracked.frame: center_of(item.mask())
        for tracked in found.frames
        for item in tracked.objects
        if item.object_id == object_id
    }


@pytest.mark.parametrize("phase", ["phase2", "phase3"])
def test_objects_are_tracked_from_their_prompt_to_both_ends(phase):
    found = track_objects(clip(phase), {1: [click(2)]})

    for frame in range(LENGTH):  # a mask is drawn in quarters of the model's input
        assert centers(found)[frame] == pytest.approx((18 + frame, 30), abs=1)
    assert found.prompts == {1: [click(2)]}


def test_a_part_of_a_video_is_tracked_alone():
    found = track_objects(clip(frames=range(1, 4)), {1: [click(2)]})

    assert sorted(centers(found)) == [1, 2, 3]


def test_in_phase_1_nothing_is_carried_to_other_frames():
    model = FakeModel()

    found = track_objects(clip("phase1", model=model), {1: [click(1), click(4, 40)]})

    assert centers(found) == {1: (20, 30), 4: (40, 30)}
    assert model.remembered == []


def test_in_phase_2_the_tracker_gets_masks_and_clicks_in_phase_3():
    mask_hw = np.zeros((SIDE, SIDE), bool)
    mask_hw[40:60, 40:60] = True
    given = MaskletPrompt(0, mask=rle.to_coco(rle.encode(mask_hw)))
    corrected = MaskletPrompt(0, ((20.0, 30.0, True),), mask=given.mask)

    prompted = [
        {
            found.frames[0].objects[0].object_score
            for found in [track_objects(clip(phase), {1: [item]})]
        }
        for phase in ("phase2", "phase3")
        for item in (given, corrected)
    ]

    assert prompted[:3] == [{10.0}, {10.0}, {10.0}]  # of a given mask
    assert prompted[3] == {1.0}  # of clicks
    over = track_objects(clip("phase2"), {1: [corrected]})
    assert centers(over)[0] == pytest.approx((20, 30), abs=1)  # not the mask


def test_a_prompt_outside_the_clip_is_refused():
    with pytest.raises(FrameError, match="frame 9, but clip has the frames 0 to 5"):
        track_objects(clip(), {1: [click(9)]})


def test_a_masklet_that_is_tracked_back_to_where_it_began_agrees():
    found = track_objects(clip(), {1: [click(0)], 2: [click(2, 30, 40)]})

    assert agreement_backward(clip(), found.frames) == pytest.approx({1: 1, 2: 1}, abs=0.2)


def test_a_masklet_that_jumps_does_not_agree():
    found = track_objects(clip(), {1: [click(0)]})
    other = track_objects(clip(), {1: [click(0, 45, 50)]})
    jumping = [*found.frames[:3], *other.frames[3:]]

    assert agreement_backward(clip(), jumping) == {1: 0}


def test_each_step_is_a_sign_of_progress():
    beats = []
    given = clip()
    own = ClipToLabel(
        given.video, "clip", given.model, {}, given.frames, given.phase, lambda: beats.append(1)
    )

    found = track_objects(own, {1: [click(0)]})

    assert len(beats) == len(found.frames) == LENGTH


def test_objects_of_one_frame_are_put_together_by_number():
    one, two = (
        track_objects(clip(frames=range(1)), {number: [click(0)]}).frames[0] for number in (2, 1)
    )

    assert [item.object_id for item in joined(one, two).objects] == [1, 2]
