"""What a session refuses, what it survives, and what it holds."""

import gc

import numpy as np
import pytest
import torch

from sam2_hf.errors import (
    FrameError,
    NoPromptError,
    OutputError,
    PromptError,
    SessionError,
    UnknownObjectError,
    VideoError,
)
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.fakes import FakeModel, center_of, fake_clip, fake_session_on, picture
from tests.video.records import full_disk

MASK = np.ones((64, 64), bool)
ON_A_FRAME = {
    "click": lambda session, frame: session.click(frame, 1, (20, 20)),
    "box": lambda session, frame: session.box(frame, 1, (10, 10, 30, 30)),
    "mask": lambda session, frame: session.mask(frame, 1, MASK),
    "preview": lambda session, frame: session.preview(frame),
}


@pytest.mark.parametrize("verb", ON_A_FRAME)
@pytest.mark.parametrize("frame", [-1, 8, 10_000])
def test_a_frame_out_of_range_is_refused_with_the_range(fake_session, verb, frame):
    with pytest.raises(FrameError, match=rf"frame {frame} .*0 to 7"):
        ON_A_FRAME[verb](fake_session, frame)

    assert fake_session.object_ids == ()


@pytest.mark.parametrize("frame", [1.5, "1", None, True])
def test_a_frame_is_a_whole_number(fake_session, frame):
    with pytest.raises(FrameError, match="must be a whole number"):
        fake_session.click(frame, 1, (20, 20))


def test_a_frame_may_be_a_number_of_numpy(fake_session):
    fake_session.click(np.int64(2), 1, (20, 20))

    assert [result.frame for result in fake_session.propagate(limit=2)] == [2, 3]


@pytest.mark.parametrize("verb", ["remove", "masklet", "clear"])
def test_an_unknown_object_is_refused_with_those_that_are_known(fake_session, verb):
    fake_session.click(0, 4, (20, 20))
    arguments = (0, 9) if verb == "clear" else (9,)

    with pytest.raises(UnknownObjectError, match=r"no object 9 in this session\. Objects: 4\."):
        getattr(fake_session, verb)(*arguments)


def test_propagating_without_prompts_is_refused_at_once(fake_session):
    with pytest.raises(NoPromptError, match=r"session\.click"):
        fake_session.propagate()


@pytest.mark.parametrize("shape", [(10, 20), (32, 32), (63, 64)])
def test_a_mask_of_another_size_is_refused(fake_session, shape):
    with pytest.raises(PromptError, match="the picture is 64 x 64"):
        fake_session.mask(0, 1, np.ones(shape, bool))

    assert fake_session.object_ids == ()


@pytest.mark.parametrize("xy", [(90, 20), (20, -9), (1, 2, 3), "here"])
def test_a_bad_click_adds_no_object(fake_session, xy):
    with pytest.raises(PromptError, match="object 1"):
        fake_session.click(0, 1, xy)

    assert fake_session.object_ids == ()


@pytest.mark.parametrize("object_id", [1.5, "cat", None])
def test_a_bad_object_id_is_refused(fake_session, object_id):
    with pytest.raises(PromptError, match="object_id is"):
        fake_session.click(0, object_id, (20, 20))


def test_two_videos_where_one_is_expected_are_refused():
    with pytest.raises(VideoError, match="2 videos"):
        Sam2VideoInferenceSession.open([fake_clip(3), fake_clip(4)], FakeModel())


def test_options_are_given_as_a_whole_or_one_by_one(fake_session):
    with pytest.raises(SessionError, match="either options or single ones"):
        Sam2VideoInferenceSession.open(
            fake_clip(3), FakeModel(), options=fake_session.options, window=20
        )


def live_session(num_frames, **options):
    """A stream with one object that was clicked on its first frame."""
    session = fake_session_on(None, **options)
    session.step(picture(0))
    session.click(0, 1, (20, 20))
    for frame in range(1, num_frames):
        session.step(picture(frame))
    return session


def test_a_stream_is_tracked_step_by_step():
    session = fake_session_on(None)
    before = session.step(picture(0))
    session.click(0, 1, (20, 20))

    found = [session.step(picture(frame)) for frame in (1, 2, 3)]

    assert before.object_ids == ()
    assert [center_of(result.masks[1]) for result in found] == [(21, 20), (22, 20), (23, 20)]
    assert (session.num_frames, session.size) == (None, (64, 64))


def test_objects_and_corrections_join_a_stream():
    session = live_session(6)

    session.click(5, 2, (30, 40))
    session.click(4, 1, (24, 30))
    result = session.step(picture(6))

    assert center_of(result.masks[2]) == (31, 40)
    assert center_of(result.masks[1])[1] > 20


@pytest.mark.parametrize("verb", ON_A_FRAME)
def test_prompts_on_a_frame_that_a_stream_has_dropped_are_refused(verb):
    session = live_session(40, window=16)

    with pytest.raises(FrameError, match=r"frame 23 has been dropped.*24 to 39"):
        ON_A_FRAME[verb](session, 23)

    ON_A_FRAME[verb](session, 24)
    assert session.step(picture(40)).object_ids == (1,)


def test_a_prompt_that_waits_while_its_frame_is_dropped_does_not_stop_the_stream():
    session = fake_session_on(None, window=16)
    session.step(picture(0))
    session.click(0, 1, (20, 20))

    results = [session.step(picture(frame)) for frame in range(1, 40)]

    assert all(result.object_ids == (1,) for result in results)


def test_a_prompt_before_the_first_frame_is_refused():
    with pytest.raises(FrameError, match="out of range"):
        fake_session_on(None).click(0, 1, (20, 20))


def test_stepping_through_a_video_is_refused(fake_session):
    with pytest.raises(SessionError, match=r"use session\.propagate"):
        fake_session.step(picture(0))


def test_propagating_through_a_stream_is_refused():
    with pytest.raises(SessionError, match=r"session\.step"):
        live_session(3).propagate()


def test_a_frame_of_another_size_is_refused_and_the_stream_goes_on():
    session = live_session(3)

    with pytest.raises(FrameError, match="32 x 32"):
        session.step(np.zeros((32, 32, 3), np.uint8))

    assert session.step(picture(3)).frame == 3


def test_an_iterator_is_tracked_to_its_end():
    session = Sam2VideoInferenceSession.open(iter(fake_clip(20)), FakeModel())
    session.click(0, 1, (20, 20))

    frames = [result.frame for result in session.propagate()]

    assert frames == list(range(20))
    assert session.num_frames == 20


def test_a_torn_frame_ends_with_its_name_and_what_came_before_is_kept(tmp_path):
    clip = [*fake_clip(5), tmp_path / "missing.png", picture(6)]
    session = Sam2VideoInferenceSession.open(clip, FakeModel())
    session.click(0, 1, (20, 20))

    with pytest.raises(FrameError, match=r"frame 5 .*missing\.png"):
        list(session.propagate())

    assert session.masklet(1).frames == [0, 1, 2, 3, 4]
    assert [result.frame for result in session.propagate(start=6)] == [6]


def test_stopping_early_loses_nothing(fake_session):
    fake_session.click(0, 1, (20, 20))
    for result in fake_session.propagate():
        if result.frame == 3:
            break
    gc.collect()

    rest = list(fake_session.propagate(start=4))

    whole = fake_session_on(8)
    whole.click(0, 1, (20, 20))
    expected = list(whole.propagate())
    assert fake_session.masklet(1).frames == list(range(8))
    for one, other in zip(rest, expected[4:], strict=True):
        assert torch.equal(one.logits_bhw, other.logits_bhw)
        assert one.object_score == other.object_score


def test_a_full_disk_while_spilling_loses_nothing_and_tracking_goes_on(tmp_path):
    session = fake_session_on(20, ram_budget=0, spill_folder=tmp_path)
    session.click(0, 1, (20, 20))
    session.click(0, 2, (20, 40))
    results = session.propagate()
    done = [next(results).frame for _ in range(5)]
    with full_disk(room=10):
        done.append(next(results).frame)
        with pytest.raises(OutputError, match="Nothing is lost"):
            next(results)

    rest = [result.frame for result in session.propagate(start=6)]

    assert done + rest == list(range(20))
    assert session.masklet(1).frames == session.masklet(2).frames == list(range(20))
    assert center_of(session.masklet(2).mask(5)) == (25, 40)
    assert session.bytes_held().ram == 0


def test_on_a_full_disk_the_frame_itself_is_tracked_and_kept(tmp_path):
    session = fake_session_on(8, ram_budget=0, spill_folder=tmp_path)
    session.click(0, 1, (20, 20))
    with full_disk(room=10):
        for frame in range(8):
            with pytest.raises(OutputError):
                list(session.propagate(start=frame, limit=1))

    assert session.masklet(1).frames == list(range(8))
    assert center_of(session.masklet(1).mask(7)) == (27, 20)


def test_a_closed_session_says_so(fake_session):
    fake_session.click(0, 1, (20, 20))
    list(fake_session.propagate())
    masklet = fake_session.masklet(1)

    fake_session.close()
    fake_session.close()

    with pytest.raises(SessionError, match="is closed"):
        masklet.mask(3)


def test_a_session_closes_itself(tmp_path):
    with fake_session_on(8, ram_budget=0, spill_folder=tmp_path) as session:
        session.click(0, 1, (20, 20))
        list(session.propagate())
        assert list(tmp_path.iterdir())

    assert not list(tmp_path.iterdir())


def test_progress_is_shown_on_request(fake_session, capsys):
    fake_session.click(0, 1, (20, 20))

    list(fake_session.propagate())
    assert capsys.readouterr().err == ""
    list(fake_session.propagate(progress=True))

    assert "8/8" in capsys.readouterr().err


def test_a_session_tells_what_it_is_about(fake_session):
    assert (fake_session.num_frames, fake_session.size) == (8, (64, 64))
    assert fake_session.frames.picture(3)[0, 0, 0] == 3
    assert fake_session.options.keep == "all"
    assert fake_session.object_ids == ()
