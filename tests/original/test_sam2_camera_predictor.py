"""The camera fork's predictor, on a model whose answers can be foretold."""

import numpy as np
import pytest

from sam2_hf.errors import FrameError, SessionError
from sam2_hf.original.sam2_camera_predictor import SAM2CameraPredictor, SAM2CameraPredictorVOS
from sam2_hf.video.session_options import SessionOptions
from tests.fakes import SIDE, FakeModel, center_of, picture


@pytest.fixture
def camera():
    """A stream with its first frame."""
    predictor = SAM2CameraPredictor(FakeModel())
    predictor.load_first_frame(picture(0))
    return predictor


def center(logits_1hw):
    return center_of(logits_1hw[0].numpy() > 0)


def test_an_object_of_the_first_frame_is_tracked_through_the_stream(camera):
    frame, ids, logits = camera.add_new_prompt(
        frame_idx=0, obj_id=1, points=np.array([[20, 20]]), labels=np.array([1])
    )
    assert (frame, ids, center(logits[0])) == (0, [1], (20, 20))

    found = [camera.track(picture(number)) for number in range(1, 6)]

    assert [ids for ids, _ in found] == [[1]] * 5
    assert [center(logits[0]) for _, logits in found] == [(20 + n, 20) for n in range(1, 6)]
    assert camera.frame_idx == 5
    assert found[0][1].shape == (1, 1, SIDE, SIDE)


@pytest.mark.parametrize("bbox", [[[10, 10], [30, 30]], [[10, 10, 30, 30]], (10, 10, 30, 30)])
def test_boxes_points_and_masks_are_prompts(camera, bbox):
    _, _, boxed = camera.add_new_prompt(0, 1, bbox=np.array(bbox, np.float32))
    camera.add_new_points(0, 2, [[40, 30]], [1])
    _, ids, logits = camera.add_new_mask(0, 3, np.ones((SIDE, SIDE)))

    assert center(boxed[0]) == (20, 20)
    assert ids == [1, 2, 3]
    assert (logits[2] > 0).all()
    assert len(camera.track(picture(1))[0]) == 3


def test_several_frames_may_be_prompted_before_tracking(camera):
    camera.add_conditioning_frame(picture(1))
    camera.add_new_prompt(0, 1, [[20, 20]], [1])
    camera.add_new_prompt(1, 1, [[25, 20]], [1])
    camera.propagate_in_video_preflight()

    _, logits = camera.track(picture(2))

    assert camera.frame_idx == 2
    assert center(logits[0]) == (26, 20)


def test_objects_may_join_while_tracking_goes_on(camera):
    camera.add_new_prompt(0, 4, [[20, 20]], [1])
    camera.track(picture(1))

    camera.add_new_promot_during_track(bbox=[20, 40, 40, 60])
    ids, logits = camera.track(picture(2))
    assert ids == [4, 5]
    assert center(logits[1]) == (31, 50)

    camera.add_new_promot_during_track(mask=np.ones((SIDE, SIDE)))
    camera.add_new_promot_during_track(point=[[20, 20]], if_new_target=False)
    assert camera.track(picture(3))[0] == [4, 5, 6]


def test_memory_is_that_of_the_window_however_long_the_stream_is(camera):
    camera.add_new_prompt(0, 1, [[20, 20]], [1])
    held = []
    for number in range(1, 300):
        camera.track(picture(number))
        if number in (99, 199, 299):
            held.append(camera.condition_state.session.bytes_held())

    assert held[0].device == held[1].device == held[2].device
    assert held[2].ram <= held[0].ram + 100
    assert held[2].disk == 0
    with pytest.raises(FrameError, match="dropped"):
        camera.add_new_prompt(100, 2, [[20, 20]], [1])


def test_a_reset_stream_goes_on_with_new_objects(camera):
    camera.add_new_prompt(0, 1, [[20, 20]], [1])
    camera.track(picture(1))

    camera.reset_state()
    ids, logits = camera.track(picture(2))
    assert (ids, tuple(logits.shape)) == ([], (0, 1, SIDE, SIDE))
    camera.add_new_prompt(camera.frame_idx, 8, [[30, 30]], [1])

    assert camera.track(picture(3))[0] == [8]


def test_a_new_first_frame_begins_another_stream(camera):
    camera.add_new_prompt(0, 1, [[20, 20]], [1])
    camera.track(picture(1))

    camera.load_first_frame(np.zeros((32, 48, 3), np.uint8))

    assert camera.condition_state["obj_ids"] == []
    assert camera.frame_idx == 0
    assert camera.condition_state["video_height"] == 32


def test_settings_are_those_of_the_video_predictor():
    camera = SAM2CameraPredictor.from_model(FakeModel(), SessionOptions(window=40))

    camera.non_overlap_masks = True
    camera.load_first_frame(picture(0))

    assert camera.condition_state.session.options.non_overlap_masks
    assert camera.image_size == SIDE
    assert SAM2CameraPredictorVOS is SAM2CameraPredictor


def test_what_comes_too_early_says_what_comes_first():
    camera = SAM2CameraPredictor(FakeModel())

    assert not camera.condition_state
    with pytest.raises(SessionError, match="load_first_frame first"):
        camera.track(picture(0))
    camera.load_first_frame(picture(0))
    with pytest.raises(SessionError, match="add_new_prompt first"):
        camera.add_new_promot_during_track(bbox=[20, 20, 40, 40])
    camera.add_new_prompt(0, 1, [[20, 20]], [1])
    with pytest.raises(SessionError, match="point, bbox or mask"):
        camera.add_new_promot_during_track()
