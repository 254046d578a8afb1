"""What a session needs of a model, whether PyTorch computes it or exported graphs do.

Suffixes: b = objects, d = decoder channels (256), x = as the model lays out a spatial memory, h, w
= rows and columns.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sam2_hf.errors import SessionError
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.memory_tokens import MemoryInputs
from sam2_hf.model.outputs import FrameFeatures, ObjectMasks
from sam2_hf.model.prompt_encoder import Prompts


class TrackingModel(Protocol):
    """The steps of the paper, and the sizes of what they take and return.

    `Sam2VideoModel` is one, and so is `ExportedSam2`. A model whose weights can be read or written
    is a torch module; one whose weights cannot change is a [`FrozenModel`] as well.
    """

    @property
    def config(self) -> Sam2VideoConfig:
        """Sizes, and how memories and masks are chosen."""

    @property
    def training(self) -> bool:
        """Whether it drops out at random."""

    @property
    def device(self) -> torch.device:
        """Where tensors are taken and returned."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixel values that it takes."""

    @property
    def image_size(self) -> int:
        """Side of the square input, model pixels."""

    @property
    def mask_input_size(self) -> tuple[int, int]:
        """Rows and columns of mask logits, both those given and those decoded."""

    @property
    def hidden_dim(self) -> int:
        """Channels of the image embedding and of object pointers."""

    @property
    def mem_dim(self) -> int:
        """Channels of a memory."""

    @property
    def memory_shape(self) -> tuple[int, ...]:
        """Shape of the spatial memory of one object."""

    @property
    def num_maskmem(self) -> int:
        """Spatial memories that a frame looks at."""

    def encode_image(self, pixel_values: Tensor) -> FrameFeatures:
        """Encode frames; see `Sam2VideoModel.encode_image`."""

    def condition_on_memory(self, features: FrameFeatures, memories: MemoryInputs | None) -> Tensor:
        """Fuse what objects remember into a frame, `(b, 256, h, w)`."""

    def decode_masks(
        self,
        features: FrameFeatures,
        embedding_bdhw: Tensor,
        prompts: Prompts,
        *,
        multimask_output: bool,
        dynamic_multimask_via_stability: bool | None = None,
    ) -> ObjectMasks:
        """Decode one mask for each object; see `Sam2VideoModel.decode_masks`."""

    def object_pointers(self, token_bd: Tensor, score_b1: Tensor) -> Tensor:
        """Make pointers of chosen candidates; see `Sam2VideoModel.object_pointers`."""

    def use_mask_as_output(self, features: FrameFeatures, mask_b1hw: Tensor) -> ObjectMasks:
        """Take given masks for the answer; see `Sam2VideoModel.use_mask_as_output`."""

    def encode_memory(
        self, features: FrameFeatures, logits_b1hw: Tensor, score_b1: Tensor, *, binarize: bool
    ) -> Tensor:
        """Encode what a frame and its masks should be remembered by, `(b, ...)`."""


@runtime_checkable
class FrozenModel(Protocol):
    """A model that has no weights to look at, because they cannot change."""

    @property
    def fingerprint(self) -> str:
        """Mark that copies of the model share and other models do not, 64 hexadecimal digits."""


def require_memory(model: TrackingModel) -> None:
    """Refuse references for a model that would not read them.

    Raises:
        SessionError: It attends to no memory.
    """
    if model.num_maskmem == 0:
        raise SessionError(
            "this model attends to no memory (num_maskmem is 0), so a reference would not be read. "
            "Set model.num_maskmem to 1 or more."
        )
