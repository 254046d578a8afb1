"""Run of a propagation: visit frames one by one, applying prompts given meanwhile."""

from collections.abc import Iterator
from contextlib import closing

from tqdm import tqdm

from sam2_hf.processing.images import ImageSource

from .frame_result import FrameResult
from .propagation import (
    ENDLESS,
    FrameRequest,
    PropagationDirection,
    Runs,
    ToCome,
    begins_backward_from_first,
    plan_propagation,
)
from .session_lock import SessionLock
from .tracked_object import TrackedObject
from .tracker import Tracker


def plan_runs(
    tracker: Tracker,
    objects: list[TrackedObject],
    start: int | None,
    limit: int | None,
    direction: PropagationDirection,
) -> Runs:
    """Plan the runs of some objects; see `VideoSession.propagate`.

    Raises:
        NoPromptError: There is no object, or one has neither a prompt nor a reference.
        FrameError: The first frame does not exist.
        SessionError: The direction is unknown, the limit negative, or the last frame unknown.
    """
    prompted = tracker.registry.require_prompts(objects)
    runs = plan_propagation(start, limit, direction, tracker.frames.num_frames, prompted)
    is_skipped = tracker.options.skip_backward_from_first and begins_backward_from_first(runs)
    return [] if is_skipped else runs


def step_stream(tracker: Tracker, picture: ImageSource, frame: int | None) -> FrameResult:
    """Append a frame to a live stream and track all objects on it; see `VideoSession.step`."""
    frames, encoder = tracker.frames, tracker.encoder
    tracker.latency.begin()
    if frames.is_live:
        tracker.consolidate_prompts()  # before the oldest frame is dropped
    number = frames.append(picture, frame)
    encoder.features.discard(number)
    encoder.require_open()
    tracker.consolidate_prompts()
    result, write_error = tracker.latency.segment(tracker, FrameRequest(number))
    if write_error is not None:
        raise write_error
    return result


def visit_frames(
    tracker: Tracker,
    lock: SessionLock,
    runs: Runs,
    *,
    progress: bool,
    passes_prompted: bool = True,
    only: frozenset[int] | None = None,
) -> Iterator[FrameResult]:
    """Consolidate all prompts, then visit frames; see `VideoSession.propagate`.

    Each step holds the lock and begins with the prompts since the last one: those on frames still
    to come are deferred, the others are applied.

    Args:
        tracker: The session's tracker.
        lock: The session's lock.
        runs: The frames.
        progress: Whether to show a progress bar.
        passes_prompted: As in [`FrameRequest`].
        only: Ids of the objects to segment; all if None.
    """
    only_first = begins_backward_from_first(runs)
    encoder = tracker.encoder  # its frames may be replaced between two steps
    total = sum(len(frames) for frames, _ in runs if frames.stop != ENDLESS)
    bar = tqdm(total=total or None, unit="frame", desc="tracking", disable=not progress)
    with closing(bar):
        with lock:
            encoder.require_open()
            corrections = tracker.consolidate_prompts()
            if passes_prompted:  # as in the original, visited prompted frames are overwritten
                corrections.clear()
        for number, (frames, direction) in enumerate(runs):
            encoder.frames.expect(frames)
            for frame in frames:
                if encoder.frames.may_come(frame):
                    continue  # the caller's numbers of a stream may have gaps
                following = frame + frames.step
                is_known = encoder.frames.num_frames is not None and following in frames
                request = FrameRequest(
                    frame,
                    direction,
                    passes_prompted=passes_prompted,
                    leaves_trace=not only_first,
                    ahead=following if is_known else None,
                    only=only,
                )
                # an iterator may block this thread
                reached = encoder.frames.reaches(frame)
                with lock:
                    encoder.require_open()
                    if not reached:
                        break  # an iterator has ended
                    corrections |= tracker.consolidate_prompts(ToCome(frame, runs[number:]))
                    result, write_error = tracker.segment(request.keeping(corrections))
                bar.update()
                yield result
                if write_error is not None:  # the frame was yielded; the disk is full
                    raise write_error
