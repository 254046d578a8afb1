"""The options of `sam2-hf everything`: which masks, and how videos are searched."""

import argparse
from collections.abc import Callable

from .argument_types import count, share, whole_number

LAYOUTS = ("overlapping", "panoptic")
THRESHOLDS: dict[str, tuple[Callable[[str], object], str]] = {
    "--pred-iou-thresh": (
        share,
        "minimum predicted quality of a mask, 0-1 (default: the model's own, or 0.8)",
    ),
    "--stability-score-thresh": (
        share,
        "minimum stability of a mask, 0-1 (default: the model's own, or 0.95)",
    ),
}


def add_mask_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of mask generation."""
    search = parser.add_argument_group("which masks")
    numbers: dict[str, tuple[Callable[[str], object], str]] = {
        "--points-per-side": (count, "clicks along each side of the photo (default: 32)"),
        "--points-per-batch": (
            count,
            "clicks decoded at once; fewer save memory (default: 64)",
        ),
        "--pred-iou-thresh": (
            share,
            "minimum predicted quality of a mask, 0-1 (default: the model's, mostly 0.8)",
        ),
        "--stability-score-thresh": (
            share,
            "minimum stability of a mask, 0-1 (default: the model's, mostly 0.95)",
        ),
        "--box-nms-thresh": (
            share,
            "masks whose boxes overlap more than this are duplicates, 0-1 (default: 0.7)",
        ),
        "--crop-n-layers": (
            whole_number,
            "also search crops of the photo, for small objects: 1 adds 4 crops, 2 adds 20 "
            "(default: 0)",
        ),
        "--min-mask-region-area": (
            whole_number,
            "remove holes and specks up to this size, in pixels (default: 0)",
        ),
    }
    for name, (kind, text) in numbers.items():
        metavar = "X" if kind is share else "N"
        search.add_argument(name, type=kind, metavar=metavar, default=argparse.SUPPRESS, help=text)
    search.add_argument(
        "--use-m2m",
        action="store_true",
        default=argparse.SUPPRESS,
        help="refine every mask by decoding it a second time",
    )


def add_video_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of everything in a video."""
    group = parser.add_argument_group("videos")
    group.add_argument(
        "--video",
        dest="is_video",
        action="store_true",
        help="take a folder of pictures, an address or stdin as one video; a video file is one "
        "without it",
    )
    numbers = {
        "--key-frame-every": (count, "N", "frames between two searches for objects (default: 10)"),
        "--max-objects": (count, "N", "objects tracked at the same time (default: 40)"),
        "--min-area": (
            share,
            "X",
            "smallest object, as a fraction of the frame's area (default: 0.0005)",
        ),
    }
    for name, (kind, metavar, text) in numbers.items():
        group.add_argument(name, type=kind, metavar=metavar, default=argparse.SUPPRESS, help=text)
    group.add_argument(
        "--layout",
        choices=LAYOUTS,
        default=argparse.SUPPRESS,
        help="whether masks may overlap or a pixel belongs to one object (default: overlapping)",
    )
    group.add_argument(
        "--no-scene-cuts",
        dest="scene_cuts",
        action="store_false",
        default=argparse.SUPPRESS,
        help="do not look for cuts; after a cut, tracking starts over",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="continue an interrupted run of the same command",
    )
