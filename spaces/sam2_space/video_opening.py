"""Opening a visitor's video: checked first, with little memory and a folder for the rest."""

from pathlib import Path

from sam2_hf.errors import VideoError
from sam2_hf.video.session import Sam2VideoInferenceSession

from .file_places import SPILL
from .limits import Limits
from .space_model import SpaceModel
from .video_work import VideoWork

RAM_BUDGET = 64 * 2**20  # bytes of a visit's session; the rest of it lies in its folder


def open_video(path: Path, name: str, model: SpaceModel, limits: Limits, folder: Path) -> VideoWork:
    """Open a video; nothing is decoded but its first frame.

    Args:
        path: The file; it must stay there.
        name: Beginning of the result files' names.
        model: The model.
        limits: For the video and its objects.
        folder: For the result files and what does not fit into memory; deleted in the end.

    Raises:
        VideoError: It is no video.
        LimitError: It is too large or too long.
    """
    session = _open_session(path, model, limits, folder)
    try:
        work = VideoWork(name, session, model, limits)
        limits.check_length(work.num_frames, work.seconds)
    except BaseException:
        session.close()
        raise
    work.folder = folder
    return work


def _open_session(
    path: Path, model: SpaceModel, limits: Limits, folder: Path
) -> Sam2VideoInferenceSession:
    limits.check_video_file(path)
    spill = folder / SPILL
    spill.mkdir(parents=True, exist_ok=True)
    try:
        return Sam2VideoInferenceSession.open(
            str(path), model.video, ram_budget=RAM_BUDGET, spill_folder=spill
        )
    except VideoError as error:
        raise VideoError(
            "This file is not a video that can be read. Choose an MP4, MOV or WebM video."
        ) from error
