"""Memory attention: from the current frame to itself, then to the memories.

Suffixes: b = objects, a = heads, n = cells of the image embedding, k = memory tokens, q = queries,
c = channels, d = decoder channels (256). Tensors that all objects share have b = 1 until their
memories make them differ.
"""

import math
from enum import Enum, auto
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.kernels.cpu_kernels import (
    attend_in_tiles,
    has_fused_product,
    linear,
    may_fuse,
    product,
)
from sam2_hf.model.kernels.fast_paths import (
    FastPath,
    WeightCache,
    are_linear,
    decides_fast_paths,
    is_traced,
    known_module,
)
from sam2_hf.model.kernels.gpu_attention import Tiles, attend_in_parts

from .attention import attend
from .memory_tokens import MemoryTokens
from .position_encoding import rotary_table, rotated

Table = tuple[Tensor, Tensor]
DEFAULT_THETA = 10_000.0  # base of the rotary wave lengths in every released model
FEWEST_QUERIES = 1024  # below this, tiles cost more than they save
QUERIES_AT_ONCE = 256  # of a plain attention: 1024-pixel frames have 4096, and 30,000 keys
FLOAT32 = torch.empty(0, dtype=torch.float32, device="cpu")
LOG_POOL = 2 * math.log(2)  # of the cells that a pooled token stands for
POSITION_SHARE = 0.1  # share of the position added to the frame before the first layer


class RotaryAttention(FastPath, nn.Module):
    """Attention with rotary positions of queries and keys.

    Args:
        config: The video model's config.
        key_channels: Width of the keys and values.
        pooling: As `memory_attention_pooling` of [`EfficientTamVideoConfig`].

    Source: sam2/modeling/sam/transformer.py:253-311 @ 2b90b9f.
    """

    is_causal = False  # SDPA backends ask their module for it

    def __init__(self, config: Sam2VideoConfig, key_channels: int, pooling: str = "none") -> None:
        super().__init__()
        self.config = config
        hidden = config.memory_attention_hidden_size
        width = hidden // config.memory_attention_downsample_rate
        self.num_heads = config.memory_attention_num_attention_heads
        self.scaling = (width // self.num_heads) ** -0.5
        self.dropout = config.memory_attention_rope_dropout
        self.q_proj = nn.Linear(hidden, width)
        self.k_proj = nn.Linear(key_channels, width)
        self.v_proj = nn.Linear(key_channels, width)
        self.o_proj = nn.Linear(width, hidden)
        self.pooling = pooling
        self._merged = WeightCache()

    def forward(self, query_bqd: Tensor, memories: MemoryTokens, table: Table) -> Tensor:
        """Attend from every cell of the frame to the keys.

        Args:
            query_bqd: Cells of the frame, `(b or 1, n, 256)`.
            memories: Keys and values: cells of any number of grids, then tokens without a position.
            table: Rotations of the grid's cells.

        Returns:
            Attended values, `(b, n, 256)`.
        """
        if self.pooling != "none":
            cells = memories.keys_bkc.shape[1] - memories.num_pointer_tokens
            if cells > query_bqd.shape[1]:  # several memories
                return self._attend_pooled(query_bqd, memories, table)
        kernel = select_attention_kernel(self, query_bqd, memories)
        if kernel is AttentionKernel.CPU_TILES:
            return self._attend_in_tiles(query_bqd, memories, table)
        if kernel is AttentionKernel.GPU_PARTS:
            return self._attend_in_parts(query_bqd, memories, table)
        heads = (self.num_heads, -1)
        query = rotated(self.q_proj(query_bqd).unflatten(-1, heads).transpose(1, 2), table)
        key = self.k_proj(memories.keys_bkc).unflatten(-1, heads).transpose(1, 2)
        key = rotated(key, memories.table or table, memories.num_pointer_tokens)
        value = self.v_proj(memories.content_bkc).unflatten(-1, heads).transpose(1, 2)
        query = query.expand(key.shape[0], -1, -1, -1)
        bias = None if memories.bias_bk is None else memories.bias_bk[:, None, None]
        dropout = self.dropout if self.training else 0.0
        found = attend(self, query, key, value, attention_mask=bias, dropout=dropout)
        return self.o_proj(found.flatten(2))

    def _attend_pooled(self, query_bqd: Tensor, memories: MemoryTokens, table: Table) -> Tensor:
        """Attend to the means of 2 x 2 cells of several memories, and to every pointer.

        Source: efficient_track_anything/modeling/sam/transformer.py:326-532 of EfficientTAM.
        """
        heads, unplaced = (self.num_heads, -1), memories.num_pointer_tokens
        query = rotated(self.q_proj(query_bqd).unflatten(-1, heads).transpose(1, 2), table)
        key = self.k_proj(memories.keys_bkc).unflatten(-1, heads).transpose(1, 2)
        key = pooled_cells(rotated(key, table, unplaced), query_bqd.shape[1], unplaced)
        value = self.v_proj(memories.content_bkc).unflatten(-1, heads).transpose(1, 2)
        value = pooled_cells(value, query_bqd.shape[1], unplaced)
        cells = key.shape[2] - unplaced
        bias = key.new_zeros(1, 1, 1, key.shape[2])
        if self.pooling == "scores":
            bias[..., :cells] = LOG_POOL
        else:
            key = torch.cat((key[:, :, :cells] + LOG_POOL, key[:, :, cells:]), dim=2)
        query = query.expand(key.shape[0], -1, -1, -1)
        dropout = self.dropout if self.training else 0.0
        found = attend(self, query, key, value, attention_mask=bias, dropout=dropout)
        return self.o_proj(found.flatten(2))

    def shares(
        self, query_bqd: Tensor, memories: MemoryTokens, table: Table, cells_n: Tensor | None
    ) -> Tensor:
        """Measure the share of attention that each key gets: mean over cells and heads, `(b, k)`.

        Plain attention in float32, some queries at a time.

        Args:
            query_bqd: As in `forward`.
            memories: As in `forward`, without a bias.
            table: As in `forward`.
            cells_n: Cells of the frame to take the mean over, boolean; all if None.
        """
        heads = (self.num_heads, -1)
        query = rotated(self.q_proj(query_bqd).unflatten(-1, heads).transpose(1, 2), table)
        if cells_n is not None:
            query = query[:, :, cells_n]
        key = self.k_proj(memories.keys_bkc).unflatten(-1, heads).transpose(1, 2)
        key_table = memories.table or table
        key_badk = rotated(key, key_table, memories.num_pointer_tokens).transpose(-1, -2).float()
        total_bk = key_badk.new_zeros(len(key_badk), key_badk.shape[-1])
        for few_baqd in query.float().split(QUERIES_AT_ONCE, dim=2):
            total_bk += (few_baqd @ key_badk * self.scaling).softmax(dim=-1).sum(dim=(1, 2))
        return total_bk / (self.num_heads * query.shape[2])

    def _attend_in_tiles(self, query_bqd: Tensor, memories: MemoryTokens, table: Table) -> Tensor:
        """Attend to values as stored, and project the result.

        The weights of a query sum to 1, so `sum(a (W x + b)) = W sum(a x) + b`: the value's
        projection joins the output's, and memories of 64 channels stay a quarter as wide as keys.
        """
        unplaced = memories.num_pointer_tokens
        # float32, as the tiles are: half precision would be rounded again, in more passes
        query_b1qd = linear(self.q_proj, query_bqd)[:, None].float()
        query_b1qd = rotated(query_b1qd, table) * self.scaling
        key_b1kd = linear(self.k_proj, memories.keys_bkc)[:, None].float()
        key_b1kd = rotated(key_b1kd, memories.table or table, unplaced)
        query_bqd, key_bkd = query_b1qd[:, 0].expand(len(key_b1kd), -1, -1), key_b1kd[:, 0]
        found = [
            attend_in_tiles(query_qd, key_kd, value_kc)
            for query_qd, key_kd, value_kc in zip(
                query_bqd, key_bkd, memories.content_bkc, strict=True
            )
        ]
        return product(torch.stack(found), *self._merged_projection())

    def _attend_in_parts(self, query_bqd: Tensor, memories: MemoryTokens, table: Table) -> Tensor:
        """Attend to values as stored, on a GPU; see `_attend_in_tiles`."""
        unplaced = memories.num_pointer_tokens
        query_b1qd = rotated(self.q_proj(query_bqd)[:, None], table) * self.scaling
        key_table = memories.table or table
        key_b1kd = rotated(self.k_proj(memories.keys_bkc)[:, None], key_table, unplaced)
        found_bqc = attend_in_parts(
            query_b1qd[:, 0],
            key_b1kd[:, 0],
            memories.content_bkc,
            memories.bias_bk,
            cast(Tiles, memories.tiles),
        )
        return functional.linear(found_bqc, *self._merged_projection())

    def _merged_projection(self) -> Table:
        """Return weight and bias of the merged value and output projections."""
        merged = self._merged.get(
            (self.v_proj.weight, self.v_proj.bias, self.o_proj.weight, self.o_proj.bias),
            (),
            self._merge,
        )
        return merged[:, :-1].contiguous(), merged[:, -1].contiguous()

    def _merge(self) -> Tensor:
        """Join the projections of value and output: weight and, last, bias, `(256, 64 + 1)`."""
        inner, outer = self.v_proj, self.o_proj
        # float64: the product of two weights is rounded once, like a weight
        weight = outer.weight.double() @ inner.weight.double()
        bias = outer.weight.double() @ inner.bias.double() + outer.bias.double()
        return torch.cat((weight, bias[:, None]), dim=1).to(outer.weight.dtype)


def pooled_cells(tokens_bakc: Tensor, cells: int, unplaced: int) -> Tensor:
    """Average 2 x 2 cells of each grid; the tokens at the end that have no place stay.

    Args:
        tokens_bakc: Cells of some square grids, then tokens without a place.
        cells: Cells of a grid.
        unplaced: Number of tokens without a place.
    """
    side, placed = math.isqrt(cells), tokens_bakc.shape[2] - unplaced
    grids = tokens_bakc[:, :, :placed].unflatten(2, (-1, side // 2, 2, side // 2, 2))
    means = grids.mean(dim=(4, 6)).flatten(2, 4)
    return torch.cat((means, tokens_bakc[:, :, placed:]), dim=2)


class AttentionKernel(Enum):
    """Kernel of the attention to memories."""

    BACKEND = auto()  # of the config
    CPU_TILES = auto()  # `attend_in_tiles`
    GPU_PARTS = auto()  # `attend_in_parts`


def select_attention_kernel(
    layers: RotaryAttention, query_bqd: Tensor, memories: MemoryTokens
) -> AttentionKernel:
    """Choose the fastest kernel for a call: tiles on a CPU, parts on a GPU where measured faster.

    Both read values as stored, so they pay for memories, which are narrower than queries, and not
    for self-attention.

    Args:
        layers: The attention; GPU parts are also taken while compiling, not in an export.
        query_bqd: As in `RotaryAttention.forward`.
        memories: As in `RotaryAttention.forward`.
    """
    pays_in_tiles = _is_faster_in_tiles(query_bqd, memories)
    if (
        not (pays_in_tiles or memories.tiles is not None)
        or layers.num_heads != 1
        or layers.config._attn_implementation != "sdpa"
        or torch.onnx.is_in_onnx_export()
        or not are_linear(layers.v_proj, layers.o_proj)
        or not layers.may_read_weights(
            query_bqd, memories.content_bkc, memories.keys_bkc, memories.bias_bk
        )
    ):
        return AttentionKernel.BACKEND
    return AttentionKernel.CPU_TILES if pays_in_tiles else AttentionKernel.GPU_PARTS


def _is_faster_in_tiles(query_bqd: Tensor, memories: MemoryTokens) -> bool:
    """Whether tiles are faster than the default backend: on a CPU, narrow values, and large."""
    return (
        memories.content_bkc.shape[-1] < query_bqd.shape[-1]
        and memories.bias_bk is None
        and query_bqd.is_cpu
        and not is_traced()  # before sizes are compared: a graph would be specialized to them
        and query_bqd.shape[1] >= FEWEST_QUERIES
        # units for bfloat16 tiles make torch's attention faster there
        and (query_bqd.dtype == torch.float32 or not torch.cpu._is_amx_tile_supported())
        and has_fused_product(query_bqd)
        and has_fused_product(FLOAT32)  # the dtype of tiles
    )


class MemoryAttentionLayer(FastPath, GradientCheckpointingLayer):
    """Self-attention, attention to the memories, MLP.

    Source: sam2/modeling/memory_attention.py:17-101 @ 2b90b9f.
    """

    def __init__(self, config: Sam2VideoConfig) -> None:
        super().__init__()
        hidden = config.memory_attention_hidden_size
        self.self_attn = RotaryAttention(config, hidden)
        self.cross_attn_image = RotaryAttention(
            config,
            config.memory_encoder_output_channels,
            getattr(config, "memory_attention_pooling", "none"),
        )
        width = config.memory_attention_feed_forward_hidden_size
        self.mlp: nn.ModuleDict | None = None
        if config.nests_memory_mlp:  # by the names of published checkpoints
            layers = {"up_proj": nn.Linear(hidden, width), "down_proj": nn.Linear(width, hidden)}
            self.mlp = nn.ModuleDict(layers)
        else:
            self.linear1 = nn.Linear(hidden, width)
            self.linear2 = nn.Linear(width, hidden)
        self.layer_norm1 = nn.LayerNorm(hidden)
        self.layer_norm2 = nn.LayerNorm(hidden)
        self.layer_norm3 = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(config.memory_attention_dropout)
        self.activation = ACT2FN[config.memory_attention_feed_forward_hidden_act]

    def forward(self, cells_bnd: Tensor, memories: MemoryTokens, table: Table) -> Tensor:
        """Fuse the memories into the frame, `(b, n, 256)`."""
        normed = self.layer_norm1(cells_bnd)
        own = MemoryTokens(normed, normed, num_pointer_tokens=0)
        cells_bnd = cells_bnd + self.dropout(self.self_attn(normed, own, table))
        found = self.cross_attn_image(self.layer_norm2(cells_bnd), memories, table)
        cells_bnd = cells_bnd + self.dropout(found)
        return cells_bnd + self.dropout(self._mlp(self.layer_norm3(cells_bnd)))

    def shares(
        self, cells_bnd: Tensor, memories: MemoryTokens, table: Table, cells_n: Tensor | None
    ) -> Tensor:
        """Measure the attention to each memory token, `(b, k)`; see `MemoryAttention.shares`."""
        normed = self.layer_norm1(cells_bnd)
        own = MemoryTokens(normed, normed, num_pointer_tokens=0)
        query_bnd = self.layer_norm2(cells_bnd + self.self_attn(normed, own, table))
        return self.cross_attn_image.shares(query_bnd, memories, table, cells_n)

    def _mlp(self, cells_bnd: Tensor) -> Tensor:
        """Apply the MLP to every cell."""
        first, second = (self.linear1, self.linear2) if self.mlp is None else self.mlp.values()
        if may_fuse(self, cells_bnd, parts=(first, self.activation, second)):
            hidden_bnd = linear(first, cells_bnd, self.activation)
            return linear(second, self.dropout(hidden_bnd))
        mapped_bnd: Tensor = second(self.dropout(self.activation(first(cells_bnd))))
        return mapped_bnd


@known_module
class MemoryAttention(nn.Module):
    """Condition a frame on memories (SAM 2 paper, section 4, "Memory attention").

    Source: sam2/modeling/memory_attention.py:104-174 @ 2b90b9f.
    Differs: whatever objects share before attending to their memories is computed once.
    """

    def __init__(self, config: Sam2VideoConfig) -> None:
        super().__init__()
        channels = config.memory_attention_hidden_size // config.memory_attention_downsample_rate
        self.head_channels = channels // config.memory_attention_num_attention_heads
        self.theta = float((config.rope_parameters or {}).get("rope_theta", DEFAULT_THETA))
        self.layers = nn.ModuleList(
            MemoryAttentionLayer(config) for _ in range(config.memory_attention_num_layers)
        )
        self.layer_norm = nn.LayerNorm(config.memory_attention_hidden_size)

    @decides_fast_paths
    def forward(
        self, features_bdhw: Tensor, positions_1dhw: Tensor, memories: MemoryTokens
    ) -> Tensor:
        """Condition the frame for every object at once.

        Args:
            features_bdhw: Image embedding without memory, `(b or 1, 256, h, w)`.
            positions_1dhw: Its sine positions.
            memories: Memories of each object.

        Returns:
            Conditioned embedding, `(b, 256, h, w)`, channels-last.
        """
        height, width = grid = features_bdhw.shape[-2:]
        placed_bdhw = features_bdhw + POSITION_SHARE * positions_1dhw
        cells_bnd = placed_bdhw.flatten(2).transpose(1, 2)
        table = rotary_table(height, width, self.head_channels, self.theta, features_bdhw.device)
        for layer in self.layers:
            cells_bnd = layer(cells_bnd, memories, table)
        return self.layer_norm(cells_bnd).transpose(1, 2).unflatten(-1, grid)

    def shares(
        self,
        features_bdhw: Tensor,
        positions_1dhw: Tensor,
        memories: MemoryTokens,
        cells_n: Tensor | None = None,
    ) -> Tensor:
        """Measure the share of attention that each memory token gets; see `forward`.

        Args:
            features_bdhw: As in `forward`.
            positions_1dhw: As in `forward`.
            memories: As in `forward`.
            cells_n: Cells of the frame to take the mean over, boolean; all if None.

        Returns:
            Mean over cells, heads and layers, `(b, k)`; each row adds up to 1.
        """
        height, width = features_bdhw.shape[-2:]
        placed_bdhw = features_bdhw + POSITION_SHARE * positions_1dhw
        cells_bnd = placed_bdhw.flatten(2).transpose(1, 2)
        table = rotary_table(height, width, self.head_channels, self.theta, features_bdhw.device)
        found = []
        for layer in self.layers:
            layer = cast(MemoryAttentionLayer, layer)
            found.append(layer.shares(cells_bnd, memories, table, cells_n))
            cells_bnd = layer(cells_bnd, memories, table)
        return torch.stack(found).mean(dim=0)
