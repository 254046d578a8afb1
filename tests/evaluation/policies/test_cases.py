"""All memory policies and approximations on one clip, in turn."""

import numpy as np
import pytest

from evaluation.micro.sets import LabeledClip
from evaluation.policies.__main__ import main
from evaluation.policies.cases import (
    CASES,
    STRETCH,
    Measured,
    as_table,
    measure_clip,
    tracked_masks,
)
from sam2_hf import Sam2VideoModel
from sam2_hf.video.session_options import MEMORY_POLICIES
from tests.drawn_video import drawn_video_model

SIDE = 32


@pytest.fixture
def clip():
    """A square that moves by a pixel on each frame."""
    masks_thw = np.zeros((STRETCH + 1, SIDE, SIDE), bool)
    for frame, mask_hw in enumerate(masks_thw):
        mask_hw[8:20, 2 + frame : 14 + frame] = True
    frames_thw3 = np.where(masks_thw[..., None], 220, 30).astype(np.uint8).repeat(3, axis=-1)
    return LabeledClip("square", frames_thw3, masks_thw)


def test_every_policy_is_a_case():
    assert {*MEMORY_POLICIES} <= {*CASES}
    assert all(
        STRETCH % case.track_every == 0 and STRETCH % case.options.get("every_kth_memory", 1) == 0
        for case in CASES.values()
    )


def test_all_cases_are_scored_and_timed_in_turn(clip):
    names = ["sam2", "tree", "every 2nd frame", "1/2 input size"]
    found = {name: Measured() for name in names}

    measure_clip(clip, drawn_video_model(), names, found)

    for measured in found.values():
        assert len(measured.j) == len(measured.f) == 1
        assert len(measured.cpu_s) == len(measured.wall_s) == STRETCH
        assert 0 <= measured.j_and_f <= 100
    rows = as_table(found, ["square"]).splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == [f"| {name}" for name in names]
    assert rows[2].split(" | ")[4:6] == ["1.00", "1.00"]


def test_frames_that_are_left_out_have_the_masks_of_the_last_one(clip):
    masks = list(tracked_masks(clip, drawn_video_model(), CASES["every 3rd frame"]))

    assert len(masks) == STRETCH + 1
    assert masks[0] is masks[1] is masks[2]
    assert masks[3] is masks[4] is masks[5]
    assert masks[3] is not masks[2]


def test_the_program_prints_a_table_after_every_clip(small_data, capsys, monkeypatch):
    monkeypatch.setattr(Sam2VideoModel, "from_pretrained", lambda name: drawn_video_model())
    arguments = ["--root", str(small_data), "--cases", "score"]

    assert main([*arguments, "--clips", "blackswan"]) == 0
    assert main([*arguments, "--clips", "nothing"]) == 2

    out, err = capsys.readouterr()
    assert out.count("| score |") == 1
    assert "nothing" in err
