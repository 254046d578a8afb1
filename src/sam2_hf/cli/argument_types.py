"""Argument types of the command line. Nothing here imports torch, so that help is instant."""

import argparse
import math
import os
from pathlib import Path
from typing import NamedTuple

Click = tuple[float, float, bool]
Box = tuple[float, float, float, float]

DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "npu", "xla", "meta")


class ClickPrompt(NamedTuple):
    """A click in a video: frame, object, position, and whether it is positive."""

    frame: int
    object_id: int
    click: Click


class BoxPrompt(NamedTuple):
    """A box in a video: frame, object, corners."""

    frame: int
    object_id: int
    box: Box


class MaskPrompt(NamedTuple):
    """A mask in a video: frame, object, picture file."""

    frame: int
    object_id: int
    file: Path


class ReferenceFiles(NamedTuple):
    """An object in another picture: picture file, mask file, object."""

    picture: Path
    mask: Path
    object_id: int


def point(text: str) -> Click:
    """Read `X,Y` or `X,Y,-`.

    Raises:
        argparse.ArgumentTypeError: It has another form.
    """
    *numbers, sign = text.split(",") if text.endswith((",-", ",+")) else [*text.split(","), "+"]
    x, y = _numbers(numbers, 2, f"{text!r} is not X,Y or X,Y,- such as 290,225 or 400,60,-")
    return x, y, sign == "+"


def box(text: str) -> Box:
    """Read `X0,Y0,X1,Y1`.

    Raises:
        argparse.ArgumentTypeError: It has another form.
    """
    problem = f"{text!r} is not X0,Y0,X1,Y1 such as 170,20,420,350"
    x0, y0, x1, y1 = _numbers(text.split(","), 4, problem)
    return x0, y0, x1, y1


def video_click(text: str) -> ClickPrompt:
    """Read `FRAME:OBJECT:X,Y` or `FRAME:OBJECT:X,Y,-`.

    Raises:
        argparse.ArgumentTypeError: It has another form.
    """
    frame, object_id, rest = _placed(text, "FRAME:OBJECT:X,Y[,-]", "0:1:290,225")
    return ClickPrompt(frame, object_id, point(rest))


def video_box(text: str) -> BoxPrompt:
    """Read `FRAME:OBJECT:X0,Y0,X1,Y1`.

    Raises:
        argparse.ArgumentTypeError: It has another form.
    """
    frame, object_id, rest = _placed(text, "FRAME:OBJECT:X0,Y0,X1,Y1", "0:1:170,20,420,350")
    return BoxPrompt(frame, object_id, box(rest))


def video_mask(text: str) -> MaskPrompt:
    """Read `FRAME:OBJECT:FILE`.

    Raises:
        argparse.ArgumentTypeError: It has another form.
    """
    frame, object_id, rest = _placed(text, "FRAME:OBJECT:FILE", "0:1:cup.png")
    return MaskPrompt(frame, object_id, Path(rest))


def video_reference(text: str) -> ReferenceFiles:
    """Read `PICTURE:MASK:OBJECT`; where paths have colons, the files that exist decide.

    Raises:
        argparse.ArgumentTypeError: It has another form, or could be read in several ways.
    """
    paths, _, number = text.rpartition(":")
    parts = paths.split(":")
    splits = [
        (Path(":".join(parts[:place])), Path(":".join(parts[place:])))
        for place in range(1, len(parts))
        if any(parts[:place]) and any(parts[place:])
    ]
    there = [split for split in splits if all(map(os.path.isfile, split))]
    chosen = there or splits
    if not number.removeprefix("-").isdecimal() or not chosen:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not PICTURE:MASK:OBJECT such as dog.jpg:dog-mask.png:1"
        )
    if len(chosen) > 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} can be split into PICTURE:MASK:OBJECT in several ways, and "
            f"{'more than one' if there else 'none'} is of two files. Rename a file."
        )
    return ReferenceFiles(*chosen[0], int(number))


def value_range(text: str) -> tuple[float, float] | str:
    """Read `LOW,HIGH`, `percentile` or `full`.

    Raises:
        argparse.ArgumentTypeError: It has another form.
    """
    if text in ("percentile", "full"):
        return text
    problem = f"{text!r} is not LOW,HIGH such as 0,4095, percentile or full"
    low, high = _numbers(text.split(","), 2, problem)
    if low >= high:
        raise argparse.ArgumentTypeError(f"{problem}; LOW must be less than HIGH")
    return low, high


# of `MEMORY_POLICIES`, whose module imports torch
POLICIES = ("sam2", "score", "samurai", "distractor", "tree")


def memory_policy(text: str) -> str:
    """Read the name of a memory policy, or of two joined by +."""
    parts = text.split("+")
    if len(parts) > 2 or not set(parts) <= set(POLICIES) or (len(parts) > 1 and "tree" in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a memory policy: choose one of {', '.join(POLICIES)}, or two "
            "of them (except tree) joined by + (masks by the first, memories by the second)"
        )
    return text


def add_memory_policy(options: argparse._ActionsContainer) -> None:
    """Add the option `--memory-policy`."""
    options.add_argument(
        "--memory-policy",
        metavar="NAME",
        type=memory_policy,
        default=POLICIES[0],
        help=f"what earlier frames are remembered for: {', '.join(POLICIES)}, or two of them such "
        "as samurai+distractor (default: sam2, as the model was trained)",
    )


def add_value_range(parser: argparse.ArgumentParser) -> None:
    """Add the option `--value-range`."""
    parser.add_argument(
        "--value-range",
        metavar="LOW,HIGH",
        type=value_range,
        help="which values are black and white in 16-bit and float pictures: two numbers such as "
        "-1000,1000, percentile (what nearly all values span), or full (what the data type spans)",
    )


def device(text: str) -> str:
    """Read a device such as `cuda:1`; whether this machine has it, torch says later.

    Raises:
        argparse.ArgumentTypeError: There is no such kind of device.
    """
    kind, colon, number = text.partition(":")
    if kind in DEVICES and number.isdecimal() == bool(colon):
        return text
    raise argparse.ArgumentTypeError(
        f"device {text!r} cannot be used. Use cpu, cuda, cuda:1 or mps."
    )


def whole_number(text: str) -> int:
    """Read a whole number, 0 or more.

    Raises:
        argparse.ArgumentTypeError: It has another form.
    """
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return number


def count(text: str) -> int:
    """Read a whole number, 1 or more.

    Raises:
        argparse.ArgumentTypeError: It has another form.
    """
    number = whole_number(text)
    if number == 0:
        raise argparse.ArgumentTypeError("it must be at least 1, not 0")
    return number


def share(text: str) -> float:
    """Read a number from 0 to 1.

    Raises:
        argparse.ArgumentTypeError: It has another form.
    """
    (number,) = _numbers([text], 1, f"{text!r} is not a number from 0 to 1")
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def _placed(text: str, form: str, example: str) -> tuple[int, int, str]:
    """Split `FRAME:OBJECT:REST`; the rest may contain colons."""
    frame, object_id, rest = [*text.split(":", 2), "", ""][:3]
    try:
        numbers = int(frame), int(object_id)
    except ValueError:
        numbers = -1, 0
    if numbers[0] < 0 or not rest:
        raise argparse.ArgumentTypeError(f"{text!r} is not {form} such as {example}")
    return *numbers, rest


def _numbers(texts: list[str], count: int, problem: str) -> list[float]:
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(problem)
    return numbers
