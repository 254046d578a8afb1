"""The original's video predictor: its calls, on a model whose answers can be foretold."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf.errors import (
    FrameError,
    NoPromptError,
    OptionError,
    PromptError,
    SessionError,
    UnknownObjectError,
    VideoError,
)
from sam2_hf.masks import suppress_overlaps
from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor, SAM2VideoPredictorVOS
from sam2_hf.video.session_options import SessionOptions
from tests.drawn_video import drawn_video_model, noise_clip
from tests.fakes import SIDE, FakeModel, center_of, fake_clip, picture
from tests.video.clip_files import LOSSLESS, write_clip

OFFICIAL = SessionOptions.preset("official")
NOTHING = -1024.0


def predictor_on(num_frames=8, model=None, options=None):
    predictor = SAM2VideoPredictor(model or FakeModel(), options)
    return predictor, predictor.init_state(fake_clip(num_frames))


def click(predictor, state, frame, number, xy, label=1, **more):
    return predictor.add_new_points_or_box(state, frame, number, [xy], [label], **more)


def center(logits_1hw):
    return center_of(logits_1hw[0].numpy() > 0)


def path(answers, row=0):
    return {frame: center(logits[row]) for frame, _, logits in answers}


def test_an_answer_is_frame_ids_and_logits_of_all_objects_at_video_size():
    predictor, state = predictor_on()
    click(predictor, state, 0, 7, (20, 20))

    frame, ids, logits = click(predictor, state, 2, 3, (40, 30))

    assert (frame, ids) == (2, [7, 3])
    assert logits.shape == (2, 1, SIDE, SIDE)
    assert logits.dtype == torch.float32
    assert (logits[0] == NOTHING).all()  # object 7 has no answer on frame 2
    assert center(logits[1]) == (40, 30)


def test_points_take_the_place_of_old_ones_or_join_them():
    predictor, state = predictor_on()
    click(predictor, state, 0, 1, (20, 20))

    _, _, joined = click(predictor, state, 0, 1, (40, 20), clear_old_points=False)
    assert state["point_inputs_per_obj"][0][0]["point_coords"].shape == (1, 2, 2)
    _, _, replaced = click(predictor, state, 0, 1, (40, 20))

    assert state["point_inputs_per_obj"][0][0]["point_coords"].tolist() == [[[40.0, 20.0]]]
    assert center(joined[0])[0] < center(replaced[0])[0]


@pytest.mark.parametrize(
    "box", [[10, 20, 30, 40], np.array([[10, 20], [30, 40]]), torch.tensor([[10.0, 20, 30, 40]])]
)
def test_a_box_may_have_any_shape_and_join_clicks(box):
    predictor, state = predictor_on()
    click(predictor, state, 0, 1, (25, 25))

    predictor.add_new_points_or_box(state, 0, 1, box=box, clear_old_points=False)

    inputs = state["point_inputs_per_obj"][0][0]
    assert inputs["point_coords"].tolist() == [[[10, 20], [30, 40], [25, 25]]]
    assert inputs["point_labels"].tolist() == [[2, 3, 1]]


def test_points_may_be_the_corners_of_a_box():
    predictor, state = predictor_on()

    predictor.add_new_points(state, 0, 1, points=[[10, 20], [30, 40]], labels=[2, 3])

    assert state["point_inputs_per_obj"][0][0]["point_labels"].tolist() == [[2, 3]]


def test_coordinates_that_are_not_to_be_normalized_go_from_0_to_1():
    predictor, state = predictor_on()

    _, _, logits = click(predictor, state, 0, 1, (0.25, 0.5), normalize_coords=False)

    assert center(logits[0]) == (SIDE // 4, SIDE // 2)


@pytest.mark.parametrize(
    "mask",
    [
        np.kron(np.eye(4)[[0]] * np.eye(4)[[0]].T, np.ones((8, 8))) > 0,  # 32 x 32, boolean
        torch.eye(1).expand(16, 16),
        [[255, 0], [0, 0]],
    ],
)
def test_a_mask_may_have_any_size(mask):
    predictor, state = predictor_on()

    _, ids, logits = predictor.add_new_mask(state, 0, 1, mask)

    assert ids == [1]
    assert bool(logits[0, 0, 2, 2] > 0)
    assert 1 in state["obj_id_to_idx"]
    assert state["mask_inputs_per_obj"][0][0].shape == (1, 1, SIDE, SIDE)


def test_a_mask_replaces_clicks_and_clicks_a_mask():
    predictor, state = predictor_on()
    click(predictor, state, 0, 1, (20, 20))

    predictor.add_new_mask(state, 0, 1, np.ones((SIDE, SIDE), bool))
    assert not state["point_inputs_per_obj"][0]
    click(predictor, state, 0, 1, (20, 20), clear_old_points=False)

    assert not state["mask_inputs_per_obj"][0]


def test_all_frames_from_the_first_prompted_one_are_tracked():
    predictor, state = predictor_on()
    click(predictor, state, 3, 1, (20, 20))
    click(predictor, state, 2, 2, (40, 30))

    answers = list(predictor.propagate_in_video(state))

    assert [frame for frame, _, _ in answers] == [2, 3, 4, 5, 6, 7]
    assert all(ids == [1, 2] and logits.shape[0] == 2 for _, ids, logits in answers)


@pytest.mark.parametrize(
    ("arguments", "frames"),
    [
        ({"max_frame_num_to_track": 2}, [1, 2, 3]),
        ({"start_frame_idx": 4, "max_frame_num_to_track": 0}, [4]),
        ({"start_frame_idx": 3, "max_frame_num_to_track": 2, "reverse": True}, [3, 2, 1]),
        ({"reverse": True}, [1, 0]),  # from the earliest prompted frame, not the last
        ({"start_frame_idx": 0, "reverse": True}, []),
        ({"start_frame_idx": 6, "max_frame_num_to_track": 99}, [6, 7]),
    ],
)
def test_a_number_of_frames_counts_those_after_the_first(arguments, frames):
    predictor, state = predictor_on()
    click(predictor, state, 1, 1, (20, 20))
    click(predictor, state, 5, 1, (24, 20))

    found = [frame for frame, _, _ in predictor.propagate_in_video(state, **arguments)]

    assert found == frames


def test_a_propagation_does_nothing_before_its_first_frame_is_asked_for():
    predictor, state = predictor_on()

    steps = predictor.propagate_in_video(state)
    click(predictor, state, 0, 1, (20, 20))

    assert next(steps)[0] == 0


def test_objects_may_be_added_after_tracking():
    predictor, state = predictor_on()
    click(predictor, state, 0, 1, (20, 20))
    list(predictor.propagate_in_video(state))

    _, ids, logits = click(predictor, state, 4, 9, (30, 40))

    assert ids == [1, 9]
    assert center(logits[0]) == (24, 20)  # what was tracked
    assert path(predictor.propagate_in_video(state), row=1)[6] == (32, 40)


def test_a_correction_stays_unless_the_options_are_the_originals():
    for options, y in ((None, 44), (OFFICIAL, 20)):
        predictor, state = predictor_on(options=options)
        click(predictor, state, 0, 1, (20, 20))
        list(predictor.propagate_in_video(state))

        _, _, logits = click(predictor, state, 4, 1, (24, 44))
        found = path(predictor.propagate_in_video(state))

        assert center(logits[0])[1] > 30
        assert abs(found[4][1] - y) < 10, options


def test_prompts_of_a_frame_can_be_cleared():
    predictor, state = predictor_on()
    click(predictor, state, 0, 1, (20, 20))
    click(predictor, state, 0, 2, (40, 40))

    frame, ids, logits = predictor.clear_all_prompts_in_frame(state, 0, 1)

    assert (frame, ids) == (0, [1, 2])
    assert (logits[0] == NOTHING).all()
    assert center(logits[1]) == (40, 40)
    assert predictor.clear_all_prompts_in_frame(state, 0, 2, need_output=False) is None
    with pytest.raises(NoPromptError, match="object 1 has no prompt"):
        list(predictor.propagate_in_video(state))


def test_removing_an_object_shows_the_others_where_it_was_prompted():
    predictor, state = predictor_on(options=replace(OFFICIAL, non_overlap_masks=True))
    click(predictor, state, 0, 1, (20, 20))
    click(predictor, state, 3, 2, (24, 20))
    click(predictor, state, 0, 2, (26, 20))
    _, _, before = predictor.add_new_mask(state, 5, 2, np.ones((SIDE, SIDE), bool))

    ids, frames = predictor.remove_object(state, 2)

    assert ids == state["obj_ids"] == [1]
    assert [frame for frame, _ in frames] == [0, 3, 5]
    assert [logits.shape for _, logits in frames] == [(1, 1, SIDE, SIDE)] * 3
    assert center(frames[0][1][0]) == (20, 20)
    assert before.shape[0] == 2


def test_removing_the_last_object_resets_the_state():
    predictor, state = predictor_on()
    click(predictor, state, 0, 1, (20, 20))
    list(predictor.propagate_in_video(state))

    assert predictor.remove_object(state, 4) == ([1], [])
    with pytest.raises(UnknownObjectError, match="no object 4"):
        predictor.remove_object(state, 4, strict=True)
    assert predictor.remove_object(state, 1) == ([], [])

    assert state.session.bytes_held().ram == 0
    _, ids, _ = click(predictor, state, 2, 5, (20, 20))
    assert ids == [5]


def test_without_output_removing_shows_nothing():
    predictor, state = predictor_on()
    click(predictor, state, 0, 1, (20, 20))
    click(predictor, state, 0, 2, (40, 20))

    assert predictor.remove_object(state, 1, need_output=False) == ([2], [])


def test_a_reset_state_is_as_new():
    predictor, state = predictor_on()
    click(predictor, state, 0, 1, (20, 20))
    list(predictor.propagate_in_video(state))

    predictor.reset_state(state)

    assert state["obj_ids"] == []
    assert not state["output_dict_per_obj"]
    with pytest.raises(NoPromptError):
        predictor.propagate_in_video_preflight(state)
    click(predictor, state, 1, 1, (30, 20))
    assert path(predictor.propagate_in_video(state))[3] == (32, 20)


def test_a_preflight_remembers_the_prompts_so_far():
    predictor, state = predictor_on()
    click(predictor, state, 0, 1, (20, 20))
    assert not state["output_dict_per_obj"][0]["cond_frame_outputs"]

    predictor.propagate_in_video_preflight(state)

    assert list(state["output_dict_per_obj"][0]["cond_frame_outputs"]) == [0]
    assert not state["frames_tracked_per_obj"][0]


def test_scores_can_be_read_while_frames_come():
    predictor, state = predictor_on(model=FakeModel(gone_on=(3,)))
    click(predictor, state, 0, 1, (20, 20))
    scores = {}

    for frame, _, _ in predictor.propagate_in_video(state):
        output = state["output_dict_per_obj"][0]["non_cond_frame_outputs"].get(frame)
        scores[frame] = None if output is None else output["object_score_logits"].item()

    assert scores[0] is None
    assert scores[2] > 0 > scores[3]


def test_settings_count_from_the_next_call_on():
    predictor, state = predictor_on()
    predictor.fill_hole_area = 0
    click(predictor, state, 0, 1, (20, 20))
    _, _, before = click(predictor, state, 0, 2, (24, 20))

    predictor.non_overlap_masks = True
    _, _, after = predictor._preview(state, 0)

    assert ((before > 0).sum(0) == 2).any()
    assert not ((after > 0).sum(0) == 2).any()
    assert state.session.options.fill_hole_area == 0
    assert torch.equal(after, predictor._apply_non_overlapping_constraints(before))
    assert torch.equal(after, suppress_overlaps(before))


def test_offloading_changes_no_answer():
    model, answers = drawn_video_model(), []
    for flags in ((False, False, False), (True, True, True)):
        predictor = SAM2VideoPredictor(model)
        state = predictor.init_state(noise_clip(4), *flags)
        click(predictor, state, 0, 1, (30, 20))
        answers.append([logits for _, _, logits in predictor.propagate_in_video(state)])

    assert all(map(torch.equal, *answers))


def test_inference_mode_around_the_calls_is_allowed():
    predictor = SAM2VideoPredictor(drawn_video_model())
    with torch.inference_mode():
        state = predictor.init_state(noise_clip(4))
        click(predictor, state, 0, 1, (30, 20))
        inside = [logits for _, _, logits in predictor.propagate_in_video(state)]
    click(predictor, state, 2, 1, (40, 30))  # and may end in between

    assert len(inside) == 4
    assert len(list(predictor.propagate_in_video(state))) == 4


@pytest.mark.parametrize("kind", ["array", "tensor", "list", "iterator", "mp4", "folder"])
def test_videos_of_every_kind_can_be_opened(kind, tmp_path):
    clip = fake_clip(6)
    given = {
        "array": lambda: clip,
        "tensor": lambda: torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255,
        "list": lambda: list(clip),
        "iterator": lambda: iter(clip),
        "mp4": lambda: str(write_clip(tmp_path / "clip.mp4", clip, **LOSSLESS)),
        "folder": lambda: str(write_pictures(tmp_path / "pictures", clip)),
    }[kind]()
    predictor = SAM2VideoPredictor(FakeModel())

    state = predictor.init_state(given)
    click(predictor, state, 0, 1, (20, 20))

    assert path(predictor.propagate_in_video(state))[5] == (25, 20)


def write_pictures(folder, clip):
    """Pictures of names that are no numbers."""
    folder.mkdir()
    for number, frame in enumerate(clip):
        Image.fromarray(frame).save(folder / f"shot_{number:02d}.png")
    return folder


def test_a_live_stream_is_appended_to_and_tracked_frame_by_frame():
    predictor = SAM2VideoPredictor(FakeModel())
    state = predictor.init_state()
    assert (state["num_frames"], state["video_height"]) == (0, None)

    assert predictor.add_new_frame(state, picture(0)) == 0
    click(predictor, state, 0, 1, (20, 20))
    found = [predictor.infer_single_frame(state, 0)]
    for number in (1, 2):
        frame = predictor.add_new_frame(state, picture(number))
        found.append(predictor.infer_single_frame(state, frame))

    assert path(found) == {0: (20, 20), 1: (21, 20), 2: (22, 20)}
    assert (state["num_frames"], state["video_height"]) == (3, SIDE)


def test_a_stream_forgets_its_frames_and_nothing_happens_to_those_that_are_not_there():
    predictor = SAM2VideoPredictor(FakeModel())
    state = predictor.init_state(None)
    for number in range(40):
        predictor.add_new_frame(state, picture(number))
        if number == 0:
            click(predictor, state, 0, 1, (20, 20))
            click(predictor, state, 0, 2, (40, 20))
        predictor.infer_single_frame(state, number)

    for frame in (0, 40):  # dropped, to come
        with pytest.raises(FrameError, match=str(frame)):
            click(predictor, state, frame, 3, (20, 20))

    assert state["obj_ids"] == [1, 2]
    assert predictor.remove_object(state, 2) == ([1], [])


def test_height_and_width_in_place_of_the_flags_are_those_of_masks_and_prompts():
    predictor = SAM2VideoPredictor(FakeModel())
    frames = torch.from_numpy(fake_clip(4)).permute(0, 3, 1, 2).float() / 255

    state = predictor.init_state(frames, 128, 320, device=torch.device("cpu"))
    _, _, logits = click(predictor, state, 0, 1, (100, 40))

    assert (state["video_height"], state["video_width"]) == (128, 320)
    assert logits.shape == (1, 1, 128, 320)
    assert center(logits[0]) == (100, 40)


def test_a_predictor_is_loaded_by_name_and_has_its_model():
    predictor = SAM2VideoPredictor.from_pretrained("sam2-hiera-micro", apply_postprocessing=False)

    assert predictor.fill_hole_area == 0
    assert predictor.add_all_frames_to_correct_as_cond
    assert predictor.image_size == predictor.model.image_size
    assert predictor.device == predictor.model.device
    assert predictor.eval() is predictor
    assert SAM2VideoPredictorVOS is SAM2VideoPredictor
    with pytest.raises(OptionError, match="SAM2VideoPredictor has no option 'apply_postprocesing'"):
        SAM2VideoPredictor.from_pretrained("sam2-hiera-micro", apply_postprocesing=False)


WRONG_POINTS = [
    ({"points": [[20, 20]]}, "points without labels"),
    ({"labels": [1]}, "points without labels"),
    ({}, "neither points nor a box"),
    ({"points": [[20, 20, 3]], "labels": [1]}, "rows of 2"),
    ({"points": [[20, 20]], "labels": [1, 0]}, "2 label"),
    ({"points": [[20, 20]], "labels": [7]}, "label 7"),
    ({"points": [[20, float("nan")]], "labels": [1]}, "holds nan"),
    ({"points": [[2000, 20]], "labels": [1]}, "far outside"),
    ({"box": [10, 20, 30]}, "rows of 4"),
    ({"box": [[10, 20, 30, 40], [1, 2, 3, 4]]}, "2 boxes"),
    ({"box": [30, 40, 10, 20]}, "ends before it begins"),
    ({"points": "here", "labels": [1]}, "points of object 1"),
]


@pytest.mark.parametrize(("given", "message"), WRONG_POINTS)
def test_points_that_cannot_be_used_are_refused_and_change_nothing(given, message):
    predictor, state = predictor_on()

    with pytest.raises(PromptError, match=message):
        predictor.add_new_points_or_box(state, 0, 1, **given)

    assert state["obj_ids"] == []


def test_other_arguments_that_make_no_sense_are_errors_of_this_package():
    predictor, state = predictor_on()
    click(predictor, state, 0, 1, (20, 20))

    for call, error, message in (
        (lambda: click(predictor, state, 8, 1, (20, 20)), FrameError, "8"),
        (lambda: click(predictor, state, 0, "dog", (20, 20)), PromptError, "object_id is 'dog'"),
        (lambda: click(predictor, {}, 0, 1, (20, 20)), SessionError, "init_state"),
        (lambda: predictor.add_new_mask(state, 0, 1, np.ones((2, 3, 4))), PromptError, "one map"),
        (lambda: list(predictor.propagate_in_video(state, 99)), FrameError, "99"),
        (lambda: list(predictor.propagate_in_video(state, 0, -2)), SessionError, "limit is -1"),
        (lambda: predictor.clear_all_prompts_in_frame(state, 0, 5), UnknownObjectError, "5"),
        (lambda: predictor.init_state(fake_clip(2), "yes"), SessionError, "'yes'"),
        (lambda: predictor.init_state(fake_clip(2), device="meta"), SessionError, "meta"),
        (lambda: predictor.init_state("nowhere.mp4"), VideoError, "nowhere.mp4"),
        (lambda: predictor.add_new_frame(state, picture(0)), SessionError, "video of its own"),
    ):
        with pytest.raises(error, match=message):
            call()
