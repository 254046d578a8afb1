"""A video of a set with its true masks, read frame by frame.

Suffixes: hw = rows and columns, hw3 = with red, green, blue.
"""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2_hf import rle
from sam2_hf.data.frame_annotations import open_label_map, open_rgb
from sam2_hf.errors import DataError
from sam2_hf.frames.video_file import VideoFile

from .set_rules import SetRules
from .video_rows import VideoRow

MaskHw = NDArray[np.bool_]


class LabeledVideo:
    """A video and what is annotated on it; nothing is kept in memory.

    Args:
        row: Where it lies.
        rules: Of its set.
    """

    def __init__(self, row: VideoRow, rules: SetRules) -> None:
        self.row = row
        self.rules = rules

    @property
    def name(self) -> str:
        """Its id."""
        return self.row.video

    @property
    def num_frames(self) -> int:
        """How many frames it has."""
        return len(self.row.frame_names)

    @property
    def annotated(self) -> Sequence[int]:
        """Which frames are annotated, ascending."""
        return self.row.annotated

    def annotated_for(self, number: int) -> list[int]:
        """Tell on which frames, from where it is given on, an object is annotated.

        Of most sets with label maps these are all annotated frames.
        """
        if self.row.object_frames:
            return list(self.row.object_frames[list(self.row.object_ids).index(number)])
        stored = self.row.object_masks or self.row.object_runs
        if not stored:
            return list(self.annotated)
        kept = stored[list(self.row.object_ids).index(number)]
        return [
            frame
            for frame, one in zip(self.annotated, kept, strict=True)
            if one is not None and frame >= self.given[number]
        ]

    @property
    def given(self) -> dict[int, int]:
        """Objects that are given to the tracker, and the frame on which each is."""
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
        if self.row.video_file is not None:
            return self._video.take(frame)()
        return np.asarray(open_rgb(self.row.frames[frame]))

    def masks(self, frame: int) -> dict[int, MaskHw]:
        """Read the true masks of an annotated frame, `(h, w)`; what is not annotated is left out.

        Raises:
            DataError: The frame is not annotated, or a mask has another size than its frame.
        """
        if self.row.object_masks:
            return self._masks_per_object(self._place(frame))
        if self.row.object_runs:
            return self._masks_of_runs(self._place(frame))
        labels_hw = self.labels(frame)
        return {int(one): labels_hw == one for one in np.unique(labels_hw) if one}

    def labels(self, frame: int) -> NDArray[np.integer]:
        """Read the true numbers of an annotated frame, `(h, w)`, 0 for the background.

        Raises:
            DataError: The frame is not annotated, or objects of the set have masks of their own.
        """
        if not self.row.label_maps:
            raise DataError(f"{self.name}: its objects may overlap, so it has no label maps.")
        labels_hw = open_label_map(self.row.label_maps[self._place(frame)])
        self._require_size(labels_hw.shape, frame)
        return (labels_hw > 0).astype(np.uint8) if self.rules.binary else labels_hw

    def _masks_per_object(self, place: int) -> dict[int, MaskHw]:
        numbered = zip(self.row.object_ids, self.row.object_masks, strict=True)
        files = {number: masks[place] for number, masks in numbered}
        masks = {
            number: open_label_map(file) > 0 for number, file in files.items() if file is not None
        }
        for mask_hw in masks.values():
            self._require_size(mask_hw.shape, self.annotated[place])
        return masks

    def _masks_of_runs(self, place: int) -> dict[int, MaskHw]:
        numbered = zip(self.row.object_ids, self.row.object_runs, strict=True)
        self._require_size(self.row.size, self.annotated[place])
        height, width = self.row.size
        masks = {
            number: rle.decode(rle.from_coco({"size": [height, width], "counts": counts}))
            for number, runs in numbered
            if (counts := runs[place]) is not None
        }
        return masks

    @cached_property
    def _video(self) -> VideoFile:
        """The video file; one that is in the table lies in a folder that goes with this video."""
        stored = self.row.video_file
        if isinstance(stored, str):
            return VideoFile(stored)
        path = Path(tempfile.mkdtemp(prefix="sam2_hf_")) / "video"
        weakref.finalize(self, shutil.rmtree, path.parent, ignore_errors=True)
        path.write_bytes(stored or b"")
        return VideoFile(path)

    def _place(self, frame: int) -> int:
        """Tell which of the annotated frames a frame is."""
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
