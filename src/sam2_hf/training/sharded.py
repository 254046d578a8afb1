"""Gathering and filling of tensors sharded over processes (FSDP)."""

from typing import Any

import torch
from torch import Tensor


def whole(tensor: Tensor) -> Tensor:
    """Gather a full tensor on the CPU; a collective call.

    An unsharded tensor on the CPU is returned as it is, sharing memory.
    """
    tensor = tensor.detach()
    gather = getattr(tensor, "full_tensor", None)  # of torch.distributed.tensor.DTensor
    return (tensor if gather is None else gather()).cpu()


@torch.no_grad()
def fill(target: Tensor, source: Tensor) -> None:
    """Copy a full tensor into one that may be sharded.

    Args:
        target: Written in place.
        source: The full tensor, on the CPU.
    """
    if hasattr(target, "full_tensor"):
        sharded: Any = target
        # imported here: only sharded runs have a process group
        distribute = torch.distributed.tensor.distribute_tensor
        source = distribute(
            source.to(sharded.device), sharded.device_mesh, sharded.placements, src_data_rank=None
        )
    target.copy_(source)
