"""Bundled checkpoints by name for transformers' Auto classes, which know folders and Hub ids."""

import os
from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForMaskGeneration,
    AutoProcessor,
)
from transformers.models.auto.video_processing_auto import AutoVideoProcessor

from sam2_hf.model.checkpoints.bundled_models import bundled_folder

AUTO_CLASSES: tuple[Any, ...] = (
    AutoConfig,
    AutoModel,
    AutoModelForMaskGeneration,
    AutoImageProcessor,
    AutoVideoProcessor,
    AutoProcessor,
)
MARK = "knows_bundled_checkpoints"


def teach_bundled_names() -> None:
    """Patch `from_pretrained` of the Auto classes to find bundled checkpoints; idempotent.

    They have no hook for it: a name goes straight to the Hub. All other names are passed on
    unchanged.
    """
    for auto_class in AUTO_CLASSES:
        ordinary = auto_class.from_pretrained
        if not getattr(ordinary, MARK, False):
            auto_class.from_pretrained = _finding_bundled(ordinary)


def _finding_bundled(ordinary: Any) -> Any:  # noqa: ANN401 - a bound class method of any of them
    """Wrap a `from_pretrained`."""

    def from_pretrained(
        pretrained_model_name_or_path: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> Any:  # noqa: ANN401 - what the Auto class returns
        """Load from a bundled checkpoint, a folder or the Hub."""
        name = pretrained_model_name_or_path
        return ordinary(bundled_folder(name) or name, *args, **kwargs)

    setattr(from_pretrained, MARK, True)
    return staticmethod(from_pretrained)
