"""Latency budget of a live stream: frames that come late get the masks of the last one."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from sam2_hf.errors import OutputError

from .frame_result import FrameOutput, FrameResult
from .propagation import FrameRequest
from .session_options import SessionOptions
from .tracked_object import TrackedObject


class StreamTracker(Protocol):
    """What is asked of the session's tracker."""

    options: SessionOptions
    objects: Mapping[int, TrackedObject]

    def segment(self, request: FrameRequest) -> tuple[FrameResult, OutputError | None]:
        """Segment a frame."""

    def result(self, frame: int, outputs: dict[int, FrameOutput]) -> FrameResult:
        """Combine outputs."""


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
        self, tracker: StreamTracker, request: FrameRequest
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


def _may_repeat(tracker: StreamTracker, last: FrameResult, frame: int) -> bool:
    """Tell whether the last result has the same objects, and none has a prompt on a frame."""
    objects = tracker.objects
    return last.object_ids == tuple(objects) and all(
        obj.state(frame).is_empty for obj in objects.values()
    )
