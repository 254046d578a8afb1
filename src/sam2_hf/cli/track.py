"""`sam2-hf track`: track the objects of clicks, boxes, masks or names through a video."""

import argparse
from dataclasses import replace
from pathlib import Path

from sam2_hf.cli.tracking.track_camera import track_camera
from sam2_hf.cli.tracking.track_outputs import TrackOutputs
from sam2_hf.cli.tracking.track_plan import TrackPlan, measure_video, stem_of
from sam2_hf.cli.tracking.track_run import TrackState, VideoTracking
from sam2_hf.cli.tracking.video_job import run_job
from sam2_hf.cli.tracking.video_prompts import VideoPrompts

from .model_choice import choose_detector, choose_video_model
from .output_files import prepare_folder


def run(arguments: argparse.Namespace) -> int:
    """Track, and write the results that `--save` lists.

    Raises:
        PromptError: The prompts cannot be used.
        VideoError: The video cannot be read.
        FrameError: A prompt is for a frame beyond the video.
        SessionError: The run to resume was started by another command.
        OutputError: The results cannot be written.
        CheckpointError: A model cannot be loaded.
        DetectionError: The detector failed.
    """
    prompts = VideoPrompts.from_arguments(arguments)
    if arguments.camera is not None:
        prepare_folder(arguments.out)
        return track_camera(arguments, prompts)
    return _track_video(arguments, prompts)


def _track_video(arguments: argparse.Namespace, prompts: VideoPrompts) -> int:
    path = Path(arguments.video)
    size, num_frames = measure_video(path, arguments.value_range)
    prompts.check(size, num_frames, path.name)
    plan = TrackPlan.for_video(arguments, prompts, size, num_frames)
    prepare_folder(arguments.out)
    stem = stem_of(path)
    state = TrackState(arguments.out / f".{stem}.state")
    outputs = TrackOutputs(arguments.save, stem, arguments.out, state.staged)
    outputs.check(prompts.object_ids)
    chosen = choose_video_model(arguments)
    detector = None if prompts.text is None else choose_detector(arguments)
    tracking = VideoTracking(path, replace(plan, model=chosen.name), prompts, state, detector)
    return run_job(arguments, tracking, outputs, chosen)
