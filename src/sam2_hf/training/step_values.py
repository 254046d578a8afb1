"""What a step measures, packed into one tensor so that reading it costs one transfer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .training_output import TrainingOutput

SUMMED = ("loss", "focal", "dice", "iou", "object_score")  # over the parts of a step
AVERAGED = ("first_iou", "last_iou")  # over the parts of a step
MEASURED = (*SUMMED, *AVERAGED, "gradient_norm")
COUNTED = ("spoilt", "steps", "skipped")


@dataclass(frozen=True, slots=True)
class Totals:
    """What several steps measured.

    Attributes:
        means: Mean of each measured value over the steps that were not spoilt.
        spoilt: Steps whose loss or gradient was not finite.
        steps: All steps.
        skipped: Photos and clips that were left out.
    """

    means: Mapping[str, float]
    spoilt: int
    steps: int
    skipped: int

    @classmethod
    def of(cls, sums: Sequence[float], processes: int) -> "Totals":
        """Read sums over steps, which are means over processes."""
        spoilt, steps, skipped = sums[len(MEASURED) :]
        fine = max(steps - spoilt, 1.0)
        means = {name: total / fine for name, total in zip(MEASURED, sums, strict=False)}
        return cls(means, round(spoilt * processes), round(steps), round(skipped * processes))


def no_values(device: torch.device | str) -> Tensor:
    """Begin a sum over steps."""
    return torch.zeros(len(MEASURED) + len(COUNTED), device=device)


@torch.no_grad()
def part_values(output: TrainingOutput, num_parts: int) -> Tensor:
    """Pack the losses and IoUs of one part of a step.

    Args:
        output: What the objective handed out.
        num_parts: Parts of the step that this process computes.

    Returns:
        `(7,)`, float32, in the order of `SUMMED` and `AVERAGED`; parts are to be added up.
    """
    present_to = output["present_to"]
    count = present_to.sum().clamp(min=1) * num_parts
    ious = [(output[name] * present_to).sum() / count for name in ("first_iou_to", "iou_to")]
    return torch.stack([value.float() for value in (*(output[name] for name in SUMMED), *ious)])


@torch.no_grad()
def step_values(
    parts: Tensor, gradient_norm: Tensor, skipped: int, *, is_scaled: bool = False
) -> Tensor:
    """Pack a whole step.

    A step whose loss or gradient is not finite counts as spoilt, and measures nothing.

    Args:
        parts: Sum of `part_values`.
        gradient_norm: Norm of all gradients before it was limited.
        skipped: Photos and clips that were left out.
        is_scaled: Whether the loss is scaled for fp16, where gradients overflow now and then.

    Returns:
        `(11,)`, float32, in the order of `MEASURED` and `COUNTED`; steps are to be added up.
    """
    norm = gradient_norm.float().reshape(1)
    judged = parts[:1] if is_scaled else torch.cat((parts[:1], norm))
    is_fine = torch.isfinite(judged).all().float()
    values = torch.cat((parts, norm))
    values = torch.where(torch.isfinite(values), values, 0.0) * is_fine
    counts = torch.stack((1 - is_fine, torch.ones_like(is_fine), torch.full_like(is_fine, skipped)))
    return torch.cat((values, counts))
