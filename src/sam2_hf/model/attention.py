"""Scaled dot-product attention, through whichever backend the config names; attention of prompts.

[`attend`] serves every part of the model. [`PromptAttention`] attends between a few prompt tokens
and many image cells, which need not be projected. A score is `q . (W x)` for every cell x; `(q W) .
x` is the same number, and with eight tokens in eight heads it costs half the products of projecting
4,096 cells, and no intermediate of their size. The same holds for values, since attention weights
sum to 1: `sum(a W x + a b)` is `W sum(a x) + b`. All orders agree up to the order of summation;
[`select_product_order`] chooses one for a call.

Suffixes: b = images or objects, p = objects of an image, a = heads, q, k = queries and keys, t =
tokens of an object, n = image cells, d = channels of a head, c = channels, s = sets of cells, r =
rows of a product. Image tensors may have p = 1 where all objects share them.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sam2_hf.model.configs.configuration_sam2 import Sam2MaskDecoderConfig
from sam2_hf.model.kernels.cpu_kernels import MIN_ROWS, has_fused_product, product
from sam2_hf.model.kernels.fast_paths import FastPath, are_linear


class Projections(Protocol):
    """Projections and sizes of an attention layer."""

    num_heads: int
    scaling: float
    q_proj: nn.Linear
    k_proj: nn.Linear
    v_proj: nn.Linear
    o_proj: nn.Linear


def token_to_image_attention(
    layers: Projections,
    tokens_bptc: Tensor,
    keys_bpnc: Tensor,
    values_bpnc: Tensor,
    similarity: Tensor | None,
) -> Tensor:
    """Attend from a few tokens to many unprojected cells.

    Args:
        layers: The attention.
        tokens_bptc: Queries.
        keys_bpnc: Cells as keys, one set for each object.
        values_bpnc: The same cells as values.
        similarity: Added to the scores, broadcastable to `(b * p, a, t, n)`.

    Returns:
        Attended values, `(b, p, t, c)`.
    """
    heads = layers.num_heads
    shape = tokens_bptc.shape[:3]
    fused = has_fused_product(tokens_bptc)
    query_ptad = (
        layers.q_proj(tokens_bptc).flatten(0, 1).unflatten(-1, (heads, -1)) * layers.scaling
    )
    # the key bias shifts all scores of a token alike, which softmax cancels
    query_patc = torch.einsum(
        "ptad,adc->patc", query_ptad, layers.k_proj.weight.unflatten(0, (heads, -1))
    )
    scores_patn = _all_products(query_patc.flatten(1, 2), keys_bpnc.flatten(0, 1), fused=fused)
    scores_patn = scores_patn.unflatten(1, (heads, -1))
    if similarity is not None:
        scores_patn = scores_patn + similarity
    weights_prn = scores_patn.softmax(dim=-1).flatten(1, 2)
    found_patc = _all_products(weights_prn, values_bpnc.flatten(0, 1).mT, fused=fused)
    weight_adc = layers.v_proj.weight.unflatten(0, (heads, -1))
    found_ptad = torch.einsum("patc,adc->ptad", found_patc.unflatten(1, (heads, -1)), weight_adc)
    return layers.o_proj(found_ptad.flatten(2) + layers.v_proj.bias).unflatten(0, shape[:2])


@dataclass(frozen=True, slots=True, eq=False)
class ImageToTokenAttention:
    """Attention from any number of cells to a few tokens that are already projected.

    Built once for all bands of an image.

    Attributes:
        rows_src: Keys in the cells' width, one row for each object, head and token.
        offset_sr1: Added to the scores; minus infinity leaves a token out.
        value_brc: Values in the cells' width, b = objects of all images.
        shape: Images, objects, heads, tokens.
    """

    rows_src: Tensor
    offset_sr1: Tensor
    value_brc: Tensor
    shape: tuple[int, int, int, int]

    @classmethod
    def of(
        cls,
        layers: Projections,
        keys_bptc: Tensor,
        values_bptc: Tensor,
        padding: Tensor | None,
        sets: int,
    ) -> "ImageToTokenAttention":
        """Project the tokens.

        Args:
            layers: The attention.
            keys_bptc: Tokens as keys.
            values_bptc: Tokens as values.
            padding: Minus infinity at tokens to leave out, `(b * p, 1, 1, t)`.
            sets: How many sets of cells an image has: 1 while all objects share them.

        Returns:
            The attention, ready for `apply`; its tensors are new.
        """
        heads = layers.num_heads
        batch, objects, count, _ = keys_bptc.shape
        key_bptad = layers.k_proj(keys_bptc).unflatten(-1, (heads, -1)) * layers.scaling
        query_weight = layers.q_proj.weight.unflatten(0, (heads, -1))
        key_bpatc = torch.einsum("bptad,adc->bpatc", key_bptad, query_weight)
        query_bias = layers.q_proj.bias.unflatten(0, (heads, -1))
        offset_bpat = torch.einsum("bptad,ad->bpat", key_bptad, query_bias)
        if padding is not None:
            offset_bpat = offset_bpat + padding.reshape(batch, objects, 1, count)
        value_bptad = layers.v_proj(values_bptc).unflatten(-1, (heads, -1))
        output_weight = layers.o_proj.weight.unflatten(1, (heads, -1))
        value_batc = torch.einsum("bptad,cad->bpatc", value_bptad, output_weight).flatten(0, 1)
        # the weights of a head sum to 1, so its values can carry the bias
        value_batc[:, 0] += layers.o_proj.bias
        return cls(
            # objects that share the cells are rows of one product
            rows_src=key_bpatc.reshape(batch * sets, -1, key_bpatc.shape[-1]),
            offset_sr1=offset_bpat.reshape(batch * sets, -1, 1),
            value_brc=value_batc.flatten(1, 2),
            shape=(batch, objects, heads, count),
        )

    def apply(self, cells_bpnc: Tensor) -> Tensor:
        """Attend from some cells, p = 1 while objects share them, `(b, p, n, c)`."""
        batch, objects, heads, count = self.shape
        fused = has_fused_product(cells_bpnc)
        scores_srn = _all_products(self.rows_src, cells_bpnc.flatten(0, 1), fused=fused)
        scores_srn = scores_srn.add_(self.offset_sr1)
        weights_batn = scores_srn.reshape(batch * objects, heads, count, -1).softmax(dim=2)
        found_bnc = weights_batn.flatten(1, 2).mT @ self.value_brc
        return found_bnc.unflatten(0, (batch, objects))


def _all_products(rows_src: Tensor, cells_snc: Tensor, *, fused: bool) -> Tensor:
    """Multiply every row of a set by every cell of it, `(s, r, n)`; `fused`: with oneDNN."""
    pays = len(rows_src) == 1 or cells_snc.shape[1] >= MIN_ROWS  # one call per set, or one for all
    if not fused or not pays:
        return rows_src @ cells_snc.mT
    if len(rows_src) == 1:
        return product(rows_src[0], cells_snc[0])[None]
    return torch.stack([product(*pair) for pair in zip(rows_src, cells_snc, strict=True)])


def eager_attention(
    module: nn.Module,
    query_baqc: Tensor,
    key_bakc: Tensor,
    value_bakc: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Attend step by step; the weights can be inspected and differentiated twice.

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


class AttentionLayer(Protocol):
    """Attributes that a backend reads of an attention layer, which is a module."""

    config: PreTrainedConfig
    scaling: float


def attend(
    layer: AttentionLayer,
    query_baqc: Tensor,
    key_bakc: Tensor,
    value_bakc: Tensor,
    *,
    attention_mask: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Attend with the backend of the layer's config (eager, SDPA, flash attention, ...).

    Args:
        layer: The attention layer, passed to the backend.
        query_baqc: Queries.
        key_bakc: Keys.
        value_bakc: Values.
        attention_mask: Added to the products; flash attention does not support it, so this call
            uses SDPA.
        dropout: Probability with which a weight is left out.

    Returns:
        Attended values, `(b, q, a, c)`.
    """
    name = layer.config._attn_implementation
    if attention_mask is not None and "flash" in (name or ""):
        name = "sdpa"
    backend = ALL_ATTENTION_FUNCTIONS.get_interface(name, eager_attention)
    attended_bqac, _ = backend(
        layer,
        query_baqc,
        key_bakc,
        value_bakc,
        attention_mask=attention_mask,
        dropout=dropout,
        scaling=layer.scaling,
        is_causal=False,
    )
    return attended_bqac


class PromptAttention(FastPath, nn.Module):
    """Attention between the tokens and cells of several objects, in fewer channels than they have.

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
        """Attend from every query to the keys of its own object.

        Args:
            query_bpqc: Queries, `(b, p or 1, q, 256)`.
            key_bpkc: Keys, `(b, p or 1, k, 256)`.
            value_bpkc: Values, `(b, p or 1, k, 256)`.
            attention_mask: Added to the products, broadcastable to `(b * p, heads, q, k)`.

        Returns:
            Attended values, `(b, p, q, 256)`.
        """
        order = select_product_order(self, query_bpqc, key_bpkc, value_bpkc, attention_mask)
        if order is ProductOrder.TOKEN_TO_IMAGE:
            return token_to_image_attention(self, query_bpqc, key_bpkc, value_bpkc, attention_mask)
        if order is ProductOrder.IMAGE_TO_TOKEN:
            sets = query_bpqc.shape[1]
            tokens = ImageToTokenAttention.of(self, key_bpkc, value_bpkc, attention_mask, sets)
            return tokens.apply(query_bpqc)
        num_objects = max(query_bpqc.shape[1], key_bpkc.shape[1])
        query = self._split(self.q_proj(query_bpqc), num_objects)
        key = self._split(self.k_proj(key_bpkc), num_objects)
        value = self._split(self.v_proj(value_bpkc), num_objects)
        found = attend(self, query, key, value, attention_mask=attention_mask)
        return self.o_proj(
            found.reshape(-1, num_objects, query.shape[2], self.num_heads * query.shape[3])
        )

    def _split(self, tokens_bpqc: Tensor, num_objects: int) -> Tensor:
        """Split the channels into heads: `(b, p, q, c)` -> `(b * p, a, q, c / a)`."""
        tokens = tokens_bpqc.unflatten(-1, (self.num_heads, -1)).expand(-1, num_objects, -1, -1, -1)
        return tokens.flatten(0, 1).transpose(1, 2)


class ProductOrder(Enum):
    """Order of the matrix products in an attention between tokens and cells."""

    PROJECTED = auto()  # queries, keys and values are projected
    TOKEN_TO_IMAGE = auto()  # `token_to_image_attention`
    IMAGE_TO_TOKEN = auto()  # `ImageToTokenAttention`


def select_product_order(
    layers: PromptAttention,
    query_bpqc: Tensor,
    key_bpkc: Tensor,
    value_bpkc: Tensor,
    attention_mask: Tensor | None,
) -> ProductOrder:
    """Choose the fastest order of products for a call of an attention.

    Args:
        layers: The attention.
        query_bpqc: As in `PromptAttention.forward`; some of the queries will do.
        key_bpkc: As in `PromptAttention.forward`.
        value_bpkc: As in `PromptAttention.forward`.
        attention_mask: As in `PromptAttention.forward`.
    """
    # checked first: a graph that compares sizes would be specialized to them
    if (
        layers.config._attn_implementation != "sdpa"
        or query_bpqc.dtype != torch.float32
        or not layers.may_be_fast(query_bpqc, key_bpkc, value_bpkc, attention_mask)
        or not are_linear(layers.q_proj, layers.k_proj, layers.v_proj, layers.o_proj)
    ):
        return ProductOrder.PROJECTED
    # tokens are few if they have fewer rows, one for each head, than a projection has channels
    most = layers.width // layers.num_heads
    if query_bpqc.shape[2] <= most and query_bpqc.shape[1] == key_bpkc.shape[1]:
        return ProductOrder.TOKEN_TO_IMAGE
    batch, objects, num_keys, _ = key_bpkc.shape
    of_tokens = (batch * objects, 1, 1, num_keys)
    is_padding = attention_mask is None or attention_mask.shape == of_tokens
    if num_keys <= most and query_bpqc.shape[1] in (1, objects) and is_padding:
        return ProductOrder.IMAGE_TO_TOKEN
    return ProductOrder.PROJECTED
