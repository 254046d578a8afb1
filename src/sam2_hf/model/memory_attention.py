"""Memory attention: the frame that is segmented looks at itself, then at what is remembered.

Suffixes: b = objects, a = heads, n = cells of the image embedding, k = memory tokens, q = tokens
that ask, c = channels, d = decoder channels (256). What all objects share has b = 1 until their
memories make it differ.
"""

from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention import attend
from .configuration_sam2_video import Sam2VideoConfig
from .memory_tokens import MemoryTokens
from .rope import rotary_table, rotated

Table = tuple[Tensor, Tensor]
DEFAULT_THETA = 10_000.0  # base of the rotary wave lengths in every released model
POSITION_SHARE = 0.1  # how much of the position is added to the picture before the first layer


class RotaryAttention(nn.Module):
    """Attention whose queries and keys turn with their place.

    Args:
        config: The video model's config.
        key_channels: Width of the keys and values.

    Source: sam2/modeling/sam/transformer.py:253-311 @ 2b90b9f.
    """

    is_causal = False  # SDPA backends ask their module for it

    def __init__(self, config: Sam2VideoConfig, key_channels: int) -> None:
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

    def forward(
        self, query_bqd: Tensor, key_bkc: Tensor, value_bkc: Tensor, table: Table, unplaced: int = 0
    ) -> Tensor:
        """Let every cell look at the keys.

        Args:
            query_bqd: Cells of the frame, `(b or 1, n, 256)`.
            key_bkc: Keys: cells of as many grids as there are, then keys without a place.
            value_bkc: Values, as many as keys.
            table: Turns of the grid's cells.
            unplaced: How many keys at the end have no place.

        Returns:
            What each cell found, `(b, n, 256)`.
        """
        query = rotated(self._split(self.q_proj(query_bqd)), table)
        key, value = self._split(self.k_proj(key_bkc)), self._split(self.v_proj(value_bkc))
        key = rotated(key, table, unplaced)
        query = query.expand(key.shape[0], -1, -1, -1)
        dropout = self.dropout if self.training else 0.0
        found = attend(self, self.config, (query, key, value), self.scaling, dropout=dropout)
        return self.o_proj(found.flatten(2))

    def _split(self, tokens_bqc: Tensor) -> Tensor:
        """Part the channels into heads: `(b, q, c)` -> `(b, a, q, c / a)`."""
        return tokens_bqc.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class MemoryAttentionLayer(GradientCheckpointingLayer):
    """Self-attention, attention to the memories, MLP.

    Source: sam2/modeling/memory_attention.py:17-101 @ 2b90b9f.
    """

    def __init__(self, config: Sam2VideoConfig) -> None:
        super().__init__()
        hidden = config.memory_attention_hidden_size
        self.self_attn = RotaryAttention(config, hidden)
        self.cross_attn_image = RotaryAttention(config, config.memory_encoder_output_channels)
        self.linear1 = nn.Linear(hidden, config.memory_attention_feed_forward_hidden_size)
        self.linear2 = nn.Linear(config.memory_attention_feed_forward_hidden_size, hidden)
        self.layer_norm1 = nn.LayerNorm(hidden)
        self.layer_norm2 = nn.LayerNorm(hidden)
        self.layer_norm3 = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(config.memory_attention_dropout)
        self.activation = ACT2FN[config.memory_attention_feed_forward_hidden_act]

    def forward(self, cells_bnd: Tensor, memories: MemoryTokens, table: Table) -> Tensor:
        """Fuse the memories into the frame, `(b, n, 256)`."""
        normed = self.layer_norm1(cells_bnd)
        cells_bnd = cells_bnd + self.dropout(self.self_attn(normed, normed, normed, table))
        found = self.cross_attn_image(
            self.layer_norm2(cells_bnd),
            memories.keys_bkc,
            memories.content_bkc,
            table,
            memories.num_pointer_tokens,
        )
        cells_bnd = cells_bnd + self.dropout(found)
        hidden = self.dropout(self._activate(self.linear1(self.layer_norm3(cells_bnd))))
        return cells_bnd + self.dropout(self.linear2(hidden))

    def _activate(self, hidden_bnc: Tensor) -> Tensor:
        """Apply the activation; where nobody records, in the memory that is just being written."""
        if isinstance(self.activation, nn.ReLU) and not hidden_bnc.requires_grad:
            return hidden_bnc.relu_()
        return self.activation(hidden_bnc)


class MemoryAttention(nn.Module):
    """Condition a frame on what is remembered (SAM 2 paper, section 4, "Memory attention").

    Source: sam2/modeling/memory_attention.py:104-174 @ 2b90b9f.
    Differs: what objects share before they meet their own memories is computed once.
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

    def forward(
        self, features_bdhw: Tensor, positions_1dhw: Tensor, memories: MemoryTokens
    ) -> Tensor:
        """Condition the frame for every object at once.

        Args:
            features_bdhw: Image embedding without memory, `(b or 1, 256, h, w)`.
            positions_1dhw: Its sine positions.
            memories: What each object remembers.

        Returns:
            Conditioned embedding, `(b, 256, h, w)`; its channels lie side by side.
        """
        grid = features_bdhw.shape[-2:]
        placed_bdhw = features_bdhw + POSITION_SHARE * positions_1dhw
        cells_bnd = placed_bdhw.flatten(2).transpose(1, 2)
        table = rotary_table(*grid, self.head_channels, self.theta, features_bdhw.device)
        for layer in self.layers:
            cells_bnd = layer(cells_bnd, memories, table)
        return self.layer_norm(cells_bnd).transpose(1, 2).unflatten(-1, grid)
