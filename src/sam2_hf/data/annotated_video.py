"""A photo or a video with what is annotated on it, read only where it is looked at.

Suffixes: thw3 = frames, rows, columns, red green blue; othw = objects, frames, rows, columns.

The one decoder of rows: pictures, videos and every form of annotation, read when looked at.

Suffixes: hw = rows and columns of a picture.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property

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
    UnitedLabels,
    open_label_map,
    open_rgb,
)
from .rows import ClipRow, StoredPicture


class AnnotatedVideo(ABC):
    """Annotated frames, counted from 0; frames without annotation do not count.

    Attributes:
        name: What the data set calls it.
        num_frames: How many frames are annotated; 1 for a photo.
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
        """Read what is annotated on one frame.

        Raises:
            Sam2Error: It cannot be read.
        """

    def close(self) -> None:
        """Close what is open; nothing by default."""
        return

    @property
    def place(self) -> str:
        """Where it lies, for messages."""
        return self.name


class ClipRecording(AnnotatedVideo):
    """A clip that is in memory already."""

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
    """What a row names.

    Args:
        row: The row.
        opinion: Which of the label maps of a frame counts, where annotators differ; beyond their
            number it begins anew. None takes the objects of all of them.
        unite: Draws the unions of labels of a photo's label map that are objects, too.
    """

    def __init__(
        self, row: ClipRow, opinion: int | None = None, unite: Unite | None = None
    ) -> None:
        self.name = row.name
        self._row = row
        self._opinion = opinion
        self._unite = unite
        self._video: VideoFile | None = None

    @property
    def num_frames(self) -> int:  # type: ignore[override]  # counted when it is asked for
        """See [`AnnotatedVideo`]."""
        row = self._row
        return len(row.label_maps or row.masks or row.segments or self._annotated)

    @property
    def place(self) -> str:
        """Name it, and the file where it begins."""
        first = self._row.video or (self._row.images[0] if self._row.images else "")
        return f"{self.name} ({first})" if isinstance(first, str) and first else self.name

    def picture(self, frame: int) -> Image.Image:
        """See [`AnnotatedVideo.picture`]."""
        number = self._number(frame)
        if self._row.video:
            return Image.fromarray(self._opened_video().take(number)())
        if number >= len(self._row.images):
            raise DataError(
                f"{self.place}: frame {number} is annotated, but there are only "
                f"{len(self._row.images)} pictures. Complete them, or exclude it."
            )
        return open_rgb(self._row.images[number])

    def objects(self, frame: int) -> FrameObjects:
        """See [`AnnotatedVideo.objects`]."""
        row = self._row
        if row.label_maps:
            return self._label_maps(row.label_maps[frame])
        if row.masks:
            return self._masks(row.masks[frame], frame)
        segmentations = self._segments(frame)
        try:
            return read_segments(segmentations, self._size(segmentations, frame))
        except DataError as error:
            raise DataError(f"{row.segments_file or self.place}: {error}") from error

    def close(self) -> None:
        """Close the video file."""
        if self._video is not None:
            self._video.close()
            self._video = None

    @cached_property
    def _annotated(self) -> list[AnnotatedFrame]:
        return read_segments_file(self._row.segments_file, self._row.every)

    def _number(self, frame: int) -> int:
        """Tell which picture an annotated frame is."""
        if self._row.segments_file:
            return self._annotated[frame].number
        return frame * self._row.every if self._row.video else frame

    def _opened_video(self) -> VideoFile:
        if self._video is None:
            self._video = VideoFile(self._row.video)
        return self._video

    def _size(self, segmentations: Sequence[object], frame: int) -> tuple[int, int]:
        """Tell in which `(height, width)` polygons count; run lengths bring their own."""
        if any(self._row.size) or not any(isinstance(one, list) for one in segmentations):
            return self._row.size
        picture = self.picture(frame)
        return picture.height, picture.width

    def _segments(self, frame: int) -> Sequence[object]:
        if self._row.segments_file:
            return self._annotated[frame].segmentations
        return parse_json(self._row.segments[frame], self.place)

    def _label_maps(self, stored: Sequence[StoredPicture]) -> FrameObjects:
        if self._opinion is not None:
            labels_hw = open_label_map(stored[self._opinion % len(stored)])
            if self._unite is not None and self.num_frames == 1:
                return UnitedLabels(labels_hw, self._unite(labels_hw))
            return LabelMap(labels_hw)
        if len(stored) == 1:
            return LabelMap(open_label_map(stored[0]))
        maps = [open_label_map(one) for one in stored]
        masks = [labels_hw == label for labels_hw in maps for label in LabelMap(labels_hw).areas()]
        height, width = maps[0].shape
        return MaskList.of(masks, (height, width))

    def _masks(self, stored: Sequence[StoredPicture], frame: int) -> MaskList:
        found: list[NDArray[np.bool_] | None] = [
            open_label_map(one) != 0 if one else None for one in stored
        ]
        sizes = {mask_hw.shape for mask_hw in found if mask_hw is not None}
        if len(sizes) > 1:
            raise DataError(f"{self.place}: masks of frame {frame} have sizes {sorted(sizes)}.")
        height, width = sizes.pop() if sizes else self.picture(frame).size[::-1]
        empty = np.zeros((height, width), np.bool_)
        return MaskList.of([empty if one is None else one for one in found], (height, width))
