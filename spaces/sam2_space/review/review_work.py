"""Review of a set: the next doubtful masklet, its corrections, and the decision about it.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import contextlib
import threading
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_hf.engine.retracking import apply_reviews
from sam2_hf.engine.reviews import (
    DoubtfulMasklet,
    Review,
    add_reviews,
    corrected_prompts,
    pending_reviews,
    review_queue,
    reviewed_videos,
)
from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.engine.tracked_objects import ClipToLabel
from sam2_hf.engine.video_labels import (
    REJECTED,
    REVIEW,
    LabeledFrames,
    LabeledMasklet,
    MaskletPrompt,
    VideoLabels,
    read_labels,
)
from sam2_hf.errors import DataError, PromptError, SessionError
from sam2_hf.overlay import DrawnPrompts
from sam2_hf.results.labeled_overlay import draw_masklets
from sam2_hf.video.frame_encoder import model_mark
from sam2_hf.video.session import VideoSession
from sam2_hf.writers.frame_journal import ObjectOnFrame
from sam2_space.limits import LimitError, ShownSize
from sam2_space.space_model import SpaceModel

MARK_DIGITS = 64  # of a fingerprint: every bit of the weights
Key = tuple[str, int]  # video, object
FileMark = tuple[int, int, int]  # inode, time of its last change, size


class ReviewDesk:
    """The set that visitors review, and which masklet lies before whom.

    Args:
        folder: The set.
        model: The shared model, which tracks corrected masklets again.

    Raises:
        DataError: The folder is no set, or the set was made with other weights.
    """

    def __init__(self, folder: SetFolder, model: SpaceModel) -> None:
        folder.require()
        self.folder = folder
        self.model = model
        self.settings = folder.settings()
        mark = model_mark(model.video)[-MARK_DIGITS:]
        folder.require_model(self.settings.model, mark)
        self.model_facts = {"name": self.settings.model, "fingerprint": mark}
        self._lock = threading.Lock()
        self._taken: dict[object, Key] = {}  # work -> what lies before it
        self._read: dict[str, tuple[FileMark, list[DoubtfulMasklet]]] = {}  # by video

    def take_next(self, work: object, after: Key | None) -> tuple[DoubtfulMasklet | None, int]:
        """Choose the next masklet for a visitor, worst first, and none that another one has.

        Args:
            work: The visitor's work.
            after: The masklet that was shown; what comes after it is chosen.

        Returns:
            The masklet, None if there is none; and how many wait.
        """
        with self._lock:
            self._taken.pop(work, None)
            waiting = self._waiting()
            free = [item for item in waiting if _key(item) not in self._taken.values()]
            keys = [_key(item) for item in free]
            start = keys.index(after) + 1 if after in keys else 0
            chosen = (free[start:] + free[:start])[:1]
            if chosen:
                self._taken[work] = _key(chosen[0])
            return (chosen[0] if chosen else None), len(waiting)

    def _waiting(self) -> list[DoubtfulMasklet]:
        """List what waits, worst first; only labels that changed are read again."""
        read = {}
        for video_id in self.folder.done():
            path = self.folder.labels(video_id)
            about = path.stat()
            mark = about.st_ino, about.st_mtime_ns, about.st_size
            before = self._read.get(video_id)
            if before is None or before[0] != mark:
                before = mark, review_queue([read_labels(path)])
            read[video_id] = before
        self._read = read
        decided = set()
        for video_id in reviewed_videos(self.folder):
            with contextlib.suppress(DataError):  # its reviews are being removed
                reviews = pending_reviews(self.folder, video_id)
                decided |= {(video_id, x.object_id) for x in reviews if x.verdict != REVIEW}
        listed = [item for _, items in read.values() for item in items]
        found = [item for item in listed if _key(item) not in decided]
        return sorted(found, key=lambda item: (-item.badness, *_key(item)))

    def put_back(self, work: object) -> None:
        """Let others have what lies before a visitor."""
        with self._lock:
            self._taken.pop(work, None)


def _key(item: DoubtfulMasklet) -> Key:
    return item.video_id, item.object_id


@dataclass(slots=True)
class Sheet:
    """The masklet under review.

    Attributes:
        video: Its video.
        masklet: The masklet.
        rows: Its mask and scores by frame.
        frame: The shown frame.
        corrections: Clicks by frame, in order.
    """

    video: VideoLabels
    masklet: LabeledMasklet
    rows: dict[int, ObjectOnFrame]
    frame: int
    corrections: dict[int, MaskletPrompt] = field(default_factory=dict)

    @property
    def frames(self) -> list[int]:
        """Frames with a mask."""
        return sorted(self.rows)


class ReviewWork:
    """What one visitor reviews.

    Args:
        desk: The set.
    """

    def __init__(self, desk: ReviewDesk) -> None:
        self._desk = desk
        self._lock = threading.RLock()
        self._open = contextlib.ExitStack()  # the video of the sheet
        self._session: VideoSession | None = None
        self._source: Any = None
        self._video_id = ""
        self._order: list[int] = []  # frames of the clicks, for undo
        self._last: Key | None = None  # masklet that was chosen last
        self.sheet: Sheet | None = None
        self.num_waiting = 0

    def close(self) -> None:
        """Put the masklet back, and close its video."""
        with self._lock:
            self._desk.put_back(self)
            self._close_video()
            self.sheet = None

    def take_next(self) -> None:
        """Show the next masklet, worst first; none if all are decided.

        Raises:
            VideoError: Its video cannot be read any more.
        """
        with self._lock:
            before = self.sheet
            item, self.num_waiting = self._desk.take_next(self, self._last)
            self.sheet = None
            if item is None:
                self._close_video()
                return
            self._last = _key(item)  # also if it cannot be shown, so that others come next
            try:
                if before is None or before.video.id != item.video_id:
                    self._open_video(item.video_id)
                self._show(item.object_id)
            except BaseException:
                self._desk.put_back(self)
                raise

    def _show(self, object_id: int) -> None:
        sheet_path = self._desk.folder.labels(self._video_id)
        video = read_labels(sheet_path)
        masklet = video.masklet(object_id)
        rows = {
            tracked.frame: found
            for tracked in LabeledFrames(sheet_path, [object_id])
            for found in tracked.objects
        }
        worst = [doubt.frame for doubt in masklet.doubts if doubt.frame in rows]
        frame = (worst or sorted(rows) or [0])[0]
        self._order = []
        self.sheet = Sheet(video, masklet, rows, frame)

    def require(self) -> Sheet:
        """Return the masklet under review.

        Raises:
            LimitError: There is none.
        """
        if self.sheet is None:
            raise LimitError("There is no masklet here. Press Next.")
        return self.sheet

    def go_to(self, frame: int) -> None:
        """Show another frame of the masklet."""
        with self._lock:
            sheet = self.require()
            sheet.frame = min(sheet.frames, key=lambda known: abs(known - frame))

    def click(self, xy: tuple[float, float], *, positive: bool) -> None:
        """Correct the mask of the shown frame.

        Raises:
            PromptError: The first click of a frame without a mask is negative.
        """
        with self._lock:
            sheet = self.require()
            before = sheet.corrections.get(sheet.frame, MaskletPrompt(sheet.frame))
            starts_empty = not before.clicks and not self._has_mask(sheet)
            if not positive and starts_empty:
                raise PromptError("Click on the object first; then exclude what does not belong.")
            clicks = (*before.clicks, (*xy, positive))
            sheet.corrections[sheet.frame] = replace(before, clicks=clicks)
            self._order.append(sheet.frame)

    def undo(self) -> None:
        """Take the last click back, and show its frame."""
        with self._lock:
            sheet = self.require()
            if not self._order:
                return
            sheet.frame = self._order.pop()
            prompt = sheet.corrections.pop(sheet.frame)
            if prompt.clicks[:-1]:
                sheet.corrections[sheet.frame] = replace(prompt, clicks=prompt.clicks[:-1])

    def decide(self, verdict: str, by: str) -> bool:
        """Accept or reject the masklet, with its corrections, which are tracked first.

        Args:
            verdict: "accepted", "rejected", or "review" to see what the corrections give.
            by: The reviewer.

        Returns:
            Whether it was applied. If another worker is changing this video, its decision is kept,
            and applied with the next review of it or by `sam2-hf label --retrack`.

        Raises:
            SessionError: Another one is recording a review of this video.
        """
        with self._lock:
            sheet = self.require()
            corrections = tuple(replace(item, by=by) for item in sheet.corrections.values())
            if verdict == REJECTED:
                corrections = ()
            review = Review(sheet.masklet.object_id, verdict, by, corrections)
            applied = self._apply(sheet.video, review)
            if verdict == REVIEW and applied:
                frame = sheet.frame
                self._show(review.object_id)
                self.go_to(frame)
            return applied

    def track(self, by: str) -> None:
        """Track the masklet again with its corrections, without a decision.

        Raises:
            PromptError: There is no correction.
            SessionError: Another worker is changing this video.
        """
        if not self.require().corrections:
            raise PromptError("Click what is wrong in a frame first; then track again.")
        if not self.decide(REVIEW, by):
            raise SessionError("Another worker is changing this video. Try again in a moment.")

    def draw(self) -> NDArray[np.uint8]:
        """Draw the shown frame with its mask: `(height, width, 3)`; corrected ones are decoded.

        Raises:
            FrameError: The frame cannot be read.
        """
        with self._lock:
            sheet = self.require()
            mask_hw, picture_hw3 = self._mask_and_picture(sheet)
            shown = ShownSize.on_page(sheet.video.size)
            prompt = sheet.corrections.get(sheet.frame, MaskletPrompt(sheet.frame))
            drawn = shown.prompts(DrawnPrompts(prompt.clicks, ()))
            mask = {} if mask_hw is None else {1: shown.mask(mask_hw)}
            return draw_masklets(shown.picture(picture_hw3), mask, [1], drawn)

    def _mask_and_picture(self, sheet: Sheet) -> tuple[NDArray[np.bool_] | None, NDArray[np.uint8]]:
        """Return the mask of the shown frame, and the frame."""
        with self._desk.model.lock.taken():
            session = self._opened()
            picture_hw3 = session.frames.picture(sheet.frame)
            prompt = sheet.corrections.get(sheet.frame)
            if prompt is None:
                found = sheet.rows.get(sheet.frame)
                return (None if found is None else found.mask()), picture_hw3
            for given in self._corrected(sheet, prompt).for_session(1):
                given.add_to(session)
            mask_hw = session.preview(sheet.frame).masks[1]
            session.reset()
            return mask_hw, picture_hw3

    def _corrected(self, sheet: Sheet, prompt: MaskletPrompt) -> MaskletPrompt:
        """Return all prompts of a frame, as they are when the masklet is tracked again."""
        masks = {frame: found.segmentation for frame, found in sheet.rows.items() if found.area}
        prompts = corrected_prompts(sheet.masklet, [prompt], masks)
        (own,) = [item for item in prompts if item.frame == prompt.frame]
        refines = self._desk.settings.chosen_phase.refines
        return own if refines else replace(own, mask=None)

    def _has_mask(self, sheet: Sheet) -> bool:
        found = sheet.rows.get(sheet.frame)
        return found is not None and found.area > 0

    def _apply(self, video: VideoLabels, review: Review) -> bool:
        """Apply a review unless another worker has the video; a decision is recorded even then."""
        desk, folder = self._desk, self._desk.folder
        is_decided = review.verdict != REVIEW
        if is_decided:
            add_reviews(folder, video.id, [review])
        with folder.claims.hold(video.id) as claim:
            if claim is None:
                return False
            if not is_decided:
                add_reviews(folder, video.id, [review])

            def beat() -> None:
                claim.beat()
                desk.model.lock.pass_on()

            with desk.model.lock.taken():
                clip = ClipToLabel(
                    self._source,
                    video.name,
                    desk.model.video,
                    desk.model_facts,
                    range(video.num_frames),
                    desk.settings.chosen_phase,
                    beat,
                )
                apply_reviews(folder, video.id, clip, desk.settings.rules, claim)
        return True

    def _open_video(self, video_id: str) -> None:
        self._close_video()
        queued = next(video for video in self._desk.folder.queue() if video.id == video_id)
        self._source = self._open.enter_context(queued.opened())
        self._video_id = video_id

    def _opened(self) -> VideoSession:
        """Open the session of previews, when the first one is needed."""
        if self._session is None:
            session = VideoSession.open(self._source, self._desk.model.video)
            self._session = self._open.enter_context(session)
        return self._session

    def _close_video(self) -> None:
        self._open.close()
        self._open = contextlib.ExitStack()
        self._session = None
