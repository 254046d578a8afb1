"""Prompts are stored by the verbs, answered when somebody looks, and remembered by `propagate`."""

import numpy as np
import pytest
import torch

from sam2_hf.errors import FrameError
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.drawn_video import drawn_video_model, noise_clip
from tests.fakes import RADIUS, ROUND, FakeModel, center_of, disc_logits, fake_session_on, picture


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

    assert {number: center_of(mask) for number, mask in shown.masks.items()} == {
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
    fake_session._tracker.objects[1].state(0).queued[-1].answer.answer.logits_1hw.fill_(1e6)
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
        torn.setattr(tracker.encoder, "encode", refuse)
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


def corrected_without_the_other(look=None):
    """Track, correct frame 3, take back the only other prompt, go on from there."""
    session = drawn_session()
    session.click(0, 1, (20, 20))
    logits_of(session, limit=5)
    session.click(3, 1, (40, 30), positive=False)
    if look is not None:
        look(session)
    session.clear(0, 1)
    return session


LOOKS = {
    "preview": lambda session: session.preview(3),
    "masklet": lambda session: session.masklet(1).mask(3),
    "review": lambda session: session.frames_to_review(),
    "output": lambda session: session.get_output(0, 2, "pred_masks", is_conditioning_frame=False),
}


@pytest.mark.parametrize("look", LOOKS)
def test_looking_before_a_clear_changes_nothing(look):
    """A correction is decoded with the memories of its own moment, not those that are left."""
    looked_at, unseen = corrected_without_the_other(LOOKS[look]), corrected_without_the_other()

    assert all(map(torch.equal, logits_of(looked_at, start=3), logits_of(unseen, start=3)))


@pytest.mark.parametrize("order", ["save first", "clear first"])
def test_saving_changes_nothing_and_saves_what_was_said_when(order, tmp_path):
    unseen = corrected_without_the_other()
    saved = corrected_without_the_other(
        (lambda session: session.save(tmp_path)) if order == "save first" else None
    )
    if order == "clear first":
        saved.save(tmp_path)
    loaded = Sam2VideoInferenceSession.load(tmp_path, noise_clip(), drawn_video_model())
    if order == "save first":
        loaded.clear(0, 1)

    expected = logits_of(unseen, start=3)
    assert all(map(torch.equal, logits_of(saved, start=3), expected))
    assert all(map(torch.equal, logits_of(loaded, start=3), expected))


@pytest.mark.parametrize("looks", [True, False])
def test_an_undo_brings_back_prompts_as_they_were_decoded_then(looks):
    """Not as they would be with what has been tracked since."""
    session, untouched = drawn_session(), drawn_session()
    for each in (session, untouched):
        each.click(0, 1, (20, 20))
        logits_of(each, limit=6)
        each.click(5, 1, (30, 30))
        if looks:
            each.preview(5)
    answer = untouched.preview(5).logits_bhw
    session.click(2, 1, (40, 10))
    logits_of(session)
    session.undo()

    assert torch.equal(session.preview(5).logits_bhw, answer)


def test_what_is_forgotten_after_a_call_is_read_by_it_all_the_same():
    session, expected = drawn_session(), drawn_session()
    for each in (session, expected):
        each.click(0, 1, (20, 20))
        logits_of(each, limit=6)
        each.click(5, 1, (30, 30))
    answer = expected.preview(5).logits_bhw

    for frame in range(5):
        session._tracker.objects[1].bank.forget(frame)

    assert torch.equal(session.preview(5).logits_bhw, answer)


def test_what_was_taken_down_for_an_answer_is_let_go_with_it():
    session = corrected_without_the_other()
    session.preview(3)

    (queued,) = session._tracker.objects[1].state(3).queued
    assert queued.memory_inputs is queued.previous_output is None


def stream_with_a_click(frames, look=None):
    """A stream of which frame 1 has two clicks, the first of them remembered, and a new object."""
    session = Sam2VideoInferenceSession.open(None, drawn_video_model(), window=16)
    for frame in frames[:2]:
        session.step(frame)
        session.click(session.frames.num_received - 1, 1, (20, 20))
    session.click(1, 2, (50, 20))
    if look is not None:
        look(session)
    session.clear(1, 1)
    return session


def test_saving_a_stream_remembers_nothing_and_keeps_the_frames_that_wait(tmp_path):
    frames = list(noise_clip())
    unseen = stream_with_a_click(frames)
    saved = stream_with_a_click(frames, lambda session: session.save(tmp_path))
    loaded = Sam2VideoInferenceSession.load(tmp_path, None, drawn_video_model())
    loaded.clear(1, 1)

    for frame in frames[2:]:
        expected = unseen.step(frame).logits_bhw
        assert torch.equal(saved.step(frame).logits_bhw, expected)
        assert torch.equal(loaded.step(frame).logits_bhw, expected)


def test_a_saved_frame_of_a_stream_is_dropped_when_it_would_have_been(tmp_path):
    frames = list(noise_clip())
    stream_with_a_click(frames).save(tmp_path)
    loaded = Sam2VideoInferenceSession.load(tmp_path, None, drawn_video_model())
    for _ in range(15):
        loaded.step(frames[0])
    loaded.click(1, 2, (30, 20))
    loaded.step(frames[0])

    with pytest.raises(FrameError, match="dropped"):
        loaded.click(1, 2, (30, 20))


@pytest.mark.parametrize("looks", [True, False])
def test_an_undo_on_a_frame_that_a_stream_has_dropped_brings_nothing_that_fails(looks):
    frames = list(noise_clip())
    session = stream_with_a_click(frames, (lambda one: one.preview(1)) if looks else None)
    for _ in range(20):
        session.step(frames[0])

    assert session.undo()  # the clear of frame 1

    assert 1 not in session._tracker.objects[1].queued
    session.step(frames[0])


def test_an_undo_keeps_prompts_for_frames_that_a_stream_has_yet_to_bring():
    session = fake_session_on(None)
    session.step(picture(0))
    session.put_prompts(3, 1, session.prompts_of(0, 1).with_box((10, 10, 30, 30)))
    session.click(0, 1, (20, 20))

    session.undo()
    found = [session.step(picture(frame)) for frame in (1, 2, 3)]

    assert [result.object_ids for result in found] == [(), (), (1,)]
