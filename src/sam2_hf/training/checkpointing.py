"""Checkpoints of a run, which resume bit for bit, and its models.

A checkpoint is a folder `step-00001000` with

- `weights.safetensors`: the training weights, by the model's own names;
- `optimiser.safetensors`: AdamW's averages, `name/exp_avg` and so on;
- `ema.safetensors`: the averaged weights, if there are any;
- `state.json`: counters and scores; `config.yaml`: the settings.

Both kinds of folders are written atomically, so a folder of that name is complete. Random state
need not be saved: it follows from the seed and the step. Models are folders in transformers'
format, which can be pushed to the Hub.
"""

import contextlib
import json
import re
import shutil
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from huggingface_hub import HfApi
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sam2_hf.atomic_write import atomic_folder, write_atomically
from sam2_hf.errors import DataError, OutputError, TrainingError
from sam2_hf.json_input import load_json
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.video.compat.processing_sam2_video import Sam2VideoProcessor

from .config import TrainConfig
from .lora import merge_adapters, write_adapters
from .sharded import whole

FORMAT = 1
NAME = re.compile(r"step-(\d{8})")
STATE, CONFIG = "state.json", "config.yaml"
WEIGHTS, OPTIMIZER, EMA = "weights", "optimiser", "ema"  # file names, as saved runs have them


@dataclass(slots=True)
class RunState:
    """The counters of a run.

    Attributes:
        step: Steps done.
        seconds: Time spent on them, over all attempts.
        skipped: Damaged photos and clips that were skipped.
        best_score: Best validation score so far.
        best_step: Its step.
        totals: Sums of the logged values since the last line of the log.
        threads: Threads of torch; another number sums in another order.
        scaler: State of the fp16 loss scaler.
        data: Fingerprints of the data sources, see [`ClipStream.fingerprints`]; None in checkpoints
            of earlier versions.
    """

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    best_score: float | None = None
    best_step: int | None = None
    totals: list[float] | None = None
    threads: int = 0
    scaler: dict[str, float] | None = None
    data: list[str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Complete state of a run.

    Attributes:
        state: Counters.
        config: The settings, as YAML.
        tensors: File stem -> name -> tensor on the CPU.
    """

    state: RunState
    config: str
    tensors: Mapping[str, Mapping[str, Tensor]]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, atomically.

    An existing one is kept, since the same step of a run has the same numbers; only its settings
    are updated.

    Args:
        folder: The folder of all checkpoints of the run.
        checkpoint: The state.

    Returns:
        Its folder.

    Raises:
        OutputError: The disk is full or the folder cannot be written; earlier checkpoints stay.
    """
    target = folder / f"step-{checkpoint.state.step:08d}"
    try:
        if _is_whole(target):
            if (target / CONFIG).read_text(encoding="utf-8") != checkpoint.config:
                write_atomically(target / CONFIG, checkpoint.config.encode())
            return target
        with atomic_folder(target) as hidden:
            for name, tensors in checkpoint.tensors.items():
                save_file(dict(tensors), hidden / f"{name}.safetensors")
            files = sorted(checkpoint.tensors)
            state = {"format": FORMAT, "files": files, **asdict(checkpoint.state)}
            (hidden / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
            (hidden / CONFIG).write_text(checkpoint.config, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"cannot write the checkpoint {target}: {getattr(error, 'strerror', None) or error}. "
            "Earlier ones are intact. Free some space or choose another output."
        ) from error
    return target


def checkpoints(folder: Path) -> list[Path]:
    """List the complete checkpoints of a run, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))


def prune_checkpoints(folder: Path, keep: int) -> None:
    """Remove all checkpoints but the newest; failures are retried next time."""
    with contextlib.suppress(OSError):  # an extra one does no harm
        for path in checkpoints(folder)[:-keep]:
            # hidden first, since removal is not atomic
            hidden = path.with_name(f".{path.name}.old")
            shutil.rmtree(hidden, ignore_errors=True)
            path.replace(hidden)
        sweep(folder)


def sweep(folder: Path) -> None:
    """Remove partial checkpoints of a killed run."""
    for ending in ("part", "old"):
        for leftover in folder.glob(f".step-*.{ending}"):
            shutil.rmtree(leftover, ignore_errors=True)


def missing_files(path: Path) -> list[str]:
    """List the files that a checkpoint lacks.

    Raises:
        OSError, ValueError: Its `state.json` exists but cannot be read.
    """
    stems = [WEIGHTS, OPTIMIZER]  # of an earlier version, which did not list them
    if (path / STATE).is_file():
        content = load_json(path / STATE)
        stems = content.get("files", stems) if isinstance(content, dict) else stems
    wanted = (STATE, CONFIG, *(f"{stem}.safetensors" for stem in stems))
    return [name for name in wanted if not (path / name).is_file()]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: Its folder.

    Raises:
        TrainingError: A file is missing, damaged, or from another version.
    """
    try:
        if missing := missing_files(path):
            raise FileNotFoundError(f"it has no {', '.join(missing)}")
        content = load_json(path / STATE)
        if not isinstance(content, dict):
            raise DataError(f"{STATE} holds a {type(content).__name__}, no settings")
        config = (path / CONFIG).read_text(encoding="utf-8")
        tensors = {file.stem: load_file(file) for file in sorted(path.glob("*.safetensors"))}
    except (OSError, ValueError, SafetensorError) as error:
        raise TrainingError(
            f"the checkpoint {path} cannot be read: {error}. Remove it to resume from the "
            "previous one."
        ) from error
    for name in ("files", "processes"):  # the second only in earlier versions
        content.pop(name, None)
    known = {field.name for field in fields(RunState)}
    if content.pop("format", None) != FORMAT or set(content) - known:
        raise TrainingError(
            f"the checkpoint {path} was written by another version of sam2-hf, which can resume it."
        )
    return Checkpoint(RunState(**content), config, tensors)


def _is_whole(path: Path) -> bool:
    try:
        return path.is_dir() and not missing_files(path)
    except ValueError:
        return False


def snapshot(model: Sam2VideoModel, averages: Mapping[str, Tensor] | None = None) -> Sam2VideoModel:
    """Copy a model for inference: in eval mode, with merged adapters and averaged weights.

    The copy is independent of the training model. With sharded weights, this is a collective call.

    Args:
        model: The model, possibly sharded.
        averages: Averaged weights by name; others are the model's own.
    """
    chosen = {**model.state_dict(), **(averages or {})}
    weights = {name: whole(tensor) for name, tensor in chosen.items()}
    with torch.device("meta"):
        copy = type(model)(deepcopy(model.config))
    plain = merge_adapters(model, weights)
    device = next(model.parameters()).device
    filled = {name: tensor.to(device, copy=True) for name, tensor in plain.items()}
    copy.load_state_dict(filled, assign=True, strict=True)
    return copy.eval()


def save_model(
    model: Sam2VideoModel,
    folder: Path,
    config: TrainConfig,
    card: str,
    adapters: Mapping[str, Tensor],
) -> None:
    """Save a model with its processor, loadable by every class.

    A run with adapters saves only these; or, if they are to be merged, the merged model, and the
    adapters in its subfolder `adapter`.

    Args:
        model: From `snapshot`; not modified.
        folder: Replaced atomically if it exists.
        config: The run.
        card: The model card, Markdown.
        adapters: The adapters' weights; empty for a run without.

    Raises:
        OutputError: The disk is full or the folder cannot be written; an existing one stays.
    """
    try:
        with atomic_folder(folder) as hidden:
            if config.lora is None or config.lora.merge:
                write_model(model, hidden, getattr(torch, config.checkpoints.dtype))
            if config.lora is not None:
                apart = hidden / "adapter" if config.lora.merge else hidden
                write_adapters(adapters, apart, config.lora, config.model)
            (hidden / "README.md").write_text(card, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"cannot write the model to {folder}: {getattr(error, 'strerror', None) or error}. "
            "Free some space or choose another output."
        ) from error


def write_model(model: Sam2VideoModel, folder: Path, dtype: torch.dtype) -> None:
    """Write weights, config and processor into a folder.

    Args:
        model: The model; not modified.
        folder: An existing folder.
        dtype: Type of the stored weights.
    """
    side = model.image_size
    size = {"height": side, "width": side}
    stored = deepcopy(model).to(dtype)  # keeps tensors that must stay float32
    stored.config.architectures, stored.config.dtype = [type(model).__name__], dtype
    stored.config.save_pretrained(folder)
    weights = {name: tensor.contiguous() for name, tensor in stored.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    Sam2VideoProcessor(Sam2ImageProcessor(size=size)).save_pretrained(folder)


def push_model(folder: Path, repo_id: str) -> str:
    """Upload a model folder as one commit.

    Args:
        folder: Written by `write_model`.
        repo_id: The Hub repo, `owner/name`; created as private if missing.

    Returns:
        The address of the commit.

    Raises:
        TrainingError: The Hub refuses or cannot be reached; the folder stays.
    """
    hub = HfApi()
    try:
        hub.create_repo(repo_id, private=True, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repo_id, folder_path=folder, commit_message="Add a fine-tuned SAM 2"
        )
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{folder} could not be pushed to {repo_id}: {error}. The model is complete in that "
            f"folder; push it later with `hf upload {repo_id} {folder}`."
        ) from error
    return commit.commit_url
