"""Scaled dot-product attention, through whichever backend the config names.

Suffixes: b = batch, a = heads, q, k = tokens that ask and are asked, c = channels,
p = objects of an image.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .absorbed_attention import TokenSide, ask_image
from .configuration_sam2 import Sam2MaskDecoderConfig
from .fast_paths import FastPath, are_linear, is_traced


def eager_attention(
    module: nn.Module,
    query_baqc: Tensor,
    key_bakc: Tensor,
    value_bakc: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Attend step by step, so that the weights can be looked at and differentiated twice.

    Args:
        module: The caller; its mode decides on dropout.
        query_baqc: Queries.
        key_bakc: Keys.
        value_bakc: Values.
        attention_mask: Added to the scaled products, broadcastable to `(b, a, q, k)`.
        **options: `scaling` (factor of the products) and `dropout` (probability).

    Returns:
        Attended values `(b, q, a, c)` and weights `(b, a, q, k)`.
    """
    products = query_baqc @ key_bakc.transpose(-2, -1) * options["scaling"]
    if attention_mask is not None:
        products = products + attention_mask
    # float32: half precision loses the small weights of long rows
    weights = torch.softmax(products, dim=-1, dtype=torch.float32).to(query_baqc.dtype)
    weights = nn.functional.dropout(
        weights, p=options.get("dropout", 0.0), training=module.training
    )
    return (weights @ value_bakc).transpose(1, 2).contiguous(), weights


def attend(
    module: nn.Module,
    config: PreTrainedConfig,
    queries: tuple[Tensor, Tensor, Tensor],
    scaling: float,
    attention_mask: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Attend with the backend of `config` (eager, SDPA, flash attention, ...).

    Args:
        module: The attention layer, handed on to the backend.
        config: Config whose `_attn_implementation` is asked.
        queries: Queries `(b, a, q, c)`, keys and values `(b, a, k, c)`.
        scaling: Factor of the products.
        attention_mask: Added to the products; flash attention cannot do that, so SDPA steps in for
            this call.
        dropout: Probability with which a weight is left out.

    Returns:
        Attended values, `(b, q, a, c)`.
    """
    name = config._attn_implementation
    if attention_mask is not None and "flash" in (name or ""):
        name = "sdpa"
    backend = ALL_ATTENTION_FUNCTIONS.get_interface(name, eager_attention)
    query, key, value = queries
    attended_bqac, _ = backend(
        module,
        query,
        key,
        value,
        attention_mask=attention_mask,
        dropout=dropout,
        scaling=scaling,
        is_causal=False,
    )
    return attended_bqac


class PromptAttention(FastPath, nn.Module):
    """Attention between the tokens of several objects, in fewer channels than they have.

    Keys that all objects of an image share (`p` = 1) are projected once, whatever the number of
    objects.

    Args:
        config: The mask decoder's config.
        downsample_rate: How many times narrower the attention is than its tokens.

    Source: sam2/modeling/sam/transformer.py:190-250 @ 2b90b9f.
    """

    is_causal = False  # SDPA backends ask their module for it

    def __init__(self, config: Sam2MaskDecoderConfig, downsample_rate: int) -> None:
        super().__init__()
        self.config = config
        self.width = width = config.hidden_size // downsample_rate
        self.num_heads = config.num_attention_heads
        self.scaling = (width // self.num_heads) ** -0.5
        self.q_proj = nn.Linear(config.hidden_size, width)
        self.k_proj = nn.Linear(config.hidden_size, width)
        self.v_proj = nn.Linear(config.hidden_size, width)
        self.o_proj = nn.Linear(width, config.hidden_size)

    def forward(
        self,
        query_bpqc: Tensor,
        key_bpkc: Tensor,
        value_bpkc: Tensor,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Let every query look at the keys of its own object.

        Args:
            query_bpqc: Queries, `(b, p or 1, q, 256)`.
            key_bpkc: Keys, `(b, p or 1, k, 256)`.
            value_bpkc: Values, `(b, p or 1, k, 256)`.
            attention_mask: Added to the products, broadcastable to `(b * p, heads, q, k)`.

        Returns:
            What each query found, `(b, p, q, 256)`.
        """
        given = (query_bpqc, key_bpkc, value_bpkc, attention_mask)
        if (
            self._are_few(query_bpqc)
            and query_bpqc.shape[1] == key_bpkc.shape[1]
            and self._pays_to_absorb(*given)
        ):
            return ask_image(self, query_bpqc, key_bpkc, value_bpkc, attention_mask)
        token_side = self.token_side(*given)
        if token_side is not None:
            return token_side.tell(query_bpqc)
        num_objects = max(query_bpqc.shape[1], key_bpkc.shape[1])
        query = self._split(self.q_proj(query_bpqc), num_objects)
        key = self._split(self.k_proj(key_bpkc), num_objects)
        value = self._split(self.v_proj(value_bpkc), num_objects)
        found = attend(self, self.config, (query, key, value), self.scaling, attention_mask)
        return self.o_proj(
            found.reshape(-1, num_objects, query.shape[2], self.num_heads * query.shape[3])
        )

    def token_side(
        self, cells_bpqc: Tensor, keys_bptc: Tensor, values_bptc: Tensor, mask: Tensor | None
    ) -> TokenSide | None:
        """Project a few tokens of every object so that cells need no projection.

        Args:
            cells_bpqc: Cells that ask, or some of them.
            keys_bptc: Tokens as keys.
            values_bptc: Tokens as values.
            mask: As in `forward`.

        Returns:
            None where that is not the faster way, or the mask does more than leave out tokens.
        """
        batch, objects, count, _ = keys_bptc.shape
        if not (
            self._are_few(keys_bptc)
            and cells_bpqc.shape[1] in (1, objects)
            and (mask is None or mask.shape == (batch * objects, 1, 1, count))
            and self._pays_to_absorb(cells_bpqc, keys_bptc, values_bptc, mask)
        ):
            return None
        return TokenSide.of(self, keys_bptc, values_bptc, mask, cells_bpqc.shape[1])

    def _pays_to_absorb(self, tokens: Tensor, *others: Tensor | None) -> bool:
        """Whether the other order of products may be taken: in float32, by the default backend."""
        is_default = self.config._attn_implementation == "sdpa"
        return (
            is_default
            and tokens.dtype == torch.float32
            and are_linear(self.q_proj, self.k_proj, self.v_proj, self.o_proj)
            and self.may_be_fast(tokens, *others)
        )

    def _are_few(self, tokens: Tensor) -> bool:
        """Whether these tokens, one row per head, are fewer than a projection's channels.

        Never while a graph is recorded: comparing sizes would limit those it may be used with.
        """
        return not is_traced() and self.num_heads * tokens.shape[2] <= self.width

    def _split(self, tokens_bpqc: Tensor, num_objects: int) -> Tensor:
        """Part the channels into heads: `(b, p, q, c)` -> `(b * p, a, q, c / a)`."""
        tokens = tokens_bpqc.unflatten(-1, (self.num_heads, -1)).expand(-1, num_objects, -1, -1, -1)
        return tokens.flatten(0, 1).transpose(1, 2)
