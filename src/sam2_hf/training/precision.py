"""Choice of the precision of a run, measured if it is "auto"."""

import torch

from sam2_hf.model.kernels.half_products import product_speed

SLOWER = 1.1  # slowdown above which to warn


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
    speed = product_speed(torch.bfloat16, device)
    measured = f"a product in bfloat16 is {speed:.2g} times as fast as in float32 on this CPU"
    if wanted == "auto":
        chosen = "bf16" if speed > SLOWER else "no"
        return chosen, f"precision auto: {chosen}, since {measured}"
    if speed * SLOWER < 1:
        return wanted, f"precision bf16 is slow here: {measured}. Set precision: auto."
    return wanted, ""
