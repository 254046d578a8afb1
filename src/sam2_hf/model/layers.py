"""Small layers shared by several parts.

Suffixes: b = images or objects, c = channels, h, w = rows and columns.
"""

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from sam2_hf.model.kernels.cpu_kernels import linear, may_fuse
from sam2_hf.model.kernels.fast_paths import FastPath, is_bare, known_module


class FeedForward(FastPath, nn.Module):
    """Stack `num_layers` linear layers with an activation between them.

    Args:
        dims: Width of input, hidden layers and output.
        num_layers: How many linear layers, at least 2.
        activation: Name of the activation, as in `transformers.activations`.

    Source: sam2/modeling/sam2_utils.py:108-136 @ 2b90b9f.
    """

    def __init__(
        self, dims: tuple[int, int, int], num_layers: int, activation: str = "relu"
    ) -> None:
        super().__init__()
        width_in, width, width_out = dims
        self.activation = ACT2FN[activation]
        self.proj_in = nn.Linear(width_in, width)
        self.proj_out = nn.Linear(width, width_out)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(num_layers - 2))

    def forward(self, hidden: Tensor) -> Tensor:
        """Transform the last dimension."""
        layers = (self.proj_in, *self.layers)
        if may_fuse(self, hidden):
            for layer in layers:
                hidden = linear(layer, hidden, self.activation)
            return linear(self.proj_out, hidden)
        for layer in layers:
            hidden = self.activation(layer(hidden))
        return self.proj_out(hidden)


@known_module
class ChannelLayerNorm(nn.LayerNorm):
    """Normalize the channels of a map, `(b, c, h, w)` in and out."""

    def forward(self, map_bchw: Tensor) -> Tensor:
        """Normalize over channels at every pixel."""
        return super().forward(map_bchw.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def pointwise(conv: nn.Module, map_bchw: Tensor) -> Tensor:
    """Apply a convolution of kernel 1; the result is channels-last in memory.

    Args:
        conv: The convolution, stride 1, no padding, or its replacement.
        map_bchw: A map, `(b, c, h, w)`; fastest if channels-last.

    Returns:
        A map, `(b, c out, h, w)`, channels-last.
    """
    mapped_bchw: Tensor = conv(map_bchw.contiguous(memory_format=torch.channels_last))
    return mapped_bchw


def table_rows(table: nn.Module, count: int, device: torch.device) -> Tensor:
    """Return all rows of an embedding table, `(count, c)`.

    Args:
        table: The table, or its replacement.
        count: Number of rows.
        device: Where it is.
    """
    if is_bare(table, nn.Embedding) and type(table.weight) is nn.Parameter:
        return table.weight
    rows: Tensor = table(torch.arange(count, device=device))
    return rows
