"""Sources of masklets: prompts of a file, and everything on the first frame."""

from types import SimpleNamespace

import numpy as np
import pytest

from sam2_hf import rle
from sam2_hf.engine.masklet_sources import SOURCES, FirstFrameMasklets, PromptedMasklets
from sam2_hf.engine.prompts.given_objects import GivenObject, GivenPrompt
from sam2_hf.engine.settings import LabelSettings
from sam2_hf.errors import DataError, OptionError, PromptError
from tests.engine.test_tracked_objects import centers, clip
from tests.fakes import SIDE


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


def test_what_is_found_on_the_first_frame_is_tracked_without_duplicates():
    masks = generated(disc(20, 20), disc(20, 21), disc(40, 40), disc(20, 50))

    found = FirstFrameMasklets(masks, max_objects=2).find(clip(frames=range(2, 5)), [])

    assert list(found.prompts) == [1, 2]
    assert {prompt.by for prompts in found.prompts.values() for prompt in prompts} == {"automatic"}
    assert centers(found, 2)[2] == (40, 40)
    assert sorted(centers(found, 1)) == [2, 3, 4]


def test_in_phase_1_masks_of_two_frames_are_objects_of_their_own():
    found = FirstFrameMasklets(generated(disc(20, 20)), 5).find(clip("phase1", range(3)), [])

    assert [[item.object_id for item in frame.objects] for frame in found.frames] == [[1], [2], [3]]


def test_an_empty_frame_has_no_masklets():
    assert not FirstFrameMasklets(generated(), 5).find(clip(), []).frames


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
        SOURCES["automatic"](LabelSettings("x", options={"pionts": 3}))
    with pytest.raises(PromptError, match="exported model"):
        SOURCES["automatic"](LabelSettings("x")).find(clip(), [])
