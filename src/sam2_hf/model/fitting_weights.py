"""Whether the weights of a checkpoint are those of a model, and their names in it.

transformers draws at random what a checkpoint lacks and goes on with a warning. For a model that is
meant to segment that is an error, whichever way the weights came: from files, as a state dict, by
names that the caller maps, or quantized. So names are mended before transformers reads the weights,
and its report is judged afterwards.
"""

import os
import pickle
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.utils.loading_report import LoadStateDictInfo

from .checkpoint_errors import CheckpointError, CheckpointMismatchError, first_line

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
STORED_FLOATS = ("F16", "BF16", "F32", "F64")  # the same as safetensors calls them
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
# Under these training code keeps weights: as entries of a file, of which the first is taken, and as
# attributes, whose names then stand before those of the weights.
HOLDERS = (
    "model",
    "state_dict",
    "model_state_dict",
    "weights",
    "params",
    "net",
    "network",
    "module",
    "base_model",
    "sam2",
    "sam2_video",
    "student",
    "teacher",
    "ema",
    "ema_model",
    "model_ema",
    "ema_state_dict",
    "ema_model_state_dict",
)
DEEPEST_ENTRY = 4  # of these inside each other
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
        renamed: Whether the caller renames weights (`key_mapping`); names are then left to that.
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
        CheckpointError: Another file is damaged, holds no named tensors, or may run code.
    """
    weights: dict[str, Any] = {}
    with ExitStack() as stack:
        for file in files:
            if str(file).endswith(".safetensors"):
                opened = stack.enter_context(safe_open(file, framework="pt"))
                weights |= {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            else:
                weights |= read_named(file)
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


def read_named(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the weights of a file, by their names there.

    Args:
        path: A `.safetensors`; or what `torch.save` wrote: `{"model": weights}`, weights under
            another name that training code uses (`HOLDERS`), or weights alone.

    Raises:
        CheckpointError: If the file is damaged, holds something else, or tries to run code.
    """
    is_safe = os.fspath(path).endswith(".safetensors")
    weights = _read_safetensors(path) if is_safe else _unwrapped(read_pickled(path))
    if not isinstance(weights, Mapping) or not weights:
        raise CheckpointError(
            f"{path} holds a {type(weights).__name__} instead of named weights. "
            "Use a state dict or an original SAM 2 checkpoint."
        )
    strays = [
        str(name)
        for name, value in weights.items()
        if not (isinstance(name, str) and isinstance(value, Tensor))
    ]
    if strays:
        raise CheckpointError(
            f"{path} holds {len(strays)} entries that are no named tensors, {strays[0]} among "
            'them. Use a state dict or an original SAM 2 checkpoint, {"model": weights}.'
        )
    return dict(weights)


def _read_safetensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged: {first_line(error)}. Download or copy it again."
        ) from error


def _unwrapped(content: object) -> object:
    """Find the weights in what a file holds: itself, or the first entry that weights go under."""
    for _ in range(DEEPEST_ENTRY):
        if not isinstance(content, dict):
            break
        entry = next((e for e in HOLDERS if isinstance(content.get(e), Mapping)), None)
        if entry is None:
            # training code saves other things beside an entry named `model` that is no mapping
            return content.get("model", content)
        content = content[entry]
    return content


def fitting_weights(model: nn.Module, weights: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Give weights the names they have in the model.

    Args:
        model: On any device, meta included.
        weights: Tensors, or slices of a file, by their names there.
        source: What to call them in a message.

    Returns:
        The same by the names of the model; what belongs to no part of it keeps its own.

    Raises:
        CheckpointError: Two weights are meant for one place.
    """
    prefix = PARTS.get(getattr(model.config, "model_type", ""), "")
    names = names_in_model(weights, model.state_dict().__contains__, prefix, source)
    return {names[name]: value for name, value in weights.items()}


def require_floats(model: nn.Module, weights: Mapping[str, Any], source: str) -> None:
    """Refuse quantized weights that no quantization config explains; they would lack their scale.

    Args:
        model: On any device, meta included.
        weights: Tensors, or slices of a file, by the names of the model.
        source: What to call them in a message.

    Raises:
        CheckpointError: Some are whole numbers, or floats of 8 bits.
    """
    known = model.state_dict()
    coded = [name for name, value in weights.items() if name in known and not _is_float(value)]
    if coded:
        raise CheckpointError(
            f"{source} holds weights that are no floats of 16 bits or more: "
            f"{_some('quantized', coded)}. Use the checkpoint they were made of, or one whose "
            "config.json has a quantization_config."
        )


def _is_float(value: Any) -> bool:  # noqa: ANN401 - a tensor or a slice of a file
    if isinstance(value, Tensor):
        return value.dtype in FLOATS
    return value.get_dtype() in STORED_FLOATS


def require_loaded(
    model: nn.Module, report: LoadStateDictInfo, request: LoadRequest, *, shapes: bool
) -> None:
    """Refuse a model that did not get its weights, or got some that are no numbers.

    Args:
        model: After loading, before what is missing is drawn at random.
        report: What transformers says of the weights.
        request: What the caller asked for.
        shapes: Whether shapes must agree.

    Raises:
        CheckpointError: Weights are missing, none fits, or some are not finite.
        CheckpointMismatchError: Some have other shapes.
    """
    tensors = model.state_dict()
    missing = [name for name in tensors if name in report.missing_keys]
    is_lacking = bool(set(missing) - NEVER_READ) and not request.missing_allowed
    if is_lacking or (report.unexpected_keys and len(missing) == len(tensors)):
        foreign = sorted(report.unexpected_keys)
        raise CheckpointError(_incomplete(request.source, model, missing, foreign))
    if shapes and report.mismatched_keys:
        raise CheckpointMismatchError(_other_shapes(request.source, report.mismatched_keys))
    broken = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if broken:
        raise CheckpointError(
            f"{request.source} holds weights that are not finite numbers: "
            f"{_some('NaN or infinite', broken)}. Use a checkpoint from before the training "
            "diverged; if a dtype was asked for, one with a wider range."
        )


def _is_finite(weight: Tensor) -> bool:
    """Whether a weight has finite numbers only; not asked of what is quantized or not read yet."""
    is_unmodified = type(weight) is Tensor and not weight.is_meta and weight.numel() > 0
    if not is_unmodified or weight.dtype not in FLOATS:
        return True
    return all(bool(end.isfinite()) for end in torch.aminmax(weight))  # NaN reaches both ends


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


def _other_shapes(source: str, clashes: Collection[tuple[str, Any, Any]]) -> str:
    """Say which weights have other shapes; the first few."""
    shown = [
        f"{name} is {tuple(found)} instead of {tuple(expected)}"
        for name, found, expected in sorted(clashes)[:SHAPES_SHOWN]
    ]
    more = f" and {len(clashes) - SHAPES_SHOWN} more" if len(clashes) > SHAPES_SHOWN else ""
    return (
        f"{source} does not fit its config: {'; '.join(shown)}{more}. "
        "Pass the config it was trained with."
    )


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
