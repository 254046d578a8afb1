"""How far tracking is, and how far it has to go."""

from dataclasses import dataclass

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
