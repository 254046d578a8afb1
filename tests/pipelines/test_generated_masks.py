"""What everything-mode hands out."""

import json

import numpy as np
import pytest

from sam2_hf import GeneratedMask, GeneratedMasks
from sam2_hf.pipelines.everything_options import EverythingOptions
from sam2_hf.rle import encode, from_coco

SIZE = (6, 8)
FIELDS = {
    "segmentation",
    "area",
    "bbox",
    "predicted_iou",
    "point_coords",
    "stability_score",
    "crop_box",
}


def mask_at(left):
    pixels = np.zeros(SIZE, bool)
    pixels[1:4, left : left + 3] = True
    return GeneratedMask(
        rle=encode(pixels),
        area=9,
        bbox=(float(left), 1.0, 2.0, 2.0),
        predicted_iou=0.9,
        point_coords=((left + 1.0, 2.0),),
        stability_score=0.97,
        crop_box=(0.0, 0.0, 8.0, 6.0),
    )


def masks(**options):
    return GeneratedMasks([mask_at(0), mask_at(4)], SIZE, EverythingOptions().changed(**options))


def test_it_is_a_sequence_of_records():
    both = masks()

    assert len(both) == 2
    assert [mask.bbox[0] for mask in both] == [0.0, 4.0]
    assert both[-1] is list(both)[1]
    assert len(both[1:]) == 1
    assert "2 masks of a 8 x 6 photo" in repr(both)


def test_a_record_has_the_originals_seven_fields():
    assert set(mask_at(0).as_record()) == FIELDS


@pytest.mark.parametrize("mode", ["binary_mask", "uncompressed_rle", "coco_rle"])
def test_every_output_mode_holds_the_same_mask(mode):
    (first, _) = masks(output_mode=mode).as_records()

    segmentation = first["segmentation"]
    if mode == "coco_rle":
        assert json.loads(json.dumps(segmentation)) == segmentation
        segmentation = from_coco(segmentation)
    expected = mask_at(0).segmentation if mode == "binary_mask" else mask_at(0).rle
    assert np.array_equal(segmentation, expected) or segmentation == expected


def test_columns_are_transformers_and_only_those_asked_for():
    plain, full = masks(), masks(output_rle_mask=True, output_bboxes_mask=True)

    assert plain.keys() == ["masks", "scores"]
    assert full.keys() == ["masks", "scores", "rle_mask", "bounding_boxes"]
    assert full["bounding_boxes"].tolist() == [[0, 1, 2, 3], [4, 1, 6, 3]]
    assert full["scores"].tolist() == pytest.approx([0.9, 0.9])
    assert full["masks"][1][2, 5]
    with pytest.raises(KeyError, match="there is no 'rle_mask'"):
        plain["rle_mask"]


def test_no_masks_are_fine():
    none = GeneratedMasks([], SIZE, EverythingOptions().changed(output_bboxes_mask=True))

    assert none.as_records() == []
    assert none["bounding_boxes"].shape == (0, 4)


def test_columns_are_read_as_from_a_mapping():
    """As `dict`s of transformers' pipeline are: `.get`, `.items()`, `**`; also as attributes."""
    found = masks(output_rle_mask=True)

    assert dict(**found).keys() == dict(found.items()).keys() == {"masks", "scores", "rle_mask"}
    assert [len(column) for column in found.values()] == [2, 2, 2]
    assert np.array_equal(found.get("masks")[1], found.masks[1])
    assert found.get("bounding_boxes") is None
    assert found.get("bounding_boxes", 3) == 3
    assert found.scores.tolist() == found["scores"].tolist()


def test_masks_can_be_drawn_one_at_a_time():
    found = masks()

    one_by_one = found.segmentations

    assert len(one_by_one) == 2
    assert all(np.array_equal(a, b) for a, b in zip(one_by_one, found.masks, strict=True))
    assert np.array_equal(one_by_one[1:][0], found.masks[1])
    assert one_by_one[0] is not one_by_one[0]
