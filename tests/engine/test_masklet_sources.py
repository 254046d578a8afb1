"""Sources of masklets: prompts of a file, and everything in a clip."""

from types import SimpleNamespace

import numpy as np
import pytest

from sam2_hf import rle
from sam2_hf.engine import masklet_sources
from sam2_hf.engine.masklet_sources import SOURCES, PerFrameMasklets, PromptedMasklets
from sam2_hf.engine.phases import PHASES
from sam2_hf.engine.prompts.given_objects import GivenObject, GivenPrompt
from sam2_hf.engine.settings import LabelSettings
from sam2_hf.engine.tracked_objects import ClipToLabel
from sam2_hf.errors import DataError, OptionError, PromptError
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL
from tests.engine.test_tracked_objects import centers, clip
from tests.fakes import SIDE, fake_clip
from tests.stand_in_detector import KnownBoxes


def disc(x, y, radius=8):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.hypot(columns + 0.5 - x, rows + 0.5 - y) < radius


def generated(*masks):
    """A stand-in for mask generation, which finds these."""
    found = [
        SimpleNamespace(
            rle=rle.encode(mask_hw),
            segmentation=mask_hw,
            area=int(mask_hw.sum()),
            predicted_iou=0.9 - 0.1 * place,
        )
        for place, mask_hw in enumerate(masks)
    ]

    def generate(picture_hw3, on_progress):
        on_progress(1, 1)
        return found

    return generate


def test_masks_of_a_frame_have_no_duplicates_and_a_limit():
    masks = generated(disc(20, 20), disc(20, 21), disc(40, 40), disc(20, 50))

    found = PerFrameMasklets(masks, max_objects=2).find(clip("phase1", range(2, 3)), [])

    assert {prompt.by for prompts in found.prompts.values() for prompt in prompts} == {"automatic"}
    assert [centers(found, number)[2] for number in (1, 2)] == [(20, 20), (40, 40)]


def test_everything_in_a_clip_is_tracked(micro_video_model):
    options = {"points_per_side": 3, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    source = SOURCES["automatic"](LabelSettings(SMALL_MODEL, options=options, max_objects=2), "cpu")
    whole = ClipToLabel(fake_clip(4), "clip", micro_video_model, {}, range(4), PHASES["phase3"])

    found = source.find(whole, [])

    assert [frame.frame for frame in found.frames] == [0, 1, 2, 3]
    assert 1 <= max(len(frame.objects) for frame in found.frames) <= 2


def test_in_phase_1_masks_of_two_frames_are_objects_of_their_own():
    found = PerFrameMasklets(generated(disc(20, 20)), 5).find(clip("phase1", range(3)), [])

    assert [[item.object_id for item in frame.objects] for frame in found.frames] == [[1], [2], [3]]


def test_an_empty_frame_has_no_masklets():
    (frame,) = PerFrameMasklets(generated(), 5).find(clip("phase1", range(1)), []).frames

    assert not frame.objects


def test_objects_of_a_file_keep_their_names_and_their_part_of_the_video():
    cup = GivenObject((GivenPrompt(1, ((20.0, 30.0, True),)),), "cup", "boxes.json")
    late = GivenObject((GivenPrompt(5, ((40.0, 30.0, True),)),), "dog", "boxes.json")

    found = PromptedMasklets().find(clip(frames=range(3)), [cup, late])

    assert found.names == {1: "cup"}
    assert found.prompts[1][0].by == "boxes.json"


def test_a_video_without_prompts_is_refused():
    with pytest.raises(DataError, match="has none for clip"):
        PromptedMasklets().find(clip(), [])


def test_unknown_options_and_exported_models_are_refused():
    with pytest.raises(OptionError):
        SOURCES["automatic"](LabelSettings("x", options={"pionts": 3}), "cpu")
    with pytest.raises(PromptError, match="exported model"):
        SOURCES["automatic"](LabelSettings("x"), "cpu").find(clip(), [])


def test_what_a_detector_finds_by_name_is_tracked(monkeypatch):
    detector = KnownBoxes({"a disc": [(10, 10, 40, 40)]})
    monkeypatch.setattr(masklet_sources, "load_detector", lambda *_, **__: detector)
    named = {
        "text": ["a disc"],
        "detector": "x",
        "detection_threshold": None,
        "detect_every": 2,
    }
    source = SOURCES["text"](LabelSettings(SMALL_MODEL, source="text", options=named), "cpu")

    found = source.find(clip(frames=range(4)), [])

    assert found.names == {1: "a disc"}
    shown = centers(found)
    assert sorted(shown) == [0, 1, 2, 3]
    assert shown[0] == pytest.approx((25, 25), abs=1)
    assert [labels for _, labels in detector.asked] == [["a disc"], ["a disc"]]
    with pytest.raises(PromptError, match="phase1 does not track"):
        SOURCES["text"](LabelSettings("x", phase="phase1", options=named), "cpu")
