"""Optimizer: parameter groups, learning-rate schedule, and moving average of weights."""

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
    """Return the factor of the learning rate at a step.

    It rises linearly over the warm-up, starting above 0, and then follows half a cosine down to
    `final_share`, or is constant.

    Args:
        config: Warm-up, schedule and final share.
        step: Index of the step, from 0.
        steps: Steps of the whole run.
        begins: Step at which the warm-up starts; the factor is 0 before. The cosine spans the run.

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
LEAST_SIDE = 8  # of a matrix; heads with a few outputs are not orthogonalized
POSITIONS = (TRUNK + "pos_embed", TRUNK + "embeddings.position_embeddings")


@dataclass(frozen=True, slots=True)
class ParameterOptions:
    """Optimizer options of a parameter.

    Attributes:
        rate: Peak learning rate.
        decay: Weight decay.
        begins: Steps during which it is frozen.
        is_matrix: Whether it maps one hidden layer to another, so that Muon applies.
    """

    rate: float
    decay: float
    begins: int = 0
    is_matrix: bool = False


def freeze(model: nn.Module, patterns: Iterable[str]) -> None:
    """Freeze parameters.

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
        raise TrainingError(f"frozen is {list(patterns)}, which leaves nothing to train.")


def matching_names(model: nn.Module, pattern: str, setting: str) -> list[str]:
    """List the parameters whose names match a pattern.

    Args:
        model: The model.
        pattern: Such as `mask_decoder.*`.
        setting: Name of the setting, for messages.

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


def learning_rate_multipliers(
    model: Sam2VideoModel, config: OptimizerConfig
) -> dict[str, ParameterOptions]:
    """Return the optimizer options of each trained parameter.

    Source: training/optimizer.py:383-460 and sam2/modeling/backbones/hieradet.py:301-317 @ 2b90b9f.
    Differs: weights of channel norms of maps do not decay either; the original's rule matches only
        `torch.nn.LayerNorm`.
    """
    factors = layer_factors(model, config.layer_decay)
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
        is_exempt = "bias" in name or name in norms
        decay = 0.0 if is_exempt else config.weight_decay
        rate *= factors.get(name, 1.0)
        begins = config.vision_begins if is_vision else 0
        found[name] = ParameterOptions(rate, decay, begins, name in matrices)
    return found


def _is_matrix(module: nn.Module) -> bool:
    """Whether a layer maps every cell or token by a matrix.

    1 x 1 convolutions do: with AdamW, those of the neck would grow a part common to all cells,
    which norms preserve while content vanishes.
    """
    if isinstance(module, nn.Conv2d):
        is_map = module.kernel_size == (1, 1)
        return is_map and min(module.in_channels, module.out_channels) >= LEAST_SIDE
    return isinstance(module, nn.Linear) and min(module.weight.shape) >= LEAST_SIDE


def trunk_blocks(model: Sam2VideoModel) -> list[nn.Module]:
    """List the blocks of the image encoder, first to last; SAM 3's, which is transformers', too."""
    backbone = model.vision_encoder.backbone
    return list(backbone.blocks if hasattr(backbone, "blocks") else backbone.layers)


def layer_factors(model: Sam2VideoModel, decay: float) -> dict[str, float]:
    """Return the layer-decay factors of the trunk's parameters, by their names in the model.

    Layers between two blocks, such as EdgeTAM's, have the factor of the block before them.

    Args:
        model: The model.
        decay: Factor from each block to the one before it.

    Source: training/optimizer.py:404-452 and sam2/modeling/backbones/hieradet.py:301-314 @ 2b90b9f,
        with the override of sam2.1_hiera_b+_MOSE_finetune.yaml: position tables keep the rate.
    """
    blocks = trunk_blocks(model)
    number_of = {
        parameter: number
        for number, block in enumerate(blocks, start=1)
        for parameter in block.parameters()
    }
    factors = {}
    number = 0  # the patch embedding is below the first block
    named = model.vision_encoder.backbone.named_parameters(prefix=TRUNK.removesuffix("."))
    for name, parameter in named:
        if not name.startswith(POSITIONS):
            number = number_of.get(parameter, number)
            factors[name] = decay ** (len(blocks) + 1 - number)
    return factors


def make_optimizer(
    named: Mapping[str, nn.Parameter],
    options: Mapping[str, ParameterOptions],
    config: OptimizerConfig,
) -> Optimizer:
    """Make the optimizer, with one group for all parameters with equal options.

    Args:
        named: Parameters by the names in `options`.
        options: From `learning_rate_multipliers`.
        config: Kind and moving averages.
    """
    groups: dict[ParameterOptions, list[nn.Parameter]] = {}
    for name, chosen in options.items():
        groups.setdefault(chosen, []).append(named[name])
    settings: list[dict[str, Any]] = [
        {"params": parameters, "lr": chosen.rate, "weight_decay": chosen.decay, "options": chosen}
        for chosen, parameters in groups.items()
    ]
    if config.kind == "muon":
        for group in settings:
            group["matrices"] = group["options"].is_matrix
        return Muon(settings, betas=config.betas)
    # fused: one pass over all weights instead of a dozen
    return AdamW(settings, betas=config.betas, fused=True)


def set_rates(optimizer: Optimizer, config: OptimizerConfig, step: int, steps: int) -> float:
    """Set the learning rates of a step.

    Returns:
        The factor of parameters that are trained from the first step.
    """
    for group in optimizer.param_groups:
        chosen = group["options"]
        group["lr"] = chosen.rate * rate_factor(config, step, steps, chosen.begins)
    return rate_factor(config, step, steps)


WARM_UP = 10.0  # steps; the early average should not be dominated by the initial weights


class WeightAverage:
    """Exponential moving average of the trained parameters.

    Args:
        parameters: Name -> parameter, read at each `update`.
        decay: Weight of the old average at each step, after warm-up.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self._parameters = dict(parameters)
        # float32: increments of 1 - decay would round to zero in half precision
        self.averages = {
            name: parameter.detach().float().clone() for name, parameter in parameters.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after a step.

        Args:
            step: Index of the step, from 0; early ones have more weight.
        """
        decay = min(self.decay, (1 + step) / (WARM_UP + step))
        weights = [parameter.detach().float() for parameter in self._parameters.values()]
        torch._foreach_lerp_(list(self.averages.values()), weights, 1 - decay)
