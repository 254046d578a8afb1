"""Load test of the Space: errors, mixed-up visits, latency, memory.

    python -m evaluation.space_load --visitors 20 --seconds 120 --attackers 1

It starts its own server. Each visitor uploads a photo in a unique color, clicks it and checks that
the answer is of that photo; every fourth one tracks the sample video instead.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import argparse
import io
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.errors import Sam2Error
from sam2_hf.overlay import FILL, OKABE_ITO

from .attacker import SpaceAttacker
from .visitor import SpaceVisitor

APP = Path(__file__).parents[2] / "spaces/app.py"
HEIGHT, WIDTH, RADIUS = 300, 400, 60
LEVELS = (40, 120, 200)  # of each color: 27 photos that cannot be confused, tinted or not
CLOSE = 12  # tolerated error of a JPEG, levels
LEAST_SHARE = 0.4  # minimum fraction of a picture in its owner's color, tinted or not
EVERY_FOURTH = 4
SETTLE = 20.0  # seconds after the last visitor has left
MOST_GROWTH = 1.15  # of memory, after all visitors have left
KIB = 1024
INCLUDE = "Include"


@dataclass(slots=True)
class Tally:
    """Results of all visitors.

    Attributes:
        waits: Seconds from each click to its answer.
        errors: Error messages.
        mixed: Answers with the photo of another visitor.
        tracked: Number of tracked videos.
    """

    waits: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    mixed: int = 0
    tracked: int = 0

    def lines(self) -> Iterator[str]:
        """Format the figures."""
        waits = np.array(self.waits or [0.0])
        yield f"clicks    {len(self.waits)}, errors {len(self.errors)}, mixed visits {self.mixed}"
        yield f"videos    {self.tracked} tracked"
        yield (
            f"a click   median {np.median(waits):.2f} s, 95 % {np.quantile(waits, 0.95):.2f} s, "
            f"longest {waits.max():.2f} s"
        )
        yield from (f"error     {text}" for text in sorted(set(self.errors))[:5])


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.space_load", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--visitors", type=int, default=20, help="at a time, up to 27")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long they stay")
    parser.add_argument(
        "--attackers", type=int, default=0, help="that send half requests and wide JSON meanwhile"
    )
    parser.add_argument("--think", type=float, default=3.0, help="seconds between clicks, about")
    return parser


def own_photo(number: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Draw a visitor's photo: a disc on their color.

    Returns:
        The photo `(height, width, 3)`, and the disc's center (x, y).
    """
    draw = random.Random(number)
    color = [LEVELS[number // 3**channel % 3] for channel in range(3)]
    photo_hw3 = np.full((HEIGHT, WIDTH, 3), color, np.uint8)
    x, y = draw.randrange(80, WIDTH - 80), draw.randrange(80, HEIGHT - 80)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    photo_hw3[np.hypot(columns - x, rows - y) < RADIUS] = 255 - np.array(color, np.uint8)
    return photo_hw3, (x, y)


def is_of(number: int, picture_hw3: NDArray[np.uint8]) -> bool:
    """Whether a picture shows a visitor's photo, by its background color, masked or not."""
    plain = np.array([LEVELS[number // 3**channel % 3] for channel in range(3)], float)
    tinted = (1 - FILL) * plain + FILL * np.array(OKABE_ITO[0], float)
    seen = [np.abs(picture_hw3 - color).max(axis=2) < CLOSE for color in (plain, tinted)]
    return bool((seen[0] | seen[1]).mean() > LEAST_SHARE)


def visit_photo(
    visitor: SpaceVisitor, number: int, until: float, tally: Tally, think: float
) -> None:
    """Click in the visitor's photo until the time is over."""
    photo_hw3, (x, y) = own_photo(number)
    content = io.BytesIO()
    Image.fromarray(photo_hw3).save(content, format="PNG")
    upload = visitor.upload(f"{number}.png", content.getvalue())
    update = visitor.fire("photo-input", "input", [upload])
    draw = random.Random(number)
    while True:
        if not is_of(number, visitor.picture(update["photo-view"])):
            tally.mixed += 1
        time.sleep(draw.uniform(0.5, 1.5) * think)
        if time.monotonic() > until:
            return
        xy = [x + draw.randrange(-20, 20), y + draw.randrange(-20, 20)]
        began = time.monotonic()
        update = visitor.fire("photo-view", "select", [INCLUDE], {"index": xy, "value": None})
        tally.waits.append(time.monotonic() - began)


def visit_video(visitor: SpaceVisitor, until: float, tally: Tally) -> None:
    """Track the sample video repeatedly."""
    while time.monotonic() < until:
        visitor.fire("video-samples", "click", [0])
        about = {"index": [95, 238], "value": None}
        visitor.fire("video-view", "select", [INCLUDE, 0], about)
        visitor.fire("video-track", "click", ["forward from the first click", 0, "sam2"])
        tally.tracked += 1


def visit(address: str, number: int, until: float, tally: Tally, think: float) -> None:
    """Run one visit, recording errors."""
    try:
        with SpaceVisitor(address) as visitor:
            if number % EVERY_FOURTH == EVERY_FOURTH - 1:
                visit_video(visitor, until, tally)
            else:
                visit_photo(visitor, number, until, tally, think)
    except Exception as error:  # any error counts
        tally.errors.append(f"{type(error).__name__}: {error}")


def all_visit(address: str, visitors: int, seconds: float, think: float) -> Tally:
    """Run visitors, started one after another, until the time is over."""
    tally = Tally()
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=visit, args=(address, number, until, tally, think))
        for number in range(visitors)
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    return tally


@contextmanager
def own_server(temporary: str) -> Iterator[tuple[str, int]]:
    """Start a server; yield its address and the number of its process."""
    command = [sys.executable, str(APP), "--port", str(_free_port()), "--grace-seconds", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": temporary}
    )
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line.startswith("Open "):
            raise Sam2Error("the server did not start; its own message is above.")
        yield line.split()[1], process.pid
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def memory_mib(process: int) -> float:
    """Read the memory of a process."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / KIB for line in lines if line.startswith("VmRSS"))


def num_files(folder: str) -> int:
    """Count the files of visitors."""
    found = [path for path in Path(folder).rglob("*") if path.is_file()]
    return sum("samples" not in path.parts for path in found)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the load test and print the figures; fails on any error."""
    arguments = build_parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary, own_server(temporary) as (address, process):
        all_visit(address, EVERY_FOURTH, 1.0, 0.2)  # warm-up of one-time loading
        time.sleep(SETTLE / 4)
        before = memory_mib(process)
        peak = _Peak(process)
        with peak, ExitStack() as attackers:
            for _ in range(arguments.attackers):
                attackers.enter_context(SpaceAttacker(address))
            tally = all_visit(address, arguments.visitors, arguments.seconds, arguments.think)
        time.sleep(SETTLE)
        after, files = memory_mib(process), num_files(temporary)
    lines = [
        f"visitors  {arguments.visitors} for {arguments.seconds:g} s, attackers "
        f"{arguments.attackers}",
        *tally.lines(),
        f"memory    {before:.0f} MiB before, {peak.most:.0f} at most, {after:.0f} after",
        f"files     {files} left",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    has_grown = after > MOST_GROWTH * before
    return 1 if tally.errors or tally.mixed or files or has_grown else 0


class _Peak:
    """Monitor of a process's memory, in a thread, as a context manager."""

    def __init__(self, process: int) -> None:
        self.most = 0.0
        self._process = process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Peak":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            self.most = max(self.most, memory_mib(self._process))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
