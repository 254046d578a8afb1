"""Checkpoints of a run, from which it continues bit for bit, and its models.

A checkpoint is a folder `step-00001000` with

- `weights.safetensors`: the model as it learns, by the model's own names;
- `optimiser.safetensors`: AdamW's averages, `name/exp_avg` and so on;
- `ema.safetensors`: the averaged weights, if there are any;
- `state.json`: counters and scores; `config.yaml`: the settings.

Both kinds of folders are written atomically, so a folder of that name is complete. Random numbers
need no saving: each follows from the seed and the step. Models are folders in transformers' format,
which can be pushed to the Hub.
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
NO_MORE_COUNTED = ("processes",)  # counters of earlier versions


@dataclass(slots=True)
class RunState:
    """The counters of a run.

    Attributes:
        step: Steps done.
        seconds: Time spent on them, over all attempts.
        skipped: Damaged photos and clips that were left out.
        best_score: Best validation score so far.
        best_step: After how many steps.
        totals: Sums of the logged values since the last line of the log.
        threads: Threads torch used; another number adds in another order.
        scaler: State of the fp16 loss scaler.
        data: What the sources of data hold, see [`ClipStream.fingerprints`]; None in checkpoints of
            earlier versions.
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
    """All of a run at one moment.

    Attributes:
        state: Counters.
        config: The settings, as YAML.
        tensors: File name without its ending -> name -> tensor on the CPU.
    """

    state: RunState
    config: str
    tensors: Mapping[str, Mapping[str, Tensor]]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, whole or not at all.

    One that is there already stays, since the same step of a run has the same numbers; only the
    settings are those of now.

    Args:
        folder: The folder of all checkpoints of the run.
        checkpoint: What to write.

    Returns:
        The folder it is in.

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
            "Earlier ones are as they were. Free some space or choose another output."
        ) from error
    return target


def checkpoints(folder: Path) -> list[Path]:
    """List the complete checkpoints of a run, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))


def prune_checkpoints(folder: Path, keep: int) -> None:
    """Remove all checkpoints but the newest; what cannot be removed now is left for later."""
    with contextlib.suppress(OSError):  # one too many does no harm
        for path in checkpoints(folder)[:-keep]:
            # under a hidden name first, since removing takes several moves and may be cut short
            hidden = path.with_name(f".{path.name}.old")
            shutil.rmtree(hidden, ignore_errors=True)
            path.replace(hidden)
        sweep(folder)


def sweep(folder: Path) -> None:
    """Remove what a kill left half-written or half-removed."""
    for ending in ("part", "old"):
        for leftover in folder.glob(f".step-*.{ending}"):
            shutil.rmtree(leftover, ignore_errors=True)


def missing_files(path: Path) -> list[str]:
    """List the files that a checkpoint lacks.

    Raises:
        OSError, ValueError: Its `state.json` is there but cannot be read.
    """
    stems = [WEIGHTS, OPTIMIZER]  # those of an earlier version, which did not list them
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
        TrainingError: A file is missing or damaged, or another version wrote it.
    """
    try:
        if missing := missing_files(path):
            raise FileNotFoundError(f"it has no {', '.join(missing)}")
        content = load_json(path / STATE)
        if not isinstance(content, dict):
            raise DataError(f"{STATE} holds a {type(content).__name__}, no settings")
        config = (path / CONFIG).read_text(encoding="utf-8")
        tensors = {one.stem: load_file(one) for one in sorted(path.glob("*.safetensors"))}
    except (OSError, ValueError, SafetensorError) as error:
        raise TrainingError(
            f"the checkpoint {path} cannot be read: {error}. Remove it to go on from the one "
            "before it."
        ) from error
    for name in ("files", *NO_MORE_COUNTED):
        content.pop(name, None)
    known = {field.name for field in fields(RunState)}
    if content.pop("format", None) != FORMAT or set(content) - known:
        raise TrainingError(
            f"the checkpoint {path} was written by another version of sam2-hf, which can go on "
            "with it."
        )
    return Checkpoint(RunState(**content), config, tensors)


def _is_whole(path: Path) -> bool:
    try:
        return path.is_dir() and not missing_files(path)
    except ValueError:
        return False


def snapshot(model: Sam2VideoModel, averages: Mapping[str, Tensor] | None = None) -> Sam2VideoModel:
    """Copy a model as it is used: in eval mode, with adapters merged and averaged weights.

    The model that learns is left alone, so nothing that happens to the copy can change the run.
    When weights are sharded, every process has to ask for the copy.

    Args:
        model: The model, possibly sharded.
        averages: Averaged weights by name; the model's own where there are none.
    """
    chosen = {**model.state_dict(), **(averages or {})}
    weights = {name: whole(tensor) for name, tensor in chosen.items()}
    with torch.device("meta"):
        copy = type(model)(deepcopy(model.config))
    plain = merge_adapters(model, weights)
    device = next(model.parameters()).device
    filled = {name: one.to(device, copy=True) for name, one in plain.items()}
    copy.load_state_dict(filled, assign=True, strict=True)
    return copy.eval()


def save_model(
    model: Sam2VideoModel,
    folder: Path,
    config: TrainConfig,
    card: str,
    adapters: Mapping[str, Tensor],
) -> None:
    """Write a model with its processor, so that every class loads the folder.

    A run with adapters writes them alone; or, if they are to be merged, the model with them and
    the adapters to the folder's `adapter`.

    Args:
        model: What `snapshot` made; it stays as it is.
        folder: Replaced if it exists, once all is written.
        config: The run.
        card: The model card, Markdown.
        adapters: The adapters' weights; none for a run without.

    Raises:
        OutputError: The disk is full or the folder cannot be written; what was there stays.
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
        model: The model; it stays as it is.
        folder: An existing folder.
        dtype: Type of the stored weights.
    """
    side = model.image_size
    size = {"height": side, "width": side}
    stored = deepcopy(model).to(dtype)  # which leaves alone what has to stay float32
    stored.config.architectures, stored.config.dtype = [type(model).__name__], dtype
    stored.config.save_pretrained(folder)
    weights = {name: tensor.contiguous() for name, tensor in stored.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    Sam2VideoProcessor(Sam2ImageProcessor(size=size)).save_pretrained(folder)


def push_model(folder: Path, repo_id: str) -> str:
    """Upload a model folder as one commit.

    Args:
        folder: What `write_model` wrote.
        repo_id: The Hub repo, `owner/name`; made, as a private one, if there is none.

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
            f"{folder} could not be pushed to {repo_id}: {error}. The model is whole in that "
            f"folder; push it later with `hf upload {repo_id} {folder}`."
        ) from error
    return commit.commit_url
