"""A moving average of the weights, which is steadier than the weights themselves."""

from collections.abc import Mapping

import torch
from torch import Tensor

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
