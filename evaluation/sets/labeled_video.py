"""Video of a set with its true masks, read frame by frame.

Suffixes: hw = rows and columns, hw3 = with red, green, blue.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sam2_hf.data.annotated_video import RowRecording
from sam2_hf.data.frame_annotations import open_label_map
from sam2_hf.data.rows import VideoRow
from sam2_hf.errors import DataError

from .set_rules import SetRules

MaskHw = NDArray[np.bool_]


class LabeledVideo:
    """A video and its annotations, read lazily.

    Args:
        row: Its row, with prompted objects.
        rules: Rules of its set.
    """

    def __init__(self, row: VideoRow, rules: SetRules) -> None:
        self.row = row
        self.rules = rules
        self._recording = RowRecording(row, annotator=0)

    @property
    def name(self) -> str:
        """Its id."""
        return self.row.name

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.row.frame_names)

    @property
    def annotated(self) -> Sequence[int]:
        """Annotated frames, ascending."""
        return self.row.annotated

    def annotated_for(self, number: int) -> list[int]:
        """List the annotated frames of an object, from its prompt on.

        For most sets with label maps these are all annotated frames.
        """
        numbers = list(self.row.object_ids)
        if self.row.object_frames:
            return list(self.row.object_frames[numbers.index(number)])
        if self.row.label_maps:
            return list(self.annotated)
        column, first = numbers.index(number), self.given[number]
        known = zip(self.annotated, self._known, strict=True)
        return [frame for frame, objects in known if objects[column] and frame >= first]

    @property
    def given(self) -> dict[int, int]:
        """Prompted objects, with the frame of each."""
        return dict(zip(self.row.object_ids, self.row.first_frames, strict=True))

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.picture(0).shape[:2]
        return height, width

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Read a frame, `(h, w, 3)` uint8, RGB.

        Raises:
            ImageError: It is missing or damaged.
        """
        return np.asarray(self._recording.any_picture(frame))

    def masks(self, frame: int) -> dict[int, MaskHw]:
        """Read the true masks of an annotated frame, `(h, w)`, of annotated objects.

        Raises:
            DataError: The frame is not annotated, or a mask's size differs from its frame.
        """
        if not self.row.label_maps:
            return self._masks_per_object(frame)
        labels_hw = self.labels(frame)
        return {int(number): labels_hw == number for number in np.unique(labels_hw) if number}

    def labels(self, frame: int) -> NDArray[np.integer]:
        """Read the true labels of an annotated frame, `(h, w)`, 0 for the background.

        Raises:
            DataError: The frame is not annotated, or objects of the set have separate masks.
        """
        if not self.row.label_maps:
            raise DataError(f"{self.name}: its objects may overlap, so it has no label maps.")
        labels_hw = open_label_map(self.row.label_maps[self._place(frame)][0])
        self._require_size(labels_hw.shape, frame)
        return (labels_hw > 0).astype(np.uint8) if self.rules.binary else labels_hw

    def _masks_per_object(self, frame: int) -> dict[int, MaskHw]:
        place = self._place(frame)
        objects = self._recording.objects(place)
        self._require_size(objects.size, frame)
        known = zip(self.row.object_ids, self._known[place], strict=True)
        there = [(column, number) for column, (number, is_known) in enumerate(known) if is_known]
        return {number: objects.mask(column) for column, number in there}

    @cached_property
    def _known(self) -> list[list[bool]]:
        """For each annotated frame, whether each object is annotated on it."""
        if self.row.masks:
            return [[bool(mask) for mask in masks] for masks in self.row.masks]
        listed = map(self._recording.segmentations, range(len(self.annotated)))
        columns = range(len(self.row.object_ids))
        return [
            [n < len(segments) and segments[n] is not None for n in columns] for segments in listed
        ]

    def _place(self, frame: int) -> int:
        """Return the index of a frame among the annotated ones."""
        if frame not in self.annotated:
            raise DataError(f"{self.name}: frame {frame} is not annotated.")
        return list(self.annotated).index(frame)

    def _require_size(self, shape: Sequence[int], frame: int) -> None:
        if tuple(shape) != self.size:
            raise DataError(
                f"{self.name}, frame {self.row.frame_names[frame]}: the mask is {shape[1]}x"
                f"{shape[0]} (width x height), the frame {self.size[1]}x{self.size[0]}. Get the "
                "files again; masks have the size of their frames."
            )
