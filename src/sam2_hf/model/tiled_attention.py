"""Attention of one head in tiles that stay in the cache, for values of any width.

A tile of scores is made by one product, turned into weights where it lies, and read by the next
product; the running maximum and the running sum of a query correct what earlier tiles gave it. That
is softmax exactly. Torch's own attention does the same, but wants values as wide as keys: memories
are a quarter as wide.

Suffixes: q = queries, k = keys, c = channels of queries and keys, v = channels of values.
"""

import torch
from torch import Tensor
from torch.nn import functional

from .fused_linear import product

QUERIES_AT_ONCE = 512
KEYS_AT_ONCE = 512  # a tile is a megabyte in float32, and so are its keys at 256 channels
# Weights of exp(-80) = 2e-35 of the largest change no float32 sum. Below exp(-87) they would be
# numbers without a leading one, on which a CPU is many times slower.
LEAST_SCORE = -80.0


def attend_in_tiles(query_qc: Tensor, key_kc: Tensor, value_kv: Tensor) -> Tensor:
    """Attend: `softmax(query @ key.T) @ value`, computed in float32.

    Args:
        query_qc: Queries, already scaled.
        key_kc: Keys.
        value_kv: Values, at least one.

    Returns:
        `(q, v)`, in the dtype of the values.
    """
    query_qc, key_kc = query_qc.float(), key_kc.float()
    # a channel of ones adds up the weights; products want their right side transposed
    extended_vk = functional.pad(value_kv.float().T, (0, 0, 0, 1), value=1.0)
    keys = key_kc.split(KEYS_AT_ONCE)
    values = [tile.contiguous() for tile in extended_vk.split(KEYS_AT_ONCE, dim=1)]
    found = [_attend_rows(rows_qc, keys, values) for rows_qc in query_qc.split(QUERIES_AT_ONCE)]
    return torch.cat(found).to(value_kv.dtype)


def _attend_rows(query_qc: Tensor, keys: tuple[Tensor, ...], values: list[Tensor]) -> Tensor:
    """Go through all keys for some queries, `(q, v)`."""
    maximum_q1, found_qv = _attend_tile(query_qc, keys[0], values[0], None)
    for key_kc, value_vk in zip(keys[1:], values[1:], strict=True):
        before_q1 = maximum_q1
        maximum_q1, of_tile_qv = _attend_tile(query_qc, key_kc, value_vk, before_q1)
        found_qv.mul_(before_q1.sub_(maximum_q1).exp_()).add_(of_tile_qv)
    return found_qv[:, :-1] / found_qv[:, -1:]


def _attend_tile(
    query_qc: Tensor, key_kc: Tensor, value_vk: Tensor, before_q1: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Weigh the values of a tile; return the largest score so far and the weighted sums."""
    scores_qk = product(query_qc, key_kc)
    maximum_q1 = scores_qk.amax(dim=-1, keepdim=True)
    if before_q1 is not None:
        maximum_q1 = torch.maximum(before_q1, maximum_q1)
    weights_qk = scores_qk.sub_(maximum_q1).clamp_(min=LEAST_SCORE).exp_()
    return maximum_q1, product(weights_qk, value_vk)
