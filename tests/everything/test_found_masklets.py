"""Masklets that are collected frame by frame."""

import numpy as np
import pytest

from sam2_hf import SessionError
from sam2_hf.everything.found_masklets import FoundMasklets


@pytest.fixture
def collected(squares, run_on):
    """Two objects, the first hidden for a while and the second gone after a cut."""
    video = squares(20, {1: (4, 4, 12, range(3, 12)), 2: (30, 24, 14, ())})
    run = run_on(video, end_after=1)
    run.tracker._cuts.begins_scene = lambda frame: frame == 15
    found = FoundMasklets(run.session, run.tracker.state)
    for result in run.tracker.run():
        found.add(result)
    return video, found


def test_objects_that_the_session_has_forgotten_are_kept(collected):
    video, found = collected

    assert found.object_ids == (1, 2, 3, 4)
    assert found.scene_cuts == (15,)
    assert found.visited == [*range(20)]
    assert found.masklet(2).frames == [*range(15)]
    np.testing.assert_array_equal(found.masklet(2).mask(9), video.masks(9)[2])
    assert {9, 10, 11}.isdisjoint(found.masklet(1).frames)  # its track had ended


def test_doubts_of_masklets_and_those_noted_while_tracking_are_listed(collected):
    _, found = collected

    reasons = {(doubt.frame, doubt.object_id): doubt.reasons for doubt in found.frames_to_review()}
    assert reasons[12, 1] == ("found again after 9 frames out of view",)


def test_masks_stay_after_the_session_is_closed(collected):
    _, found = collected

    found.settle()

    assert found.masklet(2).mask(0).any()
    found.close()
    with pytest.raises(SessionError):
        found.masklet(2).mask(0)
