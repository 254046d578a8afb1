"""What torch finds on this machine: devices, speed of data types, kernels; and where models are.

Suffixes: n = rows and columns of a square matrix.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants

from sam2_hf.cli.arguments import DTYPES, MODELS
from sam2_hf.cli.console import say
from sam2_hf.export.parity import cpu_name
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL, bundled_folder
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointNotFoundError
from sam2_hf.model.kernels.cpu_kernels import PREFERS_MKL, has_fused_product
from sam2_hf.model.kernels.gpu_attention import best_tiles
from sam2_hf.model.kernels.half_products import is_upcast
from sam2_hf.pipelines.loading import (
    DEFAULT_MODEL,
    SECONDS_TO_ANSWER,
    default_device,
    hub_answers,
    is_cached,
)

SIDE = 768  # of the matrices that are multiplied
SECONDS = 0.2  # of measuring, for each data type
CLEARLY = 1.15  # ratio of speeds from which a data type is recommended
VIDEO_SIZES = (4096, 28736, 256, 64)  # queries, keys, channels of memory attention at 1024 pixels
GIB = 2**30


def describe_machine() -> dict[str, Any]:
    """Print devices, speeds, kernels and models; return them for JSON."""
    device = default_device()
    devices, speeds = list(_devices()), measure_dtypes(device)
    say("\ndevices")
    say("\n".join(f"  {text}" for text in devices))
    say(f"\nspeed of products on {device}, billions of operations per second")
    say("\n".join(f"  {name:9} {speed:8.0f}" for name, speed in speeds.items()))
    say(f"  {recommend_dtype(speeds)}")
    kernels, models = list(_kernels(device)), list(_models())
    say("\nkernels")
    say("\n".join(f"  {text}" for text in kernels))
    say("\nmodels")
    say("\n".join(f"  {text}" for text in models))
    return {"devices": devices, "gigaflops": speeds, "kernels": kernels, "models": models}


def measure_dtypes(device: torch.device, side: int = SIDE) -> dict[str, float]:
    """Multiply matrices in each data type.

    Args:
        device: Where.
        side: Rows and columns.

    Returns:
        Billions of operations per second; a data type that does not work is left out.
    """
    speeds = {}
    for name in DTYPES:
        try:
            values_nn = torch.ones(side, side, device=device, dtype=getattr(torch, name))
            speeds[name] = 2e-9 * side**3 / _seconds(values_nn)
        except RuntimeError:  # not implemented on this device
            continue
    return speeds


def recommend_dtype(speeds: dict[str, float]) -> str:
    """Say which data type to choose.

    Args:
        speeds: From `measure_dtypes`.
    """
    plain = speeds.get("float32", 0.0)
    best = max(speeds, key=lambda name: speeds[name], default="float32")
    if not plain or speeds[best] < CLEARLY * plain:
        return "float32, the default, is as fast as any"
    ratio = speeds[best] / plain
    return f"--dtype {best} is worth a try: products are {ratio:.1f} times as fast as in float32"


def _seconds(values_nn: torch.Tensor) -> float:
    """Return the time of one product, the best of several."""
    best, end = float("inf"), time.perf_counter() + SECONDS
    while best == float("inf") or time.perf_counter() < end:
        began = time.perf_counter()
        float((values_nn @ values_nn)[0, 0])  # waits for a GPU
        best = min(best, time.perf_counter() - began)
    return best


def _devices() -> Iterator[str]:
    capability = torch.backends.cpu.get_cpu_capability()
    threads = f"{torch.get_num_threads()} threads"
    yield f"cpu: {cpu_name()}, {threads}, {capability}"
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        yield f"cuda:{number}: {about.name}, {about.total_memory / GIB:.0f} GiB"
    if torch.backends.mps.is_available():
        yield "mps: Apple GPU"
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        build = torch.version.cuda or torch.version.hip
        reason = "no GPU found" if build else "no GPU: this build of torch is for CPUs"
        yield f"{reason} (torch {torch.__version__})"


def _kernels(device: torch.device) -> Iterator[str]:
    fused = [
        name
        for name in DTYPES
        if has_fused_product(torch.ones(1, dtype=getattr(torch, name), device="cpu"))
    ]
    if fused and PREFERS_MKL:
        yield f"products on the CPU: MKL's, which is faster than oneDNN's here ({', '.join(fused)})"
    elif fused:
        yield f"products on the CPU: oneDNN's, with activations fused ({', '.join(fused)})"
    else:
        yield "products on the CPU: torch's; oneDNN is not available"
    if upcast := [name for name in DTYPES if is_upcast(getattr(torch, name))]:
        names = " and ".join(upcast)
        yield f"{names} on the CPU: multiplied in float32, since it has no instructions for them"
    if device.type == "cuda":
        tiles = best_tiles(device, torch.bfloat16, VIDEO_SIZES)
        which = "torch's" if tiles is None else f"Triton's, {tiles.queries} x {tiles.keys}"
        yield f"memory attention on the GPU in bfloat16: {which}"


def _models() -> Iterator[str]:
    try:
        yield f"{SMALL_MODEL}: in {bundled_folder(SMALL_MODEL)}"
    except CheckpointNotFoundError:
        yield f"{SMALL_MODEL}: not installed: pip install 'sam2-hf[micro]'"
    for name in MODELS:
        if name != SMALL_MODEL:
            yield f"{name}: {'downloaded' if is_cached(name) else 'not downloaded yet'}"
    cache = Path(constants.HF_HUB_CACHE)
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    yield f"cache: {cache}, {shutil.disk_usage(there).free / GIB:.0f} GiB free"
    yield f"Hub: {_hub()}"


def _hub() -> str:
    if constants.is_offline_mode():
        return "offline mode (HF_HUB_OFFLINE is set)"
    began = time.perf_counter()
    if hub_answers(DEFAULT_MODEL):
        return f"{constants.ENDPOINT} answers in {time.perf_counter() - began:.1f} s"
    return (
        f"{constants.ENDPOINT} does not answer within {SECONDS_TO_ANSWER:g} s. Check the network "
        "and proxies; models that are downloaded work without it."
    )
