"""The memory policies and approximate options that are compared, each on the same clips."""

import copy
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.metrics.sequences import score_sequence
from evaluation.micro.sets import LabeledClip
from sam2_hf import Sam2VideoModel, SessionOptions, VideoSession, to_int8
from sam2_hf.video.session_options import IMAGE_SIDES

OBJECT = 1
STRETCH = 12  # frames; a multiple of every `track_every` and `every_kth_memory`
BASE = "sam2"  # the case that all others are compared with


@dataclass(frozen=True, slots=True)
class Case:
    """Something that is measured.

    Attributes:
        options: Session options that differ from the official evaluation's.
        size: Side of the session's input as a part of the model's own.
        track_every: Frames of which one is tracked; others get its masks, as in a stream whose
            frames take that many times their latency budget.
        int8: Whether the largest layers compute in 8 bits.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    size: float = 1.0
    track_every: int = 1
    int8: bool = False

    def prepared(self, model: Sam2VideoModel) -> Sam2VideoModel:
        """Return the model to track with."""
        return to_int8(copy.deepcopy(model)) if self.int8 else model

    def session_options(self, model: Sam2VideoModel) -> SessionOptions:
        """Make the options of a session."""
        changes = dict(self.options)
        if self.size != 1.0:
            side = round(model.image_size * self.size / IMAGE_SIDES) * IMAGE_SIDES
            changes |= {"approximate": True, "image_size": side}
        return SessionOptions.preset("official", apply_postprocessing=False, **changes)


def _fewer_memories(number: int) -> Case:
    """Keep one memory of several frames, and attend to as many as ever."""
    options = {"approximate": True, "every_kth_memory": number}
    return Case({**options, "memory_temporal_stride_for_eval": number})


CASES: dict[str, Case] = {
    BASE: Case(),
    **{
        name: Case({"memory_policy": name})
        for name in ("score", "samurai", "distractor", "samurai+distractor", "tree")
    },
    "every 2nd memory": _fewer_memories(2),
    "every 4th memory": _fewer_memories(4),
    "int8": Case(int8=True),
    "3/4 input size": Case(size=0.75),
    "1/2 input size": Case(size=0.5),
    "every 2nd frame": Case(track_every=2),
    "every 3rd frame": Case(track_every=3),
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
    masks: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in names}
    runs = {name: tracked_masks(clip, CASES[name].prepared(model), CASES[name]) for name in names}
    with torch.inference_mode():
        for frame in range(len(clip.frames_thw3)):
            # another one begins on every frame
            for name in [*names[frame % len(names) :], *names[: frame % len(names)]]:
                wall, cpu = time.perf_counter(), time.process_time()
                masks[name].append(next(runs[name]))
                if frame:
                    found[name].cpu_s.append(time.process_time() - cpu)
                    found[name].wall_s.append(time.perf_counter() - wall)
    for name in names:
        runs[name].close()
        predicted_thw = np.stack(masks[name]).astype(np.uint8)
        score = score_sequence(clip.masks_thw.astype(np.uint8), predicted_thw)[OBJECT]
        found[name].j.append(score[0])
        found[name].f.append(score[1])


def tracked_masks(
    clip: LabeledClip, model: Sam2VideoModel, case: Case
) -> Generator[NDArray[np.bool_]]:
    """Track the object of a clip; yield its mask on every frame."""
    options = case.session_options(model)
    if case.track_every == 1:
        with closing(VideoSession.open(clip.frames_thw3, model, options=options)) as session:
            session.mask(0, OBJECT, clip.masks_thw[0])
            for result in session.propagate():
                yield result.masks[OBJECT]
        return
    with closing(VideoSession.open(None, model, options=options)) as stream:
        stream.step(clip.frames_thw3[0])
        stream.mask(0, OBJECT, clip.masks_thw[0])
        mask_hw = stream.preview(0).masks[OBJECT]
        yield mask_hw
        for frame in range(1, len(clip.frames_thw3)):
            if frame % case.track_every == 0:
                mask_hw = stream.step(clip.frames_thw3[frame], frame=frame).masks[OBJECT]
            yield mask_hw


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
    """Return the ratio of a frame's time to the base's, the median over stretches of frames.

    A stretch is as long as every period of the cases, so that skipped frames count.
    """
    length = min(STRETCH, len(seconds))
    starts = range(0, len(seconds) - length + 1, length)
    return median(sum(seconds[s : s + length]) / sum(base[s : s + length]) for s in starts)
