"""Prompts are stored by the verbs, answered when somebody looks, and remembered by `propagate`."""

import numpy as np
import pytest
import torch

from sam2_hf.errors import FrameError
from sam2_hf.video.session import Sam2VideoInferenceSession
from tests.drawn_video import drawn_video_model, noise_clip
from tests.fakes import RADIUS, ROUND, FakeModel, centre_of, disc_logits, fake_session_on


def drawn_session(**options):
    """A session of a real small model, where every answer depends on all that was read."""
    return Sam2VideoInferenceSession.open(noise_clip(), drawn_video_model(), **options)


def logits_of(session, **arguments):
    return [result.logits_bhw for result in session.propagate(**arguments)]


def disc(x, y, radius=RADIUS):
    return disc_logits(torch.tensor([[x, y, radius]]))[:, 0]


def kept(logits):
    """What the fake model keeps of earlier logits, which it is shown within bounds."""
    return ROUND * logits.clamp(-32, 32)


def test_adding_a_prompt_runs_no_model():
    """The original runs it as a side effect: sam2_video_predictor.py:161-293."""
    model = FakeModel()
    session = fake_session_on(8, model)

    session.click(0, 1, (20, 20))
    session.box(1, 2, (10, 10, 30, 30))
    session.mask(2, 3, np.ones((64, 64), bool))

    assert model.encoded == model.remembered == []


def test_a_preview_answers_and_remembers_nothing(fake_session):
    fake_session.click(0, 1, (20, 20))
    fake_session.click(0, 2, (40, 40))

    shown = fake_session.preview(0)

    assert {number: centre_of(mask) for number, mask in shown.masks.items()} == {
        1: (20, 20),
        2: (40, 40),
    }
    assert fake_session._tracker.model.remembered == []


def test_previews_change_nothing_that_propagate_gives():
    shown, unseen = drawn_session(), drawn_session()
    for session, looks in ((shown, True), (unseen, False)):
        for xy in ((20, 20), (40, 30), (5, 5)):
            session.click(0, 1, xy)
            if looks:
                session.preview(0)
                session.preview(0)
        session.box(3, 2, (10, 10, 30, 30))
        if looks:
            session.preview(3)
            session.preview(5)

    assert all(map(torch.equal, logits_of(shown), logits_of(unseen)))


def test_previews_of_a_correction_change_nothing_either():
    shown, unseen = drawn_session(), drawn_session()
    for session in (shown, unseen):
        session.click(0, 1, (20, 20))
        logits_of(session)
        session.click(4, 1, (30, 30))
        if session is shown:
            session.preview(4)
        session.click(4, 1, (5, 5), positive=False)

    assert all(map(torch.equal, logits_of(shown), logits_of(unseen)))


def test_two_calls_are_two_rounds_and_the_second_starts_from_the_first(fake_session):
    fake_session.click(0, 1, (20, 20))
    fake_session.click(0, 1, (30, 20))

    shown = fake_session.preview(0).logits_bhw

    first, second = disc(20.0, 20.0), disc(25.0, 20.0)
    torch.testing.assert_close(shown, second + kept(first))


def test_several_clicks_in_one_call_are_one_round(fake_session):
    fake_session.click(0, 1, [(20, 20), (30, 20), (5, 5)], positive=[True, True, False])

    shown = fake_session.preview(0).logits_bhw

    torch.testing.assert_close(shown, disc(25.0, 20.0, RADIUS - 1))


def test_rounds_start_afresh_where_earlier_masks_are_not_shown():
    session = fake_session_on(8, prev_sam_mask_logits=False)
    session.click(0, 1, (20, 20))
    session.click(0, 1, (30, 20))

    torch.testing.assert_close(session.preview(0).logits_bhw, disc(25.0, 20.0))


def test_earlier_masks_are_shown_within_bounds(fake_session):
    fake_session.mask(0, 1, np.ones((64, 64), bool))
    fake_session.preview(0)
    fake_session._tracker.objects[1].rounds[0][-1].answer.answer.logits_1hw.fill_(1e6)
    fake_session.click(0, 1, (20, 20))

    torch.testing.assert_close(fake_session.preview(0).logits_bhw, disc(20.0, 20.0) + 32 * ROUND)


def test_a_correction_starts_from_what_was_tracked_and_reads_memories(fake_session):
    fake_session.click(0, 1, (20, 20))
    tracked = logits_of(fake_session)

    fake_session.click(4, 1, (40, 40))
    corrected = fake_session.preview(4)

    torch.testing.assert_close(corrected.logits_bhw, disc(40.0, 40.0) + kept(tracked[4]))
    assert corrected.object_score[1] == 1 + 4  # pointers of frames 0 to 3


def test_a_first_prompt_on_a_frame_reads_no_memory(fake_session):
    fake_session.click(0, 1, (20, 20))
    logits_of(fake_session, limit=3)

    fake_session.click(6, 1, (40, 40))

    assert fake_session.preview(6).object_score[1] == 1


def test_a_correction_looks_back_as_the_tracking_did_that_it_corrects(
    fake_session,
):
    fake_session.click(7, 1, (40, 20))
    logits_of(fake_session, direction="backward")

    fake_session.click(4, 1, (40, 40))

    assert fake_session.preview(4).object_score[1] == 1 + 3  # pointers of frames 7 to 5


def test_a_mask_is_the_answer_and_a_click_afterwards_starts_from_it(fake_session):
    given = np.zeros((64, 64), bool)
    given[16:32, 16:32] = True

    fake_session.mask(0, 1, given)
    shown = fake_session.preview(0)
    fake_session.click(0, 1, (40, 40))

    assert np.array_equal(shown.logits_bhw[0] > 0, given[2::4, 2::4])
    expected = disc(40.0, 40.0) + kept(shown.logits_bhw)
    torch.testing.assert_close(fake_session.preview(0).logits_bhw, expected)


def test_answers_on_a_frame_are_remembered_in_one_call():
    model = FakeModel()
    session = fake_session_on(8, model)
    for number in (1, 2, 3):
        session.click(0, number, (20, 10 * number))
    session.click(2, 2, (20, 40))

    next(session.propagate())

    assert model.remembered == [(0, 3), (2, 1)]


def test_everything_is_remembered_once():
    model = FakeModel()
    session = fake_session_on(8, model)
    session.click(0, 1, (20, 20))

    next(session.propagate())
    next(session.propagate())

    assert model.remembered == [(0, 1)]


def test_an_unreadable_frame_loses_no_prompt(fake_session, monkeypatch):
    fake_session.click(0, 1, (20, 20))
    fake_session.click(0, 1, (30, 20))
    tracker = fake_session._tracker
    with monkeypatch.context() as torn:
        torn.setattr(tracker, "image_features", refuse)
        with pytest.raises(FrameError, match="torn"):
            fake_session.preview(0)

    shown = fake_session.preview(0).logits_bhw

    torch.testing.assert_close(shown, disc(25.0, 20.0) + kept(disc(20.0, 20.0)))


def refuse(frame):
    raise FrameError(f"frame {frame} is torn")


@pytest.mark.parametrize("binarize", [True, False])
def test_prompted_frames_are_remembered_as_seen_or_by_probabilities(monkeypatch, binarize):
    model, asked = FakeModel(), []
    encode = model.encode_memory
    monkeypatch.setattr(
        model,
        "encode_memory",
        lambda *args, binarize: asked.append(binarize) or encode(*args, binarize=binarize),
    )
    session = fake_session_on(8, model, binarize_mask_from_pts_for_mem_enc=binarize)
    session.click(0, 1, (20, 20))

    list(session.propagate(limit=2))

    assert asked == [binarize, False]  # the prompted frame, then the tracked one


def test_previewing_a_frame_without_objects_shows_none(fake_session):
    assert fake_session.preview(3).object_ids == ()


def test_previewing_a_tracked_frame_shows_what_was_tracked(fake_session):
    fake_session.click(0, 1, (20, 20))
    tracked = list(fake_session.propagate())

    shown = fake_session.preview(5)

    assert torch.equal(shown.logits_bhw, tracked[5].logits_bhw)
    assert (shown.iou, shown.object_score) == (tracked[5].iou, tracked[5].object_score)


def test_a_preview_leaves_out_objects_that_were_not_tracked_there(fake_session):
    fake_session.click(0, 1, (20, 20))
    list(fake_session.propagate())
    fake_session.click(2, 2, (40, 40))

    assert fake_session.preview(5).object_ids == (1,)
    assert fake_session.preview(2).object_ids == (1, 2)
    assert fake_session.preview(2).prompted == {2}
