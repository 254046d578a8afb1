"""Copies between the host and an accelerator that nobody waits for before they are needed.

A copy from ordinary memory, or into it, makes the host wait until the device has done everything it
was told before. Through page-locked memory the two work side by side. On a CPU nothing is copied.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def numbers_to_device(values: Sequence[object], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Put numbers on a device.

    Args:
        values: Numbers, or sequences of them.
        dtype: What they become.
        device: Where they go.
    """
    return to_device(torch.tensor(values, dtype=dtype), device)


def to_device(tensor: Tensor, device: torch.device | str | None) -> Tensor:
    """Send a tensor to a device; it stays where it is if that is None."""
    if device is None or torch.device(device) == tensor.device:
        return tensor
    if tensor.is_cpu and torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class HostCopies:
    """Tensors on their way to the host; nothing may be read before `wait` has returned."""

    def __init__(self) -> None:
        self._arrivals: dict[torch.device, torch.cuda.Event] = {}

    def take(self, tensor: Tensor) -> Tensor:
        """Start to copy a tensor; one that is on the host is handed back as it is."""
        if not tensor.is_cuda:
            return tensor.cpu()
        copy = tensor.to("cpu", non_blocking=True)  # torch makes page-locked memory for it
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
        """Wait until everything taken so far is there."""
        for arrival in self._arrivals.values():
            arrival.synchronize()
        self._arrivals.clear()


def finish_host_copy(copy: Tensor) -> Tensor:
    """Move what has arrived to ordinary memory, so that a few page-locked blocks go round."""
    return copy.clone() if copy.is_pinned() else copy
