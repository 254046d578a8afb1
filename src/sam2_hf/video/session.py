"""The video session: click an object on one frame, follow it through all of them.

The session owns everything that changes; the model owns nothing. Coordinates are pixels of the
original frame, (x, y), top-left 0; frames count from 0; an object's id is any whole number.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sam2_hf.errors import SessionError
from sam2_hf.frames.base import frame_number
from sam2_hf.frames.streams import LiveFrames
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.images import ImageSource
from sam2_hf.video.storage.session_checkpoint import load_tracker, open_session_frames, save_tracker

from .frame_result import FrameResult
from .masklet import Masklet
from .prompt_answers import answer_prompts, commit
from .prompts import FramePrompts, Mask, Xy, read_box, read_clicks, read_mask
from .propagation import PropagationDirection, begins_backward_from_first, plan_propagation
from .review import FrameToReview, ReviewRules, frames_to_review
from .session_lock import one_thread_at_a_time
from .session_options import SessionOptions
from .tracker import Tracker
from .transformers_session import TransformersSession


@one_thread_at_a_time(but=("frames", "options", "num_frames", "size", "object_ids"))
class Sam2VideoInferenceSession(TransformersSession):
    """Everything about one video while it is being segmented.

    Threads may share it: each call waits for the one before, and `propagate` lets others in after
    every frame.

    Open one with `Sam2VideoInferenceSession.open(video, model)`. The constructor takes the
    arguments of transformers' class of this name; see [`TransformersSession`] for those and for
    the other names it has there.
    """

    @classmethod
    def open(
        cls,
        video: object,
        model: Sam2VideoModel,
        *,
        options: SessionOptions | None = None,
        **changes: Any,
    ) -> "Sam2VideoInferenceSession":
        """Open a session on a video, or on a live stream.

        Args:
            video: A video file, a folder of pictures, a list, array or tensor of frames, an
                iterator, or None for a live stream; see [`open_frames`].
            model: The model, in eval mode. Frames are normalized by the settings of the processor
                that is saved where the model was loaded from.
            options: See [`SessionOptions`].
            **changes: Single options, such as `keep="window"`; `compat="official"` takes the
                original's defaults.

        Raises:
            VideoError: The video cannot be opened.
            SessionError: There is no such option, or its value makes no sense.
        """
        if options is not None and changes:
            raise SessionError(f"give either options or single ones ({', '.join(changes)}).")
        chosen = options or SessionOptions.preset(**changes)
        frames = open_session_frames(video, chosen, model)
        return cls._around(Tracker(frames, chosen, model))

    def click(
        self, frame: int, object_id: int, xy: Xy | Sequence[Xy], *, positive: object = True
    ) -> None:
        """Add one click or several to what was said about an object on a frame.

        Args:
            frame: Which frame.
            object_id: Which object; a new id is a new object.
            xy: `(x, y)`, or a list of them.
            positive: Whether the click is on the object; one for all, or one for each.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
            PromptError: A click lies outside the frame, or is malformed.
        """
        frame = self._require(frame)
        clicks = read_clicks(xy, positive, self.size, f"object {object_id}")
        said = self.prompts_of(frame, object_id)
        self.put_prompts(frame, object_id, said.with_clicks(clicks))

    def box(self, frame: int, object_id: int, xyxy: Sequence[float]) -> None:
        """Draw a box around an object on a frame; it joins the clicks there.

        Args:
            frame: Which frame.
            object_id: Which object.
            xyxy: `(x0, y0, x1, y1)`.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
            PromptError: The box is turned over or lies outside the frame.
        """
        frame = self._require(frame)
        box = read_box(xyxy, self.size, f"object {object_id}")
        self.put_prompts(frame, object_id, self.prompts_of(frame, object_id).with_box(box))

    def mask(self, frame: int, object_id: int, mask_hw: Mask) -> None:
        """Give the mask of an object on a frame; it takes the place of clicks and box there.

        Args:
            frame: Which frame.
            object_id: Which object.
            mask_hw: Array, tensor or picture of the frame's size: booleans, 0 and 1, 0 and 255,
                probabilities or logits; see [`read_mask`].

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
            PromptError: The mask has another size than the frame, or can be read in more ways than
                one.
        """
        frame = self._require(frame)
        side = self._tracker.model.image_size
        mask = read_mask(mask_hw, self.size, side, f"object {object_id}")
        self.put_prompts(frame, object_id, FramePrompts().with_mask(mask))

    def preview(self, frame: int) -> FrameResult:
        """Show the masks of a frame, with all prompts so far; what is tracked later stays the same.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
        """
        frame = self._require(frame)
        self._tracker.follow_weights()
        answers = {
            one.object_id: answer_prompts(self._tracker, one, frame)
            for one in self._tracker.objects.values()
        }
        known = {number: answer for number, answer in answers.items() if answer is not None}
        return self._tracker.result(frame, known).on_host()

    def propagate(
        self,
        start: int | None = None,
        limit: int | None = None,
        direction: PropagationDirection = "forward",
        *,
        progress: bool = False,
    ) -> Iterator[FrameResult]:
        """Track all objects through the video, frame by frame; each result is kept as it comes.

        Between two frames everything may be done with the session. A prompt for a frame that is
        still to come in this run counts when its frame comes; one for the present frame or for
        another one counts from the next frame on, as if the run had been stopped and begun again
        there. So do `clear`, `remove` and `undo`. Other threads may do it too.

        Args:
            start: First frame; the first prompted one if None (backward: the last one).
            limit: How many frames, in each direction; all if None.
            direction: "forward", "backward", or "both": forward, then back from `start`.
            progress: Whether to show a progress bar.

        Returns:
            Results, as they are made. Stopping early loses nothing.

        Raises:
            NoPromptError: There is no object, or one of them has no prompt.
            FrameError: A frame cannot be had; those before it are tracked.
            OutputError: The disk is full; what was tracked is kept, go on when there is space.
        """
        if isinstance(self.frames, LiveFrames):
            raise SessionError("a live stream has no next frame yet. Pass each to session.step().")
        self._tracker.require_prompts()
        prompted = self._tracker.conditioning_frames()
        runs = plan_propagation(start, limit, direction, self.num_frames, prompted)
        if self.options.skip_backward_from_first and begins_backward_from_first(runs):
            runs = []
        return self._run(runs, progress=progress)

    def step(self, picture: ImageSource, *, frame: int | None = None) -> FrameResult:
        """Append a frame to a live stream and track all objects on it.

        Args:
            picture: PIL picture, array `(height, width, 3)` or tensor.
            frame: Its number, where the caller counts and frames may be missing; see
                [`LiveFrames.append`]. Memories are chosen by these numbers.

        Raises:
            SessionError: The session has a video of its own.
            FrameError: The picture has another size than those before, or a negative number.
        """
        live = self._live()
        commit(self._tracker)  # while the oldest frame, which a prompt may be on, is still there
        number = live.append(picture, frame)
        self._tracker.features.discard(number)
        return self._step(number)

    def remove(self, object_id: int) -> None:
        """Remove an object with all its masks; the others stay as they are.

        Raises:
            UnknownObjectError: There is no such object.
        """
        one = self._known(object_id)
        self._note(one, None)
        del self._tracker.objects[one.object_id]
        one.bank.offload()

    def clear(self, frame: int, object_id: int) -> None:
        """Take back all prompts of an object on a frame; what was tracked stays.

        Raises:
            UnknownObjectError: There is no such object.
        """
        one = self._known(object_id)
        number = frame_number(frame)
        if number in one.prompts:
            self._note(one, number)
            one.clear(number)
        elif number < 0 or self.num_frames is not None:
            self.frames.require(number)

    def undo(self) -> bool:
        """Undo the last click, box, mask, clear or remove.

        What has been tracked since stays, until the next propagate overwrites it. Of removed
        objects the last 8 can come back.

        Returns:
            Whether there was anything to undo.
        """
        snapshot = self._undo.pop()
        if snapshot is None:
            return False
        snapshot.restore()
        self._drop_lost(snapshot.one)
        if snapshot.place is None:
            self._tracker.forget(snapshot.one.object_id)
        else:
            self._tracker.restore_object(snapshot.one, snapshot.place)
        return True

    def reset(self) -> None:
        """Remove all objects for good; the frames stay."""
        self.reset_tracking_data()

    def masklet(self, object_id: int) -> Masklet:
        """Return the masks of an object so far.

        Raises:
            UnknownObjectError: There is no such object.
        """
        return self._tracker.masklet_store(self._known(object_id)).masklet

    def frames_to_review(
        self, rules: ReviewRules | None = None, *, one_per_run: bool = True
    ) -> list[FrameToReview]:
        """List the frames where a person should look, worst first; see [`ReviewRules`]."""
        objects = self._tracker.objects.values()
        return frames_to_review(
            [self._tracker.masklet_store(one).masklet for one in objects],
            rules=rules,
            prompted={(frame, one.object_id) for one in objects for frame in one.prompts},
            one_per_run=one_per_run,
        )

    def save(self, folder: str | Path) -> None:
        """Save everything but video, model and undo, to go on in another process with equal bits.

        Args:
            folder: Where to. A save that is interrupted leaves the one before as it was.

        Raises:
            OutputError: The folder cannot be written, or the disk is full.
        """
        save_tracker(self._tracker, Path(folder))

    @classmethod
    def load(
        cls, folder: str | Path, video: object, model: Sam2VideoModel
    ) -> "Sam2VideoInferenceSession":
        """Go on with a saved session.

        Args:
            folder: What was given to `save`.
            video: The same video; None for a stream, which goes on where it was.
            model: The same model.

        Raises:
            SessionError: There is no save, it is damaged, the model is another one, or the video
                has another size or length, or shows something else on its first, middle or last
                frame.
        """
        return cls._around(load_tracker(Path(folder), video, model))
