"""Choice of the precision of a run, measured if it is "auto"."""

import time

import torch

SIDE, ROWS = 512, 2048  # of the timed products, as in a layer during training

SLOWER = 1.1  # slowdown above which to warn


def bfloat16_speed(device: torch.device) -> float:
    """Measure the speedup of a matrix product in bfloat16 over float32.

    On a CPU with bfloat16 units it is about 2, without them below 0.2.

    Args:
        device: The device; only useful for a CPU.
    """
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left = torch.ones(ROWS, SIDE, dtype=dtype, device=device)
        right = torch.ones(SIDE, SIDE, dtype=dtype, device=device)
        timed = []
        for _ in range(4):  # the first is a warm-up
            begun = time.perf_counter()
            left @ right
            timed.append(time.perf_counter() - begun)
        seconds[dtype] = min(timed[1:])
    return seconds[torch.float32] / seconds[torch.bfloat16]


def chosen_precision(wanted: str, device: torch.device) -> tuple[str, str]:
    """Choose between float32 and bfloat16, with the reason.

    Args:
        wanted: "auto", or a fixed precision.
        device: The run's device.

    Returns:
        The precision, and a message for the user, possibly empty.
    """
    if device.type != "cpu":
        if wanted != "auto":
            return wanted, ""
        can = device.type == "cuda" and torch.cuda.is_bf16_supported()
        chosen = "bf16" if can else "no"
        return chosen, f"precision auto: {chosen}, as {device.type} supports it"
    if wanted not in ("auto", "bf16"):
        return wanted, ""
    speed = bfloat16_speed(device)
    measured = f"a product in bfloat16 is {speed:.2g} times as fast as in float32 on this CPU"
    if wanted == "auto":
        chosen = "bf16" if speed > SLOWER else "no"
        return chosen, f"precision auto: {chosen}, since {measured}"
    if speed * SLOWER < 1:
        return wanted, f"precision bf16 is slow here: {measured}. Set precision: auto."
    return wanted, ""
