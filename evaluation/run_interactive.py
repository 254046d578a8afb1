r"""Interactive evaluation: segment every object of a set of videos with a simulated user.

    accelerate launch -m evaluation.run_interactive --model ./sam2.1-tiny --dataset davis17-val \
        --root ~/DAVIS --out runs/clicks

Offline, the worst frame of a video is clicked and the whole video is tracked again; online, the
first bad frame is clicked and tracking continues from there. See `evaluation.interactive.protocol`.
J&F by clicked frames go to scores.json, scores.md and curves. A stopped run resumes when started
again: finished objects are kept.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from accelerate import PartialState
from tqdm import tqdm

from evaluation.interactive.drawing import draw_curves
from evaluation.interactive.protocol import InteractiveRules, Mode, interact, interactive_options
from evaluation.interactive.results import ObjectRounds, object_files, save_scores
from evaluation.sets.labeled_video import LabeledVideo
from evaluation.sets.open_set import VideoSet, open_set
from evaluation.sets.set_rules import DATA_SETS, find_rules
from evaluation.vos.shares import share_of
from evaluation.vos.tracking import Pictures
from sam2_hf import Sam2VideoInferenceSession, Sam2VideoModel
from sam2_hf.errors import DataError

from .exit_status import exit_status
from .loaded_model import add_model_options, load_model
from .run_settings import CURVES_PICTURE, SCORES_FILE, TABLE_FILE, RunSettings
from .shared_run import add_set_options, join_processes, share_out

MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class Task:
    """An object to segment with one protocol.

    Attributes:
        mode: The protocol.
        video: Index of its video in the set.
        name: Name of its results.
        number: Id of the object in its video.
        work: Estimated cost: number of tracked frames.
    """

    mode: Mode
    video: int
    name: str
    number: int
    work: int


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line; nothing here touches a GPU."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.run_interactive", description=__doc__.splitlines()[0]
    )
    add_model_options(parser)
    names = [name for name in DATA_SETS if find_rules(name).is_public]
    add_set_options(parser, names, "scores and curves")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--clicks", type=int, default=3, help="clicks on each clicked frame (3)")
    parser.add_argument("--frames", type=int, default=8, help="most clicked frames (8)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Segment and score a set, and print the paths of the results."""
    options = build_parser().parse_args(arguments)
    stopped = f"finished objects stay in {options.out}. Run it again to continue"
    return exit_status(lambda: run(options), stopped)


def run(options: argparse.Namespace) -> None:
    """Process a share of the objects; the first process then combines all scores.

    Raises:
        DataError: An option is out of range, or data cannot be used.
    """
    if min(options.clicks, options.frames) < 1:
        raise DataError(
            f"--clicks is {options.clicks} and --frames {options.frames}. Give 1 or more."
        )
    videos = open_set(options.dataset, options.root, options.videos, dict(options.set_options))
    loaded = load_model(options, join_processes().device)
    prompt = f"{options.clicks} clicks on each of up to {options.frames} frames"
    settings = loaded.settings(
        "interactive", options.dataset, videos.fingerprint(), prompt, interactive_options()
    )
    share_out(
        loaded,
        settings,
        options.out,
        lambda state: _do_share(videos, loaded.model, options, state),
        lambda: _finish(videos, settings, options),
    )


def _tasks(videos: VideoSet, modes: Sequence[Mode], most: int) -> Iterator[Task]:
    """List the tasks, in a fixed order.

    The cost of online tracking is not known in advance; about half as many frames are assumed.
    """
    for mode in modes:
        rounds = most if mode == "offline" else (most + 1) // 2
        for place, (name, numbers, num_frames) in enumerate(videos.objects()):
            for number in numbers:
                yield Task(mode, place, f"{name}-{number}", number, rounds * num_frames)


def _do_share(
    videos: VideoSet, model: Sam2VideoModel, options: argparse.Namespace, state: PartialState
) -> None:
    """Segment a share of the unfinished objects."""
    files = {mode: object_files(options.out, mode) for mode in options.modes}
    tasks = [
        task
        for task in _tasks(videos, options.modes, options.frames)
        if files[task.mode].load(task.name) is None
    ]
    state.wait_for_everyone()  # before any result is saved, or shares would differ
    mine = share_of([task.work for task in tasks], state.process_index, state.num_processes)
    with tqdm(
        total=sum(tasks[place].work for place in mine),
        unit="frame",
        disable=not state.is_main_process,
    ) as bar:
        for task in (tasks[place] for place in mine):
            bar.set_description(f"{task.mode} {task.name}")
            rules = InteractiveRules(task.mode, options.clicks, options.frames)
            found = _segment(videos[task.video], task.number, model, rules)
            files[task.mode].save(task.name, found)
            bar.update(task.work)


def _segment(
    video: LabeledVideo, number: int, model: Sam2VideoModel, rules: InteractiveRules
) -> ObjectRounds:
    options = interactive_options()
    with Sam2VideoInferenceSession.open(Pictures(video), model, options=options) as session:
        return ObjectRounds(video.num_frames, tuple(interact(session, video, number, rules)))


def _finish(videos: VideoSet, settings: RunSettings, options: argparse.Namespace) -> None:
    """Combine the scores of all objects."""
    out: Path = options.out
    tasks = list(_tasks(videos, options.modes, options.frames))
    measured = {
        mode: object_files(out, mode).load_all(task.name for task in tasks if task.mode == mode)
        for mode in options.modes
    }
    rules = {mode: InteractiveRules(mode, options.clicks, options.frames) for mode in measured}
    draw_curves(save_scores(out, settings, measured, rules), out / CURVES_PICTURE)
    sys.stdout.write((out / TABLE_FILE).read_text(encoding="utf-8"))
    sys.stderr.write(f"written to {out / SCORES_FILE}, {TABLE_FILE} and {CURVES_PICTURE} there\n")


if __name__ == "__main__":
    sys.exit(main())
