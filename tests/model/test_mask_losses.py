import dataclasses

import pytest
import torch
from torch.nn import functional

from sam2_hf.model.mask_losses import LossRules, MaskLosses, mask_losses, read_labels

SAME_SUMS = 1e-5  # relative; sums of thousands of float32 in another order
RULES = LossRules()


def discs(count=2, side=64):
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([(y - 30) ** 2 + (x - 20 - 9 * k) ** 2 < (9 + k) ** 2 for k in range(count)])


def answer(masks=3, count=2, side=16, seed=0):
    """Mask logits, predicted IoU and object scores, all of which learn."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, masks, side, side, generator=generator)
    iou, score = torch.rand(count, masks, generator=generator), torch.ones(count, 1)
    return tuple(values.requires_grad_() for values in (logits, iou, score))


def right_logits():
    """Logits that are as right as they can be at their size."""
    return 40 * (functional.avg_pool2d(discs().float(), 4) - 0.5)


def losses_of(answer, labels, rules=RULES):
    return mask_losses(*answer, read_labels(labels, rules), rules)[0]


def values(losses):
    return [getattr(losses, field.name).item() for field in dataclasses.fields(losses)]


def test_an_absent_object_learns_that_it_is_absent_and_nothing_else():
    given = answer(count=1)

    losses = losses_of(given, torch.zeros(1, 64, 64, dtype=torch.bool))
    losses.total(RULES).backward()

    assert values(losses) == [0.0, 0.0, 0.0, functional.softplus(torch.tensor(1.0)).item()]
    assert not given[0].grad.any()
    assert not given[1].grad.any()
    assert given[2].grad.item() > 0


def test_without_object_scores_an_absent_object_learns_an_empty_mask():
    given, rules = answer(count=1), LossRules(scores_objects=False)

    losses = losses_of(given, torch.zeros(1, 64, 64, dtype=torch.bool), rules)
    losses.total(rules).backward()

    assert losses.object_score.item() == 0.0
    assert given[0].grad.any()


def test_only_the_best_candidate_of_each_object_learns():
    logits, iou, score = answer()
    with torch.no_grad():
        logits[0, 2], logits[1, 0] = right_logits()

    losses_of((logits, iou, score), discs()).total(RULES).backward()

    assert logits.grad.flatten(2).any(dim=2).tolist() == [
        [False, False, True],
        [True, False, False],
    ]
    assert iou.grad.all()


def test_the_true_iou_of_every_candidate_is_handed_out():
    logits, iou, score = answer()
    with torch.no_grad():
        logits[:, 1] = right_logits()

    _, true = mask_losses(logits, iou, score, read_labels(discs(), RULES), RULES)

    assert true.shape == (2, 3)
    assert (true[:, 1] > 0.9).all()
    assert (true[:, 0] < 0.5).all()


def test_a_smaller_loss_size_compares_masks_enlarged_to_the_nearest_pixel():
    logits, iou, score = answer()
    large = functional.interpolate(logits, (64, 64), mode="nearest")

    small_rules = LossRules(loss_size=16)
    small = values(losses_of((logits, iou, score), discs(), small_rules))

    assert small == pytest.approx(values(losses_of((large, iou, score), discs())), rel=SAME_SUMS)


def test_losses_are_float32_whatever_autocast_says():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = losses_of(answer(), discs())

    assert within.focal.dtype == torch.float32
    assert values(within) == values(losses_of(answer(), discs()))


def test_half_precision_answers_are_compared_in_float32():
    given = answer()
    losses_of(tuple(one.to(torch.bfloat16) for one in given), discs()).total(RULES).backward()

    assert all(one.grad.isfinite().all() for one in given)
    assert given[0].grad.any()


def test_the_mean_over_objects_is_weighed_term_by_term():
    losses = MaskLosses(*torch.tensor([2.0, 3.0, 5.0, 7.0])).divided(2)
    rules = LossRules(focal=1000.0, dice=100.0, iou=10.0, object_score=1.0)

    assert losses.total(rules).item() == 1000 + 150 + 25 + 3.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss_size": 0},
        {"focal": -1.0},
        {"object_score": -0.1},
        {"focal_gamma": -1.0},
        {"focal_alpha": 1.5},
        {"object_score_alpha": 1.1},
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LossRules(**wrong)


def test_other_candidates_bear_their_share_of_the_loss():
    logits, iou, score = answer()
    parts = [losses_of((logits[:, [m]], iou[:, [m]], score), discs()) for m in range(3)]

    shared = losses_of((logits, iou, score), discs(), LossRules(others=2 / 3))

    # two thirds for the two others make a third for each of all three
    for name in ("focal", "dice"):
        expected = sum(getattr(one, name) for one in parts) / 3
        torch.testing.assert_close(getattr(shared, name), expected)
    best = losses_of((logits, iou, score), discs())
    assert (shared.iou, shared.object_score) == (best.iou, best.object_score)


@pytest.mark.parametrize(("others", "learning"), [(0.0, 1), (0.3, 3)])
def test_other_candidates_learn_only_if_they_bear_a_share(others, learning):
    given = answer(count=1)

    losses = losses_of(given, discs(1), LossRules(others=others, iou=0, object_score=0))
    losses.total(LossRules(iou=0, object_score=0)).backward()

    assert int(given[0].grad[0].flatten(1).any(dim=1).sum()) == learning
