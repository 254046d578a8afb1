"""True masks in, a loss out: the image model learns in any training loop."""

import inspect

import pytest
import torch

from sam2_hf import Sam2Model
from sam2_hf.model.mask_losses import LossRules, mask_losses, read_labels
from tests.model.test_modeling_sam2 import assert_same_answers

RULES = LossRules()


@pytest.fixture(scope="module")
def labels():
    """A true mask for each of three objects in two pictures, larger than the masks we draw."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    discs = [(y - 8 * k) ** 2 + (x - 9 * k) ** 2 < (6 + k) ** 2 for k in range(1, 7)]
    return torch.stack(discs).unflatten(0, (2, 3))


@torch.no_grad()
@pytest.mark.parametrize("multimask", [True, False])
def test_the_loss_compares_every_object_with_its_label(
    drawn_model, pictures, clicks, labels, multimask
):
    answer = drawn_model(pictures, **clicks, multimask_output=multimask, labels=labels)

    rows = (answer.pred_masks, answer.iou_scores, answer.object_score_logits, labels)
    masks, iou, score, true = (one.flatten(0, 1) for one in rows)
    losses, _ = mask_losses(masks, iou, score, read_labels(true, RULES), RULES)
    assert answer.loss.item() == pytest.approx(losses.divided(6).total(RULES).item(), rel=1e-6)


@torch.no_grad()
def test_labels_change_no_answer_and_without_them_there_is_no_loss(
    drawn_model, pictures, clicks, labels
):
    plain, with_loss = (
        drawn_model(pictures, **clicks),
        drawn_model(pictures, **clicks, labels=labels),
    )

    assert_same_answers(with_loss, plain, tolerance=0)
    assert plain.loss is None
    assert "loss" not in plain
    assert with_loss.to_tuple()[:3] == (
        with_loss.iou_scores,
        with_loss.pred_masks,
        with_loss.object_score_logits,
    )


@torch.no_grad()
def test_padding_objects_do_not_count(drawn_model, pictures, clicks, labels):
    padded = {name: values.clone() for name, values in clicks.items()}
    padded["input_points"][1, 2] = padded["input_labels"][1, 2] = -10
    other = labels.clone()
    other[1, 2] = ~other[1, 2]

    losses = [drawn_model(pictures, **padded, labels=one).loss.item() for one in (labels, other)]

    assert losses[0] == losses[1]
    assert losses[0] != drawn_model(pictures, **clicks, labels=labels).loss.item()


def test_a_step_along_the_gradient_lowers_the_loss(own_model, pictures, clicks, labels):
    optimizer = torch.optim.SGD(own_model.train().parameters(), lr=1e-3)

    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = own_model(pictures, **clicks, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(own_model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())

    assert losses[2] < losses[1] < losses[0]


def test_labels_come_after_every_argument_of_transformers():
    peer = pytest.importorskip("transformers.models.sam2.modeling_sam2").Sam2Model

    ours, theirs = (inspect.signature(one.forward).parameters for one in (Sam2Model, peer))

    assert ours["labels"].kind is inspect.Parameter.KEYWORD_ONLY
    assert [name for name in ours if name != "labels"] == list(theirs)


@pytest.mark.parametrize("shape", [(2, 2, 64, 64), (2, 3, 1, 64, 64), (6, 64, 64)])
def test_labels_for_other_objects_are_refused(drawn_model, pictures, clicks, shape):
    with pytest.raises(ValueError, match="one true mask per object"):
        drawn_model(pictures, **clicks, labels=torch.zeros(shape, dtype=torch.bool))
