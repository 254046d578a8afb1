"""The model card that goes to the Hub with converted weights."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from .configuration_sam2_video import Sam2VideoConfig
from .released_models import RELEASED, released_config

MEGA = 1_000_000

_TEMPLATE = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: mask-generation
tags:
- sam2
- segmentation
- video
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
    trunk = config.to_dict()["vision_config"]["backbone_config"]
    counted = {id(tensor): tensor.numel() for tensor in weights.values()}
    return _TEMPLATE.format(
        name=repo_id.rsplit("/", maxsplit=1)[-1],
        repo_id=repo_id,
        version="SAM 2.1" if config.enable_occlusion_spatial_embedding else "SAM 2.0",
        kinship=_kinship(config),
        source=source.name,
        digest=_sha256(source),
        parameters=sum(counted.values()) / MEGA,
        dtype=", ".join(sorted({str(t.dtype).removeprefix("torch.") for t in weights.values()})),
        side=config.image_size,
        blocks=", ".join(map(str, trunk["blocks_per_stage"])),
        channels=", ".join(map(str, trunk["embed_dim_per_stage"])),
    )


def _kinship(config: Sam2VideoConfig) -> str:
    """Say which released model has this architecture."""
    for model in RELEASED.values():
        if _same_architecture(released_config(model.name), config):
            return f"The architecture is that of [`{model.hub_id}`](https://hf.co/{model.hub_id})."
    return "The architecture is none of the eight released ones."


def _same_architecture(one: Sam2VideoConfig, other: Sam2VideoConfig) -> bool:
    """Compare two configs without what says where they come from."""
    ignored = ("architectures", "dtype", "transformers_version")
    fields = [{k: v for k, v in c.to_dict().items() if k not in ignored} for c in (one, other)]
    return fields[0] == fields[1]


def _sha256(path: Path) -> str:
    """Hash a file as the Hub shows it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
