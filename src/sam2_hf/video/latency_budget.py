"""Latency budget of a live stream: frames that come late get the masks of the last one."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from sam2_hf.errors import OutputError

from .frame_result import FrameOutput, FrameResult
from .masklet import MaskletStore
from .propagation import FrameRequest
from .session_options import SessionOptions
from .tracked_object import TrackedObject
from .tracking_model import TrackingModel

MOST_BEHIND = 8.0  # budgets; so many frames in a row are repeated at most
LEAST_PAUSE_S = 0.01  # between two frames; less is how long calls take


class StreamTracker(Protocol):
    """What is asked of the session's tracker."""

    options: SessionOptions
    objects: Mapping[int, TrackedObject]

    @property
    def model(self) -> TrackingModel:
        """The model."""

    def segment(self, request: FrameRequest) -> tuple[FrameResult, OutputError | None]:
        """Segment a frame."""

    def result(self, frame: int, outputs: dict[int, FrameOutput]) -> FrameResult:
        """Combine outputs."""

    def masklet_store(self, obj: TrackedObject) -> MaskletStore:
        """Return the masklet store of an object."""


class LatencyBudget:
    """How far tracking is behind, and the last result; neither is saved or copied.

    Every frame earns its budget, or the time since the last one if that is longer.

    Args:
        clock: Returns seconds; `time.perf_counter` if None.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or time.perf_counter
        self._start_s = self._clock()
        self._end_s = math.inf  # of the last frame
        self._behind = 0.0  # budgets
        self._last: FrameResult | None = None
        self._last_state: list[object] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Start a copied or unpickled session without delay."""
        return LatencyBudget, ()

    def begin(self) -> None:
        """Note that a frame has come; decoding prompts before `segment` takes time as well."""
        self._start_s = self._clock()

    def segment(
        self, tracker: StreamTracker, request: FrameRequest
    ) -> tuple[FrameResult, OutputError | None]:
        """Segment a frame of a stream, or repeat the last masks if it is late.

        Arguments, results and errors are those of `Tracker.segment`.
        """
        budget_s = tracker.options.latency_budget
        if budget_s is None:
            self._restart()
            return tracker.segment(request)
        pause_s = self._start_s - self._end_s
        if pause_s > LEAST_PAUSE_S:  # each frame has earned one budget already
            self._behind -= max(pause_s / budget_s - 1, 0.0)
        last = self._last if self._behind > 0 else None
        if last is not None and self._may_repeat(tracker, request.frame):
            self._behind -= 1
            result, error = _repeat(tracker, last, request.frame)
        else:
            result, error = tracker.segment(request)
            taken = (self._clock() - self._start_s) / budget_s
            self._behind = min(max(self._behind, 0.0) + taken - 1, MOST_BEHIND)
            self._last, self._last_state = result, _state_of(tracker)
        self._end_s = self._clock()
        return result, error

    def _restart(self) -> None:
        """Forget what earlier frames have taken and shown."""
        self._end_s, self._behind = math.inf, 0.0
        self._last, self._last_state = None, []

    def _may_repeat(self, tracker: StreamTracker, frame: int) -> bool:
        """Tell whether tracking would start from the last result, and no prompt is on a frame."""
        return self._last_state == _state_of(tracker) and all(
            obj.state(frame).is_empty for obj in tracker.objects.values()
        )


def _repeat(
    tracker: StreamTracker, last: FrameResult, frame: int
) -> tuple[FrameResult, OutputError | None]:
    """Make the last masks those of a frame; return the first error of a full disk as well."""
    shown = tracker.result(frame, {})
    result = replace(last, frame=frame, origin=shown.origin, prompted=shown.prompted)
    errors: list[OutputError] = []
    for number in last.object_ids:
        scores = last.iou[number], last.object_score[number]
        try:
            tracker.masklet_store(tracker.objects[number]).put(frame, last.masks[number], *scores)
        except OutputError as error:
            errors.append(error)
    return result, errors[0] if errors else None


def _state_of(tracker: StreamTracker) -> list[object]:
    """List what masks are made from; a change replaces entries, which are equal by identity."""
    found: list[object] = [tracker.options, tracker.model]
    for obj in tracker.objects.values():
        found += [obj, *obj.frames.items(), *obj.bank.prompted.items(), obj.bank.references]
        found += obj.directions  # tracked frames: another call may have segmented one
    return found
