"""How the learning rate goes over a run."""

import math

from .config import OptimiserConfig


def rate_factor(config: OptimiserConfig, step: int, steps: int, begins: int = 0) -> float:
    """Tell what a learning rate is multiplied by on a step.

    It rises linearly over the warm-up, so that the first step already learns, and then follows
    half a cosine down to `final_share`, or stays.

    Args:
        config: Warm-up, schedule and final share.
        step: Which step, counted from 0.
        steps: Steps of the whole run.
        begins: Step at which the warm-up begins; 0 before it. The cosine is that of the run.

    Source: fvcore's `CosineParamScheduler`, as in
        sam2/configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml @ 2b90b9f.
    """
    if step < begins:
        return 0.0
    if step < begins + config.warmup_steps:
        return (step - begins + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    done = (step - config.warmup_steps) / max(steps - config.warmup_steps, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return config.final_share + (1 - config.final_share) * cosine
