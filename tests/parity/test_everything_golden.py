"""Everything-mode against the original generator's lists, on the same weights and pictures.

The rule: as many masks, the same boxes, clicks and crops, scores and their order within the
tolerances below, and a pixel may differ only where our own logit is within rounding of 0.

The lists `min_area` equal the lists `plain` to the last pixel: the original needs a CUDA
extension for `min_mask_region_area`, had none, and said so in a warning. So they say nothing of
that option; that it works is tested in tests/pipelines/test_mask_generation.py.
"""

import json
from functools import cache

import numpy as np
import pytest
from golden_cases import IOU_TOLERANCE, case, processor_for, seeded_model
from seeded_inputs import photo

from sam2_hf import MaskGenerationPipeline
from sam2_hf.masks import resize_masks
from sam2_hf.pipelines import mask_generation
from sam2_hf.rle import decode

PHOTOS = {"large": (1200, 1800, 1), "small": (534, 800, 2)}
VARIANTS = ("plain", "no_nms", "strict", "crops", "m2m", "single")
STABILITY_TOLERANCE = 1e-3  # a ratio of two pixel counts, each moved by pixels on its outline
AREA_TOLERANCE = 1e-3  # of the area ...
FEW_PIXELS = 10  # ... or this many pixels: with drawn weights, small masks are nothing but outline
# Logits of pixels that differ: the file is 0.8e-3 from this model in float64, and this model in
# float32 up to as much, depending on the CPU and the number of threads.
PIXEL_TOLERANCE = 2e-3
# m2m decodes twice, the second time from masks that carry the first one's rounding. Our model in
# float64 is as far from the file as ours in float32, so it is the file's own rounding. Measured 12
# with one order of summation and 16 with another.
SECOND_STEP = 20.0


@cache
def picture(name):
    return photo(*PHOTOS[name])


@cache
def model():
    return seeded_model(case("micro"))


@pytest.fixture
def drawn_logits(monkeypatch):
    """Every kept mask's logits at the picture's size, noted when its record is written."""
    noted = []
    record = mask_generation._record

    def record_and_note(found, row, crop, size, threshold):
        whole = np.full(size, -np.inf, np.float32)
        enlarged = resize_masks(found.logits_mhw[row][None, None], crop.size)[0, 0]
        whole[crop.top : crop.bottom, crop.left : crop.right] = enlarged.numpy()
        noted.append(whole)
        return record(found, row, crop, size, threshold)

    monkeypatch.setattr(mask_generation, "_record", record_and_note)
    return noted


def golden_list(golden, name, variant):
    content = json.loads(golden("amg")[f"{name}/{variant}"].tobytes())
    return content["args"], content["masks"]


def place(record):
    """Where a record was found; no other has all of it."""
    return [record[field] for field in ("point_coords", "bbox", "crop_box")]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", PHOTOS)
def test_everything_finds_what_the_original_finds(golden, drawn_logits, name, variant):
    options, expected = golden_list(golden, name, variant)
    pipeline = MaskGenerationPipeline(
        model(), processor_for(case("micro")), output_mode="uncompressed_rle", **options
    )

    records = pipeline.generate(picture(name))

    slack = SECOND_STEP if variant == "m2m" else 1.0
    assert len(records) == len(expected)
    # the best comes first, and of two that are nearly as good either may
    for ours, theirs in zip(records, expected, strict=True):
        assert abs(ours["predicted_iou"] - theirs["predicted_iou"]) <= slack * IOU_TOLERANCE
    pairs = sorted(zip(records, drawn_logits, strict=True), key=lambda pair: place(pair[0]))
    for (ours, logits), theirs in zip(pairs, sorted(expected, key=place), strict=True):
        assert place(ours) == place(theirs)
        assert abs(ours["predicted_iou"] - theirs["predicted_iou"]) <= slack * IOU_TOLERANCE
        assert abs(ours["stability_score"] - theirs["stability_score"]) <= STABILITY_TOLERANCE
        allowed = max(FEW_PIXELS, slack * AREA_TOLERANCE * theirs["area"])
        assert abs(ours["area"] - theirs["area"]) <= allowed
        differing = decode(ours["segmentation"]) != decode(theirs["segmentation"])
        assert np.abs(logits[differing]).max(initial=0) <= slack * PIXEL_TOLERANCE


def test_the_originals_region_filter_did_not_run(golden):
    """The file's README says that it did; its lists say that it did not."""
    for name in PHOTOS:
        assert golden_list(golden, name, "min_area")[1] == golden_list(golden, name, "plain")[1]
