"""The video processor: sessions and prompts with transformers' arguments."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import (
    PromptError,
    Sam2ImageProcessor,
    Sam2VideoProcessor,
    Sam2VideoVideoProcessor,
    SessionError,
    SessionOptions,
)
from tests.video.transformers_usage import SIZE, add_click, clip, open_clip

SQUARE = {"height": 64, "width": 64}


@pytest.fixture
def session(video_processor):
    """A session on eight frames, without objects."""
    return open_clip(video_processor)


def clicks_of(session, object_id, frame=0):
    return [click.xy for click in session.prompts_of(frame, object_id).clicks]


def test_a_processor_comes_back_from_its_folder(video_processor, tmp_path):
    Sam2VideoProcessor(
        Sam2ImageProcessor(size=SQUARE), Sam2VideoVideoProcessor(size=SQUARE), 64, -7
    ).save_pretrained(tmp_path)

    loaded = Sam2VideoProcessor.from_pretrained(tmp_path)

    assert (loaded.target_size, loaded.point_pad_value) == (64, -7)
    assert type(loaded.image_processor) is Sam2ImageProcessor
    assert (type(loaded.video_processor), loaded.video_processor.side) == (
        Sam2VideoVideoProcessor,
        64,
    )


def test_an_image_processor_that_is_transformers_way_opens_sessions_that_are():
    pictures = Sam2ImageProcessor(size=SQUARE, compat="transformers")
    processor = Sam2VideoProcessor(pictures)

    with processor.init_video_session(clip(2)) as session:
        found = session.get_frame(1)
        chosen = session.options

    assert chosen == SessionOptions.preset("transformers")
    assert torch.equal(found, pictures(clip(2)[1], return_tensors="pt")["pixel_values"][0])
    with processor.init_video_session(clip(2), compat="official") as session:
        assert session.options == SessionOptions.preset("official")


def test_a_video_processor_of_its_own_has_the_image_processors_settings():
    settings = {"size": SQUARE, "image_mean": [0.1, 0.2, 0.3], "do_rescale": False, "resample": 3}

    pictures = Sam2ImageProcessor(**settings)
    made = Sam2VideoProcessor(pictures).video_processor

    for name in settings:
        assert getattr(made, name) == getattr(pictures, name)


def test_the_files_of_the_hubs_checkpoints_load(tmp_path):
    files = {
        "processor_config.json": {
            "processor_class": "Sam2VideoProcessor",
            "target_size": 64,
            "point_pad_value": -10,
        },
        "preprocessor_config.json": {
            "image_processor_type": "Sam2ImageProcessorFast",
            "processor_class": "Sam2VideoProcessor",
            "size": SQUARE,
        },
        "video_preprocessor_config.json": {
            "video_processor_type": "Sam2VideoVideoProcessor",
            "processor_class": "Sam2VideoProcessor",
            "size": SQUARE,
        },
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))

    loaded = Sam2VideoProcessor.from_pretrained(tmp_path)

    sizes = [one.size["height"] for one in (loaded.image_processor, loaded.video_processor)]
    assert [*sizes, loaded.target_size] == [64, 64, 64]


def test_a_video_processor_must_be_one():
    image_processor = Sam2ImageProcessor(size=SQUARE)

    with pytest.raises(TypeError, match="video_processor is a Sam2ImageProcessor"):
        Sam2VideoProcessor(image_processor, image_processor)


def test_single_pictures_are_prepared_as_by_the_image_processor(video_processor):
    inputs = video_processor(images=clip(1)[0], return_tensors="pt")

    assert inputs["pixel_values"].shape == (1, 3, 64, 64)
    assert inputs["original_sizes"].tolist() == [list(SIZE)]


def test_a_session_without_a_video_is_a_stream(video_processor):
    session = video_processor.init_video_session(inference_device="cpu", dtype=torch.bfloat16)

    assert session.frames.is_live
    assert (session.dtype, session.known_size, session.num_frames) == (torch.bfloat16, None, None)


@pytest.mark.parametrize("kind", ["array", "pictures", "files"])
def test_a_video_may_be_whatever_a_session_takes(video_processor, tmp_path, kind):
    frames = clip(3)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    video = {"array": frames, "pictures": [Image.fromarray(f) for f in frames], "files": tmp_path}

    session = video_processor.init_video_session(video[kind])

    assert (session.num_frames, session.video_height, session.video_width) == (3, *SIZE)
    assert torch.equal(session.get_frame(1), open_clip(video_processor).get_frame(1))


@pytest.mark.parametrize("compat", ["sam2_hf", "official", "transformers"])
def test_options_are_those_of_a_preset(video_processor, compat):
    session = open_clip(video_processor, compat=compat, max_vision_features_cache_size=3)

    assert session.options == SessionOptions.preset(compat, cached_features=3)


def test_frames_are_prepared_as_the_preset_says(video_processor):
    ours, theirs = open_clip(video_processor), open_clip(video_processor, compat="transformers")
    whole = video_processor.video_processor(clip())["pixel_values_videos"][0]

    assert torch.equal(theirs.get_frame(5), whole[5])
    assert not torch.equal(ours.get_frame(5), whole[5])


def test_options_are_given_whole_or_one_by_one(video_processor):
    options = SessionOptions(fill_hole_area=0)

    assert open_clip(video_processor, options=options).options is options
    with pytest.raises(SessionError, match="either options or single ones"):
        open_clip(video_processor, options=options, window=64)
    with pytest.raises(SessionError, match="no option 'fill_holes'"):
        open_clip(video_processor, fill_holes=3)


def test_calls_with_other_objects_and_frames_add_up(session, video_processor):
    add_click(video_processor, session, 0, 1)
    add_click(video_processor, session, 0, [2, 3])
    add_click(video_processor, session, 5, 1)

    assert session.obj_ids == session.obj_with_new_inputs == [1, 2, 3]
    assert [len(clicks_of(session, 1, frame)) for frame in (0, 5)] == [1, 1]


@pytest.mark.parametrize(("clears", "count"), [(True, 1), (False, 2)])
def test_old_clicks_are_replaced_or_added_to(session, video_processor, clears, count):
    add_click(video_processor, session, 0, [1, 2])

    add_click(video_processor, session, 0, 1, xy=(50, 30), clear_old_inputs=clears)

    assert clicks_of(session, 1)[-1] == (50.0, 30.0)
    assert [len(clicks_of(session, number)) for number in (1, 2)] == [count, 1]


def test_a_box_stays_when_clicks_are_added(session, video_processor):
    box = [[[10, 12, 40, 30]]]
    video_processor.add_inputs_to_inference_session(session, 0, 1, input_boxes=box)

    add_click(video_processor, session, 0, 1, clear_old_inputs=False)
    both = session.prompts_of(0, 1)
    add_click(video_processor, session, 0, 1)

    assert (both.box, len(both.clicks)) == ((10.0, 12.0, 40.0, 30.0), 1)
    assert session.prompts_of(0, 1).box is None


def test_clicks_after_a_mask_refine_it(session, video_processor, tiny_video_model):
    mask = np.zeros(SIZE, bool)
    mask[:20] = True
    video_processor.add_inputs_to_inference_session(session, 0, 1, input_masks=mask)
    given = tiny_video_model(session, frame_idx=0).pred_masks

    add_click(video_processor, session, 0, 1)
    refined = tiny_video_model(session, frame_idx=0).pred_masks

    assert session.prompts_of(0, 1).mask_hw is None
    assert not torch.equal(refined, given)


def test_a_click_may_say_all_that_tensors_can(session, video_processor):
    points = torch.tensor([[[[30.0, 20.0], [5.0, 5.0], [-10.0, -10.0]]]])

    video_processor.add_inputs_to_inference_session(
        session, 0, torch.tensor([4]), points, torch.tensor([[[1, 0, -10]]])
    )

    assert clicks_of(session, 4) == [(30.0, 20.0), (5.0, 5.0)]


def test_points_without_labels_are_positive(session, video_processor):
    video_processor.add_inputs_to_inference_session(session, 0, 1, input_points=[[[[30, 20]]]])

    assert session.prompts_of(0, 1).clicks[0].positive


def test_places_may_be_measured_in_another_size(session, video_processor):
    add_click(video_processor, session, 0, 1, xy=(60, 40), original_size=(96, 160))

    assert clicks_of(session, 1) == [(30.0, 20.0)]
    assert session.size == SIZE


@pytest.mark.parametrize("size", [SIZE, [*SIZE], torch.tensor(SIZE)])
def test_a_stream_takes_the_size_of_its_first_prompt(video_processor, size):
    stream = video_processor.init_video_session()

    add_click(video_processor, stream, 0, 1, original_size=size)

    assert (stream.video_height, stream.video_width) == SIZE


def test_a_stream_of_unknown_size_cannot_be_clicked(video_processor):
    with pytest.raises(PromptError, match="original_size is missing"):
        add_click(video_processor, video_processor.init_video_session(), 0, 1)


def test_a_mask_may_have_any_size(session, video_processor, tiny_video_model):
    mask = torch.zeros(200, 100)
    mask[:100] = 1

    video_processor.add_inputs_to_inference_session(session, 0, 1, input_masks=[mask])
    logits = tiny_video_model(session, frame_idx=0).pred_masks[0, 0]

    assert logits[:7].min().item() == pytest.approx(10)
    assert logits[9:].max().item() == pytest.approx(-10)


def test_logits_of_an_earlier_answer_may_be_given_back(session, video_processor, tiny_video_model):
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[:20, 10:50] = True
    video_processor.add_inputs_to_inference_session(session, 0, 1, input_masks=mask)
    answer = tiny_video_model(session, frame_idx=0).pred_masks
    (logits,) = video_processor.post_process_masks([answer], [SIZE], binarize=False)

    video_processor.add_inputs_to_inference_session(session, 0, 2, input_masks=logits)
    session.mask(0, 3, logits[0, 0])

    drawn, given, native = (session.prompts_of(0, number).mask_hw for number in (1, 2, 3))
    assert (given != drawn).float().mean() < 0.06  # edges of the low-resolution answer
    assert (native != drawn).float().mean() < 0.06


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "there is no prompt"),
        ({"input_labels": [[[1]]]}, "input_labels came without input_points"),
        ({"input_points": [[[[900, 20]]]]}, "lies outside the picture"),
        ({"input_points": [[[[1, 2]], [[3, 4]]]]}, "prompts for 2 object"),
        ({"input_points": [[[1, 2]]]}, "3 levels of nesting"),
        ({"input_masks": np.ones(SIZE), "input_boxes": [[[1, 2, 3, 4]]]}, "masks came together"),
        ({"input_masks": np.ones((2, *SIZE))}, r"2 mask\(s\) and 1 object"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused_and_nothing_is_added(
    session, video_processor, given, message
):
    with pytest.raises(PromptError, match=message):
        video_processor.add_inputs_to_inference_session(session, 0, 1, **given)

    assert session.obj_ids == []


def test_masks_come_back_at_the_size_of_the_video(session, video_processor, tiny_video_model):
    add_click(video_processor, session, 0, [1, 2])
    output = tiny_video_model(session, frame_idx=0)

    (masks,) = video_processor.post_process_masks([output.pred_masks], [SIZE])
    (apart,) = video_processor.post_process_masks(
        [output.pred_masks], [SIZE], apply_non_overlapping_constraints=True
    )

    assert (masks.shape, masks.dtype) == ((2, 1, *SIZE), torch.bool)
    assert np.array_equal(masks[0, 0], session.masklet(1).mask(0))
    assert not apart.all(dim=0).any()
