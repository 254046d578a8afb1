"""What `sam2-hf track` tells in the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sam2_hf.pipelines.masklet_files import VideoFacts

from .exit_codes import DONE, FAILED
from .messages import note, say


@dataclass(frozen=True, slots=True)
class Outcome:
    """How tracking went.

    Attributes:
        rate: Frames per second; 0 if nothing was tracked this time.
        failure: Why it ended before its time; empty if it did not.
    """

    rate: float
    failure: str


def tell(about: VideoFacts, num_tracked: int, outcome: Outcome, files: Sequence[Path]) -> int:
    """Say what was done and where it lies, and what went wrong.

    Returns:
        The exit code.
    """
    objects = f"{len(about.object_ids)} object{'s' if len(about.object_ids) > 1 else ''}"
    speed = f", {outcome.rate:.1f} frames/s" if outcome.rate else ""
    say("\n  ".join([f"{about.name}: {num_tracked} frames, {objects}{speed}", *map(str, files)]))
    if not outcome.failure:
        return DONE
    note(f"error: {outcome.failure} The {num_tracked} frames that could be tracked are written.")
    return FAILED
