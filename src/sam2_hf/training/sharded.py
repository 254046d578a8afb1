"""Whole tensors from those that several processes hold parts of (FSDP), and back."""

from typing import Any

import torch
from torch import Tensor


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor, on the CPU; every process has to ask for it.

    A tensor that is not sharded and is on the CPU is handed back as it is, sharing memory.
    """
    tensor = tensor.detach()
    gather = getattr(tensor, "full_tensor", None)  # that of torch.distributed.tensor.DTensor
    return (tensor if gather is None else gather()).cpu()


@torch.no_grad()
def fill(target: Tensor, source: Tensor) -> None:
    """Write a whole tensor into one that may be sharded.

    Args:
        target: Written in place.
        source: All of it, on the CPU.
    """
    if hasattr(target, "full_tensor"):
        sharded: Any = target
        # imported here: only processes that shard have a process group to speak of
        distribute = torch.distributed.tensor.distribute_tensor
        source = distribute(
            source.to(sharded.device), sharded.device_mesh, sharded.placements, src_data_rank=None
        )
    target.copy_(source)
