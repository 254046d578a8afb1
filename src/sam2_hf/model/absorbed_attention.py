"""Attention between a few tokens and many image cells without projecting the cells.

A product of three matrices may be taken in either order. A score is `q . (W x)` for every cell x;
`(q W) . x` is the same number, and with eight tokens in eight heads it costs half the products of
projecting 4,096 cells, and no intermediate of their size. The same holds for values, since
attention weights sum to 1: `sum(a W x + a b)` is `W sum(a x) + b`. Both ways equal
`PromptAttention.forward` up to the order of summation.

Suffixes: b = images, p = objects of an image, t = tokens of an object, n = image cells, a = heads,
d = channels of a head, c = channels, s = sets of cells, r = rows of a product. Image tensors may
have p = 1 where all objects share them.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from .fused_linear import MIN_ROWS, has_fused_product, product


class Projections(Protocol):
    """What an attention layer is made of."""

    num_heads: int
    scaling: float
    q_proj: nn.Linear
    k_proj: nn.Linear
    v_proj: nn.Linear
    o_proj: nn.Linear


def ask_image(
    layers: Projections,
    tokens_bptc: Tensor,
    keys_bpnc: Tensor,
    values_bpnc: Tensor,
    similarity: Tensor | None,
) -> Tensor:
    """Let a few tokens look at many cells.

    Args:
        layers: The attention.
        tokens_bptc: Queries.
        keys_bpnc: Cells as keys, one set for each object.
        values_bpnc: Cells as values, likewise.
        similarity: Added to the scores, broadcastable to `(b * p, a, t, n)`.

    Returns:
        What each token found, `(b, p, t, c)`.
    """
    heads = layers.num_heads
    shape = tokens_bptc.shape[:3]
    query_ptad = (
        layers.q_proj(tokens_bptc).flatten(0, 1).unflatten(-1, (heads, -1)) * layers.scaling
    )
    # the key's bias adds the same to all scores of a token, which softmax takes away again
    query_patc = torch.einsum(
        "ptad,adc->patc", query_ptad, layers.k_proj.weight.unflatten(0, (heads, -1))
    )
    scores_patn = _all_products(query_patc.flatten(1, 2), keys_bpnc.flatten(0, 1))
    scores_patn = scores_patn.unflatten(1, (heads, -1))
    if similarity is not None:
        scores_patn = scores_patn + similarity
    weights_prn = scores_patn.softmax(dim=-1).flatten(1, 2)
    found_patc = _all_products(weights_prn, values_bpnc.flatten(0, 1).mT)
    weight_adc = layers.v_proj.weight.unflatten(0, (heads, -1))
    found_ptad = torch.einsum("patc,adc->ptad", found_patc.unflatten(1, (heads, -1)), weight_adc)
    return layers.o_proj(found_ptad.flatten(2) + layers.v_proj.bias).unflatten(0, shape[:2])


@dataclass(frozen=True, slots=True, eq=False)
class TokenSide:
    """A few tokens, ready to tell any number of cells; made once for all bands of a picture.

    Attributes:
        rows_src: What scores a cell, one row for each object, head and token: s = sets of cells,
            r = rows.
        offset_sr1: Added to the scores; minus infinity leaves a token out.
        value_brc: What a row tells, already projected to the cells' width, b = objects of all
            images.
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
    ) -> "TokenSide":
        """Project the tokens.

        Args:
            layers: The attention.
            keys_bptc: Tokens as keys.
            values_bptc: Tokens as values.
            padding: Minus infinity at tokens to leave out, `(b * p, 1, 1, t)`.
            sets: How many sets of cells an image has: 1 while all objects share them.

        Returns:
            What `tell` needs; its tensors are new.
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
        # the weights of a head sum to 1, so its tokens can tell the bias along
        value_batc[:, 0] += layers.o_proj.bias
        return cls(
            # objects that share the cells are rows of one product
            rows_src=key_bpatc.reshape(batch * sets, -1, key_bpatc.shape[-1]),
            offset_sr1=offset_bpat.reshape(batch * sets, -1, 1),
            value_brc=value_batc.flatten(1, 2),
            shape=(batch, objects, heads, count),
        )

    def tell(self, cells_bpnc: Tensor) -> Tensor:
        """Return what each cell found, `(b, p, n, c)`; the cells are p = 1 while shared."""
        batch, objects, heads, count = self.shape
        scores_srn = _all_products(self.rows_src, cells_bpnc.flatten(0, 1)).add_(self.offset_sr1)
        weights_batn = scores_srn.reshape(batch * objects, heads, count, -1).softmax(dim=2)
        found_bnc = weights_batn.flatten(1, 2).mT @ self.value_brc
        return found_bnc.unflatten(0, (batch, objects))


def _all_products(rows_src: Tensor, cells_snc: Tensor) -> Tensor:
    """Multiply every row of a set by every cell of it, `(s, r, n)`."""
    pays = len(rows_src) == 1 or cells_snc.shape[1] >= MIN_ROWS  # a call each, or one for all
    if not pays or not has_fused_product(rows_src):
        return rows_src @ cells_snc.mT
    products = [product(rows, cells) for rows, cells in zip(rows_src, cells_snc, strict=True)]
    return products[0][None] if len(products) == 1 else torch.stack(products)
