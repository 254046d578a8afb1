"""`sam2-hf label`: many videos become a labeled set."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from transformers.utils import logging

from sam2_hf.cli.console import note, say
from sam2_hf.cli.inputs.sources import read_lines
from sam2_hf.cli.report import CommandReport
from sam2_hf.engine.phases import PHASES
from sam2_hf.engine.prompts.prompt_files import match_prompts, read_prompts
from sam2_hf.engine.ray_run import RayWorkers, work_on_ray
from sam2_hf.engine.reviews import add_reviews, read_review_file
from sam2_hf.engine.set_export import export_set
from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.engine.set_run import FindItems, LaunchedProcesses, work_here
from sam2_hf.engine.set_statistics import SetStatistics, write_page
from sam2_hf.engine.settings import AUTOMATIC, PROMPTS, TEXT, AcceptRules, LabelSettings
from sam2_hf.engine.video_queue import list_videos
from sam2_hf.engine.work_items import open_items, review_items
from sam2_hf.engine.worker import ItemOutcome
from sam2_hf.errors import PromptError
from sam2_hf.interruption import INTERRUPTED, Interruption, StopRequestedError
from sam2_hf.open_vocabulary.labels import EVERY
from sam2_hf.pipelines.loading import DEFAULT_MODEL
from sam2_hf.pipelines.named_models import DEFAULT_DETECTOR

from .label_options import RULES, SEARCH

NAMES_SHOWN = 10  # of videos that prompts are for
SOURCE_OF = {None: AUTOMATIC, "prompts": PROMPTS, "text": TEXT}


def run(arguments: argparse.Namespace) -> int:
    """Label, apply reviews, export and count, as asked for.

    Raises:
        PromptError: An option cannot be used, or a folder has no video.
        DataError: The set, a file of prompts or of reviews cannot be read.
        SessionError: The set was begun with other options.
        CheckpointError: The model cannot be loaded.
        OutputError: Something cannot be written.
    """
    logging.disable_progress_bar()  # of loading weights
    folder = SetFolder(arguments.out, arguments.lease)
    processes = LaunchedProcesses.joined()
    report: CommandReport = arguments.report
    if not processes.is_first:
        arguments.json = False  # one process reports
    try:
        with Interruption() as stop:
            work = _Work(arguments, folder, processes, stop)
            if processes.is_first:
                work.begin()
            processes.wait()
            work.do()
            processes.wait()
            if processes.is_first:
                work.conclude()
    except StopRequestedError:
        note(
            f"interrupted; {len(folder.done())} videos stay in {folder.root}. The same command "
            "continues."
        )
        return INTERRUPTED
    return report.code


class _Work:
    """The steps of the command.

    Args:
        arguments: Of the command line.
        folder: The set.
        processes: Of a launcher.
        stop: Whether to stop.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        folder: SetFolder,
        processes: LaunchedProcesses,
        stop: Interruption,
    ) -> None:
        self._arguments = arguments
        self._folder = folder
        self._processes = processes
        self._stop = stop
        self._total = 0
        self._done: Counter[str] = Counter()

    def begin(self) -> None:
        """Begin the set, or add to it."""
        arguments, folder = self._arguments, self._folder
        lines = [] if arguments.from_file is None else read_lines(arguments.from_file)
        texts = [*arguments.videos, *lines]
        if texts:
            videos = list_videos(texts)
            prompts = {} if arguments.prompts is None else read_prompts(Path(arguments.prompts))
            known = {video.id: video for video in (*folder.queue(), *videos)}
            given, problems = match_prompts(prompts, known.values())
            folder.begin(_settings(arguments), videos, given)
            if problems:
                arguments.report.fail(_without_video(problems), str(arguments.prompts))
        folder.require()
        if not texts:
            _require_unchanged(arguments, folder.settings())
        if arguments.status:
            return
        folder.claims.clear_ended()
        folder.clear_leftovers()
        folder.forget_failures()
        if arguments.review is not None:
            reviews = read_review_file(Path(arguments.review), folder)
            for video_id, listed in reviews.items():
                add_reviews(folder, video_id, listed)

    def do(self) -> None:
        """Label what is open, then apply reviews."""
        if self._arguments.status:
            return
        self._run(open_items)
        if self._arguments.retrack:
            self._run(review_items)

    def conclude(self) -> None:
        """Export, count, and report what failed."""
        arguments, folder = self._arguments, self._folder
        report: CommandReport = arguments.report
        statistics = SetStatistics.of(folder)
        report.total = statistics.videos
        report.model = folder.settings().model
        files = [write_page(folder, statistics)]
        for failure in folder.failures().values():
            report.fail(failure.error, failure.name)
        if arguments.export:
            target = folder.root / "export" if arguments.to is None else Path(arguments.to)
            files += export_set(folder, arguments.export, target, self._stop.check)
        counts = statistics.masklets
        say(
            f"{folder.root}: {statistics.labeled} of {statistics.videos} videos labeled; "
            f"{statistics.num_masklets} masklets: {counts['accepted']} accepted, "
            f"{counts['review']} to review, {counts['rejected']} rejected"
        )
        say("\n".join(f"  {path}" for path in files))
        report.add(str(folder.root), files, statistics=statistics.as_json())

    def _run(self, find_items: FindItems) -> None:
        arguments, folder = self._arguments, self._folder
        self._total, self._done = len(find_items(folder)), Counter()
        if arguments.workers > 1:
            threads = folder.settings().threads
            workers = RayWorkers(arguments.workers, arguments.device, arguments.lease, threads)
            work_on_ray(folder, find_items, workers, check=self._stop.check, on_outcome=self._tell)
            return
        # 8 bits are for CPUs
        own = "cpu" if folder.settings().dtype == "int8" else self._processes.device
        device = arguments.device or own
        work_here(folder, find_items, device, check=self._stop.check, on_outcome=self._tell)

    def _tell(self, outcome: ItemOutcome) -> None:
        """Say what became of an item; each process of a launcher says what it did itself."""
        if outcome.status == "taken":
            return
        self._done[outcome.status] += 1
        more = f": {outcome.text}" if outcome.text else ""
        note(f"{self._done.total()}/{self._total} {outcome.key} {outcome.status}{more}")


def _require_unchanged(arguments: argparse.Namespace, settings: LabelSettings) -> None:
    """Refuse options that a set which is only continued would ignore.

    Raises:
        PromptError: There is one.
    """
    fixed = {
        "prompts": None,
        "text": settings.options.get("text"),
        "detector": settings.options.get("detector"),
        "detection_threshold": settings.options.get("detection_threshold"),
        "detect_every": settings.options.get("detect_every") or 0,
        "model": settings.model,
        "dtype": settings.dtype,
        "phase": settings.phase,
        "max_objects": settings.max_objects,
        "split_frames": settings.split_frames,
        "threads": settings.threads,
        **dict.fromkeys(_names_of_search()),
        **asdict(settings.rules),
    }
    flags = {name: flag for flag, (name, _) in RULES.items()}
    for name, value in fixed.items():
        given = getattr(arguments, name)
        if given not in (None, [], value):
            flag = flags.get(name, f"--{name.replace('_', '-')}")
            raise PromptError(
                f"{flag} is for videos that are to be labeled, and there is none. Give the videos, "
                "or leave it out."
            )


def _names_of_search() -> list[str]:
    return sorted(flag[2:].replace("-", "_") for flag in SEARCH)


def _without_video(problems: Mapping[str, str]) -> str:
    """Name the prompts that belong to no video, or to several."""
    first, *others = problems.values()
    names = ", ".join([*problems][1 : 1 + NAMES_SHOWN])
    more = " ..." if len(others) > NAMES_SHOWN else ""
    return f"{first} The same is true of {len(others)} more: {names}{more}" if others else first


def _require_compatible(
    arguments: argparse.Namespace, named: str | None, search: Sequence[str]
) -> None:
    """Refuse options that the given source of masklets would ignore or cannot do.

    Args:
        arguments: Of the command line.
        named: The option that names the objects, "prompts" or "text".
        search: Names of the options of the search that are given.

    Raises:
        PromptError: There is one.
    """
    if named is not None and search:
        raise PromptError(
            f"--{search[0].replace('_', '-')} is for masklets that are found, and "
            f"--{named} names the objects. Leave one out."
        )
    if named == "text" and arguments.phase is not None and not PHASES[arguments.phase].propagates:
        raise PromptError(
            f"{arguments.phase} does not track, and what is found by --text is tracked. Choose "
            "another --phase."
        )


def _detect_every(arguments: argparse.Namespace) -> int | None:
    """Read how often new objects are looked for; None is only on the first frame."""
    return EVERY if arguments.detect_every is None else arguments.detect_every or None


def _settings(arguments: argparse.Namespace) -> LabelSettings:
    """Read the settings of a set from the options."""
    rules = {
        field.name: getattr(arguments, field.name)
        for field in fields(AcceptRules)
        if getattr(arguments, field.name) is not None
    }
    given = {name: getattr(arguments, name) for name in _names_of_search()}
    options = {name: value for name, value in given.items() if value is not None}
    named = "prompts" if arguments.prompts is not None else "text" if arguments.text else None
    _require_compatible(arguments, named, [*options])
    if arguments.text:
        options = {
            "text": arguments.text,
            "detector": arguments.detector or DEFAULT_DETECTOR,
            "detection_threshold": arguments.detection_threshold,
            "detect_every": _detect_every(arguments),
        }
    chosen: dict[str, Any] = {
        "phase": arguments.phase,
        "max_objects": arguments.max_objects,
        "split_frames": arguments.split_frames,
        "threads": arguments.threads,
    }
    return LabelSettings(
        model=arguments.model or DEFAULT_MODEL,
        dtype=arguments.dtype,
        source=SOURCE_OF[named],
        options=options,
        rules=AcceptRules(**rules),
        **{name: value for name, value in chosen.items() if value is not None},
    )
