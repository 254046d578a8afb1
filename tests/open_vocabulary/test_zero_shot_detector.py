"""Detectors of transformers, tiny and with random weights."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf.errors import DetectionError, PromptError
from sam2_hf.open_vocabulary.detection import detect_objects
from sam2_hf.open_vocabulary.zero_shot_detector import ZeroShotDetector

LABELS = ("a dog", "the red cat")
PHOTO = np.random.default_rng(0).integers(0, 255, (60, 120, 3)).astype(np.uint8)


@pytest.fixture(params=["grounding_dino", "owlv2"])
def pair(request):
    """A model with its processor."""
    return request.getfixturevalue(request.param)


def test_detections_are_checked_boxes_with_the_labels_that_were_asked_for(pair):
    detector = ZeroShotDetector(*pair, threshold=0.0, nms_threshold=1.0)

    found = detect_objects(detector, PHOTO, LABELS)

    assert found
    assert {detection.label for detection in found} <= set(LABELS)
    scores = [detection.score for detection in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= x0 < x1 <= 120 and 0 <= y0 < y1 <= 60 for x0, y0, x1, y1 in boxes(found))


def boxes(found):
    return [detection.box for detection in found]


def test_threshold_and_number_limit_what_is_found(pair):
    every = ZeroShotDetector(*pair, threshold=0.0, nms_threshold=1.0).detect(PHOTO, LABELS)
    middle = every[len(every) // 2].score

    sure = ZeroShotDetector(*pair, threshold=middle, nms_threshold=1.0).detect(PHOTO, LABELS)
    first = ZeroShotDetector(*pair, threshold=0.0, max_detections=2).detect(PHOTO, LABELS)

    assert 0 < len(sure) < len(every)
    assert len(first) == 2
    assert first[0] == every[0]


def test_boxes_of_one_object_are_reduced_to_the_best(owlv2):
    every = ZeroShotDetector(*owlv2, threshold=0.0, nms_threshold=1.0).detect(PHOTO, LABELS)

    apart = ZeroShotDetector(*owlv2, threshold=0.0, nms_threshold=0.0).detect(PHOTO, LABELS)

    assert apart[0] == every[0]
    assert 1 < len(apart) < len(every)


def test_a_saved_detector_answers_the_same(pair, tmp_path):
    model, processor = pair
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)

    loaded = ZeroShotDetector.from_pretrained(tmp_path, threshold=0.0, device="cpu")

    expected = ZeroShotDetector(*pair, threshold=0.0).detect(PHOTO, LABELS)
    assert loaded.detect(PHOTO, LABELS) == expected


def test_owlv2_gives_the_boxes_of_its_processor(owlv2):
    model, processor = owlv2
    inputs = processor(images=Image.fromarray(PHOTO), text=[list(LABELS)], return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    (best,) = processor.post_process_grounded_object_detection(
        outputs, threshold=0.0, target_sizes=[(60, 120)]
    )

    found = ZeroShotDetector(*owlv2, threshold=0.0, nms_threshold=1.0).detect(PHOTO, LABELS)

    scores = sorted(best["scores"].tolist(), reverse=True)
    assert all(detection.score in scores for detection in found)
    assert len(found) <= len(scores)  # without those in the padding below a wide photo


def test_grounding_dino_scores_a_label_by_its_own_tokens(grounding_dino):
    model, processor = grounding_dino
    inputs = processor(images=Image.fromarray(PHOTO), text=[list(LABELS)], return_tensors="pt")
    with torch.no_grad():
        scores_nt = model(**inputs).logits[0].sigmoid()
    # [CLS] a dog . the red cat . [SEP]
    dog_n, cat_n = scores_nt[:, [1, 2]], scores_nt[:, [4, 5, 6]]
    is_dog_n = dog_n.mean(1) >= cat_n.mean(1)
    wanted = torch.where(is_dog_n, dog_n.amax(1), cat_n.amax(1))

    found = ZeroShotDetector(model, processor, threshold=0.0, nms_threshold=1.0)

    by_score = {round(d.score, 5): d.label for d in found.detect(PHOTO, LABELS)}
    assert by_score
    for score, is_dog in zip(wanted.tolist(), is_dog_n.tolist(), strict=True):
        if round(score, 5) in by_score:
            assert by_score[round(score, 5)] == LABELS[0 if is_dog else 1]
    assert by_score.keys() <= {round(score, 5) for score in wanted.tolist()}


def test_a_label_with_a_full_stop_is_one_label(grounding_dino):
    detector = ZeroShotDetector(*grounding_dino, threshold=0.0, nms_threshold=1.0)

    found = detector.detect(PHOTO, ["St. Bernard", "cat?"])

    assert {detection.label for detection in found} <= {"St. Bernard", "cat?"}
    same = detector.detect(PHOTO, ["st bernard", "cat"])
    assert [d.score for d in found] == [d.score for d in same]


def test_more_names_than_the_detector_reads_are_refused(grounding_dino):
    class Short:
        tokenizer = grounding_dino[1].tokenizer

        def __call__(self, images, text, return_tensors):
            return grounding_dino[1](images, text=[text[0][:1]], return_tensors=return_tensors)

    with pytest.raises(PromptError, match="reads 1 of the 2 names"):
        ZeroShotDetector(grounding_dino[0], Short()).detect(PHOTO, LABELS)


def test_a_detector_that_answers_nan_says_so(pair):
    model, processor = pair
    broken = copy.deepcopy(model)
    with torch.no_grad():
        for weight in broken.parameters():
            weight.fill_(float("nan"))

    with pytest.raises(DetectionError, match="NaN"):
        ZeroShotDetector(broken, processor).detect(PHOTO, LABELS)


@pytest.mark.parametrize(
    ("option", "value"),
    [("threshold", 1.5), ("threshold", "high"), ("nms_threshold", -1), ("max_detections", 0)],
)
def test_an_option_out_of_range_is_refused(owlv2, option, value):
    with pytest.raises(PromptError, match=option):
        ZeroShotDetector(*owlv2, **{option: value})
