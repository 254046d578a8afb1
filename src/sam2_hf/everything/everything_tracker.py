"""Everything in a video: a loop over its frames that finds, tracks, ends and finds again.

Suffixes: h, w = rows and columns in pixels of the frame.
"""

from collections.abc import Iterator, Mapping

from sam2_hf import rle
from sam2_hf.errors import SessionError
from sam2_hf.rle import CocoRle
from sam2_hf.video.frame_result import FrameResult
from sam2_hf.video.review import EXCHANGE
from sam2_hf.video.session import VideoSession

from .key_frame_masks import KeyFrameMask, MaskFinder, Overlaps, pair_up
from .matching import KeyFrameMatch, distinct_masks, duplicate_tracks, match_masks
from .options import VideoEverythingOptions
from .scene_cuts import SceneCuts
from .tracks import EverythingState

DRIFT, FOUND_AGAIN = 0.5, 0.6  # severities for review


class EverythingTracker:
    """Track everything in a video.

    On key frames masks are found and matched to what is tracked; those of new objects become mask
    prompts. In between the session tracks all objects. An object that is hidden is tracked on, so
    it keeps its id when it comes back. A track whose object stays away ends: its memory is kept,
    but read on key frames only, when there are masks of objects that seem new. If it segments one
    of these, the object is back and keeps its id. After a scene cut all memories are dropped, and
    ids keep counting.

    Work per frame is bounded by `max_objects`. So are the memories, if the session keeps a window
    of frames.

    Args:
        session: A session on a video, without objects; or of an earlier run, with its `state`.
        find_masks: Finds the masks of key frames.
        options: When and what to look for.
        state: State of the earlier run.

    Raises:
        SessionError: The session is a live stream, whose next frames are not known, or it has
            objects of its own.

    Attributes:
        state: What is known so far. Save it with the session between two frames to continue later.

    Example:
        >>> find = VideoMaskGenerationPipeline(model, points_per_side=4).finder()
        >>> session = VideoSession.open("clip.mp4", model, keep="window")
        >>> tracker = EverythingTracker(session, find, VideoEverythingOptions())
        >>> [result.frame for result in tracker.run()]
        [0, 1, 2]
    """

    def __init__(
        self,
        session: VideoSession,
        find_masks: MaskFinder,
        options: VideoEverythingOptions,
        state: EverythingState | None = None,
    ) -> None:
        if session.frames.is_live:
            raise SessionError(
                "everything-mode needs a video, since it looks a few frames ahead. Give a file, a "
                "folder, a list or an iterator of pictures."
            )
        self.session = session
        self.options = options
        self.state = EverythingState() if state is None else state
        if set(session.object_ids) != set(self.state.tracks):
            raise SessionError(
                f"the session has the objects {sorted(session.object_ids)}, and everything-mode "
                f"knows {sorted(self.state.tracks)}. Give a new session, or the saved one with its "
                "state."
            )
        self._find = find_masks
        self._cuts = SceneCuts(session.frames) if options.scene_cuts else None

    def run(self) -> Iterator[FrameResult]:
        """Track all frames that are left, one at a time.

        Returns:
            The result of every frame, lazily; without objects it is empty. Stopping loses nothing.

        Raises:
            FrameError: A frame cannot be read; those before it were returned.
            OutputError: The disk is full.

        Example:
            >>> tracker = VideoMaskGenerationPipeline(model, points_per_side=4).open("clip.mp4")
            >>> masks = [result.masks for result in tracker.run()]
        """
        state, frames = self.state, self.session.frames
        tracking: Iterator[FrameResult] | None = None
        while frames.reaches(state.frame):
            if self._begins_scene(state.frame):
                self._begin_scene(state.frame)
                tracking = None
            if tracking is None:
                tracking = self._track_from(state.frame)
            result = next(tracking)
            if state.frame == state.key_frame:
                result = self._take_key_frame(result)
                tracking = None
            state.see(state.frame, objects_in_view(result))
            state.frame += 1
            yield result

    def _begins_scene(self, frame: int) -> bool:
        if frame == 0 or self._cuts is None:
            return False
        return frame not in self.state.cuts and self._cuts.begins_scene(frame)

    def _begin_scene(self, frame: int) -> None:
        """Drop all memories; the frame is a key frame."""
        self.session.reset()
        self.state.tracks.clear()
        self.state.cuts.append(frame)
        self.state.key_frame = frame

    def _track_from(self, frame: int) -> Iterator[FrameResult]:
        """Track the active objects from a frame on; without any, results are empty."""
        active = self.state.active
        if active:
            return self.session.propagate(frame, objects=active)
        return self._empty_from(frame)

    def _empty_from(self, frame: int) -> Iterator[FrameResult]:
        while True:
            yield self.session.preview(frame, objects=())
            frame += 1

    def _take_key_frame(self, result: FrameResult) -> FrameResult:
        """Look for objects, and decide which tracks begin, end, merge and come back."""
        frame, state, options = result.frame, self.state, self.options
        in_view = masks_in_view(result)
        found = self._find(frame, self.session.frames.picture(frame))
        match = match_masks(distinct_masks(found, result.size, options), in_view, options)
        self._confirm(frame, match, in_view)
        self._merge(frame, in_view)
        self._end_absent()
        new = self._find_again(frame, match.new)
        self._begin(frame, new)
        state.key_frame = frame + options.key_frame_every
        if state.active == list(result.object_ids):
            return result
        return self.session.preview(frame, objects=state.active)

    def _confirm(self, frame: int, match: KeyFrameMatch, in_view: Mapping[int, CocoRle]) -> None:
        """Count for each track how long it was absent, and how long no mask confirmed it."""
        before = frame - self.options.key_frame_every
        for number in self.state.active:
            track = self.state.tracks[number]
            is_absent = number not in in_view and track.last_seen <= before
            track.absences = track.absences + 1 if is_absent else 0
            if number in match.known or number not in in_view:
                track.unconfirmed = 0
                track.last_confirmed = frame if number in match.known else track.last_confirmed
                continue
            track.unconfirmed += 1
            if track.unconfirmed == self.options.drift_after:
                reason = (
                    f"no mask found on key frames after frame {track.last_confirmed} is this "
                    "object; its mask may have drifted"
                )
                self.state.note(frame, number, reason, DRIFT)

    def _merge(self, frame: int, in_view: dict[int, CocoRle]) -> None:
        """End tracks that were the same as an older one on two key frames in a row."""
        twins = duplicate_tracks(in_view, self.options)
        for number in self.state.active:
            track = self.state.tracks[number]
            twin = twins.get(number)
            if twin is not None and track.twin == twin and twin in self.state.tracks:
                reason = f"it became the same as object {twin}, and continues as that one"
                self.state.note(frame, number, reason, EXCHANGE)
                self._drop(number)
                del in_view[number]
            track.twin = twin

    def _end_absent(self) -> None:
        """End the tracks of objects that stay away; the oldest ended ones are forgotten."""
        for track in self.state.tracks.values():
            track.has_ended |= track.absences >= self.options.end_after
        for number in self.state.ended[self.options.max_objects :]:
            self._drop(number)

    def _drop(self, number: int) -> None:
        self.session.remove(number)
        del self.state.tracks[number]

    def _find_again(self, frame: int, new: list[KeyFrameMask]) -> list[KeyFrameMask]:
        """Continue ended tracks whose memory segments one of the new masks; return the others."""
        state, ended = self.state, self.state.ended
        if not new or not ended:
            return new
        (result,) = self.session.propagate(frame, 1, objects=ended)
        seen = masks_in_view(result)
        overlaps = Overlaps.of([mask.segmentation for mask in new], list(seen.values()))
        here = [number for number in state.active if not state.tracks[number].absences]
        room = max(self.options.max_objects - len(here), 0)
        pairs = pair_up(overlaps.iou_mn, self.options.match_iou)[:room]
        ids = list(seen)
        for _, column in pairs:
            track = state.tracks[ids[column]]
            away = frame - track.last_seen - 1
            state.note(
                frame, track.object_id, f"found again after {away} frames out of view", FOUND_AGAIN
            )
            track.has_ended, track.absences, track.last_confirmed = False, 0, frame
        taken = {row for row, _ in pairs}
        return [mask for row, mask in enumerate(new) if row not in taken]

    def _begin(self, frame: int, new: list[KeyFrameMask]) -> None:
        """Begin tracks of new objects, as many as there is room for.

        If there is too little, tracks of objects that are away end early, the longest absent first.
        """
        state = self.state
        missing = len(state.active) + len(new) - self.options.max_objects
        away = [state.tracks[number] for number in state.active if state.tracks[number].absences]
        for track in sorted(away, key=lambda track: track.last_seen)[: max(missing, 0)]:
            track.has_ended = True
        room = max(self.options.max_objects - len(state.active), 0)
        if len(new) > room and state.full_on is None:
            state.full_on = frame
        for mask in new[:room]:
            self.session.mask(frame, self.state.add(frame), mask.mask())


def objects_in_view(result: FrameResult) -> list[int]:
    """List the objects in view on a frame: those with a mask and a positive object score."""
    scores = result.object_score
    return [
        number for number, mask_hw in result.masks.items() if scores[number] > 0 and mask_hw.any()
    ]


def masks_in_view(result: FrameResult) -> dict[int, CocoRle]:
    """Return the masks of the objects in view on a frame, by id."""
    masks = result.masks
    return {number: rle.to_coco(rle.encode(masks[number])) for number in objects_in_view(result)}
