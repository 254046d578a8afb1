"""Whether the weights of a checkpoint are those of a model, decided before any is loaded.

transformers draws at random what a checkpoint lacks and goes on with a warning. For a model that is
meant to segment that is an error, so names and shapes are compared while the model is still on the
meta device and nothing has been read but the headers of the files.
"""

import os
import pickle
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from .checkpoint_errors import CheckpointError, CheckpointMismatchError, first_line

NAMES_SHOWN = 5
SHAPES_SHOWN = 3
# Modules that hold a model and put their own name before its weights' names, wherever they stand:
# of DDP and averaged models, torch.compile, FSDP, activation checkpointing, DeepSpeed.
WRAPPERS = {
    "module",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
}
# Attributes under which training code keeps a model; they stand at the beginning of the names.
HOLDERS = {
    "model",
    "base_model",
    "sam2",
    "sam2_video",
    "net",
    "network",
    "ema",
    "ema_model",
    "model_ema",
    "state_dict",
    "model_state_dict",
    "student",
    "teacher",
}
PARTS = {  # where the models inside the model have their weights
    "sam2_vision_model": "vision_encoder.",
    "sam2_hiera_det_model": "vision_encoder.backbone.",
}
NEVER_READ = {"no_memory_positional_encoding"}


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What the caller of `from_pretrained` asked for, where transformers does not hand it on.

    Attributes:
        source: What to call the weights in a message.
        missing_allowed: Whether weights may be missing, because the caller looks at the report.
        renamed: Whether the caller renames weights (`key_mapping`); they are then not looked at.
    """

    source: str = "the state dict"
    missing_allowed: bool = False
    renamed: bool = False


UNASKED = LoadRequest()
load_request: ContextVar[LoadRequest] = ContextVar("load_request", default=UNASKED)


@contextmanager
def requested(request: LoadRequest) -> Iterator[None]:
    """Keep a request while its model loads."""
    token = load_request.set(request)
    try:
        yield
    finally:
        load_request.reset(token)


@contextmanager
def opened_weights(files: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Open weight files; tensors of safetensors stay in the file until they are asked for.

    Raises:
        SafetensorError: A file of that kind is damaged.
        CheckpointError: Another file is damaged, or may run code.
    """
    weights: dict[str, Any] = {}
    with ExitStack() as stack:
        for file in files:
            if str(file).endswith(".safetensors"):
                opened = stack.enter_context(safe_open(file, framework="pt"))
                weights |= {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            else:
                weights |= read_pickled(file)
        yield weights


def read_pickled(path: str | os.PathLike[str]) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read what `torch.save` wrote; nothing in the file is run.

    Raises:
        CheckpointError: If the file is damaged, or tries to run code.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not opened: it is no plain file of tensors, and may run code when "
            "unpickled. Use a checkpoint that holds tensors only."
        ) from error
    except Exception as error:  # a damaged file makes torch raise almost anything
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint, it is damaged or of another kind: "
            f"{first_line(error)}. Download it again."
        ) from error


def fitting_weights(
    model: nn.Module, weights: Mapping[str, Any], source: str, *, shapes: bool, whole: bool
) -> dict[str, Any]:
    """Give weights the names they have in the model, and refuse those of another one.

    Args:
        model: On any device, meta included.
        weights: Tensors, or slices of a file, by their names there.
        source: What to call them in a message.
        shapes: Whether shapes must agree.
        whole: Whether every weight of the model must be there.

    Returns:
        The same by the names of the model; what belongs to no part of it keeps its own.

    Raises:
        CheckpointError: Weights are missing, none fits, or two are meant for one place.
        CheckpointMismatchError: Some have other shapes.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    prefix = PARTS.get(getattr(model.config, "model_type", ""), "")
    names = names_in_model(weights, expected.__contains__, prefix, source)
    renamed = {names[name]: value for name, value in weights.items()}
    missing = [name for name in expected if name not in renamed]
    if (whole and set(missing) - NEVER_READ) or (weights and len(missing) == len(expected)):
        foreign = [name for name in renamed if name not in expected]
        raise CheckpointError(_incomplete(source, model, missing, foreign))
    if shapes:
        _require_shapes(source, expected, renamed)
    return renamed


def names_in_model(
    names: Collection[str], is_known: Callable[[str], bool], prefix: str = "", source: str = ""
) -> dict[str, str]:
    """Take off what wrappers and holders put before the names of a model's weights.

    Args:
        names: Names in a checkpoint.
        is_known: Whether a name is one of the model's.
        prefix: Where the model is inside the whole one that a checkpoint may hold.
        source: What to call the checkpoint in a message.

    Returns:
        The model's name for each; the name itself where none is known.

    Raises:
        CheckpointError: Two names are meant for one weight, as in a file with two models.
    """
    found = {name: name if is_known(name) else _bare(name, is_known, prefix) for name in names}
    taken: dict[str, str] = {}
    for name, target in found.items():
        if target in taken:
            raise CheckpointError(
                f"{source} holds two weights for {target}: {taken[target]} and {name}. "
                "Save the weights of one model alone."
            )
        taken[target] = name
    return found


def _bare(name: str, is_known: Callable[[str], bool], prefix: str) -> str:
    """Take wrappers off a name, or leave it as it is."""
    parts = [part for part in name.split(".") if part not in WRAPPERS]
    while parts:
        bare = ".".join(parts)
        for candidate in (bare, bare.removeprefix(prefix)):
            if is_known(candidate):
                return candidate
        if parts[0] not in HOLDERS:
            return name
        parts = parts[1:]
    return name


def _require_shapes(
    source: str, expected: Mapping[str, tuple[int, ...]], found: Mapping[str, Any]
) -> None:
    """Refuse weights of other shapes; the message shows the first few."""
    clashes = [
        f"{name} is {_shape(found[name])} instead of {shape}"
        for name, shape in expected.items()
        if name in found and _shape(found[name]) != shape
    ]
    if clashes:
        more = f" and {len(clashes) - SHAPES_SHOWN} more" if len(clashes) > SHAPES_SHOWN else ""
        raise CheckpointMismatchError(
            f"{source} does not fit its config: {'; '.join(clashes[:SHAPES_SHOWN])}{more}. "
            "Pass the config it was trained with."
        )


def _shape(weight: Any) -> tuple[int, ...]:  # noqa: ANN401 - safetensors has no type for slices
    """Return the shape of a tensor, or of a slice of a file."""
    return tuple(weight.get_shape() if hasattr(weight, "get_shape") else weight.shape)


def _incomplete(source: str, model: nn.Module, missing: list[str], foreign: list[str]) -> str:
    """Say what is missing, and what the weights may be instead."""
    is_memory = all(not name.startswith(("vision_", "prompt_", "mask_dec")) for name in missing)
    advice = (
        "They are those of an image model: load them with Sam2Model. To have the rest drawn at "
        "random for training, pass output_loading_info=True."
        if is_memory and type(model).__name__ == "Sam2VideoModel"
        else "Check that they are a SAM 2's of this config, and complete."
    )
    return (
        f"{source} does not hold the weights of a {type(model).__name__}: "
        f"{_some('missing', missing)}; {_some('foreign', foreign)}. {advice}"
    )


def _some(kind: str, names: list[str]) -> str:
    """Say how many names there are of a kind, and the first few."""
    more = ", ..." if len(names) > NAMES_SHOWN else ""
    return f"{kind} {len(names)}: {', '.join(names[:NAMES_SHOWN])}{more}" if names else f"{kind} 0"
