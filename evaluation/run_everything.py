r"""Unsupervised evaluation: find and track everything without a prompt, and score the masklets.

    accelerate launch -m evaluation.run_everything --model ./sam2.1-tiny --dataset davis17-val \
        --root ~/DAVIS --out runs/everything

True objects are matched to masklets as in DAVIS' unsupervised task; identity switches are counted.
Beside the tracker stands what is done without one: masks of each frame alone, linked by their IoU.
Masklets go to OUT/masklets, scores to scores.json and scores.md. A stopped run resumes when started
again: finished videos are kept.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import PartialState
from tqdm import tqdm

from evaluation.everything.methods import METHODS
from evaluation.everything.results import save_scores, score_files
from evaluation.everything.scoring import score_unprompted
from evaluation.sets.labeled_video import LabeledVideo
from evaluation.sets.open_set import VideoSet, open_set
from evaluation.sets.set_rules import DATA_SETS
from evaluation.vos.shares import share_of
from sam2_hf import Sam2VideoModel, VideoMaskGenerationPipeline
from sam2_hf.errors import DataError
from sam2_hf.writers.frame_journal import FrameJournal

from .exit_status import exit_status
from .loaded_model import add_model_options, load_model
from .run_settings import SCORES_FILE, TABLE_FILE, RunSettings
from .shared_run import add_set_options, join_processes, named_value, share_out

MASKLETS = "masklets"
DEFAULT_METHODS = ("tracked", "linked")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line; nothing here touches a GPU."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.run_everything", description=__doc__.splitlines()[0]
    )
    add_model_options(parser)
    add_set_options(parser, list(DATA_SETS), "masklets and scores")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=list(METHODS),
        default=list(DEFAULT_METHODS),
        help="what to compare (default: tracked linked)",
    )
    parser.add_argument(
        "--with",
        dest="pipeline_options",
        action="append",
        default=[],
        type=named_value,
        metavar="NAME=VALUE",
        help="an option of VideoMaskGenerationPipeline, such as points_per_side=16",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Find, track and score a set, and print the table."""
    options = build_parser().parse_args(arguments)
    stopped = f"finished videos stay in {options.out}. Run it again to continue"
    return exit_status(lambda: run(options), stopped)


def run(options: argparse.Namespace) -> None:
    """Process a share of the videos; the first process then combines all scores."""
    pipeline_options: dict[str, Any] = dict(options.pipeline_options)
    VideoMaskGenerationPipeline.check_options(**pipeline_options)
    videos = open_set(options.dataset, options.root, options.videos, dict(options.set_options))
    if not videos.rules.is_public:
        raise DataError(
            f"the true masks of {options.dataset} are not public, so nothing can be scored here. "
            "Choose another set."
        )
    loaded = load_model(options, join_processes().device)
    settings = replace(
        loaded.settings("everything", options.dataset, videos.fingerprint(), "none"),
        options=pipeline_options,
    )
    share_out(
        loaded,
        settings,
        options.out,
        lambda state: _do_share(videos, loaded.model, options, state),
        lambda: _finish(videos, settings, options),
    )


def _do_share(
    videos: VideoSet, model: Sam2VideoModel, options: argparse.Namespace, state: PartialState
) -> None:
    """Track and score a share of the videos with every method."""
    work = [num_frames for _, _, num_frames in videos.objects()]
    mine = share_of(work, state.process_index, state.num_processes)
    total = len(options.methods) * sum(work[index] for index in mine)
    with tqdm(total=total, unit="frame", disable=not state.is_main_process) as bar:
        for index in mine:
            video = videos[index]
            bar.set_description(video.name)
            for method in options.methods:
                _find_and_score(video, model, method, options, bar)


def _find_and_score(
    video: LabeledVideo,
    model: Sam2VideoModel,
    method: str,
    options: argparse.Namespace,
    bar: tqdm,
) -> None:
    """Run a method on a video and score it, unless done before."""
    scores = score_files(options.out, method)
    if scores.load(video.name) is not None:
        bar.update(video.num_frames)
        return
    path = _journal_path(options.out, method, video)
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = FrameJournal(path, length=0)
    try:
        for tracked in METHODS[method](video, model, dict(options.pipeline_options)):
            journal.add(tracked)
            bar.update()
        journal.secure()
        scores.save(video.name, score_unprompted(video, journal))
    finally:
        journal.close()


def _journal_path(out: Path, method: str, video: LabeledVideo) -> Path:
    return out / MASKLETS / method / f"{video.name}.jsonl"


def _finish(videos: VideoSet, settings: RunSettings, options: argparse.Namespace) -> None:
    """Combine the scores of all videos."""
    scored = {
        method: score_files(options.out, method).load_all(videos.names)
        for method in options.methods
    }
    save_scores(options.out, settings, scored)
    sys.stdout.write((options.out / TABLE_FILE).read_text(encoding="utf-8"))
    sys.stderr.write(f"written to {options.out / SCORES_FILE} and {TABLE_FILE} there\n")


if __name__ == "__main__":
    sys.exit(main())
