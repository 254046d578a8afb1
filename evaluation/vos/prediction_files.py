"""Predicted masks as PNG files, in the format of the official inference and evaluators.

    OUT/VIDEO/00000.png           a label per pixel, 0 for the background
    OUT/VIDEO/001/00000.png       if objects may overlap: one object, 0 and 1

Suffixes: hw = rows and columns.
"""

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.sets.labeled_video import LabeledVideo
from sam2_hf.atomic_write import atomic_write
from sam2_hf.data.frame_annotations import open_label_map
from sam2_hf.errors import DataError, ImageError
from sam2_hf.video.frame_result import FrameResult
from sam2_hf.writers.mask_png import write_label_png, write_object_png

MaskHw = NDArray[np.bool_]
EPOCH = (1980, 1, 1, 0, 0, 0)  # of archived files, so that equal masks give equal archives


def write_frame(video: LabeledVideo, frame: int, result: FrameResult | None, out: Path) -> None:
    """Write the masks of a frame, empty before the first prompt.

    Raises:
        OutputError: The files cannot be written.
    """
    masks = result.masks if result is not None else {}
    if not video.rules.per_object:
        write_label_png(_file(video, frame, out), masks, video.size)
        return
    empty_hw = np.zeros(video.size, bool)
    for number in video.given:
        write_object_png(_file(video, frame, out, number), masks.get(number, empty_hw))


def read_labels(video: LabeledVideo, frame: int, out: Path) -> NDArray[np.integer]:
    """Read the predicted labels of a frame.

    Raises:
        DataError: The file is missing or damaged, or its size differs from the video.
    """
    return _read(_file(video, frame, out), video.size)


def read_mask(video: LabeledVideo, frame: int, out: Path, number: int) -> MaskHw:
    """Read the predicted mask of an object of a set whose objects may overlap.

    Raises:
        DataError: As in `read_labels`.
    """
    return _read(_file(video, frame, out, number), video.size) > 0


def is_finished(video: LabeledVideo, out: Path) -> bool:
    """Whether every file of a video exists and is complete."""
    try:
        return all(read.shape == video.size for read in map(_opened, files_of(video, out)))
    except (ImageError, DataError):
        return False


def _opened(path: Path) -> NDArray[np.integer]:
    """Read a label map of any size."""
    return open_label_map(str(path))


def files_of(video: LabeledVideo, out: Path) -> Iterator[Path]:
    """List all files of a video's prediction."""
    numbers: Iterable[int | None] = video.given if video.rules.per_object else (None,)
    for number in numbers:
        for frame in range(video.num_frames):
            yield _file(video, frame, out, number)


def zip_for_server(videos: Iterable[LabeledVideo], out: Path, path: Path) -> Path:
    """Archive the predictions of all videos for a server.

    Raises:
        DataError: A prediction is missing.
        OutputError: The archive cannot be written.
    """
    with (
        atomic_write(path) as target,
        zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive,
    ):
        for video in videos:
            for file in files_of(video, out):
                if not file.is_file():
                    raise DataError(f"there is no {file}. Finish the run, then pack it.")
                name = str(file.relative_to(out))
                archive.writestr(zipfile.ZipInfo(name, EPOCH), file.read_bytes())
    return path


def _file(video: LabeledVideo, frame: int, out: Path, number: int | None = None) -> Path:
    folder = out / video.name if number is None else out / video.name / f"{number:03d}"
    return folder / f"{video.row.frame_names[frame]}.png"


def _read(path: Path, size: tuple[int, int]) -> NDArray[np.integer]:
    if not path.is_file():
        raise DataError(f"there is no {path}. Run it again; the video is tracked again.")
    try:
        labels_hw = open_label_map(str(path))
    except ImageError as error:
        raise DataError(f"{path} is damaged ({error}). Remove it and run again.") from error
    if labels_hw.shape != size:
        raise DataError(
            f"{path} is {labels_hw.shape[1]}x{labels_hw.shape[0]} (width x height), its video "
            f"{size[1]}x{size[0]}. Save masks at the size of their video."
        )
    return labels_hw
