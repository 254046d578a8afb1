"""Objects of a file of prompts, before the size and length of their video are known."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sam2_hf import rle
from sam2_hf.data.coco_masks import read_segments
from sam2_hf.engine.video_labels import Box, MaskletPrompt, Point
from sam2_hf.errors import DataError, FrameError
from sam2_hf.frames.image_sequence import list_pictures

PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class GivenPrompt:
    """A prompt as a file has it.

    Attributes:
        frame: Its frame, from 0.
        clicks: Points on the object, and beside it.
        box: Left, top, right, bottom.
        segmentation: COCO's: polygons, or run lengths; None if there is none.
        is_percent: Whether coordinates are percent of the sides, not pixels.
        clock: Number of frames that the file counts in the video, if it differs; 0 for the same.
        stem: Name of its picture without ending; in a folder of pictures it says the frame.
    """

    frame: int
    clicks: tuple[Point, ...] = ()
    box: Box | None = None
    segmentation: Any = None
    is_percent: bool = False
    clock: int = 0
    stem: str = ""

    def on_video(self, size: tuple[int, int], num_frames: int, by: str) -> MaskletPrompt:
        """Convert to pixels and frames of a video.

        Raises:
            FrameError: The video has no such frame.
            DataError: The segmentation is damaged, or has another size.
        """
        frame = self.frame
        if abs(self.clock - num_frames) > 1 and self.clock:
            frame = min(frame * num_frames // self.clock, num_frames - 1)
        elif self.clock:
            frame = min(frame, num_frames - 1)
        if not 0 <= frame < num_frames:
            raise FrameError(
                f"a prompt is for frame {frame}, but the video has {num_frames} frame(s): 0 to "
                f"{num_frames - 1}."
            )
        across, down = (size[1] / PERCENT, size[0] / PERCENT) if self.is_percent else (1.0, 1.0)
        clicks = tuple((x * across, y * down, sign) for x, y, sign in self.clicks)
        box = self.box
        if box is not None:
            box = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
            box = _inside(box, size)
        return MaskletPrompt(frame, clicks, box, self._mask(size), by)

    def _mask(self, size: tuple[int, int]) -> rle.CocoRle | None:
        if self.segmentation is None:
            return None
        objects = read_segments([self.segmentation], size)
        if objects.size != size:
            height, width = objects.size
            raise DataError(
                f"a mask is {width}x{height}, its video {size[1]}x{size[0]} (width x height)."
            )
        return rle.to_coco(rle.encode(objects.mask(0)))


@dataclass(frozen=True, slots=True)
class GivenObject:
    """An object of a video.

    Attributes:
        given: Its prompts.
        name: What it is; None if unknown.
        by: The file.
    """

    given: tuple[GivenPrompt, ...]
    name: str | None = None
    by: str = ""

    def prompts(self, size: tuple[int, int], num_frames: int) -> list[MaskletPrompt]:
        """Return its prompts in pixels and frames of its video.

        Raises:
            FrameError: The video has no such frame.
            DataError: A mask is damaged.
        """
        return [prompt.on_video(size, num_frames, self.by) for prompt in self.given]

    def as_json(self) -> dict[str, Any]:
        """Describe it for a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "GivenObject":
        """Read what `as_json` and JSON made of it."""
        given = []
        for values in content["given"]:
            box = None if values["box"] is None else tuple(values["box"])
            clicks = tuple((x, y, bool(sign)) for x, y, sign in values["clicks"])
            given.append(GivenPrompt(**{**values, "box": box, "clicks": clicks}))
        return cls(tuple(given), content["name"], content["by"])


def frames_of_pictures(given: Sequence[GivenObject], folder: Path | None) -> list[GivenObject]:
    """Put prompts on the frames whose pictures they name.

    Args:
        given: Objects of a video.
        folder: Its folder of pictures; None if it is a file, whose frames are numbered.

    Returns:
        Without stems.

    Raises:
        FrameError: There is no picture of a name.
        VideoError: The folder cannot be read.
    """
    has_stems = any(prompt.stem for item in given for prompt in item.given)
    names = list_pictures(folder) if folder is not None and has_stems else []
    places = {Path(name).stem: frame for frame, name in enumerate(names)}

    def placed(prompt: GivenPrompt) -> GivenPrompt:
        frame = places.get(prompt.stem) if names and prompt.stem else prompt.frame
        if frame is None:
            raise FrameError(
                f"a prompt is for the picture {prompt.stem}, which is not in {folder}: its "
                f"{len(names)} pictures are {names[0]} to {names[-1]}."
            )
        return replace(prompt, frame=frame, stem="")

    return [replace(item, given=tuple(map(placed, item.given))) for item in given]


def trailing_number(stem: str) -> int | None:
    """Read the number that a name ends with, as frames are named; None if there is none."""
    digits = stem[len(stem.rstrip("0123456789")) :]
    return int(digits) if digits else None


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """Cut a box at the edges of the frame; other tools let it stand out."""
    height, width = size
    left, top, right, bottom = box
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
