"""Masks of boxes, before they become objects."""

import numpy as np
import pytest

from sam2_hf.errors import FrameError, PromptError, SessionError
from sam2_hf.video.box_masks import box_masks
from tests.fakes import fake_session_on

BOXES = [(5, 20, 25, 40), (30, 10, 50, 30)]


def test_a_box_has_the_mask_of_a_new_object_and_the_session_stays_as_it_is():
    session, prompted = fake_session_on(4), fake_session_on(4)
    for object_id, box in enumerate(BOXES):
        prompted.box(2, object_id, box)

    masks_bhw = box_masks(session, 2, BOXES)

    expected = prompted.preview(2).logits_bhw.numpy() > 0
    np.testing.assert_array_equal(masks_bhw, expected)
    assert session.object_ids == ()
    assert not session.undo()


def test_no_boxes_have_no_masks_and_many_are_decoded_in_parts():
    session = fake_session_on(2)

    assert box_masks(session, 0, []).shape == (0, 16, 16)
    assert len(box_masks(session, 0, BOXES * 40)) == 80


def test_boxes_and_frames_that_are_not_there_are_refused():
    session = fake_session_on(2)

    with pytest.raises(PromptError, match="outside"):
        box_masks(session, 0, [(70, 70, 90, 90)])
    with pytest.raises(FrameError):
        box_masks(session, 5, BOXES)
    session.close()
    with pytest.raises(SessionError, match="closed"):
        box_masks(session, 0, BOXES)
