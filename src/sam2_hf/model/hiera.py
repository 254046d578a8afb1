"""Hiera, the trunk: a hierarchical vision transformer with mostly windowed attention.

Suffixes: b = images, n = windows of all images, a = heads, h, w = rows and columns of the grid, c =
channels.
"""

from itertools import accumulate
from typing import Any, ClassVar, Unpack, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils.generic import TransformersKwargs, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from sam2_hf.model.configs.configuration_sam2 import Sam2HieraDetConfig
from sam2_hf.model.kernels.cpu_kernels import in_bands, linear, may_fuse, needs_bands
from sam2_hf.model.kernels.fast_paths import FastPath, WeightCache, decides_fast_paths, known_module

from .attention import attend
from .layers import FeedForward
from .outputs import Sam2HieraDetModelOutput
from .pretrained import Sam2PreTrainedModel


def pool(grid_bhwc: Tensor, stride: tuple[int, int]) -> Tensor:
    """Max-pool cells of `stride`; incomplete cells are dropped."""
    # channels stay last in memory; two to three times faster than `maximum` of slices, whose
    # gradient has to compare again
    return functional.max_pool2d(grid_bhwc.permute(0, 3, 1, 2), stride).permute(0, 2, 3, 1)


def split_windows(grid_bhwc: Tensor, size: int) -> Tensor:
    """Cut a grid, padded with zeros, into windows: `(b, h, w, c)` -> `(n, size, size, c)`."""
    height, width = grid_bhwc.shape[1:3]
    padded = functional.pad(grid_bhwc, (0, 0, 0, -width % size, 0, -height % size))
    cells = padded.unflatten(2, (-1, size)).unflatten(
        1, (-1, size)
    )  # (b, rows, size, columns, size, c)
    return cells.transpose(2, 3).flatten(0, 2)


def join_windows(windows_nhwc: Tensor, batch: int, grid: tuple[int, int]) -> Tensor:
    """Undo `split_windows`: `(n, size, size, c)` -> `(batch, *grid, c)`."""
    size = windows_nhwc.shape[1]
    rows = -(-grid[0] // size)
    cells = windows_nhwc.unflatten(0, (batch, rows, -1)).transpose(2, 3)
    return cells.flatten(3, 4).flatten(1, 2)[:, : grid[0], : grid[1]]


@known_module
class PatchEmbedding(nn.Module):
    """Patch embedding: overlapping patches of 7 x 7 pixels, one every 4 pixels."""

    def __init__(self, config: Sam2HieraDetConfig) -> None:
        super().__init__()
        self.projection = nn.Conv2d(
            config.num_channels,
            config.hidden_size,
            kernel_size=_pair(config.patch_kernel_size),
            stride=_pair(config.patch_stride),
            padding=_pair(config.patch_padding),
        )

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Embed `(b, 3, height, width)` as `(b, h, w, c)`."""
        return self.projection(pixel_values).permute(0, 2, 3, 1)


class WindowAttention(FastPath, nn.Module):
    """Self-attention inside a window; at the start of a stage it also halves the grid.

    Source: sam2/modeling/backbones/hieradet.py:42-84 @ 2b90b9f.
    """

    is_causal = False  # SDPA backends ask their module for it

    def __init__(
        self,
        config: Sam2HieraDetConfig,
        dims: tuple[int, int],
        num_heads: int,
        stride: tuple[int, int] | None,
    ) -> None:
        super().__init__()
        self.config = config
        width_in, width_out = dims
        self.num_heads = num_heads
        self.stride = stride
        self.scaling = (width_out // num_heads) ** -0.5
        self.qkv = nn.Linear(width_in, width_out * 3)
        self.proj = nn.Linear(width_out, width_out)

    def forward(self, windows_nhwc: Tensor) -> Tensor:
        """Mix the tokens of each window.

        Args:
            windows_nhwc: Windows, `(n, h, w, c)`.

        Returns:
            Windows, `(n, h / stride, w / stride, c out)`.
        """
        fused = may_fuse(self, windows_nhwc)
        mapped_nhwc = linear(self.qkv, windows_nhwc) if fused else self.qkv(windows_nhwc)
        query_nhwc, key_nhwc, value_nhwc = mapped_nhwc.chunk(3, dim=-1)
        if self.stride is not None:
            query_nhwc = pool(query_nhwc, self.stride)
        height, width = query_nhwc.shape[1:3]
        heads = (self.num_heads, -1)
        query = (
            query_nhwc.unflatten(-1, heads).flatten(1, 2).transpose(1, 2)
        )  # (n, heads, h * w, c)
        key = key_nhwc.unflatten(-1, heads).flatten(1, 2).transpose(1, 2)
        value = value_nhwc.unflatten(-1, heads).flatten(1, 2).transpose(1, 2)
        mixed = attend(self, query, key, value)
        mixed_nhwc = mixed.reshape(-1, height, width, self.num_heads * mixed.shape[-1])
        return linear(self.proj, mixed_nhwc) if fused else self.proj(mixed_nhwc)


class HieraBlock(FastPath, GradientCheckpointingLayer):
    """One transformer block of the trunk.

    The first block of a stage works on the windows of the stage before and then changes width and
    grid.

    Args:
        config: The trunk's config.
        stage: Index of the stage, from 0.
        block: Index of the block in its stage, from 0.

    Source: sam2/modeling/backbones/hieradet.py:87-168 @ 2b90b9f.
    """

    def __init__(self, config: Sam2HieraDetConfig, stage: int, block: int) -> None:
        super().__init__()
        opens_stage = stage > 0 and block == 0
        previous = stage - 1 if opens_stage else stage
        width_in, width_out = (
            config.embed_dim_per_stage[previous],
            config.embed_dim_per_stage[stage],
        )
        is_global = sum(config.blocks_per_stage[:stage]) + block in config.global_attention_blocks
        self.window_size = 0 if is_global else config.window_size_per_stage[previous]
        pools = opens_stage and stage <= config.num_query_pool_stages
        self.stride = _pair(config.query_stride) if pools else None
        self.layer_norm1 = nn.LayerNorm(width_in, eps=config.layer_norm_eps)
        self.attn = WindowAttention(
            config, (width_in, width_out), config.num_attention_heads_per_stage[stage], self.stride
        )
        self.layer_norm2 = nn.LayerNorm(width_out, eps=config.layer_norm_eps)
        hidden = int(width_out * config.mlp_ratio)
        self.mlp = FeedForward(
            (width_out, hidden, width_out), num_layers=2, activation=config.hidden_act
        )
        self.proj = nn.Linear(width_in, width_out) if width_in != width_out else None
        self.drop_path = 0.0  # probability of skipping a branch for an image in training

    def forward(self, tokens_bhwc: Tensor) -> Tensor:
        """Transform the grid `(b, h, w, c)`; pooling halves its rows and columns.

        Windows are independent, and so are cells in the MLP. In inference they are processed a band
        of rows at a time, which stays in the cache.
        """
        if not (
            tokens_bhwc.is_cpu
            and needs_bands(tokens_bhwc, max(1, self.window_size))
            and self.may_be_fast(tokens_bhwc)
        ):
            return self._refine(self._mix(tokens_bhwc))
        if self.window_size == 0:
            return in_bands(self._refine, self._mix(tokens_bhwc))
        return in_bands(lambda band: self._refine(self._mix(band)), tokens_bhwc, self.window_size)

    def _mix(self, tokens_bhwc: Tensor) -> Tensor:
        """Attend, in windows or over the whole grid."""
        normed_bhwc = self.layer_norm1(tokens_bhwc)
        residual_bhwc = tokens_bhwc if self.proj is None else self.proj(normed_bhwc)
        if self.proj is not None and self.stride is not None:
            residual_bhwc = pool(residual_bhwc, self.stride)
        if self.window_size == 0:
            mixed_bhwc = self.attn(normed_bhwc)
        else:
            rows, columns = residual_bhwc.shape[1:3]
            windows_nhwc = self.attn(split_windows(normed_bhwc, self.window_size))
            mixed_bhwc = join_windows(windows_nhwc, tokens_bhwc.shape[0], (rows, columns))
        if self.training and self.drop_path > 0.0:
            mixed_bhwc = drop_branch(mixed_bhwc, self.drop_path)
        return residual_bhwc + mixed_bhwc

    def _refine(self, tokens_bhwc: Tensor) -> Tensor:
        """Apply the MLP to every cell."""
        refined_bhwc = self.mlp(self.layer_norm2(tokens_bhwc))
        if self.training and self.drop_path > 0.0:
            refined_bhwc = drop_branch(refined_bhwc, self.drop_path)
        return tokens_bhwc + refined_bhwc


@known_module
class Sam2HieraDetModel(Sam2PreTrainedModel):
    """The trunk as a standalone model, `model_type` `sam2_hiera_det_model`.

    Source: sam2/modeling/backbones/hieradet.py:171-317 @ 2b90b9f.
    Differs: the stretched position table is cached until the weights change.

    Example:
        >>> trunk = image_model.vision_encoder.backbone
        >>> stages = trunk(pixels).intermediate_hidden_states
        >>> len(stages)
        4
    """

    config: Sam2HieraDetConfig
    _can_record_outputs: ClassVar[dict[str, Any]] = {
        "hidden_states": HieraBlock,
        "attentions": WindowAttention,
    }

    def __init__(self, config: Sam2HieraDetConfig) -> None:
        super().__init__(config)
        window = config.window_size_per_stage[0]
        background = config.window_positional_embedding_background_size
        self.patch_embed = PatchEmbedding(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.hidden_size, *background))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, config.hidden_size, window, window))
        self.blocks = nn.ModuleList(
            HieraBlock(config, stage, block)
            for stage, depth in enumerate(config.blocks_per_stage)
            for block in range(depth)
        )
        self.stage_ends = [end - 1 for end in accumulate(config.blocks_per_stage)]
        self._positions = WeightCache()
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the patch embedding."""
        return self.patch_embed

    def set_drop_path(self, rate: float) -> None:
        """Set stochastic depth: training skips branches of blocks at random.

        The rate is not part of the config, not saved, and has no effect in `eval()`.

        Args:
            rate: Probability for the last block, 0 to below 1; it grows evenly from 0 at the first.

        Raises:
            ValueError: If the rate is out of range.

        Source: sam2/modeling/backbones/hieradet.py:129-155 @ 2b90b9f.
        """
        spread_drop_path(self.blocks, rate)

    @merge_with_config_defaults
    @capture_outputs
    @decides_fast_paths  # below the decorator whose hooks record outputs
    def forward(
        self,
        pixel_values: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],  # type: ignore[misc]
    ) -> tuple[Any, ...] | Sam2HieraDetModelOutput:
        """Extract features at strides 4, 8, 16 and 32.

        Args:
            pixel_values: Normalized pictures, `(b, 3, height, width)`, both sizes multiples of 32.
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Raises:
            ValueError: If `pixel_values` is None.
        """
        if pixel_values is None:
            raise ValueError("pixel_values is None: pass the pictures, (batch, 3, height, width).")
        tokens_bhwc = self.patch_embed(pixel_values.to(self.pos_embed.dtype))
        tokens_bhwc = tokens_bhwc + self._position_table(tokens_bhwc.shape[1], tokens_bhwc.shape[2])
        stages = []
        for index, block in enumerate(self.blocks):
            tokens_bhwc = block(tokens_bhwc)
            if index in self.stage_ends:
                stages.append(tokens_bhwc)
        return Sam2HieraDetModelOutput(
            last_hidden_state=tokens_bhwc, intermediate_hidden_states=tuple(stages)
        )

    def _position_table(self, height: int, width: int) -> Tensor:
        """Tile the window table over the stretched background table, `(1, height, width, c)`."""

        def compute() -> Tensor:
            # float32: half precision would round each of bicubic's sixteen products
            stretched = functional.interpolate(
                self.pos_embed.float(), size=(height, width), mode="bicubic"
            )
            window = self.pos_embed_window.float()
            tiles = window.tile((1, 1, height // window.shape[2], width // window.shape[3]))
            return (stretched + tiles).permute(0, 2, 3, 1).to(self.pos_embed.dtype).contiguous()

        return self._positions.get(
            (self.pos_embed, self.pos_embed_window), (height, width), compute
        )


def spread_drop_path(blocks: nn.ModuleList, rate: float) -> None:
    """Set the rates of stochastic depth, growing evenly from 0 at the first block.

    Args:
        blocks: Blocks of class `HieraBlock`.
        rate: Probability for the last block, 0 to below 1.

    Raises:
        ValueError: If the rate is out of range.
    """
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"the drop path rate is {rate}; it must be at least 0 and below 1.")
    last = max(len(blocks) - 1, 1)
    for index, block in enumerate(blocks):
        cast(HieraBlock, block).drop_path = rate * index / last


def drop_branch(branch_bhwc: Tensor, rate: float) -> Tensor:
    """Zero a branch for random images and scale it up for the others.

    Args:
        branch_bhwc: Output of a block's branch.
        rate: Probability of dropping, below 1.

    Source: sam2/modeling/sam2_utils.py:89-105 @ 2b90b9f.
    """
    keep = 1.0 - rate
    kept_b111 = branch_bhwc.new_empty((len(branch_bhwc), 1, 1, 1)).bernoulli_(keep)
    return branch_bhwc * kept_b111.div_(keep)


def _pair(value: int | list[int]) -> tuple[int, int]:
    """Return a value for rows and columns; a number stands for both."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])
