"""Tracking: equal weights, equal frames, equal masks.

All sides segment the same frame alternately; only frames with a full memory bank are timed. Memory
peaks are measured in one process per side.
"""

import gc
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sam2_hf import (
    Sam2VideoConfig,
    Sam2VideoInferenceSession,
    Sam2VideoModel,
    SessionOptions,
    VideoSession,
)
from sam2_hf.masks import resize_masks
from sam2_hf.model.checkpoints.released_models import released_config
from sam2_hf.model.configs.configuration_sam2 import with_image_size
from sam2_hf.video.session_options import MEMORY_POLICIES
from sam2_hf.writers.mp4 import video_writer

from .original import OriginalModel
from .timing import Result, compare, draw_weights

INPUT_SIDE = 1024  # model pixels, as in the released checkpoints
NUM_FRAMES = 12
FULL = 8  # first frame with a full memory bank
LOGIT_SHARE = 0.02  # of the deviation: all sides round memories to bfloat16
ROUNDED_SHARE = 0.5  # the same for the median, with the whole model in bfloat16
QUALITY = 100  # of the JPEGs that the original reads
LONG_VIDEO = 2000  # frames
KIB = 1024


@dataclass(frozen=True, slots=True)
class VideoSubjects:
    """Models with equal weights, and the frames of a clip for all."""

    ours: Sam2VideoModel
    peer: Any
    frames: NDArray[np.uint8]

    @classmethod
    def build(
        cls,
        size: str,
        side: int | None = None,
        dtype: torch.dtype = torch.float32,
        num_frames: int = NUM_FRAMES,
    ) -> "VideoSubjects":
        """Make random weights, and a square clip with motion."""
        torch.manual_seed(0)
        config = released_config(f"sam2.1_hiera_{size}")
        side = side or INPUT_SIDE
        config = with_image_size(config, side)
        peer_config = transformers.Sam2VideoConfig.from_dict(config.to_dict())
        peer = transformers.Sam2VideoModel(peer_config).eval()
        draw_weights(peer)
        ours = Sam2VideoModel(Sam2VideoConfig.from_dict(config.to_dict())).eval()
        ours.load_state_dict(peer.state_dict())
        return cls(ours.to(dtype), peer.to(dtype), moving_clip(num_frames, side))

    def clicks(self, num_objects: int) -> list[tuple[float, float]]:
        """Choose a click for each object."""
        side = self.frames.shape[1]
        return [(side * (i + 1) / (num_objects + 1), side / 2) for i in range(num_objects)]

    def open_ours(self, num_objects: int) -> VideoSession:
        """Open a session of this package and click the objects."""
        options = SessionOptions.preset("transformers")
        session = Sam2VideoInferenceSession.open(self.frames, self.ours, options=options)
        for number, xy in enumerate(self.clicks(num_objects), 1):
            session.click(0, number, xy)
        return session

    def open_peer(self, num_objects: int, device: torch.device | str = "cpu") -> Any:  # noqa: ANN401 - transformers' session
        """Open a session of transformers on the same pixels and click the objects."""
        with closing(Sam2VideoInferenceSession.open(self.frames, self.ours)) as mine:
            pixels = torch.stack([mine.frames.pixel_values(i) for i in range(len(self.frames))])
            pixels = pixels.to(self.ours.dtype)
        side = self.frames.shape[1]
        session = transformers.models.sam2_video.modeling_sam2_video.Sam2VideoInferenceSession(
            video=pixels,
            video_height=side,
            video_width=side,
            inference_device=device,
            inference_state_device=device,
            video_storage_device=device,
            dtype=self.ours.dtype,
        )
        for number, xy in enumerate(self.clicks(num_objects), 1):
            points = {
                "point_coords": torch.tensor([[[xy]]], dtype=self.ours.dtype, device=device),
                "point_labels": torch.ones(1, 1, 1, dtype=torch.int32, device=device),
            }
            session.add_point_inputs(session.obj_id_to_idx(number), 0, points)
        session.obj_with_new_inputs = list(range(1, num_objects + 1))
        return session


def moving_clip(count: int, side: int) -> NDArray[np.uint8]:
    """Generate smooth noise that shifts from frame to frame, `(count, side, side, 3)`."""
    coarse = torch.randint(0, 256, (1, 3, 24, 24), dtype=torch.float32)
    wide = torch.nn.functional.interpolate(coarse, (side + count, side + count), mode="bicubic")
    picture = wide[0].clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    return np.stack([picture[i : i + side, i : i + side] for i in range(count)])


def time_tracking(
    size: str, num_objects: int, dtype: torch.dtype, checkout: Path | None
) -> list[Result]:
    """Time frames alternately, after comparing the masks of the first tracked one."""
    subjects = VideoSubjects.build(size, dtype=dtype)
    theirs = subjects.open_peer(num_objects)
    times: dict[str, list[float]] = {"ours": [], "transformers": []}
    with subjects.open_ours(num_objects) as session, torch.inference_mode():
        results = session.propagate()
        for frame in range(NUM_FRAMES):
            mine, taken = timed(lambda: next(results).logits_bhw)
            answer, taken_there = timed(partial(subjects.peer, theirs, frame_idx=frame))
            if frame <= 1:
                require_alike(mine, answer.pred_masks[:, 0], frame, dtype)
            if frame >= FULL:
                times["ours"].append(taken)
                times["transformers"].append(taken_there)
    plural = "" if num_objects == 1 else "s"
    rounded = "" if dtype == torch.float32 else ", bfloat16"
    case = f"video, {num_objects} object{plural}, a frame{rounded}"
    results_found = [compare(case, times)]
    if checkout is not None:
        times = time_original(
            subjects,
            OriginalModel(checkout, size, subjects.ours.float().state_dict(), dtype),
            num_objects,
        )
        results_found.append(compare(f"{case}, against the original", times))
    return results_found


def time_original(
    subjects: VideoSubjects, original: OriginalModel, num_objects: int
) -> dict[str, list[float]]:
    """Time both on the same folder of JPEGs, the original's input."""
    subjects.ours.to(original.dtype)
    times: dict[str, list[float]] = {"ours": [], "original": []}
    with tempfile.TemporaryDirectory() as folder:
        for number, frame_hw3 in enumerate(subjects.frames):
            Image.fromarray(frame_hw3).save(f"{folder}/{number:05d}.jpg", quality=QUALITY)
        options = SessionOptions.preset("official", fill_hole_area=0)
        session = Sam2VideoInferenceSession.open(folder, subjects.ours, options=options)
        with session, torch.inference_mode():
            for number, xy in enumerate(subjects.clicks(num_objects), 1):
                session.click(0, number, xy)
            results = session.propagate()
            peer = original.track(Path(folder), subjects.clicks(num_objects))
            for frame in range(NUM_FRAMES):
                mine, taken = timed(lambda: next(results).logits_bhw)
                answer, taken_there = timed(lambda: next(peer))
                if frame <= 1:
                    wide = resize_masks(mine[:, None], (answer.shape[-2], answer.shape[-1]))[:, 0]
                    require_alike(wide, answer, frame, original.dtype)
                if frame >= FULL:
                    times["ours"].append(taken)
                    times["original"].append(taken_there)
    return times


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Run once; return the result and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def require_alike(mine: Tensor, theirs: Tensor, frame: int, dtype: torch.dtype) -> None:
    """End the run if the masks of a frame differ by more than the models' dtype explains."""
    if mine.shape != theirs.shape:
        raise SystemExit(f"logits of frame {frame} are {mine.shape} here, {theirs.shape} there.")
    off = (mine.float() - theirs.float()).abs() / theirs.float().std()
    is_exact = dtype == torch.float32
    share = (off.max() if is_exact else off.median()).item()
    if share > (LOGIT_SHARE if is_exact else ROUNDED_SHARE):
        raise SystemExit(f"logits of frame {frame} differ by {share:.1%} of their deviation.")


def measure_peaks(size: str) -> list[Result]:
    """Compare the peak memory of tracking one object, each side in a separate process."""
    context = multiprocessing.get_context("spawn")
    peaks = []
    for side in ("ours", "peer"):
        with context.Pool(1) as pool:
            peaks.append(pool.apply(peak_of, (size, side)))
    case = f"peak memory, {NUM_FRAMES} frames, 1 object"
    return [compare(case, {"ours": peaks[:1], "transformers": peaks[1:]}, "MiB")]


def peak_of(size: str, side: str) -> float:
    """Track a clip with one side's classes; return the process's peak, MiB.

    The other side's model is dropped before the first frame, and the peak reset, so it does not
    count.
    """
    subjects = VideoSubjects.build(size)
    with torch.inference_mode():
        if side == "ours":
            subjects = replace(subjects, peer=None)
            with subjects.open_ours(1) as session:
                reset_peak()
                for _ in session.propagate():
                    pass
        else:
            session = subjects.open_peer(1)
            peer = subjects.peer
            del subjects
            reset_peak()
            for frame in range(NUM_FRAMES):
                peer(session, frame_idx=frame)
    return peak_rss()


def reset_peak() -> None:
    """Let the peak of this process begin at what it holds now.

    Raises:
        SystemExit: The system cannot, so the peak would count what was dropped.
    """
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        raise SystemExit(f"peaks of memory cannot be measured here: {error}.") from error


def peak_rss() -> float:
    """Read the peak of this process, MiB; `getrusage` would return the parent's if larger."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / KIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (KIB**2 if sys.platform == "darwin" else KIB)


def time_start(size: str) -> list[Result]:
    """Time opening a session on a long video file; transformers would decode all of it first."""
    subjects = VideoSubjects.build(size, side=256)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        frames = moving_clip(50, 128)
        with video_writer(path, fps=30) as writer:
            for number in range(LONG_VIDEO):
                writer.write(frames[number % len(frames)])
        start = time.perf_counter()
        with Sam2VideoInferenceSession.open(path, subjects.ours) as session:
            taken = time.perf_counter() - start
            if session.num_frames != LONG_VIDEO:
                raise SystemExit(f"{session.num_frames} frames instead of {LONG_VIDEO}.")
    case = f"session start, {LONG_VIDEO} frames"
    return [Result(case, taken)]


def time_policies(size: str) -> list[Result]:
    """Time a frame under each memory policy; nothing to compare with but `sam2`."""
    subjects = VideoSubjects.build(size)
    names = [*MEMORY_POLICIES, "samurai+distractor"]
    times: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack, torch.inference_mode():
        runs = {}
        for name in names:
            session = VideoSession.open(subjects.frames, subjects.ours, memory_policy=name)
            stack.enter_context(session)
            session.click(0, 1, subjects.clicks(1)[0])
            runs[name] = session.propagate()
        for frame in range(NUM_FRAMES):
            for name, results in runs.items():
                _, taken = timed(partial(next, results))
                if frame >= FULL:
                    times[name].append(taken)
    case = "video, 1 object, a frame, memory policy {}"
    return [Result(case.format(name), statistics.median(taken)) for name, taken in times.items()]


VIDEO_CASES = {"video1": 1, "video3": 3, "video10": 10}  # objects
SESSION_CASES: dict[str, Callable[[str], list[Result]]] = {
    "start": time_start,
    "peak": measure_peaks,
}
