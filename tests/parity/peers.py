"""transformers' own classes beside ours, with weights that leave nothing at zero."""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import transformers
from torch import nn

EMBEDDING_DEVIATION = 0.3  # learned tables and tokens; large enough for a prompt to matter
BIAS_DEVIATION = 0.05


def draw_weights(model: nn.Module, seed: int = 0) -> nn.Module:
    """Overwrite every weight; some first weights are zero and hide what uses them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            drawn = torch.randn(weight.shape, generator=generator)
            weight.copy_(drawn * deviation(name, weight))
            if "norm" in name and name.endswith("weight"):
                weight.add_(1.0)
        for name, buffer in model.named_buffers():
            if name.endswith("positional_embedding"):  # the released models hold one matrix twice
                shared = torch.Generator().manual_seed(seed)
                buffer.copy_(torch.randn(buffer.shape, generator=shared))
    return model


def deviation(name: str, weight: torch.Tensor) -> float:
    """Choose how far a weight is spread, so that activations keep their size through the layers."""
    if weight.dim() < 2:
        return BIAS_DEVIATION
    is_convolution = "patch_embed." in name or ".mask_embed." in name
    if ("embed" in name or "token" in name) and not (is_convolution or "attn" in name):
        return EMBEDDING_DEVIATION
    return weight[0].numel() ** -0.5


def peer_of(model: nn.Module) -> nn.Module:
    """Build transformers' class of the same name with the same config and weights."""
    name = type(model).__name__
    config_class = getattr(transformers, type(model.config).__name__)
    peer = getattr(transformers, name)(config_class.from_dict(model.config.to_dict()))
    peer.load_state_dict(copy.deepcopy(model.state_dict()))
    return peer.eval()


def largest_difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Return max |a - b|, after making sure that nothing is broadcast."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return (ours.double() - theirs.double()).abs().max().item()


@contextmanager
def transformers_warnings() -> Iterator[list[str]]:
    """Collect what transformers logs as a warning or worse, which pytest does not see."""
    messages: list[str] = []
    handler = logging.Handler(level=logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
