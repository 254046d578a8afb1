"""What a measurement was made with: machine, device and versions."""

import platform
from dataclasses import dataclass

import numpy as np
import torch
import transformers
from torch import nn

import sam2_hf


@dataclass(frozen=True, slots=True)
class Environment:
    """What scores may depend on besides model and data.

    Attributes:
        device: Type of the device the model ran on, and the name of a GPU.
        dtype: Of the weights.
        machine: Of the processor.
        python: Version, and so on.
    """

    device: str
    dtype: str
    machine: str
    python: str
    torch: str
    transformers: str
    numpy: str
    sam2_hf: str

    @classmethod
    def of(cls, model: nn.Module) -> "Environment":
        """Describe where a model runs."""
        weights = next(model.parameters())
        name = weights.device.type
        if name == "cuda":
            name += f" ({torch.cuda.get_device_name(weights.device)})"
        return cls(
            device=name,
            dtype=str(weights.dtype).removeprefix("torch."),
            machine=platform.machine(),
            python=platform.python_version(),
            torch=torch.__version__,
            transformers=transformers.__version__,
            numpy=np.__version__,
            sam2_hf=sam2_hf.__version__,
        )
