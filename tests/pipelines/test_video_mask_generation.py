"""Everything in a video in one call."""

import json

import numpy as np
import pytest

from sam2_hf import (
    FrameError,
    MaskGenerationPipeline,
    PromptError,
    Sam2Model,
    SessionError,
    VideoError,
    VideoMaskGenerationPipeline,
    VideoSegmentation,
    pipeline,
)
from sam2_hf.errors import OptionError
from sam2_hf.everything.everything_tracker import EverythingTracker
from sam2_hf.pipelines.video_mask_generation import GeneratedKeyFrameMasks
from tests.video.transformers_usage import SIZE, clip

QUICK = {"points_per_side": 3, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}


@pytest.fixture
def generate(tiny_video_model):
    """The pipeline, with few clicks and no thresholds."""
    return VideoMaskGenerationPipeline(
        tiny_video_model, key_frame_every=3, max_objects=4, scene_cuts=False, **QUICK
    )


def test_masks_of_a_key_frame_are_those_of_the_photo_pipeline(generate, tiny_video_model):
    picture = clip()[0]
    photo = MaskGenerationPipeline(Sam2Model.from_video_model(tiny_video_model), **QUICK)(picture)

    found = generate.finder()(0, picture)

    assert len(found) == len(photo) > 0
    for mask, expected in zip(found, photo, strict=True):
        np.testing.assert_array_equal(mask.mask(), expected.segmentation)
        assert (mask.area, mask.quality) == (expected.area, expected.predicted_iou)


def test_a_video_gives_masklets_of_all_its_objects(generate):
    seen = []
    found = generate(clip(), on_progress=lambda done, total: seen.append((done, total)))

    assert isinstance(found, VideoSegmentation)
    assert found.frames == [*range(8)]
    assert found.size == SIZE
    assert found.object_ids[0] == 1
    assert found.scene_cuts == ()
    assert seen == [(n, 8) for n in range(1, 9)]
    for masklet in found.masklets.values():
        assert masklet.frames


def test_a_stream_gives_the_same_masks_frame_by_frame(generate):
    found = generate(clip())

    for result in generate.stream(iter(clip())):
        masks = found.masks(result.frame)
        assert set(result.object_ids) == set(masks)
        for number, mask in result.masks.items():
            np.testing.assert_array_equal(mask, masks[number])


def test_a_stream_keeps_a_window_of_memories(generate):
    tracker = generate.open(clip(40), key_frame_every=10)
    held = [tracker.session.bytes_held() for _ in tracker.run()]

    assert tracker.session.options.keep == "window"
    assert held[-1].ram <= 1.3 * held[34].ram


def test_panoptic_masks_share_no_pixel_and_overlapping_ones_may(generate):
    for result in generate.stream(clip(), layout="panoptic"):
        assert sum(mask.astype(int) for mask in result.masks.values()).max() <= 1

    assert any(
        sum(mask.astype(int) for mask in result.masks.values()).max() > 1
        for result in generate.stream(clip(), min_new_share=0.0, duplicate_iou=1.0)
    )


def test_results_can_be_written_as_those_of_prompts(generate, tmp_path):
    found = generate(clip())

    found.save(tmp_path / "masks", "davis")
    coco = json.loads(found.save(tmp_path / "clip.json").read_text())

    assert len(list((tmp_path / "masks").glob("*.png"))) == 8
    assert [category["name"] for category in coco["categories"]]
    assert len(coco["annotations"]) == len(found.object_ids)


def test_a_video_in_which_nothing_is_found_has_all_frames_and_no_masklets(generate, tmp_path):
    found = generate(clip(), pred_iou_thresh=1.0)

    assert (found.object_ids, found.frames) == ((), [*range(8)])
    assert found.masks(3) == {}
    assert len(found.on_frame(3).found_objects()) == 0
    assert found.frames_to_review == []
    found.save(tmp_path / "masks", "davis")
    assert len(list((tmp_path / "masks").glob("*.png"))) == 8


def test_an_unreadable_frame_keeps_what_was_found_before_it(generate):
    frames = [*clip()[:5], np.zeros((3, 3, 3), np.uint8), *clip()[6:]]

    with pytest.raises(FrameError, match="frame 5") as caught:
        generate(frames)

    tracked = caught.value.tracked
    assert tracked.frames == [*range(5)]
    assert tracked.object_ids


def test_a_video_without_frames_is_refused(generate):
    for empty in ([], iter([])):
        with pytest.raises(VideoError):
            generate(empty)


def test_options_are_checked_before_a_model_is_loaded(tiny_video_model):
    for error, options in (
        (OptionError, {"key_frames_every": 3}),
        (OptionError, {"keep": "all"}),
        (OptionError, {"output_mode": "coco_rle"}),
        (PromptError, {"key_frame_every": 0}),
        (PromptError, {"layout": "flat"}),
        (PromptError, {"match_iou": 1.5}),
        (PromptError, {"scene_cuts": 1}),
        (PromptError, {"points_per_side": 0}),
        (SessionError, {"ram_budget": -1}),
    ):
        with pytest.raises(error):
            pipeline("video-mask-generation", model="no/such-model", **options)
        with pytest.raises(error):
            VideoMaskGenerationPipeline(tiny_video_model, **options)


def test_the_task_makes_this_pipeline(tiny_video_model):
    made = pipeline("video-mask-generation", model=tiny_video_model, key_frame_every=5, **QUICK)

    assert isinstance(made, VideoMaskGenerationPipeline)
    assert made.task == "video-mask-generation"
    assert made.options.key_frame_every == 5
    assert made.generator_options == QUICK


def test_names_of_transformers_reach_the_generator(tiny_video_model):
    made = VideoMaskGenerationPipeline(tiny_video_model, points_per_crop=3)

    assert isinstance(made.finder(), GeneratedKeyFrameMasks)
    assert made.finder()._generate.options.points_per_side == 3


def test_an_opened_tracker_can_be_run_step_by_step(generate):
    tracker = generate.open(clip())

    assert isinstance(tracker, EverythingTracker)
    assert next(tracker.run()).frame == 0
    assert tracker.state.frame == 1
