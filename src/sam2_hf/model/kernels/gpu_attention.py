"""Split-key attention of one head on a GPU, with values narrower than keys.

One object's 4,096 queries are 32 to 64 blocks, fewer than a GPU has processors: the others would
idle while each block visits 28,736 keys. So keys are split too, and the parts are combined by their
sums, which is exactly softmax. Values are memories as stored, a quarter as wide as keys. Whether
this beats torch's attention depends on the GPU, so it is measured once: see [`best_tiles`].

Suffixes: b = objects, s = parts, q = queries, k = keys, c = channels of queries and keys, v =
channels of values.
"""

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

FEWEST_BLOCKS = 2  # per processor, to even out the load at the end
MOST_PARTS = 8
TRIED_QUERIES = 256  # all of them would take a gigabyte in float64
ALLOWED = 2.0  # allowed error against float64, as a multiple of that of torch's attention

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tile sizes of one program.

    Attributes:
        queries: Rows of a tile.
        keys: Columns of a tile.
        processors: Number of programs that run at a time.
        stages: Tiles of keys and values in shared memory, one in use and the others being loaded.
    """

    queries: int
    keys: int
    processors: int
    stages: int = 2

    def parts(self, objects: int, queries: int, keys: int) -> int:
        """Number of parts to split the keys into."""
        blocks = objects * -(-queries // self.queries)
        wanted = -(-FEWEST_BLOCKS * self.processors // blocks)
        return max(1, min(MOST_PARTS, wanted, -(-keys // self.keys)))


# Rows and columns of tiles, stages. With 256 + 64 channels in half precision, the first takes
# 184 KiB of shared memory and 64 x 32 with two stages 72 KiB; a processor of an H100 has 227 KiB,
# of an RTX 4090 99 KiB, of a T4 64 KiB.
SIZES = ((128, 64, 3), (128, 64, 2), (64, 64, 3), (64, 64, 2), (64, 32, 3), (64, 32, 2))
SMALL_SIZES = ((32, 32, 2), (32, 16, 2), (16, 16, 2), (16, 16, 1))  # tried if none of SIZES fits


def attend_in_parts(
    query_bqc: Tensor, key_bkc: Tensor, value_bkv: Tensor, bias_bk: Tensor | None, tiles: Tiles
) -> Tensor:
    """Attend: `softmax(query @ key.T + bias) @ value`.

    Args:
        query_bqc: Queries, already scaled, `(b or 1, q, c)`; c and v are powers of two from 16 on.
        key_bkc: Keys.
        value_bkv: Values.
        bias_bk: Added to scores; minus infinity leaves a key out, but not all of an object.
        tiles: Tile sizes.

    Returns:
        `(b, q, v)`, in the dtype of the values.
    """
    if torch.compiler.is_compiling():  # the compiler chooses the device of its calls
        return _attend_in_parts(query_bqc, key_bkc, value_bkv, bias_bk, tiles)
    with torch.cuda.device_of(key_bkc):  # Triton runs on the current device
        return _attend_in_parts(query_bqc, key_bkc, value_bkv, bias_bk, tiles)


def _attend_in_parts(
    query_bqc: Tensor, key_bkc: Tensor, value_bkv: Tensor, bias_bk: Tensor | None, tiles: Tiles
) -> Tensor:
    """Attend, with the GPU of the tensors as the current device; see `attend_in_parts`."""
    from .gpu_attention_kernel import attend_part

    objects, num_keys, channels = key_bkc.shape
    num_queries, width = query_bqc.shape[1], value_bkv.shape[-1]
    parts = tiles.parts(objects, num_queries, num_keys)
    tiles_of_part = -(-num_keys // (tiles.keys * parts))
    shape = (objects, parts, num_queries)
    numbers: dict[str, Any] = {"dtype": torch.float32, "device": key_bkc.device}
    found_bsqv = torch.empty(*shape, width, **numbers)
    highest_bsq, total_bsq = torch.empty(shape, **numbers), torch.empty(shape, **numbers)
    attend_part[-(-num_queries // tiles.queries), parts, objects](
        query_bqc.contiguous(),
        key_bkc.contiguous(),
        value_bkv.contiguous(),
        key_bkc if bias_bk is None else bias_bk.contiguous(),  # a kernel cannot take None
        found_bsqv,
        highest_bsq,
        total_bsq,
        num_queries,
        num_keys,
        tiles_of_part * tiles.keys,
        0 if len(query_bqc) == 1 else num_queries * channels,
        has_bias=bias_bk is not None,
        channels=channels,
        width=width,
        block_queries=tiles.queries,
        block_keys=tiles.keys,
        num_stages=tiles.stages,
    )
    share_bsq = (highest_bsq - highest_bsq.amax(dim=1, keepdim=True)).exp()
    found_bqv = (share_bsq[..., None] * found_bsqv).sum(dim=1)
    return (found_bqv / (share_bsq * total_bsq).sum(dim=1)[..., None]).to(value_bkv.dtype)


def best_tiles(device: torch.device, dtype: torch.dtype, sizes: tuple[int, ...]) -> Tiles | None:
    """Measure whether split keys beat torch's attention, and with which tiles.

    Tile sizes are tried on random inputs; one that does not fit in the GPU's shared memory or is
    inaccurate is skipped. It takes some seconds, most of them to compile, once per kind of call.

    Args:
        device: The GPU.
        dtype: Dtype of queries, keys and values.
        sizes: Numbers of queries, keys, key channels and value channels.

    Returns:
        The fastest tiles; None where torch's attention is faster.
    """
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return None
    with torch.cuda.device(device):  # events and kernels belong to the current device
        return _measured(device, dtype, sizes)


@lru_cache(maxsize=8)
def _measured(device: torch.device, dtype: torch.dtype, sizes: tuple[int, ...]) -> Tiles | None:
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    given = drawn(device, dtype, sizes)
    query, key, _ = given
    # torch needs values as wide as keys
    best, least = None, _milliseconds(lambda: _torch_attention(query, key, key))
    for group in (SIZES, SMALL_SIZES):
        candidates = [Tiles(rows, columns, processors, stages) for rows, columns, stages in group]
        taken = {tiles: _try(given, tiles) for tiles in candidates}
        fitting = {tiles: time for tiles, time in taken.items() if time is not None}
        for tiles, time in fitting.items():
            if time < least:
                best, least = tiles, time
        if fitting:
            break
    return best


def _try(given: tuple[Tensor, Tensor, Tensor], tiles: Tiles) -> float | None:
    """Time tiles on the current GPU, milliseconds; None if they do not fit or are not exact."""
    try:
        if not is_exact(given, tiles):
            logger.warning("attention in %s is not exact on this GPU and is not used", tiles)
            return None
        return _milliseconds(lambda: attend_in_parts(*given, None, tiles))
    except Exception as error:  # the compiler and the driver raise errors of their own
        logger.info("attention in %s cannot be used: %s", tiles, error)
        return None


def drawn(
    device: torch.device, dtype: torch.dtype, sizes: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw random queries, keys and values of one object."""
    queries, keys, channels, width = sizes
    generator = torch.Generator().manual_seed(0)
    shapes = ((1, queries, channels), (1, keys, channels), (1, keys, width))
    query, key, value = (torch.randn(*shape, generator=generator) for shape in shapes)
    scaled = query * 2 * channels**-0.5  # some scores stand out, as in a trained model
    return scaled.to(device, dtype), key.to(device, dtype), value.to(device, dtype)


def is_exact(given: tuple[Tensor, Tensor, Tensor], tiles: Tiles) -> bool:
    """Whether split keys are about as accurate as torch's attention, on some of the queries."""
    query, key, value = given
    few = (query[:, :TRIED_QUERIES].contiguous(), key, value)
    exact = _torch_attention(*(values.double() for values in few))
    allowed = ALLOWED * (_torch_attention(*few) - exact).abs().max()
    return bool((attend_in_parts(*few, None, tiles) - exact).abs().max() <= allowed)


def _torch_attention(query_bqc: Tensor, key_bkc: Tensor, value_bkv: Tensor) -> Tensor:
    query_b1qc, key_b1kc, value_b1kv = query_bqc[:, None], key_bkc[:, None], value_bkv[:, None]
    found = functional.scaled_dot_product_attention(query_b1qc, key_b1kc, value_b1kv, scale=1.0)
    return found[:, 0]


def _milliseconds(work: Callable[[], object]) -> float:
    """Time GPU work, the best of a few runs."""
    work()
    taken = []
    for _ in range(5):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        taken.append(begin.elapsed_time(end))
    return min(taken)
