"""Tracking by name: a detector finds objects on some frames, new ones join the tracked ones.

Suffixes: n = new masks, m = known masks, h, w = rows and columns of the low-resolution map.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from transformers.utils import logging

from sam2_hf.errors import PromptError, SessionError
from sam2_hf.number_reading import shown
from sam2_hf.video.box_masks import box_masks
from sam2_hf.video.frame_result import FrameResult
from sam2_hf.video.prompts import VideoPrompt
from sam2_hf.video.session import VideoSession

from .detection import Detection, Detector, detect_objects
from .labels import EVERY, read_labels
from .mask_matching import MatchingRules, mask_overlaps

logger = logging.get_logger(__name__)


class TextTracker:
    """Tracking of the objects of some names through a session's video, forward in time.

    The detector looks at the first frame and at every k-th after it. What it finds there becomes an
    object, unless its mask is that of an object already tracked: of the same name by
    [`MatchingRules`], of another name by their IoU alone, since a shirt lies in a person. Ids are
    the next free numbers, best detections first.

    Args:
        session: The session; it may have objects, which are not found again.
        detector: The detector.
        text: What to look for: a name, or several.
        every: Frames between two detections; None detects on the first frame only.
        start: The first frame.
        rules: When two masks show the same object.
        found: Prompts of an earlier part of the run, to continue it.

    Attributes:
        prompts: A box with its name for each object found so far.

    Raises:
        PromptError: There is no name, one is given twice, or `every` is not a number of frames.
        SessionError: The session is on a live stream.

    Example:
        >>> session.reset()
        >>> finder = TextTracker(session, detector, ["cup"], every=2)
        >>> masks = {result.frame: result.masks for result in finder.propagate()}
        >>> sorted(masks), finder.labels
        ([0, 1, 2], ('cup',))
    """

    def __init__(
        self,
        session: VideoSession,
        detector: Detector,
        text: object,
        *,
        every: int | None = EVERY,
        start: int = 0,
        rules: MatchingRules | None = None,
        found: Sequence[VideoPrompt] = (),
    ) -> None:
        if session.frames.is_live:
            raise SessionError(
                "names are looked for in a video, and this session is on a live stream. Detect on "
                "its frames, and give the boxes to session.box()."
            )
        self.labels = read_labels(text)
        self.prompts = list(found)
        self._session = session
        self._detector = detector
        self._every = check_every(every)
        self._start = start
        self._rules = rules or MatchingRules()

    @property
    def names(self) -> Mapping[int, str]:
        """Names of the objects found so far, by id."""
        return {p.object_id: p.name for p in self.prompts if p.name is not None}

    def propagate(
        self, start: int | None = None, limit: int | None = None
    ) -> Iterator[FrameResult]:
        """Track, and look for new objects on the way.

        Args:
            start: The frame to begin with; that of the constructor if None.
            limit: Number of frames; all if None.

        Returns:
            Named results, lazily; without objects before the first one is found.

        Raises:
            DetectionError: The detector failed, or its answer cannot be used.
            FrameError: A frame is not available.
            OutputError: The disk is full.

        Example:
            >>> session.reset()
            >>> finder = TextTracker(session, detector, "cup")
            >>> names = [result.names for result in finder.propagate(limit=2)]
            >>> len(names)
            2
        """
        first = self._start if start is None else start
        end = None if limit is None else first + limit
        frame, joined_on = first, -1
        while end is None or frame < end:
            if self._session.object_ids:
                left = None if end is None else end - frame
                for result in self._session.propagate(frame, left):
                    frame = result.frame
                    if frame != joined_on and self._join(frame, result):
                        joined_on = frame
                        break  # the frame is tracked again, with the new objects
                    yield result.named(self.names)
                else:
                    return
            elif not self._session.frames.reaches(frame):
                return
            else:
                result = self._session.preview(frame)  # of nothing
                if self._join(frame, result):
                    joined_on = frame
                    continue
                yield result
                frame += 1

    def _join(self, frame: int, result: FrameResult) -> bool:
        """Detect on a frame if it is due, and add what is new; return whether there was any."""
        if frame != self._start and (
            self._every is None or (frame - self._start) % self._every != 0
        ):
            return False
        picture_hw3 = self._session.frames.picture(frame)
        detections = detect_objects(self._detector, picture_hw3, self.labels)
        if not detections:
            return False
        new = self._new_ones(frame, detections, result)
        for detection in new:
            number = max([0, *self._session.object_ids]) + 1
            prompt = VideoPrompt(frame, number, box=detection.box, name=detection.label)
            prompt.add_to(self._session)
            self.prompts.append(prompt)
        return bool(new)

    def _new_ones(
        self, frame: int, detections: Sequence[Detection], result: FrameResult
    ) -> list[Detection]:
        """Choose the detections whose mask shows neither a tracked object nor a better one."""
        new_nhw = box_masks(self._session, frame, [detection.box for detection in detections])
        known = list(result.logits_bhw.numpy(force=True) > 0) if result.object_ids else []
        labels = [self.names.get(object_id) for object_id in result.object_ids]
        chosen = []
        for detection, mask_hw in zip(detections, new_nhw, strict=True):
            if not mask_hw.any():
                logger.warning(f"{detection.label!r} on frame {frame} has no mask: it is left out.")
            elif not self._is_known(detection.label, mask_hw, known, labels):
                chosen.append(detection)
                known.append(mask_hw)
                labels.append(detection.label)
        return chosen

    def _is_known(
        self,
        label: str,
        mask_hw: NDArray[np.bool_],
        known: Sequence[NDArray[np.bool_]],
        labels: Sequence[str | None],
    ) -> bool:
        """Whether a mask shows one of the known objects."""
        if not known:
            return False
        overlaps = mask_overlaps(mask_hw[None], np.stack(known))
        has_same_name = np.array([other == label for other in labels])
        by_rules = overlaps.same_object(self._rules)[0] & has_same_name
        return bool((by_rules | (overlaps.iou_nm[0] >= self._rules.iou)).any())


def check_every(every: object) -> int | None:
    """Read a number of frames, or None.

    Raises:
        PromptError: It is neither.
    """
    if every is None or (isinstance(every, int) and not isinstance(every, bool) and every >= 1):
        return every
    raise PromptError(f"every is {shown(every)}, it must be a number of frames, or None.")
