"""Tell apart what is raised when memory runs out or a worker dies, and say what to lower."""

import torch

from .clips import ClipBatch
from .config import TrainConfig

SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "failed to allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that there was no memory left; the CPU raises a plain RuntimeError."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in SIGNS)


def is_dead_worker(error: BaseException) -> bool:
    """Whether an error means that a worker of a loader is no longer there."""
    text = str(error)
    return text.startswith("DataLoader worker") and ("exited" in text or "is killed" in text)


def advice(config: TrainConfig, batch: ClipBatch | None, *, where: str) -> str:
    """Say what ran out and what to lower.

    Args:
        config: The run.
        batch: What was being learned from.
        where: The device.
    """
    held = ""
    if batch is not None:
        clips, frames, _, side, _ = batch.frames_bthw3.shape
        held = (
            f" while learning from {clips} clip(s) of {frames} frame(s) with {batch.num_objects} "
            f"object(s) at {side} pixels, of {batch.source}"
        )
    ways = ["batch_size, max_objects or num_frames of that source", "image_size"]
    if not config.gradient_checkpointing:
        ways.append("or set gradient_checkpointing: true, which costs time instead")
    if config.precision == "no":
        ways.append("or precision: bf16")
    return (
        f"{where} ran out of memory{held}. Lower {', '.join(ways)}. A higher gradient_accumulation "
        "keeps batch_size and takes it in smaller parts."
    )
