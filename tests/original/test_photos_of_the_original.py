"""The adapters and the original itself, called alike, on equal weights.

pytest --original CHECKOUT tests/original/test_photos_of_the_original.py
"""

import numpy as np
import pytest
import torch
from original_predictor import MICRO
from PIL import Image
from seeded_inputs import photo
from seeded_weights import fill

from sam2_hf.original.automatic_mask_generator import SAM2AutomaticMaskGenerator
from sam2_hf.original.build_sam import build_sam2
from sam2_hf.original.sam2_image_predictor import SAM2ImagePredictor
from tests.original.original_peer import OriginalPeer

pytestmark = pytest.mark.filterwarnings("ignore")  # of other packages

CONFIG = "configs/sam2.1/sam2.1_hiera_t.yaml"
LOGITS, SCORES = 1e-3, 1e-4
CASES = {
    "a click": {"point_coords": np.array([[500, 375]]), "point_labels": np.array([1])},
    "two clicks": {
        "point_coords": [[500, 375], [625, 125]],
        "point_labels": [1, 0],
        "multimask_output": False,
    },
    "a box": {"box": np.array([425, 100, 700, 475]), "multimask_output": False},
    "a box and a click": {
        "point_coords": [[575, 250]],
        "point_labels": [0],
        "box": np.array([425, 100, 700, 475]),
    },
    "boxes": {
        "box": np.array([[75, 75, 725, 450], [425, 100, 700, 475], [10, 20, 30, 40]]),
        "multimask_output": False,
    },
    "objects": {
        "point_coords": np.array([[[500, 375], [0, 0]], [[650, 150], [300, 200]]]),
        "point_labels": np.array([[1, -1], [1, 0]]),
    },
    "no point": {"point_coords": [[0, 0]], "point_labels": [-1]},
    "corners as points": {"point_coords": [[425, 100], [700, 475]], "point_labels": [2, 3]},
    "shares": {
        "point_coords": [[0.5, 0.25]],
        "point_labels": [1],
        "box": [0.1, 0.1, 0.9, 0.7],
        "normalize_coords": False,
    },
    "logits": {"point_coords": [[500, 375]], "point_labels": [1], "return_logits": True},
}


@pytest.fixture(scope="module", params=["micro", "tiny"])
def pair(original: OriginalPeer, request, tmp_path_factory):
    """Both models, from one checkpoint and one list of overrides."""
    overrides = MICRO if request.param == "micro" else []
    theirs = original.build_sam.build_sam2(
        CONFIG, None, device="cpu", hydra_overrides_extra=overrides
    )
    shapes = {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    weights = {name: torch.from_numpy(array) for name, array in fill(shapes).items()}
    theirs.load_state_dict(weights)
    path = tmp_path_factory.mktemp("weights") / "seeded.pt"
    torch.save({"model": weights}, path)
    ours = build_sam2(CONFIG, path, device="cpu", hydra_overrides_extra=overrides)
    ours.fast = False  # these weights amplify another order of summation
    return ours, theirs


@pytest.fixture(scope="module")
def predictors(pair, original):
    ours, theirs = pair
    found = SAM2ImagePredictor(ours), original.image_predictor(theirs)
    for predictor in found:
        predictor.set_image(photo(534, 800, 2))
    return found


def assert_same(ours, theirs, logits=LOGITS):
    (masks, scores, low), (their_masks, their_scores, their_low) = ours, theirs
    assert (masks.dtype, low.dtype) == (their_masks.dtype, their_low.dtype)
    assert (masks.shape, scores.shape, low.shape) == (
        their_masks.shape,
        their_scores.shape,
        their_low.shape,
    )
    np.testing.assert_allclose(scores, their_scores, rtol=0, atol=SCORES)
    np.testing.assert_allclose(low, their_low, rtol=0, atol=logits)
    if set(np.unique(their_masks)) <= {0.0, 1.0}:
        assert (masks != their_masks).mean() <= 1e-4
    else:
        np.testing.assert_allclose(masks, their_masks, rtol=0, atol=logits)


@pytest.mark.parametrize("name", CASES)
def test_a_prompt_gets_the_same_answer(predictors, name):
    ours, theirs = (predictor.predict(**CASES[name]) for predictor in predictors)

    assert_same(ours, theirs)


@pytest.mark.parametrize("with_click", [True, False])
def test_an_earlier_answer_as_a_prompt_gets_the_same_answer(predictors, with_click):
    click = CASES["a click"] if with_click else {}
    _, scores, logits = predictors[1].predict(**CASES["a click"])
    mask = logits[np.argmax(scores)][None]

    ours, theirs = (
        predictor.predict(mask_input=mask, multimask_output=False, **click)
        for predictor in predictors
    )

    assert_same(ours, theirs)


@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_holes_and_speckles_are_cleaned_alike(pair, original, threshold):
    options = {"mask_threshold": threshold, "max_hole_area": 30, "max_sprinkle_area": 20}
    ours, theirs = (
        SAM2ImagePredictor(pair[0], **options),
        original.image_predictor(pair[1], **options),
    )
    for predictor in (ours, theirs):
        predictor.set_image(photo(150, 200, 3))

    answers = [
        predictor.predict([[100, 75]], [1], return_logits=as_logits)
        for as_logits in (True, False)
        for predictor in (ours, theirs)
    ]

    assert_same(*answers[:2])
    assert_same(*answers[2:])


def test_a_batch_of_photos_is_answered_alike(pair, original):
    ours, theirs = SAM2ImagePredictor(pair[0]), original.image_predictor(pair[1])
    given = {
        "point_coords_batch": [np.array([[[100, 75]], [[50, 20]]]), np.array([[30, 20]])],
        "point_labels_batch": [np.array([[1], [1]]), np.array([1])],
        "box_batch": [np.array([[10, 10, 150, 140], [5, 5, 80, 60]]), None],
    }
    for predictor in (ours, theirs):
        predictor.set_image_batch([photo(150, 200, 3), photo(90, 70, 4)])

    for answers in zip(ours.predict_batch(**given), theirs.predict_batch(**given), strict=True):
        assert [one.shape for one in answers[0]] == [one.shape for one in answers[1]]
    for one in zip(
        zip(*ours.predict_batch(**given), strict=True),
        zip(*theirs.predict_batch(**given), strict=True),
        strict=True,
    ):
        assert_same(*one)


def test_features_are_interchangeable(pair, original):
    """Caches of programs hold what either of them made."""
    ours, theirs = SAM2ImagePredictor(pair[0]), original.image_predictor(pair[1])
    theirs.set_image(Image.fromarray(photo(150, 200, 3)))

    ours._features, ours._orig_hw, ours._is_image_set = theirs._features, theirs._orig_hw, True

    assert_same(ours.predict([[100, 75]], [1]), theirs.predict([[100, 75]], [1]))
    ours.set_image(Image.fromarray(photo(150, 200, 3)))
    assert ours._orig_hw == theirs._orig_hw
    shape = [one.shape for one in ours._features["high_res_feats"]]
    assert shape == [one.shape for one in theirs._features["high_res_feats"]]
    assert (ours.get_image_embedding() - theirs.get_image_embedding()).abs().max() < LOGITS


LOOSE = {  # drawn weights are never confident
    "points_per_side": 4,
    "pred_iou_thresh": 0.30,
    "stability_score_thresh": 0.10,
    "stability_score_offset": 0.3,
    "box_nms_thresh": 0.95,
    "crop_nms_thresh": 0.95,
}
VARIANTS = {
    "plain": {},
    "crops": {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
    "cleaned": {"min_mask_region_area": 25.0},
    "single": {"multimask_output": False},
    "m2m": {"use_m2m": True},
    "own points": {"points_per_side": None, "point_grids": [np.array([[0.5, 0.5], [0.2, 0.7]])]},
    "run lengths": {"output_mode": "coco_rle", "pred_iou_thresh": 0.45},
}


@pytest.mark.parametrize(
    ("pair", "variant"),
    [*(("micro", variant) for variant in VARIANTS), ("tiny", "plain")],
    indirect=["pair"],
)
def test_everything_finds_the_same_masks_in_the_same_order(pair, original, variant):
    options = LOOSE | VARIANTS[variant]
    picture = photo(150, 200, 3)

    ours = SAM2AutomaticMaskGenerator(pair[0], **options).generate(picture)
    theirs = original.mask_generator(pair[1], **options).generate(picture)

    assert len(ours) == len(theirs) > 0
    # decoded a second time, from masks that carry the rounding of the first
    slack = 20 if variant == "m2m" else 1
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in ("bbox", "crop_box", "point_coords"):
            assert one[name] == other[name], name
        assert one["area"] == pytest.approx(other["area"], rel=1e-3 * slack, abs=3 * slack)
        assert one["predicted_iou"] == pytest.approx(other["predicted_iou"], abs=SCORES * slack)
        assert one["stability_score"] == pytest.approx(other["stability_score"], abs=1e-3 * slack)
        assert type(one["segmentation"]) is type(other["segmentation"])
