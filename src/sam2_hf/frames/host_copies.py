"""Asynchronous copies between the host and an accelerator.

A copy from or to pageable memory makes the host wait until the device has finished all queued work.
With page-locked memory both run in parallel. On a CPU nothing is copied.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def numbers_to_device(values: Sequence[object], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Copy numbers to a device.

    Args:
        values: Numbers, or sequences of them.
        dtype: Type of the tensor.
        device: Target device.
    """
    return to_device(torch.tensor(values, dtype=dtype), device)


def to_device(tensor: Tensor, device: torch.device | str | None) -> Tensor:
    """Copy a tensor to a device; None leaves it where it is."""
    if device is None or torch.device(device) == tensor.device:
        return tensor
    if tensor.is_cpu and torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class HostCopies:
    """Pending copies to the host; none may be read before `wait` has returned."""

    def __init__(self) -> None:
        self._arrivals: dict[torch.device, torch.cuda.Event] = {}

    def take(self, tensor: Tensor) -> Tensor:
        """Start copying a tensor; one on the host is returned as it is."""
        if not tensor.is_cuda:
            return tensor.cpu()
        copy = tensor.to("cpu", non_blocking=True)  # torch allocates page-locked memory for it
        arrival = self._arrivals.setdefault(tensor.device, torch.cuda.Event())
        arrival.record(torch.cuda.current_stream(tensor.device))
        return copy

    def take_all(self, record: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Start to copy several; see `take`."""
        return {
            name: self.take(tensor) if tensor.is_cuda else tensor.cpu()
            for name, tensor in record.items()
        }

    def wait(self) -> None:
        """Wait for all copies started so far."""
        for arrival in self._arrivals.values():
            arrival.synchronize()
        self._arrivals.clear()


def finish_host_copy(copy: Tensor) -> Tensor:
    """Move a finished copy to pageable memory, so that the page-locked block can be reused."""
    return copy.clone() if copy.is_pinned() else copy
