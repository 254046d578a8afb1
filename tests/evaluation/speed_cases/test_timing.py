"""How medians become ratios, and what ends a run before anything is timed."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from evaluation import speed
from evaluation.speed_cases import original
from evaluation.speed_cases.timing import (
    Result,
    Sides,
    compare,
    draw_weights,
    require_as_exact,
    require_close,
    require_equal_masks,
    take_turns,
)
from evaluation.speed_cases.video import peak_rss, require_alike, reset_peak

RAMP = torch.linspace(0, 1, 99)


def test_a_ratio_is_taken_to_the_faster_of_the_others():
    found = compare(
        "case", {"ours": [1.0, 1.0], "transformers": [4.0, 4.0], "original": [2.0, 2.0]}
    )

    assert found == Result("case", 1.0, 4.0, 2.0, ratio=2.0, spread=0.0)


def test_medians_leave_out_one_slow_round():
    found = compare("case", {"ours": [1.0, 9.0, 1.0], "transformers": [3.0, 3.0, 3.0]})

    assert (found.ours, found.ratio) == (1.0, 3.0)
    assert found.spread > 0


def test_nobody_to_compare_with_gives_no_ratio():
    assert compare("case", {"ours": [1.0]}, "MiB") == Result("case", 1.0, unit="MiB")


def test_sides_take_turns():
    turns = []

    def side(name):
        return lambda: turns.append((name, torch.is_inference_mode_enabled()))

    take_turns("case", Sides(side("ours"), original=side("original")), 2)

    assert turns == [("ours", True), ("original", True)] * 2


@pytest.mark.parametrize(
    "check",
    [
        lambda: require_close(torch.zeros(4), torch.ones(4), "maps"),
        lambda: require_equal_masks(torch.zeros(4) > 0, torch.ones(4) > 0),
        lambda: require_as_exact(torch.rand(99), RAMP.bfloat16(), RAMP, "maps"),
        lambda: require_alike(torch.zeros(1, 4, 4), torch.randn(1, 4, 4), 0, torch.float32),
        lambda: require_alike(torch.zeros(1, 4, 4), torch.randn(1, 2, 2), 0, torch.float32),
    ],
    ids=["close", "masks", "exact", "logits", "sizes"],
)
def test_a_wrong_answer_is_not_timed(check):
    with pytest.raises(SystemExit):
        check()


def test_rounding_like_the_others_is_allowed():
    require_as_exact(RAMP.bfloat16(), RAMP.bfloat16(), RAMP, "maps")


def test_weights_are_drawn_that_the_original_format_can_hold(tiny_model):
    model = copy.deepcopy(tiny_model)

    draw_weights(model)

    frequencies = [
        model.get_submodule(name).positional_embedding
        for name in ("shared_image_embedding", "prompt_encoder.shared_embedding")
    ]
    assert torch.equal(*frequencies)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="is not a checkout of facebookresearch/sam2"):
        original.OriginalModel(tmp_path, "tiny", nn.Linear(1, 1).state_dict(), torch.float32)


def test_a_table_says_what_was_not_run():
    table = speed.as_table([Result("case", 1.0, None, 2.5, 2.5, 0.125)])

    assert table.splitlines()[2] == "| case | 1.000 s | not run | 2.500 s | 2.50x | 12% |"


def test_import_is_timed_in_processes_of_its_own(capsys, tmp_path):
    out = tmp_path / "speed.json"

    assert speed.main(["--cases", "import", "--rounds", "1", "--out", str(out)]) == 0

    assert "| import |" in capsys.readouterr().out
    assert '"amx"' in out.read_text()


def test_a_case_that_could_not_be_measured_is_null_in_json():
    text = json.dumps(Result("kernel", math.nan, 2.0).as_json(), allow_nan=False)

    assert json.loads(text)["ours"] is None
    assert json.loads(text)["transformers"] == 2.0


def test_a_peak_does_not_count_what_was_dropped_before():
    dropped = np.ones(2**25)  # 256 MiB
    before = peak_rss()
    del dropped
    try:
        reset_peak()
    except SystemExit:
        pytest.skip("the system cannot reset a peak")

    assert peak_rss() < before - 200
