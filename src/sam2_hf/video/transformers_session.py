"""The session under transformers' names: code written for those runs after changing the import.

Suffixes: n = points, 2 = x and y, h, w = rows and columns.
"""

import operator
from collections.abc import Iterator

import torch
from torch import Tensor

from sam2_hf.errors import FrameError, NoPromptError, SessionError
from sam2_hf.geometry import to_image_pixels
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import Sam2VideoSegmentationOutput

from .labelled_points import frame_prompts, points_and_labels
from .live_frames import LiveFrames
from .memory_selection import Direction
from .object_prompts import FramePrompts
from .prompt_answers import ask, commit
from .prompt_reading import read_mask, read_object_id
from .propagation import Runs, visits
from .tracked_object import TrackedObject
from .tracker import Visit
from .transformers_frames import TransformersFrames
from .transformers_names import Elsewhere, segmentation_output, stored_output


class TransformersSession(TransformersFrames):
    """Base of the session class, not one itself: the names it has in transformers.

    There an object's index is its place in the order in which the objects came; here it is too, and
    removing an object moves those behind it up.

    Args:
        video: Prepared frames, `(t, 3, S, S)`; None for a live stream.
        video_height: Rows of the original frames; the input size if None.
        video_width: Columns of the original frames, likewise.
        inference_device: Where the model is.
        inference_state_device: Where memories are stored.
        video_storage_device: Where prepared frames are; others are held as bytes in RAM.
        dtype: Type of prepared frames, a `torch.dtype` or its name.
        max_vision_features_cache_size: Frames whose image features are kept.
        frames: Frames from elsewhere, in place of `video`.
        options: How to track; with them `max_vision_features_cache_size` plays no part.
        image_size: Input size the frames are made for, where `video` does not tell.

    Raises:
        VideoError: `video` holds no prepared frames.
        SessionError: There is no such dtype.

    Differs from transformers: what was tracked is read from `session.masklet(object_id)`; the
    dictionaries of the session's inside are not there.
    """

    point_inputs_per_obj = Elsewhere("add prompts with session.click, session.box or a processor.")
    mask_inputs_per_obj = Elsewhere("add masks with session.mask or a processor.")
    output_dict_per_obj = Elsewhere(
        "read masks from session.masklet(object_id), and what is remembered from get_output(...)."
    )
    frames_tracked_per_obj = Elsewhere("session.masklet(object_id).frames lists them.")
    store_output = Elsewhere("it stores what it tracks by itself; session.mask gives it a mask.")
    cache = Elsewhere("session.reset_inference_session() empties it.")

    @property
    def obj_ids(self) -> list[int]:
        """The objects, in the order in which they came."""
        return list(self._tracker.objects)

    @property
    def obj_with_new_inputs(self) -> list[int]:
        """Objects with prompts that are not remembered yet."""
        objects = self._tracker.objects.values()
        return [one.object_id for one in objects if one.rounds]

    def obj_id_to_idx(self, obj_id: int) -> int:
        """Return the place of an object in the order; a new one is made if the id is new."""
        number = self._tracker.object(read_object_id(obj_id)).object_id
        return self.obj_ids.index(number)

    def obj_idx_to_id(self, obj_idx: int) -> int:
        """Return the object at a place.

        Raises:
            SessionError: There are not so many.
        """
        return self._at(obj_idx).object_id

    def get_obj_num(self) -> int:
        """Count the objects."""
        return len(self._tracker.objects)

    def prompts_of(self, frame: int, object_id: int) -> FramePrompts:
        """Return what has been said about an object on a frame; empty if nothing."""
        one = self._tracker.objects.get(read_object_id(object_id))
        return FramePrompts() if one is None else one.prompts.get(frame, FramePrompts())

    def put_prompts(self, frame: int, object_id: int, prompts: FramePrompts) -> None:
        """Say all of it at once, in place of what has been said about an object on a frame.

        The frame may be one that a live stream has yet to bring.

        Raises:
            FrameError: There is no such frame, or a stream has dropped it.
        """
        number = self._require_promptable(frame)
        ask(self._tracker, self._to_change(object_id, number), number, prompts)

    def add_point_inputs(self, obj_idx: int, frame_idx: int, inputs: dict[str, Tensor]) -> None:
        """Put clicks, and corners of a box, in the place of the prompts on a frame.

        Args:
            obj_idx: Place of the object in the order.
            frame_idx: The frame.
            inputs: `point_coords` `(1, 1, n, 2)`, model pixels, and `point_labels` `(1, 1, n)`.

        Raises:
            PromptError: They cannot be read as clicks and a box.
            SessionError: There is no such object, or nobody knows the model's input size yet.
        """
        number, what = self.obj_idx_to_id(obj_idx), f"object number {obj_idx}"
        side = self._input_size()
        points_n2, labels_n = points_and_labels(inputs)
        size = self.known_size or (side, side)
        points_n2 = to_image_pixels(points_n2.detach().cpu(), size, side)
        prompts = frame_prompts(points_n2, labels_n.detach().cpu(), None, what)
        self.put_prompts(frame_idx, number, prompts)

    def remove_point_inputs(self, obj_idx: int, frame_idx: int) -> None:
        """Take back clicks and box on a frame, if there are any."""
        self._take_back(obj_idx, frame_idx, masks=False)

    def add_mask_inputs(self, obj_idx: int, frame_idx: int, inputs: Tensor) -> None:
        """Put a mask in the place of the prompts on a frame.

        Args:
            obj_idx: Place of the object in the order.
            frame_idx: The frame.
            inputs: `(1, 1, h, w)`; what is not 0 is the object.

        Raises:
            PromptError: It is not one mask.
            SessionError: There is no such object, or nobody knows the model's input size yet.
        """
        number = self.obj_idx_to_id(obj_idx)
        mask = read_mask(inputs, None, self._input_size(), f"object number {obj_idx}")
        self.put_prompts(frame_idx, number, FramePrompts().with_mask(mask))

    def remove_mask_inputs(self, obj_idx: int, frame_idx: int) -> None:
        """Take back the mask on a frame, if there is one."""
        self._take_back(obj_idx, frame_idx, masks=True)

    def get_output(
        self,
        obj_idx: int,
        frame_idx: int,
        output_key: str,
        is_conditioning_frame: bool = True,  # noqa: FBT001, FBT002
    ) -> Tensor | None:
        """Look up what is remembered of an object on a frame; None if it is nothing.

        Args:
            obj_idx: Place of the object in the order.
            frame_idx: The frame.
            output_key: "pred_masks", "object_score_logits", "object_pointer" or "maskmem_features".
            is_conditioning_frame: Whether to look among prompted frames, or among tracked ones.
        """
        one = self._at(obj_idx)
        found = stored_output(
            one, frame_idx, output_key, is_conditioning_frame=is_conditioning_frame
        )
        return None if found is None else found.to(self._placement.inference)

    def reset_tracking_data(self) -> None:
        """Remove all objects for good; frames and image features stay."""
        for object_id in self.object_ids:
            self._tracker.forget(object_id)
        self._forget_changes()

    def reset_inference_session(self) -> None:
        """Remove all objects for good, and the image features; the frames stay."""
        self.reset_tracking_data()
        self._tracker.features.clear()

    @torch.no_grad()
    def segment_frame(
        self,
        model: Sam2VideoModel,
        *,
        frame_idx: int | None,
        frame: Tensor | None,
        reverse: bool,
        remember: bool,
    ) -> Sam2VideoSegmentationOutput:
        """Segment one frame; see [`Sam2VideoModel.forward`].

        All prompts so far count, on whatever frame they are. Without `remember` a frame that is
        merely tracked leaves no memory; a prompted one always does.

        Raises:
            FrameError: The frame cannot be had.
        """
        self._bind(model)
        if frame is not None:
            commit(self._tracker)  # while the oldest frame, which a prompt may be on, is there
            number = self.add_new_frame(frame, frame_idx)
        elif frame_idx is None:
            raise FrameError("there is neither frame_idx nor frame. Give one of them.")
        else:
            number = operator.index(frame_idx)
        self._require(number)
        corrections = commit(self._tracker)
        direction: Direction = "backward" if reverse else "forward"
        visit = Visit(number, direction, remember=remember, passes_prompted=False)
        return segmentation_output(self._tracker.segment(visit.keeping(corrections)), model)

    def iterate_frames(
        self,
        model: Sam2VideoModel,
        *,
        start_frame_idx: int | None,
        max_frame_num_to_track: int | None,
        reverse: bool,
        show_progress_bar: bool,
    ) -> Iterator[Sam2VideoSegmentationOutput]:
        """Track frame by frame; see [`Sam2VideoModel.propagate_in_video_iterator`].

        As in transformers, `max_frame_num_to_track` counts the frames after the first one, the
        default start is the earliest prompted frame, and nothing lies before frame 0.

        Raises:
            NoPromptError: No object has a prompt.
            FrameError: There is no such first frame.
        """
        self._bind(model)
        prompted = self._tracker.conditioning_frames()
        if not prompted:
            raise NoPromptError(None, ())
        start = min(prompted) if start_frame_idx is None else operator.index(start_frame_idx)
        frames, limit = self.frames, max_frame_num_to_track
        count = frames.num_received if isinstance(frames, LiveFrames) else frames.num_frames
        course: Direction = "backward" if reverse else "forward"
        runs = visits(start, None if limit is None else limit + 1, course, count, prompted)
        if reverse and start == 0:
            runs = []
        return self._outputs(runs, model, progress=show_progress_bar)

    def _outputs(
        self, runs: Runs, model: Sam2VideoModel, *, progress: bool
    ) -> Iterator[Sam2VideoSegmentationOutput]:
        for result in self._run(runs, progress=progress, passes_prompted=False):
            yield segmentation_output(result, model)

    def _at(self, obj_idx: int) -> TrackedObject:
        objects = list(self._tracker.objects.values())
        if not 0 <= operator.index(obj_idx) < len(objects):
            raise SessionError(
                f"there is no object number {obj_idx}: the session has {len(objects)}, counted "
                "from 0. session.obj_id_to_idx(object_id) gives the number of an object."
            )
        return objects[obj_idx]

    def _take_back(self, obj_idx: int, frame: int, *, masks: bool) -> None:
        """Clear a frame if its prompt is a mask, or if it is none."""
        one = self._at(obj_idx)
        prompts = one.prompts.get(frame)
        if prompts is not None and (prompts.mask_hw is not None) == masks:
            self._note(one, frame)
            one.clear(frame)

    def _require_promptable(self, frame: int) -> int:
        """Refuse a frame that cannot be had and will not come either; return its number."""
        frames, number = self.frames, operator.index(frame)
        if isinstance(frames, LiveFrames) and number >= frames.num_received:
            return number
        return self._require(number)

    def _input_size(self) -> int:
        if self._image_size is None:
            raise SessionError(
                "nobody knows the model's input size yet. Add prompts with a processor, or call "
                "the model on the session first."
            )
        return self._image_size
