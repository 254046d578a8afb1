"""The memory policies and approximate options that are compared, each on the same clips."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import torch

from evaluation.metrics.sequences import score_sequence
from evaluation.micro.sets import LabeledClip
from sam2_hf import Sam2VideoModel, SessionOptions, VideoSession

OBJECT = 1
BASE = "sam2"  # the case that all others are compared with

CASES: dict[str, dict[str, Any]] = {
    BASE: {},
    "score": {"memory_policy": "score"},
    "samurai": {"memory_policy": "samurai"},
    "distractor": {"memory_policy": "distractor"},
    "samurai+distractor": {"memory_policy": "samurai+distractor"},
    "tree": {"memory_policy": "tree"},
}


@dataclass(slots=True)
class Measured:
    """What a case gave on some clips.

    Attributes:
        j: J of each clip, percent.
        f: F of each clip, percent.
        cpu_s: Processor seconds of each tracked frame.
        wall_s: Seconds of each tracked frame.
    """

    j: list[float] = field(default_factory=list)
    f: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)

    @property
    def j_and_f(self) -> float:
        """Mean J&F."""
        return float(np.mean([*self.j, *self.f]))


def measure_clip(
    clip: LabeledClip, model: Sam2VideoModel, names: Sequence[str], found: Mapping[str, Measured]
) -> None:
    """Track a clip in all cases at once, frame by frame in turn, and add what they give.

    Args:
        clip: The clip, prompted by the mask of its first frame.
        model: The model, in eval mode.
        names: Cases.
        found: Results by case, added to.
    """
    masks: dict[str, list[np.ndarray]] = {name: [] for name in names}
    with ExitStack() as stack, torch.inference_mode():
        runs = {}
        for name in names:
            options = SessionOptions.preset("official", apply_postprocessing=False, **CASES[name])
            session = stack.enter_context(
                VideoSession.open(clip.frames_thw3, model, options=options)
            )
            session.mask(0, OBJECT, clip.masks_thw[0])
            runs[name] = session.propagate()
        for frame in range(len(clip.frames_thw3)):
            # another one begins on every frame
            for name in [*names[frame % len(names) :], *names[: frame % len(names)]]:
                wall, cpu = time.perf_counter(), time.process_time()
                masks[name].append(next(runs[name]).masks[OBJECT])
                if frame:
                    found[name].cpu_s.append(time.process_time() - cpu)
                    found[name].wall_s.append(time.perf_counter() - wall)
    for name in names:
        predicted_thw = np.stack(masks[name]).astype(np.uint8)
        score = score_sequence(clip.masks_thw.astype(np.uint8), predicted_thw)[OBJECT]
        found[name].j.append(score[0])
        found[name].f.append(score[1])


def as_table(found: Mapping[str, Measured], clips: Sequence[str]) -> str:
    """Write a table: accuracy, by clip too, and the cost of a frame as a ratio to `sam2`."""
    base = found[BASE]
    heads = ["case", "J&F", "J", "F", "CPU / sam2", "wall / sam2", *clips]
    rows = [heads, ["---"] * len(heads)]
    for name, measured in found.items():
        both = zip(measured.j, measured.f, strict=True)
        rows.append(
            [
                name,
                f"{measured.j_and_f:.1f}",
                f"{np.mean(measured.j):.1f}",
                f"{np.mean(measured.f):.1f}",
                f"{_ratio(measured.cpu_s, base.cpu_s):.2f}",
                f"{_ratio(measured.wall_s, base.wall_s):.2f}",
                *[f"{(j + f) / 2:.1f}" for j, f in both],
            ]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _ratio(seconds: Sequence[float], base: Sequence[float]) -> float:
    """Return the median ratio of a frame's time to the base's time for the same frame."""
    return median(ours / theirs for ours, theirs in zip(seconds, base, strict=True))
