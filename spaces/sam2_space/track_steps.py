"""How far tracking is, and how far it has to go."""

from collections.abc import Iterable
from dataclasses import dataclass

from sam2_hf.errors import PromptError
from sam2_hf.video.propagation import Course

from .video_prompts import VideoScene


@dataclass(frozen=True, slots=True)
class TrackStep:
    """How far tracking is.

    Attributes:
        frame: The frame that has just been tracked.
        done: Frames so far.
        total: Frames in all.
        rate: Frames per second.
    """

    frame: int
    done: int
    total: int
    rate: float


def count_frames(scene: VideoScene, num_frames: int, direction: Course, start: int | None) -> int:
    """Count the frames that tracking will visit.

    Args:
        scene: What was said; at least one thing.
        num_frames: Frames of the video.
        direction: Which way.
        start: First frame; the first one with a prompt (backward: the last) if None.
    """
    frames = [one.frame for one in scene.said]
    if direction == "backward":
        return (max(frames) if start is None else start) + 1
    first = min(frames) if start is None else start
    return num_frames - (0 if direction == "both" else first)


def require_prompts(scene: VideoScene, object_ids: Iterable[int]) -> None:
    """Refuse to track what nobody points at.

    Raises:
        PromptError: Nothing was pointed at, or an object has lost all that was said about it.
    """
    if not scene.said:
        raise PromptError("There is nothing to track yet. Click an object in a frame first.")
    if empty := sorted(set(object_ids) - set(scene.prompted)):
        raise PromptError(
            f"Object {empty[0]} has no click any more. Click it in a frame, or remove it."
        )
