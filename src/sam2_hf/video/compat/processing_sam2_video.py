"""Video processor with transformers' API: opens sessions and adds prompts.

Suffixes: h, w = rows and columns.
"""

import os
from collections.abc import Sequence
from typing import Any

import torch

from sam2_hf.errors import PromptError, SessionError
from sam2_hf.frames.open import Frames, open_frames
from sam2_hf.frames.preprocessing import FramePixels
from sam2_hf.frames.streams import LiveFrames
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.processing.mask_post_processing import read_sizes
from sam2_hf.processing.processing_sam2 import Sam2Processor
from sam2_hf.video.prompts import FramePrompts, Mask, read_mask
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.video_processing_sam2_video import Sam2VideoVideoProcessor

from .transformers_prompts import (
    Ids,
    list_masks,
    prompts_of_object,
    read_frame,
    read_ids,
    scaled,
)
from .transformers_session import Sam2VideoInferenceSession

Masks = Mask | Sequence[Mask]
Device = torch.device | str


class Sam2VideoProcessor(Sam2Processor):
    """Open sessions on videos and streams, and add prompts.

    Takes the arguments and files of transformers' class of this name.

    Differs from transformers: frames are read when they are needed; sessions have this package's
    options, `compat="transformers"` has those of transformers; prompts of several calls accumulate;
    methods that add prompts return the session and do not modify their arguments.

    Args:
        image_processor: Prepares single images, such as stream frames.
        video_processor: Prepares whole videos; made with the image processor's settings if None.
        target_size: Input size of the model; the height of `image_processor.size` if None.
        point_pad_value: Both coordinates of a point that is padding.
    """

    def __init__(
        self,
        image_processor: Sam2ImageProcessor,
        video_processor: Sam2VideoVideoProcessor | None = None,
        target_size: int | None = None,
        point_pad_value: int = -10,
        **kwargs: Any,
    ) -> None:
        if video_processor is None:
            video_processor = Sam2VideoVideoProcessor.like(image_processor)
        super().__init__(
            image_processor,
            target_size,
            point_pad_value,
            video_processor=video_processor,
            **kwargs,
        )

    def init_video_session(  # noqa: PLR0913 - the signature is transformers'
        self,
        video: object = None,
        inference_device: Device = "cpu",
        inference_state_device: Device | None = None,
        processing_device: Device | None = None,
        video_storage_device: Device | None = None,
        max_vision_features_cache_size: int = 1,
        dtype: torch.dtype | str = torch.float32,
        *,
        options: SessionOptions | None = None,
        **changes: Any,
    ) -> Sam2VideoInferenceSession:
        """Open a session on a video, or on a live stream.

        Args:
            video: A video as [`open_frames`] takes it; None for a live stream.
            inference_device: Device of the model.
            inference_state_device: Device for memories; that of the model if None.
            processing_device: Ignored: frames are prepared by threads on the CPU.
            video_storage_device: Device for stream frames given as model input; that of the model
                if None. Other frames are held as bytes in RAM, a few at a time.
            max_vision_features_cache_size: Number of frames whose image features are cached.
            dtype: Dtype of the frames that `session.get_frame` returns.
            options: See [`SessionOptions`].
            **changes: Single options; `compat="transformers"` selects transformers' options, the
                default if the image processor has it; `compat="official"` the original's.

        Raises:
            VideoError: The video cannot be opened, or there are several.
            SessionError: An option is unknown or its value invalid.

        Example:
            >>> processor = Sam2VideoProcessor.from_pretrained("sam2-hiera-micro")
            >>> processor.init_video_session(video="clip.mp4").num_frames
            3
        """
        if options is not None and changes:
            raise SessionError(f"give either options or single ones ({', '.join(changes)}).")
        usual: dict[str, Any] = {"cached_features": max_vision_features_cache_size}
        if self.image_processor.compat == "transformers":
            usual["compat"] = "transformers"
        chosen = options or SessionOptions.preset(**(usual | changes))
        return Sam2VideoInferenceSession(
            inference_device=inference_device,
            inference_state_device=inference_state_device or inference_device,
            video_storage_device=video_storage_device or inference_device,
            dtype=dtype,
            frames=self._frames(video, chosen),
            options=chosen,
            image_size=self.target_size,
        )

    def add_inputs_to_inference_session(  # noqa: PLR0913 - the signature is transformers'
        self,
        inference_session: Sam2VideoInferenceSession,
        frame_idx: int,
        obj_ids: Ids,
        input_points: object = None,
        input_labels: object = None,
        input_boxes: object = None,
        input_masks: Masks | None = None,
        original_size: object = None,
        clear_old_inputs: bool = True,  # noqa: FBT001, FBT002
    ) -> Sam2VideoInferenceSession:
        """Add prompts for one or several objects on a frame.

        Args:
            inference_session: The session.
            frame_idx: The frame; of a live stream also a future one.
            obj_ids: The object, or a list of them.
            input_points: `[1][object][point][x, y]`, pixels of the original frame.
            input_labels: `[1][object][point]`: 1 on the object, 0 outside it; all 1 if None.
            input_boxes: `[1][object][x0, y0, x1, y1]`.
            input_masks: One mask `(h, w)` for each object, of any size: a list, an array or a
                tensor. Booleans, numbers, probabilities or logits; see [`read_mask`]. Not together
                with the others.
            original_size: `(height, width)` of the coordinates; required before the first frame of
                a stream.
            clear_old_inputs: Whether to replace clicks and box of these objects on this frame, or
                add to them. The earlier mask is refined in both cases.

        Returns:
            The session.

        Raises:
            PromptError: The prompts are invalid, or do not match the number of objects.
            FrameError: There is no such frame.

        Example:
            >>> processor = Sam2VideoProcessor.from_pretrained("sam2-hiera-micro")
            >>> session = processor.add_inputs_to_inference_session(
            ...     session, frame_idx=0, obj_ids=2, input_boxes=[[[170, 30, 220, 90]]]
            ... )
            >>> session.obj_ids
            [1, 2]
        """
        places = (input_points, input_labels, input_boxes)
        if input_masks is None:
            return self.process_new_points_or_boxes_for_video_frame(
                inference_session, frame_idx, obj_ids, *places, original_size, clear_old_inputs
            )
        if any(prompts is not None for prompts in places):
            raise PromptError(
                "masks came together with points or boxes. Give masks alone: points that are given "
                "later refine them."
            )
        if original_size is not None:
            self._given_size(inference_session, original_size)
        return self.process_new_mask_for_video_frame(
            inference_session, frame_idx, obj_ids, input_masks
        )

    def process_new_points_or_boxes_for_video_frame(  # noqa: PLR0913 - transformers' signature
        self,
        inference_session: Sam2VideoInferenceSession,
        frame_idx: int,
        obj_ids: Ids,
        input_points: object = None,
        input_labels: object = None,
        input_boxes: object = None,
        original_size: object = None,
        clear_old_inputs: bool = True,  # noqa: FBT001, FBT002
    ) -> Sam2VideoInferenceSession:
        """Add clicks and boxes; see [`add_inputs_to_inference_session`].

        Example:
            >>> processor = Sam2VideoProcessor.from_pretrained("sam2-hiera-micro")
            >>> session = processor.process_new_points_or_boxes_for_video_frame(
            ...     session, 0, 2, input_points=[[[[195, 60]]]], input_labels=[[[1]]]
            ... )
        """
        ids = read_ids(obj_ids)
        given_size = self._given_size(inference_session, original_size)
        size = inference_session.known_size or given_size
        values = (input_points, input_labels, input_boxes)
        asked = read_frame(values, given_size, self.target_size, self.point_pad_value)
        found = []
        for place, number in enumerate(ids):
            prompts = scaled(prompts_of_object(asked, place, len(ids)), given_size, size)
            if not clear_old_inputs:
                earlier = inference_session.prompts_of(frame_idx, number)
                box = prompts.box or earlier.box
                prompts = FramePrompts(clicks=(*earlier.clicks, *prompts.clicks), box=box)
            found.append(prompts)
        for number, prompts in zip(ids, found, strict=True):  # after all were validated
            inference_session.put_prompts(frame_idx, number, prompts)
        return inference_session

    def process_new_mask_for_video_frame(
        self,
        inference_session: Sam2VideoInferenceSession,
        frame_idx: int,
        obj_ids: Ids,
        input_masks: Masks,
    ) -> Sam2VideoInferenceSession:
        """Add masks; see [`add_inputs_to_inference_session`].

        Example:
            >>> processor = Sam2VideoProcessor.from_pretrained("sam2-hiera-micro")
            >>> mask = np.zeros((180, 240), bool)
            >>> mask[30:90, 170:220] = True
            >>> session = processor.process_new_mask_for_video_frame(session, 0, 2, mask)
        """
        ids = read_ids(obj_ids)
        masks = [
            read_mask(mask, None, self.target_size, f"object {number}", as_transformers=True)
            for number, mask in zip(ids, list_masks(input_masks, len(ids)), strict=True)
        ]
        for number, mask_hw in zip(ids, masks, strict=True):
            inference_session.put_prompts(frame_idx, number, FramePrompts(mask_hw=mask_hw))
        return inference_session

    def check_argument_for_proper_class(self, argument_name: str, argument: object) -> type:
        """Check the type of the video processor, which transformers cannot look up by name."""
        if argument_name != "video_processor":
            return super().check_argument_for_proper_class(argument_name, argument)
        if not isinstance(argument, Sam2VideoVideoProcessor):
            raise TypeError(
                f"video_processor is a {type(argument).__name__}; it must be a "
                "Sam2VideoVideoProcessor."
            )
        return Sam2VideoVideoProcessor

    @classmethod
    def _get_arguments_from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        processor_dict: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Load our processors instead of those that transformers looks up by name."""
        return [
            Sam2ImageProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs),
            Sam2VideoVideoProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs),
        ]

    def _frames(self, video: object, options: SessionOptions) -> Frames:
        """Open a video or a live stream."""
        side, rules = self.target_size, self.video_processor.rules
        compat, value_range = options.frame_compat, options.value_range
        if video is None:
            pixels = FramePixels(side, compat, rules)
            return LiveFrames(options.window, pixels, value_range, declares_size=True)
        return open_frames(
            video,
            image_size=side,
            compat=compat,
            rules=rules,
            ring=options.window,
            value_range=value_range,
        )

    def _given_size(
        self, session: Sam2VideoInferenceSession, original_size: object
    ) -> tuple[int, int]:
        """Return the size of the coordinates; a stream without a size adopts it."""
        if original_size is None:
            if session.known_size is None:
                raise PromptError(
                    "original_size is missing: the frame size of this stream is unknown. "
                    "Give (height, width) of the frame the points are meant for."
                )
            return session.known_size
        (size,) = read_sizes([original_size])
        if session.known_size is None:
            session.video_height, session.video_width = size
        return size
