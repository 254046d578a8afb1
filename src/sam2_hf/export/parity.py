"""Exported graphs against the model they were made of: differences and speed.

Suffixes: b = objects, h, w = rows and columns.
"""

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.frames.preprocessing import FramePixels
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.prompt_encoder import Prompts
from sam2_hf.video.session import VideoSession
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.tracking_model import TrackingModel
from sam2_hf.video.video_processing_sam2_video import checkpoint_pixels

from .photo_graphs import DECODER, ENCODER, photo_graphs

HEIGHT, WIDTH = 180, 240
DISC, BLOCK = (60, 80), (154, 88, 206, 132)  # center and box on frame 0
NUM_FRAMES = 10  # of the clip that is tracked
ENCODING, CLICKING = "encode a picture", "one click"
REPEATS = 3  # of what is timed; the fastest counts
LARGEST_LOGIT, LEAST_IOU = 1e-2, 0.999  # of a clip in float32

Found = TypeVar("Found")
Worker = TypeVar("Worker")
RunGraph = Callable[..., tuple[Tensor, ...]]  # a graph's name and its inputs


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the graphs are from the model in one kind of work.

    Attributes:
        work: What was done.
        difference: Largest difference of a mask logit, or of a feature.
        mean_iou: IoU of the masks of both, on average; 1 where there are none.
        least_iou: The least of them.
        model_seconds: Time of the model.
        graph_seconds: Time of the graphs.
    """

    work: str
    difference: float
    mean_iou: float
    least_iou: float
    model_seconds: float
    graph_seconds: float

    @property
    def is_equal(self) -> bool:
        """Whether the masks are the same as far as float32 can tell."""
        return self.difference <= LARGEST_LOGIT and self.least_iou >= LEAST_IOU


def measure_parity(model: TrackingModel, graphs: TrackingModel) -> Iterator[Parity]:
    """Encode a picture, click on it, track two objects through a clip; compare each.

    Args:
        model: The model, on the CPU.
        graphs: Its export.
    """
    pixels, place = _question(model)
    with torch.inference_mode():
        (ours, theirs), seconds = _timed(lambda one: one.encode_image(pixels), model, graphs)
        worst = _largest(ours.embedding_bchw - theirs.embedding_bchw)
        yield Parity(ENCODING, worst, 1.0, 1.0, *seconds)

        click = Prompts(place[None, None, None], torch.ones(1, 1, 1, dtype=torch.int64))

        def answer(one: TrackingModel) -> Tensor:
            embedding = one.condition_on_memory(ours, None)
            masks = one.decode_masks(ours, embedding, click, multimask_output=True)
            return masks.candidates_bmhw

        yield _compare_masks(*_timed(answer, model, graphs))
    yield _track_both(model, graphs)


def measure_photo_parity(model: Sam2VideoModel, graphs: RunGraph) -> Iterator[Parity]:
    """Encode a picture and click on it; compare both.

    Args:
        model: The model, on the CPU.
        graphs: Its export: a `PhotoFolder`.
    """
    modules = {graph.name: graph.module for graph in photo_graphs(model)}

    def run_module(name: str, *inputs: Tensor) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = modules[name](*inputs)
        return found

    runs: tuple[RunGraph, RunGraph] = (run_module, graphs)
    pixels, place = _question(model)
    with torch.inference_mode():
        (ours, theirs), seconds = _timed(lambda run: run(ENCODER, pixels), *runs)
        worst = max(map(_largest, map(torch.sub, ours, theirs)))
        yield Parity(ENCODING, worst, 1.0, 1.0, *seconds)

        no_mask = torch.zeros(1, 1, *model.mask_input_size), torch.zeros(1, dtype=torch.bool)
        click = (place[None, None], torch.ones(1, 1, dtype=torch.int64), *no_mask)
        yield _compare_masks(*_timed(lambda run: run(DECODER, *ours, *click)[0], *runs))


def _question(model: TrackingModel) -> tuple[Tensor, Tensor]:
    """Draw a picture, `(1, 3, S, S)`, and choose a place to click on, in model pixels."""
    picture = FramePixels(model.image_size, rules=checkpoint_pixels(model))
    pixels = picture.normalize(picture.shrink(moving_shapes(1)[0]))[None]
    return pixels, torch.tensor(DISC) / torch.tensor([WIDTH, HEIGHT]) * model.image_size


def _compare_masks(answers: list[Tensor], seconds: list[float]) -> Parity:
    """Compare the candidates `(1, m, h, w)` of both."""
    ours, theirs = answers
    overlaps = list(map(_iou, (ours > 0)[0].numpy(), (theirs > 0)[0].numpy()))
    worst = _largest(ours - theirs)
    return Parity(CLICKING, worst, float(np.mean(overlaps)), min(overlaps), *seconds)


def _track_both(model: TrackingModel, graphs: TrackingModel) -> Parity:
    """Track a clip; what one remembers, the other never sees."""
    frames = moving_shapes(NUM_FRAMES)
    # without what turns rounding into steps: pixels that are binarized or filled either way, and
    # memories in bfloat16
    exact = SessionOptions(
        fill_hole_area=0,
        binarize_mask_from_pts_for_mem_enc=False,
        memory_dtype=torch.float32,
    )
    sessions = [VideoSession.open(frames, one, options=exact) for one in (model, graphs)]
    results = []
    seconds = []
    for session in sessions:
        session.click(0, 1, DISC)
        session.box(0, 2, BLOCK)
        begin = time.perf_counter()
        results.append(list(session.propagate()))
        seconds.append((time.perf_counter() - begin) / NUM_FRAMES)
        session.close()
    pairs = list(zip(*results, strict=True))
    worst = max(_largest(one.logits_bhw - other.logits_bhw) for one, other in pairs)
    overlaps = [
        _iou(mask_hw, other.masks[number])
        for one, other in pairs
        for number, mask_hw in one.masks.items()
    ]
    work = f"a frame of {NUM_FRAMES}, 2 objects"
    return Parity(work, worst, float(np.mean(overlaps)), min(overlaps), seconds[0], seconds[1])


def _timed(do: Callable[[Worker], Found], *workers: Worker) -> tuple[list[Found], list[float]]:
    """Do something with each model; the fastest of a few times counts."""
    found, seconds = [], []
    for worker in workers:
        times = []
        for _ in range(REPEATS):
            begin = time.perf_counter()
            result = do(worker)
            times.append(time.perf_counter() - begin)
        found.append(result)
        seconds.append(min(times))
    return found, seconds


def _largest(differences: Tensor) -> float:
    return differences.abs().max().item()


def _iou(one_hw: NDArray[np.bool_], other_hw: NDArray[np.bool_]) -> float:
    union = int((one_hw | other_hw).sum())
    return 1.0 if union == 0 else int((one_hw & other_hw).sum()) / union


def cpu_name() -> str:
    """Return the name of the CPU, which times depend on."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def moving_shapes(num_frames: int = 20) -> NDArray[np.uint8]:
    """Draw a clip `(frames, 180, 240, 3)`: a red disc, a blue block and a green dot that move."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    cells = random.normal(size=(HEIGHT // 20, WIDTH // 20, 3)) * 20 + 110
    ground = cells.repeat(20, 0).repeat(20, 1)
    frames = []
    for frame in range(num_frames):
        picture = ground.copy()
        picture[(rows - 80 - frame) ** 2 + (columns - 60 - 3 * frame) ** 2 < 30**2] = (220, 60, 50)
        block = (abs(rows - 110 + frame) < 22) & (abs(columns - 180 + 2 * frame) < 26)
        picture[block] = (40, 90, 220)
        picture[(rows - 30) ** 2 + (columns - 120 - 2 * frame) ** 2 < 16**2] = (60, 200, 80)
        noise = random.normal(size=picture.shape) * 6
        frames.append((picture + noise).clip(0, 255).astype(np.uint8))
    return np.stack(frames)
