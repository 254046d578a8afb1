"""Measurement of the bundled model: one click on photos, one mask on clips, beside baselines.

    python -m evaluation.micro --data PATH --out runs/micro

PATH holds bsds500/, coco128/ and davis16-half/. Photos: one click at the innermost point of every
segment of at least 1 % of the picture, the mask with the highest predicted IoU, mean IoU over all
segments. Clips: the true mask on the first frame, J&F on the others but the last. Masks are
compared at full size. `scores.json` holds every number, `scores.md` the tables; an interrupted run
resumes with the next set.
"""

import argparse
import sys
from pathlib import Path

from evaluation.comparison.measurement_plan import baseline_jobs, carry_out, model_jobs
from evaluation.comparison.model_answers import ModelGuesser, ModelTracker, Pipelines
from evaluation.exit_status import exit_status
from evaluation.measured_model import describe_model
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL

from .pictures import write_pictures
from .sets import bsds_set, coco_set, davis_set
from .table import as_markdown

PICTURES = 12


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = model_parser("micro", __doc__, "scores and pictures go here")
    parser.add_argument("--baselines-only", action="store_true", help="measure baselines only")
    parser.add_argument(
        "--pictures",
        type=int,
        nargs="?",
        const=PICTURES,
        metavar="N",
        help=f"instead of measuring, draw N photos of each set ({PICTURES}), and the clips",
    )
    return parser


def model_parser(program: str, text: str, out: str) -> argparse.ArgumentParser:
    """Build a parser with the common options of programs that measure a small model.

    Args:
        program: Name of the program's module.
        text: Its description; the first line is used.
        out: Help text of the output.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m evaluation.{program}", description=text.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with bsds500/ and others")
    parser.add_argument("--out", type=Path, required=True, help=out)
    parser.add_argument(
        "--model", default=SMALL_MODEL, help=f"folder, Hub id or bundled name ({SMALL_MODEL})"
    )
    parser.add_argument("--device", help="cpu, cuda, ...; a GPU if available")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Measure, or draw, and print the paths of the results."""
    options = build_parser().parse_args(arguments)
    work = measure if options.pictures is None else draw
    stopped = f"finished sets are kept in {options.out}"
    return exit_status(lambda: work(options), stopped)


def measure(options: argparse.Namespace) -> None:
    """Measure every set, the model first, which takes a minute or two."""
    photo_sets, clips = [bsds_set(options.data), coco_set(options.data)], davis_set(options.data)
    jobs, model = [], None
    if not options.baselines_only:
        loaded = Pipelines.load(options.model, options.device)
        model = describe_model(options.model, loaded.track.model)
        answers = ModelGuesser(loaded.segment), ModelTracker(loaded.track)
        jobs = model_jobs(photo_sets, clips, model, answers)
    jobs += baseline_jobs(photo_sets, clips)
    scores = carry_out(jobs, model, options.out)
    sys.stdout.write(as_markdown(scores))
    sys.stderr.write(f"written to {options.out / 'scores.json'} and scores.md beside it\n")


def draw(options: argparse.Namespace) -> None:
    """Draw predictions beside the truth."""
    photo_sets, clips = [bsds_set(options.data), coco_set(options.data)], davis_set(options.data)
    loaded = Pipelines.load(options.model, options.device)
    for path in write_pictures(photo_sets, clips, loaded, options.pictures, options.out):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    sys.exit(main())
