r"""Semi-supervised evaluation: track every object of a data set, and score the masks.

    accelerate launch -m evaluation.run_vos --model ./sam2.1-tiny --dataset davis17-val \
        --root ~/DAVIS --out runs/davis

By default objects are prompted with their true masks, as in the semi-supervised protocol. Masks go
to OUT/masks as PNG files, scores to scores.json and scores.md, the worst frames to worst.png. A
stopped run resumes when started again: finished videos are kept. `--memory-policy` tracks with
another rule of memory, and `--session-option` with other options. If true masks are not public,
OUT/submission.zip is for the set's server.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from tqdm import tqdm

from evaluation.sets.labeled_video import LabeledVideo
from evaluation.sets.open_set import VideoSet, open_set
from evaluation.sets.set_rules import DATA_SETS
from evaluation.vos.given_prompts import PROMPTS
from evaluation.vos.prediction_files import is_finished, write_frame, zip_for_server
from evaluation.vos.results import save_scores, video_files
from evaluation.vos.scoring import score_video
from evaluation.vos.shares import share_of
from evaluation.vos.tracking import session_options, track_video
from evaluation.vos.worst_frames import draw_worst
from sam2_hf import Sam2VideoModel
from sam2_hf.video.session_options import MEMORY_POLICIES

from .exit_status import exit_status
from .loaded_model import add_model_options, load_model
from .published import J_AND_F
from .run_settings import SCORES_FILE, TABLE_FILE, WORST_PICTURE, RunSettings
from .shared_run import add_set_options, join_processes, named_value, share_out

MASKS = "masks"


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line; nothing here touches a GPU."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.run_vos", description=__doc__.splitlines()[0]
    )
    add_model_options(parser)
    add_set_options(parser, list(DATA_SETS), "masks and scores")
    parser.add_argument("--prompt", choices=PROMPTS, default="mask", help="kind of prompt")
    parser.add_argument(
        "--memory-policy",
        default="sam2",
        metavar="NAME",
        help=f"{', '.join(MEMORY_POLICIES)}, or two of them joined by +; the published figures "
        "are of sam2",
    )
    parser.add_argument(
        "--session-option",
        dest="session_options",
        action="append",
        default=[],
        type=named_value,
        metavar="NAME=VALUE",
        help="another option of the session, such as approximate=true",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Track and score a set, and print the paths of the results."""
    options = build_parser().parse_args(arguments)
    stopped = f"finished videos stay in {options.out}. Run it again to continue"
    return exit_status(lambda: run(options), stopped)


def run(options: argparse.Namespace) -> None:
    """Process a share of the videos; the first process then combines all scores."""
    videos = open_set(options.dataset, options.root, options.videos, dict(options.set_options))
    loaded = load_model(options, join_processes().device)
    settings = loaded.settings(
        "vos",
        options.dataset,
        videos.fingerprint(),
        options.prompt,
        session_options(videos.rules, **changes_of(options)),
    )
    share_out(
        loaded,
        settings,
        options.out,
        lambda state: _do_share(videos, loaded.model, options, state),
        lambda: _finish(videos, settings, options.out),
    )


def changes_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the session options of the command line."""
    return {"memory_policy": options.memory_policy, **dict(options.session_options)}


def _do_share(
    videos: VideoSet, model: Sam2VideoModel, options: argparse.Namespace, state: PartialState
) -> None:
    """Track and score a share of the videos."""
    listed = videos.objects()
    work = [len(numbers) * num_frames for _, numbers, num_frames in listed]
    mine = share_of(work, state.process_index, state.num_processes)
    frames = sum(listed[index][2] for index in mine)
    with tqdm(total=frames, unit="frame", disable=not state.is_main_process) as bar:
        for index in mine:
            video = videos[index]
            bar.set_description(video.name)
            _track_and_score(video, model, options, bar)


def _track_and_score(
    video: LabeledVideo, model: Sam2VideoModel, options: argparse.Namespace, bar: tqdm
) -> None:
    """Track and score a video, unless done before."""
    masks, scores = options.out / MASKS, video_files(options.out)
    if is_finished(video, masks):
        bar.update(video.num_frames)
    else:
        scores.forget(video.name)
        first = min(video.given.values())
        for frame in range(first):
            write_frame(video, frame, None, masks)
        bar.update(first)
        session = session_options(video.rules, **changes_of(options))
        for result in track_video(video, model, options.prompt, session):
            write_frame(video, result.frame, result, masks)
            bar.update()
    if video.rules.is_public and scores.load(video.name) is None:
        scores.save(video.name, score_video(video, masks))


def _finish(videos: VideoSet, settings: RunSettings, out: Path) -> None:
    """Combine the scores of all videos, or pack a submission for a server."""
    if not videos.rules.is_public:
        path = zip_for_server(videos, out / MASKS, out / "submission.zip")
        sys.stdout.write(f"{path}: the true masks are not public; upload it to the set's server\n")
        for name, value in J_AND_F.get(settings.data_set, {}).items():
            sys.stdout.write(f"{name}, published: {value}\n")
        return
    scored = video_files(out).load_all(videos.names)
    save_scores(out, settings, scored, videos.unseen())
    draw_worst(videos, scored, out / MASKS, out / WORST_PICTURE)
    sys.stdout.write((out / TABLE_FILE).read_text(encoding="utf-8"))
    sys.stderr.write(f"written to {out / SCORES_FILE}, {TABLE_FILE} and {WORST_PICTURE} there\n")


if __name__ == "__main__":
    sys.exit(main())
