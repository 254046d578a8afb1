"""Results by attribute and by name."""

from collections.abc import Mapping

import numpy as np
import pytest

from sam2_hf.pipelines.image_prompts import SegmentationResult


@pytest.fixture
def result():
    return SegmentationResult(
        masks=np.zeros((3, 4, 5), bool),
        scores=np.array([0.1, 0.9, 0.3], np.float32),
        low_res_logits=np.zeros((3, 2, 2), np.float32),
        object_score=4.0,
    )


def test_attributes_are_items_too(result):
    assert isinstance(result, Mapping)
    assert result["masks"] is result.masks
    assert list(result) == ["masks", "scores", "low_res_logits", "object_score"]
    assert len(result) == 4
    assert dict(**result) == dict(result.items())
    assert result.get("best_of_all") is None


def test_a_field_that_is_not_there_is_named(result):
    with pytest.raises(KeyError, match=r"there is no 'mask'. Choose from: masks, scores"):
        result["mask"]


def test_results_are_compared_by_identity(result):
    assert result == result
    assert len({result, result}) == 1
