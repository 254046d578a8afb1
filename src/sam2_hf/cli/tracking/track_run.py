"""Run of `sam2-hf track` on one video: start or resume, track, write.

Its state on disk survives a kill:

folder/plan.json         plan of the run
folder/progress.json     position of the last save
folder/next.json         position of the save in progress
folder/results.jsonl     tracked frames; only a known number of bytes is valid
folder/session/          the session, saved atomically
folder/spill/            data that the session offloads to disk
folder/staged/           unfinished result files
"""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sam2_hf.atomic_write import write_atomically
from sam2_hf.cli.console import note, one_line
from sam2_hf.cli.model_choice import ChosenVideoModel
from sam2_hf.cli.progress import FrameProgress
from sam2_hf.errors import FrameError, OutputError, SessionError
from sam2_hf.interruption import Interruption
from sam2_hf.open_vocabulary.detection import Detector
from sam2_hf.open_vocabulary.text_tracker import TextTracker
from sam2_hf.overlay import DrawnPrompts
from sam2_hf.processing.prompt_reading import read_box
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.frame_result import FrameResult
from sam2_hf.video.prompts import VideoPrompt
from sam2_hf.video.session import VideoSession
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.storage.checkpoint_files import CURRENT
from sam2_hf.writers.frame_journal import FrameJournal, TrackedFrame
from sam2_hf.writers.masklet_json import VideoFacts

from .track_outputs import Outcome
from .track_plan import Run, TrackPlan
from .video_prompts import FoundBox, VideoPrompts

PLAN, PROGRESS, NEXT = "plan.json", "progress.json", "next.json"
SAVE_EVERY = 20.0  # seconds
SAVE_SHARE = 0.05  # maximum fraction of the time spent on saving


@dataclass(frozen=True, slots=True)
class Progress:
    """Position of tracking.

    Attributes:
        run: Index of the plan's run.
        done: Finished frames of that run.
        journal_bytes: Valid bytes of the journal.
        failure: Why an earlier run ended early; empty if none did.
        session_before: Mark of the session's folder before the save that this belongs to.
        found: What `--text` found so far.
        everything: State of everything-mode; empty if objects are prompted.
    """

    run: int = 0
    done: int = 0
    journal_bytes: int = 0
    failure: str = ""
    session_before: str = ""
    found: tuple[FoundBox, ...] = ()
    everything: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_fields(cls, content: dict[str, Any]) -> "Progress":
        """Restore one from JSON of `asdict`.

        Raises:
            ValueError: A box that was found has another form.
        """
        found = tuple(map(FoundBox.from_fields, content.get("found", ())))
        return cls(**{**content, "found": found})

    def check(self, plan: TrackPlan) -> None:
        """Check that a run of the plan can have written this.

        Raises:
            ValueError: A field has the wrong type or is out of range.
        """
        runs = plan.runs()
        for name, most in (("run", len(runs)), ("done", plan.num_frames), ("journal_bytes", None)):
            value = getattr(self, name)
            if type(value) is not int or value < 0 or (most is not None and value > most):
                raise ValueError(f"{name} is {value!r}")
        if self.run < len(runs) and self.done > runs[self.run].count:
            raise ValueError(f"{self.done} frames of a run of {runs[self.run].count} are done")
        if not isinstance(self.failure, str) or not isinstance(self.session_before, str):
            raise ValueError("a field is not a string")
        if not isinstance(self.everything, dict):
            raise ValueError("the state of everything-mode is not a dictionary")


class TrackState:
    """The folder of one run.

    Args:
        folder: Hidden, beside the results.

    Attributes:
        progress: Position of tracking.
        everything: Returns the state of everything-mode when it is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.progress = Progress()
        self.everything: Callable[[], dict[str, Any]] = dict
        self._journal: FrameJournal | None = None
        self._saved_at = time.monotonic()
        self._save_seconds = 0.0

    @property
    def session_folder(self) -> Path:
        """Folder of the saved session."""
        return self.folder / "session"

    @property
    def staged(self) -> Path:
        """Folder of unfinished result files."""
        return self.folder / "staged"

    @property
    def spill_folder(self) -> Path:
        """Folder for data that the session offloads to disk, so that a save can hard-link it."""
        return self.folder / "spill"

    @property
    def exists(self) -> bool:
        """Whether there is state of an earlier run."""
        return (self.folder / PLAN).is_file()

    @property
    def journal(self) -> FrameJournal:
        """The tracked frames."""
        if self._journal is None:
            path = self.folder / "results.jsonl"
            self._journal = FrameJournal(path, length=self.progress.journal_bytes)
        return self._journal

    def begin(self, plan: TrackPlan) -> None:
        """Start over, removing the state of an earlier run.

        Raises:
            OutputError: The folder cannot be written to.
        """
        self.discard()
        self._write(PLAN, asdict(plan))

    def resume(self, plan: TrackPlan) -> bool:
        """Read the position to resume from.

        Returns:
            Whether there is anything to resume.

        Raises:
            SessionError: The earlier run did something else, or its files are damaged.
        """
        if not self.exists:
            return False
        try:
            TrackPlan.from_fields(self._read(PLAN)).require_same(plan)
            latest = self._latest()
            if latest is not None:
                latest.check(plan)
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from error
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise self._damaged(str(error)) from error
        if latest is not None:
            self.progress = latest
        return latest is not None

    def may_resume(self, plan: TrackPlan, *, resume: bool) -> bool:
        """Read the position to resume from if that is asked for; say if there is none.

        Raises:
            SessionError: As `resume`.
        """
        if resume and self.resume(plan):
            return True
        if resume:
            note("there is nothing to resume; starting from the beginning.")
        elif self.exists:
            note("discarding an earlier unfinished run; --resume would have continued it.")
        return False

    def add(self, tracked: TrackedFrame) -> None:
        """Add a finished frame.

        Raises:
            OutputError: The disk is full.
        """
        self.journal.add(tracked)
        self.progress = replace(self.progress, done=self.progress.done + 1)

    def keep(
        self,
        results: Iterable[FrameResult],
        session: VideoSession,
        stop: Interruption,
        bar: FrameProgress,
    ) -> str:
        """Add frames as they are tracked, and save now and then.

        Returns:
            Why a frame could not be read, which ends the run; empty if all could.

        Raises:
            StopRequestedError: Ctrl-C.
            OutputError: The disk is full.
        """
        try:
            for result in results:
                self.add(TrackedFrame.from_result(result, session.frames.time(result.frame)))
                bar.advance()
                stop.check()
                self.save_now_and_then(session)
        except FrameError as error:
            return one_line(error)
        return ""

    def note_found(self, prompts: Sequence[VideoPrompt]) -> None:
        """Note what `--text` found so far."""
        found = tuple(
            FoundBox(asked.frame, asked.object_id, read_box(asked.box, None, ""), asked.name or "")
            for asked in prompts
        )
        self.progress = replace(self.progress, found=found)

    def end_run(self, failure: str = "") -> None:
        """Advance to the next run of the plan.

        Args:
            failure: Why this one ended early, if it did; the first reason is kept.
        """
        known = self.progress.failure or failure
        self.progress = replace(self.progress, run=self.progress.run + 1, done=0, failure=known)

    def save(self, session: VideoSession) -> None:
        """Save everything for `resume`.

        Raises:
            OutputError: The disk is full; the previous save is valid.
        """
        began = time.monotonic()
        mark = self._session_mark()
        length = self.journal.secure()
        self.progress = replace(
            self.progress, journal_bytes=length, session_before=mark, everything=self.everything()
        )
        self._write(NEXT, asdict(self.progress))
        session.save(self.session_folder)
        (self.folder / NEXT).replace(self.folder / PROGRESS)
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - began

    def save_now_and_then(self, session: VideoSession) -> None:
        """Save if enough time has passed, relative to the duration of a save.

        Raises:
            OutputError: The disk is full; the previous save is valid.
        """
        if time.monotonic() - self._saved_at > max(SAVE_EVERY, self._save_seconds / SAVE_SHARE):
            self.save(session)

    def close(self) -> None:
        """Close the journal; files on disk stay."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def discard(self) -> None:
        """Remove the folder.

        Raises:
            OutputError: Something in it cannot be removed.
        """
        self.close()
        self.progress = Progress()
        try:
            (self.folder / PLAN).unlink(missing_ok=True)  # first, so that partial state is ignored
            if self.folder.exists():
                shutil.rmtree(self.folder)
        except OSError as error:
            raise OutputError(f"cannot remove {self.folder}: {error.strerror or error}.") from error

    def _damaged(self, reason: str) -> SessionError:
        return SessionError(
            f"{self.folder} is damaged ({reason}). Leave out --resume to start over."
        )

    def _latest(self) -> Progress | None:
        """Read the position of the last complete save.

        A process may have been killed after saving the session and before recording it. Then the
        session's folder has changed, and the pending record is the valid one.
        """
        if (self.folder / NEXT).is_file():
            coming = Progress.from_fields(self._read(NEXT))
            if coming.session_before != self._session_mark():
                return coming
        has_one = (self.folder / PROGRESS).is_file()
        return Progress.from_fields(self._read(PROGRESS)) if has_one else None

    def _session_mark(self) -> str:
        """Text that identifies a save of the session."""
        current = self.session_folder / CURRENT
        return current.read_text(encoding="utf-8") if current.is_file() else ""

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_atomically(self.folder / name, f"{json.dumps(content, indent=1)}\n".encode())

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not path.is_file():
            raise ValueError(f"{name} is not a file")
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError(f"{name} holds a {type(content).__name__}")
        return content


@dataclass(frozen=True, slots=True, eq=False)
class VideoTracking:
    """Tracking of one video.

    Attributes:
        video: File or folder.
        plan: The plan.
        asked: The prompts of the command line.
        state: State on disk.
        detector: Of `--text`; None if objects are pointed at.
    """

    video: Path
    plan: TrackPlan
    asked: VideoPrompts
    state: TrackState
    detector: Detector | None = None

    @property
    def prompts(self) -> VideoPrompts:
        """The prompts, with what was found so far."""
        return self.asked.with_found(self.state.progress.found)

    def open_session(self, chosen: ChosenVideoModel, *, resume: bool) -> VideoSession:
        """Start with the prompts, or resume an earlier run.

        Raises:
            SessionError: The earlier run did something else, or its files are damaged.
            OutputError: The state cannot be written.
        """
        if self.state.may_resume(self.plan, resume=resume):
            folder = self.state.session_folder
            return Sam2VideoInferenceSession.load(folder, self.video, chosen.model)
        self.state.begin(self.plan)
        options = SessionOptions(
            non_overlap_masks=self.plan.no_overlap,
            spill_folder=self.state.spill_folder,
            value_range=self.plan.value_range,
            memory_policy=self.plan.memory_policy,
        )
        session = Sam2VideoInferenceSession.open(self.video, chosen.model, options=options)
        self.asked.give_references_to(session)
        self.asked.give_to(session)
        return session

    def track(self, session: VideoSession, stop: Interruption) -> Outcome:
        """Track the remaining frames. An unreadable frame ends its run, not the others.

        Raises:
            FrameError: No frame could be tracked.
            StopRequestedError: Ctrl-C; the state is saved.
            OutputError: The disk is full; the last save is valid.
        """
        runs = self.plan.runs()
        total = sum(run.count for run in runs)
        with FrameProgress("tracking", total, len(self.state.journal)) as bar:
            try:
                for run in runs[self.state.progress.run :]:
                    self._visit(run, session, stop, bar)
            except OutputError:
                note(f"the last save is kept in {self.state.folder}; --resume continues from it.")
                raise
            rate = bar.rate if bar.counted else 0.0
        failure = self.state.progress.failure
        if not len(self.state.journal):
            raise FrameError(failure or f"no frame of {self.video} could be tracked.")
        self.state.save(session)
        return Outcome(rate, failure, len(self.state.journal))

    def facts(self, session: VideoSession, name: str) -> VideoFacts:
        """Return the video's metadata for the results.

        Args:
            session: With the frames.
            name: Name of the video.
        """
        plan, fps = self.plan, session.frames.fps
        return VideoFacts(
            name=name,
            size=(plan.height, plan.width),
            num_frames=plan.num_frames,
            fps=None if fps is None else float(fps),
            model=plan.model,
            object_ids=self.prompts.object_ids,
            names=self.prompts.names,
            prompts=self.prompts.by_object(),
        )

    def drawn_on(self, frame: int) -> DrawnPrompts | None:
        """Return the prompts to draw on a frame."""
        return self.prompts.drawn_on(frame)

    def more_facts(self) -> dict[str, Any]:
        """Return no further fields of the report."""
        return {}

    def _visit(
        self,
        run: Run,
        session: VideoSession,
        stop: Interruption,
        bar: FrameProgress,
    ) -> None:
        """Track the remaining frames of one run."""
        state, failure = self.state, ""
        done = state.progress.done
        if done < run.count:
            results = self._results(session, run, run.frame(done), run.count - done)
            failure = state.keep(results, session, stop, bar)
        state.end_run(failure)

    def _results(
        self, session: VideoSession, run: Run, first: int, left: int
    ) -> Iterator[FrameResult]:
        """Propagate prompts, or look for names on the way."""
        text = self.asked.text
        if text is None or self.detector is None:
            yield from session.propagate(first, left, run.direction)
            return
        tracker = TextTracker(
            session,
            self.detector,
            text.labels,
            every=text.every,
            start=run.first,
            found=[box.as_prompt() for box in self.state.progress.found],
        )
        for result in tracker.propagate(first, left):
            self.state.note_found(tracker.prompts)
            yield result
