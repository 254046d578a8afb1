"""The session under transformers' names."""

import numpy as np
import pytest
import torch

from sam2_hf import (
    FrameError,
    NoPromptError,
    Sam2VideoInferenceSession,
    SessionError,
    SessionOptions,
)
from tests.video.transformers_usage import SIZE, add_click, clip, memories_of, open_clip

HALF_TYPES = [torch.bfloat16, torch.float16]


@pytest.fixture
def session(video_processor):
    """A session on eight frames, without objects."""
    return open_clip(video_processor)


@pytest.fixture
def clicked(session, video_processor):
    """The same with object 7 and object 3, both clicked on frame 2."""
    return add_click(video_processor, session, 2, [7, 3])


def frames_of(model, session, **course):
    return [output.frame_idx for output in model.propagate_in_video_iterator(session, **course)]


def test_an_objects_index_is_its_place_in_the_order(clicked):
    assert (clicked.obj_ids, clicked.get_obj_num()) == ([7, 3], 2)
    assert (clicked.obj_id_to_idx(3), clicked.obj_idx_to_id(0)) == (1, 7)


def test_asking_for_the_index_of_a_new_object_makes_it(session):
    assert session.obj_id_to_idx(9) == 0
    assert session.object_ids == (9,)


def test_there_is_no_object_beyond_the_last_one(clicked):
    with pytest.raises(SessionError, match="no object number 2: the session has 2"):
        clicked.obj_idx_to_id(2)


def test_new_inputs_are_listed_until_they_are_remembered(clicked, tiny_video_model):
    before = clicked.obj_with_new_inputs

    tiny_video_model(clicked, frame_idx=2)

    assert (before, clicked.obj_with_new_inputs) == ([7, 3], [])


def test_an_answer_has_one_row_for_each_object(clicked, tiny_video_model):
    output = tiny_video_model(clicked, frame_idx=2)

    assert (output.object_ids, output.frame_idx) == ([7, 3], 2)
    assert output.pred_masks.shape == (2, 1, 16, 16)
    assert output.object_score_logits.shape == output.iou_scores.shape == (2, 1)


@pytest.mark.parametrize("dtype", HALF_TYPES)
def test_answers_have_the_models_type(tiny_video_model, video_processor, dtype):
    session = open_clip(video_processor, dtype=dtype)
    add_click(video_processor, session, 0, 1)
    model = tiny_video_model.to(dtype)

    try:
        outputs = [model(session, frame_idx=frame) for frame in range(3)]
    finally:
        tiny_video_model.float()

    assert {output.pred_masks.dtype for output in outputs} == {dtype}
    assert {output.object_score_logits.dtype for output in outputs} == {dtype}


def test_one_more_frame_than_the_limit_comes_as_in_transformers(clicked, tiny_video_model):
    assert frames_of(tiny_video_model, clicked, max_frame_num_to_track=3) == [2, 3, 4, 5]
    assert frames_of(tiny_video_model, clicked, max_frame_num_to_track=99) == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("start", "limit", "frames"),
    [(None, None, [2, 1, 0]), (5, 2, [5, 4, 3]), (0, None, [])],
)
def test_time_runs_backwards_on_request(clicked, tiny_video_model, start, limit, frames):
    course = {"start_frame_idx": start, "max_frame_num_to_track": limit}

    assert frames_of(tiny_video_model, clicked, reverse=True, **course) == frames


def test_frame_by_frame_gives_what_the_iterator_gives(video_processor, tiny_video_model):
    one, other = open_clip(video_processor), open_clip(video_processor)
    for session in (one, other):
        add_click(video_processor, session, 0, [1, 2])

    together = [o.pred_masks for o in tiny_video_model.propagate_in_video_iterator(one)]
    by_frame = [tiny_video_model(other, frame_idx=frame).pred_masks for frame in range(8)]

    assert all(map(torch.equal, together, by_frame))


def test_nothing_can_be_iterated_without_a_prompt(session, tiny_video_model):
    with pytest.raises(NoPromptError):
        tiny_video_model.propagate_in_video_iterator(session)


def test_a_frame_beyond_the_video_is_refused(clicked, tiny_video_model):
    with pytest.raises(FrameError, match="out of range"):
        tiny_video_model(clicked, frame_idx=8)
    with pytest.raises(FrameError, match="no frame 8 to start from"):
        tiny_video_model.propagate_in_video_iterator(clicked, start_frame_idx=8)


def test_the_model_needs_a_frame_or_its_number(clicked, tiny_video_model):
    with pytest.raises(FrameError, match="neither frame_idx nor frame"):
        tiny_video_model(clicked)


@pytest.mark.parametrize("remembers", [True, False])
def test_the_memory_encoder_can_be_left_out(clicked, tiny_video_model, remembers):
    tiny_video_model(clicked, frame_idx=2)

    tiny_video_model(clicked, frame_idx=3, run_mem_encoder=remembers)

    assert memories_of(clicked, 7).tracked == ([3] if remembers else [])
    assert 3 in clicked.masklet(7)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("pred_masks", (1, 1, 16, 16)),
        ("object_score_logits", (1, 1, 1)),
        ("object_pointer", (1, 1, 32)),
        ("maskmem_features", (16, 1, 16)),
    ],
)
def test_what_is_remembered_can_be_looked_up(clicked, tiny_video_model, name, shape):
    frames_of(tiny_video_model, clicked)

    assert clicked.get_output(0, 2, name).shape == shape
    assert clicked.get_output(0, 5, name, is_conditioning_frame=False).shape == shape
    assert clicked.get_output(0, 5, name) is None
    assert clicked.get_output(0, 2, name, is_conditioning_frame=False) is None


def test_an_output_of_another_name_is_refused(clicked):
    with pytest.raises(SessionError, match=r"no output 'logits'\. Choose from: pred_masks"):
        clicked.get_output(0, 2, "logits")


def test_resetting_what_was_tracked_keeps_frames_and_features(clicked, tiny_video_model):
    tiny_video_model(clicked, frame_idx=2)

    clicked.reset_tracking_data()

    assert (clicked.obj_ids, clicked.num_frames) == ([], 8)
    assert clicked.bytes_held().ram == 0
    assert clicked.bytes_held().device > 0  # features of the frame


def test_resetting_the_session_drops_features_too(clicked, tiny_video_model):
    tiny_video_model(clicked, frame_idx=2)

    clicked.reset_inference_session()

    assert clicked.bytes_held().device == 0
    assert tiny_video_model(clicked, frame_idx=0).object_ids == []


def test_the_last_frames_of_a_stream_can_be_gone_through_again(video_processor, tiny_video_model):
    stream = video_processor.init_video_session()
    add_click(video_processor, stream, 0, 1, original_size=SIZE)
    for frame in range(3):
        tiny_video_model(stream, frame=open_clip(video_processor).get_frame(frame))

    assert frames_of(tiny_video_model, stream) == [0, 1, 2]


def test_native_verbs_work_on_the_same_session(clicked, tiny_video_model):
    tiny_video_model(clicked, frame_idx=2)
    clicked.box(4, 3, (10, 10, 40, 30))
    clicked.remove(7)

    frames = [result.frame for result in clicked.propagate(limit=2)]

    assert (frames, clicked.obj_ids) == ([2, 3], [3])


def test_options_are_this_packages_unless_others_are_given():
    options = SessionOptions.preset("transformers")

    assert Sam2VideoInferenceSession().options == SessionOptions()
    assert Sam2VideoInferenceSession(options=options).options is options


def test_a_clip_given_as_prepared_frames_is_tracked_as_the_video_is(
    video_processor, tiny_video_model
):
    whole = open_clip(video_processor, compat="transformers")
    pixels = torch.stack([whole.get_frame(frame) for frame in range(8)])
    prepared = Sam2VideoInferenceSession(
        pixels, *SIZE, options=SessionOptions.preset("transformers")
    )
    for session in (whole, prepared):
        add_click(video_processor, session, 0, 1)

    one, other = (tiny_video_model.propagate_in_video_iterator(s) for s in (whole, prepared))

    assert all(torch.equal(a.pred_masks, b.pred_masks) for a, b in zip(one, other, strict=True))


def test_the_masks_of_a_session_are_of_the_original_size(clicked, tiny_video_model):
    tiny_video_model(clicked, frame_idx=2)

    assert clicked.masklet(7).mask(2).shape == SIZE
    assert np.asarray(clip()).shape[1:3] == SIZE


def test_a_saved_stream_goes_on_with_equal_bits(video_processor, tiny_video_model, tmp_path):
    stream = video_processor.init_video_session()
    frames = [open_clip(video_processor).get_frame(number) for number in range(6)]
    add_click(video_processor, stream, 0, 1, original_size=SIZE)
    for pixels in frames[:3]:
        tiny_video_model(stream, frame=pixels)
    stream.save(tmp_path / "saved")

    loaded = Sam2VideoInferenceSession.load(tmp_path / "saved", None, tiny_video_model)

    for pixels in frames[3:]:
        found, expected = (tiny_video_model(one, frame=pixels) for one in (loaded, stream))
        assert torch.equal(found.pred_masks, expected.pred_masks)


def test_transformers_inner_maps_of_objects_are_there_to_read(video_processor):
    session = open_clip(video_processor)
    add_click(video_processor, session, 0, [7, 3], original_size=SIZE)

    assert dict(session._obj_id_to_idx) == {7: 0, 3: 1}
    assert dict(session._obj_idx_to_id) == {0: 7, 1: 3}
