"""Latency budget of a live stream: frames that come late get the masks of the last one."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sam2_hf.errors import OutputError

from .frame_result import FrameResult
from .propagation import FrameRequest

if TYPE_CHECKING:
    from .tracker import Tracker


class LatencyBudget:
    """Seconds that tracking is behind, and the last result; neither is saved or copied."""

    def __init__(self) -> None:
        self._behind_s = 0.0
        self._last: FrameResult | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "LatencyBudget":
        """Start a copied session without delay."""
        return LatencyBudget()

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing to pickle but the beginning."""
        return {"_behind_s": 0.0, "_last": None}

    def segment(
        self, tracker: "Tracker", request: FrameRequest
    ) -> tuple[FrameResult, OutputError | None]:
        """Segment a frame of a stream, or repeat the last masks if it is late.

        Arguments, results and errors are those of `Tracker.segment`.
        """
        budget_s, last = tracker.options.latency_budget, self._last
        if budget_s is None:
            return tracker.segment(request)
        if self._behind_s > 0 and last is not None and _may_repeat(tracker, last, request.frame):
            self._behind_s -= budget_s
            shown = tracker.result(request.frame, {})
            return replace(last, frame=request.frame, origin=shown.origin), None
        start = time.perf_counter()
        self._last, error = tracker.segment(request)
        taken_s = time.perf_counter() - start
        self._behind_s = max(self._behind_s, 0.0) + taken_s - budget_s
        return self._last, error


def _may_repeat(tracker: "Tracker", last: FrameResult, frame: int) -> bool:
    """Tell whether the last result has the same objects, and none has a prompt on a frame."""
    objects = tracker.objects
    return last.object_ids == tuple(objects) and all(
        obj.state(frame).is_empty for obj in objects.values()
    )
