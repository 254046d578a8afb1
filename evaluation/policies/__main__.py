"""Accuracy and cost of every memory policy and approximate option, in one table.

    python -m evaluation.policies --model sam2-hiera-micro --root PATH

PATH has davis16-half/. All cases track the same clip at the same time, frame by frame in turn, so
that a busy machine slows all of them; costs are medians of the ratio to `sam2` over 12 frames.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evaluation.exit_status import exit_status
from evaluation.micro.sets import HARD_CLIPS, VALIDATION_CLIPS, davis_set
from sam2_hf import Sam2VideoModel

from .cases import BASE, CASES, Measured, as_table, measure_clip


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.policies", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--model", default="sam2-hiera-micro", help="folder, Hub id or bundled name"
    )
    parser.add_argument("--root", type=Path, required=True, help="folder with davis16-half/")
    parser.add_argument(
        "--clips", nargs="+", default=[*VALIDATION_CLIPS, *HARD_CLIPS], metavar="NAME"
    )
    parser.add_argument(
        "--cases", nargs="+", default=list(CASES), choices=list(CASES), metavar="NAME"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the cases, and print the table after every clip."""
    options = build_parser().parse_args(arguments)
    return exit_status(lambda: run(options), "nothing was kept.")


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    model = Sam2VideoModel.from_pretrained(options.model).eval()
    names = list(dict.fromkeys((BASE, *options.cases)))
    found = {name: Measured() for name in names}
    done: list[str] = []
    for clip in davis_set(options.root, options.clips):
        measure_clip(clip, model, names, found)
        done.append(clip.name)
        sys.stdout.write(f"\n{as_table(found, done)}")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
