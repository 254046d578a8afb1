"""Photos and clips a minute of the command line, and the share of the time spent on their files.

Each command runs in a process of its own, with the bundled model. What it waits for is the time
inside the functions of `PHOTO_WAITS` and `CLIP_WAITS`.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL
from sam2_hf.writers.mp4 import video_writer

from .image import smooth_photo
from .timing import Result
from .video import moving_clip

NUM_PHOTOS, NUM_CLIPS, CLIP_FRAMES, CLIP_SIDE = 6, 3, 24, 256
GRID = "8"  # clicks along each side of a photo
PHOTO_WAITS = {
    "sam2_hf.cli.everything:to_rgb": "reading",
    "sam2_hf.cli.batch:PhotoWriting.finish": "writing",
}
CLIP_WAITS = {
    "sam2_hf.frames.prefetch:FrameRing.read": "reading",
    "sam2_hf.cli.tracking.track_run:TrackState.add": "writing",
    "sam2_hf.cli.tracking.video_job:write_frames": "writing",
}
PROGRAM = """
import functools, importlib, json, sys, time
from sam2_hf.cli.__main__ import main

waits, commands = json.loads(sys.argv[1])
waited = dict.fromkeys(waits.values(), 0.0)

def timed(call, what):
    @functools.wraps(call)
    def timed_call(*values, **named):
        began = time.perf_counter()
        try:
            return call(*values, **named)
        finally:
            waited[what] += time.perf_counter() - began
    return timed_call

for place, what in waits.items():
    module, names = place.split(":")
    *path, name = names.split(".")
    owner = functools.reduce(getattr, path, importlib.import_module(module))
    setattr(owner, name, timed(getattr(owner, name), what))
began = time.perf_counter()
codes = [main(command) for command in commands]
print(json.dumps([codes, time.perf_counter() - began, waited]))
"""


def time_batches() -> list[Result]:
    """Run `everything` over a folder of photos, and `track` over clips."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        photos, clips = Path(folder) / "photos", Path(folder) / "clips"
        _draw_photos(photos)
        _draw_clips(clips)
        common = ["--model", SMALL_MODEL, "--device", "cpu", "--quiet", "--out"]
        find = ["everything", str(photos), "--points-per-side", GRID, *common, f"{folder}/found"]
        click = f"0:1:{CLIP_SIDE // 2},{CLIP_SIDE // 2}"
        track = [
            ["track", str(clip), "--click", click, *common, f"{folder}/tracked"]
            for clip in sorted(clips.iterdir())
        ]
        return [
            *_run("everything, photos", NUM_PHOTOS, PHOTO_WAITS, [find]),
            *_run(f"track, clips of {CLIP_FRAMES} frames", NUM_CLIPS, CLIP_WAITS, track),
        ]


def _run(
    case: str, count: int, waits: Mapping[str, str], commands: Sequence[Sequence[str]]
) -> list[Result]:
    """Run commands in one process; return their rate and what they waited for."""
    process = [sys.executable, "-c", PROGRAM, json.dumps([waits, commands])]
    done = subprocess.run(process, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{commands[0]} failed:\n{done.stderr}")
    codes, taken, waited = json.loads(done.stdout.splitlines()[-1])
    if any(codes):
        raise SystemExit(f"{commands[0]} failed:\n{done.stderr}")
    rates = [Result(case, round(60 * count / taken, 2), unit="/min")]
    shares = [
        Result(f"{case}, waited for {what}", round(100 * seconds / taken, 2), unit="%")
        for what, seconds in waited.items()
    ]
    return rates + shares


def _draw_photos(folder: Path) -> None:
    folder.mkdir()
    for number in range(NUM_PHOTOS):
        photo_hw3 = smooth_photo().permute(1, 2, 0).numpy()
        Image.fromarray(np.ascontiguousarray(photo_hw3)).save(folder / f"{number}.jpg")


def _draw_clips(folder: Path) -> None:
    folder.mkdir()
    for number in range(NUM_CLIPS):
        with video_writer(folder / f"{number}.mp4", fps=24) as writer:
            for frame_hw3 in moving_clip(CLIP_FRAMES, CLIP_SIDE):
                writer.write(frame_hw3)
