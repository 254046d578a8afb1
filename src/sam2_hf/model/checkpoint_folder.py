"""Checkpoint folders in transformers' format from original checkpoints, and the other way round.

Files and folders are written whole or not at all.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.configuration_utils import PreTrainedConfig
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from .bundled_models import bundled_folder
from .checkpoint_errors import (
    CheckpointError,
    CheckpointNotFoundError,
    CheckpointWriteError,
    first_line,
)
from .checkpoint_names import check_names, to_original
from .checkpoint_search import CONFIG, HubOptions, config_beside, find_any_original, shards_of
from .configuration_sam2_video import Sam2VideoConfig
from .model_card import model_card
from .original_checkpoint import load_original


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Offer a hidden neighbor of `target` to write to, and move it there once all is written.

    Args:
        target: The file or folder to be. An existing file is replaced, an empty folder too.

    Yields:
        The path to write to; nothing is there yet.

    Raises:
        CheckpointWriteError: If `target` is a folder with something in it, or if writing fails,
            for instance because the disk is full. Nothing is left of what had been written.
    """
    hidden = target.parent / f".{target.name}.{secrets.token_hex(4)}.part"
    require_free(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield hidden
        hidden.replace(target)
    except (OSError, SafetensorError, RuntimeError) as error:  # torch.save raises the last
        raise CheckpointWriteError(
            f"cannot write {target}: {_reason(error)}. Nothing of it was left behind. "
            "Free some space or choose a folder you may write to."
        ) from error
    finally:
        _remove(hidden)


def require_free(target: Path) -> None:
    """Refuse to write where there is a folder with something in it.

    Raises:
        CheckpointWriteError: If there is one.
    """
    if target.is_dir() and any(target.iterdir()):
        raise CheckpointWriteError(
            f"the folder {target} is not empty, so nothing was written. "
            "Remove it or choose another."
        )


def _reason(error: BaseException) -> str:
    """Say why writing failed; torch hides the system's reason behind one of its own."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__context__
    return (str(error).splitlines() or [type(error).__name__])[0]


def _remove(path: Path) -> None:
    """Delete what was written so far; says nothing if there is none."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
BILINEAR = 2  # PIL's number, as processor configs store it


def convert_to_folder(
    source: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    config: PreTrainedConfig | None = None,
    repo_id: str | None = None,
    options: HubOptions | None = None,
) -> Path:
    """Convert an original checkpoint to a folder that transformers and this package load.

    The folder holds every weight, memory included, with the config, the processor's config and a
    model card. It appears whole or not at all.

    Args:
        source: A `.pt` file, a folder or a Hub repo with exactly one.
        out_dir: The folder to make; it must not exist, or be empty.
        config: What the weights cannot tell, as in `load_original`.
        repo_id: The Hub repo the model card speaks of; without one, the name of the folder.
        options: How to ask the Hub.

    Returns:
        `out_dir`.

    Raises:
        CheckpointError: If the checkpoint cannot be used; see `load_original`.
        CheckpointWriteError: If the folder is not empty or cannot be written.
    """
    target = Path(out_dir)
    require_free(target)
    original = find_any_original(source, options or HubOptions())
    described, weights = load_original(original, config)
    described.architectures = ["Sam2VideoModel"]
    described.dtype = next(iter(weights.values())).dtype
    with atomic_write(target) as folder:
        folder.mkdir()
        _write_json(folder / CONFIG, _told(described.to_dict()))
        _write_json(folder / "processor_config.json", _processor_config(described))
        card = model_card(described, weights, source=original, repo_id=repo_id or target.name)
        (folder / "README.md").write_text(card, encoding="utf-8")
        contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
        save_file(contiguous, folder / WEIGHTS, metadata={"format": "pt"})
    return target


def revert_to_original(folder: str | os.PathLike[str], out_file: str | os.PathLike[str]) -> Path:
    """Convert a folder in transformers' format back to an original checkpoint, bit by bit.

    Args:
        folder: Holds `model.safetensors` (or its shards) and `config.json`; or the name of a
            bundled checkpoint.
        out_file: The `.pt` to write, `{"model": weights}`; an existing file is replaced.

    Returns:
        `out_file`.

    Raises:
        CheckpointError: If the folder has no weights, damaged ones, or not those of a whole SAM 2.
        CheckpointWriteError: If the file cannot be written.
    """
    target, folder = Path(out_file), bundled_folder(folder) or folder
    original = to_original(read_folder(folder))
    config = config_beside(Path(folder) / WEIGHTS)
    if config is None:
        raise CheckpointError(f"{folder} has no config.json of a SAM 2. Pass a complete folder.")
    check_names(original, config, source=str(folder))
    with atomic_write(target) as hidden, hidden.open("wb") as file:
        torch.save({"model": original}, file)
    return target


def read_folder(folder: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the safetensors of a folder, in one file or in shards.

    Args:
        folder: A folder in transformers' format, or the path of one `.safetensors` file.

    Returns:
        Tensors by our names, on the CPU.

    Raises:
        CheckpointNotFoundError: If there are none.
        CheckpointError: If a file is damaged.
    """
    path = Path(folder)
    if path.is_file():
        files = [path]
    elif (path / INDEX).is_file():
        files = shards_of(path / INDEX)
    else:
        files = [path / WEIGHTS]
    weights: dict[str, Tensor] = {}
    for file in files:
        weights |= _read_safetensors(file)
    return weights


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read one file."""
    if not path.is_file():
        raise CheckpointNotFoundError(f"there is no file {path}. Check the path.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged: {first_line(error)}. Download or copy it again."
        ) from error


def _processor_config(config: Sam2VideoConfig) -> dict[str, Any]:
    """Describe the processor of the released models, for this input size."""
    prompts = config.to_dict()["prompt_encoder_config"]
    side, cell = prompts["image_size"], prompts["patch_size"]
    common = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": IMAGENET_DEFAULT_MEAN,
        "image_std": IMAGENET_DEFAULT_STD,
        "resample": BILINEAR,
        "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }
    mask_side = 4 * side // cell  # four mask cells per cell of the image embedding
    image = {
        **common,
        "image_processor_type": "Sam2ImageProcessor",
        "mask_size": {"height": mask_side, "width": mask_side},
    }
    return {
        "image_processor": image,
        "video_processor": {**common, "video_processor_type": "Sam2VideoVideoProcessor"},
        "processor_class": "Sam2VideoProcessor",
        "point_pad_value": -10,
        "target_size": side,
    }


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    """Keep what a config says about SAM 2, without what every config of transformers repeats."""
    defaults = PreTrainedConfig().to_dict()
    kept = {
        name: _told(value) if isinstance(value, dict) else value
        for name, value in fields.items()
        if name in ("model_type", "transformers_version")
        or name not in defaults
        or value != defaults[name]
    }
    kept.pop("_name_or_path", None)
    return kept


def _write_json(path: Path, fields: Mapping[str, Any]) -> None:
    """Write one of the small files of a folder."""
    path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")
