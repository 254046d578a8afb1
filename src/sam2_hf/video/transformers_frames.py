"""How transformers' session is made, and its frames: prepared ones, streamed ones, their size.

Suffixes: t3ss = frames, red green blue, input rows and columns.
"""

import operator
from typing import Self

import torch
from torch import Tensor

from sam2_hf.errors import FrameError, SessionError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .frame_pixels import FramePixels
from .frames import Frames
from .live_frames import LiveFrames
from .prepared_frames import PreparedFrames, PreparedStream, one_frame
from .session_core import SessionCore
from .session_options import SessionOptions
from .tracker import Tracker
from .transformers_names import Placement, ProcessedFrames, as_dtype
from .video_processing_sam2_video import checkpoint_pixels


class TransformersFrames(SessionCore):
    """Base of the session class, not one itself; see [`TransformersSession`] for the arguments."""

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
        self._placement = Placement(
            torch.device(inference_device),
            torch.device(inference_state_device),
            torch.device(video_storage_device),
            as_dtype(dtype),
        )
        self._image_size = image_size if video is None else video.shape[-1]
        self._said_size: tuple[int | None, int | None] = (None, None)
        if frames is None:
            frames = self._prepared(video, chosen)
        super().__init__(Tracker(frames, chosen, None, self._placement.state))
        self._say_size(video_height, video_width)

    @classmethod
    def _around(cls, tracker: Tracker) -> Self:
        """Make a session of an engine that has its model."""
        session = cls.__new__(cls)
        SessionCore.__init__(session, tracker)
        device = tracker.model.device
        session._placement = Placement(device, device, torch.device("cpu"), tracker.model.dtype)
        session._image_size = tracker.model.prompt_encoder.image_size
        session._said_size = (None, None)
        return session

    @property
    def processed_frames(self) -> ProcessedFrames | None:
        """Frame -> model input; None before the first frame of a stream."""
        if isinstance(self.frames, LiveFrames) and not self.frames.num_received:
            return None
        return ProcessedFrames(self.frames, self._placement.storage, self._placement.dtype)

    @property
    def inference_device(self) -> torch.device:
        """Where the model is."""
        return self._placement.inference

    @property
    def inference_state_device(self) -> torch.device:
        """Where memories are stored."""
        return self._placement.state

    @property
    def video_storage_device(self) -> torch.device:
        """Where prepared frames are."""
        return self._placement.storage

    @property
    def dtype(self) -> torch.dtype:
        """Type of prepared frames."""
        return self._placement.dtype

    @property
    def max_vision_features_cache_size(self) -> int:
        """Frames whose image features are kept."""
        return self.options.cached_features

    @property
    def video_height(self) -> int | None:
        """Rows of the original frames; None if nobody has told yet."""
        known = self.known_size
        return self._said_size[0] if known is None else known[0]

    @video_height.setter
    def video_height(self, height: int) -> None:
        """Say how many rows; it counts as soon as the columns are known too."""
        self._say_size(height, self._said_size[1])

    @property
    def video_width(self) -> int | None:
        """Columns of the original frames; None if nobody has told yet."""
        known = self.known_size
        return self._said_size[1] if known is None else known[1]

    @video_width.setter
    def video_width(self, width: int) -> None:
        """Say how many columns; it counts as soon as the rows are known too."""
        self._say_size(self._said_size[0], width)

    @property
    def known_size(self) -> tuple[int, int] | None:
        """`(height, width)` of the original frames, unless it is only a guess."""
        if isinstance(self.frames, PreparedStream) and not self.frames.size_is_known:
            return None
        return self.frames.size

    def add_new_frame(self, pixel_values: Tensor, frame_idx: int | None = None) -> int:
        """Add a frame of model input to a stream or to a prepared video.

        Args:
            pixel_values: `(3, S, S)` or `(1, 3, S, S)`, normalized.
            frame_idx: Its number; the next one if None. An earlier frame of a prepared video is
                replaced.

        Returns:
            Its number.

        Raises:
            FrameError: Its shape is wrong, or a stream has another number to give.
            SessionError: The session reads a video by itself.
        """
        values = one_frame(pixel_values).to(self._placement.storage)
        number = None if frame_idx is None else operator.index(frame_idx)
        frames = self.frames
        if isinstance(frames, PreparedFrames):
            number = frames.put(values.to(self._placement.dtype), number)
        elif isinstance(frames, LiveFrames):
            if number not in (None, frames.num_received):
                raise FrameError(
                    f"the next frame of this stream is {frames.num_received}, not {number}. Leave "
                    "frame_idx out, or give frame_idx without a frame to look at an earlier one."
                )
            number = frames.append_pixel_values(values)
        else:
            raise SessionError(
                "this session reads its video by itself. Make one with init_video_session() "
                "without a video to stream frames."
            )
        self._tracker.features.discard(number)
        return number

    def get_frame(self, frame_idx: int) -> Tensor:
        """Read a frame as model input, `(3, S, S)`.

        Raises:
            FrameError: It cannot be had.
        """
        pixels = self.frames.pixel_values(operator.index(frame_idx), self._placement.inference)
        return pixels.to(self._placement.dtype)

    def _bind(self, model: Sam2VideoModel) -> None:
        """Use a model from now on.

        Raises:
            SessionError: The frames are prepared for another input size.
        """
        side = model.prompt_encoder.image_size
        if self._image_size is not None and self._image_size != side:
            raise SessionError(
                f"the frames of this session are made for an input size of {self._image_size}, and "
                f"the model takes {side}. Use the model's own processor."
            )
        self._image_size = side
        if isinstance(self.frames, LiveFrames) and self.frames.pixels is None:
            self.frames.pixels = FramePixels(
                side, self.options.frame_compat, checkpoint_pixels(model)
            )
        self._tracker.bind(model)

    def _prepared(self, video: Tensor | None, options: SessionOptions) -> Frames:
        """Make frames of what transformers' constructor takes."""
        if video is None:
            return PreparedStream(options.window, value_range=options.value_range)
        return PreparedFrames(video.to(self._placement.storage, self._placement.dtype))

    def _say_size(self, height: int | None, width: int | None) -> None:
        """Take the original size where nobody knows it; refuse another one where it is known.

        Raises:
            SessionError: It is another one, or masks of another size are there already.
        """
        self._said_size = (height, width)
        if height is None or width is None:
            return
        size = (int(height), int(width))
        if self.frames.size == size and self.known_size == size:
            return
        has_masks = any(one.masklet is not None for one in self._tracker.objects.values())
        frames = self.frames
        if has_masks or not isinstance(frames, (PreparedFrames, PreparedStream)):
            raise SessionError(
                f"the frames are {self.frames.size} (height, width), they cannot be {size} any "
                "more. Say their size before anything is tracked, or leave it out."
            )
        frames.declare_size(size)
