"""Load a model and the image processor that belongs to it, wherever they are."""

import os
from pathlib import Path

import torch

from sam2_hf.errors import PromptError
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor

from .hub_access import loading_options

DEFAULT_MODEL = "facebook/sam2.1-hiera-tiny"
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
Source = str | os.PathLike[str]
Device = torch.device | str | int
Dtype = torch.dtype | str


def load_model(
    source: Source | Sam2Model, *, device: Device | None = None, dtype: Dtype | None = None
) -> Sam2Model:
    """Load a model for use, or move one that is loaded.

    Args:
        source: Hub id, folder, path to a `.pt`, or a model.
        device: Where it goes; if None a GPU if there is one, or where the given model is.
        dtype: Type of its weights, such as `torch.bfloat16` or "bfloat16"; float32, or the given
            model's, if None.

    Raises:
        CheckpointError: There is no such model, or its weights cannot be used.
        PromptError: There is no such device or dtype.
    """
    wanted = None if device is None else _device(device)
    kind = None if dtype is None else _dtype(dtype)
    if isinstance(source, Sam2Model):
        return source.to(device=wanted or source.device, dtype=kind or source.dtype).eval()
    where = os.path.expanduser(os.fspath(source))
    model = Sam2Model.from_pretrained(where, dtype=kind or torch.float32, **loading_options(where))
    return model.to(wanted or default_device()).eval()


def load_image_processor(source: object) -> Sam2ImageProcessor | None:
    """Load the image processor saved beside a model.

    Args:
        source: What the model was loaded from.

    Returns:
        None if nothing is saved there, as beside a bare `.pt`; a standard processor does then.
    """
    if not isinstance(source, str | os.PathLike):
        return None
    where = Path(os.path.expanduser(os.fspath(source)))
    if where.is_file() or (
        where.is_dir() and not any((where / name).is_file() for name in PROCESSOR_FILES)
    ):
        return None
    try:
        return Sam2ImageProcessor.from_pretrained(where_or_id(source), **loading_options(source))
    except OSError:
        if where.is_dir():  # what lies there is broken
            raise
        return None  # a repo with nothing but a .pt


def where_or_id(source: Source) -> str:
    """Return a path with `~` written out, or a Hub id as it is."""
    return os.path.expanduser(os.fspath(source))


def default_device() -> torch.device:
    """Choose the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _device(device: Device) -> torch.device:
    """Read a device: a torch device, its name, or the number of a GPU (-1 is the CPU).

    Raises:
        PromptError: It is unknown, or this machine has none of it.
    """
    try:
        number = device if isinstance(device, int) else None
        name = ("cpu" if number < 0 else f"cuda:{number}") if number is not None else device
        found = torch.device(name)
        torch.empty(1, device=found)  # a device with a good name may still not be there
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise PromptError(
            f"device {device!r} cannot be used: {reason}. Use cpu, cuda, cuda:1 or mps."
        ) from error
    return found


def _dtype(dtype: Dtype) -> torch.dtype:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise PromptError(f"dtype {dtype!r} cannot be used. Use float32, bfloat16 or float16.")
    return found
