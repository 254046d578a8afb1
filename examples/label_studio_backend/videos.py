"""Videos of Label Studio: a rectangle on one frame is followed through the next ones.

Label Studio counts frames from 1, at the frame rate of its config; coordinates are percent of the
frame's width and height. Between keyframes it interpolates; a keyframe that is not `enabled` is the
last one that shows the object.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sam2_hf import Sam2VideoModel, VideoSession
from sam2_hf.errors import PromptError
from sam2_hf.results.found_object import mask_box

ANSWER_TAGS = ("VideoRectangle",)
DIGITS = 6
REMEMBERED = 256  # regions
Region = dict[str, Any]
Keyframe = dict[str, Any]
Percent = tuple[float, ...]  # x, y, width, height
Made = tuple[Percent, bool]  # and whether it is enabled


class VideoTracker:
    """Follows rectangles, and knows which keyframes it made itself.

    A region comes back with all keyframes when its rectangle is corrected on one of them. Only
    keyframes that a person drew or changed are prompts.

    Args:
        model: The model.
        limit: Frames to track at a time, from the last prompt.
    """

    def __init__(self, model: Sam2VideoModel, limit: int) -> None:
        self._model = model
        self._limit = limit
        self._made: OrderedDict[str, Mapping[int, Made]] = OrderedDict()

    def track(self, path: Path, regions: Sequence[Region]) -> list[Region]:
        """Follow the rectangles of regions through a video.

        Args:
            path: The video.
            regions: Of type "videorectangle".

        Returns:
            The regions, with a keyframe for each tracked frame.

        Raises:
            PromptError: A region is of another kind, or has no keyframe.
            VideoError: The video cannot be read.
        """
        for region in regions:
            if region["type"] != "videorectangle" or not region["value"].get("sequence"):
                raise PromptError("draw a rectangle of the VideoRectangle tag first.")
        drawn = {number: self._drawn(region) for number, region in enumerate(regions, 1)}
        with VideoSession.open(path, self._model) as session:
            clock = _Clock(session.num_frames or 1, regions[0]["value"])
            for number, keyframes in drawn.items():
                for keyframe in keyframes:
                    box = _box(keyframe, session.size or (1, 1))
                    session.box(clock.to_video(keyframe["frame"]), number, box)
            seen = self._seen(session, clock, drawn)
        return [
            self._answered(region, drawn[number], seen[number], clock)
            for number, region in enumerate(regions, 1)
        ]

    def _drawn(self, region: Region) -> list[Keyframe]:
        """List the keyframes that a person made; all if none is left."""
        made = self._made.get(region["id"], {})
        sequence = region["value"]["sequence"]
        drawn = [
            keyframe
            for keyframe in sequence
            if made.get(keyframe["frame"]) != (_of(keyframe), keyframe.get("enabled", True))
        ]
        return drawn or sequence[:1]

    def _seen(
        self, session: VideoSession, clock: "_Clock", drawn: Mapping[int, Sequence[Keyframe]]
    ) -> dict[int, dict[int, Percent | None]]:
        """Track; return the box on each of Label Studio's frames, None where there is none."""
        frames = [keyframe["frame"] for keyframes in drawn.values() for keyframe in keyframes]
        first, last = min(frames), min(max(frames) + self._limit, clock.count)
        height, width = session.size or (1, 1)
        boxes: dict[int, dict[int, Percent | None]] = {}
        start, end = clock.to_video(first), clock.to_video(last)
        for result in session.propagate(start=start, limit=end - start + 1):
            boxes[result.frame] = {}
            for number, mask_hw in result.masks.items():
                left, top, right, bottom = mask_box(mask_hw)
                corner = (100 * left / width, 100 * top / height)
                sides = (100 * (right - left) / width, 100 * (bottom - top) / height)
                box = (*corner, *sides) if right > left else None
                boxes[result.frame][number] = box
        return {
            number: {
                frame: boxes[clock.to_video(frame)].get(number)
                for frame in range(min(k["frame"] for k in keyframes), last + 1)
                if clock.to_video(frame) in boxes
            }
            for number, keyframes in drawn.items()
        }

    def _answered(
        self,
        region: Region,
        drawn: Sequence[Keyframe],
        seen: Mapping[int, Percent | None],
        clock: "_Clock",
    ) -> Region:
        """Return the region with the keyframes of a person and those that were tracked."""
        by_hand = {keyframe["frame"]: keyframe for keyframe in drawn}
        boxes, is_over = {}, False
        for frame in sorted({*seen, *by_hand}):
            if frame in by_hand:
                is_over = not by_hand[frame].get("enabled", True)
            box = seen.get(frame)
            if box is not None and frame not in by_hand and not is_over:
                boxes[frame] = tuple(round(number, DIGITS) for number in box)
        shown, sequence = {*boxes, *by_hand}, []
        for frame in sorted(shown):
            keyframe = by_hand.get(frame) or _keyframe(frame, boxes[frame], clock.time(frame))
            is_last = frame + 1 not in shown and frame < clock.count
            sequence.append({**keyframe, "enabled": keyframe.get("enabled", True) and not is_last})
        self._remember(region["id"], [k for k in sequence if k["frame"] in boxes])
        return {**region, "value": {**region["value"], "sequence": sequence}}

    def _remember(self, region_id: str, made: Sequence[Keyframe]) -> None:
        self._made[region_id] = {k["frame"]: (_of(k), k["enabled"]) for k in made}
        self._made.move_to_end(region_id)
        if len(self._made) > REMEMBERED:
            self._made.popitem(last=False)


class _Clock:
    """Frames of Label Studio and of the video file, whose frame rates may differ."""

    def __init__(self, num_frames: int, value: Region) -> None:
        self._num_frames = num_frames
        self.count = int(value.get("framesCount") or num_frames)
        self._duration = float(value.get("duration") or 0)

    def to_video(self, frame: int) -> int:
        """Return the file's frame, from 0."""
        if abs(self.count - self._num_frames) <= 1:  # the same rate, a rounded duration
            return min(max(frame - 1, 0), self._num_frames - 1)
        return min(max((frame - 1) * self._num_frames // self.count, 0), self._num_frames - 1)

    def time(self, frame: int) -> float:
        """Return the time of a frame, seconds."""
        return (frame - 1) * self._duration / self.count


def _of(keyframe: Keyframe) -> Percent:
    return tuple(round(keyframe[key], DIGITS) for key in ("x", "y", "width", "height"))


def _keyframe(frame: int, box: Percent, time: float) -> Keyframe:
    x, y, width, height = box
    place = {"x": x, "y": y, "width": width, "height": height}
    return {"frame": frame, **place, "rotation": 0, "time": time}


def _box(keyframe: Keyframe, size: tuple[int, int]) -> tuple[float, float, float, float]:
    height, width = size
    x, y, across, down = _of(keyframe)
    left, top = max(x, 0) * width / 100, max(y, 0) * height / 100
    return left, top, min(x + across, 100) * width / 100, min(y + down, 100) * height / 100
