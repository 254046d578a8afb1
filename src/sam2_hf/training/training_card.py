"""Model card of a fine-tuned model: its origin and training settings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from huggingface_hub import ModelCardData

from sam2_hf.data.config import SourceConfig

from .config import TrainConfig
from .config_io import as_yaml

_TEMPLATE = """\
---
{metadata}
---

# {name}

{origin}, trained for {step} step(s) with `sam2_hf`.{score}

```python
from sam2_hf import Sam2VideoModel, Sam2VideoProcessor

{usage}
```

The license of the training data may restrict the use of the weights; it is not stated here.

## How it was trained

```yaml
{settings}```
"""

_WHOLE = """\
model = Sam2VideoModel.from_pretrained("{address}")
processor = Sam2VideoProcessor.from_pretrained("{address}")"""

_ADAPTERS = """\
model = Sam2VideoModel.from_pretrained("{model}")
model.load_adapter("{address}")  # needs the package peft
processor = Sam2VideoProcessor.from_pretrained("{model}")"""


def training_card(config: TrainConfig, score: float | None, step: int) -> str:
    """Fill in the card of a model.

    Args:
        config: The run.
        score: Its validation score, 0 to 1; None if there is none.
        step: Steps done.

    Returns:
        Markdown with the Hub's metadata at the top.
    """
    is_folder = Path(config.model).exists()
    has_base = not (is_folder or config.from_scratch)
    metadata = ModelCardData(
        base_model=config.model if has_base else None,
        library_name="transformers",
        pipeline_tag="mask-generation",
        tags=["sam2", "segmentation", "video"],
    )
    shown = without_places(config)
    address = config.push or shown.output
    is_apart = config.lora is not None and not config.lora.merge
    origin = f"The architecture of `{shown.model}`, initialized randomly"
    return _TEMPLATE.format(
        metadata=metadata.to_yaml(),
        name=address.rsplit("/", maxsplit=1)[-1],
        origin=origin if config.from_scratch else f"`{shown.model}`",
        step=step,
        score="" if score is None else f" Validation score: {score:.4f} (mean IoU and J, 0 to 1).",
        usage=(_ADAPTERS if is_apart else _WHOLE).format(address=address, model=shown.model),
        settings=as_yaml(shown, with_defaults=False),
    )


def without_places(config: TrainConfig) -> TrainConfig:
    """Keep only the last component of each path in a config: the rest is private."""
    validation = replace(config.validation, sources=_last_names(config.validation.sources))
    is_folder = Path(config.model).exists()
    return replace(
        config,
        model=Path(config.model).name if is_folder else config.model,
        output=Path(config.output).name,
        data=_last_names(config.data),
        validation=validation,
    )


def _last_names(sources: Sequence[SourceConfig]) -> tuple[SourceConfig, ...]:
    return tuple(replace(source, path=Path(source.path).name) for source in sources)
