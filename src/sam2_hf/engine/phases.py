"""The three phases of the paper's data engine, and the time that a person spends on a masklet."""

from collections.abc import Mapping
from dataclasses import dataclass

EXAMINE_S, FRAMES_EXAMINED = 30.0, 300.0  # seconds to watch so many frames
FIND_S, CLICK_S = 1.0, 1.5  # seconds to find what to click on a frame, and for each click


@dataclass(frozen=True, slots=True)
class Phase:
    """One way to make masklets, from a mask on every frame to clicks with memory.

    Attributes:
        name: Its name.
        seconds_per_frame: What the paper's annotators took for a frame, over all frames.
        edited: Fraction of the frames that they edited.
        clicks: Clicks on an edited frame.
        propagates: Whether masks are carried to frames without a prompt.
        refines: Whether clicks reach the tracker, and correct the mask of a frame. If not, a frame
            is segmented from its clicks alone, and the tracker gets the mask.

    Source: SAM 2 paper (arXiv 2408.00714), section 5.1 and its table of the phases.
    """

    name: str
    seconds_per_frame: float
    edited: float
    clicks: float
    propagates: bool = True
    refines: bool = True


PHASES: Mapping[str, Phase] = {
    phase.name: phase
    for phase in (
        Phase("phase1", 37.8, 1.0, 4.80, propagates=False, refines=False),
        Phase("phase2", 7.4, 0.2325, 3.61, refines=False),
        Phase("phase3", 4.5, 0.1904, 2.68),
    )
}
DEFAULT_PHASE = "phase3"


def review_seconds(num_frames: int, clicks_by_frame: Mapping[int, int]) -> float:
    """Estimate the time of a person who watches a masklet once and corrects some frames.

    Args:
        num_frames: Frames of the masklet.
        clicks_by_frame: Number of clicks on each corrected frame.

    Source: SAM 2 paper, appendix on interactive evaluation, online mode.
    """
    watching = EXAMINE_S * num_frames / FRAMES_EXAMINED
    return watching + sum(FIND_S + CLICK_S * clicks for clicks in clicks_by_frame.values())
