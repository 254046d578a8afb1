"""Options of `sam2-hf label`. Nothing here imports torch, so that help is instant."""

import argparse
from collections.abc import Callable

from sam2_hf.cli.argument_types import count, share
from sam2_hf.cli.name_options import add_detect_every, add_text
from sam2_hf.cli.search_options import THRESHOLDS
from sam2_hf.errors import PromptError
from sam2_hf.results.formats import SET_FORMATS, read_formats

PHASES = ("phase1", "phase2", "phase3")
RULES = {
    "--min-iou": ("predicted_iou", "mean predicted IoU"),
    "--min-object-score": ("object_score", "mean probability of being in view where it is shown"),
    "--min-stability": ("stability", "mean IoU with the frame before, without the motion"),
    "--min-agreement": ("agreement", "IoU with what is tracked back from the end"),
}
SEARCH: dict[str, tuple[Callable[[str], object], str]] = {
    "--points-per-side": (count, "clicks along each side of a frame (default: 32)"),
    **THRESHOLDS,
}


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that no other command has."""
    parser.add_argument(
        "videos",
        metavar="VIDEO",
        nargs="*",
        help="video file, folder of pictures, folder of videos, pattern, address such as "
        "s3://bucket/*.mp4, table saved with datasets, or dataset:NAME:SPLIT; none continues "
        "the set",
    )
    parser.add_argument(
        "--from-file",
        metavar="LIST",
        help="take more videos from a text file, one per line; - reads the lines from stdin",
    )
    _add_masklets(parser)
    _add_workers(parser)
    _add_actions(parser)


def _add_masklets(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("masklets")
    group.add_argument(
        "--prompts",
        metavar="FILE",
        help="objects of a COCO, CVAT or Label Studio file, or a folder of masks "
        "(default: everything that is found)",
    )
    add_text(group)
    add_detect_every(group)
    group.set_defaults(detect_every=None)  # so that it is known whether it is given
    group.add_argument(
        "--phase",
        choices=PHASES,
        help="phase1: frame by frame, without memory; phase2: masks are tracked, corrections start "
        "over; phase3: clicks are tracked and correct (default: phase3)",
    )
    group.add_argument(
        "--max-objects", metavar="N", type=count, help="objects of a video at most (default: 16)"
    )
    group.add_argument(
        "--split-frames",
        metavar="N",
        type=count,
        help="split videos longer than this, at scene cuts if there are some, so that several "
        "workers share one (default: never)",
    )
    for flag, (kind, text) in SEARCH.items():
        group.add_argument(
            flag, type=kind, metavar="X" if kind is share else "N", default=None, help=text
        )
    rules = parser.add_argument_group("accepted without a person, each 0-1; 0 switches it off")
    for flag, (name, text) in RULES.items():
        rules.add_argument(flag, dest=name, metavar="X", type=share, help=text)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("workers")
    group.add_argument(
        "--workers",
        metavar="N",
        type=count,
        default=1,
        help="models at work at once, one per GPU or core; more than one needs Ray, and uses the "
        "cluster of RAY_ADDRESS if that is set (default: 1)",
    )
    group.add_argument(
        "--threads",
        metavar="N",
        type=count,
        help="threads of a worker on a CPU; another number may change single pixels (default: 1)",
    )
    group.add_argument(
        "--lease",
        metavar="SECONDS",
        type=count,
        default=600,
        help="a worker without progress for so long loses its video to another (default: 600)",
    )


def _add_actions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("afterwards, or alone on a set that is there")
    group.add_argument(
        "--retrack", action="store_true", help="apply the corrections and decisions of reviewers"
    )
    group.add_argument(
        "--review",
        metavar="FILE",
        help="with --retrack: decisions and corrections as JSON, besides those of the review page",
    )
    group.add_argument(
        "--export",
        metavar="KINDS",
        type=set_formats,
        default=(),
        help="write the accepted masklets: " + ", ".join(SET_FORMATS),
    )
    group.add_argument(
        "--to", metavar="DIR", help="folder of the export (default: export in the set)"
    )
    group.add_argument(
        "--status", action="store_true", help="count videos and masklets; label nothing"
    )


def set_formats(text: str) -> tuple[str, ...]:
    """Read a list such as `sav,davis`.

    Raises:
        argparse.ArgumentTypeError: There is no such format.
    """
    try:
        return read_formats([part.strip() for part in text.split(",") if part.strip()], SET_FORMATS)
    except PromptError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
