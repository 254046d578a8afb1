"""Masklets found in a video, collected frame by frame, in RAM and beyond a budget in a file."""

from collections.abc import Mapping, Sequence

from sam2_hf.closing import Closing
from sam2_hf.frames.base import Frames
from sam2_hf.video.frame_result import FrameResult
from sam2_hf.video.masklet import Masklet, MaskletStore
from sam2_hf.video.review import FrameToReview, ReviewRules, frames_to_review
from sam2_hf.video.session import VideoSession
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.storage.record_store import RecordStore

from .tracks import EverythingState


class FoundMasklets(Closing):
    """The masklets of a run, also of objects that the session has forgotten.

    It has the attributes of a tracked session that results read.

    Args:
        session: The session of the run; it is closed by `settle`.
        state: State of the run, which is still updated.

    Attributes:
        frames: The video: length, times and size.
        options: Options of the session.
        visited: Frames that were added, in order.
    """

    def __init__(self, session: VideoSession, state: EverythingState) -> None:
        self.frames: Frames = session.frames
        self.options: SessionOptions = session.options
        self.visited: list[int] = []
        self._session = session
        self._state = state
        budget, folder = self.options.ram_budget, self.options.spill_folder
        self._store = RecordStore(ram_budget=budget, folder=folder)
        self._masklets: dict[int, MaskletStore] = {}

    @property
    def object_ids(self) -> tuple[int, ...]:
        """All objects, in the order in which they were found."""
        return tuple(sorted(self._masklets))

    @property
    def size(self) -> tuple[int, int] | None:
        """`(height, width)` of the frames."""
        return self.frames.size

    @property
    def num_frames(self) -> int | None:
        """Frames of the video; None for an iterator that has not ended."""
        return self.frames.num_frames

    @property
    def scene_cuts(self) -> Sequence[int]:
        """Frames on which a scene begins, without the first of the video."""
        return tuple(self._state.cuts)

    def add(self, result: FrameResult) -> None:
        """Add the result of a frame.

        Raises:
            OutputError: The disk is full.
        """
        self.visited.append(result.frame)
        masks, iou, scores = result.masks, result.iou, result.object_score
        for number in result.object_ids:
            if number not in self._masklets:
                self._masklets[number] = MaskletStore(number, self._store, result.size)
            self._masklets[number].put(result.frame, masks[number], iou[number], scores[number])

    def masklet(self, object_id: int) -> Masklet:
        """Return the masks of an object."""
        return self._masklets[object_id].masklet

    def masklets(self) -> Mapping[int, Masklet]:
        """Return the masks of all objects, by id."""
        return {number: self.masklet(number) for number in self.object_ids}

    def frames_to_review(self, rules: ReviewRules | None = None) -> list[FrameToReview]:
        """List the frames for human review, worst first; see [`ReviewRules`]."""
        found = self.masklets().values()
        return frames_to_review(found, rules=rules, noted=self._state.notes)

    def settle(self) -> None:
        """Close the session, whose memories are not needed any more."""
        self._session.close()

    def close(self) -> None:
        """Free the masks and close the session."""
        self._session.close()
        self._store.close()
