"""Muon: steps of momentum whose matrices are made orthogonal, with AdamW for everything else.

All directions of a matrix learn equally fast, whatever their gradients' sizes.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw

# Newton-Schulz coefficients: singular values come to lie between 0.7 and 1.2 after five steps
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
ADAMW_SIZE = 0.2  # root mean square of AdamW's steps, so that both take the same rates
EPS_NORM = 1e-7


class Muon(Optimizer):
    """Muon for the groups that say `matrices: True`, AdamW for the others.

    Args:
        groups: As of any optimizer, each with `lr`, `weight_decay` and `matrices`.
        betas: AdamW's two moving averages.
        momentum: Of Muon, with Nesterov's look ahead.

    Source: Jordan et al., "Muon", 2024; the size of steps from Liu et al., arXiv:2502.16982.
    Differs: matrices of one shape are made orthogonal together, in bfloat16 as there.
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
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # as no closure is used
        """Change all parameters that have a gradient.

        Args:
            closure: Not used.
        """
        for group in self.param_groups:
            learning = [one for one in group["params"] if one.grad is not None]
            if not learning:
                continue
            if group["matrices"]:
                self._step_matrices(group, learning)
            else:
                self._step_adamw(group, learning)

    def _step_matrices(self, group: dict[str, Any], learning: Sequence[Tensor]) -> None:
        """Move matrices; those of one shape together."""
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for one in learning:
            by_shape.setdefault(one.shape, []).append(one)
        rate, decay, momentum = group["lr"], group["weight_decay"], group["momentum"]
        for shape, alike in by_shape.items():
            gradients = [one.grad for one in alike if one.grad is not None]
            buffers = [self._buffer(one) for one in alike]
            torch._foreach_lerp_(buffers, gradients, 1 - momentum)
            ahead = torch._foreach_lerp(gradients, buffers, momentum)
            step_nrc = orthogonalized(torch.stack(tuple(ahead)).flatten(2))
            size = ADAMW_SIZE * max(step_nrc.shape[1:]) ** 0.5
            torch._foreach_mul_(alike, 1 - rate * decay)
            steps = [one.reshape(shape).to(alike[0].dtype) for one in step_nrc]
            torch._foreach_add_(alike, steps, alpha=-rate * size)

    def _buffer(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]

    def _step_adamw(self, group: dict[str, Any], learning: Sequence[Tensor]) -> None:
        """Do what `torch.optim.AdamW` does."""
        for one in learning:
            state = self.state[one]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=one.device)
                state["exp_avg"] = torch.zeros_like(one)
                state["exp_avg_sq"] = torch.zeros_like(one)
        states = [self.state[one] for one in learning]
        first, second = group["betas"]
        adamw(
            list(learning),
            [one.grad for one in learning if one.grad is not None],
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
    """Bring all singular values of some matrices near 1, `(n, r, c)` bfloat16.

    Args:
        matrices_nrc: Of any size.

    Source: Jordan et al., "Muon", 2024.
    """
    is_tall = matrices_nrc.shape[1] > matrices_nrc.shape[2]
    found = matrices_nrc.transpose(1, 2) if is_tall else matrices_nrc
    norm_n11 = torch.linalg.matrix_norm(found.float(), keepdim=True)
    found = (found / (norm_n11 + EPS_NORM)).bfloat16()
    linear, cubic, quintic = COEFFICIENTS
    for _ in range(STEPS):
        gram = found @ found.transpose(1, 2)
        gram = torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic)
        found = torch.baddbmm(found, gram, found, beta=linear)
    return found.transpose(1, 2) if is_tall else found
