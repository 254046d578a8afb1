"""Videos of sets, tracked by a small model."""

import numpy as np
import pytest
import torch

from evaluation.sets.open_set import open_set
from evaluation.vos.given_prompts import PROMPTS, box_of
from evaluation.vos.tracking import session_options, track_video
from sam2_hf import Sam2VideoInferenceSession
from sam2_hf.errors import DataError
from tests.small_sets import boxes, write_davis, write_labels, write_late, write_sav


@pytest.fixture
def cat(tmp_path):
    return open_set("davis17-val", str(write_davis(tmp_path / "set")))[0]


def test_every_frame_has_a_result_and_the_first_is_what_was_given(cat, tiny_video_model):
    results = list(track_video(cat, tiny_video_model))

    assert [one.frame for one in results] == [0, 1, 2, 3, 4]
    assert all(one.object_ids == (1, 2) for one in results)
    for number, mask_hw in results[0].masks.items():
        assert np.mean(mask_hw == (boxes(0) == number)) > 0.9  # the model's input is small


def test_objects_are_kept_apart_except_in_sets_where_they_overlap(cat, tiny_video_model, tmp_path):
    (sav,) = open_set("sav-val", str(write_sav(tmp_path / "sav")))

    assert session_options(cat.rules).non_overlap_masks
    assert not session_options(sav.rules).non_overlap_masks
    for result in track_video(cat, tiny_video_model):
        assert not (result.masks[1] & result.masks[2]).any()


def test_videos_are_tracked_without_postprocessing_as_the_published_scores_were(cat):
    """tools/vos_inference.py:426 leaves it off, which is more than not to fill holes."""
    options = session_options(cat.rules)

    assert options.fill_hole_area == 0
    assert not options.binarize_mask_from_pts_for_mem_enc
    assert options.dynamic_multimask_via_stability is False
    assert not options.add_all_frames_to_correct_as_cond


@pytest.mark.parametrize("prompt", PROMPTS)
def test_objects_may_be_given_by_any_prompt(cat, tiny_video_model, prompt):
    results = list(track_video(cat, tiny_video_model, prompt))

    assert [one.object_ids for one in results] == [(1, 2)] * 5


def test_an_object_that_comes_late_changes_nothing_and_is_tracked_as_if_alone(
    tmp_path, tiny_video_model
):
    """The original gives every object of such sets a session of its own."""
    (owl,) = open_set("folder", str(write_late(tmp_path) / "valid"))

    results = list(track_video(owl, tiny_video_model))

    assert [one.object_ids for one in results] == [(1,)] * 3 + [(1, 2)] * 6
    pictures = [owl.picture(frame) for frame in range(9)]
    for number, start in owl.given.items():
        options = session_options(owl.rules)
        with Sam2VideoInferenceSession.open(pictures, tiny_video_model, options=options) as alone:
            alone.mask(start, number, owl.masks(start)[number])
            for expected in alone.propagate(start):
                row = results[expected.frame].object_ids.index(number)
                found = results[expected.frame].logits_bhw[row]
                torch.testing.assert_close(found, expected.logits_bhw[0], rtol=1e-4, atol=1e-4)


def test_an_object_that_is_not_where_it_is_given_is_refused(tmp_path, tiny_video_model):
    root = write_sav(tmp_path)
    write_labels(root / "Annotations_6fps" / "sav_1" / "000" / "00000.png", np.zeros((24, 36)))
    (video,) = open_set("sav-val", str(root))

    with pytest.raises(DataError, match="object 0 is not visible on frame 0"):
        list(track_video(video, tiny_video_model))


def test_a_box_encloses_the_first_and_the_last_pixel():
    assert box_of(boxes(0) == 1) == (2, 4, 10, 13)
