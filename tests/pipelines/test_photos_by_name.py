"""Names in, masks out: photos and everything-mode, with stand-ins for detector and scorer."""

import numpy as np
import pytest

from sam2_hf import (
    EncodedImage,
    ImageError,
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    PromptError,
    pipeline,
)
from sam2_hf.errors import DetectionError
from tests.stand_in_detector import KnownBoxes, KnownBrightness

DOG, CAT, SMALL = (20, 10, 60, 50), (70, 5, 110, 40), (5, 5, 25, 30)
FOUND = {"a dog": [DOG, SMALL], "a cat": [CAT]}
ALL = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}


@pytest.fixture
def segment(micro_model):
    """The pipeline, with a detector that knows where everything is."""
    return ImageSegmentationPipeline(micro_model, detector=KnownBoxes(FOUND))


def test_what_is_found_by_name_has_the_masks_of_box_prompts(segment, wide):
    found = segment(wide, text=["a dog", "a cat"], multimask=False)

    prompted = segment(wide, boxes=[DOG, CAT, SMALL], multimask=False)
    assert [result.name for result in found] == ["a dog", "a cat", "a dog"]
    assert [result.object_id for result in found] == [1, 2, 3]
    for result, expected in zip(found, prompted, strict=True):
        np.testing.assert_array_equal(result.masks, expected.masks)


def test_names_are_coco_categories_and_the_detectors_score_is_kept(segment, wide):
    coco = segment(wide, text=["a dog", "a cat"]).to_coco()

    names = {row["id"]: row["name"] for row in coco["categories"]}
    assert [names[one["category_id"]] for one in coco["annotations"]] == ["a dog", "a cat", "a dog"]
    scores = [one["detection_score"] for one in coco["annotations"]]
    assert scores == pytest.approx([0.9, 0.9, 0.89])
    assert "detection_score" not in segment(wide, box=DOG).to_coco()["annotations"][0]


def test_a_photo_in_which_nothing_is_found_gives_an_empty_list(segment, wide):
    found = segment(wide, text="a bird")

    assert found == []
    assert found.to_coco()["annotations"] == []
    assert found.picture_size == (60, 120)


def test_one_name_is_looked_for_in_every_photo_of_a_list_and_of_a_stream(segment, wide, tall):
    detector = segment._detector.get()

    several = segment([wide, tall], text="a dog")
    stream = segment((photo for photo in [wide, tall]), text="a dog")

    assert [len(found) for found in several] == [2, 2]
    assert [len(found) for found in stream] == [2, 2]
    assert [labels for _, labels in detector.asked] == [["a dog"]] * 4


def test_an_encoded_photo_is_read_again_and_one_from_a_file_cannot_be(segment, wide, tmp_path):
    encoded = segment.encode(wide)

    found = segment(encoded, text="a dog")

    np.testing.assert_array_equal(found[0].masks, segment(wide, text="a dog")[0].masks)
    loaded = EncodedImage.load(encoded.save(tmp_path / "photo.safetensors"))
    with pytest.raises(ImageError, match="no pixels to look for names in"):
        segment(loaded, text="a dog")


@pytest.mark.parametrize("others", [{"box": DOG}, {"boxes": [DOG]}, {"objects": [{"box": DOG}]}])
def test_names_do_not_go_with_other_prompts(segment, wide, others):
    with pytest.raises(PromptError, match="both text and"):
        segment(wide, text="a dog", **others)


def test_names_and_answers_that_cannot_be_used_are_refused(segment, wide, micro_model):
    with pytest.raises(PromptError, match="twice"):
        segment(wide, text=["a dog", "a dog"])
    with pytest.raises(PromptError, match="text is empty"):
        segment(wide, text=[])
    outside = ImageSegmentationPipeline(micro_model, detector=KnownBoxes({"x": [(200, 0, 300, 9)]}))
    with pytest.raises(DetectionError, match="no area in the picture of 120 x 60"):
        outside(wide, text="x")


def test_a_detector_is_checked_before_weights_are_loaded():
    with pytest.raises(PromptError, match="the detector is 7"):
        pipeline("image-segmentation", "no-such-model", detector=7)
    with pytest.raises(PromptError, match="labels names 'cup' twice"):
        pipeline("mask-generation", "no-such-model", labels=["cup", "cup"])
    with pytest.raises(PromptError, match="the scorer is"):
        pipeline("mask-generation", "no-such-model", scorer=object())


def test_every_mask_of_a_photo_gets_the_label_that_fits_best(micro_model):
    photo = np.zeros((60, 120, 3), np.uint8)
    photo[:, 60:] = 255
    generate = MaskGenerationPipeline(
        micro_model, points_per_side=2, scorer=KnownBrightness(), **ALL
    )

    found = generate(photo, labels=["bright", "dark"])

    plain = generate(photo)
    assert plain.names == {}
    assert [mask.rle for mask in found] == [mask.rle for mask in plain]
    expected = plain.named_by(KnownBrightness(), photo, ["bright", "dark"])
    assert found.names == expected.names
    assert set(found.names.values()) <= {"bright", "dark"}
    annotations = found.to_coco()["annotations"]
    assert all(0 <= one["name_score"] <= 1 for one in annotations if "name" in one)


def test_labels_may_be_given_once_for_all_calls(micro_model, wide):
    generate = MaskGenerationPipeline(
        micro_model, points_per_side=2, scorer=KnownBrightness(), labels=["dark"], **ALL
    )

    (found,) = generate([wide])

    assert set(found.names.values()) == {"dark"}
    assert generate(wide, labels=["bright"]).names.keys() == found.names.keys()
    assert found[1:].name_scores[1] == found.name_scores[2]


def test_a_name_given_by_hand_has_no_score(micro_model, wide):
    generate = MaskGenerationPipeline(micro_model, points_per_side=2, **ALL)

    named = generate(wide).named_by(KnownBrightness(), wide, ["dark"]).named({1: "cup"})

    assert named.names[1] == "cup"
    assert 1 not in named.name_scores
    assert 2 in named.name_scores
