"""Options that give up accuracy for speed: only if asked for, and each does what it says."""

import copy
import gc
import pickle
from weakref import ref

import pytest
import torch

from sam2_hf.errors import SessionError
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.frame_encoder import sized_model
from sam2_hf.video.session_options import SessionOptions
from tests.drawn_video import drawn_video_model, noise_clip, own_video_model
from tests.fakes import FakeModel, fake_session_on, picture
from tests.small_checkpoint import SIDE

SMALL = SIDE // 2
CLIP = noise_clip(6)


@pytest.mark.parametrize(
    ("name", "value"), [("every_kth_memory", 2), ("image_size", 512), ("latency_budget", 0.1)]
)
def test_accuracy_is_only_given_up_where_that_is_asked_for(name, value):
    with pytest.raises(SessionError, match=f"{name} gives up accuracy .* approximate=True"):
        SessionOptions(**{name: value})

    assert getattr(SessionOptions(approximate=True, **{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("every_kth_memory", 0),
        ("image_size", 100),
        ("image_size", 0),
        ("image_size", 512.5),
        ("image_size", True),
        ("latency_budget", 0),
        ("latency_budget", float("nan")),
        ("latency_budget", True),
        ("latency_budget", "fast"),
    ],
)
def test_an_impossible_value_is_refused_by_name(name, value):
    with pytest.raises(SessionError, match=name):
        SessionOptions(approximate=True, **{name: value})


def test_a_policy_that_follows_every_frame_needs_every_frame():
    with pytest.raises(SessionError, match="every_kth_memory cannot be combined"):
        SessionOptions(approximate=True, every_kth_memory=2, memory_policy="samurai")


def test_compiled_graphs_remember_every_frame():
    with pytest.raises(SessionError, match="every_kth_memory cannot be combined with compile=True"):
        SessionOptions(approximate=True, every_kth_memory=2, compile=True)


def test_only_every_third_frame_leaves_a_memory():
    model = FakeModel()
    with fake_session_on(12, model, approximate=True, every_kth_memory=3) as session:
        session.click(0, 1, (15, 10))
        results = list(session.propagate())
        bank = session._tracker.objects[1].bank

        assert bank.tracked == [3, 6, 9]
        assert [frame for frame, _ in model.remembered] == [0, 3, 6, 9]
        assert list(session.masklet(1).frames) == list(range(12))
        # the prompted frame and those of the last six that have one
        assert round(100 * results[11].iou[1]) == 1 + 2


def test_with_an_equal_stride_as_many_memories_are_read_as_ever():
    options = {"approximate": True, "every_kth_memory": 2, "memory_temporal_stride_for_eval": 2}
    with fake_session_on(20, **options) as session:
        session.click(0, 1, (15, 10))
        results = list(session.propagate())

    assert round(100 * results[19].iou[1]) == 1 + 6


def test_a_prompt_between_multiples_leaves_as_many_memories_for_a_stride():
    options = {"approximate": True, "every_kth_memory": 2, "memory_temporal_stride_for_eval": 2}
    with fake_session_on(20, **options) as session:
        session.click(1, 1, (15, 10))
        results = list(session.propagate())

        assert session._tracker.objects[1].bank.tracked == list(range(2, 20, 2))
    assert round(100 * results[-1].iou[1]) == 1 + 6


@pytest.mark.parametrize("numbers", [range(1, 40, 2), range(0, 80, 4), range(3, 60, 3)])
def test_in_a_stream_with_missing_numbers_tracked_frames_are_counted(numbers):
    with fake_session_on(None, approximate=True, every_kth_memory=2) as stream:
        first, *others = numbers
        stream.step(picture(first), frame=first)
        stream.click(first, 1, (15, 10))
        kept = {frame for n in others if (frame := step_remembers(stream, n)) is not None}

    assert kept == set(numbers[2::2])


def step_remembers(stream, frame):
    stream.step(picture(frame), frame=frame)
    return frame if stream._tracker.objects[1].bank.remembers(frame) else None


def copied(session, folder):
    return copy.deepcopy(session)


def saved(session, folder):
    session.save(folder / "job")
    return Sam2VideoInferenceSession.load(folder / "job", None, session.model)


def undone(session, folder):
    session.click(7, 1, (15, 10))
    session.undo()
    return session


@pytest.mark.parametrize("again", [copied, saved, undone])
def test_counting_continues_in_a_session_that_was_copied_saved_or_undone(again, tmp_path):
    model = drawn_video_model()
    stream = Sam2VideoInferenceSession.open(None, model, approximate=True, every_kth_memory=3)
    kept = []
    for place, number in enumerate((1, 3, 5, 7, 9, 11, 13)):
        if number == 9:
            stream = again(stream, tmp_path)
        stream.step(CLIP[place % len(CLIP)], frame=number)
        if number == 1:
            stream.click(1, 1, (20, 20))
        if stream._tracker.objects[1].bank.remembers(number):
            kept.append(number)

    assert kept == [7, 13]


@pytest.mark.parametrize("compat", ["sam2_hf", "official"])
def test_a_deleted_prompt_leaves_no_memory_where_frames_leave_none(compat):
    options = {"compat": compat, "approximate": True, "every_kth_memory": 4}
    with fake_session_on(12, **options) as fresh, fake_session_on(12, **options) as session:
        for each in (fresh, session):
            each.click(0, 1, (15, 10))
        session.click(3, 1, (15, 40))
        list(session.propagate())
        session.clear(3, 1)
        expected = [result.logits_bhw for result in fresh.propagate()]
        found = [result.logits_bhw for result in session.propagate()]

        assert session._tracker.objects[1].bank.tracked == [4, 8]
        assert all(map(torch.equal, found, expected))


def test_tracking_from_a_multiple_after_a_deleted_prompt_leaves_its_memory():
    with fake_session_on(12, approximate=True, every_kth_memory=4) as session:
        session.click(0, 1, (15, 10))
        session.click(3, 1, (15, 40))
        list(session.propagate())
        session.clear(3, 1)
        list(session.propagate(start=4))

        assert session._tracker.objects[1].bank.tracked == [3, 4, 8]


def test_a_correction_starts_from_the_mask_of_a_frame_without_memory():
    def shown(every):
        with fake_session_on(8, approximate=True, every_kth_memory=every) as session:
            session.click(0, 1, (15, 10))
            list(session.propagate())
            session.click(3, 1, (40, 40))
            return session.preview(3).logits_bhw

    with fake_session_on(8) as session:
        session.click(3, 1, (40, 40))
        alone = session.preview(3).logits_bhw
    assert torch.equal(shown(8), shown(1))
    assert not torch.equal(shown(8), alone)


def test_undo_brings_back_the_mask_of_a_frame_without_memory():
    with fake_session_on(8, approximate=True, every_kth_memory=8) as session:
        session.click(0, 1, (15, 10))
        list(session.propagate())
        bank = session._tracker.objects[1].bank
        before = bank.output(3).logits_1hw
        session.click(3, 1, (40, 40))
        list(session.propagate(start=3, limit=1))
        session.undo()

        assert torch.equal(bank.output(3).logits_1hw, before)
        assert bank.tracked == []


def small_session(clip=CLIP, model=None, **changes):
    options = {"approximate": True, "image_size": SMALL, **changes}
    session = Sam2VideoInferenceSession.open(clip, model or drawn_video_model(), **options)
    session.click(0, 1, (20, 20))
    return session


def logits(results):
    return [result.logits_bhw for result in results]


def test_a_session_may_have_a_smaller_input_and_the_model_keeps_its_own():
    model = drawn_video_model()
    with small_session() as session:
        results = list(session.propagate())

        assert session.model.image_size == SMALL
        assert session.model.memory_encoder is model.memory_encoder
    assert model.image_size == SIDE
    assert results[1].logits_bhw.shape[-1] == SMALL // 4
    assert results[1].masks[1].shape == CLIP.shape[1:3]


def test_it_gives_what_a_model_made_for_that_size_gives():
    model = copy.deepcopy(drawn_video_model()).at_image_size(SMALL)
    with Sam2VideoInferenceSession.open(CLIP, model) as session:
        session.click(0, 1, (20, 20))
        expected = logits(session.propagate())

    with small_session() as session:
        assert all(map(torch.equal, logits(session.propagate()), expected))


def test_sessions_of_one_model_share_its_smaller_twin():
    options = SessionOptions(approximate=True, image_size=SMALL)
    model = drawn_video_model()

    assert sized_model(model, options) is sized_model(model, options)
    assert sized_model(model, SessionOptions()) is model


def test_a_session_of_another_size_can_be_used_once_its_model_is_in_eval_mode():
    model = own_video_model().train()
    session = small_session(model=model)
    with pytest.raises(SessionError, match=r"Call model\.eval"):
        session.preview(0)

    model.eval()

    assert len(list(session.propagate())) == len(CLIP)


def test_a_session_of_another_size_refuses_a_model_that_was_put_in_train_mode():
    model = own_video_model()
    session = small_session(model=model)
    next(session.propagate())

    model.train()

    with pytest.raises(SessionError, match=r"Call model\.eval"):
        list(session.propagate())
    with pytest.raises(SessionError, match=r"Call model\.eval"):
        small_session(model=model).preview(0)


def test_the_model_of_a_session_of_another_size_may_be_put_in_eval_mode_itself():
    session = small_session(model=own_video_model().train())
    session.model.eval()

    assert len(list(session.propagate())) == len(CLIP)


def test_a_number_of_memories_that_is_set_later_is_used_at_another_size():
    model = own_video_model()
    session = small_session(model=model)
    whole = logits(session.propagate())
    model.num_maskmem = 3
    few = logits(session.propagate())
    smaller = copy.deepcopy(model).at_image_size(SMALL)
    with Sam2VideoInferenceSession.open(CLIP, smaller) as expected:
        expected.click(0, 1, (20, 20))
        assert all(map(torch.equal, few, logits(expected.propagate())))
    assert not torch.equal(few[5], whole[5])


def test_a_part_that_is_exchanged_later_is_used_at_another_size():
    model = own_video_model()
    session = small_session(model=model)
    model.memory_attention = copy.deepcopy(model.memory_attention)

    assert session.model.memory_attention is model.memory_attention
    assert session.model.image_size == SMALL


def test_a_model_and_its_twin_are_freed():
    model = own_video_model()
    session = small_session(model=model)
    gone = [ref(model), ref(session.model)]
    session.close()
    del model, session
    gc.collect()

    assert [found() for found in gone] == [None, None]


def test_it_is_saved_loaded_and_unpickled_with_its_size(tmp_path):
    with small_session() as session:
        expected = logits(session.propagate())
    session = small_session()
    first = logits(session.propagate(limit=3))
    session.save(tmp_path / "job")
    text = pickle.dumps(session)

    loaded = Sam2VideoInferenceSession.load(tmp_path / "job", CLIP, drawn_video_model())
    unpickled = pickle.loads(text)
    unpickled.use_model(drawn_video_model())

    for again in (loaded, unpickled):
        found = first + logits(again.propagate(start=3))
        assert all(map(torch.equal, found, expected))


def test_the_size_of_graphs_cannot_be_changed():
    with pytest.raises(SessionError, match="image_size=32 is for PyTorch models"):
        fake_session_on(3, approximate=True, image_size=32)
