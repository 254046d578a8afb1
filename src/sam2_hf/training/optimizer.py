"""Optimizer groups, the learning-rate schedule, and the moving average of the weights."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from sam2_hf.errors import TrainingError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .config import OptimizerConfig
from .muon import Muon


def rate_factor(config: OptimizerConfig, step: int, steps: int, begins: int = 0) -> float:
    """Tell what a learning rate is multiplied by on a step.

    It rises linearly over the warm-up, so that the first step already learns, and then follows
    half a cosine down to `final_share`, or stays.

    Args:
        config: Warm-up, schedule and final share.
        step: Which step, counted from 0.
        steps: Steps of the whole run.
        begins: Step at which the warm-up begins; 0 before it. The cosine is that of the run.

    Source: fvcore's `CosineParamScheduler`, as in
        sam2/configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml @ 2b90b9f.
    """
    if step < begins:
        return 0.0
    if step < begins + config.warmup_steps:
        return (step - begins + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    done = (step - config.warmup_steps) / max(steps - config.warmup_steps, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return config.final_share + (1 - config.final_share) * cosine


VISION, TRUNK = "vision_encoder.", "vision_encoder.backbone."
LEAST_SIDE = 8  # of a matrix; heads of a few outputs have no directions to speak of
BLOCKS, POSITIONS = TRUNK + "blocks.", TRUNK + "pos_embed"


@dataclass(frozen=True, slots=True)
class Pace:
    """How a parameter learns.

    Attributes:
        rate: Its highest learning rate.
        decay: Its weight decay.
        begins: Steps for which it stays as it is.
        is_matrix: Whether it maps one hidden layer to another, so that Muon may move it.
    """

    rate: float
    decay: float
    begins: int = 0
    is_matrix: bool = False


def freeze(model: nn.Module, patterns: Iterable[str]) -> None:
    """Stop parameters from learning.

    Args:
        model: The model.
        patterns: Of names, such as `vision_encoder.*`.

    Raises:
        TrainingError: A pattern matches nothing, or nothing is left to learn.
    """
    for pattern in patterns:
        for name in matching_names(model, pattern, "frozen"):
            model.get_parameter(name).requires_grad = False
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TrainingError(f"frozen is {list(patterns)}, which leaves nothing to learn.")


def matching_names(model: nn.Module, pattern: str, setting: str) -> list[str]:
    """List the parameters whose names match a pattern.

    Args:
        model: The model.
        pattern: Such as `mask_decoder.*`.
        setting: Where the pattern stands, for messages.

    Raises:
        TrainingError: There is none.
    """
    names = [name for name, _ in model.named_parameters()]
    matching = [name for name in names if fnmatchcase(name, pattern)]
    if not matching:
        parts = sorted({name.split(".")[0] for name in names})
        raise TrainingError(
            f"{setting} has {pattern!r}, which matches no parameter. A pattern ends in .* for a "
            f"whole part. Parts: {', '.join(parts)}."
        )
    return matching


def learning_rate_multipliers(model: Sam2VideoModel, config: OptimizerConfig) -> dict[str, Pace]:
    """Tell how each parameter that learns does so.

    Source: training/optimizer.py:383-460 and sam2/modeling/backbones/hieradet.py:301-317 @ 2b90b9f.
    Differs: weights of norms over channels of maps do not decay either; the original's rule knows
        only `torch.nn.LayerNorm` by name.
    """
    num_blocks = len(model.vision_encoder.backbone.blocks)
    norms = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.LayerNorm)
    }
    matrices = {f"{name}.weight" for name, module in model.named_modules() if _is_matrix(module)}
    found = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_vision = name.startswith(VISION)
        rate = config.learning_rate
        if is_vision and config.vision_learning_rate is not None:
            rate = config.vision_learning_rate
        is_unmodified = "bias" in name or name in norms
        decay = 0.0 if is_unmodified else config.weight_decay
        rate *= layer_factor(name, num_blocks, config.layer_decay)
        begins = config.vision_begins if is_vision else 0
        found[name] = Pace(rate, decay, begins, name in matrices)
    return found


def _is_matrix(module: nn.Module) -> bool:
    """Tell whether a layer maps every cell or token by a matrix.

    Convolutions of kernel 1 do: moved weight by weight, those of the neck would add to all cells
    what none differs in, which norms keep while what is seen fades.
    """
    if isinstance(module, nn.Conv2d):
        is_map = module.kernel_size == (1, 1)
        return is_map and min(module.in_channels, module.out_channels) >= LEAST_SIDE
    return isinstance(module, nn.Linear) and min(module.weight.shape) >= LEAST_SIDE


def layer_factor(name: str, num_blocks: int, decay: float) -> float:
    """Tell by how much a parameter of the trunk learns more slowly.

    Args:
        name: Its name in the model.
        num_blocks: Blocks of the trunk.
        decay: Factor from each block to the one before it.

    Source: training/optimizer.py:404-452 and sam2/modeling/backbones/hieradet.py:301-314 @ 2b90b9f,
        with the override of sam2.1_hiera_b+_MOSE_finetune.yaml: position tables keep the rate.
    """
    if not name.startswith(TRUNK) or name.startswith(POSITIONS):
        return 1.0
    above = num_blocks + 1  # the patch embedding lies below the first block
    if name.startswith(BLOCKS):
        above -= int(name.removeprefix(BLOCKS).split(".")[0]) + 1
    return decay**above


def make_optimizer(
    named: Mapping[str, nn.Parameter], speeds: Mapping[str, Pace], config: OptimizerConfig
) -> Optimizer:
    """Make the optimizer, with one group for all parameters of one pace.

    Args:
        named: Parameters by the names in `speeds`.
        speeds: What `learning_rate_multipliers` found.
        config: Which one, and its averages.
    """
    groups: dict[Pace, list[nn.Parameter]] = {}
    for name, pace in speeds.items():
        groups.setdefault(pace, []).append(named[name])
    settings: list[dict[str, Any]] = [
        {"params": parameters, "lr": pace.rate, "weight_decay": pace.decay, "pace": pace}
        for pace, parameters in groups.items()
    ]
    if config.kind == "muon":
        for group in settings:
            group["matrices"] = group["pace"].is_matrix
        return Muon(settings, betas=config.betas)
    # fused: one pass over all weights instead of a dozen
    return AdamW(settings, betas=config.betas, fused=True)


def set_rates(optimizer: Optimizer, config: OptimizerConfig, step: int, steps: int) -> float:
    """Set the learning rates of a step.

    Returns:
        What those are multiplied by that learn from the first step on.
    """
    for group in optimizer.param_groups:
        pace = group["pace"]
        group["lr"] = pace.rate * rate_factor(config, step, steps, pace.begins)
    return rate_factor(config, step, steps)


WARM_UP = 10.0  # steps; the average of the first steps shall not be stuck at the first weights


class WeightAverage:
    """Exponential moving average of the parameters that learn.

    Args:
        parameters: Name -> parameter. They are read at each `update`.
        decay: Share of the old average that is kept at each step, once it is warmed up.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self._parameters = dict(parameters)
        # float32: steps of 1 - decay would be rounded away in half precision
        self.averages = {
            name: parameter.detach().float().clone() for name, parameter in parameters.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights in after a step.

        Args:
            step: Which step, counted from 0; early ones weigh more.
        """
        decay = min(self.decay, (1 + step) / (WARM_UP + step))
        weights = [parameter.detach().float() for parameter in self._parameters.values()]
        torch._foreach_lerp_(list(self.averages.values()), weights, 1 - decay)
