"""What applications do with the original's names for photos, read in their source and done alike.

Each test names the application and the file that was read; the calls, their order and the
attributes that are read and written are its own.
"""

import copy

import numpy as np
import pytest
import torch
from PIL import Image

import sam2_hf.original
from sam2_hf.original.automatic_mask_generator import SAM2AutomaticMaskGenerator
from sam2_hf.original.build_sam import build_sam2
from sam2_hf.original.sam2_image_predictor import SAM2ImagePredictor
from tests.hidden_original import hidden_original

MICRO = "sam2-hiera-micro"
HEIGHT, WIDTH = 90, 140


@pytest.fixture(scope="module")
def model():
    return build_sam2(MICRO, MICRO, device="cpu")


@pytest.fixture
def predictor(model):
    return SAM2ImagePredictor(model)


@pytest.fixture(scope="module")
def picture():
    """A picture with a disc on it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disc = (y - 45) ** 2 + (x - 70) ** 2 < 30**2
    return np.where(disc[..., None], (220, 60, 40), (30, 90, 50)).astype(np.uint8)


@pytest.fixture
def _named_sam2():
    with hidden_original():
        sam2_hf.original.install()
        yield


@pytest.mark.parametrize(
    ("clicks", "box"),
    [
        ([[70, 45], [5, 5]], None),
        (None, [30, 10, WIDTH, HEIGHT]),
        ([[70, 45], [5, 5]], [30, 10, WIDTH, HEIGHT]),
    ],
)
def test_label_studio_answers_a_key_point_or_a_rectangle(predictor, picture, clicks, box):
    """label_studio_ml/examples/segment_anything_2_image/model.py: float32 labels, best mask."""
    coords = np.array(clicks, dtype=np.float32) if clicks else None
    labels = np.array([1, 0], dtype=np.float32) if clicks else None

    predictor.set_image(np.array(Image.fromarray(picture).convert("RGB")))
    masks, scores, _ = predictor.predict(
        point_coords=coords,
        point_labels=labels,
        box=np.array(box, dtype=np.float32) if box else None,
        multimask_output=True,
    )
    order = np.argsort(scores)[::-1]
    best, probability = masks[order][0, :, :].astype(np.uint8), float(scores[order][0])

    assert best.shape == (HEIGHT, WIDTH)
    assert set(np.unique(best * 255)) <= {0, 255}
    assert 0 <= probability <= 1


def options_of_samgeo():
    """The arguments samgeo2.py hands to a builder and its class together."""
    return {
        "device": "cpu",
        "mode": "eval",
        "hydra_overrides_extra": [],
        "apply_postprocessing": False,
    }


def test_samgeo_makes_its_generator_with_every_option(picture):
    """samgeo/samgeo2.py: options of builder and generator in one call; a list of records."""
    generator = SAM2AutomaticMaskGenerator.from_pretrained(
        MICRO,
        **options_of_samgeo(),
        points_per_side=6,
        points_per_batch=64,
        pred_iou_thresh=0.2,
        stability_score_thresh=0.05,
        stability_score_offset=1.0,
        mask_threshold=0.0,
        box_nms_thresh=0.7,
        crop_n_layers=0,
        crop_nms_thresh=0.7,
        crop_overlap_ratio=512 / 1500,
        crop_n_points_downscale_factor=1,
        point_grids=None,
        min_mask_region_area=0,
        output_mode="binary_mask",
        use_m2m=False,
        multimask_output=False,
    )

    records = generator.generate(picture)

    by_area = sorted(records, key=lambda record: record["area"])
    assert by_area[0]["segmentation"].shape == (HEIGHT, WIDTH)
    assert all(record["segmentation"].sum() == record["area"] for record in records)


def test_samgeo_asks_about_one_photo_by_points_boxes_and_as_a_batch(picture):
    """samgeo/samgeo2.py: `predict`, then `predict_by_points`, which sets a batch of one photo."""
    predictor = SAM2ImagePredictor.from_pretrained(
        MICRO, **options_of_samgeo(), mask_threshold=0.0, max_hole_area=0.0, max_sprinkle_area=0.0
    )
    predictor.set_image(picture)
    flags = {"multimask_output": False, "return_logits": False, "normalize_coords": True}
    given = {"point_labels": None, "mask_input": None, **flags}
    boxes = np.array([[30, 10, 110, 80], [0, 0, 40, 40]])
    masks, _, _ = predictor.predict(point_coords=None, box=boxes, **given)
    assert masks.shape == (2, 1, HEIGHT, WIDTH)

    predictor.set_image_batch([picture])
    points = np.array([[point] for point in [[70, 45], [10, 10], [120, 80]]])
    masks_batch, _, _ = predictor.predict_batch(
        point_coords_batch=[points],
        point_labels_batch=[np.array([[1] for _ in points])],
        box_batch=None,
        mask_input_batch=None,
        **flags,
    )
    masks = masks_batch[0].squeeze()
    assert np.sum(masks, axis=(1, 2)).shape == (3,)

    masks, scores, _ = predictor.predict(
        point_coords=np.array([[70, 45]]), box=None, **given | {"point_labels": np.array([1])}
    )
    assert masks.shape == (1, HEIGHT, WIDTH)
    assert scores.shape == (1,)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_grounded_sam_2_segments_the_boxes_of_a_detector(predictor, picture, count, multimask):
    """grounded_sam2_local_demo.py: autocast for good, `(n, 4)` boxes over the edge, best mask."""
    boxes = np.array([[-0.4, -0.2, WIDTH + 0.3, HEIGHT], [30, 15, 100, 75], [5, 5, 20, 20]])
    predictor.set_image(picture)

    with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
        masks, scores, _ = predictor.predict(
            point_coords=None,
            point_labels=None,
            box=boxes[:count].astype(np.float32),
            multimask_output=multimask,
        )
    if multimask and count > 1:
        masks = masks[np.arange(masks.shape[0]), np.argmax(scores, axis=1)]
    if masks.ndim == 4:
        masks = masks.squeeze(1)

    assert masks.shape == (3 if multimask and count == 1 else count, HEIGHT, WIDTH)
    assert masks.astype(bool).dtype == bool


def test_a_detector_may_find_nothing(predictor, picture):
    """The original fails on `(0, 4)` boxes, so demos of Grounded-SAM-2 guard each call."""
    predictor.set_image(picture)

    masks, scores, logits = predictor.predict(box=np.zeros((0, 4)), multimask_output=False)

    assert masks.shape == (0, 1, HEIGHT, WIDTH)
    assert (scores.shape, logits.shape) == ((0, 1), (0, 1, 64, 64))


class Cache:
    """Embeddings and answers of photos, as roboflow's inference keeps them."""

    def __init__(self, model):
        self.model, self.features, self.sizes = model, {}, {}
        self.image_size = int(getattr(model, "image_size", 1024))

    def embed(self, name, picture=None):
        if name not in self.features:
            with torch.inference_mode():
                predictor = SAM2ImagePredictor(self.model)
                predictor.set_image(picture)
                self.features[name] = predictor._features
            self.sizes[name] = picture.shape[:2]
        return self.features[name], self.sizes[name]

    def segment(self, name, mask_input=None, **prompt):
        with torch.inference_mode():
            features, size = self.embed(name)
            predictor = SAM2ImagePredictor(self.model)
            predictor._is_image_set = True
            predictor._features = features
            predictor._orig_hw = [size]
            predictor._is_batch = False
            if not any(prompt.values()):
                prompt = {"point_coords": [[0, 0]], "point_labels": [-1], "box": None}
            answers = predictor.predict(
                mask_input=mask_input,
                multimask_output=True,
                return_logits=True,
                normalize_coords=True,
                **prompt,
            )
        if len(answers[0].shape) == 3:
            answers = [np.expand_dims(one, axis=0) for one in answers]
        best = [np.argsort(score)[-1] for score in answers[1]]
        return [np.asarray([one[n] for one, n in zip(kind, best, strict=True)]) for kind in answers]


PADDED = {  # of two objects, the second with a point less
    "point_coords": [[[70, 45], [5, 5]], [[10, 10], [0, 0]]],
    "point_labels": [[1, 0], [1, -1]],
    "box": None,
}


def test_roboflow_keeps_embeddings_and_brings_them_back(model, predictor, picture):
    """inference/models/sam2/segment_anything2.py: `_features`, `_orig_hw`, `_is_image_set` set."""
    cache = Cache(model)
    cache.embed("disc", picture)
    cache.embed("dark", picture // 2)
    predictor.set_image(picture)

    masks, scores, logits = cache.segment("disc", **copy.deepcopy(PADDED))

    expected = predictor.predict(**PADDED, return_logits=True)
    best = expected[1].argmax(axis=1)
    np.testing.assert_array_equal(masks, expected[0][[0, 1], best])
    np.testing.assert_array_equal(scores, expected[1][[0, 1], best])
    assert (masks >= 0.0).astype(np.uint8).shape == (2, HEIGHT, WIDTH)
    again, _, _ = cache.segment("disc", mask_input=logits[:, None], **copy.deepcopy(PADDED))
    assert again.shape == masks.shape
    assert (cache.segment("dark", **PADDED)[0] != masks).any()
    assert cache.image_size == 256


def test_roboflow_asks_without_a_prompt_by_a_label_of_no_point(model, picture):
    cache = Cache(model)
    cache.embed("disc", picture)

    masks, scores, _ = cache.segment("disc", point_coords=None, point_labels=None, box=None)

    assert masks.shape == (1, HEIGHT, WIDTH)
    assert scores.shape == (1,)


@pytest.mark.usefixtures("_named_sam2")
def test_roboflow_sets_an_attention_rule_before_anything_is_built():
    import sam2.utils.misc

    sam2.utils.misc.get_sdp_backends = lambda options: ["math"]
    from sam2.build_sam import build_sam2 as build

    assert build is build_sam2
    del sam2.utils.misc.get_sdp_backends


def moved(model, device):
    """Move what a node loaded; a predictor is no module, so its model is."""
    try:
        model.to(device)
    except AttributeError:
        model.model.to(device)


@pytest.mark.parametrize("individual", [True, False])
@pytest.mark.parametrize("with_mask", [True, False])
def test_comfyui_segments_a_batch_of_images(predictor, picture, individual, with_mask):
    """Kijai's nodes.py, Sam2Segmentation: a point for each object or all for one, a mask, moves."""
    images = torch.from_numpy(np.stack([picture, picture[:, ::-1]])).float() / 255
    positive, negative = [(70, 45), (20, 30)], [(5, 5)]
    if individual:
        points = np.array([np.atleast_2d(one) for one in positive])
        beside = np.array(negative)[:, np.newaxis, :]
        beside = np.concatenate((beside, beside[:1]), axis=0)
        coords = np.concatenate((points, beside), axis=1)
        labels = np.concatenate((np.ones((2, 1), int), np.zeros((2, 1), int)), axis=1)
    else:
        coords = np.concatenate((np.atleast_2d(positive), np.array(negative)), axis=0)
        labels = np.concatenate((np.ones(2), np.zeros(1)), axis=0)
    mask = torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(0))

    moved(predictor, torch.device("cpu"))
    found = []
    for place, image in enumerate((images.contiguous() * 255).byte().numpy()):
        predictor.set_image(image)
        masks, scores, logits = predictor.predict(
            point_coords=coords,
            point_labels=labels,
            box=None,
            multimask_output=not individual,
            mask_input=mask[place].unsqueeze(0) if with_mask else None,
        )
        if masks.ndim == 3:
            order = np.argsort(scores)[::-1]
            logits = logits[order]
            found.append(np.expand_dims(masks[order][0], axis=0))
        else:
            found.append(np.logical_or.reduce(masks, axis=0).astype(np.uint8))

    assert [one.shape for one in found] == [(1, HEIGHT, WIDTH)] * 2


def test_comfyui_changes_a_generator_before_each_call(model, picture):
    """Kijai's nodes.py, Sam2AutoSegmentation: attributes, autocast, `predictor.model`."""
    generator = SAM2AutomaticMaskGenerator(model)
    generator.points_per_side = 6
    generator.points_per_batch = 12
    generator.pred_iou_thresh = 0.2
    generator.stability_score_thresh = 0.05
    generator.stability_score_offset = 1.0
    generator.crop_n_layers = 0
    generator.box_nms_thresh = 0.7
    generator.crop_n_points_downscale_factor = 1
    generator.crop_nms_thresh = 0.7
    generator.crop_overlap_ratio = 0.34
    generator.min_mask_region_area = 0.0
    generator.use_m2m = False
    generator.mask_threshold = 0.0
    generator.predictor.model.to(torch.device("cpu"))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        records = generator.generate(picture)

    together = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for record in records:
        together = np.logical_or(together, record["segmentation"]).astype(np.uint8)
    assert together.any()
    assert all(len(record["bbox"]) == 4 for record in records)
