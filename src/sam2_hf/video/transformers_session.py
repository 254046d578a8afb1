"""The session under transformers' names: code written for those runs after changing the import.

Suffixes: n = points, 2 = x and y, h, w = rows and columns.
"""

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from sam2_hf.errors import FrameError, NoPromptError, SessionError
from sam2_hf.frames.base import frame_number
from sam2_hf.frames.streams import LiveFrames
from sam2_hf.geometry import to_image_pixels
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import Sam2VideoSegmentationOutput
from sam2_hf.video.compat.transformers_names import WrittenThrough, segmentation_output
from sam2_hf.video.compat.transformers_outputs import (
    CONDITIONING,
    OUTPUT_KEYS,
    TRACKED,
    FrameOutputs,
    FramesTracked,
    OutputPlace,
    PerObject,
    PointInputs,
    PromptInputs,
    VisionFeatures,
    output_views,
)
from sam2_hf.video.compat.transformers_prompts import (
    check_near_frame,
    frame_prompts,
    points_and_labels,
)

from .memory_policy import Direction
from .prompt_answers import ask, ask_again, commit
from .prompts import FramePrompts, read_mask, read_object_id
from .propagation import Runs, plan_propagation
from .tracked_object import TrackedObject
from .tracker import FrameRequest
from .transformers_frames import TransformersFrames


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

    Differs from transformers: the dictionaries of the session's inside are live views of what this
    package keeps; `session.masklet(object_id)` has the masks of all frames.
    """

    @property
    def output_dict_per_obj(self) -> PerObject[Mapping[str, FrameOutputs]]:
        """What is remembered, a live view: index -> kind of frame -> frame -> outputs.

        The kinds are `cond_frame_outputs` and `non_cond_frame_outputs`. A frame that is removed is
        not attended to any more; see [`StoredOutput`] for what there is of one.
        """
        place = self._output_place()
        return PerObject(self._objects, lambda one: output_views(one, place))

    @property
    def frames_tracked_per_obj(self) -> PerObject[FramesTracked]:
        """Index -> frame -> `{"reverse": ...}` of tracked frames, a live view."""
        return PerObject(self._objects, FramesTracked)

    @property
    def point_inputs_per_obj(self) -> PerObject[PromptInputs[PointInputs]]:
        """Index -> frame -> `point_coords` and `point_labels`, a live view."""
        return PerObject(self._objects, lambda one: PromptInputs(self, one.object_id, masks=False))

    @property
    def mask_inputs_per_obj(self) -> PerObject[PromptInputs[Tensor]]:
        """Index -> frame -> mask `(1, 1, S, S)`, a live view."""
        return PerObject(self._objects, lambda one: PromptInputs(self, one.object_id, masks=True))

    @property
    def cache(self) -> VisionFeatures:
        """The image features that are kept."""
        return VisionFeatures(self._tracker.features, self._output_place())

    @property
    def obj_ids(self) -> list[int]:
        """The objects, in the order in which they came."""
        return list(self._tracker.objects)

    @property
    def obj_with_new_inputs(self) -> list[int]:
        """Objects with prompts that are not remembered yet; changing the list changes that."""
        waiting = {object_id for object_id, _ in self._unplaced}
        return WrittenThrough(
            (
                one.object_id
                for one in self._objects()
                if one.rounds or one.object_id in {*waiting, *self._asked_again}
            ),
            self._set_new_inputs,
        )

    @obj_with_new_inputs.setter
    def obj_with_new_inputs(self, obj_ids: Sequence[int]) -> None:
        """Say which objects' prompts count when their frame is segmented next.

        Prompts that were answered before are answered again, all of a frame at once; those of an
        object that is left out stay unanswered.
        """
        self._set_new_inputs(list(obj_ids))

    @property
    def _obj_id_to_idx(self) -> dict[int, int]:
        """Object -> its place in the order, a copy; code written for transformers reads it."""
        return {object_id: place for place, object_id in enumerate(self._tracker.objects)}

    @property
    def _obj_idx_to_id(self) -> dict[int, int]:
        """Place in the order -> object, a copy."""
        return dict(enumerate(self._tracker.objects))

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
            SessionError: There is no such object.
        """
        number, what = self.obj_idx_to_id(obj_idx), f"object number {obj_idx}"
        points_n2, labels_n = points_and_labels(inputs)
        if self._image_size is None:
            self._unplaced[number, self._require_promptable(frame_idx)] = dict(inputs)
            return
        side = self._image_size
        size = self.known_size or (side, side)
        points_n2 = to_image_pixels(points_n2.detach().cpu(), size, side)
        prompts = frame_prompts(points_n2, labels_n.detach().cpu(), None, what)
        check_near_frame(prompts, size, what)
        self.put_prompts(frame_idx, number, prompts)

    def remove_point_inputs(self, obj_idx: int, frame_idx: int) -> None:
        """Take back clicks and box on a frame, if there are any."""
        self._take_back(obj_idx, frame_idx, masks=False)

    def add_mask_inputs(self, obj_idx: int, frame_idx: int, inputs: Tensor) -> None:
        """Put a mask in the place of the prompts on a frame.

        Args:
            obj_idx: Place of the object in the order.
            frame_idx: The frame.
            inputs: `(1, 1, h, w)`, booleans, probabilities or logits; see [`read_mask`].

        Raises:
            PromptError: It is not one mask.
            SessionError: There is no such object.
        """
        number = self.obj_idx_to_id(obj_idx)
        if self._image_size is None:
            self._unplaced[number, self._require_promptable(frame_idx)] = inputs
            return
        what = f"object number {obj_idx}"
        mask = read_mask(inputs, None, self._image_size, what, as_transformers=True)
        self.put_prompts(frame_idx, number, FramePrompts().with_mask(mask))

    def remove_mask_inputs(self, obj_idx: int, frame_idx: int) -> None:
        """Take back the mask on a frame, if there is one."""
        self._take_back(obj_idx, frame_idx, masks=True)

    def store_output(
        self,
        obj_idx: int,
        frame_idx: int,
        output_key: str | None = None,
        output_value: Tensor | Mapping[str, Tensor | None] | None = None,
        is_conditioning_frame: bool = True,  # noqa: FBT001, FBT002
    ) -> None:
        """Remember an output of an object on a frame, or one tensor of it.

        Args:
            obj_idx: Place of the object in the order.
            frame_idx: The frame.
            output_key: Which tensor to replace; None for a whole output.
            output_value: The tensor, or a mapping; see [`StoredOutput`].
            is_conditioning_frame: Whether it belongs to a conditioning frame, or a tracked one.

        Raises:
            SessionError: There is no such object or key, or something is missing.
        """
        frames = self._outputs_of(obj_idx, is_conditioning_frame)
        if output_key is not None:
            if frame_idx not in frames:
                raise SessionError(
                    f"there is no output of frame {frame_idx} whose {output_key} could be "
                    "replaced. Store a whole output first, as output_value without a key."
                )
            frames[frame_idx][output_key] = output_value  # type: ignore[assignment]
        elif isinstance(output_value, Mapping):
            frames[frame_idx] = output_value
        else:
            raise SessionError("output_value must be a mapping where output_key is not given.")

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
            output_key: See [`StoredOutput`].
            is_conditioning_frame: Whether to look among prompted frames, or among tracked ones.

        Raises:
            SessionError: There is no such object or key.
        """
        if output_key not in OUTPUT_KEYS:
            keys = ", ".join(OUTPUT_KEYS)
            raise SessionError(f"there is no output {output_key!r}. There are: {keys}.")
        output = self._outputs_of(obj_idx, is_conditioning_frame).get(frame_idx)
        if output is None or output_key not in output:
            return None
        return output[output_key].to(self._placement.inference)

    def reset_tracking_data(self) -> None:
        """Remove all objects for good; frames and image features stay."""
        for object_id in self.object_ids:
            self._tracker.forget(object_id)
        self._unplaced.clear()
        self._asked_again.clear()
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
        self.use_model(model)
        if frame is not None:
            commit(self._tracker)  # while the oldest frame, which a prompt may be on, is there
            number = self.add_new_frame(frame, frame_idx)
        elif frame_idx is None:
            raise FrameError("there is neither frame_idx nor frame. Give one of them.")
        else:
            number = frame_number(frame_idx)
        if not self._is_answered(number):
            self._require(number)
        self._ask_again([number])
        corrections = commit(self._tracker)
        direction: Direction = "backward" if reverse else "forward"
        visit = FrameRequest(number, direction, remember=remember, passes_prompted=False)
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
        self.use_model(model)
        prompted = self._tracker.conditioning_frames()
        if not prompted:
            raise NoPromptError(None, ())
        self._ask_again(prompted)
        start = min(prompted) if start_frame_idx is None else operator.index(start_frame_idx)
        frames, limit = self.frames, max_frame_num_to_track
        count = frames.num_received if isinstance(frames, LiveFrames) else frames.num_frames
        course: Direction = "backward" if reverse else "forward"
        runs = plan_propagation(
            start, None if limit is None else limit + 1, course, count, prompted
        )
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
        unplaced = self._unplaced.get((one.object_id, frame))
        if unplaced is not None and isinstance(unplaced, Tensor) == masks:
            del self._unplaced[one.object_id, frame]
        prompts = one.prompts.get(frame)
        if prompts is not None and (prompts.mask_hw is not None) == masks:
            self._note(one, frame)
            one.clear(frame)

    def _require_promptable(self, frame: int) -> int:
        """Refuse a frame that cannot be had and will not come either; return its number."""
        number = frame_number(frame)
        return number if self.frames.may_come(number) else self._require(number)

    def _objects(self) -> list[TrackedObject]:
        return list(self._tracker.objects.values())

    def _output_place(self) -> OutputPlace:
        place = self._placement
        return OutputPlace(place.inference, place.state, self.options.memory_dtype)

    def _outputs_of(self, obj_idx: int, is_conditioning_frame: bool) -> FrameOutputs:  # noqa: FBT001
        kinds = output_views(self._at(obj_idx), self._output_place())
        return kinds[CONDITIONING if is_conditioning_frame else TRACKED]

    def _is_answered(self, frame: int) -> bool:
        """Tell whether a frame is known for every object, so that its pixels are not needed."""
        objects = self._objects()
        return bool(objects) and all(frame in one.outputs and not one.rounds for one in objects)

    def _set_new_inputs(self, obj_ids: list[int]) -> None:
        """See `obj_with_new_inputs`."""
        for one in self._objects():
            if one.object_id not in obj_ids:
                one.withdraw()
            elif not one.rounds and one.object_id not in self._asked_again:
                self._asked_again.append(one.object_id)
        self._asked_again = [number for number in self._asked_again if number in obj_ids]

    def _ask_again(self, frames: Iterable[int]) -> None:
        """Have prompts answered again that `obj_with_new_inputs` was set for."""
        frames = set(frames)
        for object_id in list(self._asked_again):
            one = self._tracker.objects.get(object_id)
            if one is None:
                continue
            known = frames & one.prompts.keys()
            for frame in known:
                ask_again(self._tracker, one, frame)
            if known:
                self._asked_again.remove(object_id)

    def _learn_input_size(self, side: int) -> None:
        """Note the model's input size, and place what was said in pixels of it before."""
        super()._learn_input_size(side)
        unplaced, self._unplaced = self._unplaced, {}
        for (object_id, frame), inputs in unplaced.items():
            if object_id not in self._tracker.objects:
                continue
            obj_idx = self.obj_ids.index(object_id)
            if isinstance(inputs, Tensor):
                self.add_mask_inputs(obj_idx, frame, inputs)
            else:
                self.add_point_inputs(obj_idx, frame, inputs)

    def inputs_of(self, object_id: int, *, masks: bool) -> dict[int, PointInputs | Tensor]:
        """List what was said about an object, by frame, in transformers' form.

        Args:
            object_id: The object.
            masks: Whether to list masks, or clicks and boxes.
        """
        found: dict[int, PointInputs | Tensor] = {
            frame: inputs
            for (number, frame), inputs in self._unplaced.items()
            if number == object_id and isinstance(inputs, Tensor) == masks
        }
        one, side = self._tracker.objects[object_id], self._image_size
        if side is None:
            return found
        place = self._placement
        for frame, prompts in one.prompts.items():
            if masks and prompts.mask_hw is not None:
                found[frame] = prompts.mask_hw[None, None].to(place.inference, place.dtype)
            elif not masks and prompts.mask_hw is None:
                points, labels = prompts.model_points(self.known_size or (side, side), side)
                found[frame] = {
                    "point_coords": points[None, None].to(place.inference),
                    "point_labels": labels[None, None].to(place.inference, torch.int32),
                }
        return found
