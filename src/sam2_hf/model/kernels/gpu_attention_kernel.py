"""The Triton kernel of `split_attention`, which imports it where Triton is installed.

One program attends from one block of queries to one part of the keys, a tile at a time, and writes
sums that are combined afterwards. Suffixes of pointers give the layout: b = objects, s = parts, q =
queries, k = keys, c = channels of queries and keys, v = channels of values.
"""
# ruff: noqa: ANN001, ANN201, ANN202 - Triton reads annotations and knows only `constexpr`

try:  # users who load this folder from the Hub may not have it
    import triton
    import triton.language as tl
except ImportError as error:
    raise ImportError("attention in parts needs Triton: pip install triton.") from error


@triton.jit
def attend_part(  # noqa: PLR0913 - a kernel takes no dataclass and returns nothing
    query_bqc,
    key_bkc,
    value_bkv,
    bias_bk,
    found_bsqv,
    highest_bsq,
    total_bsq,
    num_queries,
    num_keys,
    keys_per_part,
    query_stride,  # between objects; 0 where all share their queries
    has_bias: tl.constexpr,
    channels: tl.constexpr,
    width: tl.constexpr,
    block_queries: tl.constexpr,
    block_keys: tl.constexpr,
):
    """Attend to the keys of one part; sums of weights and of weighted values are float32."""
    part, obj = tl.program_id(1), tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0) * block_queries + tl.arange(0, block_queries)
    query = _tile(query_bqc + obj * query_stride, rows, rows < num_queries, channels)
    highest = tl.full([block_queries], float("-inf"), tl.float32)
    total = tl.zeros([block_queries], tl.float32)
    found = tl.zeros([block_queries, width], tl.float32)
    end = tl.minimum((part + 1) * keys_per_part, num_keys)
    for begin in range(part * keys_per_part, end, block_keys):
        places = begin + tl.arange(0, block_keys)
        is_there = places < end
        key = _tile(key_bkc + obj * num_keys * channels, places, is_there, channels)
        scores = tl.dot(query, tl.trans(key), input_precision="ieee")
        if has_bias:
            bias = tl.load(bias_bk + obj * num_keys + places, mask=is_there, other=0.0)
            scores += bias.to(tl.float32)[None, :]
        scores = tl.where(is_there[None, :], scores, float("-inf"))
        before, highest = highest, tl.maximum(highest, tl.max(scores, 1))
        # before the first key, infinity minus infinity would be NaN
        level = tl.where(highest == float("-inf"), 0.0, highest)
        weights, kept = tl.exp(scores - level[:, None]), tl.exp(before - level)
        value = _tile(value_bkv + obj * num_keys * width, places, is_there, width)
        total = total * kept + tl.sum(weights, 1)
        weighted = tl.dot(weights.to(value.dtype), value, input_precision="ieee")
        found = found * kept[:, None] + weighted
    # each part has its own rows
    rows_before = (obj * tl.num_programs(1) + part) * num_queries
    tl.store(highest_bsq + rows_before + rows, highest, mask=rows < num_queries)
    tl.store(total_bsq + rows_before + rows, total, mask=rows < num_queries)
    places_qv = (rows_before + rows)[:, None] * width + tl.arange(0, width)[None, :]
    tl.store(found_bsqv + places_qv, found, mask=(rows < num_queries)[:, None])


@triton.jit
def _tile(start, rows, is_there, width: tl.constexpr):
    """Load rows of a matrix, zeros out of range."""
    places = rows[:, None] * width + tl.arange(0, width)[None, :]
    return tl.load(start + places, mask=is_there[:, None], other=0.0)
