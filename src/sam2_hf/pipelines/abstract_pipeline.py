"""What the pipelines have in common: a model, and the attributes transformers' pipelines have."""

from typing import ClassVar, Generic, TypeVar

import torch

from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

Model = TypeVar("Model", Sam2Model, Sam2VideoModel)


class AbstractPipeline(Generic[Model]):
    """Base of the pipelines, not one itself.

    Args:
        model: The model, on its device.

    Attributes:
        task: The name that `pipeline` was asked for; the first one of the class without it.
        framework: "pt", as everywhere in this package.
    """

    task: str
    framework: ClassVar[str] = "pt"

    def __init__(self, model: Model) -> None:
        self.model: Model = model

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the model's weights."""
        return self.model.dtype

    @property
    def torch_dtype(self) -> torch.dtype:
        """The former name of `dtype`."""
        return self.dtype
