"""Loading of a model and its image processor: bundled, from a folder, or from the Hub.

The Hub is probed first, since loading without a network retries for a long time.
"""

import copy
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import torch
from huggingface_hub import constants, get_session
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

from sam2_hf.errors import PromptError
from sam2_hf.export.exported_sam2 import ExportedSam2
from sam2_hf.export.hub_download import download_export, may_be_hub_id
from sam2_hf.export.onnx_files import is_export
from sam2_hf.export.photo_folder import require_no_photo_export
from sam2_hf.model.checkpoints.bundled_models import OFFLINE_HINT, bundled_folder
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointNotFoundError, first_line
from sam2_hf.model.checkpoints.checkpoint_search import FILE_SUFFIXES
from sam2_hf.model.configs.configuration_checks import read_float_dtype
from sam2_hf.model.int8 import to_int8
from sam2_hf.model.kernels.int8_linear import is_int8
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.bundled_processors import checkpoint_source
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor

SECONDS_TO_ANSWER = 4.0  # huggingface_hub itself retries for about 23 seconds before it gives up


def hub_answers(model_id: str, seconds: float = SECONDS_TO_ANSWER) -> bool:
    """Probe whether the Hub is reachable.

    Args:
        model_id: Hub id; the model need not exist.
        seconds: Timeout, DNS lookup included.

    Returns:
        False also in offline mode (HF_HUB_OFFLINE).
    """
    if constants.is_offline_mode():
        return False
    answers: list[int] = []
    # A DNS lookup can exceed any timeout of the request, hence the thread.
    asking = threading.Thread(target=_ask, args=(answers, model_id, seconds), daemon=True)
    asking.start()
    asking.join(seconds)
    return bool(answers) and answers[0] < 500  # from 500 on, the server or a proxy is failing


def is_cached(model_id: str, cache_dir: str | os.PathLike[str] | None = None) -> bool:
    """Whether some revision of a Hub repo is in the cache."""
    folder = repo_folder_name(repo_id=model_id, repo_type="model")
    snapshots = Path(cache_dir or constants.HF_HUB_CACHE) / folder / "snapshots"
    return snapshots.is_dir() and any(snapshots.iterdir())


def loading_options(
    source: str | os.PathLike[str], given: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, bool]:
    """Choose the options of loading, so as not to wait for a missing network.

    Args:
        source: Hub id, name of a bundled checkpoint, or path.
        given: The caller's options of `from_pretrained`: `cache_dir`, `local_files_only`.

    Returns:
        `{"local_files_only": True}` if the model is cached and the Hub does not answer, else no
        options.

    Raises:
        CheckpointNotFoundError: It is not a local path, not bundled, not cached, and the Hub does
            not answer.
    """
    name = os.fspath(source)
    is_here = bool(name) and Path(name).expanduser().exists()
    if is_here or bundled_folder(name) is not None:
        return {}
    if name.endswith(FILE_SUFFIXES) or not may_be_hub_id(name):
        raise CheckpointNotFoundError(
            f"there is no file or folder {name}. Check the path, or give a Hub id such as "
            "facebook/sam2.1-hiera-tiny."
        )
    if not given.get("local_files_only") and hub_answers(name):
        return {}
    if is_cached(name, given.get("cache_dir")):
        return {"local_files_only": True}
    reason = "local_files_only is set"
    if not given.get("local_files_only"):
        reason = f"{constants.ENDPOINT} does not answer"
    raise CheckpointNotFoundError(
        f"the model {name} is not on this machine and {reason}. "
        f"Connect to a network, or give the path of a folder or a .pt file.{OFFLINE_HINT}"
    )


def _ask(answers: list[int], model_id: str, seconds: float) -> None:
    """Append the status of a small request to `answers`, if there is one."""
    url = f"{constants.ENDPOINT}/{model_id}/resolve/main/config.json"
    try:
        response = get_session().head(url, timeout=seconds)
    except Exception:  # any failure means that the Hub did not answer
        return
    answers.append(response.status_code)


DEFAULT_MODEL = "facebook/sam2.1-hiera-tiny"
AUTO_DTYPE = "auto"
INT8 = "int8"
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
Source = str | os.PathLike[str]
Device = torch.device | str | int
Dtype = torch.dtype | str
Loaded = TypeVar("Loaded", Sam2Model, Sam2VideoModel)


def load_model(
    source: Source | Sam2Model,
    *,
    device: Device | None = None,
    dtype: Dtype | None = None,
    **options: Any,
) -> Sam2Model:
    """Load a model for inference, or move a loaded one.

    Args:
        source: Hub id, folder, path to a `.pt`, or a model.
        device: Target device; by default a GPU if available, or the given model's device.
        dtype: Type of its weights, such as `torch.bfloat16` or "bfloat16"; "auto" for the saved
            one; "int8" for 8 bits on a CPU, approximate, see [`to_int8`]; by default float32, or
            the given model's.
        **options: More arguments of `from_pretrained`; with a `device_map` nothing is moved.

    Raises:
        CheckpointError: There is no such model, or its weights cannot be used.
        PromptError: There is no such device or dtype.
    """
    return _load(Sam2Model, source, device, dtype, options)


def load_video_model(
    source: Source | Sam2VideoModel,
    *,
    device: Device | None = None,
    dtype: Dtype | None = None,
    **options: Any,
) -> Sam2VideoModel:
    """Load a video model for inference, or move a loaded one; see [`load_model`]."""
    return _load(Sam2VideoModel, source, device, dtype, options)


def load_image_processor(
    source: object, *, is_required: bool = False, **options: Any
) -> Sam2ImageProcessor | None:
    """Load the image processor saved beside a model.

    Args:
        source: Source of the model.
        is_required: Whether the processor itself was requested, not just the model.
        **options: More arguments of `from_pretrained`.

    Returns:
        None if there is none, as beside a bare `.pt`; use a standard processor then.

    Raises:
        CheckpointNotFoundError: It is required and missing, or the download failed.
    """
    if not isinstance(source, str | os.PathLike):
        return None
    where = Path(where_or_id(source))
    has_one = where.is_dir() and any((where / name).is_file() for name in PROCESSOR_FILES)
    found = None
    if has_one or not where.exists():
        found = _saved_processor(source, options)
    if found is None and is_required:
        raise CheckpointNotFoundError(
            f"there is no image processor in {source}. Give a folder or a Hub id with "
            f"{' or '.join(PROCESSOR_FILES)}, or leave it out."
        )
    return found


def image_processor_of(model: torch.nn.Module) -> Sam2ImageProcessor | None:
    """Load the image processor saved with a model.

    Args:
        model: A model of any kind.

    Returns:
        None for a model that was not loaded, or that was saved without one.

    Raises:
        ProcessorError: The processor's settings cannot be used.
    """
    name = getattr(model, "name_or_path", "")
    revision = getattr(getattr(model, "config", None), "_commit_hash", None)
    if revision is None:
        folder = checkpoint_source(name) if name else ""
        return load_image_processor(folder) if folder and Path(folder).is_dir() else None
    with suppress(OSError):
        return Sam2ImageProcessor.from_pretrained(name, revision=revision, local_files_only=True)
    with suppress(CheckpointNotFoundError):  # the model is local, so no network is needed
        return _saved_processor(name, {"revision": revision})
    return None


def where_or_id(source: Source) -> str:
    """Return a path with `~` expanded, or a Hub id unchanged."""
    return os.path.expanduser(os.fspath(source))


def default_device() -> torch.device:
    """Return the GPU if available."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _saved_processor(source: Source, options: dict[str, Any]) -> Sam2ImageProcessor | None:
    """Load an image processor; None if the repo has none, as with an original `.pt`.

    Raises:
        CheckpointNotFoundError: The download failed.
    """
    options |= loading_options(source, options)
    try:
        return Sam2ImageProcessor.from_pretrained(where_or_id(source), **options)
    except OSError as error:
        if Path(where_or_id(source)).is_dir():  # the local file is broken
            raise
        if not _broke_off(error):
            return None
        raise CheckpointNotFoundError(
            f"the image processor of {source} could not be fetched: {first_line(error)}. "
            "Try again, or give one as image_processor."
        ) from error


def _broke_off(error: OSError) -> bool:
    """Whether a download failed for another reason than a missing file."""
    cause = error.__cause__
    is_absent = (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError)
    return isinstance(cause, LocalEntryNotFoundError) or (
        isinstance(cause, HfHubHTTPError) and not isinstance(cause, is_absent)
    )


def read_device(device: Device) -> torch.device:
    """Read a device: a torch device, its name, or the number of a GPU (-1 is the CPU).

    Raises:
        PromptError: It is unknown or unavailable.
    """
    try:
        number = device if isinstance(device, int) else None
        name = ("cpu" if number < 0 else f"cuda:{number}") if number is not None else device
        found = torch.device(name)
        torch.empty(1, device=found)  # a valid name does not mean that the device exists
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise PromptError(
            f"device {device!r} cannot be used: {reason}. Use cpu, cuda, cuda:1 or mps."
        ) from error
    return found


def read_dtype(dtype: Dtype) -> torch.dtype | str:
    """Read the type of weights: a torch dtype, its name, "int8" or "auto".

    Raises:
        PromptError: It is unknown, or not a floating point type.
    """
    if isinstance(dtype, str) and dtype in (AUTO_DTYPE, INT8):
        return dtype
    if dtype == torch.int8:
        return INT8
    found = read_float_dtype(dtype)
    if found is None:
        raise PromptError(
            f"dtype {dtype!r} cannot be used. Use float32, bfloat16, float16, int8 or auto."
        )
    return found


def _exported(source: object) -> ExportedSam2 | None:
    """Open a folder of graphs, which both kinds of pipelines take; None for any other model."""
    if isinstance(source, ExportedSam2):
        return source
    if isinstance(source, str | os.PathLike) and is_export(where_or_id(source)):
        return ExportedSam2.from_pretrained(where_or_id(source))
    return None


def _exported_on_hub(name: str, options: Mapping[str, Any]) -> ExportedSam2 | None:
    """Open the graphs of a Hub repo without weights; None if it has none of these either."""
    if Path(name).exists():
        return None
    known = ("revision", "cache_dir", "token", "local_files_only")
    folder = download_export(name, **{key: options[key] for key in known if key in options})
    return None if folder is None else ExportedSam2.from_pretrained(folder)


def _load(
    kind: type[Loaded],
    source: Source | Loaded,
    device: Device | None,
    dtype: Dtype | None,
    options: dict[str, Any],
) -> Loaded:
    """Load a model of one of the two kinds, or move it."""
    wanted = None if device is None else read_device(device)
    number = None if dtype is None else read_dtype(dtype)
    if number == INT8:
        return _load_int8(kind, source, device, options)
    exported = _exported(source)
    if exported is not None:
        return cast(Loaded, exported.to(device=wanted, dtype=number))
    if isinstance(source, kind):
        return _moved(source, wanted, number)
    if not isinstance(source, (str, os.PathLike)):
        raise PromptError(
            f"the model is a {type(source).__name__}; a {kind.__name__} is needed. Give one, or "
            "a Hub id, a folder or the path of a .pt."
        )
    where = where_or_id(source)
    require_no_photo_export(where)
    options |= loading_options(where, options)
    try:
        model = kind.from_pretrained(where, dtype=number or torch.float32, **options)
    except CheckpointNotFoundError:
        exported = _exported_on_hub(where, options)
        if exported is None:
            raise
        return cast(Loaded, exported.to(device=wanted, dtype=number))
    if "device_map" in options:
        return model.eval()
    return model.to(wanted or default_device()).eval()


def _moved(model: Loaded, device: torch.device | None, dtype: torch.dtype | str | None) -> Loaded:
    """Move a given model."""
    if is_int8(model) and dtype not in (None, AUTO_DTYPE):
        raise PromptError(
            f"the model's weights were rounded to 8 bits and cannot become {dtype}. Load it again."
        )
    own = model.dtype if dtype in (None, AUTO_DTYPE) else dtype
    return model.to(device=device or model.device, dtype=own).eval()


def _load_int8(
    kind: type[Loaded], source: Source | Loaded, device: Device | None, options: dict[str, Any]
) -> Loaded:
    """Load a model and round its weights to 8 bits; a given model stays as it is."""
    if isinstance(source, kind) and is_int8(source):
        return source.eval()
    given = copy.deepcopy(source) if isinstance(source, kind) else source
    place = "cpu" if device is None else device
    loaded: Any = _load(kind, given, place, torch.float32, options)
    if isinstance(loaded, ExportedSam2):
        raise PromptError("graphs keep their precision: export them with --dtype int8 instead.")
    rounded: Loaded = to_int8(loaded)
    return rounded
