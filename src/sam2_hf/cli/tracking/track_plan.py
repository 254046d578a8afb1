"""Plan of a `sam2-hf track` command, compared when it is resumed."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from sam2_hf.errors import FrameError, PromptError, SessionError
from sam2_hf.frames.open import open_frames
from sam2_hf.processing.value_range import ValueRange
from sam2_hf.video.propagation import PropagationDirection, plan_propagation

from .video_prompts import VideoPrompts


@dataclass(frozen=True, slots=True)
class Run:
    """A sequence of frames to track.

    Attributes:
        direction: Direction of time.
        first: First frame.
        count: Number of frames.
    """

    direction: Literal["forward", "backward"]
    first: int
    count: int

    def frame(self, place: int) -> int:
        """Return the frame at a position."""
        return self.first + (place if self.direction == "forward" else -place)


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """Everything that determines the result of a run.

    Attributes:
        video: File or folder name.
        height: Rows of the video.
        width: Columns of the video.
        num_frames: Frames of the video.
        prompts: Each as text.
        model: Name of the model.
        dtype: Type of its weights.
        direction: Directions to track.
        start: First frame.
        limit: Maximum number of frames in each direction; None means all.
        no_overlap: Whether a pixel belongs to one object at most.
        value_range: Which numbers are black and white; None decides by their type.
        memory_policy: Name of the memory policy.
    """

    video: str
    height: int
    width: int
    num_frames: int
    prompts: tuple[str, ...]
    model: str
    dtype: str
    direction: PropagationDirection
    start: int
    limit: int | None
    no_overlap: bool
    value_range: tuple[float, float] | Literal["full", "percentile"] | None = None
    memory_policy: str = "sam2"

    @classmethod
    def for_video(
        cls,
        arguments: argparse.Namespace,
        prompts: VideoPrompts,
        size: tuple[int, int],
        num_frames: int,
    ) -> "TrackPlan":
        """Make the plan of a command line, without the model's name.

        Raises:
            FrameError: The first frame is beyond the video.
        """
        if arguments.start is not None and arguments.start >= num_frames:
            raise FrameError(
                f"--start {arguments.start} is beyond {arguments.video}, which has {num_frames} "
                f"frame(s): 0 to {num_frames - 1}."
            )
        runs = plan_propagation(
            arguments.start, arguments.limit, arguments.direction, num_frames, prompts.frames
        )
        return cls(
            video=Path(arguments.video).absolute().name,
            height=size[0],
            width=size[1],
            num_frames=num_frames,
            prompts=prompts.described(),
            model="",
            dtype=arguments.dtype or "float32",
            direction=arguments.direction,
            start=runs[0][0].start,
            limit=arguments.limit,
            no_overlap=arguments.no_overlap,
            value_range=arguments.value_range,
            memory_policy=arguments.memory_policy,
        )

    @classmethod
    def from_fields(cls, content: dict[str, Any]) -> "TrackPlan":
        """Restore a plan from JSON of `asdict`.

        Raises:
            SessionError: It was written by another version.
        """
        # missing in earlier versions
        content = {"value_range": None, "memory_policy": "sam2", **content}
        if set(content) != {field.name for field in fields(cls)}:
            raise SessionError(
                "the run to resume was started by another version of sam2-hf. "
                "Leave out --resume to start over."
            )
        bounds = content["value_range"]
        return cls(
            **{
                **content,
                "prompts": tuple(content["prompts"]),
                "value_range": tuple(bounds) if isinstance(bounds, list) else bounds,
            }
        )

    def runs(self) -> list[Run]:
        """List the runs: forward from the start, then backward, as a session's "both"."""
        runs = plan_propagation(self.start, self.limit, self.direction, self.num_frames, ())
        return [Run(direction, frames.start, len(frames)) for frames, direction in runs]

    def require_same(self, now: "TrackPlan") -> None:
        """Refuse to resume another plan.

        Args:
            now: Plan of the current command line.

        Raises:
            SessionError: The plans differ; it lists the differences.
        """
        if differences := list(self._differences(now)):
            raise SessionError(
                f"--resume cannot continue, since the command differs: "
                f"{'; '.join(differences)}. Repeat the earlier command, or leave out --resume to "
                "start over."
            )

    def _differences(self, now: "TrackPlan") -> Iterator[str]:
        before, after = asdict(self), asdict(now)
        for name, value in before.items():
            if name == "prompts" and value != after[name]:
                added = [text for text in after[name] if text not in value]
                gone = [text for text in value if text not in after[name]]
                yield ", ".join(
                    [f"new is {text}" for text in added] + [f"{t} is gone" for t in gone]
                    or ["the prompts are in a different order"]
                )
            elif value != after[name]:
                yield f"{name.replace('_', ' ')} was {value}, is {after[name]}"


def measure_video(path: Path, value_range: ValueRange) -> tuple[tuple[int, int], int]:
    """Read `(height, width)` and the number of frames of a video.

    Raises:
        VideoError: It cannot be read.
        PromptError: It is a stream.
    """
    # Only size and number of frames are read, so any input size will do.
    with open_frames(path, image_size=64, value_range=value_range) as frames:
        size, num_frames = frames.size, frames.num_frames
    if size is None or num_frames is None:
        raise PromptError(f"{path} is a stream; track a video file or a folder of images.")
    return size, num_frames


def stem_of(path: Path) -> str:
    """Return the stem of a video's result files."""
    return path.absolute().stem if path.is_file() else path.absolute().name
