from unittest.mock import Mock

import pytest
import torch

from sam2_hf.errors import NoPromptError, OutputError, SessionError
from sam2_hf.frames.open import open_frames
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.memory_bank import MEMORY
from sam2_hf.video.propagation import FrameRequest
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.tracker import Tracker
from tests.fakes import SIDE, FakeModel, center_of, fake_clip, fake_session_on
from tests.video.records import full_disk


def tracker_of(model=None, **options):
    frames = open_frames(fake_clip(8), image_size=SIDE)
    return Tracker(frames, SessionOptions.preset(**options), model)


def prompted_session(model=None, objects=1, num_frames=8, **options):
    session = fake_session_on(num_frames, model, **options)
    for number in range(1, objects + 1):
        session.click(0, number, (15 + number, 10 * number))
    return session


def test_a_frame_is_encoded_once_for_all_objects():
    model = FakeModel()

    list(prompted_session(model, objects=3).propagate())

    assert model.encoded == list(range(8))


def test_looking_at_a_frame_again_does_not_encode_it_again():
    model = FakeModel()
    session = prompted_session(model)

    session.preview(0)
    session.click(0, 1, (30, 30))
    session.preview(0)

    assert model.encoded == [0]


def test_as_many_frames_stay_encoded_as_the_options_say():
    model = FakeModel()
    session = prompted_session(model, cached_features=3)
    session.click(1, 1, (30, 30))
    session.click(2, 1, (30, 30))

    for frame in (0, 1, 2, 0, 1, 2):
        session.click(frame, 1, (30, 31))
        session.preview(frame)

    assert model.encoded == [0, 1, 2]


def test_all_objects_of_a_tracked_frame_are_remembered_in_one_call():
    model = FakeModel()

    list(prompted_session(model, objects=3).propagate())

    assert model.remembered == [(frame, 3) for frame in range(8)]


def test_a_model_comes_first():
    with pytest.raises(SessionError, match="no model yet"):
        tracker_of().model.config  # noqa: B018 - asking is the act


def test_features_of_another_model_are_forgotten():
    first, second = FakeModel(), FakeModel()
    tracker = tracker_of(first)
    tracker.encoder.encode(0)

    tracker.bind(first)
    tracker.encoder.encode(0)
    tracker.bind(second)
    tracker.encoder.encode(0)

    assert (first.encoded, second.encoded) == ([0], [0])


def test_rules_come_from_the_model_and_the_options():
    model = FakeModel()
    model.config.max_cond_frame_num = 4

    rules = tracker_of(model, memory_temporal_stride_for_eval=3).rules

    assert (rules.num_memories, rules.num_pointers, rules.stride) == (7, 16, 3)
    assert rules.max_prompted == 4
    assert tracker_of(model, max_cond_frames_in_attn=2).rules.max_prompted == 2


def test_a_frame_can_be_segmented_without_being_remembered():
    session = prompted_session()
    list(session.propagate(limit=3))
    tracker = session._tracker

    result, write_error = tracker.segment(FrameRequest(3, remember=False))

    assert write_error is None
    assert center_of(result.masks[1]) == (19, 10)
    assert tracker.objects[1].bank.tracked == [1, 2]
    assert tracker.objects[1].bank.spatial_bx(3) is None


def test_every_memory_is_freed_by_itself():
    """A slice of a batch would keep the memories of all its objects alive."""
    session = prompted_session(objects=3)
    list(session.propagate())

    for one in session._tracker.objects.values():
        memory = one.bank.prompted[0]
        for tensor in (memory.spatial_bx, memory.pointer_bd, one.bank.spatial_bx(7)):
            assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_memories_are_stored_in_the_type_the_options_say():
    for dtype in (torch.bfloat16, torch.float32):
        session = prompted_session(memory_dtype=dtype)
        list(session.propagate())

        bank = session._tracker.objects[1].bank
        assert bank.prompted[0].spatial_bx.dtype == bank.spatial_bx(5).dtype == dtype


def test_objects_come_out_in_the_order_in_which_they_came():
    session = fake_session_on(8)
    session.click(4, 9, (20, 20))
    session.click(0, 5, (20, 40))

    assert {result.object_ids for result in session.propagate()} == {(9, 5)}


def test_prompted_objects_keep_their_answer_while_others_are_tracked():
    session = fake_session_on(8)
    session.click(0, 1, (20, 20))
    session.click(3, 2, (20, 40))

    results = list(session.propagate())

    assert [sorted(result.prompted) for result in results[:4]] == [[1], [], [], [2]]
    assert center_of(results[3].masks[1]) == (23, 20)
    assert center_of(results[3].masks[2]) == (20, 40)
    assert results[3].object_score == {1: 4.0, 2: 1.0}


def test_an_object_may_be_out_of_view_and_come_back():
    session = prompted_session(FakeModel(gone_on=(3, 4)))

    results = list(session.propagate())

    assert [bool(result.masks[1].any()) for result in results[2:6]] == [True, False, False, True]
    assert [result.object_score[1] > 0 for result in results[2:6]] == [True, False, False, True]
    assert center_of(results[5].masks[1]) == (21, 10)


def test_without_objects_there_is_nothing_to_track():
    with pytest.raises(
        NoPromptError, match=r"no object has a prompt or a reference.*session\.reference"
    ):
        tracker_of(FakeModel()).registry.require_prompts()


def test_an_object_without_prompts_is_named():
    session = prompted_session(objects=2)
    session.clear(0, 2)

    with pytest.raises(
        NoPromptError, match=r"object 2 has no prompt.*Objects with prompts or references: 1\."
    ):
        session._tracker.registry.require_prompts()


def test_a_new_object_of_an_old_number_finds_nothing_of_the_old_one():
    session = prompted_session()
    list(session.propagate())
    session.remove(1)

    session.click(4, 1, (20, 40))

    assert session._tracker.objects[1].bank.tracked == []
    assert len(session.masklet(1)) == 0


def test_memories_around_a_prompted_frame_are_forgotten_on_request():
    """The original has the option and crashes: sam2_video_predictor.py:526."""
    session = prompted_session(num_frames=20, clear_non_cond_mem_around_input=True)
    list(session.propagate())

    session.click(10, 1, (20, 20))
    next(session.propagate(start=10))

    assert session._tracker.objects[1].bank.tracked == [1, 2, 18, 19]
    assert len(session.masklet(1)) == 20


def test_what_is_held_is_counted():
    session = prompted_session()
    session.preview(0)
    features = 3 * 4
    answer = 16 * 16 * 4 + 4 + 4
    pointer = 4 * 4

    assert session.bytes_held().device == features + answer + pointer
    assert (session.bytes_held().ram, session.bytes_held().disk) == (0, 0)


def test_a_closed_tracker_holds_nothing():
    session = prompted_session()
    list(session.propagate())

    session._tracker.close()

    assert session._tracker.encoder.num_bytes == session.bytes_held().ram == 0


def test_on_a_full_disk_every_object_of_the_frame_is_stored_before_the_error(tmp_path):
    session = prompted_session(objects=2, ram_budget=0, spill_folder=tmp_path)
    with full_disk(room=10), pytest.raises(OutputError):
        list(session.propagate())

    for number in (1, 2):
        assert session.masklet(number).frames[0] == 0
    store = session._tracker.registry.store
    assert store.frames(1, MEMORY) == store.frames(2, MEMORY)


def test_an_accelerator_is_told_to_encode_the_next_frame(monkeypatch):
    """On a CPU it would only come before the masks of this one."""
    session = prompted_session(model := FakeModel())
    tracker = session._tracker
    told = []
    monkeypatch.setattr(tracker, "_encode_ahead", told.append)
    list(session.propagate(limit=3))
    assert told == [1, 2, None]
    monkeypatch.undo()
    monkeypatch.setattr(tracker.encoder, "encode", told.append)
    tracker._encode_ahead(5)
    assert 5 not in told
    model.device = torch.device("cuda")
    tracker._encode_ahead(5)
    assert told[-1] == 5


def test_a_frame_that_cannot_be_encoded_ahead_is_reported_in_its_turn(monkeypatch):
    session = prompted_session(model := FakeModel())
    tracker = session._tracker
    list(session.propagate(limit=1))
    encode = Mock(side_effect=RuntimeError("out of memory"))
    monkeypatch.setattr(tracker.encoder, "encode", encode)
    model.device = torch.device("cuda")

    tracker._encode_ahead(1)

    encode.assert_called_once_with(1)
    with pytest.raises(RuntimeError, match="out of memory"):
        tracker.segment(FrameRequest(1))


def test_a_frame_is_kept_though_encoding_the_next_one_is_interrupted(monkeypatch):
    session = prompted_session()
    tracker = session._tracker
    list(session.propagate(limit=1))
    monkeypatch.setattr(tracker, "_encode_ahead", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tracker.segment(FrameRequest(1, ahead=2))
    assert tracker.objects[1].bank.tracked == [1]
    assert session.masklet(1).frames == [0, 1]


def test_of_an_iterator_nothing_is_encoded_ahead(monkeypatch):
    """It would have to give its next picture before the masks of this one are handed out."""
    session = Sam2VideoInferenceSession.open(iter(fake_clip(4)), FakeModel())
    session.click(0, 1, (15, 10))
    told = []
    monkeypatch.setattr(session._tracker, "_encode_ahead", told.append)
    list(session.propagate(limit=3))
    assert told == [None, None, None]
