"""A job on one video that can be interrupted: tracking of prompts, or of everything."""

import argparse
import contextlib
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from sam2_hf.cli.console import note
from sam2_hf.cli.model_choice import ChosenVideoModel
from sam2_hf.cli.progress import FrameProgress
from sam2_hf.interruption import INTERRUPTED, Interruption, StopRequestedError
from sam2_hf.overlay import DrawnPrompts
from sam2_hf.video.session import VideoSession
from sam2_hf.writers.frame_journal import FrameJournal
from sam2_hf.writers.masklet_json import VideoFacts
from sam2_hf.writers.track_files import FrameNames, TrackedClip, box_of_all

from .track_outputs import Outcome, TrackOutputs, summarize_objects, tell
from .track_plan import stem_of
from .track_run import TrackState


class VideoJob(Protocol):
    """Work on one video that can be interrupted: tracking prompts, or everything."""

    @property
    def video(self) -> Path:
        """File or folder."""

    @property
    def state(self) -> TrackState:
        """State on disk."""

    def open_session(self, chosen: ChosenVideoModel, *, resume: bool) -> VideoSession:
        """Start, or resume an earlier run."""

    def track(self, session: VideoSession, stop: Interruption) -> Outcome:
        """Track the remaining frames."""

    def facts(self, session: VideoSession, name: str) -> VideoFacts:
        """Return the video's metadata for the results."""

    def drawn_on(self, frame: int) -> DrawnPrompts | None:
        """Return the prompts to draw on a frame."""

    def more_facts(self) -> dict[str, Any]:
        """Return further fields of the report."""


def run_job(
    arguments: argparse.Namespace, job: VideoJob, outputs: TrackOutputs, chosen: ChosenVideoModel
) -> int:
    """Track, write all results, and report; Ctrl-C keeps what is done.

    Args:
        arguments: The command line, with `resume` and `report`.
        job: The work.
        outputs: The results.
        chosen: The model.

    Returns:
        The exit code.

    Raises:
        FrameError: No frame could be tracked.
        SessionError: The run to resume was started by another command.
        OutputError: The results cannot be written.
    """
    state = job.state
    with (
        contextlib.closing(state),
        Interruption() as stop,
        job.open_session(chosen, resume=arguments.resume) as session,
    ):
        try:
            outcome = job.track(session, stop)
            about = job.facts(session, stem_of(job.video))
            unfit = outputs.leave_out_unfit(about.object_ids)
            outputs.begin()
            clip = TrackedClip(
                about=about,
                frame_names=FrameNames.for_video(job.video),
                source=job.video,
                drawn_on=job.drawn_on,
                box=partial(box_of_all, state.journal),
            )
            write_frames(outputs, clip, state.journal, session, stop)
        except StopRequestedError:
            state.save(session)
            note(
                f"interrupted; {len(state.journal)} frames are kept in {state.folder}. Continue "
                "with the same command and --resume."
            )
            return INTERRUPTED
        outputs.write_tables(clip, state.journal)
        objects, files = summarize_objects(state.journal), outputs.publish()
    state.discard()
    tell(arguments, about, outcome, objects, files, job.more_facts())
    if unfit:
        arguments.report.fail(unfit)
    return arguments.report.code


def write_frames(
    outputs: TrackOutputs,
    clip: TrackedClip,
    journal: FrameJournal,
    session: VideoSession,
    stop: Interruption,
) -> None:
    """Write per-frame results, reading the frames a second time.

    Raises:
        StopRequestedError: Ctrl-C.
        FrameError: A frame can no longer be read.
        OutputError: A file cannot be written.
    """
    if not outputs.has_frames:
        return
    frames = session.frames
    if outputs.needs_pictures:
        frames.expect(journal.frames)
    with FrameProgress("writing", len(journal)) as bar, outputs.frame_writer(clip) as writer:
        for tracked in journal:
            picture = frames.picture(tracked.frame) if outputs.needs_pictures else None
            writer.write(tracked, picture)
            bar.advance()
            stop.check()
