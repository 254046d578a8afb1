"""`sam2-hf track --camera`: follow objects through a camera's pictures until Ctrl-C."""

import argparse
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from sam2_hf.errors import FrameError, OutputError, PromptError
from sam2_hf.pipelines.masklet_files import VideoFacts
from sam2_hf.pipelines.tracked_frames import TrackedFrame
from sam2_hf.video.session import Sam2VideoInferenceSession
from sam2_hf.video.session_options import SessionOptions

from .camera import Camera, open_camera
from .interruption import Interruption
from .messages import one_line
from .model_choice import choose_video_model
from .progress import FrameProgress
from .track_outputs import FrameNames, FrameWriter, TrackOutputs
from .track_report import Outcome, tell
from .track_state import TrackState
from .video_prompts import VideoPrompts

Timed = tuple[NDArray[np.uint8], float | None]


def track_camera(arguments: argparse.Namespace, prompts: VideoPrompts) -> int:
    """Track until Ctrl-C, `--limit` or the end of the camera, then write the results.

    Raises:
        PromptError: A prompt does not fit the camera's pictures.
        VideoError: There is no such camera.
        OutputError: The results cannot be written.
    """
    stem = f"camera{arguments.camera}"
    state = TrackState(arguments.out / f".{stem}.state")
    outputs = TrackOutputs(arguments.outputs, stem, arguments.out, state.staged)
    outputs.check(prompts.object_ids)
    if arguments.resume or arguments.start or arguments.direction == "backward":
        raise PromptError("a camera cannot go back: leave out --resume, --start and --direction.")
    if arguments.value_range is not None:
        raise PromptError("a camera gives pictures of bytes: leave out --value-range.")
    if prompts.frames != (0,):
        raise PromptError(
            f"a prompt is for frame {prompts.frames[-1]}; with a camera all must be for frame 0, "
            "its first picture."
        )
    with open_camera(arguments.camera) as camera:
        prompts.check(camera.size, 1, "the camera's first picture")
        chosen = choose_video_model(arguments)
        state.discard()
        options = SessionOptions(non_overlap_masks=arguments.no_overlap, keep="window")
        try:
            with Sam2VideoInferenceSession.open(None, chosen.model, options=options) as session:
                outcome = _follow(camera, session, prompts, arguments.limit, outputs, state)
            seen = len(state.journal)
            about = VideoFacts(stem, camera.size, seen, None, chosen.name, prompts.object_ids)
            outputs.write_tables(about, state.journal)
            files = outputs.publish()
        except OutputError as error:
            raise OutputError(
                f"{one_line(error)} What was tracked so far stays in {state.folder}."
            ) from error
        except BaseException:
            state.discard()
            raise
        state.discard()
        return tell(about, seen, outcome, files)


def _follow(
    camera: Camera,
    session: Sam2VideoInferenceSession,
    prompts: VideoPrompts,
    limit: int | None,
    outputs: TrackOutputs,
    state: TrackState,
) -> Outcome:
    """Track picture after picture; write what is made frame by frame on the way."""
    failure = ""
    with (
        Interruption() as stop,
        FrameProgress("tracking", limit) as bar,
        FrameWriter(outputs, prompts, FrameNames(), None) as writer,
    ):
        try:
            for picture_hw3, time_s in islice(_until(camera.pictures(), stop), limit):
                result = session.step(picture_hw3)
                if result.frame == 0:
                    prompts.give_to(session)
                    result = session.preview(0)
                tracked = TrackedFrame.from_result(result, time_s)
                state.add(tracked)
                writer.write(tracked, camera.size, picture_hw3)
                bar.advance()
        except FrameError as error:
            failure = one_line(error)
        return Outcome(bar.rate, failure)


def _until(pictures: Iterator[Timed], stop: Interruption) -> Iterator[Timed]:
    """Pass pictures on until somebody presses Ctrl-C."""
    for timed in pictures:
        if stop.asked:
            return
        yield timed
