"""SAM 3's image encoder, as transformers' own class: a ViT and a neck of several scales."""

import importlib
from typing import Any

from torch import nn

MODULE = "transformers.models.sam3.modeling_sam3"


def sam3_vision_model(config: Any) -> nn.Module:  # noqa: ANN401 - a config of transformers
    """Build the image encoder of a SAM 3.

    Its file is imported with the first model, since it takes half a second. `transformers` itself
    offers the class only beside torchvision, which only SAM 3's detector needs.

    Args:
        config: A `transformers.Sam3VisionConfig`.

    Returns:
        A `Sam3VisionModel`, whose feature maps are those of [`Sam2VisionModel`] and a coarser one.
    """
    model: nn.Module = importlib.import_module(MODULE).Sam3VisionModel(config)
    return model
