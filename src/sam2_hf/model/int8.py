"""Models whose largest layers compute in 8 bits: faster on a CPU, and a little less accurate."""

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import nn

from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError
from sam2_hf.model.kernels.fast_paths import is_unmodified
from sam2_hf.model.kernels.int8_linear import Int8Linear, require_int8_product

from .memory_attention import MemoryAttentionLayer
from .promptable_model import PromptableModel

Model = TypeVar("Model", bound=PromptableModel)


def to_int8(model: Model) -> Model:
    """Round the weights of a model's largest layers to 8 bits, in place.

    These are the linear layers of the image encoder and the MLPs of the memory attention; an
    encoder of convolutions (EdgeTAM) stays as it is. Prompts, masks and memories are computed as
    before. Approximate: see the how-to page "bfloat16 and int8". Small pictures that are encoded in
    one batch are rounded together, and so have slight influence on each other.

    Args:
        model: A model in float32 on the CPU.

    Returns:
        The same model, in eval mode. It cannot be trained, exported, saved or moved to a GPU.

    Raises:
        CheckpointError: It is no model of images or videos, on another device or in another dtype,
            its layers have hooks or adapters, or this torch or CPU does not multiply 8-bit
            integers. The model stays as it is.

    Example:
        >>> model = to_int8(Sam2Model.from_pretrained("sam2-hiera-micro"))
        >>> model.vision_encoder.backbone.blocks[0].attn.qkv
        Int8Linear(in_features=48, out_features=144)
    """
    if not isinstance(model, PromptableModel):
        raise CheckpointError(
            f"to_int8 takes a Sam2Model or a Sam2VideoModel, not a {type(model).__name__}."
        )
    if model.device.type != "cpu" or model.dtype != torch.float32:
        raise CheckpointError(
            f"the model is in {model.dtype} on {model.device}; int8 weights are made of float32 on "
            "the CPU. Load it with dtype='float32' and device='cpu', or use bfloat16."
        )
    require_int8_product()
    layers = list(_large_layers(model))
    if not is_unmodified(*(owner for owner, _, _ in layers)):
        raise CheckpointError(
            "the model's layers have hooks, adapters or replaced parts, which int8 would drop. "
            "Merge or remove them first."
        )
    for owner, name, layer in layers:
        setattr(owner, name, Int8Linear(layer))
    return model.eval()


def _large_layers(model: PromptableModel) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """Yield the layers to round: their owner, their name there and themselves."""
    owners = list(model.vision_encoder.backbone.modules())
    for part in model.modules():
        if isinstance(part, MemoryAttentionLayer):
            owners.append(part if part.mlp is None else part.mlp)
    for owner in owners:
        for name, layer in owner.named_children():
            if type(layer) is nn.Linear:
                yield owner, name, layer
