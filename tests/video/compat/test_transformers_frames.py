"""How transformers' session is made, and its frames."""

import copy

import pytest
import torch

from sam2_hf import FrameError, Sam2VideoInferenceSession, SessionError
from tests.video.transformers_usage import SIZE, add_click, clip, open_clip


def prepared(num_frames=3, **more):
    """A session on prepared frames that hold their own number."""
    video = torch.arange(float(num_frames))[:, None, None, None].expand(-1, 3, 64, 64).clone()
    return Sam2VideoInferenceSession(video, *SIZE, **more)


def test_the_constructor_takes_prepared_frames_and_their_original_size():
    session = prepared(3)

    assert (session.num_frames, session.video_height, session.video_width) == (3, *SIZE)
    assert session.size == SIZE
    assert session.get_frame(2).unique().tolist() == [2.0]


def test_devices_and_type_are_as_they_were_given():
    session = prepared(
        inference_device="meta",
        inference_state_device="meta",
        video_storage_device="cpu",
        dtype="bfloat16",
        max_vision_features_cache_size=3,
    )

    assert session.inference_device.type == session.inference_state_device.type == "meta"
    assert (session.video_storage_device.type, session.dtype) == ("cpu", torch.bfloat16)
    assert session.max_vision_features_cache_size == session.options.cached_features == 3
    assert session.processed_frames[0].dtype == torch.bfloat16


def test_a_session_opened_on_a_model_has_the_models_device_and_type(tiny_video_model):
    session = Sam2VideoInferenceSession.open(clip(), tiny_video_model)

    assert session.inference_device == session.inference_state_device == torch.device("cpu")
    assert (session.dtype, session.video_height) == (torch.float32, SIZE[0])


def test_prepared_frames_are_on_the_storage_device():
    assert prepared(video_storage_device="meta").processed_frames[0].device.type == "meta"


def test_a_frame_may_be_added_to_a_prepared_video_or_replaced():
    session = prepared(2)

    added = session.add_new_frame(torch.full((1, 3, 64, 64), 7.0))
    session.add_new_frame(torch.full((3, 64, 64), 9.0), 0)

    assert (added, session.num_frames) == (2, 3)
    assert [session.get_frame(number)[0, 0, 0].item() for number in range(3)] == [9, 1, 7]


@torch.no_grad()
def test_a_replaced_frame_is_encoded_anew(tiny_video_model, video_processor):
    session = prepared(2)
    add_click(video_processor, session, 0, 1)
    tiny_video_model(session, frame_idx=0)
    before = tiny_video_model(session, frame_idx=1).pred_masks

    session.add_new_frame(open_clip(video_processor).get_frame(0), 1)

    assert not torch.equal(tiny_video_model(session, frame_idx=1).pred_masks, before)


def test_a_stream_counts_its_frames():
    session = Sam2VideoInferenceSession()

    empty = session.processed_frames
    numbers = [session.add_new_frame(torch.zeros(3, 64, 64)) for _ in range(2)]

    assert (empty, numbers, list(session.processed_frames)) == (None, [0, 1], [0, 1])


def test_a_stream_takes_the_callers_own_numbers_and_goes_on_from_the_highest():
    session = Sam2VideoInferenceSession()

    given = [session.add_new_frame(torch.zeros(3, 64, 64), number) for number in (0, 4, 2, None)]

    assert given == [0, 4, 2, 5]
    assert list(session.processed_frames) == [0, 2, 4, 5]


@pytest.mark.parametrize("number", [-1, True, 1.0, "2"])
def test_what_is_no_number_of_a_frame_is_refused(number):
    with pytest.raises(FrameError, match=r"-1|must be a whole number"):
        Sam2VideoInferenceSession().add_new_frame(torch.zeros(3, 64, 64), number)


def test_a_frame_is_added_to_a_video_that_is_read_from_elsewhere(video_processor):
    session = open_clip(video_processor)

    number = session.add_new_frame(torch.zeros(3, 64, 64))

    assert (number, session.num_frames) == (8, 9)
    assert not session.get_frame(8).any()
    assert torch.equal(session.get_frame(3), open_clip(video_processor).get_frame(3))


def test_the_size_of_a_stream_is_told_side_by_side():
    session = Sam2VideoInferenceSession()

    session.video_height = 48
    half = session.known_size
    session.video_width = 80

    assert half is None
    assert (session.video_height, session.video_width, session.size) == (*SIZE, SIZE)


def test_the_size_may_be_told_again_where_it_is_the_same(video_processor):
    session = open_clip(video_processor)

    session.video_height, session.video_width = SIZE

    assert session.size == SIZE


def test_a_video_has_the_size_it_has(video_processor):
    session = open_clip(video_processor)

    session.video_height = 100

    with pytest.raises(SessionError, match=r"are \(48, 80\).* cannot be \(100, 200\)"):
        session.video_width = 200


def test_the_size_stays_once_there_are_masks(tiny_video_model, video_processor):
    session = prepared(2)
    add_click(video_processor, session, 0, 1)
    tiny_video_model(session, frame_idx=0)

    with pytest.raises(SessionError, match="Say their size before anything is tracked"):
        session.video_height = 10


def test_frames_for_a_model_of_another_input_size_are_refused(tiny_video_model):
    session = Sam2VideoInferenceSession(torch.zeros(2, 3, 32, 32))

    with pytest.raises(SessionError, match="an input size of 32, and the model takes 64"):
        tiny_video_model(session, frame_idx=0)


def test_a_stream_learns_how_to_prepare_pictures_from_the_model(tiny_video_model, video_processor):
    session = Sam2VideoInferenceSession()
    tiny_video_model(session, frame=torch.zeros(3, 64, 64))
    session.video_height, session.video_width = SIZE
    add_click(video_processor, session, 0, 1)

    result = session.step(clip(1)[0])

    assert (result.frame, list(result.masks)) == (1, [1])


def test_the_number_of_kept_features_may_be_set_on_session_and_cache(video_processor):
    session = open_clip(video_processor)

    session.max_vision_features_cache_size = 5
    by_session = session.cache.max_vision_features_cache_size
    session.cache.max_vision_features_cache_size = 2

    assert (by_session, session.max_vision_features_cache_size) == (5, 2)
    assert copy.deepcopy(session).max_vision_features_cache_size == 2


def test_a_sequence_takes_the_place_of_all_frames_and_is_read_one_by_one(tiny_video_model):
    session = Sam2VideoInferenceSession.open(clip(3), tiny_video_model)

    session.processed_frames = [torch.full((3, 64, 64), 5.0), torch.full((3, 64, 64), 6.0)]

    assert (session.num_frames, session.size) == (2, SIZE)
    assert session.get_frame(1).unique().tolist() == [6.0]
    assert list(session.processed_frames) == [0, 1]
