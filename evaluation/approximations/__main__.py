"""Time and masks of photos in lower precision and from smaller input, in one table.

    python -m evaluation.approximations --model sam2-hiera-micro --set coco:PATH --limit 100

Each photo is encoded in all cases in turn, so that a busy machine slows all of them, and each of
its objects is clicked once at its innermost point.
"""

import argparse
import sys
from collections.abc import Sequence

from evaluation.exit_status import exit_status
from evaluation.images.photos import EXPECTED, all_photos, open_photo_sets
from sam2_hf.errors import DataError

from .approximations import APPROXIMATIONS, BASE, ApproximationScores, as_table, measure_photo

MIN_AREA = 0.01  # of the photo; smaller objects are left out
EVERY = 10  # photos between two tables


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.approximations", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--model", default="sam2-hiera-micro", help="folder, Hub id or bundled name"
    )
    parser.add_argument("--set", action="append", required=True, metavar="SET", help=EXPECTED)
    parser.add_argument("--limit", type=int, default=100, help="photos at most")
    parser.add_argument(
        "--cases",
        nargs="+",
        default=list(APPROXIMATIONS),
        choices=list(APPROXIMATIONS),
        metavar="NAME",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the cases; print the table after every few photos."""
    options = build_parser().parse_args(arguments)
    return exit_status(lambda: run(options), "nothing was kept.")


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    if options.limit < 1:
        raise DataError(f"--limit is {options.limit}; it must be at least 1.")
    sets = open_photo_sets(options.set, MIN_AREA)
    names = list(dict.fromkeys((BASE, *options.cases)))
    models = {name: APPROXIMATIONS[name].load(options.model) for name in names}
    found = {name: ApproximationScores() for name in names}
    done = 0
    for photos, item in all_photos(sets):
        photo = photos.photo(item)
        if photo is None:
            continue
        measure_photo(photo, models, found, done)
        done += 1
        if done % EVERY == 0 or done == options.limit:
            sys.stdout.write(f"\n{done} photos\n\n{as_table(found)}")
            sys.stdout.flush()
        if done == options.limit:
            return
    if not done:
        raise DataError("there is no photo with an object of at least 1 % of it.")
    if done % EVERY:
        sys.stdout.write(f"\n{done} photos\n\n{as_table(found)}")


if __name__ == "__main__":
    sys.exit(main())
