"""`sam2-hf track`: track the objects of clicks, boxes, masks or names through a video."""

import argparse
import contextlib
from dataclasses import replace
from pathlib import Path

from sam2_hf.errors import PromptError
from sam2_hf.frames.open import open_frames
from sam2_hf.interruption import INTERRUPTED, Interruption, StopRequestedError

from .console import note
from .model_choice import choose_detector, choose_video_model
from .output_files import prepare_folder
from .track_camera import track_camera
from .track_outputs import TrackOutputs, summarize_objects, tell
from .track_plan import TrackPlan
from .track_run import TrackState, VideoTracking
from .video_prompts import VideoPrompts


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
    value_range = arguments.value_range
    # Only size and number of frames are read, so any input size will do.
    with open_frames(path, image_size=64, value_range=value_range) as frames:
        size, num_frames = frames.size, frames.num_frames
    if size is None or num_frames is None:
        raise PromptError(f"{path} is a stream; track a video file or a folder of images.")
    prompts.check(size, num_frames, path.name)
    plan = TrackPlan.for_video(arguments, prompts, size, num_frames)
    prepare_folder(arguments.out)
    stem = path.absolute().stem if path.is_file() else path.absolute().name
    state = TrackState(arguments.out / f".{stem}.state")
    outputs = TrackOutputs(arguments.save, stem, arguments.out, state.staged)
    outputs.check(prompts.object_ids)
    chosen = choose_video_model(arguments)
    detector = None if prompts.text is None else choose_detector(arguments)
    tracking = VideoTracking(path, replace(plan, model=chosen.name), prompts, state, detector)
    with (
        contextlib.closing(state),
        Interruption() as stop,
        tracking.open_session(chosen, resume=arguments.resume) as session,
    ):
        try:
            outcome = tracking.track(session, stop)
            outputs.check(tracking.prompts.object_ids)
            outputs.begin()
            clip = tracking.clip(session, stem)
            tracking.write(outputs, clip, session, stop)
        except StopRequestedError:
            state.save(session)
            note(
                f"interrupted; {len(state.journal)} frames are kept in {state.folder}. Continue "
                "with the same command and --resume."
            )
            return INTERRUPTED
        about = clip.about
        outputs.write_tables(clip, state.journal)
        objects, files = summarize_objects(state.journal), outputs.publish()
    state.discard()
    return tell(arguments, about, outcome, objects, files)
