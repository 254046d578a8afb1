"""Earlier versions: they read what they can, and are told where a save needs a newer one."""

import json

import numpy as np
import pytest

from sam2_hf.video.session import VideoSession
from sam2_hf.video.storage.checkpoint_files import read_session
from tests.drawn_video import drawn_video_model, noise_clip

CLIP = noise_clip(4)
MASK = np.zeros((48, 72), bool)
MASK[10:30, 20:50] = True
# what a version that reads only format 1 knows; more is damage to it
OPTIONS = {
    "add_all_frames_to_correct_as_cond",
    "prev_sam_mask_logits",
    "clear_non_cond_mem_around_input",
    "memory_temporal_stride_for_eval",
    "max_cond_frames_in_attn",
    "binarize_mask_from_pts_for_mem_enc",
    "dynamic_multimask_via_stability",
    "non_overlap_masks",
    "non_overlap_masks_for_mem_enc",
    "fill_hole_area",
    "mask_prompts_at_full_resolution",
    "pointer_times",
    "frame_compat",
    "value_range",
    "memory_policy",
    "memory_dtype",
    "skip_backward_from_first",
    "keep",
    "window",
    "ram_budget",
    "spill_folder",
    "cached_features",
    "compile",
}
RECORDS = {"memory": {"spatial", "pointer", "logits", "iou", "score"}, "mask": {"counts"}}


def tracked(**options):
    session = VideoSession.open(CLIP, drawn_video_model(), **options)
    session.click(0, 1, (30, 20))
    list(session.propagate())
    return session


def saved_format(folder):
    return json.loads((folder / "current.json").read_text())["format"]


def is_known_to_format_1(folder):
    """Whether a save has nothing that a version that reads only format 1 calls damage."""
    saved = read_session(folder, ram_budget=1 << 20)
    options = saved.document["options"]
    return (
        options.keys() <= OPTIONS
        and options["memory_policy"] == "sam2"
        and all(
            (saved.history.get(key) or {}).keys() <= RECORDS[key[2]]
            for key, _ in saved.history.places()
        )
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"compat": "official"}, {"keep": "window", "non_overlap_masks": True, "ram_budget": 0}],
)
def test_a_save_without_new_things_is_one_that_earlier_versions_read(options, tmp_path):
    session = tracked(**options)
    session.save(tmp_path)

    assert saved_format(tmp_path) == 1
    assert is_known_to_format_1(tmp_path)
    assert VideoSession.load(tmp_path, CLIP, session.model).options == session.options


@pytest.mark.parametrize(
    "options",
    [
        {"approximate": True},
        {"approximate": True, "every_kth_memory": 2},
        {"approximate": True, "image_size": 32},
        {"approximate": True, "latency_budget": 0.5},
        {"memory_policy": "score"},
        {"memory_policy": "distractor"},
        {"memory_policy": "tree"},
    ],
)
def test_a_save_with_a_new_option_is_refused_by_its_format(options, tmp_path):
    session = tracked(**options)
    session.save(tmp_path)

    assert saved_format(tmp_path) == 2
    assert VideoSession.load(tmp_path, CLIP, session.model).options == session.options


@pytest.mark.parametrize("policy", ["distractor", "tree"])
def test_notes_of_a_former_policy_need_the_new_format_also_after_loading(policy, tmp_path):
    session = tracked(memory_policy=policy)
    session.use_options(VideoSession.open(CLIP, session.model).options)
    session.save(tmp_path)
    assert not is_known_to_format_1(tmp_path)
    assert saved_format(tmp_path) == 2

    VideoSession.load(tmp_path, CLIP, session.model).save(tmp_path)

    assert saved_format(tmp_path) == 2


def test_a_save_with_a_reference_needs_the_new_format(tmp_path):
    session = tracked()
    session.reference(CLIP[0], MASK, 1)
    session.save(tmp_path)

    assert saved_format(tmp_path) == 2
