"""One video on its way through `sam2-hf track`: begin or go on, track, write."""

from dataclasses import dataclass
from pathlib import Path

from sam2_hf.errors import FrameError, OutputError
from sam2_hf.pipelines.masklet_files import VideoFacts
from sam2_hf.pipelines.tracked_frames import TrackedFrame
from sam2_hf.video.session import Sam2VideoInferenceSession
from sam2_hf.video.session_options import SessionOptions

from .interruption import Interruption
from .messages import note, one_line
from .model_choice import ChosenVideoModel
from .progress import FrameProgress
from .track_outputs import FrameNames, FrameWriter, TrackOutputs
from .track_plan import Run, TrackPlan
from .track_report import Outcome
from .track_state import TrackState
from .video_prompts import VideoPrompts


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

    def open_session(self, chosen: ChosenVideoModel, *, resume: bool) -> Sam2VideoInferenceSession:
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

    def track(self, session: Sam2VideoInferenceSession, stop: Interruption) -> Outcome:
        """Visit all frames that are left. An unreadable frame ends a run, not the others.

        Raises:
            FrameError: Not one frame could be tracked.
            StopAskedError: Somebody pressed Ctrl-C; everything up to here is in the state.
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

    def write(
        self, outputs: TrackOutputs, session: Sam2VideoInferenceSession, stop: Interruption
    ) -> None:
        """Write what is drawn frame by frame; frames are read a second time for that.

        Raises:
            StopAskedError: Somebody pressed Ctrl-C.
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

    def facts(self, session: Sam2VideoInferenceSession, name: str) -> VideoFacts:
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
        session: Sam2VideoInferenceSession,
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
