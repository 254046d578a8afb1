"""Time two sides in turn, after their answers have turned out to be equal."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

TOLERANCE = 1e-3  # logits; both are float32 and differ by the order of summation
FLIPPED_PIXELS = 1e-4  # share of a mask whose logits are within rounding of the threshold

Timed = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Result:
    """Medians of one case and how many times better this package is; None if a peer cannot run."""

    case: str
    ours: float
    transformers: float | None
    ratio: float | None
    spread: float
    unit: str = "s"


def draw_weights(model: nn.Module) -> None:
    """Draw weights that keep signals at their size.

    The library's first weights are so small that every mask is a constant.
    """
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(parameter, std=fan_in(parameter) ** -0.5)


def fan_in(parameter: Tensor) -> int:
    """Count a weight's inputs per output; 400 for vectors, whose deviation is then 0.05."""
    return parameter[0].numel() if parameter.dim() > 1 else 400


def take_turns(case: str, ours: Timed, peer: Timed, rounds: int) -> Result:
    """Run both in turn; the spread is the distance of the ratios' quartiles over their median."""
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(seconds(ours))
        theirs.append(seconds(peer))
    ratios = sorted(t / m for m, t in zip(mine, theirs, strict=True))
    spread = (ratios[len(ratios) * 3 // 4] - ratios[len(ratios) // 4]) / statistics.median(ratios)
    first, second = statistics.median(mine), statistics.median(theirs)
    return Result(
        case, round(first, 4), round(second, 4), round(second / first, 2), round(spread, 2)
    )


def seconds(work: Timed) -> float:
    """Time one call."""
    start = time.perf_counter()
    with torch.inference_mode():
        work()
    return time.perf_counter() - start


def require_close(mine: Tensor, theirs: Tensor, what: str) -> None:
    """End the run if two float tensors differ by more than rounding."""
    worst = (mine.float() - theirs.float()).abs().max().item()
    if worst > TOLERANCE * max(1.0, theirs.float().std().item()):
        raise SystemExit(
            f"{what} differ by {worst:.2e}: nothing is timed until the answers are equal."
        )


def require_equal_masks(mine: Tensor, theirs: Tensor) -> None:
    """End the run if two boolean masks differ in more than a few boundary pixels."""
    share = (mine != theirs).float().mean().item()
    if share > FLIPPED_PIXELS:
        raise SystemExit(
            f"masks differ in {share:.2%} of their pixels: nothing is timed until they are equal."
        )
