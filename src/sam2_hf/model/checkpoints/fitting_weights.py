"""Checks that a checkpoint's weights fit a model, and their names in it.

transformers initializes missing weights at random and warns. For a segmentation model that is an
error, however the weights arrive: from files, as a state dict, by names that the caller maps, or
quantized. So names are repaired before transformers reads the weights, and its report is checked
afterwards.
"""

import os
import pickle
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.modeling_utils import LoadStateDictConfig, PreTrainedModel
from transformers.utils.loading_report import LoadStateDictInfo

from .checkpoint_errors import CheckpointError, CheckpointMismatchError, first_line

FLOATS = {  # names in safetensors
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
}
STORED = FLOATS | {torch.int64: "I64"}  # counters of batch normalization too
NAMES_SHOWN = 5
SHAPES_SHOWN = 3
# Wrapper modules whose names may appear anywhere in weight names: of DDP and averaged models,
# torch.compile, FSDP, activation checkpointing, DeepSpeed.
WRAPPERS = {
    "module",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
}
# Names under which training code keeps weights: as entries of a file, of which the first is taken,
# and as attributes, which prefix the weight names.
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
    "tracker_model",
    "student",
    "teacher",
    "ema",
    "ema_model",
    "model_ema",
    "ema_state_dict",
    "ema_model_state_dict",
)
PARTS = {  # prefixes of the models inside the model
    "sam2_vision_model": "vision_encoder.",
    "edgetam_vision_model": "vision_encoder.",
    "sam2_hiera_det_model": "vision_encoder.backbone.",
}
# Names in a whole SAM 3, whose detector and tracker share the backbone, and in its tracker.
SHARED_IN_SAM3 = (
    ("detector_model.vision_encoder.backbone.", "vision_encoder.backbone."),
    ("tracker_neck.", "vision_encoder.neck."),
)
NEVER_READ = {"no_memory_positional_encoding"}


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """Arguments of `from_pretrained` that transformers does not pass on.

    Attributes:
        source: Name of the weights in messages.
        missing_allowed: Whether weights may be missing, because the caller requested the report.
        renamed: Whether the caller renames weights (`key_mapping`); names are then not repaired.
    """

    source: str = "the state dict"
    missing_allowed: bool = False
    renamed: bool = False


UNASKED = LoadRequest()
load_request: ContextVar[LoadRequest] = ContextVar("load_request", default=UNASKED)


@contextmanager
def requested(request: LoadRequest) -> Iterator[None]:
    """Make a request current while its model loads."""
    token = load_request.set(request)
    try:
        yield
    finally:
        load_request.reset(token)


@contextmanager
def opened_weights(files: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Open weight files; safetensors are read lazily.

    Raises:
        SafetensorError: A safetensors file is damaged.
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


def read_pickled(path: str | os.PathLike[str]) -> Any:  # noqa: ANN401 - any content
    """Read a file of `torch.save` without running any code in it.

    Raises:
        CheckpointError: If the file is damaged, or tries to run code.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not opened: it holds more than tensors, so it could run code when "
            "unpickled. Use a checkpoint that holds tensors only."
        ) from error
    except Exception as error:  # torch raises almost anything for a damaged file
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint, it is damaged or of another kind: "
            f"{first_line(error)}. Download it again."
        ) from error


def read_named(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read named weights from a file.

    Args:
        path: A `.safetensors`, or a file of `torch.save`: `{"model": weights}`, weights under
            another key of training code (`HOLDERS`), or a bare state dict.

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
            f"{path} holds {len(strays)} entries that are not named tensors, {strays[0]} among "
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
    """Find the weights in a file's content: the content itself or a known entry."""
    for _ in range(4):  # nested entries
        if not isinstance(content, dict):
            break
        entry = next((e for e in HOLDERS if isinstance(content.get(e), Mapping)), None)
        if entry is None:
            # an entry named `model` may be something other than a mapping
            return content.get("model", content)
        content = content[entry]
    return content


def fitting_weights(model: nn.Module, weights: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Rename weights to their names in the model.

    Args:
        model: On any device, meta included.
        weights: Tensors, or slices of a file, by their names there.
        source: Their name in messages.

    Returns:
        The same by the names of the model; unknown ones keep their names.

    Raises:
        CheckpointError: Two weights map to one name.
    """
    prefix = PARTS.get(getattr(model.config, "model_type", ""), "")
    names = names_in_model(weights, model.state_dict().__contains__, prefix, source)
    return {names[name]: value for name, value in weights.items()}


def require_floats(model: nn.Module, weights: Mapping[str, Any], source: str) -> None:
    """Refuse quantized weights without a quantization config; their scale would be lost.

    Args:
        model: On any device, meta included.
        weights: Tensors, or slices of a file, by the names of the model.
        source: Their name in messages.

    Raises:
        CheckpointError: Some are integers or 8-bit floats.
    """
    # counters, of batch normalization, are whole numbers in the model too
    known = {name for name, value in model.state_dict().items() if value.is_floating_point()}
    coded = [name for name, value in weights.items() if name in known and not _is_float(value)]
    if coded:
        raise CheckpointError(
            f"{source} holds weights that are not floats of at least 16 bits: "
            f"{_some('quantized', coded)}. Use the checkpoint they were made of, or one whose "
            "config.json has a quantization_config."
        )


def _is_float(value: Any) -> bool:  # noqa: ANN401 - a tensor or a slice of a file
    if isinstance(value, Tensor):
        return value.dtype in FLOATS
    return value.get_dtype() in FLOATS.values()


def assign_weights(
    model: PreTrainedModel, weights: Mapping[str, Any], load_config: LoadStateDictConfig
) -> LoadStateDictInfo | None:
    """Assign weights that need no change: no other name, shape, dtype or device.

    transformers' loader compiles an expression and starts a task for each weight, which takes
    longer than everything else. Slices of a file stay mapped: they are read when they are used.

    Args:
        model: On the meta device.
        weights: Tensors, or slices of a file, by the names of the model.
        load_config: What else was requested of the loader.

    Returns:
        A report like transformers', or None if its loader is needed; nothing is assigned then.
    """
    is_plain = load_config.device_map is None and load_config.device_mesh is None
    empty = model.state_dict()
    foreign = weights.keys() - empty.keys()
    ignored = model._keys_to_ignore_on_load_unexpected or ()
    if (
        not is_plain
        or load_config.dtype_plan
        or not all(any(re.search(pattern, name) for pattern in ignored) for name in foreign)
        or not all(_replaces(weights[name], empty[name]) for name in weights.keys() & empty.keys())
    ):
        return None
    modules = dict(model.named_modules())
    for name in weights.keys() - foreign:
        path, _, attribute = name.rpartition(".")
        value = weights[name][...]
        if attribute in modules[path]._parameters:
            value = nn.Parameter(value)
        value._is_hf_initialized = True  # else it would be initialized at random
        setattr(modules[path], attribute, value)
    return LoadStateDictInfo(
        missing_keys=empty.keys() - weights.keys(),
        unexpected_keys=set(foreign),
        mismatched_keys=set(),
        error_msgs=[],
        conversion_errors={},
        skipped_pp_keys=set(),
    )


def _replaces(value: Any, empty: Tensor) -> bool:  # noqa: ANN401 - a tensor or a slice of a file
    """Whether a weight can take the place of the model's as it is."""
    if isinstance(value, Tensor):
        is_alike = value.dtype == empty.dtype and value.device.type == "cpu"
        return is_alike and empty.is_meta and value.shape == empty.shape
    is_alike = value.get_dtype() == STORED.get(empty.dtype)
    return is_alike and empty.is_meta and tuple(value.get_shape()) == tuple(empty.shape)


def require_loaded(
    model: nn.Module, report: LoadStateDictInfo, request: LoadRequest, *, shapes: bool
) -> None:
    """Refuse a model whose weights are missing or not finite.

    Args:
        model: After loading, before missing weights are initialized.
        report: transformers' report on the weights.
        request: The caller's request.
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
            "diverged; if a dtype was requested, use one with a wider range."
        )


def _is_finite(weight: Tensor) -> bool:
    """Whether a weight is finite; quantized and unread ones count as finite."""
    is_unmodified = type(weight) is Tensor and not weight.is_meta and weight.numel() > 0
    if not is_unmodified or weight.dtype not in FLOATS:
        return True
    # one pass at the speed of memory; the sum of squares may overflow, both ends cannot
    if torch.linalg.vector_norm(weight).isfinite():
        return True
    return all(bool(end.isfinite()) for end in torch.aminmax(weight))  # NaN reaches both ends


def names_in_model(
    names: Collection[str], is_known: Callable[[str], bool], prefix: str = "", source: str = ""
) -> dict[str, str]:
    """Strip the prefixes of wrappers and holders from weight names.

    Args:
        names: Names in a checkpoint.
        is_known: Whether a name is one of the model's.
        prefix: Prefix of the model inside a larger one that the checkpoint may hold.
        source: Name of the checkpoint in messages.

    Returns:
        The model's name for each; unknown names stay.

    Raises:
        CheckpointError: Two names map to one weight, as in a file with two models.
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
    """Strip wrappers from a name, or leave it unchanged."""
    parts = [part for part in name.split(".") if part not in WRAPPERS]
    while parts:
        bare = ".".join(parts)
        shared = (
            own + bare.removeprefix(theirs)
            for theirs, own in SHARED_IN_SAM3
            if bare.startswith(theirs)
        )
        for candidate in (bare, bare.removeprefix(prefix), *shared):
            if is_known(candidate):
                return candidate
        if parts[0] not in HOLDERS:
            return name
        parts = parts[1:]
    return name


def _other_shapes(source: str, clashes: Collection[tuple[str, Any, Any]]) -> str:
    """Describe the first few weights of other shapes."""
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
    """Describe missing weights and suggest what the file is instead."""
    is_memory = all(not name.startswith(("vision_", "prompt_", "mask_dec")) for name in missing)
    advice = (
        "They are those of an image model: load them with Sam2Model. To have the rest drawn at "
        "random for training, pass output_loading_info=True."
        if is_memory and type(model).__name__ == "Sam2VideoModel"
        else "Check that they are a SAM 2's of this config, and complete."
    )
    return (
        f"{source} does not hold the weights of a {type(model).__name__}: "
        f"{_some('missing', missing)}; {_some('unexpected', foreign)}. {advice}"
    )


def _some(kind: str, names: list[str]) -> str:
    """Format the number of names of a kind and the first few."""
    more = ", ..." if len(names) > NAMES_SHOWN else ""
    return f"{kind} {len(names)}: {', '.join(names[:NAMES_SHOWN])}{more}" if names else f"{kind} 0"
