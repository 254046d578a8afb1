"""Memory of a session that tracks thousands of frames, which must not grow.

    python -m evaluation.memory --frames 3000 --objects 3

The bundled model tracks objects through an endless clip, driven by the names of
facebookresearch/sam2 with `--names original`. It prints the bytes on the device (memories that the
model can still read), in RAM and on disk, after frame 100 and at the end, and the RAM per further
object-frame: of the session's records, and of the whole process, index included. The exit status is
1 if device memory grew at all, or the process by more than 2 KB an object-frame.
"""

import argparse
import gc
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sam2_hf import Sam2VideoInferenceSession, Sam2VideoModel, SessionOptions, VideoSession
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL
from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor
from sam2_hf.video.object_registry import BytesHeld

EARLY = 100  # frames; memory is full by then
SIDE = 256  # pixels of a frame
MAX_RAM_GROWTH = 2048  # bytes an object-frame
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Held:
    """Memory at one time.

    Attributes:
        session: Bytes of the session, by place.
        process: Bytes of the whole process in RAM; 0 if unknown.
    """

    session: BytesHeld
    process: int

    def __str__(self) -> str:
        held = self.session
        return (
            f"device {held.device:,} B, RAM {held.ram:,} B, disk {held.disk:,} B; "
            f"process {self.process / MIB:.1f} MiB"
        )


class EndlessClip:
    """Lazy list of frames of any length, without memory."""

    def __init__(self, count: int) -> None:
        coarse = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        self._picture = np.kron(coarse, np.ones((64, 64, 1), dtype=np.uint8))
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, frame: int) -> NDArray[np.uint8]:
        if not 0 <= frame < self._count:
            raise IndexError(frame)
        angle = 2 * np.pi * frame / 240
        x, y = (int(150 + 150 * turn) for turn in (np.cos(angle), np.sin(angle)))
        return self._picture[y : y + SIDE, x : x + SIDE]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[frame] for frame in range(self._count))


def track(
    num_frames: int, num_objects: int, options: SessionOptions, *, by_original_names: bool = False
) -> list[Held]:
    """Track objects through a clip; return the memory after frame `EARLY` and at the end.

    Args:
        num_frames: Frames of the clip.
        num_objects: Objects on it.
        options: Session options.
        by_original_names: Whether to call the original's predictor API.
    """
    model = Sam2VideoModel.from_pretrained(SMALL_MODEL).eval()
    clicks = [
        (number + 1, (SIDE * (number + 1) / (num_objects + 1), SIDE / 2))
        for number in range(num_objects)
    ]
    if by_original_names:
        predictor = SAM2VideoPredictor.from_model(model, options)
        state = predictor.init_state(EndlessClip(num_frames))
        for number, xy in clicks:
            predictor.add_new_points_or_box(state, 0, number, points=[xy], labels=[1])
        answers = predictor.propagate_in_video(state)
        return _watch(state.session, (frame for frame, _, _ in answers), num_frames)
    session = Sam2VideoInferenceSession.open(EndlessClip(num_frames), model, options=options)
    for number, xy in clicks:
        session.click(0, number, xy)
    return _watch(session, (result.frame for result in session.propagate()), num_frames)


def _watch(session: VideoSession, frames: Iterable[int], num_frames: int) -> list[Held]:
    """Note what a session holds after two of its frames; close it."""
    held = []
    with closing(session):
        for frame in tqdm(frames, total=num_frames, unit="frame", mininterval=5):
            if frame in (EARLY, num_frames - 1):
                held.append(Held(session.bytes_held(), process_bytes()))
    return held


def process_bytes() -> int:
    """Return the RAM of this process on Linux; 0 elsewhere."""
    table = Path("/proc/self/statm")
    if not table.exists():
        return 0
    gc.collect()
    return int(table.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.memory", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--frames", type=int, default=3000, help="number of frames (3000)")
    parser.add_argument("--objects", type=int, default=3, help="number of objects (3)")
    parser.add_argument(
        "--ram-budget",
        type=float,
        default=8,
        help="MiB of RAM before the file is used (8, so that it is full after 100 frames)",
    )
    parser.add_argument("--keep", default="all", choices=["all", "window"])
    parser.add_argument(
        "--names", default="session", choices=["session", "original"], help="whose calls are made"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Track, print, and compare with the limits."""
    given = build_parser().parse_args(arguments)
    if given.frames <= EARLY + 1:
        raise SystemExit(f"--frames must be more than {EARLY + 1}.")
    options = SessionOptions(keep=given.keep, ram_budget=int(given.ram_budget * MIB))
    early, late = track(
        given.frames, given.objects, options, by_original_names=given.names == "original"
    )
    object_frames = given.objects * (given.frames - 1 - EARLY)
    records = (late.session.ram - early.session.ram) / object_frames
    process = (late.process - early.process) / object_frames
    device = late.session.device - early.session.device
    sys.stdout.write(
        f"after frame {EARLY}: {early}\nafter frame {given.frames - 1}: {late}\n"
        f"growth: device {device} B; an object-frame costs {records:.0f} B of RAM in records, "
        f"{process:.0f} B of the process\n"
    )
    return int(device != 0 or max(records, process) > MAX_RAM_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
