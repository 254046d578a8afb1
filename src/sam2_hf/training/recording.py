"""A photo or a video with what is annotated on it, read only where it is looked at.

Suffixes: thw3 = frames, rows, columns, red green blue; othw = objects, frames, rows, columns.
"""

from abc import ABC, abstractmethod

import numpy as np
from PIL import Image

from .clips import Clip
from .frame_objects import FrameObjects, MaskList


class Recording(ABC):
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


class ClipRecording(Recording):
    """A clip that is in memory already."""

    def __init__(self, clip: Clip) -> None:
        self.name = clip.name
        self.num_frames = len(clip.frames_thw3)
        self._clip = clip

    def picture(self, frame: int) -> Image.Image:
        """See [`Recording.picture`]."""
        return Image.fromarray(np.ascontiguousarray(self._clip.frames_thw3[frame]))

    def objects(self, frame: int) -> FrameObjects:
        """See [`Recording.objects`]."""
        masks_ohw = self._clip.masks_othw[:, frame]
        height, width = masks_ohw.shape[1:]
        return MaskList.of(list(masks_ohw), (height, width))
