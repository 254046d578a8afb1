"""`sam2-hf everything` on a clip: find and track everything in a video."""

import argparse
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sam2_hf.cli.tracking.track_outputs import Outcome, TrackOutputs
from sam2_hf.cli.tracking.track_plan import TrackPlan, measure_video, stem_of
from sam2_hf.cli.tracking.track_run import TrackState
from sam2_hf.cli.tracking.video_job import run_job
from sam2_hf.errors import FrameError
from sam2_hf.everything.everything_tracker import EverythingTracker
from sam2_hf.everything.options import VideoEverythingOptions
from sam2_hf.everything.tracks import EverythingState
from sam2_hf.interruption import Interruption
from sam2_hf.overlay import DrawnPrompts
from sam2_hf.pipelines.everything_options import EverythingOptions
from sam2_hf.pipelines.video_mask_generation import VideoMaskGenerationPipeline
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.session import VideoSession
from sam2_hf.writers.masklet_json import VideoFacts

from .console import note
from .model_choice import ChosenVideoModel, choose_video_model
from .output_files import prepare_folder
from .progress import FrameProgress

NOTHING = (
    "nothing was found: no mask was good and stable enough, so lower --pred-iou-thresh and "
    "--stability-score-thresh"
)


def find_in_video(arguments: argparse.Namespace) -> int:
    """Find and track everything, and write the results that `--save` lists.

    Raises:
        PromptError: An option has an unusable value.
        VideoError: The video cannot be read.
        SessionError: The run to resume was started by another command.
        OutputError: The results cannot be written.
    """
    path = Path(arguments.video)
    options = options_of(arguments)
    VideoMaskGenerationPipeline.check_options(**options)  # before anything is loaded
    size, num_frames = measure_video(path, arguments.value_range)
    plan = TrackPlan(
        video=path.absolute().name,
        height=size[0],
        width=size[1],
        num_frames=num_frames,
        prompts=tuple(f"{name}={value}" for name, value in sorted(options.items())),
        model="",
        dtype=arguments.dtype or "float32",
        direction="forward",
        start=0,
        limit=None,
        no_overlap=options.get("layout") == "panoptic",
        value_range=arguments.value_range,
    )
    prepare_folder(arguments.out)
    stem = stem_of(path)
    state = TrackState(arguments.out / f".{stem}_everything.state")
    outputs = TrackOutputs(arguments.save, f"{stem}_everything", arguments.out, state.staged)
    chosen = choose_video_model(arguments)
    job = EverythingJob(path, replace(plan, model=chosen.name), options, state)
    return run_job(arguments, job, outputs, chosen)


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the pipeline that were given."""
    known = {
        field.name for kind in (EverythingOptions, VideoEverythingOptions) for field in fields(kind)
    }
    return {name: value for name, value in vars(arguments).items() if name in known}


@dataclass(slots=True, eq=False)
class EverythingJob:
    """Everything in one video.

    Attributes:
        video: File or folder.
        plan: The plan.
        options: Options of the pipeline.
        state: State on disk.
        tracker: The tracker, once the session is open.
    """

    video: Path
    plan: TrackPlan
    options: dict[str, Any]
    state: TrackState
    tracker: EverythingTracker | None = None

    def open_session(self, chosen: ChosenVideoModel, *, resume: bool) -> VideoSession:
        """Start with an empty session, or resume an earlier run.

        Raises:
            SessionError: The earlier run did something else, or its files are damaged.
            OutputError: The state cannot be written.
        """
        generate = VideoMaskGenerationPipeline(
            chosen.model,
            **self.options,
            spill_folder=self.state.spill_folder,
            value_range=self.plan.value_range,
        )
        if self.state.may_resume(self.plan, resume=resume):
            session: VideoSession = Sam2VideoInferenceSession.load(
                self.state.session_folder, self.video, chosen.model
            )
            known = EverythingState.from_json(self.state.progress.everything)
            finder = generate.finder()
            self.tracker = EverythingTracker(session, finder, generate.options, known)
        else:
            self.state.begin(self.plan)
            self.tracker = generate.open(self.video)
        self.state.everything = self.tracker.state.to_json
        return self.tracker.session

    def track(self, session: VideoSession, stop: Interruption) -> Outcome:
        """Find and track on the remaining frames. An unreadable frame ends the run.

        Raises:
            FrameError: No frame could be tracked.
            StopRequestedError: Ctrl-C.
            OutputError: The disk is full; the last save is valid.
        """
        state, tracker = self.state, self._opened()
        with FrameProgress("everything", self.plan.num_frames, len(state.journal)) as bar:
            if state.progress.run == 0:
                state.end_run(state.keep(tracker.run(), session, stop, bar))
            rate = bar.rate if bar.counted else 0.0
        failure = state.progress.failure
        if not len(state.journal):
            raise FrameError(failure or f"no frame of {self.video} could be read.")
        state.save(session)
        self._tell_limits()
        return Outcome(rate, failure, len(state.journal))

    def facts(self, session: VideoSession, name: str) -> VideoFacts:
        """Return the video's metadata for the results."""
        plan, fps = self.plan, session.frames.fps
        ids = {found.object_id for tracked in self.state.journal for found in tracked.objects}
        return VideoFacts(
            name=name,
            size=(plan.height, plan.width),
            num_frames=plan.num_frames,
            fps=None if fps is None else float(fps),
            model=plan.model,
            object_ids=tuple(sorted(ids)),
        )

    def drawn_on(self, frame: int) -> DrawnPrompts | None:
        """Return no prompts: masks of key frames are not drawn as such."""
        return None

    def more_facts(self) -> dict[str, Any]:
        """Return scene cuts, and the frames to review that were noted while tracking."""
        known = self._opened().state.to_json()
        return {"scene_cuts": known["cuts"], "frames_to_review": known["notes"]}

    def _tell_limits(self) -> None:
        """Say what was not found, and why."""
        state = self._opened().state
        if state.full_on is not None:
            most = self._opened().options.max_objects
            note(
                f"from frame {state.full_on} on masks were left out, since {most} objects are "
                "tracked at most; --max-objects sets another number."
            )
        if state.next_id == 1:
            note(f"{NOTHING}.")

    def _opened(self) -> EverythingTracker:
        if self.tracker is None:
            raise RuntimeError("the session is not open yet")
        return self.tracker
