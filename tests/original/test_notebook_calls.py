"""The calls of the original's notebooks for photos, in their order, on the bundled small model."""

import numpy as np
import pytest
from PIL import Image

from sam2_hf.original.automatic_mask_generator import SAM2AutomaticMaskGenerator
from sam2_hf.original.build_sam import build_sam2
from sam2_hf.original.sam2_image_predictor import SAM2ImagePredictor

MICRO = "sam2-hiera-micro"
BOXES = np.array([[5, 5, 190, 140], [20, 30, 90, 95], [100, 60, 180, 98], [0, 0, 40, 40]])


@pytest.fixture
def picture(photo, tmp_path):
    """An RGB array out of a file."""
    Image.fromarray(photo).save(tmp_path / "photo.png")
    return np.array(Image.open(tmp_path / "photo.png").convert("RGB"))


def test_a_photo_is_clicked_corrected_and_boxed(picture):
    predictor = SAM2ImagePredictor(build_sam2(MICRO, MICRO, device="cpu"))
    predictor.set_image(picture)
    assert predictor._features["image_embed"][-1].shape == (128, 16, 16)

    point, label = np.array([[50, 40]]), np.array([1])
    masks, scores, logits = predictor.predict(
        point_coords=point, point_labels=label, multimask_output=True
    )
    order = np.argsort(scores)[::-1]
    masks, scores, logits = masks[order], scores[order], logits[order]
    assert masks.shape == (3, 150, 200)

    for second in (1, 0):
        masks, scores, _ = predictor.predict(
            point_coords=np.array([[50, 40], [120, 90]]),
            point_labels=np.array([1, second]),
            mask_input=logits[np.argmax(scores), :, :][None, :, :],
            multimask_output=False,
        )
        assert masks.shape == (1, 150, 200)

    box = np.array([20, 30, 90, 120])
    masks, scores, _ = predictor.predict(
        point_coords=None, point_labels=None, box=box[None, :], multimask_output=False
    )
    masks, scores, logits = predictor.predict(
        point_coords=np.array([[60, 100]]), point_labels=label * 0, box=box, multimask_output=False
    )
    assert masks.astype(np.uint8).max() <= 1

    masks, scores, _ = predictor.predict(
        point_coords=None, point_labels=None, box=BOXES, multimask_output=False
    )
    assert [mask.squeeze(0).shape for mask in masks] == [(150, 200)] * 4


def test_a_batch_of_photos_is_boxed_and_clicked(picture):
    predictor = SAM2ImagePredictor(build_sam2(MICRO, MICRO, device="cpu"))
    predictor.set_image(picture)

    predictor.set_image_batch([picture, picture[:100]])
    masks_batch, _, _ = predictor.predict_batch(
        None, None, box_batch=[BOXES, BOXES[1:3]], multimask_output=False
    )
    assert [masks.shape for masks in masks_batch] == [(4, 1, 150, 200), (2, 1, 100, 200)]
    points = [np.array([[[50, 40]], [[120, 90]]]), np.array([[[40, 30]], [[63, 30]]])]
    masks_batch, scores_batch, _ = predictor.predict_batch(
        points, [np.array([[1], [1]])] * 2, box_batch=None, multimask_output=True
    )
    best = [
        masks[range(len(masks)), np.argmax(scores, axis=-1)]
        for masks, scores in zip(masks_batch, scores_batch, strict=True)
    ]
    assert [masks.shape for masks in best] == [(2, 150, 200), (2, 100, 200)]


def test_everything_is_found_with_two_sets_of_options(picture):
    model = build_sam2(MICRO, MICRO, device="cpu", apply_postprocessing=False)
    loose = {"pred_iou_thresh": 0.3, "stability_score_thresh": 0.1}  # the small model is unsure

    masks = SAM2AutomaticMaskGenerator(model, **loose).generate(picture)
    more = SAM2AutomaticMaskGenerator(
        model=model,
        points_per_side=8,
        points_per_batch=16,
        stability_score_offset=0.7,
        crop_n_layers=1,
        box_nms_thresh=0.7,
        crop_n_points_downscale_factor=2,
        min_mask_region_area=25.0,
        use_m2m=True,
        **loose,
    ).generate(picture)

    assert masks[0].keys() == more[0].keys()
    by_area = sorted(masks, key=lambda record: record["area"], reverse=True)
    colored = np.ones((*by_area[0]["segmentation"].shape, 4))
    for record in by_area:
        colored[record["segmentation"]] = (0.1, 0.2, 0.3, 0.5)
    assert (colored[..., 3] == 0.5).any()
