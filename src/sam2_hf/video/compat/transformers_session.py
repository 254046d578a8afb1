"""Session with transformers' API: code written for it runs after changing the import."""

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor

from sam2_hf.errors import FrameError, NoPromptError, SessionError
from sam2_hf.frames.base import Frames, frame_number
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import Sam2VideoSegmentationOutput
from sam2_hf.video.policies.memory_policy import Direction
from sam2_hf.video.prompts import read_object_id
from sam2_hf.video.propagation import FrameRequest, plan_propagation
from sam2_hf.video.session import VideoSession
from sam2_hf.video.session_lock import one_thread_at_a_time
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.tracked_object import TrackedObject
from sam2_hf.video.tracker import Tracker
from sam2_hf.video.tracking_model import TrackingModel

from .transformers_frames import ModelInputFrames, NewFrames, prepared_frames
from .transformers_inputs import ModelInputPrompts, PointInputs, PromptInputs
from .transformers_names import PerObject, Placement, as_dtype, segmentation_output
from .transformers_outputs import (
    CONDITIONING,
    TRACKED,
    FrameOutputs,
    FramesTracked,
    OutputPlace,
    VisionFeatures,
    look_up_output,
    output_views,
    store_output,
)


@one_thread_at_a_time(but=())
class Sam2VideoInferenceSession(VideoSession):
    """Session on one video, with transformers' names added.

    Open one with `Sam2VideoInferenceSession.open(video, model)`; see [`VideoSession`] for the
    methods of this package. The constructor and the members defined here are as in transformers. As
    there, an object's index is its position in the order of creation; removing an object shifts
    those after it.

    Args:
        video: Prepared frames, `(t, 3, S, S)`; None for a live stream.
        video_height: Rows of the original frames; the input size if None.
        video_width: Columns of the original frames; the input size if None.
        inference_device: Device of the model.
        inference_state_device: Device of memories.
        video_storage_device: Device of prepared frames; others are held as bytes in RAM.
        dtype: Dtype of prepared frames, or its name.
        max_vision_features_cache_size: Number of frames whose image features are cached.
        frames: Another source of frames, in place of `video`.
        options: Session options; with them `max_vision_features_cache_size` is ignored.
        image_size: Input size of the frames, if `video` is not given.

    Raises:
        VideoError: `video` is not a tensor of prepared frames.
        SessionError: The dtype is unknown.

    Differs from transformers: the session's internal dictionaries are live views of this package's
    state; `session.masklet(object_id)` has the masks of all frames.
    """

    def __init__(  # noqa: PLR0913 - the signature is transformers'
        self,
        video: Tensor | None = None,
        video_height: int | None = None,
        video_width: int | None = None,
        inference_device: torch.device | str = "cpu",
        inference_state_device: torch.device | str = "cpu",
        video_storage_device: torch.device | str = "cpu",
        dtype: torch.dtype | str = "float32",
        max_vision_features_cache_size: int = 1,
        *,
        frames: Frames | None = None,
        options: SessionOptions | None = None,
        image_size: int | None = None,
    ) -> None:
        chosen = options or SessionOptions(cached_features=max_vision_features_cache_size)
        place = Placement(
            torch.device(inference_device),
            torch.device(inference_state_device),
            torch.device(video_storage_device),
            as_dtype(dtype),
        )
        image_size = image_size if video is None else video.shape[-1]
        if frames is None:
            frames = prepared_frames(video, chosen, place)
        tracker = Tracker(frames, chosen, state_device=place.state, image_size=image_size)
        super().__init__(tracker)
        self._add_views(place)
        self._input_frames.declare_size(video_height, video_width)

    @classmethod
    def _of_tracker(cls, tracker: Tracker) -> Self:
        """Make a session from a tracker that has its model."""
        session = cls.__new__(cls)
        VideoSession.__init__(session, tracker)
        device = tracker.model.device
        place = Placement(device, device, torch.device("cpu"), tracker.model.dtype)
        session._add_views(place)
        return session

    def _add_views(self, place: Placement) -> None:
        """Add views of frames and prompts in model pixels."""
        self._place = place
        self._input_prompts = ModelInputPrompts(self, self._tracker, place, self.lock)
        self._input_frames = ModelInputFrames(self._tracker, place, self._input_prompts, self.lock)

    @property
    def processed_frames(self) -> Mapping[int, Tensor | None] | None:
        """Frame -> model input, a live view; None before the first frame of a stream.

        Assigning a mapping or sequence replaces all frames, None makes an empty stream; see
        [`ModelInputFrames.replace_all`].
        """
        return self._input_frames.view()

    @processed_frames.setter
    def processed_frames(self, frames: NewFrames) -> None:
        """Replace all frames."""
        self._input_frames.replace_all(frames)

    def add_new_frame(self, pixel_values: Tensor, frame_idx: int | None = None) -> int:
        """Add a frame of model input.

        Args:
            pixel_values: `(3, S, S)` or `(1, 3, S, S)`, normalized.
            frame_idx: Its number, if the caller counts; numbers may have gaps, and an existing
                frame is replaced. One more than the highest if None.

        Returns:
            Its number.

        Raises:
            FrameError: Its shape is wrong, or the number is negative.

        Differs from transformers: there the next number is the number of stored frames, so that a
        new frame replaces another after gaps or deletions.
        """
        return self._input_frames.add(pixel_values, frame_idx)

    def get_frame(self, frame_idx: int) -> Tensor:
        """Read a frame as model input, `(3, S, S)`.

        Raises:
            FrameError: It is not available.
        """
        return self._input_frames.for_model(frame_idx)

    @property
    def known_size(self) -> tuple[int, int] | None:
        """`(height, width)` of the original frames, unless it is only a guess."""
        return self.frames.known_size

    @property
    def video_height(self) -> int | None:
        """Rows of the original frames; None if they are not known yet."""
        return self._input_frames.height

    @video_height.setter
    def video_height(self, height: int) -> None:
        """Declare the rows; takes effect once the columns are known."""
        self._input_frames.declare_height(height)

    @property
    def video_width(self) -> int | None:
        """Columns of the original frames; None if they are not known yet."""
        return self._input_frames.width

    @video_width.setter
    def video_width(self, width: int) -> None:
        """Declare the columns; takes effect once the rows are known."""
        self._input_frames.declare_width(width)

    @property
    def inference_device(self) -> torch.device:
        """Device of the model."""
        return self._place.inference

    @inference_device.setter
    def inference_device(self, device: torch.device | str) -> None:
        """Set the device of the model."""
        self._place.inference = torch.device(device)

    @property
    def inference_state_device(self) -> torch.device:
        """Device of memories."""
        return self._place.state

    @inference_state_device.setter
    def inference_state_device(self, device: torch.device | str) -> None:
        """Set the device of memories."""
        self._place.state = torch.device(device)
        self._tracker.store_on(self._place.state)

    @property
    def video_storage_device(self) -> torch.device:
        """Device of prepared frames."""
        return self._place.storage

    @video_storage_device.setter
    def video_storage_device(self, device: torch.device | str) -> None:
        """Set the device of prepared frames."""
        self._place.storage = torch.device(device)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of prepared frames."""
        return self._place.dtype

    @dtype.setter
    def dtype(self, dtype: torch.dtype | str) -> None:
        """Set the dtype of prepared frames."""
        self._place.dtype = as_dtype(dtype)

    @property
    def max_vision_features_cache_size(self) -> int:
        """Number of frames whose image features are cached."""
        return self._tracker.encoder.features.size

    @max_vision_features_cache_size.setter
    def max_vision_features_cache_size(self, size: int) -> None:
        """Set the number of cached frames."""
        self._tracker.encoder.features.size = size

    @property
    def cache(self) -> VisionFeatures:
        """The cached image features."""
        return VisionFeatures(self._tracker.encoder.features, self._output_place())

    @property
    def output_dict_per_obj(self) -> PerObject[Mapping[str, FrameOutputs]]:
        """Stored outputs, a live view: index -> kind of frame -> frame -> outputs.

        The kinds are `cond_frame_outputs` and `non_cond_frame_outputs`. A removed frame is no
        longer attended to; see [`StoredOutput`] for its entries.
        """
        place = self._output_place()
        return PerObject(self._objects, lambda obj: output_views(obj, place))

    @property
    def frames_tracked_per_obj(self) -> PerObject[FramesTracked]:
        """Index -> frame -> `{"reverse": ...}` of tracked frames, a live view."""
        return PerObject(self._objects, FramesTracked)

    @property
    def point_inputs_per_obj(self) -> PerObject[PromptInputs[PointInputs]]:
        """Index -> frame -> `point_coords` and `point_labels`, a live view."""
        return self._input_prompts.per_object(masks=False)

    @property
    def mask_inputs_per_obj(self) -> PerObject[PromptInputs[Tensor]]:
        """Index -> frame -> mask `(1, 1, S, S)`, a live view."""
        return self._input_prompts.per_object(masks=True)

    @property
    def obj_ids(self) -> list[int]:
        """The objects, in order of creation."""
        return list(self._tracker.objects)

    @property
    def obj_with_new_inputs(self) -> list[int]:
        """Objects with queued prompts; changes to the list write through.

        Their prompts are applied when their frame is segmented next. Prompts applied before are
        applied again, all of a frame at once; those of an object left out stay queued.
        """
        return self._input_prompts.new_ids()

    @obj_with_new_inputs.setter
    def obj_with_new_inputs(self, obj_ids: Sequence[int]) -> None:
        """Set which objects' prompts are queued."""
        self._input_prompts.set_new_ids(list(obj_ids))

    @property
    def _obj_id_to_idx(self) -> dict[int, int]:
        """Object id -> index, a copy; code written for transformers reads it."""
        return {object_id: place for place, object_id in enumerate(self._tracker.objects)}

    @property
    def _obj_idx_to_id(self) -> dict[int, int]:
        """Index -> object id, a copy."""
        return dict(enumerate(self._tracker.objects))

    def obj_id_to_idx(self, obj_id: int) -> int:
        """Return the index of an object, which is created if the id is new."""
        number = read_object_id(obj_id)
        self._tracker.registry.get_or_add(number, self._tracker.memory_device)
        return self.obj_ids.index(number)

    def obj_idx_to_id(self, obj_idx: int) -> int:
        """Return the object id at an index.

        Raises:
            SessionError: The index is out of range.
        """
        return self._at(obj_idx).object_id

    def get_obj_num(self) -> int:
        """Count the objects."""
        return len(self._tracker.objects)

    def add_point_inputs(self, obj_idx: int, frame_idx: int, inputs: dict[str, Tensor]) -> None:
        """Replace the prompts on a frame with clicks and corners of a box.

        Args:
            obj_idx: Index of the object.
            frame_idx: The frame.
            inputs: `point_coords` `(1, 1, n, 2)`, model pixels, and `point_labels` `(1, 1, n)`.

        Raises:
            PromptError: They cannot be read as clicks and a box.
            SessionError: There is no such object.
        """
        self._input_prompts.add_points(self.obj_idx_to_id(obj_idx), frame_idx, inputs)

    def remove_point_inputs(self, obj_idx: int, frame_idx: int) -> None:
        """Remove clicks and box on a frame, if any."""
        self._input_prompts.remove(self.obj_idx_to_id(obj_idx), frame_idx, masks=False)

    def add_mask_inputs(self, obj_idx: int, frame_idx: int, inputs: Tensor) -> None:
        """Replace the prompts on a frame with a mask.

        Args:
            obj_idx: Index of the object.
            frame_idx: The frame.
            inputs: `(1, 1, h, w)`, booleans, probabilities or logits; see [`read_mask`].

        Raises:
            PromptError: It is not a single mask.
            SessionError: There is no such object.
        """
        self._input_prompts.add_mask(self.obj_idx_to_id(obj_idx), frame_idx, inputs)

    def remove_mask_inputs(self, obj_idx: int, frame_idx: int) -> None:
        """Remove the mask on a frame, if any."""
        self._input_prompts.remove(self.obj_idx_to_id(obj_idx), frame_idx, masks=True)

    def store_output(
        self,
        obj_idx: int,
        frame_idx: int,
        output_key: str | None = None,
        output_value: Tensor | Mapping[str, Tensor | None] | None = None,
        is_conditioning_frame: bool = True,  # noqa: FBT001, FBT002
    ) -> None:
        """Store an output of an object on a frame, or one tensor of it.

        Args:
            obj_idx: Index of the object.
            frame_idx: The frame.
            output_key: Which tensor to replace; None for a whole output.
            output_value: The tensor, or a mapping; see [`StoredOutput`].
            is_conditioning_frame: Whether it belongs to a conditioning frame, or a tracked one.

        Raises:
            SessionError: There is no such object or key, or something is missing.
        """
        outputs = self._outputs_of(obj_idx, is_conditioning_frame)
        store_output(outputs, frame_idx, output_key, output_value)

    def get_output(
        self,
        obj_idx: int,
        frame_idx: int,
        output_key: str,
        is_conditioning_frame: bool = True,  # noqa: FBT001, FBT002
    ) -> Tensor | None:
        """Look up a stored output of an object on a frame; None if missing.

        Args:
            obj_idx: Index of the object.
            frame_idx: The frame.
            output_key: See [`StoredOutput`].
            is_conditioning_frame: Whether to look among conditioning frames, or tracked ones.

        Raises:
            SessionError: There is no such object or key.
        """
        outputs = self._outputs_of(obj_idx, is_conditioning_frame)
        found = look_up_output(outputs, frame_idx, output_key)
        return None if found is None else found.to(self._place.inference)

    def reset(self) -> None:
        """Remove all objects for good; the frames stay."""
        super().reset()
        self._input_prompts.clear()

    def reset_tracking_data(self) -> None:
        """Remove all objects for good; frames and image features stay."""
        self.reset()

    def reset_inference_session(self) -> None:
        """Remove all objects for good, and the image features; the frames stay."""
        self.reset()
        self._tracker.encoder.features.clear()

    def use_model(self, model: TrackingModel) -> None:
        """Use a model from now on; see [`VideoSession.use_model`]."""
        super().use_model(model)
        self._input_prompts.place_all()

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

        All prompts so far are applied, on any frame. Without `remember` a tracked frame leaves no
        memory; a prompted one always does.

        Raises:
            FrameError: The frame is not available.
        """
        self.use_model(model)
        if frame is not None:
            # before the stream drops its oldest frame, which may have a prompt
            self._tracker.consolidate_prompts()
            number = self.add_new_frame(frame, frame_idx)
        elif frame_idx is None:
            raise FrameError("there is neither frame_idx nor frame. Give one of them.")
        else:
            number = frame_number(frame_idx)
        if not self._tracker.registry.has_outputs_of(number):  # its pixels are not needed
            self._require(number)
        self._input_prompts.requeue([number])
        corrections = self._tracker.consolidate_prompts()
        direction: Direction = "backward" if reverse else "forward"
        request = FrameRequest(number, direction, remember=remember, passes_prompted=False)
        result, write_error = self._tracker.segment(request.keeping(corrections))
        if write_error is not None:
            raise write_error
        return segmentation_output(result, model)

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
        default start is the earliest prompted frame, and there is nothing before frame 0.

        Raises:
            NoPromptError: No object has a prompt.
            FrameError: The first frame does not exist.
        """
        self.use_model(model)
        prompted = self._tracker.registry.conditioning_frames()
        if not prompted and not self._tracker.registry.has_references:
            raise NoPromptError(None, ())
        self._input_prompts.requeue(prompted)
        start = None if start_frame_idx is None else operator.index(start_frame_idx)
        start = min(prompted, default=None) if start is None else start
        limit = None if max_frame_num_to_track is None else max_frame_num_to_track + 1
        count = self.frames.num_received if self.frames.is_live else self.num_frames
        direction: Direction = "backward" if reverse else "forward"
        runs = plan_propagation(start, limit, direction, count, prompted)
        if reverse and start == 0:
            runs = []
        results = self._visit(runs, progress=show_progress_bar, passes_prompted=False)
        return (segmentation_output(result, model) for result in results)

    def _at(self, obj_idx: int) -> TrackedObject:
        objects = self._objects()
        if not 0 <= operator.index(obj_idx) < len(objects):
            raise SessionError(
                f"there is no object number {obj_idx}: the session has {len(objects)}, counted "
                "from 0. session.obj_id_to_idx(object_id) gives the number of an object."
            )
        return objects[obj_idx]

    def _objects(self) -> list[TrackedObject]:
        return list(self._tracker.objects.values())

    def _output_place(self) -> OutputPlace:
        return OutputPlace(self._place.inference, self._place.state, self.options.memory_dtype)

    def _outputs_of(self, obj_idx: int, is_conditioning_frame: bool) -> FrameOutputs:  # noqa: FBT001
        kinds = output_views(self._at(obj_idx), self._output_place())
        return kinds[CONDITIONING if is_conditioning_frame else TRACKED]
