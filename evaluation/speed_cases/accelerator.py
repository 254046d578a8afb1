"""Tracking on a GPU: eager, compiled, and transformers'; equal weights, equal frames.

Each side tracks the clip alone, since asynchronous work of one side would be charged to the next.
Timing starts after all graphs are compiled; a later compilation ends the run with an error.
"""

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch._dynamo.utils import counters

from sam2_hf import Sam2VideoInferenceSession, SessionOptions

from .timing import Result, compare
from .video import VideoSubjects

NUM_OBJECTS = (1, 3, 10)
FEWEST_GRAPHS = 2  # of tracking: while the memory bank fills, and full
WARM_UP = 24  # frames: memories and object pointers are complete after 16


def time_on_gpu(
    size: str, dtype: torch.dtype, *, num_frames: int = 72, side: int | None = None
) -> list[Result]:
    """Time frames of a clip on the GPU, or on the CPU for a test.

    Args:
        size: Size of the model.
        dtype: Of the model.
        num_frames: Frames of the clip; the first `WARM_UP` are not timed.
        side: Model pixels; by default as in the released checkpoints.
    """
    device = find_gpu(side)
    subjects = VideoSubjects.build(size, side, dtype, num_frames=num_frames)
    subjects.ours.to(device)
    subjects.peer.to(device)
    results = []
    for count in NUM_OBJECTS:
        theirs = _seconds_a_frame(_their_frames(subjects, count, device))
        for compiled in (False, True):
            before = counters["stats"]["unique_graphs"]
            mine = _seconds_a_frame(our_results(subjects, count, compiled=compiled))
            if compiled and counters["stats"]["unique_graphs"] < before + FEWEST_GRAPHS:
                raise SystemExit("tracking was not compiled, so there is nothing to time.")
            name = f"{device.type}, {count} objects, {'compiled' if compiled else 'as it is'}"
            results.append(compare(name, {"ours": mine, "transformers": theirs}))
    return results


def find_gpu(side: int | None) -> torch.device:
    """Return the GPU, or the CPU for a test at another size.

    Raises:
        SystemExit: There is no GPU.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and side is None:
        raise SystemExit("this case needs a CUDA device, and there is none. Leave it out.")
    return device


def our_results(subjects: VideoSubjects, num_objects: int, *, compiled: bool) -> Iterable[Any]:
    """Track the clicked objects; yield the masks of each frame on the host."""
    options = SessionOptions.preset("transformers", compile=compiled)
    with Sam2VideoInferenceSession.open(subjects.frames, subjects.ours, options=options) as session:
        for number, xy in enumerate(subjects.clicks(num_objects), 1):
            session.click(0, number, xy)
        for result in session.propagate():
            yield result.masks  # included, since a user needs them on the host


def _their_frames(subjects: VideoSubjects, num_objects: int, device: torch.device) -> Iterable[Any]:
    session = subjects.open_peer(num_objects, device)
    for frame in range(len(subjects.frames)):
        answer = subjects.peer(session, frame_idx=frame)
        side = subjects.frames.shape[1]
        masks = torch.nn.functional.interpolate(answer.pred_masks.float(), (side, side))
        yield (masks > 0).cpu()


@torch.inference_mode()
def _seconds_a_frame(frames: Iterable[Any]) -> list[float]:
    """Iterate over the frames; return the seconds of those after the warm-up."""
    taken: list[float] = []
    begin, graphs = time.perf_counter(), 0
    for number, _ in enumerate(frames):
        now = time.perf_counter()
        if number == WARM_UP:
            graphs = counters["stats"]["unique_graphs"]
        if number >= WARM_UP:
            taken.append(now - begin)
        begin = now
    made = counters["stats"]["unique_graphs"] - graphs
    if made:
        raise SystemExit(f"{made} graphs were compiled after the warm-up: nothing is timed.")
    return taken
