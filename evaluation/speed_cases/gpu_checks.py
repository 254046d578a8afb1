"""Correctness on a GPU, to be checked before anything is timed there.

The kernel of memory attention is compared with float64 in each dtype, with and without a bias, for
all tile sizes; compiled tracking with eager tracking. A wrong answer ends the run with an error.

Suffixes: b = objects, q = queries, k = keys, c = channels of queries and keys, v = channels of
values, h, w = rows and columns of masks.
"""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from sam2_hf.model.kernels.gpu_attention import (
    ALLOWED,
    SIZES,
    SMALL_SIZES,
    TRIED_QUERIES,
    Tiles,
    attend_in_parts,
    drawn,
)

from .accelerator import find_gpu, our_results
from .timing import Result
from .video import VideoSubjects

KERNEL_SIZES = (4096, 28_736, 256, 64)  # queries, keys and channels of a full memory bank
KERNEL_DTYPES = (torch.bfloat16, torch.float16, torch.float32)
PROCESSORS = 132  # enough to split the keys into as many parts as possible
NUM_OBJECTS = (1, 3, 17)
NUM_FRAMES = 40
MOST_FLIPPED = 0.01  # of a mask's pixels: memories are rounded, and differences add up over frames


def check_gpu(
    size: str, dtype: torch.dtype, *, num_frames: int = NUM_FRAMES, side: int | None = None
) -> Iterator[Result]:
    """Check the kernel and compiled tracking.

    Args:
        size: Size of the model.
        dtype: Of the model; the kernel is checked in every dtype.
        num_frames: Frames to track.
        side: Model pixels, for a test on the CPU; by default as in the released checkpoints.
    """
    device = find_gpu(side)
    if device.type == "cuda":
        for kernel_dtype in KERNEL_DTYPES:
            yield from check_kernel(device, kernel_dtype, KERNEL_SIZES)
    subjects = VideoSubjects.build(size, side, dtype, num_frames=num_frames)
    subjects.ours.to(device)
    for count in NUM_OBJECTS:
        yield check_compiled(subjects, count)


def check_kernel(
    device: torch.device, dtype: torch.dtype, sizes: tuple[int, ...]
) -> Iterator[Result]:
    """Compare all tile sizes with float64; NaN stands for tiles that do not fit.

    Raises:
        SystemExit: The kernel is less accurate than allowed, or runs with no tiles at all.
    """
    query_bqc, key_bkc, value_bkv = drawn(device, dtype, sizes)
    query_bqc = query_bqc[:, :TRIED_QUERIES].contiguous()
    bias_bk = torch.zeros(key_bkc.shape[:2], dtype=dtype, device=device)
    bias_bk[:, sizes[1] // 3 : sizes[1] // 2] = -torch.inf
    given = (query_bqc, key_bkc, value_bkv)
    fits = {"no bias": False, "bias": False}
    for rows, columns, stages in (*SIZES, *SMALL_SIZES):
        tiles = Tiles(rows, columns, PROCESSORS, stages)
        for bias, name in ((None, "no bias"), (bias_bk, "bias")):
            case = f"kernel, {str(dtype).removeprefix('torch.')}, {name}, {rows} x {columns}"
            case = f"{case}, {stages} stages"
            found = _found(given, bias, tiles)
            off = math.nan if found is None else _error(given, bias, found)
            if found is not None and not off <= ALLOWED:  # NaN is no error to tolerate
                raise SystemExit(f"{case}: {off:.1f} times the error of torch's attention.")
            fits[name] = fits[name] or found is not None
            yield Result(case, off, unit="of torch's error")
    for name, fit in fits.items():
        if not fit:
            raise SystemExit(f"kernel, {dtype}, {name}: it runs with no tiles.")


def _found(
    given: tuple[Tensor, Tensor, Tensor], bias_bk: Tensor | None, tiles: Tiles
) -> Tensor | None:
    """Run the kernel; None if the tiles do not fit."""
    try:
        return attend_in_parts(*given, bias_bk, tiles)
    except Exception:  # the compiler and the driver raise errors of their own
        return None


def _error(given: tuple[Tensor, Tensor, Tensor], bias_bk: Tensor | None, found: Tensor) -> float:
    """Return the largest error, as a multiple of that of torch's attention."""
    mask_b1k = None if bias_bk is None else bias_bk[:, None]

    def attended(dtype: torch.dtype) -> Tensor:
        query, key, value = (values.to(dtype) for values in given)
        mask = None if mask_b1k is None else mask_b1k.to(dtype)
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)

    exact = attended(torch.float64)
    error = (found - exact).abs().max() / (attended(given[0].dtype) - exact).abs().max()
    return error.item()


def check_compiled(subjects: VideoSubjects, num_objects: int) -> Result:
    """Track the same clip eagerly and compiled; compare the masks of every frame.

    Raises:
        SystemExit: More than `MOST_FLIPPED` of the pixels of a frame differ.
    """
    eager, compiled = (
        _masks(our_results(subjects, num_objects, compiled=compiled)) for compiled in (False, True)
    )
    flipped = [
        (mine != theirs).float().mean().item() for mine, theirs in zip(eager, compiled, strict=True)
    ]
    worst = max(flipped)
    case = f"compiled against eager, {num_objects} objects, {len(flipped)} frames"
    if worst > MOST_FLIPPED:
        raise SystemExit(f"{case}: {worst:.2%} of the pixels of frame {flipped.index(worst)}.")
    return Result(case, worst, unit="of pixels")


@torch.inference_mode()
def _masks(results: Iterable[dict[int, Tensor]]) -> list[Tensor]:
    """Stack the masks of each frame, `(b, height, width)`."""
    return [torch.stack([torch.as_tensor(m).cpu() for m in masks.values()]) for masks in results]
