"""`torch.compile` for steps of fixed shapes, always optional."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MOST_GRAPHS = 64  # of one step, one for each set of shapes; torch's default limit is 8

Step = Callable[..., tuple[Tensor, ...]]
logger = logging.getLogger(__name__)


class Compiled:
    """A step that is compiled on its first call, and again for each new set of shapes.

    If compilation fails, as without a C++ compiler, the step runs eagerly with a warning. On CUDA
    the graph is recorded, and replayed with a single launch: call it from one thread. Copies of a
    step share up to `MOST_GRAPHS` graphs; further shapes run eagerly.

    Args:
        step: A function of a model and of tensors, or of dataclasses of tensors.
        backend: A backend of `torch.compile`.
    """

    def __init__(self, step: Step, backend: str = "inductor") -> None:
        self._step = step
        self._backend = backend
        self._compiled: dict[str, Step] = {}  # by device type
        self._gave_up = False

    def __call__(self, model: nn.Module, *arguments: Any) -> tuple[Tensor, ...]:
        """Run the step; results are new tensors."""
        if self._gave_up:
            return self._step(model, *arguments)
        kind = next(model.parameters()).device.type
        compiled = self._compiled_for(kind)
        try:
            with torch._dynamo.config.patch(recompile_limit=MOST_GRAPHS):
                if kind == "cuda":
                    torch.compiler.cudagraph_mark_step_begin()
                found = compiled(model, *arguments)
        except torch._dynamo.exc.FailOnRecompileLimitHit:
            return self._step(model, *arguments)  # existing graphs stay in use
        except torch._dynamo.exc.TorchDynamoException as error:
            self._gave_up = True
            reason = " ".join(str(error).split("\n")[:2])  # the rest is pages of advice
            name = self._step.__name__
            logger.warning("%s cannot be compiled, so it runs eagerly: %s", name, reason)
            return self._step(model, *arguments)
        # a recorded graph overwrites its outputs on the next call
        return tuple(values.clone() if values.is_cuda else values for values in found)

    def _compiled_for(self, kind: str) -> Step:
        if kind not in self._compiled:
            records = kind == "cuda" and self._backend == "inductor"
            self._compiled[kind] = torch.compile(
                self._step,
                fullgraph=True,
                dynamic=False,
                backend=self._backend,
                mode="reduce-overhead" if records else None,
            )
        return self._compiled[kind]
