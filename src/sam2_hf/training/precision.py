"""Which precision a run computes in, found out by trying where it is not said."""

import time

import torch

SIDE, ROWS = 512, 2048  # of the products that are timed: the size of a layer's in training
REPEATS = 3
SLOWER = 1.1  # times as long, from which on it is worth a warning


def bfloat16_speed(device: torch.device) -> float:
    """Tell how many times as fast as in float32 a matrix product is in bfloat16.

    On a CPU with bfloat16 units it is about 2, on one without them below a fifth.

    Args:
        device: Where to try; only a CPU is in question.
    """
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left = torch.ones(ROWS, SIDE, dtype=dtype, device=device)
        right = torch.ones(SIDE, SIDE, dtype=dtype, device=device)
        timed = []
        for _ in range(REPEATS + 1):  # the first sets things up
            begun = time.perf_counter()
            left @ right
            timed.append(time.perf_counter() - begun)
        seconds[dtype] = min(timed[1:])
    return seconds[torch.float32] / seconds[torch.bfloat16]


def chosen_precision(wanted: str, device: torch.device) -> tuple[str, str]:
    """Choose between float32 and bfloat16, and say why.

    Args:
        wanted: "auto", or what is taken as it is.
        device: Where the run computes.

    Returns:
        The precision, and a line for the user, empty if there is nothing to say.
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
