"""Everything in a photo."""

import numpy as np
import pytest
import torch

from sam2_hf import (
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    PromptError,
    pipeline as pipeline_of,
)
from sam2_hf.pipelines import crop_search, mask_generation
from sam2_hf.pipelines.crop_search import FoundMasks
from sam2_hf.pipelines.point_grid import Crop

ALL = {  # keep every mask of every click
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 1.0,
    "crop_nms_thresh": 1.0,
}
CENTER = {"point_grids": [[[0.5, 0.5]]], **ALL}


@pytest.fixture
def pipeline(micro_model):
    return MaskGenerationPipeline(micro_model, points_per_side=4, **ALL)


def test_thresholds_in_the_models_config_are_its_defaults(micro_model, monkeypatch, tmp_path):
    monkeypatch.setattr(
        micro_model.config, "mask_generation", {"pred_iou_thresh": 0.3}, raising=False
    )
    micro_model.save_pretrained(tmp_path / "saved")

    own = MaskGenerationPipeline(micro_model).options
    given = MaskGenerationPipeline(micro_model, pred_iou_thresh=0.6).options
    loaded = pipeline_of(task="mask-generation", model=tmp_path / "saved").options

    assert [options.pred_iou_thresh for options in (own, given, loaded)] == [0.3, 0.6, 0.3]


def pixels(masks):
    return np.stack([mask.segmentation for mask in masks])


def test_clicks_reach_every_part_of_a_photo_that_is_not_square(pipeline, wide):
    clicks = {mask.point_coords[0] for mask in pipeline(wide)}

    assert clicks == {(x, y) for x in (15, 45, 75, 105) for y in (7.5, 22.5, 37.5, 52.5)}


def test_a_click_gives_the_masks_that_it_gives_when_prompted(micro_model, wide):
    found = MaskGenerationPipeline(micro_model, **CENTER)(wide)

    prompted = ImageSegmentationPipeline(micro_model)(wide, points=(60, 30))

    order = prompted.scores.argsort()[::-1]  # everything-mode sorts by predicted IoU
    np.testing.assert_array_equal(pixels(found), prompted.masks[order])
    assert [mask.predicted_iou for mask in found] == pytest.approx(prompted.scores[order])


def test_single_mask_mode_gives_one_mask_a_click(micro_model, wide):
    (found,) = MaskGenerationPipeline(micro_model, multimask_output=False, **CENTER)(wide)

    prompted = ImageSegmentationPipeline(micro_model)(wide, points=(60, 30), multimask=False)

    np.testing.assert_array_equal(found.segmentation, prompted.best)


def test_m2m_decodes_every_mask_once_more_with_itself_as_a_prompt(micro_model, wide):
    segment = ImageSegmentationPipeline(micro_model)
    first = segment(wide, points=(60, 30))
    again = [
        segment(wide, points=(60, 30), mask=logits, multimask=False)
        for logits in first.low_res_logits
    ]

    found = MaskGenerationPipeline(micro_model, use_m2m=True, **CENTER)(wide)

    again.sort(key=lambda result: -result.best_score)
    differing = pixels(found) != np.stack([result.best for result in again])
    assert differing.mean() < 0.001  # a batch of three is summed in another order
    assert [mask.predicted_iou for mask in found] == pytest.approx(
        [result.best_score for result in again], abs=1e-4
    )


def test_small_holes_and_speckles_go_as_in_the_predictor(micro_model, wide):
    segment = ImageSegmentationPipeline(micro_model, max_hole_area=30, max_sprinkle_area=30)
    expected = segment(wide, points=(60, 30))

    found = MaskGenerationPipeline(micro_model, min_mask_region_area=30, **CENTER)(wide)

    order = expected.scores.argsort()[::-1]
    np.testing.assert_array_equal(pixels(found), expected.masks[order])
    plain = MaskGenerationPipeline(micro_model, **CENTER)(wide)
    assert (pixels(plain) != pixels(found)).any()


def test_the_size_of_a_batch_of_clicks_makes_no_difference(pipeline, wide):
    few, many = pipeline(wide, points_per_batch=3), pipeline(wide, points_per_batch=64)

    assert len(few) == len(many) == 48
    assert [mask.predicted_iou for mask in few] == pytest.approx(
        [mask.predicted_iou for mask in many], abs=1e-4
    )


def test_masks_under_the_iou_gate_are_never_measured(pipeline, wide, monkeypatch):
    scores = sorted(mask.predicted_iou for mask in pipeline(wide))
    measured = []
    measure = crop_search.upsampled_statistics

    def count(logits_mhw, *arguments, **options):
        measured.append(len(logits_mhw))
        return measure(logits_mhw, *arguments, **options)

    monkeypatch.setattr(crop_search, "upsampled_statistics", count)
    found = pipeline(wide, pred_iou_thresh=(scores[-6] + scores[-5]) / 2)

    assert sum(measured) == len(found) == 5


def test_run_lengths_are_made_for_kept_masks_only(pipeline, wide, monkeypatch):
    encoded = []
    encode = mask_generation.run_lengths.encode
    monkeypatch.setattr(
        mask_generation.run_lengths,
        "encode",
        lambda mask_hw: encoded.append(mask_hw) or encode(mask_hw),
    )

    found = pipeline(wide, box_nms_thresh=0.5)

    assert 0 < len(encoded) == len(found) < 48


def test_the_iou_gate_is_strict_and_the_stability_gate_is_not(pipeline, wide):
    best, second = pipeline(wide)[:2]
    stable = sorted((mask.stability_score for mask in pipeline(wide)), reverse=True)

    by_iou = pipeline(wide, pred_iou_thresh=second.predicted_iou)
    by_stability = pipeline(wide, stability_score_thresh=stable[1])

    assert [mask.predicted_iou for mask in by_iou] == [best.predicted_iou]
    assert len(by_stability) == 2


def test_nothing_good_enough_is_an_empty_list(pipeline, wide):
    found = pipeline(wide, pred_iou_thresh=1.0)

    assert len(found) == 0
    assert found["masks"] == []


@pytest.mark.parametrize("use_m2m", [False, True])
def test_nothing_good_enough_in_any_crop_is_an_empty_list(pipeline, wide, use_m2m):
    assert len(pipeline(wide, pred_iou_thresh=1.0, crop_n_layers=1, use_m2m=use_m2m)) == 0


def test_masks_are_sorted_by_predicted_iou(pipeline, wide):
    scores = [mask.predicted_iou for mask in pipeline(wide)]

    assert scores == sorted(scores, reverse=True)


def test_area_and_box_are_those_of_the_mask(pipeline, wide):
    for mask in pipeline(wide):
        rows, columns = np.nonzero(mask.segmentation)
        assert mask.area == len(rows)
        if len(rows):
            x, y = columns.min(), rows.min()
            assert mask.bbox == (x, y, columns.max() - x, rows.max() - y)


def test_masks_of_crops_lie_in_their_crop_and_have_the_photos_size(pipeline, wide):
    found = pipeline(wide, crop_n_layers=1, points_per_side=2)

    assert {mask.segmentation.shape for mask in found} == {(60, 120)}
    for mask in found:
        x, y, width, height = (int(number) for number in mask.crop_box)
        outside = mask.segmentation.copy()
        outside[y : y + height, x : x + width] = False
        assert not outside.any()
        assert x <= mask.point_coords[0][0] <= x + width


def found_masks(*boxes):
    count = len(boxes)
    return FoundMasks(
        logits_mhw=torch.zeros(count, 4, 4),
        iou_m=torch.linspace(0.9, 0.8, count),
        stability_m=torch.ones(count),
        boxes_m4=torch.tensor(boxes).reshape(-1, 4),
        points_m2=torch.zeros(count, 2),
    )


def test_of_the_same_mask_in_two_crops_the_smaller_crops_stays():
    crops = [Crop(0, 0, 100, 100), Crop(0, 0, 60, 60, 1)]
    found = [found_masks([10, 10, 50, 50], [0, 0, 90, 90]), found_masks([10, 10, 50, 51])]

    kept = mask_generation._kept_across_crops(found, crops, iou_threshold=0.7)

    assert kept == [(1, 0), (0, 1)]


def test_a_list_of_photos_is_answered_photo_by_photo(pipeline, wide, tall):
    both = pipeline([wide, tall])

    assert [masks.size for masks in both] == [(60, 120), (100, 70)]
    np.testing.assert_array_equal(pixels(both[1]), pixels(pipeline(tall)))


def test_options_of_a_call_count_for_that_call_alone(pipeline, wide):
    pipeline(wide, points_per_side=1)

    assert len(pipeline(wide)) == 48


def test_transformers_option_names_give_the_same_masks(micro_model, wide):
    ours = MaskGenerationPipeline(micro_model, points_per_side=3, box_nms_thresh=0.9)
    theirs = MaskGenerationPipeline(micro_model, points_per_crop=3)
    loose = {"pred_iou_thresh": 0.1, "stability_score_thresh": 0.0}

    first, second = ours(wide, **loose), theirs(wide, crops_nms_thresh=0.9, **loose)

    assert len(first) > 1
    np.testing.assert_array_equal(pixels(first), pixels(second))


def test_generate_gives_the_originals_records(micro_model, wide):
    pipeline = MaskGenerationPipeline(micro_model, output_mode="coco_rle", **CENTER)

    records = pipeline.generate(wide)

    assert isinstance(records, list)
    assert isinstance(records[0]["segmentation"]["counts"], str)
    assert records[0]["point_coords"] == [[60.0, 30.0]]
    assert records[0]["crop_box"] == [0.0, 0.0, 120.0, 60.0]


def test_progress_counts_the_clicks_of_all_crops(pipeline, wide):
    told = []

    pipeline(
        wide,
        on_progress=lambda done, total: told.append((done, total)),
        points_per_batch=8,
        crop_n_layers=1,
        crop_n_points_downscale_factor=2,
    )

    assert told == [(8, 32), (16, 32), (20, 32), (24, 32), (28, 32), (32, 32)]


def test_unusable_options_are_refused_at_once(micro_model):
    with pytest.raises(TypeError, match="Did you mean points_per_side"):
        MaskGenerationPipeline(micro_model, point_per_side=3)
    with pytest.raises(PromptError, match="points_per_batch is 0"):
        MaskGenerationPipeline(micro_model, points_per_batch=0)
