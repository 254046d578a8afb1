import pytest
import torch

from sam2_hf.training.learner import MEASURED, Totals, no_values, part_values, step_values
from sam2_hf.training.training_output import TrainingOutput


def output(loss=3.0):
    present = torch.tensor([[True, True], [False, True]])
    scalars = {name: torch.tensor(1.0) for name in ("focal", "dice", "iou", "object_score")}
    return TrainingOutput(
        loss=torch.tensor(loss),
        **scalars,
        iou_to=torch.tensor([[0.9, 0.6], [0.0, 0.3]]),
        first_iou_to=torch.tensor([[0.3, 0.3], [0.0, 0.0]]),
        present_to=present,
    )


def test_ious_are_those_of_objects_that_are_there():
    values = dict(zip(MEASURED, part_values(output(), num_parts=1).tolist(), strict=False))

    assert values["last_iou"] == pytest.approx(0.6)
    assert values["first_iou"] == pytest.approx(0.2)


def test_losses_of_parts_add_up_and_their_ious_average():
    parts = part_values(output(), num_parts=2) + part_values(output(), num_parts=2)

    values = dict(zip(MEASURED, parts.tolist(), strict=False))
    assert values["loss"] == 6.0
    assert values["last_iou"] == pytest.approx(0.6)


def test_steps_average_and_counts_add_up_over_processes():
    step = step_values(part_values(output(), num_parts=1), torch.tensor(2.0), skipped=1)

    totals = Totals.of((no_values("cpu") + step + step).tolist(), processes=3)

    assert (totals.means["loss"], totals.means["gradient_norm"]) == (3.0, 2.0)
    assert (totals.steps, totals.spoilt, totals.skipped) == (2, 0, 6)


def test_a_step_without_a_finite_loss_counts_as_spoilt_and_measures_nothing():
    good = step_values(part_values(output(), num_parts=1), torch.tensor(2.0), skipped=0)
    bad = step_values(part_values(output(float("nan")), 1), torch.tensor(float("inf")), skipped=0)

    totals = Totals.of((good + bad).tolist(), processes=1)

    assert (totals.steps, totals.spoilt) == (2, 1)
    assert totals.means["loss"] == 3.0


@pytest.mark.parametrize(("is_scaled", "spoilt"), [(False, 1), (True, 0)])
def test_a_gradient_that_is_no_number_spoils_a_step_but_for_fp16(is_scaled, spoilt):
    norm = torch.tensor(float("inf"))

    step = step_values(part_values(output(), num_parts=1), norm, skipped=0, is_scaled=is_scaled)

    totals = Totals.of(step.tolist(), processes=1)
    assert totals.spoilt == spoilt
    assert totals.means["gradient_norm"] == 0.0
