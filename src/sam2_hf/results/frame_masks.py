"""The result of one frame of a finished video."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from PIL import Image

from sam2_hf.overlay import DrawnPrompts

from .found_object import FoundObject, Origin
from .picture_masks import PictureMasks
from .polygons import Ring


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FrameMasks(PictureMasks):
    """Masks of one frame.

    Attributes:
        frame: Its number, from 0.
        size: `(height, width)` in pixels.
        objects: The objects with a mask.
        origin: Where the frame came from; None if it cannot be read again.
        prompts: Clicks and boxes on this frame; None if there are none.
    """

    IS_TRACKED: ClassVar[bool] = True

    frame: int
    size: tuple[int, int]
    objects: tuple[FoundObject, ...]
    origin: Origin | None
    prompts: DrawnPrompts | None = None

    @property
    def picture_size(self) -> tuple[int, int]:
        """`(height, width)` of the frame."""
        return self.size

    @property
    def picture_origin(self) -> Origin | None:
        """Where the frame came from; None if it cannot be read again."""
        return self.origin

    def drawn_prompts(self) -> DrawnPrompts | None:
        """Return the clicks and boxes that `plot` draws.

        Example:
            >>> track = VideoSegmentationPipeline(model)
            >>> found = track(clip, [VideoPrompt(frame=0, object_id=1, clicks=(115, 100))])
            >>> found.on_frame(0).drawn_prompts().clicks
            ((115.0, 100.0, True),)
        """
        return self.prompts

    def found_objects(self) -> list[FoundObject]:
        """List the objects.

        Example:
            >>> track = VideoSegmentationPipeline(model)
            >>> found = track(clip, [VideoPrompt(frame=0, object_id=1, clicks=(115, 100))])
            >>> [item.object_id for item in found.on_frame(2).found_objects()]
            [1]
        """
        return list(self.objects)

    def named(self, names: Mapping[int, str]) -> "FrameMasks":
        """Return the same result with names of objects.

        Example:
            >>> track = VideoSegmentationPipeline(model)
            >>> found = track(clip, [VideoPrompt(frame=0, object_id=1, clicks=(115, 100))])
            >>> found.on_frame(2).named({1: "cup"}).objects[0].name
            'cup'
        """
        named = (
            replace(found, name=names.get(found.object_id, found.name)) for found in self.objects
        )
        return replace(self, objects=tuple(named))


class FrameByFrame(ABC):
    """Conversions of a video's result, one frame at a time.

    All raise `FrameError` if no object has a mask on the frame.
    """

    @abstractmethod
    def on_frame(self, frame: int) -> FrameMasks:
        """Return the result of one frame."""

    def cutout(self, frame: int) -> Image.Image:
        """Cut the objects of a frame out; see [`PictureMasks.cutout`]."""
        return self.on_frame(frame).cutout()

    def polygons(self, frame: int) -> dict[int, list[Ring]]:
        """Outline the masks of a frame, by object id; see [`PictureMasks.polygons`]."""
        return self.on_frame(frame).polygons()

    def to_supervision(self, frame: int) -> Any:  # noqa: ANN401 - supervision may not be installed
        """Make `supervision.Detections` of a frame; their `tracker_id` is the object id."""
        return self.on_frame(frame).to_supervision()

    def to_fiftyone(self, frame: int) -> Any:  # noqa: ANN401 - fiftyone may not be installed
        """Make `fiftyone.Detections` of a frame; their `index` is the object id."""
        return self.on_frame(frame).to_fiftyone()
