"""Prompts given to a session by transformers' names, below its processor."""

import pytest
import torch

from sam2_hf import FrameError, PromptError, Sam2VideoInferenceSession
from tests.video.transformers_usage import SIZE, add_click, memories_of, open_clip


@pytest.fixture
def session(video_processor):
    """A session on eight frames, without objects."""
    return open_clip(video_processor)


def test_clicks_in_model_pixels_are_those_in_pixels_of_the_frame(
    session, video_processor, tiny_video_model
):
    add_click(video_processor, session, 0, 1, xy=(40, 24))
    other = open_clip(video_processor)
    inputs = {"point_coords": torch.tensor([[[[32.0, 32.0]]]]), "point_labels": torch.ones(1, 1, 1)}

    other.add_point_inputs(other.obj_id_to_idx(1), 0, inputs)

    (click,) = other.prompts_of(0, 1).clicks
    assert click.xy == (40.0, 24.0)
    found, expected = (tiny_video_model(one, frame_idx=0).pred_masks for one in (other, session))
    assert torch.equal(found, expected)


def test_a_mask_may_be_put_in_by_index(session, tiny_video_model):
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32] = 1

    session.add_mask_inputs(session.obj_id_to_idx(1), 0, mask)
    logits = tiny_video_model(session, frame_idx=0).pred_masks

    ends = [logits[..., :4].min().item(), logits[..., -4:].max().item()]
    assert ends == pytest.approx([10, -10])


def test_prompts_are_taken_back_by_their_kind(session, video_processor):
    add_click(video_processor, session, 0, 1)

    session.remove_mask_inputs(0, 0)
    still = len(session.prompts_of(0, 1).clicks)
    session.remove_point_inputs(0, 0)

    assert (still, len(session.prompts_of(0, 1).clicks)) == (1, 0)


def test_a_mask_is_taken_back(session):
    session.add_mask_inputs(session.obj_id_to_idx(1), 0, torch.ones(1, 1, 64, 64))

    session.remove_mask_inputs(0, 0)

    assert session.obj_with_new_inputs == []


def test_a_frame_of_a_stream_may_be_prompted_before_it_comes(video_processor, tiny_video_model):
    stream, pixels = video_processor.init_video_session(), open_clip(video_processor).get_frame(0)
    add_click(video_processor, stream, 2, 1, original_size=SIZE)

    outputs = [tiny_video_model(stream, frame=pixels).object_ids for _ in range(4)]

    assert outputs == [[], [], [1], [1]]
    assert set(memories_of(stream, 1).prompted) == {2}


def test_a_frame_that_a_stream_has_dropped_cannot_be_prompted(video_processor):
    stream = video_processor.init_video_session(window=16)
    for _ in range(20):
        stream.add_new_frame(torch.zeros(3, 64, 64))

    with pytest.raises(FrameError, match="frame 3 has been dropped"):
        add_click(video_processor, stream, 3, 1, original_size=SIZE)


def test_prompts_that_are_put_in_whole_replace_those_before(session):
    session.click(0, 1, (5, 5))

    session.put_prompts(0, 1, session.prompts_of(0, 2).with_box((1, 2, 30, 40)))

    prompts = session.prompts_of(0, 1)
    assert (prompts.clicks, prompts.box) == ((), (1, 2, 30, 40))
    assert session.undo()
    assert len(session.prompts_of(0, 1).clicks) == 1


def test_point_inputs_need_both_parts(session):
    with pytest.raises(PromptError, match="Give point_coords and point_labels"):
        session.add_point_inputs(session.obj_id_to_idx(1), 0, {"point_coords": torch.ones(1, 2)})


def test_prompts_stay_where_they_are_when_the_original_size_is_said_later():
    session = Sam2VideoInferenceSession(torch.zeros(2, 3, 64, 64))
    inputs = {"point_coords": torch.tensor([[[[32.0, 16.0]]]]), "point_labels": torch.ones(1, 1, 1)}
    session.add_point_inputs(session.obj_id_to_idx(1), 0, inputs)

    session.video_height, session.video_width = SIZE

    assert torch.equal(session.point_inputs_per_obj[0][0]["point_coords"], inputs["point_coords"])
    assert session.prompts_of(0, 1).clicks[0].xy == (40.0, 12.0)


@pytest.mark.parametrize("place", [(1e9, 3.0), (-500.0, 3.0), (float("nan"), 1.0)])
def test_clicks_far_outside_are_refused(session, place):
    inputs = {"point_coords": torch.tensor([[[place]]]), "point_labels": torch.ones(1, 1, 1)}

    with pytest.raises(PromptError):
        session.add_point_inputs(session.obj_id_to_idx(1), 0, inputs)


def test_prompts_can_be_set_and_removed_through_the_dictionaries(session, video_processor):
    add_click(video_processor, session, 0, 1)
    points, masks = session.point_inputs_per_obj[0], session.mask_inputs_per_obj[0]

    points[3] = points.pop(0)
    masks[4] = torch.ones(1, 1, 64, 64)

    assert (list(points), list(masks)) == ([3], [4])
    assert session.prompts_of(3, 1).clicks[0].xy == (30.0, 20.0)
    points.clear()
    assert (list(points), session.obj_with_new_inputs) == ([], [1])


def test_an_object_that_is_taken_off_the_list_stays_unanswered(
    session, video_processor, tiny_video_model
):
    add_click(video_processor, session, 0, [1, 2])

    session.obj_with_new_inputs.remove(2)

    assert tiny_video_model(session, frame_idx=0).object_ids == [1]
    assert list(session.point_inputs_per_obj[1]) == [0]
