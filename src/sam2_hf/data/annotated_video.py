"""Annotated photos and videos, read lazily.

Rows are decoded here for training and evaluation: pictures, videos and every form of annotation.

Suffixes: t = frames, o = objects, h, w = rows and columns, 3 = red, green, blue.
"""

import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.errors import DataError
from sam2_hf.frames.video_file import VideoFile
from sam2_hf.json_input import parse_json

from .clip import Clip
from .coco_masks import AnnotatedFrame, read_segments, read_segments_file
from .frame_annotations import (
    FrameObjects,
    LabelMap,
    MaskList,
    open_label_map,
    open_rgb,
)
from .rows import StoredPicture, VideoRow


class AnnotatedVideo(ABC):
    """Annotated frames, numbered from 0; frames without annotation are skipped.

    Attributes:
        name: Its name in the data set.
        num_frames: Number of annotated frames; 1 for a photo.
    """

    name: str
    num_frames: int

    @abstractmethod
    def picture(self, frame: int) -> Image.Image:
        """Read one frame, RGB.

        Raises:
            Sam2Error: It cannot be read.
        """

    @abstractmethod
    def objects(self, frame: int) -> FrameObjects:
        """Read the annotation of one frame.

        Raises:
            Sam2Error: It cannot be read.
        """

    def close(self) -> None:
        """Close open files; none by default."""
        return

    @property
    def place(self) -> str:
        """Its location, for messages."""
        return self.name


class ClipRecording(AnnotatedVideo):
    """A clip in memory."""

    def __init__(self, clip: Clip) -> None:
        self.name = clip.name
        self.num_frames = len(clip.frames_thw3)
        self._clip = clip

    def picture(self, frame: int) -> Image.Image:
        """See [`AnnotatedVideo.picture`]."""
        return Image.fromarray(np.ascontiguousarray(self._clip.frames_thw3[frame]))

    def objects(self, frame: int) -> FrameObjects:
        """See [`AnnotatedVideo.objects`]."""
        masks_ohw = self._clip.masks_othw[:, frame]
        height, width = masks_ohw.shape[1:]
        return MaskList.of(list(masks_ohw), (height, width))


Unite = Callable[[NDArray[np.uint8] | NDArray[np.int32]], list[list[int]]]


class RowRecording(AnnotatedVideo):
    """The photo or video of a row.

    Args:
        row: The row.
        annotator: Which of several label maps of a frame to use, modulo their number. None takes
            the objects of all.
        unite: Draws unions of a photo's labels, which count as objects as well.
    """

    def __init__(
        self, row: VideoRow, annotator: int | None = None, unite: Unite | None = None
    ) -> None:
        self.name = row.name
        self._row = row
        self._annotator = annotator
        self._unite = unite
        self._video: VideoFile | None = None

    @property
    def num_frames(self) -> int:  # type: ignore[override]  # counted lazily
        """See [`AnnotatedVideo`]."""
        row = self._row
        return len(row.label_maps or row.masks or row.segments or self._frames_of_file)

    @property
    def place(self) -> str:
        """Its name and first file."""
        first = self._row.video or (self._row.images[0] if self._row.images else "")
        return f"{self.name} ({first})" if isinstance(first, str) and first else self.name

    @property
    def length(self) -> int:
        """Number of frames, annotated or not.

        Raises:
            VideoError: It is a video file that cannot be read.
        """
        return self._opened_video().num_frames if self._row.video else len(self._row.images)

    @cached_property
    def annotated(self) -> Sequence[int]:
        """Indices of the annotated frames among all.

        Raises:
            DataError: The annotation file cannot be read.
        """
        row = self._row
        if row.annotated:
            return row.annotated
        if row.segments_file and not (row.label_maps or row.masks or row.segments):
            return [annotated.number for annotated in self._frames_of_file]
        return [frame * (row.every if row.video else 1) for frame in range(self.num_frames)]

    def picture(self, frame: int) -> Image.Image:
        """See [`AnnotatedVideo.picture`]."""
        number = self.annotated[frame]
        if not self._row.video and number >= len(self._row.images):
            raise DataError(
                f"{self.place}: frame {number} is annotated, but there are only "
                f"{len(self._row.images)} pictures. Add the missing ones, or exclude it."
            )
        return self.any_picture(number)

    def any_picture(self, number: int) -> Image.Image:
        """Read any frame, annotated or not, RGB.

        Raises:
            Sam2Error: It cannot be read.
        """
        if self._row.video:
            return Image.fromarray(self._opened_video().take(number)())
        return open_rgb(self._row.images[number])

    def objects(self, frame: int) -> FrameObjects:
        """See [`AnnotatedVideo.objects`]; objects of masks and segments count from 0."""
        row = self._row
        if row.label_maps:
            return self._label_maps(row.label_maps[frame])
        if row.masks:
            return self._masks(row.masks[frame], frame)
        segmentations = self.segmentations(frame)
        try:
            return read_segments(segmentations, self._size(segmentations, frame))
        except DataError as error:
            raise DataError(f"{row.segments_file or self.place}: {error}") from error

    def segmentations(self, frame: int) -> Sequence[object]:
        """Read the COCO segmentation of each object on an annotated frame.

        Raises:
            DataError: It cannot be read.
        """
        if not self._row.segments:
            return self._frames_of_file[frame].segmentations
        found = parse_json(self._row.segments[frame], self.place)
        if not isinstance(found, list):
            raise DataError(f"{self.place}: segments of a frame are {found!r:.40}, not a list.")
        return found

    def close(self) -> None:
        """Close the video file."""
        if self._video is not None:
            self._video.close()
            self._video = None

    @cached_property
    def _frames_of_file(self) -> list[AnnotatedFrame]:
        path = self._row.segments_file
        return read_segments_file(path, self._row.every) if path else []

    def _opened_video(self) -> VideoFile:
        if self._video is None:
            self._video = VideoFile(self._video_path)
        return self._video

    @cached_property
    def _video_path(self) -> str:
        """Path of the video; one embedded in the table is written to a temporary folder."""
        stored = self._row.video
        if isinstance(stored, str):
            return stored
        path = Path(tempfile.mkdtemp(prefix="sam2_hf_")) / "video"
        weakref.finalize(self, shutil.rmtree, path.parent, ignore_errors=True)
        path.write_bytes(stored)
        return str(path)

    def _size(self, segmentations: Sequence[object], frame: int) -> tuple[int, int]:
        """Return the `(height, width)` of polygons; run lengths carry their own."""
        if any(self._row.size) or not any(
            isinstance(segmentation, list) for segmentation in segmentations
        ):
            return self._row.size
        picture = self.picture(frame)
        return picture.height, picture.width

    def _label_maps(self, stored: Sequence[StoredPicture]) -> FrameObjects:
        if self._annotator is not None:
            labels_hw = open_label_map(stored[self._annotator % len(stored)])
            if self._unite is not None and self.num_frames == 1:
                return LabelMap(labels_hw, self._unite(labels_hw))
            return LabelMap(labels_hw)
        if len(stored) == 1:
            return LabelMap(open_label_map(stored[0]))
        maps = [open_label_map(picture) for picture in stored]
        masks = [labels_hw == label for labels_hw in maps for label in LabelMap(labels_hw).areas()]
        height, width = maps[0].shape
        return MaskList.of(masks, (height, width))

    def _masks(self, stored: Sequence[StoredPicture], frame: int) -> MaskList:
        found: list[NDArray[np.bool_] | None] = [
            open_label_map(picture) != 0 if picture else None for picture in stored
        ]
        sizes = {mask_hw.shape for mask_hw in found if mask_hw is not None}
        if len(sizes) > 1:
            raise DataError(f"{self.place}: masks of frame {frame} have sizes {sorted(sizes)}.")
        height, width = sizes.pop() if sizes else self.picture(frame).size[::-1]
        empty = np.zeros((height, width), np.bool_)
        return MaskList.of([empty if mask is None else mask for mask in found], (height, width))
