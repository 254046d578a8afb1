"""Checkpoint folders in transformers' format, with model card, from original files and back."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCardData
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.configuration_utils import PreTrainedConfig
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from transformers.models.sam3.configuration_sam3 import Sam3VisionConfig

from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .bundled_models import bundled_folder
from .checkpoint_errors import (
    CheckpointError,
    CheckpointNotFoundError,
    CheckpointWriteError,
    first_line,
)
from .checkpoint_names import check_names, to_original
from .checkpoint_search import CONFIG, HubOptions, config_beside, find_any_original, shards_of
from .family_names import EFFICIENTTAM, PUBLISHED, family_of, family_to_original, published_stem
from .original_checkpoint import load_original
from .released_models import RELEASED, released_config

MEGA = 1_000_000
FAMILIES = {"edgetam_video": "EdgeTAM", "efficienttam_video": "EfficientTAM"}

_TEMPLATE = """\
---
{metadata}
---

# {name}

{version} weights in transformers' format, converted from the original checkpoint `{source}` tensor
by tensor; nothing was trained or rounded. {kinship}

| | |
|---|---|
| version | {version} |
| parameters | {parameters:.1f} million |
| stored as | {dtype} |
| input size | {side} x {side} pixels |
| blocks per stage of the trunk | {blocks} |
| channels per stage | {channels} |
| SHA-256 of `{source}` | `{digest}` |

## Segment a picture

```python
from PIL import Image
from sam2_hf import Sam2Model, Sam2Processor

model = Sam2Model.from_pretrained("{repo_id}")
processor = Sam2Processor.from_pretrained("{repo_id}")

image = Image.open("photo.jpg")
inputs = processor(image, input_points=[[[[450, 600]]]], input_labels=[[[1]]], return_tensors="pt")
outputs = model(**inputs)
masks = processor.post_process_masks(outputs.pred_masks, inputs["original_sizes"])
```

The same lines work with `from transformers import Sam2Model, Sam2Processor`. The weights of the
memory for videos are in this repository too.

## License and citation

The original checkpoints are released by Meta under the Apache 2.0 license.

```bibtex
@article{{ravi2024sam2,
  title={{SAM 2: Segment Anything in Images and Videos}},
  author={{Ravi, Nikhila and Gabeur, Valentin and Hu, Yuan-Ting and Hu, Ronghang and others}},
  journal={{arXiv preprint arXiv:2408.00714}},
  year={{2024}}
}}
```
"""


def model_card(
    config: Sam2VideoConfig, weights: Mapping[str, Tensor], *, source: Path, repo_id: str
) -> str:
    """Fill in the model card of a converted checkpoint.

    Args:
        config: The architecture.
        weights: Its tensors by our names.
        source: The original `.pt`.
        repo_id: The Hub repo, `owner/name`, or the folder the weights are in.

    Returns:
        Markdown with the Hub's metadata at the top.
    """
    trunk: Any = config.vision_config.backbone_config
    metadata = ModelCardData(
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="mask-generation",
        tags=["sam2", "segmentation", "video"],
    )
    counted = {id(tensor): tensor.numel() for tensor in weights.values()}
    return _TEMPLATE.format(
        metadata=metadata.to_yaml(),
        name=repo_id.rsplit("/", maxsplit=1)[-1],
        repo_id=repo_id,
        version=_version(config),
        kinship=_kinship(config),
        source=source.name,
        digest=_sha256(source),
        parameters=sum(counted.values()) / MEGA,
        dtype=", ".join(sorted({str(t.dtype).removeprefix("torch.") for t in weights.values()})),
        side=config.image_size,
        blocks=", ".join(map(str, trunk.blocks_per_stage)),
        channels=", ".join(map(str, trunk.embed_dim_per_stage)),
    )


def _version(config: Sam2VideoConfig) -> str:
    """Name the family, and the version of a SAM 2."""
    if name := FAMILIES.get(config.model_type):
        return name
    return "SAM 2.1" if config.enable_occlusion_spatial_embedding else "SAM 2.0"


def _kinship(config: Sam2VideoConfig) -> str:
    """Name the released model that has this architecture."""
    if config.model_type in FAMILIES:
        return "The architecture is not SAM 2's, but that of a family that shares its parts."
    for model in RELEASED.values():
        if _same_architecture(released_config(model.name), config):
            return f"The architecture is that of [`{model.hub_id}`](https://hf.co/{model.hub_id})."
    return "The architecture is none of the eight released ones."


def _same_architecture(first: Sam2VideoConfig, second: Sam2VideoConfig) -> bool:
    """Compare two configs apart from their origin."""
    ignored = ("architectures", "dtype", "transformers_version")
    fields = [{k: v for k, v in c.to_dict().items() if k not in ignored} for c in (first, second)]
    return fields[0] == fields[1]


def _sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, as the Hub shows it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Write a file or folder atomically: to a hidden sibling that is renamed when complete.

    Args:
        target: The final path. An existing file or empty folder is replaced.

    Yields:
        The path to write to; it does not exist yet.

    Raises:
        CheckpointWriteError: If `target` is a non-empty folder, or if writing fails, for instance
            on a full disk. Partial output is removed.
    """
    hidden = target.parent / f".{target.name}.{secrets.token_hex(4)}.part"
    require_free(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield hidden
        hidden.replace(target)
    except (OSError, SafetensorError, RuntimeError) as error:  # `torch.save` raises a RuntimeError
        raise CheckpointWriteError(
            f"cannot write {target}: {_reason(error)}. Nothing of it was left behind. "
            "Free some space or choose a folder you may write to."
        ) from error
    finally:
        _remove(hidden)


def require_free(target: Path) -> None:
    """Refuse to write to a non-empty folder.

    Raises:
        CheckpointWriteError: If `target` is one.
    """
    if target.is_dir() and any(target.iterdir()):
        raise CheckpointWriteError(
            f"the folder {target} is not empty, so nothing was written. "
            "Remove it or choose another."
        )


def _reason(error: BaseException) -> str:
    """Find the system's reason for a failed write, which torch hides behind its own error."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__context__
    return (str(error).splitlines() or [type(error).__name__])[0]


def _remove(path: Path) -> None:
    """Delete partial output, if any."""
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
    model card. It is written atomically.

    Args:
        source: A `.pt` file, a folder or a Hub repo with exactly one.
        out_dir: The folder to create; it must be missing or empty.
        config: Fields that weights do not determine, as in `load_original`.
        repo_id: The Hub repo for the model card; the folder's name by default.
        options: Options for the Hub.

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
    if family_of(weights) is not None:
        _require_all(weights, described, str(original))
    described.architectures = ["Sam2VideoModel"]
    described.dtype = next(iter(weights.values())).dtype
    with atomic_write(target) as folder:
        folder.mkdir()
        _write_json(folder / CONFIG, _own_fields(described.to_dict()))
        _write_json(folder / "processor_config.json", _processor_config(described))
        card = model_card(described, weights, source=original, repo_id=repo_id or target.name)
        (folder / "README.md").write_text(card, encoding="utf-8")
        contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
        save_file(contiguous, folder / WEIGHTS, metadata={"format": "pt"})
    return target


def revert_to_original(folder: str | os.PathLike[str], out_file: str | os.PathLike[str]) -> Path:
    """Convert a folder in transformers' format back to an original checkpoint, bit for bit.

    Args:
        folder: Holds `model.safetensors` (or its shards) and `config.json`; or the name of a
            bundled checkpoint.
        out_file: The `.pt` to write, `{"model": weights}`; an existing file is replaced.

    Returns:
        `out_file`.

    Raises:
        CheckpointError: If the folder has no weights, or damaged or incomplete ones; if it holds
            SAM 3's tracker, which has no original format; or if it holds an EfficientTAM, of which
            the name of the file tells the input size and the pooling, and `out_file` would tell
            others.
        CheckpointWriteError: If the file cannot be written.
    """
    target, folder = Path(out_file), bundled_folder(folder) or folder
    weights = read_folder(folder)
    config = config_beside(Path(folder) / WEIGHTS)
    if config is None:
        raise CheckpointError(f"{folder} has no config.json of a SAM 2. Pass a complete folder.")
    if config.vision_config.model_type == Sam3VisionConfig.model_type:
        raise CheckpointError(
            f"{folder} holds SAM 3's tracker, which has no original format of its own. Use the "
            "folder as it is."
        )
    if (family := family_of(weights)) is not None:
        _require_all(weights, config, str(folder))
        if family is EFFICIENTTAM and config_beside(target) is None:
            _require_telling_name(target, config)
        original = family_to_original(family, weights)
    else:
        original = to_original(weights)
        check_names(original, config, source=str(folder))
    with atomic_write(target) as hidden, hidden.open("wb") as file:
        torch.save({"model": original}, file)
    return target


def _require_all(weights: Mapping[str, Tensor], config: Sam2VideoConfig, source: str) -> None:
    """Refuse weights that are not exactly those of a model of another family."""
    with torch.device("meta"):
        wanted = {name: value.shape for name, value in Sam2VideoModel(config).state_dict().items()}
    shared = wanted.keys() & weights.keys()
    faults = {
        "missing": sorted(wanted.keys() - shared),
        "unexpected": sorted(weights.keys() - shared),
        "of another shape": [name for name in shared if weights[name].shape != wanted[name]],
    }
    for what, names in faults.items():
        if names:
            raise CheckpointError(
                f"{source} does not fit its config: {len(names)} weights are {what}, {names[0]} "
                "among them. Use a complete checkpoint, or pass the config it was trained with."
            )


def _require_telling_name(target: Path, config: Sam2VideoConfig) -> None:
    """Refuse a name by which an EfficientTAM would be loaded as another one, or not at all."""
    name = published_stem(config)
    if name == target.stem or (name is None and target.stem not in PUBLISHED):
        return  # a model of its own is loaded only with its config
    advice = f"Call it {name}.pt" if name else "Give it another name, and load it with its config"
    raise CheckpointError(
        f"{target} would not be loaded as the same model: the name of the file tells input size "
        f"and pooling of an EfficientTAM. {advice}."
    )


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


def _own_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Keep the fields of SAM 2 and drop those that every transformers config repeats."""
    defaults = PreTrainedConfig().to_dict()
    kept = {
        name: _own_fields(value) if isinstance(value, dict) else value
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
