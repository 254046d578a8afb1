"""Options of everything-mode in videos: how often objects are looked for, and which are new."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from sam2_hf.errors import OptionError, PromptError
from sam2_hf.number_reading import is_finite_number, read_whole, shown

Layout = Literal["overlapping", "panoptic"]
COUNTS = ("key_frame_every", "max_objects", "end_after", "drift_after")
SHARES = ("min_area", "match_iou", "duplicate_iou", "min_new_share")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoEverythingOptions:
    """Options of everything-mode in videos.

    Attributes:
        key_frame_every: Distance of key frames, frames: on these objects are looked for. The first
            frame of a scene is one, too.
        layout: "overlapping" keeps a part and its whole as two objects; "panoptic" assigns each
            pixel to one object at most.
        max_objects: Objects tracked at the same time; of more, those of the best predicted IoU. If
            there is no room for new ones, tracks of objects that are away end early.
        min_area: Masks smaller than this are no objects, fraction of the frame's area (0.0005 is
            154 pixels of 640 x 480).
        match_iou: A key-frame mask of at least this IoU with a tracked mask is the same object.
        duplicate_iou: Masks of at least this IoU are one object. Tracked objects are merged if
            this is so on two key frames in a row; the older id stays.
        min_new_share: A key-frame mask is a new object only if at least this fraction of it lies
            outside all tracked masks.
        end_after: A track ends when its object was out of view for this many key frames. It is
            then no longer tracked from frame to frame, but found again on a key frame if its
            memory segments what a new mask shows.
        drift_after: A track is listed for review when no key-frame mask was the same object for
            this many key frames.
        scene_cuts: Whether scene cuts are looked for; after one, nothing is remembered.

    Raises:
        PromptError: A value cannot be used.

    Example:
        >>> options = VideoEverythingOptions(key_frame_every=5, layout="panoptic")
        >>> options.max_objects
        40
    """

    key_frame_every: int = 10
    layout: Layout = "overlapping"
    max_objects: int = 40
    min_area: float = 0.0005
    match_iou: float = 0.5
    duplicate_iou: float = 0.8
    min_new_share: float = 0.5
    end_after: int = 5
    drift_after: int = 3
    scene_cuts: bool = True

    def __post_init__(self) -> None:
        """Check every value."""
        for name in COUNTS:
            number = read_whole(getattr(self, name))
            if number is None or number < 1:
                raise PromptError(
                    f"{name} is {shown(getattr(self, name))}, it must be a whole number of at "
                    "least 1."
                )
        for name in SHARES:
            value = getattr(self, name)
            if not is_finite_number(value) or not 0 <= value <= 1:
                raise PromptError(f"{name} is {shown(value)}, it must be a number from 0 to 1.")
        if self.layout not in get_args(Layout):
            raise PromptError(
                f"layout is {shown(self.layout)}. Choose one of: {', '.join(get_args(Layout))}."
            )
        if not isinstance(self.scene_cuts, bool):
            raise PromptError(f"scene_cuts is {shown(self.scene_cuts)}, it must be True or False.")

    @classmethod
    def names(cls) -> frozenset[str]:
        """List the options.

        Example:
            >>> "layout" in VideoEverythingOptions.names()
            True
        """
        return frozenset(field.name for field in fields(cls))

    def changed(self, **options: Any) -> "VideoEverythingOptions":
        """Return a copy with other values.

        Raises:
            OptionError: No option has that name.
            PromptError: A value cannot be used.

        Example:
            >>> VideoEverythingOptions().changed(key_frame_every=5).key_frame_every
            5
        """
        for name in options:
            if name not in self.names():
                raise OptionError("everything-mode in videos", name, self.names())
        return replace(self, **options)
