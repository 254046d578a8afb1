"""Going backward from frame 0, before which nothing lies.

Both others visit nothing: sam2_video_predictor.py:572-575, modeling_sam2_video.py:2844-2849.
"""

import pytest
import torch

from tests.fakes import fake_session_on


def tracked(start=0, **options):
    """A session with an object on frame `start`, tracked forward and backward."""
    session = fake_session_on(8, **options)
    session.click(start, 1, (30, 20))
    for direction in ("forward", "backward"):
        list(session.propagate(direction=direction))
    return session


@pytest.mark.parametrize("compat", ["official", "transformers"])
def test_under_the_options_of_the_others_nothing_is_visited(compat):
    session = tracked(compat=compat)

    assert list(session.propagate(0, direction="backward")) == []
    assert list(session.propagate(direction="backward")) == []


def test_an_option_says_whether_frame_0_is_shown():
    shown, skipped = tracked(skip_backward_from_first=False), tracked(skip_backward_from_first=True)

    assert [result.frame for result in shown.propagate(0, direction="backward")] == [0]
    assert list(skipped.propagate(0, direction="backward")) == []
    assert shown.options == tracked().options


@pytest.mark.parametrize("compat", ["sam2_hf", "official", "transformers"])
@pytest.mark.parametrize("start", [0, 3])
def test_neither_way_is_anything_remembered(compat, start):
    """So a later correction of frame 0 is decoded as if nothing had been asked for."""
    session, untouched = tracked(start, compat=compat), tracked(start, compat=compat)
    remembered = list(session._tracker.model.remembered)

    list(session.propagate(0, direction="backward"))

    assert session._tracker.model.remembered == remembered
    one, other = session._tracker.objects[1], untouched._tracker.objects[1]
    assert one.directions == other.directions
    assert one.bank.tracked == other.bank.tracked
    for each in (session, untouched):
        each.click(0, 1, (40, 40))
    assert torch.equal(session.preview(0).logits_bhw, untouched.preview(0).logits_bhw)


@pytest.mark.parametrize("compat", ["sam2_hf", "official", "transformers"])
def test_both_ways_from_frame_1_frame_0_is_tracked_and_remembered(compat):
    session = fake_session_on(8, compat=compat)
    session.click(1, 1, (30, 20))

    frames = [result.frame for result in session.propagate(direction="both")]

    assert frames == [1, 2, 3, 4, 5, 6, 7, 0]
    assert 0 in session._tracker.objects[1].bank.tracked


@pytest.mark.parametrize("compat", ["sam2_hf", "official", "transformers"])
def test_backward_from_another_prompted_frame_that_frame_comes_first(compat):
    session = fake_session_on(8, compat=compat)
    session.click(3, 1, (30, 20))

    found = list(session.propagate(3, direction="backward"))

    assert [result.frame for result in found] == [3, 2, 1, 0]
    assert session._tracker.model.remembered == [(3, 1), (2, 1), (1, 1), (0, 1)]  # 3 once
