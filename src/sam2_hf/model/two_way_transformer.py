"""The two-way transformer: prompt tokens and image tokens attend to each other.

Suffixes: b = images, p = objects of an image, t = tokens of an object, n = image tokens, c =
channels. Tensors that all objects of an image share have p = 1 until they differ.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from sam2_hf.model.configs.configuration_sam2 import Sam2MaskDecoderConfig
from sam2_hf.model.kernels.fast_paths import FastPath, is_bare, is_decided, known_module

from .attention import ImageToTokenAttention, ProductOrder, PromptAttention, select_product_order
from .layers import FeedForward


@dataclass(frozen=True, slots=True, eq=False)
class AttentionBias:
    """Biases of the decoder's attention, added to the scaled products.

    Attributes:
        padding: Minus infinity at tokens that pad a shorter prompt, `(b * p, 1, 1, t)`.
        similarity: Bias toward image tokens (PerSAM's target-guided attention), `(b * p, 1, t,
            n)` or broadcastable.
        target_bptc: Embedding of a wanted concept, added to the tokens before each layer (PerSAM).
    """

    padding: Tensor | None = None
    similarity: Tensor | None = None
    target_bptc: Tensor | None = None


NO_BIAS = AttentionBias()
FEWEST_CELLS = 128  # per object; with fewer, calls cost more than the cache saves
CELLS_AT_ONCE = 2048  # of all objects, 2 MB of image tokens


class TwoWayBlock(FastPath, GradientCheckpointingLayer):
    """Attention among tokens, from tokens to image, and from image to tokens.

    Args:
        config: The mask decoder's config.
        first: Whether this is the first block, whose tokens equal their positions.

    Source: sam2/modeling/sam/transformer.py:110-187 @ 2b90b9f.
    """

    def __init__(self, config: Sam2MaskDecoderConfig, *, first: bool) -> None:
        super().__init__()
        width = config.hidden_size
        self.first = first
        self.self_attn = PromptAttention(config, downsample_rate=1)
        self.layer_norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = PromptAttention(config, config.attention_downsample_rate)
        self.layer_norm2 = nn.LayerNorm(width)
        # two linear layers, whatever the transformer's depth
        self.mlp = FeedForward((width, config.mlp_dim, width), num_layers=config.num_hidden_layers)
        self.layer_norm3 = nn.LayerNorm(width)
        self.layer_norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = PromptAttention(config, config.attention_downsample_rate)

    def forward(
        self,
        tokens_bptc: Tensor,
        image_bpnc: Tensor,
        placed_bpnc: Tensor,
        token_positions_bptc: Tensor,
        image_positions_11nc: Tensor,
        bias: AttentionBias = NO_BIAS,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Exchange information once in each direction.

        Args:
            tokens_bptc: Tokens.
            image_bpnc: Image tokens, p = 1 while all objects share them.
            placed_bpnc: The same with their positions added.
            token_positions_bptc: Added to tokens wherever they are queries or keys.
            image_positions_11nc: The same for image tokens.
            bias: See [`AttentionBias`].

        Returns:
            Tokens; image tokens; their attended values, `(b * p, 1, n, 256)`, if outputs are
            recorded, else None; image tokens with their positions.
        """
        if self.first:
            tokens_bptc = self.self_attn(tokens_bptc, tokens_bptc, tokens_bptc, bias.padding)
        else:
            asking_bptc = tokens_bptc + token_positions_bptc
            tokens_bptc = tokens_bptc + self.self_attn(
                asking_bptc, asking_bptc, tokens_bptc, bias.padding
            )
        tokens_bptc = self.layer_norm1(tokens_bptc)
        found_bptc = self.cross_attn_token_to_image(
            tokens_bptc + token_positions_bptc, placed_bpnc, image_bpnc, bias.similarity
        )
        tokens_bptc = self.layer_norm2(tokens_bptc + found_bptc)
        tokens_bptc = self.layer_norm3(tokens_bptc + self.mlp(tokens_bptc))

        keys_bptc = tokens_bptc + token_positions_bptc
        attention = self.cross_attn_image_to_token
        given = (placed_bpnc, keys_bptc, tokens_bptc, bias.padding)
        if (
            placed_bpnc.is_cpu
            and is_bare(self, TwoWayBlock)  # recording needs the attended values of the cells
            and self.may_be_fast(
                image_bpnc, image_positions_11nc, *given, parts=(attention, self.layer_norm4)
            )
            and select_product_order(attention, *given) is ProductOrder.IMAGE_TO_TOKEN
        ):
            image_bpnc, placed_bpnc = self._image_to_token_in_bands(
                image_bpnc, image_positions_11nc, *given
            )
            return tokens_bptc, image_bpnc, None, placed_bpnc
        found_bpnc = attention(*given)
        image_bpnc = self.layer_norm4(image_bpnc + found_bpnc)
        placed_bpnc = image_bpnc + image_positions_11nc
        return tokens_bptc, image_bpnc, found_bpnc.flatten(0, 1)[:, None], placed_bpnc

    def _image_to_token_in_bands(
        self,
        image_bpnc: Tensor,
        positions_11nc: Tensor,
        placed_bpnc: Tensor,
        keys_bptc: Tensor,
        values_bptc: Tensor,
        padding: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Attend from bands of cells to the tokens, so that intermediates stay in the cache.

        Returns:
            Image tokens without and with positions. They reuse the memory of those given, since
            new memory of this size is slow to get, unless objects share them or a hook may have
            kept them.
        """
        attention = ImageToTokenAttention.of(
            self.cross_attn_image_to_token, keys_bptc, values_bptc, padding, placed_bpnc.shape[1]
        )
        shape = (*keys_bptc.shape[:2], *image_bpnc.shape[2:])
        new_image_bpnc, new_placed_bpnc = image_bpnc, placed_bpnc
        is_own = is_decided(self)
        if not is_own or image_bpnc.shape != shape or not image_bpnc.is_contiguous():
            new_image_bpnc = image_bpnc.new_empty(shape)
        if not is_own or placed_bpnc.shape != shape or not placed_bpnc.is_contiguous():
            new_placed_bpnc = placed_bpnc.new_empty(shape)
        step = max(FEWEST_CELLS, CELLS_AT_ONCE // max(1, shape[0] * shape[1]))
        for begin in range(0, shape[2], step):
            cells = (slice(None), slice(None), slice(begin, begin + step))
            found_bpnc = attention.apply(placed_bpnc[cells]).add_(image_bpnc[cells])
            new_image_bpnc[cells] = self.layer_norm4(found_bpnc)
            torch.add(new_image_bpnc[cells], positions_11nc[cells], out=new_placed_bpnc[cells])
        return new_image_bpnc, new_placed_bpnc


@known_module
class TwoWayTransformer(nn.Module):
    """Run the blocks, then attend from the tokens to the image once more.

    Source: sam2/modeling/sam/transformer.py:20-107 @ 2b90b9f.
    """

    def __init__(self, config: Sam2MaskDecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(config, first=index == 0) for index in range(config.num_hidden_layers)
        )
        self.final_attn_token_to_image = PromptAttention(config, config.attention_downsample_rate)
        self.layer_norm_final_attn = nn.LayerNorm(config.hidden_size)

    def forward(
        self,
        tokens_bptc: Tensor,
        image_bpnc: Tensor,
        image_positions_11nc: Tensor,
        bias: AttentionBias = NO_BIAS,
    ) -> tuple[Tensor, Tensor]:
        """Return tokens `(b, p, t, 256)` and image tokens `(b, p, n, 256)` after all layers.

        Inside a [`MaskDecoder`] in inference, the image tokens given may be overwritten.
        """
        positions_bptc = tokens_bptc
        if bias.target_bptc is not None:  # PerSAM adds it in place, thus to the positions too, once
            positions_bptc = positions_bptc + bias.target_bptc
        placed_bpnc = image_bpnc + image_positions_11nc
        for layer in self.layers:
            if bias.target_bptc is not None:
                tokens_bptc = tokens_bptc + bias.target_bptc
            tokens_bptc, image_bpnc, _, placed_bpnc = layer(
                tokens_bptc, image_bpnc, placed_bpnc, positions_bptc, image_positions_11nc, bias
            )
        found_bptc = self.final_attn_token_to_image(
            tokens_bptc + positions_bptc, placed_bpnc, image_bpnc
        )
        return self.layer_norm_final_attn(tokens_bptc + found_bptc), image_bpnc


def padding_mask(keep_bpt: Tensor, num_free: int, dtype: torch.dtype) -> Tensor:
    """Convert marks of real prompt tokens to an additive mask, `(b * p, 1, 1, num_free + t)`.

    Args:
        keep_bpt: False at padding.
        num_free: Number of leading tokens, which are never padding.
        dtype: Dtype of the attention.
    """
    allowed = nn.functional.pad(keep_bpt, (num_free, 0), value=True).flatten(0, 1)[:, None, None]
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(
        ~allowed, -torch.inf
    )
