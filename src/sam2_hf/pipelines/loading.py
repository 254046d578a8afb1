"""Load a model and the image processor that belongs to it, wherever they are."""

import os
from pathlib import Path
from typing import TypeVar

import torch

from sam2_hf.errors import PromptError
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor

from .hub_access import loading_options

DEFAULT_MODEL = "facebook/sam2.1-hiera-tiny"
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
Source = str | os.PathLike[str]
Device = torch.device | str | int
Dtype = torch.dtype | str
Loaded = TypeVar("Loaded", Sam2Model, Sam2VideoModel)


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
    return _load(Sam2Model, source, device, dtype)


def load_video_model(
    source: Source | Sam2VideoModel, *, device: Device | None = None, dtype: Dtype | None = None
) -> Sam2VideoModel:
    """Load a video model for use, or move one that is loaded; see [`load_model`]."""
    return _load(Sam2VideoModel, source, device, dtype)


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


def _load(
    kind: type[Loaded], source: Source | Loaded, device: Device | None, dtype: Dtype | None
) -> Loaded:
    """Load a model of one of the two kinds, or move it."""
    wanted = None if device is None else _device(device)
    number = None if dtype is None else _dtype(dtype)
    if isinstance(source, kind):
        return source.to(device=wanted or source.device, dtype=number or source.dtype).eval()
    if not isinstance(source, (str, os.PathLike)):
        raise PromptError(
            f"the model is a {type(source).__name__}, a {kind.__name__} is needed. Give one, or "
            "a Hub id, a folder or the path of a .pt."
        )
    where = where_or_id(source)
    model = kind.from_pretrained(where, dtype=number or torch.float32, **loading_options(where))
    return model.to(wanted or default_device()).eval()


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
