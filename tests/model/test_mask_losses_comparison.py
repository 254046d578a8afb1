import pytest
import torch
from torch.nn import functional

from sam2_hf.model import mask_losses
from sam2_hf.model.mask_losses import FocalRule, compare_masks

SAME_SUMS = 1e-5  # relative; sums of thousands of float32 in another order
RULE = FocalRule(alpha=0.25, gamma=2.0)
LARGE, SMALL = (24, 20), (6, 5)


def drawn(size, count=3, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, *size, generator=generator, dtype=dtype)
    return logits.requires_grad_()


def labels(size=LARGE, count=3, dtype=torch.float32):
    """True masks, of which the first is empty, and the last has shares between 0 and 1."""
    share = (drawn(size, count, seed=1, dtype=dtype).detach() > 0).to(dtype)
    share[0], share[-1] = 0, share[-1] / 3
    return share.flatten(1)


def plainly(logits, share, size, rule):
    """The same without any haste."""
    large = functional.interpolate(logits[:, None], size, mode="bilinear").flatten(1)
    prob = large.sigmoid()
    dice = 1 - (2 * (prob * share).sum(1) + 1) / (prob.sum(1) + share.sum(1) + 1)
    mask = (large > 0).to(share.dtype)
    both = (mask * share).sum(1)
    iou = both / (mask.sum(1) + share.sum(1) - both).clamp(min=1)
    return rule.loss(large, share).mean(1), dice, iou


@pytest.mark.parametrize("rule", [RULE, FocalRule(-1.0, 0.0), FocalRule(0.6, 1.5)])
@pytest.mark.parametrize("size", [SMALL, LARGE, (48, 40), (6, 20)])
def test_it_is_what_comparing_enlarged_masks_gives(rule, size):
    logits = drawn(size)

    quick, plain = (of(logits, labels(), LARGE, rule) for of in (compare_masks, plainly))

    torch.testing.assert_close(quick, plain, rtol=SAME_SUMS, atol=SAME_SUMS)
    for weights in ((1.0, 0.0), (0.0, 1.0), (20.0, 1.0)):
        slopes = [
            torch.autograd.grad(weights[0] * f.sum() + weights[1] * d.sum(), logits)[0]
            for f, d, _ in (
                compare_masks(logits, labels(), LARGE, rule),
                plainly(logits, labels(), LARGE, rule),
            )
        ]
        torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-6)


def test_its_gradients_are_those_of_finite_differences():
    logits, share = drawn(SMALL, dtype=torch.float64), labels(dtype=torch.float64)

    assert torch.autograd.gradcheck(
        lambda values: compare_masks(values, share, LARGE, RULE, pixels_per_cell=16.0)[:2], logits
    )


def test_a_few_at_a_time_give_what_all_give(monkeypatch):
    logits = drawn(SMALL)
    together = compare_masks(logits, labels(), LARGE, RULE)

    monkeypatch.setattr(mask_losses, "PIXELS_AT_ONCE_CPU", 2 * 24 * 20)
    parts = compare_masks(logits, labels(), LARGE, RULE)

    torch.testing.assert_close(parts, together)
    slopes = [torch.autograd.grad(sum(found[:2]).sum(), logits)[0] for found in (parts, together)]
    torch.testing.assert_close(*slopes)


def test_nothing_of_full_size_waits_for_the_backward_pass():
    kept = []

    def note(tensor):
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        compare_masks(drawn(SMALL), labels(), LARGE, RULE)

    assert kept
    assert max(kept) <= drawn(SMALL).numel()


def test_two_empty_masks_have_no_iou_and_no_dice_loss():
    logits, share = torch.full((1, *SMALL), -50.0), torch.zeros(1, 24 * 20)

    focal, dice, iou = compare_masks(logits, share, LARGE, RULE)

    assert (focal.item(), dice.item(), iou.item()) == (0.0, 0.0, 0.0)


def test_logits_of_objects_that_are_out_of_view_give_finite_losses():
    logits = torch.full((1, *SMALL), -1024.0, requires_grad=True)

    focal, dice, _ = compare_masks(logits, torch.ones(1, 24 * 20), LARGE, RULE)
    (focal + dice).sum().backward()

    assert focal.item() == pytest.approx(0.25 * 1024)
    assert logits.grad.isfinite().all()
