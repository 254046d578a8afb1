"""The check of an export: what it compares, and that it notices another model."""

import copy

import pytest
import torch

from sam2_hf.export.parity import Parity, measure_parity, moving_shapes


def test_a_model_is_equal_to_itself(tiny_video_model):
    rows = list(measure_parity(tiny_video_model, tiny_video_model))

    assert [row.work for row in rows] == [
        "encode a picture",
        "one click",
        "a frame of 10, 2 objects",
    ]
    for row in rows:
        assert (row.difference, row.mean_iou, row.least_iou) == (0.0, 1.0, 1.0)
        assert row.is_equal
        assert min(row.model_seconds, row.graph_seconds) > 0


def test_another_model_is_noticed(tiny_video_model):
    other = copy.deepcopy(tiny_video_model)
    with torch.no_grad():
        other.mask_decoder.output_hypernetworks_mlps[1].proj_out.bias.add_(0.5)

    rows = list(measure_parity(tiny_video_model, other))

    assert rows[0].is_equal
    assert not rows[1].is_equal


@pytest.mark.parametrize(("difference", "least"), [(0.02, 1.0), (0.0, 0.99)])
def test_a_difference_of_logits_or_masks_is_one(difference, least):
    assert not Parity("work", difference, 1.0, least, 1.0, 1.0).is_equal


def test_the_clip_is_the_same_each_time():
    assert (moving_shapes(3) == moving_shapes(3)).all()
    assert moving_shapes(2).shape == (2, 180, 240, 3)
