"""Environment of a measurement: machine, device and versions."""

import platform
from dataclasses import dataclass

import numpy as np
import torch
import transformers

import sam2_hf


@dataclass(frozen=True, slots=True)
class Environment:
    """Environment that scores may depend on, besides model and data.

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

    @property
    def caption(self) -> str:
        """Description for a table's caption."""
        return f"{self.device}, {self.dtype}; torch {self.torch}, sam2_hf {self.sam2_hf}"


def describe_environment(device: torch.device, dtype: torch.dtype) -> Environment:
    """Describe the environment of a model.

    Args:
        device: Its device.
        dtype: Type of its weights.
    """
    name = device.type
    if name == "cuda":
        name += f" ({torch.cuda.get_device_name(device)})"
    return Environment(
        device=name,
        dtype=str(dtype).removeprefix("torch."),
        machine=platform.machine(),
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        numpy=np.__version__,
        sam2_hf=sam2_hf.__version__,
    )
