"""Offline and online protocol: which frame the user corrects next, and the time it takes.

Objects are independent. On the first frame an object gets a click at its center and then some at
the center of the error; later frames get as many at the center of the error.

Offline, the whole video is tracked again after each round, and the user goes to the frame with the
lowest IoU. Online, the user watches once and stops at the first frame with a low IoU; earlier
frames are final.

Source: SAM 2 paper (arXiv 2408.00714), appendix on interactive evaluation. It does not specify
    whether a frame may be clicked twice (not here), the score of an absent object without
    prediction (IoU 1), and the scored frames (all on which the object is annotated).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.metrics.frames import MaskAccuracy, MaskHw, score_frame
from evaluation.metrics.masklets import MaskletValues
from evaluation.sets.labeled_video import LabeledVideo
from evaluation.vos.given_prompts import click_once
from sam2_hf import SessionOptions, VideoSession

FRAMES_EXAMINED = 300.0  # in EXAMINE_S
EXAMINE_S, FIND_S, CLICK_S = 30.0, 1.0, 1.5
Mode = Literal["offline", "online"]


@dataclass(frozen=True, slots=True)
class InteractiveRules:
    """Rules of the simulated user.

    Attributes:
        mode: "offline" or "online".
        clicks: Clicks on each clicked frame.
        frames: Maximum number of clicked frames; each is a round.
        threshold: Online, frames with an IoU below it are clicked.
    """

    mode: Mode = "offline"
    clicks: int = 3
    frames: int = 8
    threshold: float = 0.75

    def seconds(self, rounds: int, num_frames: int) -> float:
        """Estimate the user's time.

        Args:
            rounds: Number of clicked frames.
            num_frames: Of the video, which is watched in every round offline, and once online.
        """
        watching = EXAMINE_S * num_frames / FRAMES_EXAMINED
        clicking = FIND_S + CLICK_S * self.clicks
        if self.mode == "offline":
            return (watching + clicking) * rounds
        return watching + clicking * rounds


def interactive_options() -> SessionOptions:
    """Return the options of the official evaluation, but keep corrections of tracked frames."""
    return SessionOptions.preset(
        "official", apply_postprocessing=False, add_all_frames_to_correct_as_cond=True
    )


@dataclass(frozen=True, slots=True)
class ClickRound:
    """Result of one more clicked frame.

    Attributes:
        frame: The clicked frame.
        values: J and F of all frames on which the object is annotated, after it.
    """

    frame: int
    values: MaskletValues


def interact(
    session: VideoSession, video: LabeledVideo, number: int, rules: InteractiveRules
) -> Iterator[ClickRound]:
    """Segment an object, round by round.

    Args:
        session: A session on the video with `interactive_options`, without prompts.
        video: The video.
        number: The object.
        rules: The rules.

    Returns:
        The rounds; fewer than `rules.frames` if no frame needs further clicks.
    """
    first = video.given[number]
    counting = [annotated for annotated in video.annotated_for(number) if annotated >= first]
    scores: dict[int, MaskAccuracy] = {}
    clicked: list[int] = []
    frame: int | None = first
    while frame is not None and len(clicked) < rules.frames:
        truth = {number: _truth(video, frame, number)}
        for _ in range(rules.clicks):
            click_once(session, frame, truth)
        clicked.append(frame)
        start = first if rules.mode == "offline" else frame
        for result in session.propagate(start):
            if result.frame in counting:
                true_hw = _truth(video, result.frame, number)
                scores[result.frame] = score_frame(true_hw, result.masks[number])
        yield ClickRound(frame, MaskletValues(tuple(scores[annotated] for annotated in counting)))
        frame = _next_frame(scores, clicked, rules)


def _truth(video: LabeledVideo, frame: int, number: int) -> MaskHw:
    """Read the true mask of an object; empty where it is absent."""
    return video.masks(frame).get(number, np.zeros(video.size, np.bool_))


def _next_frame(
    scores: dict[int, MaskAccuracy], clicked: list[int], rules: InteractiveRules
) -> int | None:
    """Choose the next frame to click; None if there is none."""
    if rules.mode == "online":
        low = (
            frame
            for frame, score in sorted(scores.items())
            if frame > clicked[-1] and score.j < rules.threshold
        )
        return next(low, None)
    left = [frame for frame in sorted(scores) if frame not in clicked and scores[frame].j < 1]
    return min(left, key=lambda frame: scores[frame].j, default=None)
