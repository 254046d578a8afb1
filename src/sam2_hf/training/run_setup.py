"""What a run needs around its model: processes and precision, data, and how many steps."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from sam2_hf.errors import MissingPackageError, TrainingError

from .clip_stream import ClipStream
from .config import TrainConfig
from .data_config import Mix
from .precision import chosen_precision
from .run_folder import say

if TYPE_CHECKING:
    from accelerate import Accelerator


def make_accelerator(config: TrainConfig) -> "Accelerator":
    """Set up processes, device and precision; how many and which is up to `accelerate launch`.

    Raises:
        MissingPackageError: accelerate is not installed.
        TrainingError: The precision is not to be had here.
    """
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
        from accelerate.utils import parse_flag_from_env
    except ImportError as error:
        raise MissingPackageError(
            "accelerate", purpose="Training", install="pip install 'sam2-hf[train]' installs it."
        ) from error
    # Without this flag it would not see the other processes of a run on the CPU, and `Accelerator`
    # takes the state that is there.
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    if config.precision == "fp16" and state.device.type == "cpu":
        raise TrainingError("precision fp16 needs a GPU. Use auto, bf16 or no on the CPU.")
    precision, note = chosen_precision(config.precision, state.device)
    if note and state.is_main_process:
        say(note)
    # A step's prompts do not reach every parameter: no memory on photos, no mask prompts, ...
    spread = DistributedDataParallelKwargs(find_unused_parameters=True)
    try:
        return Accelerator(mixed_precision=precision, kwargs_handlers=[spread])
    except ValueError as error:
        raise TrainingError(f"precision {precision} cannot be used: {error}") from error


def open_stream(config: TrainConfig, image_size: int) -> ClipStream:
    """Open the data of a run.

    Args:
        config: The run.
        image_size: Side of the model's input.

    Raises:
        DataError: A source has nothing usable.
    """
    mix = Mix(
        sources=config.data,
        image_size=image_size,
        seed=config.seed,
        num_steps=config.steps or 0,
        on_bad_data=config.on_bad_data,
    )
    stream = ClipStream(mix)
    if config.steps is None and any(source.starts_at for source in config.data):
        return ClipStream(replace(mix, num_steps=count_steps(config, stream)))
    return stream


def count_steps(config: TrainConfig, stream: ClipStream) -> int:
    """Tell how many steps a run has; an epoch takes as many as all items fill."""
    if config.epochs is None:
        return config.steps or 0
    drawn = [place for place, source in enumerate(config.data) if source.weight > 0]
    return math.ceil(config.epochs * sum(stream.steps_per_epoch(place) for place in drawn))


def require_equal_parts(config: TrainConfig, processes: int) -> None:
    """Refuse batch sizes that do not split into what each process takes.

    Raises:
        TrainingError: One does not.
    """
    parts = processes * config.gradient_accumulation
    for source in config.data:
        if source.batch_size % parts:
            raise TrainingError(
                f"batch_size {source.batch_size} of {source.label} does not split into {parts} "
                f"equal parts: {processes} process(es) x gradient_accumulation "
                f"{config.gradient_accumulation}. Choose a multiple of {parts}."
            )


def threads_note(before: int) -> str:
    """Warn that another number of threads adds in another order; empty if it is the same."""
    now = torch.get_num_threads()
    if before in (0, now):
        return ""
    return (
        f"the run was begun with {before} thread(s) and goes on with {now}: the numbers stay as "
        "good, but not equal to the last bit. OMP_NUM_THREADS sets it."
    )
