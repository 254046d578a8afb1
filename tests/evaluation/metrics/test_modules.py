"""The modules of the library `evaluate` give the numbers of the functions behind them."""

from pathlib import Path

import evaluate
import numpy as np
import pytest

from evaluation.metrics import score_sequence
from sam2_hf.errors import DataError

METRICS = Path(__file__).parents[3] / "evaluation" / "metrics"


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Load into a folder of the test; the library imports modules from one folder for good."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluate.config.HF_MODULES_CACHE", cache)
        yield lambda name: evaluate.load(str(METRICS / name), cache_dir=str(cache))


def sequences():
    truth_thw = np.zeros((5, 24, 36), np.int32)
    truth_thw[:, 3:12, 4:20] = 1
    truth_thw[:, 14:20, 6:30] = 2
    return truth_thw, np.roll(truth_thw, 1, axis=2)


def test_j_and_f_of_two_sequences_are_those_of_the_function(load):
    truth_thw, predicted_thw = sequences()

    answer = load("j_and_f").compute(
        predictions=[predicted_thw, truth_thw], references=[truth_thw, truth_thw]
    )

    expected = score_sequence(truth_thw, predicted_thw)
    assert answer["objects"][0][1] == {"j": expected[1][0], "f": expected[1][1]}
    assert answer["j"] == pytest.approx((expected[1][0] + expected[2][0] + 200) / 4)
    assert answer["j_and_f"] == pytest.approx((answer["j"] + answer["f"]) / 2)


def test_the_policy_is_handed_on(load):
    truth_thw, _ = sequences()
    truth_thw[truth_thw == 1] = 5

    answer = load("j_and_f").compute(predictions=[truth_thw], references=[truth_thw], policy="vos")

    assert list(answer["objects"][0]) == [2, 5]


def test_mean_iou_is_over_masks_of_any_sizes(load):
    large, small = np.ones((6, 8), bool), np.eye(3, dtype=bool)

    answer = load("mask_iou").compute(predictions=[large, small], references=[large, ~small])

    assert (answer["mean_iou"], answer["ious"]) == (50, [100, 0])


def test_masks_of_two_sizes_are_refused(load):
    with pytest.raises(DataError, match=r"mask 0.*\(6, 8\).*\(3, 3\)"):
        load("mask_iou").compute(predictions=[np.ones((6, 8))], references=[np.eye(3)])
