"""A run of `sam2-hf track` on one video: begin or resume, track, write.

Its state on disk survives a kill:

folder/plan.json         what the run does
folder/progress.json     how far the last save is
folder/next.json         how far the save is that is being made
folder/results.jsonl     tracked frames, of which the first bytes count
folder/session/          the session, saved atomically
folder/spill/            what the session keeps on disk
folder/staged/           result files that are not finished
"""

import json
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import FrameError, OutputError, SessionError
from sam2_hf.interruption import Interruption
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.session import VideoSession
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.storage.checkpoint_files import CURRENT
from sam2_hf.writers.frame_journal import FrameJournal, TrackedFrame
from sam2_hf.writers.masklet_json import VideoFacts

from .console import FrameProgress, note, one_line
from .model_choice import ChosenVideoModel
from .track_outputs import FrameNames, FrameWriter, Outcome, TrackOutputs
from .track_plan import Run, TrackPlan
from .video_prompts import VideoPrompts

PLAN, PROGRESS, NEXT = "plan.json", "progress.json", "next.json"
SAVE_EVERY = 20.0  # seconds
SAVE_SHARE = 0.05  # of the time, at most, goes into saving


@dataclass(frozen=True, slots=True)
class Progress:
    """How far tracking is.

    Attributes:
        run: Which of the plan's runs.
        done: Frames of that run that are done.
        journal_bytes: How much of the journal counts.
        failure: Why an earlier run ended before its time; empty if none did.
        session_before: What the session's folder said before the save that this belongs to.
    """

    run: int = 0
    done: int = 0
    journal_bytes: int = 0
    failure: str = ""
    session_before: str = ""

    def check(self, plan: TrackPlan) -> None:
        """Refuse what no run of a plan can have written.

        Raises:
            ValueError: A number is none or out of range, or a text is none.
        """
        runs = plan.runs()
        for name, most in (("run", len(runs)), ("done", plan.num_frames), ("journal_bytes", None)):
            value = getattr(self, name)
            if type(value) is not int or value < 0 or (most is not None and value > most):
                raise ValueError(f"{name} is {value!r}")
        if self.run < len(runs) and self.done > runs[self.run].count:
            raise ValueError(f"{self.done} frames of a run of {runs[self.run].count} are done")
        if not isinstance(self.failure, str) or not isinstance(self.session_before, str):
            raise ValueError("a text is no text")


class TrackState:
    """The folder of one run.

    Args:
        folder: Hidden, beside the results.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.progress = Progress()
        self._journal: FrameJournal | None = None
        self._saved_at = time.monotonic()
        self._save_seconds = 0.0

    @property
    def session_folder(self) -> Path:
        """Where the session is saved."""
        return self.folder / "session"

    @property
    def staged(self) -> Path:
        """Where result files grow."""
        return self.folder / "staged"

    @property
    def spill_folder(self) -> Path:
        """Where the session puts what does not fit into RAM: a save can then link to it."""
        return self.folder / "spill"

    @property
    def exists(self) -> bool:
        """Whether an earlier run left something."""
        return (self.folder / PLAN).is_file()

    @property
    def journal(self) -> FrameJournal:
        """The tracked frames."""
        if self._journal is None:
            path = self.folder / "results.jsonl"
            self._journal = FrameJournal(path, length=self.progress.journal_bytes)
        return self._journal

    def begin(self, plan: TrackPlan) -> None:
        """Start over; what an earlier run left is removed.

        Raises:
            OutputError: The folder cannot be written to.
        """
        self.discard()
        self._write(PLAN, asdict(plan))

    def resume(self, plan: TrackPlan) -> bool:
        """Find out where to go on.

        Returns:
            Whether there is anything to go on with.

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

    def add(self, tracked: TrackedFrame) -> None:
        """Keep a frame that is done.

        Raises:
            OutputError: The disk is full.
        """
        self.journal.add(tracked)
        self.progress = replace(self.progress, done=self.progress.done + 1)

    def end_run(self, failure: str = "") -> None:
        """Go over to the next run of the plan.

        Args:
            failure: Why this one ended early, if it did; the first reason is kept.
        """
        known = self.progress.failure or failure
        self.progress = replace(self.progress, run=self.progress.run + 1, done=0, failure=known)

    def save(self, session: VideoSession) -> None:
        """Save everything, so that `resume` goes on here.

        Raises:
            OutputError: The disk is full; the save before counts.
        """
        began = time.monotonic()
        mark = self._session_mark()
        length = self.journal.secure()
        self.progress = replace(self.progress, journal_bytes=length, session_before=mark)
        self._write(NEXT, asdict(self.progress))
        session.save(self.session_folder)
        (self.folder / NEXT).replace(self.folder / PROGRESS)
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - began

    def save_now_and_then(self, session: VideoSession) -> None:
        """Save if the last time is long ago, measured by how long it took.

        Raises:
            OutputError: The disk is full; the save before counts.
        """
        if time.monotonic() - self._saved_at > max(SAVE_EVERY, self._save_seconds / SAVE_SHARE):
            self.save(session)

    def close(self) -> None:
        """Let go of the journal; what is on the disk stays."""
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
            (self.folder / PLAN).unlink(missing_ok=True)  # first: half a state is none
            if self.folder.exists():
                shutil.rmtree(self.folder)
        except OSError as error:
            raise OutputError(f"cannot remove {self.folder}: {error.strerror or error}.") from error

    def _damaged(self, reason: str) -> SessionError:
        return SessionError(
            f"{self.folder} is damaged ({reason}). Leave out --resume to start over."
        )

    def _latest(self) -> Progress | None:
        """Read how far the last whole save is.

        A process may have been killed right after the session was saved and before that was noted.
        The session's folder has changed then, and what was to be noted counts.
        """
        if (self.folder / NEXT).is_file():
            coming = Progress(**self._read(NEXT))
            if coming.session_before != self._session_mark():
                return coming
        return Progress(**self._read(PROGRESS)) if (self.folder / PROGRESS).is_file() else None

    def _session_mark(self) -> str:
        """Text that identifies a save of the session."""
        current = self.session_folder / CURRENT
        return current.read_text(encoding="utf-8") if current.is_file() else ""

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_atomically(self.folder / name, f"{json.dumps(content, indent=1)}\n".encode())

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not path.is_file():
            raise ValueError(f"{name} is no file")
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError(f"{name} holds a {type(content).__name__}")
        return content


@dataclass(frozen=True, slots=True, eq=False)
class VideoTracking:
    """A video, what to do with it, and how far that is.

    Attributes:
        video: File or folder.
        plan: What to do.
        prompts: What a person pointed at.
        state: What is kept on the disk meanwhile.
    """

    video: Path
    plan: TrackPlan
    prompts: VideoPrompts
    state: TrackState

    def open_session(self, chosen: ChosenVideoModel, *, resume: bool) -> VideoSession:
        """Begin with the prompts, or go on where an earlier run was.

        Raises:
            SessionError: The earlier run did something else, or its files are damaged.
            OutputError: The state cannot be written.
        """
        if resume and self.state.resume(self.plan):
            folder = self.state.session_folder
            return Sam2VideoInferenceSession.load(folder, self.video, chosen.model)
        if resume:
            note("there is nothing to resume; this is the beginning.")
        elif self.state.exists:
            note("what an earlier run left unfinished is dropped; --resume would have gone on.")
        self.state.begin(self.plan)
        options = SessionOptions(
            non_overlap_masks=self.plan.no_overlap,
            spill_folder=self.state.spill_folder,
            value_range=self.plan.value_range,
        )
        session = Sam2VideoInferenceSession.open(self.video, chosen.model, options=options)
        self.prompts.give_to(session)
        return session

    def track(self, session: VideoSession, stop: Interruption) -> Outcome:
        """Visit all frames that are left. An unreadable frame ends a run, not the others.

        Raises:
            FrameError: Not one frame could be tracked.
            StopRequestedError: Ctrl-C; everything up to here is in the state.
            OutputError: The disk is full; the last save counts.
        """
        runs = self.plan.runs()
        total = sum(run.count for run in runs)
        with FrameProgress("tracking", total, len(self.state.journal)) as bar:
            try:
                for run in runs[self.state.progress.run :]:
                    self._visit(run, session, stop, bar)
            except OutputError:
                note(f"what was saved is kept in {self.state.folder}; --resume goes on there.")
                raise
            rate = bar.rate if bar.counted else 0.0
        failure = self.state.progress.failure
        if not len(self.state.journal):
            raise FrameError(failure or f"no frame of {self.video} could be tracked.")
        self.state.save(session)
        return Outcome(rate, failure)

    def write(self, outputs: TrackOutputs, session: VideoSession, stop: Interruption) -> None:
        """Write what is drawn frame by frame; frames are read a second time for that.

        Raises:
            StopRequestedError: Ctrl-C.
            FrameError: A frame can no longer be read.
            OutputError: A file cannot be written.
        """
        if not outputs.has_frames:
            return
        journal, frames = self.state.journal, session.frames
        fps = None if frames.fps is None else float(frames.fps)
        names = FrameNames.for_video(self.video)
        if outputs.needs_pictures:
            frames.expect(journal.frames)
        with (
            FrameProgress("writing", len(journal)) as bar,
            FrameWriter(outputs, self.prompts, names, fps) as writer,
        ):
            for tracked in journal:
                picture = frames.picture(tracked.frame) if outputs.needs_pictures else None
                writer.write(tracked, (self.plan.height, self.plan.width), picture)
                bar.advance()
                stop.check()

    def facts(self, session: VideoSession, name: str) -> VideoFacts:
        """Describe the video for the results.

        Args:
            session: With the frames.
            name: What to call the video.
        """
        plan, fps = self.plan, session.frames.fps
        return VideoFacts(
            name=name,
            size=(plan.height, plan.width),
            num_frames=plan.num_frames,
            fps=None if fps is None else float(fps),
            model=plan.model,
            object_ids=self.prompts.object_ids,
        )

    def _visit(
        self,
        run: Run,
        session: VideoSession,
        stop: Interruption,
        bar: FrameProgress,
    ) -> None:
        """Track the frames of one run that are left."""
        state, failure = self.state, ""
        done = state.progress.done
        try:
            if done < run.count:
                first, left = run.frame(done), run.count - done
                for result in session.propagate(first, left, run.direction):
                    state.add(TrackedFrame.from_result(result, session.frames.time(result.frame)))
                    bar.advance()
                    stop.check()
                    state.save_now_and_then(session)
        except FrameError as error:
            failure = one_line(error)
        state.end_run(failure)
