"""Learner: one optimization step of model, objective and optimizer, on one device or many.

The measurements of a step are packed into one tensor, so that reading them costs one transfer.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from sam2_hf.data.clip import ClipBatch
from sam2_hf.errors import TrainingError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .checkpointing import EMA, OPTIMIZER, WEIGHTS, snapshot
from .config import TrainConfig
from .dense_objective import DenseObjective
from .objective import Beside, Sam2VideoForTraining
from .optimizer import (
    WeightAverage,
    learning_rate_multipliers,
    make_optimizer,
    rate_factor,
    set_rates,
)
from .sharded import fill, whole
from .training_output import TrainingOutput

if TYPE_CHECKING:
    from accelerate import Accelerator


SUMMED = ("loss", "focal", "dice", "iou", "object_score")  # over the parts of a step
AVERAGED = ("first_iou", "last_iou")  # over the parts of a step
MEASURED = (*SUMMED, *AVERAGED, "gradient_norm")
COUNTED = ("spoilt", "steps", "skipped")


@dataclass(frozen=True, slots=True)
class Totals:
    """Measurements of several steps.

    Attributes:
        means: Mean of each value over the finite steps.
        spoilt: Steps with a loss or gradient that was not finite.
        steps: All steps.
        skipped: Photos and clips that were skipped.
    """

    means: Mapping[str, float]
    spoilt: int
    steps: int
    skipped: int

    @classmethod
    def of(cls, sums: Sequence[float], processes: int) -> "Totals":
        """Unpack sums over steps, which are means over processes."""
        spoilt, steps, skipped = sums[len(MEASURED) :]
        fine = max(steps - spoilt, 1.0)
        means = {name: total / fine for name, total in zip(MEASURED, sums, strict=False)}
        return cls(means, round(spoilt * processes), round(steps), round(skipped * processes))


def no_values(device: torch.device | str) -> Tensor:
    """Initialize a sum over steps."""
    return torch.zeros(len(MEASURED) + len(COUNTED), device=device)


@torch.no_grad()
def part_values(output: TrainingOutput, num_parts: int) -> Tensor:
    """Pack the losses and IoUs of one part of a step.

    Args:
        output: Output of the objective.
        num_parts: Micro-batches of the step in this process.

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

    A step whose loss or gradient is not finite counts as spoilt, and contributes no values.

    Args:
        parts: Sum of `part_values`.
        gradient_norm: Global gradient norm before clipping.
        skipped: Photos and clips that were skipped.
        is_scaled: Whether the loss is scaled for fp16, where gradients occasionally overflow.

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


PLAN, DROPOUT = 0, 1  # purpose of a seed
# without cuDNN's, which replans for every number of objects: 20 ms a layer on an H200
ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class Learner:
    """Model, optimizer and averages, updated step by step.

    Attributes:
        is_whole: False while an update is in progress. `step` clears it before changing weights;
            the caller sets it again when it counts the step.

    Args:
        config: The run.
        model: The model, in train mode; moved to the device of `accelerator`.
        accelerator: Distributes it over processes and sets the precision.
        steps: Steps of the whole run.

    Raises:
        TrainingError: Weights are sharded by FSDP 1, which hides their names.
    """

    def __init__(
        self, config: TrainConfig, model: Sam2VideoModel, accelerator: "Accelerator", steps: int
    ) -> None:
        self.config, self.steps, self.accelerator = config, steps, accelerator
        self.is_sharded = str(accelerator.distributed_type) == "DistributedType.FSDP"
        if self.is_sharded and not accelerator.is_fsdp2:
            raise TrainingError(
                "the launch config asks for FSDP 1, but checkpoints of a run need FSDP 2. "
                "Set fsdp_version: 2 there."
            )
        self.model = model
        if accelerator.device.type == "cpu":
            _use_eager_attention(model)
        optimizer = make_optimizer(
            dict(model.named_parameters()),
            learning_rate_multipliers(model, config.optimizer),
            config.optimizer,
        )
        self._clicking = _objective(model, config)
        self.objective, self.optimizer = accelerator.prepare(self._clicking, optimizer)
        # after `prepare`, since sharding replaces parameters
        self.is_whole = True
        self.learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
        decay = config.ema_decay
        self.average = None if decay is None else WeightAverage(self.learning, decay)

    def step(self, parts: Sequence[ClipBatch], step: int, mean_objects: float) -> Tensor:
        """Train on this process's micro-batches of a step.

        Args:
            parts: The parts, in order.
            step: Index of the step, from 0.
            mean_objects: Objects of the whole step, divided by the number of processes.

        Returns:
            The measurements, see `step_values`.
        """
        set_rates(self.optimizer, self.config.optimizer, step, self.steps)
        first_part = self.accelerator.process_index * len(parts)
        values: list[Tensor] = []
        for place, batch in enumerate(parts):
            is_last = place == len(parts) - 1
            alone = (
                contextlib.nullcontext() if is_last else self.accelerator.no_sync(self.objective)
            )
            with alone:
                output = self._forward(
                    batch.to(self.accelerator.device), step, first_part + place, mean_objects
                )
                self.accelerator.backward(output["loss"])
            values.append(part_values(output, len(parts)))
        norm = self._move(step)
        skipped = sum(len(batch.skipped) for batch in parts)
        is_scaled = self.accelerator.scaler is not None
        return step_values(torch.stack(values).sum(dim=0), norm, skipped, is_scaled=is_scaled)

    def click_seconds(self) -> float:
        """Return the seconds spent on finding clicks since the last call."""
        seconds, self._clicking.click_s = self._clicking.click_s, 0.0
        return seconds

    def is_finite(self) -> bool:
        """Whether all trained weights are finite; a collective call."""
        found = [
            torch.isfinite(whole(weight) if self.is_sharded else weight).all()
            for weight in self.learning.values()
        ]
        return bool(torch.stack(found).all()) if found else True

    def snapshot(self) -> Sam2VideoModel:
        """Copy the model for inference, with averaged weights if there are any."""
        return snapshot(self.model, self.average.averages if self.average else None)

    def adapters(self) -> dict[str, Tensor]:
        """Gather the adapters' weights by name, averaged ones if there are any."""
        if self.config.lora is None:
            return {}
        chosen = self.average.averages if self.average else self.learning
        return {name: whole(tensor) for name, tensor in chosen.items()}

    def learning_rate(self, step: int) -> float:
        """Return the peak learning rate of a step, except for the trunk's own."""
        config = self.config.optimizer
        return config.learning_rate * rate_factor(config, step, self.steps)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Gather the tensors of a checkpoint; a collective call if weights are sharded.

        Returns:
            File name -> name -> tensor on the CPU, which may share memory with the training state.
        """
        found = {WEIGHTS: self.model.state_dict(), OPTIMIZER: self._optimizer_state()}
        if self.average is not None:
            found[EMA] = self.average.averages
        return {
            file: {name: whole(tensor).contiguous() for name, tensor in tensors.items()}
            for file, tensors in found.items()
        }

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Restore the result of `tensors`.

        Raises:
            TrainingError: It belongs to another model.
        """
        weights = self.model.state_dict()
        targets = {WEIGHTS: weights}
        if self.average is not None:
            targets[EMA] = self.average.averages
        for file, wanted in targets.items():
            given = tensors.get(file, {})
            if missing := sorted(set(wanted) ^ set(given)):
                raise TrainingError(
                    f"the checkpoint's {file} do not fit the model: {len(missing)} names differ, "
                    f"such as {missing[0]}. Resume with the model the run was started with."
                )
            for name, target in wanted.items():
                fill(target, given[name])
        self._load_optimizer(tensors[OPTIMIZER])

    def scaler_state(self) -> dict[str, float] | None:
        """Return the state of the fp16 loss scaler; None without one."""
        scaler = self.accelerator.scaler
        return None if scaler is None else scaler.state_dict()

    def load_scaler(self, state: Mapping[str, float] | None) -> None:
        """Restore the state of the fp16 loss scaler."""
        if state and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(dict(state))

    def _forward(
        self, batch: ClipBatch, step: int, part: int, mean_objects: float
    ) -> TrainingOutput:
        torch.manual_seed(seed_for(self.config.seed, step, part, DROPOUT))
        with sdpa_kernel(ATTENTION):
            return self.objective(
                batch.clips_bt3hw,
                batch.labels_bothw,
                batch.seeds_b,
                # one plan for all parts of a step, so that processes do equal work
                plan_seed=seed_for(self.config.seed, step, 0, PLAN),
                num_objects=mean_objects,
            )

    def _move(self, step: int) -> Tensor:
        """Update the weights, unless gradients are not finite; return their norm.

        The norm is global, so all processes decide the same.
        """
        self.is_whole = False
        norm = self._clip()
        # the fp16 scaler skips such steps itself, and adapts its scale
        if self.accelerator.scaler is not None or bool(torch.isfinite(norm)):
            self.optimizer.step()
            if self.average is not None:
                self.average.update(step)
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _clip(self) -> Tensor:
        """Clip the gradients' norm, and return its value before."""
        limit = self.config.optimizer.clip_norm
        most = float("inf") if limit is None else limit
        norm = self.accelerator.clip_grad_norm_(list(self.learning.values()), most)
        return whole(norm).to(self.accelerator.device) if self.is_sharded else norm

    def _optimizer_state(self) -> dict[str, Tensor]:
        state = self.optimizer.state
        return {
            f"{name}/{key}": value
            for name, parameter in self.learning.items()
            for key, value in state.get(parameter, {}).items()
        }

    def _load_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        state = self.optimizer.state
        for name, tensor in tensors.items():
            owner, _, key = name.rpartition("/")
            parameter = self.learning[owner]
            if tensor.dim() == 0:  # the number of steps
                state[parameter][key] = tensor.to(parameter.device)
                continue
            state[parameter][key] = torch.zeros_like(parameter)
            fill(state[parameter][key], tensor)


def _objective(model: Sam2VideoModel, config: TrainConfig) -> Sam2VideoForTraining | DenseObjective:
    """Choose the objective: prompts, dense clicks, or both."""
    if config.dense is None:
        return Sam2VideoForTraining(model, config.prompts, config.losses)
    dense = DenseObjective(model, config.losses, config.dense.clicks, config.dense.boxes)
    weight = config.dense.beside_prompts
    if not weight:
        return dense
    return Sam2VideoForTraining(model, config.prompts, config.losses, Beside(dense, weight))


def _use_eager_attention(model: Sam2VideoModel) -> None:
    """Replace torch's fused attention, whose gradient takes half of a step on the CPU.

    Eager attention takes a third of that.
    """
    for part in (model.config.prompt_encoder_config, model.config.mask_decoder_config):
        part._attn_implementation = "eager"  # parts have no setter of their own
    model.set_attn_implementation("eager")


def seed_for(*numbers: int) -> int:
    """Hash numbers to a seed in [0, 2 ** 63)."""
    state = np.random.SeedSequence(numbers).generate_state(2, np.uint32)
    return (int(state[0]) << 31) ^ int(state[1])
