"""Base of the pipelines: a model, and the attributes of transformers' pipelines."""

from typing import ClassVar, Generic, TypeVar

import torch

from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

Model = TypeVar("Model", Sam2Model, Sam2VideoModel)


class AbstractPipeline(Generic[Model]):
    """Base of the pipelines.

    Args:
        model: The model, on its device.

    Attributes:
        task: The name given to `pipeline`; by default the first of the class.
        framework: Always "pt".
    """

    task: str
    framework: ClassVar[str] = "pt"

    def __init__(self, model: Model) -> None:
        self.model: Model = model

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the model's weights."""
        return self.model.dtype

    @property
    def torch_dtype(self) -> torch.dtype:
        """The former name of `dtype`."""
        return self.dtype
