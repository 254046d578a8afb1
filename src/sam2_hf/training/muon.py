"""Muon optimizer: orthogonalized momentum for matrices, AdamW for other parameters.

All directions of a matrix are learned equally fast, whatever the scale of their gradients.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw

# Newton-Schulz coefficients: singular values reach 0.7 to 1.2 after five steps
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
ADAMW_SIZE = 0.2  # RMS of AdamW's updates, so that both use the same learning rates


class Muon(Optimizer):
    """Muon for groups with `matrices: True`, AdamW for the others.

    Args:
        groups: Parameter groups with `lr`, `weight_decay` and `matrices`.
        betas: AdamW's two moving averages.
        momentum: Muon's Nesterov momentum.

    Source: Jordan et al., "Muon", 2024; the scale of updates from Liu et al., arXiv:2502.16982.
    Differs: matrices of one shape are orthogonalized in a batch, in bfloat16 as there.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        betas: tuple[float, float] = (0.9, 0.999),
        momentum: float = 0.95,
    ) -> None:
        defaults = {"lr": 1e-3, "weight_decay": 0.0, "matrices": False, "betas": betas}
        super().__init__(groups, {**defaults, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # without a closure
        """Update all parameters that have a gradient.

        Args:
            closure: Not used.
        """
        for group in self.param_groups:
            learning = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not learning:
                continue
            if group["matrices"]:
                self._step_matrices(group, learning)
            else:
                self._step_adamw(group, learning)

    def _step_matrices(self, group: dict[str, Any], learning: Sequence[Tensor]) -> None:
        """Update matrices, batched by shape."""
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for parameter in learning:
            by_shape.setdefault(parameter.shape, []).append(parameter)
        rate, decay, momentum = group["lr"], group["weight_decay"], group["momentum"]
        for shape, alike in by_shape.items():
            gradients = [parameter.grad for parameter in alike if parameter.grad is not None]
            buffers = [self._buffer(parameter) for parameter in alike]
            torch._foreach_lerp_(buffers, gradients, 1 - momentum)
            ahead = torch._foreach_lerp(gradients, buffers, momentum)
            step_nrc = orthogonalized(torch.stack(tuple(ahead)).flatten(2))
            size = ADAMW_SIZE * max(step_nrc.shape[1:]) ** 0.5
            torch._foreach_mul_(alike, 1 - rate * decay)
            steps = [step_rc.reshape(shape).to(alike[0].dtype) for step_rc in step_nrc]
            torch._foreach_add_(alike, steps, alpha=-rate * size)

    def _buffer(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]

    def _step_adamw(self, group: dict[str, Any], learning: Sequence[Tensor]) -> None:
        """Update parameters like `torch.optim.AdamW`."""
        for parameter in learning:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
        states = [self.state[parameter] for parameter in learning]
        first, second = group["betas"]
        adamw(
            list(learning),
            [parameter.grad for parameter in learning if parameter.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=first,
            beta2=second,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=1e-8,
            maximize=False,
        )


def orthogonalized(matrices_nrc: Tensor) -> Tensor:
    """Orthogonalize matrices: all singular values become about 1, `(n, r, c)` bfloat16.

    Args:
        matrices_nrc: Any size.

    Source: Jordan et al., "Muon", 2024.
    """
    is_tall = matrices_nrc.shape[1] > matrices_nrc.shape[2]
    found = matrices_nrc.transpose(1, 2) if is_tall else matrices_nrc
    norm_n11 = torch.linalg.matrix_norm(found.float(), keepdim=True)
    found = (found / (norm_n11 + 1e-7)).bfloat16()
    linear, cubic, quintic = COEFFICIENTS
    for _ in range(STEPS):
        gram = found @ found.transpose(1, 2)
        gram = torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic)
        found = torch.baddbmm(found, gram, found, beta=linear)
    return found.transpose(1, 2) if is_tall else found
