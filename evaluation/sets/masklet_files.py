"""Videos with their masklets in a JSON file beside each, as in SA-V's training set.

ROOT/**/sav_1.mp4, sav_1_manual.json         or the frames in sav_1/00000.jpg, ...
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sam2_hf import rle
from sam2_hf.data.coco_masks import read_segments, read_segments_file
from sam2_hf.data.config import SourceConfig
from sam2_hf.data.rows import ClipRow
from sam2_hf.data.sav import read_sav
from sam2_hf.errors import DataError, VideoError
from sam2_hf.frames.video_file import VideoFile

from .listed_names import require_known
from .video_rows import VideoRow


def read_masklets(root: Path, only: Sequence[str] = ()) -> list[VideoRow]:
    """List the videos below a folder that have masklets, with those.

    Args:
        root: The folder.
        only: Ids of videos to take; all if empty.

    Raises:
        DataError: There are none, a file is damaged, or a video of `only` is not there.
        MissingPackageError: There are video files, and PyAV is not installed.
    """
    rows = [ClipRow.from_columns(columns) for columns in read_sav(SourceConfig("sav", str(root)))]
    require_known(only, [row.name for row in rows], str(root))
    return [_row(row) for row in rows if not only or row.name in only]


def _row(files: ClipRow) -> VideoRow:
    frame_names = _frame_names(files)
    frames = read_segments_file(files.segments_file, files.every)
    annotated = [one.number for one in frames]
    if annotated[-1] >= len(frame_names):
        raise DataError(
            f"{files.segments_file} annotates frame {annotated[-1]}, but {files.name} has "
            f"{len(frame_names)} frames. Get both files again."
        )
    count = max(len(one.segmentations) for one in frames)
    runs: list[list[str | None]] = [[] for _ in range(count)]
    first: dict[int, int] = {}
    size = (0, 0)
    for one in frames:
        objects = read_segments(one.segmentations, (0, 0))
        size = max(size, objects.size)
        for number in objects.areas():
            first.setdefault(number, one.number)
        for number in range(count):
            known = one.segmentations[number] if number < len(one.segmentations) else None
            runs[number].append(None if known is None else _packed(known))
    if not first:
        raise DataError(f"{files.segments_file} has no object that is visible on any frame.")
    return VideoRow(
        files.name,
        frames=[str(one) for one in files.images],
        frame_names=frame_names,
        annotated=annotated,
        object_ids=sorted(first),
        first_frames=[first[number] for number in sorted(first)],
        video_file=files.video or None,
        object_runs=[runs[number] for number in sorted(first)],
        size=size,
    )


def _frame_names(files: ClipRow) -> list[str]:
    """Name all frames; those of a video file as SA-V names them once they are extracted."""
    if not files.video:
        return [Path(str(one)).stem for one in files.images]
    try:
        video = VideoFile(files.video)
    except VideoError as error:
        raise DataError(f"{files.name}: {error}") from error
    video.close()
    return [f"{frame:05d}" for frame in range(video.num_frames)]


def _packed(segmentation: Any) -> str:  # noqa: ANN401 - run lengths, which were read before
    counts = segmentation["counts"]
    return counts if isinstance(counts, str) else rle.to_coco(segmentation)["counts"]
