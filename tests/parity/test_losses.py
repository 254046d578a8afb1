"""The training losses beside those of the original, on tensors drawn by formula."""

import json

import numpy as np
import pytest
import torch
from golden_cases import GOLDEN

from sam2_hf.model.mask_losses import LossRules, MaskLosses, mask_losses, read_labels

SAME = 1e-6  # relative; sums of 3,072 numbers of float32 in another order
CASES = ("released", "best_iou_only", "no_object_score")
STEPS = ((3, 1, 1), (3,))  # masks of each answer, by frame; see golden/make_losses.py
OBJECTS, SIDE = 3, 32
NAMES = {
    "loss_mask": "focal",
    "loss_dice": "dice",
    "loss_iou": "iou",
    "loss_class": "object_score",
}


def rules_of(options):
    return LossRules(
        supervise_all_iou=options["supervise_all_iou"],
        iou_l1=options["iou_use_l1_loss"],
        scores_objects=options["pred_obj_scores"],
        object_score_gamma=options.get("focal_gamma_obj_score", 0.0),
        object_score_alpha=options.get("focal_alpha_obj_score", -1.0),
    )


def discs(frame):
    """The true masks; the third object is absent on the second frame."""
    y, x = np.mgrid[:SIDE, :SIDE]
    found = [
        ((y - 10 - 3 * k - frame) ** 2 + (x - 12 - 2 * k) ** 2 < (5 + k) ** 2)
        & ~(frame == 1 and k == 2)
        for k in range(OBJECTS)
    ]
    return torch.from_numpy(np.array(found))


def drawn_answer(frame, step, masks):
    """Mask logits, predicted IoU and object scores of one answer."""
    rng = np.random.Generator(np.random.PCG64(100 * frame + step))
    logits = 3 * rng.standard_normal((OBJECTS, masks, SIDE, SIDE), dtype=np.float32)
    iou = rng.random((OBJECTS, masks), dtype=np.float32)
    score = 2 * rng.standard_normal((OBJECTS, 1), dtype=np.float32)
    return torch.from_numpy(logits), torch.from_numpy(iou), torch.from_numpy(score)


def losses_of_all_steps(rules) -> MaskLosses:
    each = [
        mask_losses(*drawn_answer(frame, step, masks), read_labels(discs(frame), rules), rules)[0]
        for frame, counts in enumerate(STEPS)
        for step, masks in enumerate(counts)
    ]
    return sum(each[1:], start=each[0]).divided(OBJECTS)


@pytest.fixture(scope="module")
def original():
    return json.loads((GOLDEN / "losses.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_every_term_is_that_of_the_original(original, case):
    losses = losses_of_all_steps(rules_of(original[case]["options"]))

    for name, ours in NAMES.items():
        assert getattr(losses, ours).item() == pytest.approx(original[case][name], rel=SAME), name


@pytest.mark.parametrize("case", CASES)
def test_the_weighed_sum_is_that_of_the_original(original, case):
    rules = rules_of(original[case]["options"])

    total = losses_of_all_steps(rules).total(rules)

    assert total.item() == pytest.approx(original[case]["core_loss"], rel=SAME)


def test_every_case_of_the_golden_file_is_compared(original):
    assert set(original) - {"weights"} == set(CASES)
