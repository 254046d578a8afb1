"""Spatial perceiver: compresses a spatial memory from a map to a few latents (EdgeTAM).

The free latents each see the whole map. The placed ones each see one window of it and keep its
place in a coarser grid.

Suffixes: b = objects, l = latents, n = cells of a map or a window, a = heads, c = memory channels
(64), h, w = rows and columns.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sam2_hf.model.configs.configuration_sam2_video import EdgeTamVideoConfig
from sam2_hf.model.kernels.fast_paths import constant_table, decides_fast_paths

from .attention import attend
from .position_encoding import rotary_table, sine_table

Table = tuple[Tensor, Tensor]


class PerceiverAttention(nn.Module):
    """Attention without biases; the positions of the keys are those of the values too."""

    is_causal = False  # SDPA backends ask their module for it

    def __init__(self, config: EdgeTamVideoConfig) -> None:
        super().__init__()
        self.config = config
        width, inner = config.perceiver_resampler_hidden_size, _inner_width(config)
        self.num_heads = config.perceiver_resampler_num_attention_heads
        self.scaling = config.perceiver_resampler_attention_head_dim**-0.5
        self.dropout = config.perceiver_resampler_attention_dropout
        self.q_proj = nn.Linear(width, inner, bias=False)
        self.k_proj = nn.Linear(width, inner, bias=False)
        self.v_proj = nn.Linear(width, inner, bias=False)
        self.o_proj = nn.Linear(inner, width, bias=False)

    def forward(
        self, queries_blc: Tensor, keys_bnc: Tensor, places_1nc: Tensor | None = None
    ) -> Tensor:
        """Attend from latents to cells, or to each other.

        Args:
            queries_blc: Where from.
            keys_bnc: Where to.
            places_1nc: Positions, added to projected keys and values.

        Returns:
            Attended values, `(b, l, c)`.
        """
        key_bnc, value_bnc = self.k_proj(keys_bnc), self.v_proj(keys_bnc)
        if places_1nc is not None:
            key_bnc, value_bnc = key_bnc + places_1nc, value_bnc + places_1nc
        query, key, value = (
            tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for tokens in (self.q_proj(queries_blc), key_bnc, value_bnc)
        )
        dropout = self.dropout if self.training else 0.0
        found = attend(self, query, key, value, attention_mask=None, dropout=dropout)
        return self.o_proj(found.flatten(2))


class PerceiverMlp(nn.Module):
    """A normalization and an MLP without biases."""

    def __init__(self, config: EdgeTamVideoConfig) -> None:
        super().__init__()
        width = config.perceiver_resampler_hidden_size
        hidden = config.perceiver_resampler_mlp_intermediate_size
        self.layer_norm = nn.LayerNorm(width)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, latents_blc: Tensor) -> Tensor:
        """Transform every latent."""
        return self.down_proj(functional.gelu(self.up_proj(self.layer_norm(latents_blc))))


class PerceiverLayer(nn.Module):
    """Attention of latents to cells and to each other, each followed by an MLP."""

    def __init__(self, config: EdgeTamVideoConfig) -> None:
        super().__init__()
        width = config.perceiver_resampler_hidden_size
        self.cross_attention = PerceiverAttention(config)
        self.mlp = PerceiverMlp(config)
        self.dropout = nn.Dropout(config.perceiver_resampler_hidden_dropout)
        self.self_attention = PerceiverAttention(config)
        self.self_mlp = PerceiverMlp(config)
        self.layer_norm_input = nn.LayerNorm(width)
        self.layer_norm_latents = nn.LayerNorm(width)
        self.layer_norm_self = nn.LayerNorm(width)

    def forward(
        self, latents_blc: Tensor, cells_bnc: Tensor, places_1nc: Tensor | None = None
    ) -> Tensor:
        """Refine the latents by what the cells hold."""
        found = self.cross_attention(
            self.layer_norm_latents(latents_blc), self.layer_norm_input(cells_bnc), places_1nc
        )
        latents_blc = latents_blc + self.dropout(found)
        latents_blc = latents_blc + self.mlp(latents_blc)
        normed = self.layer_norm_self(latents_blc)
        latents_blc = latents_blc + self.self_attention(normed, normed)
        return latents_blc + self.self_mlp(latents_blc)


class SpatialPerceiver(nn.Module):
    """Compress spatial memories (EdgeTAM paper, section 3.3, "2D Spatial Perceiver").

    Source: sam2/modeling/perceiver.py of facebookresearch/EdgeTAM.
    """

    def __init__(self, config: EdgeTamVideoConfig) -> None:
        super().__init__()
        width = config.perceiver_resampler_hidden_size
        self.num_free, self.num_placed = config.memory_latents
        self.side = math.isqrt(self.num_placed)
        if self.num_free:
            self.latents_1d = nn.Parameter(torch.randn(self.num_free, width))
        if self.num_placed:
            self.latents_2d = nn.Parameter(torch.randn(self.num_placed, width))
        self.layers = nn.ModuleList(
            PerceiverLayer(config) for _ in range(config.perceiver_resampler_num_layers)
        )
        self.layer_norm = nn.LayerNorm(width)

    @decides_fast_paths
    def forward(self, memory_bchw: Tensor) -> Tensor:
        """Compress maps to latents, the free ones first, `(b, l, c)`."""
        found = []
        if self.num_free:
            found.append(self._free(memory_bchw))
        if self.num_placed:
            found.append(self._placed(memory_bchw))
        return torch.cat(found, dim=1)

    def _free(self, memory_bchw: Tensor) -> Tensor:
        """Compute the latents that see the whole map."""
        objects, channels, height, width = memory_bchw.shape
        places = sine_table(height, width, channels, memory_bchw.device, memory_bchw.dtype)
        places_1nc = places.flatten(2).transpose(1, 2)
        cells_bnc = memory_bchw.flatten(2).transpose(1, 2)
        latents_blc = self.latents_1d.expand(objects, -1, -1)
        for layer in self.layers:
            latents_blc = layer(latents_blc, cells_bnc, places_1nc)
        return self.layer_norm(latents_blc)

    def _placed(self, memory_bchw: Tensor) -> Tensor:
        """Compute the latents that see one window each."""
        objects, _, height, width = memory_bchw.shape
        # (b, c, h, w) -> (b * l, n, c): one window for each latent, in the order of rows
        windows = memory_bchw.unflatten(3, (self.side, width // self.side))
        windows = windows.unflatten(2, (self.side, height // self.side)).permute(0, 2, 4, 3, 5, 1)
        cells_nnc = windows.flatten(3, 4).flatten(0, 2)
        latents_n1c = self.latents_2d.expand(objects, -1, -1).flatten(0, 1)[:, None]
        for layer in self.layers:
            latents_n1c = layer(latents_n1c, cells_nnc)
        return self.layer_norm(latents_n1c[:, 0].unflatten(0, (objects, self.num_placed)))


@constant_table(4)
def latent_places(
    latents: tuple[int, int], channels: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Tabulate the positions of latents: none of the free ones, a grid of the placed ones.

    Args:
        latents: Number of free and of placed latents.
        channels: Channels of the table.
        device: Where to put the table.
        dtype: Its dtype.

    Returns:
        Table, `(1, l, channels)`; shared by all callers, read-only.
    """
    free, placed = latents
    free_1lc = torch.zeros(1, free, channels, device=device, dtype=dtype)
    if not placed:
        return free_1lc
    side = math.isqrt(placed)
    grid = sine_table(side, side, channels, device, dtype)
    return torch.cat((free_1lc, grid.flatten(2).transpose(1, 2)), dim=1)


@constant_table(4)
def latent_rotations(
    latents: tuple[int, int], channels: int, theta: float, device: torch.device
) -> Table:
    """Tabulate the rotations of latents; that of a free one is by nothing.

    Args:
        latents: Number of free and of placed latents.
        channels: Channels of a head of memory attention, a multiple of 4.
        theta: Base of the wave lengths.
        device: Where to put the tables.

    Returns:
        Cosines and sines, each `(l, channels / 2)`; shared by all callers, read-only.
    """
    free, placed = latents
    side = math.isqrt(placed)
    cos_nx, sin_nx = rotary_table(side, side, channels, theta, device)
    ones = cos_nx.new_ones(free, channels // 2)
    return torch.cat((ones, cos_nx)), torch.cat((torch.zeros_like(ones), sin_nx))


def _inner_width(config: EdgeTamVideoConfig) -> int:
    """Channels of all heads."""
    heads = config.perceiver_resampler_num_attention_heads
    return heads * config.perceiver_resampler_attention_head_dim
