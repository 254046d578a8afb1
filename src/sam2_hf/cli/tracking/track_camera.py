"""`sam2-hf track --camera`: track objects through a camera's pictures until Ctrl-C.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_hf.cli.console import one_line
from sam2_hf.cli.model_choice import choose_video_model
from sam2_hf.cli.progress import FrameProgress
from sam2_hf.errors import FrameError, OutputError, VideoError
from sam2_hf.interruption import Interruption
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.session import VideoSession
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.writers.frame_journal import TrackedFrame
from sam2_hf.writers.masklet_json import VideoFacts
from sam2_hf.writers.mp4 import import_av
from sam2_hf.writers.track_files import TrackedClip, TrackFiles

from .track_outputs import Outcome, TrackOutputs, summarize_objects, tell
from .track_run import TrackState
from .video_prompts import VideoPrompts

DEVICE = "/dev/video{}"
FORMAT: str | None = "v4l2"  # the camera API of Linux


class Camera:
    """An open camera; created by `open_camera`.

    Args:
        av: The package.
        container: The open device.
        device: Name of the camera in messages.
    """

    def __init__(self, av: ModuleType, container: Any, device: str) -> None:  # noqa: ANN401
        self._av = av
        self._container = container
        self._device = device
        stream = container.streams.video[0]
        self.size: tuple[int, int] = (stream.height, stream.width)

    def pictures(self) -> Iterator[tuple[NDArray[np.uint8], float | None]]:
        """Yield pictures, `(height, width, 3)`, and their times in seconds, without end.

        Raises:
            FrameError: The camera stopped working.
        """
        try:
            for decoded in self._container.decode(video=0):
                yield decoded.to_ndarray(format="rgb24"), decoded.time
        except self._av.FFmpegError as error:
            raise FrameError(
                f"{self._device} delivers no more pictures: {error.strerror or error}."
            ) from error


@contextlib.contextmanager
def open_camera(number: int) -> Iterator[Camera]:
    """Open a camera, and close it at the end.

    Args:
        number: 0 is the first one.

    Raises:
        MissingPackageError: PyAV is not installed.
        VideoError: There is no such camera, or it is in use or not allowed.
    """
    device = DEVICE.format(number)
    av = import_av()
    if not Path(device).exists():
        known = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
        raise VideoError(
            f"there is no camera {number}: {device} does not exist (found: {known}). Plug one in, "
            "or track a video file. Cameras work on Linux."
        )
    try:
        container = av.open(device, format=FORMAT)
    except av.FFmpegError as error:
        raise VideoError(
            f"camera {number} ({device}) cannot be opened: {error.strerror or error}. Close the "
            "program that uses it, or ask for permission to use it."
        ) from error
    with contextlib.closing(container):
        yield Camera(av, container, device)


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
    outputs = TrackOutputs(arguments.save, stem, arguments.out, state.staged)
    outputs.check(prompts.object_ids)
    with open_camera(arguments.camera) as camera:
        prompts.check(camera.size, 1, "the camera's first picture")
        chosen = choose_video_model(arguments)
        state.discard()
        options = SessionOptions(
            non_overlap_masks=arguments.no_overlap,
            keep="window",
            memory_policy=arguments.memory_policy,
        )
        about = VideoFacts(
            stem,
            camera.size,
            0,
            None,
            chosen.name,
            prompts.object_ids,
            prompts.names,
            prompts.by_object(),
        )
        files_of = TrackedClip(about, drawn_on=prompts.drawn_on)
        try:
            with (
                Sam2VideoInferenceSession.open(None, chosen.model, options=options) as session,
                outputs.frame_writer(files_of) as writer,
            ):
                outcome = _follow(camera, session, prompts, arguments.limit, writer, state)
            seen = len(state.journal)
            about = replace(about, num_frames=seen)
            outputs.write_tables(TrackedClip(about), state.journal)
            objects, files = summarize_objects(state.journal), outputs.publish()
        except OutputError as error:
            raise OutputError(
                f"{one_line(error)} What was tracked so far stays in {state.folder}."
            ) from error
        except BaseException:
            state.discard()
            raise
        state.discard()
        return tell(arguments, about, outcome, objects, files)


def _follow(
    camera: Camera,
    session: VideoSession,
    prompts: VideoPrompts,
    limit: int | None,
    writer: TrackFiles,
    state: TrackState,
) -> Outcome:
    """Track picture by picture, writing per-frame results along the way."""
    failure = ""
    with (
        Interruption() as stop,
        FrameProgress("tracking", limit) as bar,
    ):
        prompts.give_references_to(session)
        try:
            for picture_hw3, time_s in islice(_until(camera.pictures(), stop), limit):
                result = session.step(picture_hw3)
                if result.frame == 0:
                    prompts.give_to(session)
                    result = session.preview(0)
                tracked = TrackedFrame.from_result(result, time_s)
                state.add(tracked)
                writer.write(tracked, picture_hw3)
                bar.advance()
        except FrameError as error:
            failure = one_line(error)
        return Outcome(bar.rate, failure, len(state.journal))


def _until(pictures: Iterator[Timed], stop: Interruption) -> Iterator[Timed]:
    """Yield pictures until Ctrl-C."""
    for timed in pictures:
        if stop.is_requested:
            return
        yield timed
