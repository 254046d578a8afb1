"""The mapping that stands for the original's inference state."""

import copy
import pickle

import pytest
import torch

from sam2_hf.errors import SessionError, VideoError
from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor
from tests.drawn_video import drawn_video_model, noise_clip
from tests.fakes import SIDE, FakeModel, center_of, fake_clip, picture

KEYS = {  # of the original @ 2b90b9f
    *("images", "num_frames", "video_height", "video_width", "device", "storage_device"),
    *("offload_video_to_cpu", "offload_state_to_cpu", "cached_features", "constants"),
    *("obj_ids", "obj_id_to_idx", "obj_idx_to_id", "point_inputs_per_obj", "mask_inputs_per_obj"),
    *("output_dict_per_obj", "temp_output_dict_per_obj", "frames_tracked_per_obj"),
}


@pytest.fixture
def predictor():
    return SAM2VideoPredictor(FakeModel())


@pytest.fixture
def state(predictor):
    """Two objects on a clip, tracked to the end."""
    state = predictor.init_state(fake_clip(8))
    predictor.add_new_points_or_box(state, 0, 11, [(20, 20)], [1])
    predictor.add_new_points_or_box(state, 2, 5, [(40, 30)], [1])
    for _ in predictor.propagate_in_video(state):
        pass
    return state


def where(predictor, state, row=0):
    answers = predictor.propagate_in_video(state)
    return {frame: center_of(logits[row, 0].numpy() > 0) for frame, _, logits in answers}


def test_it_has_the_keys_of_the_original(state):
    assert set(state) == KEYS
    assert len(state) == len(KEYS)
    assert {key for key, _ in state.items()} == KEYS
    assert "images" in state
    assert "image" not in state
    assert state.get("image") is None


def test_what_people_read_is_there(state):
    assert (state["num_frames"], state["video_height"], state["video_width"]) == (8, SIDE, SIDE)
    assert state["obj_ids"] == [11, 5]
    assert state["obj_id_to_idx"] == {11: 0, 5: 1}
    assert state["obj_idx_to_id"] == {0: 11, 1: 5}
    assert state["device"] == torch.device("cpu")
    assert state["frames_tracked_per_obj"][0][3] == {"reverse": False}
    assert state["point_inputs_per_obj"][1][2]["point_coords"].tolist() == [[[40.0, 30.0]]]


def test_outputs_have_the_originals_names_and_shapes():
    predictor = SAM2VideoPredictor(drawn_video_model())
    state = predictor.init_state(noise_clip(4))
    predictor.add_new_points_or_box(state, 0, 1, [(30, 20)], [1])
    list(predictor.propagate_in_video(state))

    kinds = state["output_dict_per_obj"][0]
    assert list(kinds["cond_frame_outputs"]) == [0]
    assert list(kinds["non_cond_frame_outputs"]) == [1, 2, 3]
    for output in (kinds["cond_frame_outputs"][0], kinds["non_cond_frame_outputs"][2]):
        assert {
            key: tuple(value.shape) for key, value in output.items() if key != "maskmem_pos_enc"
        } == {
            "maskmem_features": (1, 16, 4, 4),
            "pred_masks": (1, 1, 16, 16),
            "obj_ptr": (1, 32),
            "object_score_logits": (1, 1),
        }
        assert output["maskmem_features"].dtype == torch.bfloat16


def test_a_memory_that_is_popped_is_not_attended_to_any_more():
    predictor = SAM2VideoPredictor(drawn_video_model())
    state = predictor.init_state(noise_clip(6))
    predictor.add_new_points_or_box(state, 0, 1, [(30, 20)], [1])
    steps = predictor.propagate_in_video(state)
    with_all = [next(steps)[2] for _ in range(5)]
    outputs = state["output_dict_per_obj"][0]["non_cond_frame_outputs"]

    gone = outputs.pop(3)
    again = {frame: logits for frame, _, logits in predictor.propagate_in_video(state, 4, 0)}

    assert 3 not in state["output_dict_per_obj"][0]["non_cond_frame_outputs"]
    assert gone["object_score_logits"].shape == (1, 1)
    assert outputs.pop(99, None) is None
    assert not torch.equal(again[4], with_all[4])


def test_frames_can_be_read_as_model_input(state):
    images = state["images"]

    assert len(images) == 8
    assert images.shape == (8, 3, SIDE, SIDE)
    assert images[3].shape == images[-1].shape == (3, SIDE, SIDE)
    assert images[2:5].shape == (3, 3, SIDE, SIDE)
    assert images[8:].shape == (0, 3, SIDE, SIDE)
    assert not torch.equal(images[0], images[7])
    with pytest.raises(IndexError):
        images[8]


def test_answers_wait_for_the_next_propagation(predictor, state):
    predictor.add_new_points_or_box(state, 4, 11, [(24, 40)], [1])
    predictor.add_all_frames_to_correct_as_cond = False
    predictor.add_new_points_or_box(state, 5, 11, [(24, 40)], [1])

    waiting = state["temp_output_dict_per_obj"]
    assert set(waiting[0]["non_cond_frame_outputs"]) == {4, 5}
    output = waiting[0]["non_cond_frame_outputs"][5]
    assert output["maskmem_features"] is None
    assert output["pred_masks"].shape == (1, 1, SIDE // 4, SIDE // 4)
    assert output["object_score_logits"].shape == (1, 1)
    assert not waiting[1]["cond_frame_outputs"]

    predictor.propagate_in_video_preflight(state)

    assert not state["temp_output_dict_per_obj"][0]["non_cond_frame_outputs"]


class OneByOne:
    """Frames that are made when they are asked for."""

    def __init__(self, images):
        self.images, self.asked, self.closed = images, [], False

    def __len__(self):
        return len(self.images)

    def __getitem__(self, frame):
        self.asked.append(frame)
        return self.images[frame]

    def close(self):
        self.closed = True


def test_other_frames_can_be_put_in_which_are_read_one_by_one(predictor):
    state = predictor.init_state(fake_clip(8))
    loader = OneByOne(state["images"][2:])

    state["images"] = loader
    state["num_frames"] = len(loader)
    state["video_height"], state["video_width"] = 128, 64
    state["cached_features"] = {}
    assert loader.asked == []
    assert state["images"] is loader

    _, _, logits = predictor.add_new_points_or_box(state, 0, 1, [(20, 40)], [1])
    assert logits.shape == (1, 1, 128, 64)
    assert predictor.model.encoded == [2]  # the gray level of frame 2 of the clip
    assert len(where(predictor, state)) == 6
    assert set(loader.asked) == set(range(6))
    state.clear()
    assert loader.closed


def test_frames_may_be_a_tensor_and_none_make_a_stream(predictor):
    state = predictor.init_state(fake_clip(8))

    state["images"] = state["images"][:3]
    assert state["num_frames"] == 3
    state["images"] = torch.empty(0, 3, SIDE, SIDE)

    assert (state["num_frames"], len(state["images"])) == (0, 0)
    assert predictor.add_new_frame(state, picture(0)) == 0
    assert state["images"].shape == (1, 3, SIDE, SIDE)


def test_sizes_can_be_set_at_any_time_and_set_back(predictor, state):
    state["video_height"] = 32

    _, _, logits = predictor.clear_all_prompts_in_frame(state, 7, 11)
    assert logits.shape == (2, 1, 32, SIDE)
    state["video_height"] = None

    assert state["video_height"] == SIDE
    assert state.size == (SIDE, SIDE)


def test_what_cannot_be_set_says_what_to_do_instead(state):
    for key, value, message in (
        ("obj_ids", [1], "add_new_points_or_box"),
        ("output_dict_per_obj", {}, "reset_state"),
        ("num_frames", 3, "there are 8 frames"),
        ("video_height", 0, "number of pixels"),
        ("video_width", "wide", "'wide'"),
        ("images", 3, "images is 3"),
        ("images", {0: 1}, "sequence"),
        ("cached_features", {0: ()}, "cached_features to {}"),
    ):
        with pytest.raises(SessionError, match=message):
            state[key] = value
    with pytest.raises(SessionError, match="add_new_mask"):
        state["output_dict_per_obj"][0]["cond_frame_outputs"][0] = {}
    with pytest.raises(SessionError, match="remove_object"):
        del state["point_inputs_per_obj"][0]
    with pytest.raises(VideoError, match="empty"):
        state.session.processed_frames = []


def test_an_application_may_keep_keys_of_its_own(state):
    state["tracking_has_started"] = False
    state["job"] = "a7"

    assert state.pop("job") == "a7"
    assert state["tracking_has_started"] is False
    assert "job" not in state


def test_features_that_are_kept_can_be_read_and_dropped():
    predictor = SAM2VideoPredictor(drawn_video_model())
    state = predictor.init_state(noise_clip(4))
    predictor.add_new_points_or_box(state, 2, 1, [(30, 20)], [1])

    image, features = state["cached_features"][2]
    assert image.shape == (1, 3, 64, 64)
    assert [tuple(one.shape[-2:]) for one in features["backbone_fpn"]] == [(16, 16), (8, 8), (4, 4)]
    assert len(features["vision_pos_enc"]) == 3
    assert state["cached_features"].get(0, (None, None)) == (None, None)

    state["cached_features"].clear()

    assert not state["cached_features"]


def test_clearing_it_releases_everything_and_leaves_it_empty(predictor, state):
    assert state.pop("images").shape[0] == 8  # as if by hand, first
    for key in ("cached_features", "constants", "output_dict_per_obj", "temp_output_dict_per_obj"):
        state.pop(key, None)
    state.clear()

    assert state == {}
    assert not state
    assert state.session.bytes_held().device == 0
    with pytest.raises(KeyError):
        state["images"]
    with pytest.raises(SessionError, match="cleared"):
        predictor.propagate_in_video_preflight(state)


def test_a_copy_goes_its_own_way(predictor, state):
    twin = copy.deepcopy(state)
    predictor.remove_object(twin, 5)

    assert state["obj_ids"] == [11, 5]
    assert twin["obj_ids"] == [11]
    assert twin.session.model is predictor.model


def test_a_pickled_state_goes_on_with_the_model_of_the_predictor_it_is_given_to():
    predictor = SAM2VideoPredictor(drawn_video_model())
    state = predictor.init_state(noise_clip(4))
    predictor.add_new_points_or_box(state, 0, 1, [(30, 20)], [1])
    next(predictor.propagate_in_video(state))

    twin = pickle.loads(pickle.dumps(state))
    answers = [
        [logits for _, _, logits in predictor.propagate_in_video(one)] for one in (state, twin)
    ]

    assert len(answers[0]) == 4
    assert all(map(torch.equal, *answers))


def test_offloaded_memories_are_stored_on_the_cpu(predictor):
    state = predictor.init_state(fake_clip(3), offload_state_to_cpu=True)

    assert state["storage_device"] == torch.device("cpu")
    assert (state["offload_video_to_cpu"], state["offload_state_to_cpu"]) == (False, True)


def test_it_tells_what_it_is(state):
    assert repr(state) == "VideoState(8 frames, objects [11, 5])"
    assert "non_cond_frame_outputs" in repr(state["output_dict_per_obj"])
