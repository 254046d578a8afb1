"""Alternating timing of all sides, after a comparison of their answers."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

TOLERANCE = 1e-3  # logits; both are float32 and differ by the order of summation
AS_EXACT = 1.5  # tolerated ratio of errors; both scatter
FLIPPED_PIXELS = 1e-4  # fraction of a mask's pixels within rounding of the threshold

Timed = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Result:
    """Medians of one case.

    Attributes:
        case: The case.
        ours: This package.
        transformers: transformers, or a reference definition; None if it cannot run.
        original: facebookresearch/sam2; None if not requested or if it cannot run.
        ratio: Improvement of this package over the best of the others.
        spread: Distance of the ratios' quartiles over their median.
        unit: Of the medians; lower is better except for a rate.
    """

    case: str
    ours: float
    transformers: float | None = None
    original: float | None = None
    ratio: float | None = None
    spread: float = 0.0
    unit: str = "s"

    def as_json(self) -> dict[str, Any]:
        """Return the fields, None for a NaN, which JSON does not have."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }


def draw_weights(model: nn.Module) -> None:
    """Initialize weights that preserve the scale of signals.

    The library's initialization is so small that every mask is constant.
    """
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(parameter, std=fan_in(parameter) ** -0.5)
    # the released models share one matrix of frequencies
    of_image = model.get_submodule("shared_image_embedding")
    of_prompts = model.get_submodule("prompt_encoder.shared_embedding")
    of_prompts.load_state_dict(of_image.state_dict())


def fan_in(parameter: Tensor) -> int:
    """Return a weight's fan-in; 400 for vectors, whose deviation is then 0.05."""
    return parameter[0].numel() if parameter.dim() > 1 else 400


@dataclass(frozen=True, slots=True)
class Sides:
    """The same work by all sides that support it."""

    ours: Timed
    transformers: Timed | None = None
    original: Timed | None = None

    @property
    def all(self) -> dict[str, Timed]:
        """Available sides, by their names in a `Result`."""
        named = {name: getattr(self, name) for name in ("ours", "transformers", "original")}
        return {name: work for name, work in named.items() if work is not None}


def take_turns(case: str, sides: Sides, rounds: int) -> Result:
    """Run all sides alternately, so that other load affects all."""
    times: dict[str, list[float]] = {name: [] for name in sides.all}
    for _ in range(rounds):
        for name, work in sides.all.items():
            times[name].append(seconds(work))
    return compare(case, times)


def compare(case: str, times: dict[str, list[float]], unit: str = "s") -> Result:
    """Summarize alternating rounds by medians; fewer seconds, or MiB, are better.

    Args:
        case: The case.
        times: Of each side, by its name in a `Result`, one for each round.
        unit: Of the times.
    """
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    others = [name for name in medians if name != "ours"]
    ratio, spread = None, 0.0
    if others:
        best = min(others, key=lambda name: medians[name])
        ratios = sorted(t / m for m, t in zip(times["ours"], times[best], strict=True))
        quartiles = ratios[len(ratios) * 3 // 4] - ratios[len(ratios) // 4]
        ratio, spread = medians[best] / medians["ours"], quartiles / statistics.median(ratios)
        ratio, spread = round(ratio, 2), round(spread, 2)
    rounded = {name: round(median, 4) for name, median in medians.items()}
    return Result(case, ratio=ratio, spread=spread, unit=unit, **rounded)


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


def require_as_exact(mine: Tensor, theirs: Tensor, exact: Tensor, what: str) -> None:
    """End the run if half precision is clearly less accurate for one tensor than for the other.

    Rounding always differs; both are compared with float32.
    """
    deviation = exact.float().std()
    mine_off, theirs_off = (
        (side.float() - exact.float()).std() / deviation for side in (mine, theirs)
    )
    if mine_off > AS_EXACT * theirs_off:
        raise SystemExit(
            f"{what} are off by {mine_off:.1%} of their deviation here and {theirs_off:.1%} there: "
            "nothing is timed until they are equally accurate."
        )
