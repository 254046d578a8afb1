"""The original's answers through exported graphs: the micro model of tests/golden, drawn weights.

Of its clip the cases that begin with clicks and with a mask; `tests/parity` says what is exact.
"""

import numpy as np
import pytest
from golden_cases import (
    IOU_TOLERANCE,
    PROMPTS,
    QUESTIONS,
    assert_like,
    case,
    disc_prompt,
    large_photo,
    processor_for,
    seeded_video_model,
)
from test_golden_videos import click_and_box, compare, open_session

from sam2_hf.export.exported_sam2 import ExportedSam2
from sam2_hf.export.onnx_files import export_onnx

pytestmark = pytest.mark.slow  # another export, about a minute
NAME = "micro"
LOGIT_TOLERANCE = 2e-3  # ONNX Runtime sums in another order, which drawn weights amplify
TRACKED = 6


@pytest.fixture(scope="module")
def golden_model(tmp_path_factory):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"export needs {package}: pip install '.[export]'")
    folder = tmp_path_factory.mktemp("golden") / "export"
    return ExportedSam2.from_pretrained(export_onnx(seeded_video_model(case(NAME)), folder))


@pytest.fixture(scope="module")
def photo(golden_model):
    pixels = processor_for(case(NAME))(images=large_photo(), return_tensors="pt")["pixel_values"]
    return golden_model.get_image_embeddings(pixels)


@pytest.mark.parametrize(("key", "kind", "multimask"), QUESTIONS, ids=[q[0] for q in QUESTIONS])
def test_a_prompt_on_a_photo_is_answered_as_by_the_original(
    golden, golden_model, photo, key, kind, multimask
):
    entries, processor = golden(NAME), processor_for(case(NAME))
    inputs = processor(original_sizes=[[1200, 1800]], return_tensors="pt", **PROMPTS[kind])
    inputs.pop("original_sizes")
    if key == "mask_point":
        inputs["input_masks"] = disc_prompt(case(NAME).image_size)

    found = golden_model(image_embeddings=photo, multimask_output=multimask, **inputs)

    masks, iou = found.pred_masks[0], found.iou_scores[0]
    masks, iou = (masks, iou) if key == "boxes" else (masks[0], iou[0])
    assert_like(entries, f"image/{key}/low_res", masks.clamp(-32, 32), LOGIT_TOLERANCE)
    assert np.abs(iou.numpy() - entries[f"image/{key}/iou"]).max() <= IOU_TOLERANCE


def test_clicks_and_boxes_are_tracked_as_by_the_original(golden, golden_model):
    session = open_session(NAME, golden_model)

    for tag, result in click_and_box(session, TRACKED):
        compare(golden(NAME), tag, result, logit=LOGIT_TOLERANCE if result.frame == 0 else None)


def test_a_mask_is_tracked_as_by_the_original(golden, golden_model):
    session = open_session(NAME, golden_model)
    rows, columns = np.mgrid[:540, :960]
    session.mask(6, 1, (rows - 250) ** 2 + (columns - 420) ** 2 < 90**2)

    compare(golden(NAME), "B0", session.preview(6), logit=LOGIT_TOLERANCE)
    for result in session.propagate(start=6):
        compare(golden(NAME), "B1", result, logit=LOGIT_TOLERANCE)
