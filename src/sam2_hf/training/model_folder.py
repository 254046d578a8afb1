"""Models of a run as folders in transformers' format, and on the Hub."""

import shutil
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import torch
from huggingface_hub import HfApi
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from sam2_hf.errors import OutputError, TrainingError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.video.processing_sam2_video import Sam2VideoProcessor

from .config import TrainConfig
from .lora import merge_adapters, write_adapters
from .run_state import flush, flush_folder
from .sharded import whole


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
    hidden, old = (folder.with_name(f".{folder.name}.{end}") for end in ("part", "old"))
    try:
        for leftover in (hidden, old):
            shutil.rmtree(leftover, ignore_errors=True)
        hidden.mkdir(parents=True)
        if config.lora is None or config.lora.merge:
            write_model(model, hidden, getattr(torch, config.checkpoints.dtype))
        if config.lora is not None:
            apart = hidden / "adapter" if config.lora.merge else hidden
            write_adapters(adapters, apart, config.lora, config.model)
        (hidden / "README.md").write_text(card, encoding="utf-8")
        flush_folder(hidden)
        if folder.exists():
            folder.replace(old)
        hidden.replace(folder)
        flush(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(hidden, ignore_errors=True)
        raise OutputError(
            f"cannot write the model to {folder}: {getattr(error, 'strerror', None) or error}. "
            "Free some space or choose another output."
        ) from error


def restore_model(folder: Path) -> None:
    """Find the earlier model again, if a kill came while another one took its name over."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        old.replace(folder)


def write_model(model: Sam2VideoModel, folder: Path, dtype: torch.dtype) -> None:
    """Write weights, config and processor into a folder.

    Args:
        model: The model; it stays as it is.
        folder: An existing folder.
        dtype: Type of the stored weights.
    """
    side = model.prompt_encoder.image_size
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
