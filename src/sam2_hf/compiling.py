"""`torch.compile` for steps of fixed shapes: an option wherever it is offered, never a need."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MOST_GRAPHS = 64  # of one step, one for each set of shapes; torch gives up after 8 if not told

Step = Callable[..., tuple[Tensor, ...]]
logger = logging.getLogger(__name__)


class Compiled:
    """A step that is compiled on its first call, and again for every other set of shapes.

    Where that cannot be done, as without a C++ compiler, the step runs as it is, and a warning says
    why. On CUDA the graph is recorded, and replayed with a single launch: call it from one thread.
    Copies of one step share what was compiled, up to `MOST_GRAPHS`; other shapes run as they are.

    Args:
        step: A function of a model and of tensors, or of dataclasses of tensors.
        backend: A backend of `torch.compile`.
    """

    def __init__(self, step: Step, backend: str = "inductor") -> None:
        self._step = step
        self._backend = backend
        self._compiled: dict[str, Step] = {}  # by kind of device
        self._gave_up = False

    def __call__(self, model: nn.Module, *arguments: Any) -> tuple[Tensor, ...]:
        """Run the step; its answers are new tensors."""
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
            return self._step(model, *arguments)  # graphs that there are go on to be used
        except torch._dynamo.exc.TorchDynamoException as error:
            self._gave_up = True
            reason = " ".join(str(error).split("\n")[:2])  # pages of advice follow
            name = self._step.__name__
            logger.warning("%s cannot be compiled, so it runs as it is: %s", name, reason)
            return self._step(model, *arguments)
        # a recorded graph writes its next answer over this one
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
