"""Results of tracking: files, the curve of scores, and frames to review.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sam2_hf.atomic_write import write_atomically
from sam2_hf.overlay import object_colors
from sam2_hf.results.labeled_overlay import draw_masklets
from sam2_hf.writers.frame_journal import TrackedFrame
from sam2_hf.writers.mask_png import write_label_png
from sam2_hf.writers.masklet_json import VideoFacts, write_masklets
from sam2_hf.writers.mp4 import VideoWriter, video_writer

from .drawing import color_order
from .video_work import VideoWork

MOST_TO_REVIEW = 8


@dataclass(frozen=True, slots=True)
class VideoFiles:
    """The files of one tracked video.

    Attributes:
        overlay: H.264 video of the tracked frames with their masks.
        masks: Archive of a palette PNG for each of them, with object numbers as values.
        masklets: Run lengths and scores, in the format of SA-V.
    """

    overlay: Path
    masks: Path
    masklets: Path

    @classmethod
    def in_folder(cls, folder: Path, name: str) -> "VideoFiles":
        """Return their paths in a folder."""
        endings = ("_overlay.mp4", "_masks.zip", "_masklets.json")
        return cls(*(folder / f"{name}{ending}" for ending in endings))


def write_video_files(work: VideoWork, files: VideoFiles, model: str) -> Iterator[tuple[int, int]]:
    """Write all result files, frame by frame.

    Args:
        work: The video.
        files: The paths.
        model: Name of the model.

    Yields:
        Number of frames done, and of all.

    Raises:
        OutputError: The disk is full.
        FrameError: The visit has ended.
    """
    frames = work.tracked
    fps = work.session.frames.fps
    with (
        zipfile.ZipFile(files.masks, "w", zipfile.ZIP_STORED) as archive,
        video_writer(files.overlay, fps=float(fps) if fps else None) as video,
    ):
        for done, frame in enumerate(frames, 1):
            _write_frame(work, frame, video, archive)
            yield done, len(frames)
    about = VideoFacts(
        work.name,
        work.size,
        work.num_frames,
        float(fps) if fps else None,
        model,
        tuple(masklet.object_id for masklet in work.masklets()),
    )
    write_masklets(files.masklets, about, [tracked_frame(work, frame) for frame in frames])
    _add_names(work, files.masklets)


def tracked_frame(work: VideoWork, frame: int) -> TrackedFrame:
    """Collect the results of a frame.

    Raises:
        FrameError: The visit has ended.
    """
    with work.reading() as session:
        return TrackedFrame.from_masklets(
            frame, work.masklets(), work.scene.prompted_on(frame), session.frames.time(frame)
        )


def curve(work: VideoWork) -> pd.DataFrame:
    """List predicted IoU by frame and object, for the plot."""
    rows = [
        (frame, round(masklet.iou(frame), 4), f"object {masklet.object_id}")
        for masklet in work.masklets()
        for frame in masklet.frames
    ]
    return pd.DataFrame(rows, columns=["frame", "predicted IoU", "object"])


def curve_colors(most: int) -> dict[str, str]:
    """Return the color of each object's curve, that of its mask."""
    return {
        f"object {number}": "#{:02x}{:02x}{:02x}".format(*color)
        for number, color in enumerate(object_colors(most), 1)
    }


def to_review(work: VideoWork) -> list[tuple[str, int]]:
    """List the frames to review: label and frame."""
    by_frame: dict[int, str] = {}
    for review in work.review():
        text = f"frame {review.frame} · {work.name_of(review.object_id)}: {review.reasons[0]}"
        by_frame.setdefault(review.frame, text)
    return [(text, frame) for frame, text in by_frame.items()][:MOST_TO_REVIEW]


def _add_names(work: VideoWork, path: Path) -> None:
    """Add the visitor's names of objects to the JSON of masklets, if there are any."""
    names = {
        str(masklet.object_id): work.names.get(masklet.object_id) for masklet in work.masklets()
    }
    if any(names.values()):
        content = json.loads(path.read_bytes())
        named = {number: name for number, name in names.items() if name}
        write_atomically(path, json.dumps({**content, "object_names": named}).encode())


def _write_frame(work: VideoWork, frame: int, video: VideoWriter, archive: zipfile.ZipFile) -> None:
    with work.reading() as session:
        tracked = tracked_frame(work, frame)
        picture_hw3 = session.frames.picture(frame)
    masks = tracked.masks()
    video.write(draw_masklets(picture_hw3, masks, color_order(work)), tracked.time_s)
    png = write_label_png(Path(f"{archive.filename}.png"), masks, work.size)
    archive.write(png, f"{frame:05d}.png")
    png.unlink()
