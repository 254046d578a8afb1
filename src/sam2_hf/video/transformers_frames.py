"""How transformers' session is made, and its frames: prepared ones, streamed ones, edited ones.

Suffixes: t3ss = frames, red green blue, input rows and columns.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor

from sam2_hf.errors import SessionError
from sam2_hf.frames.base import Frames, frame_number
from sam2_hf.frames.preprocessed import EditedFrames, PreparedFrames, PreparedStream, one_frame
from sam2_hf.frames.preprocessing import FramePixels
from sam2_hf.frames.streams import LiveFrames
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.video.compat.transformers_names import Placement, ProcessedFrames, as_dtype
from sam2_hf.video.compat.transformers_prompts import scaled

from .session_core import SessionCore
from .session_options import SessionOptions
from .tracker import Tracker
from .tracker_state import require_video_model
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
        self._begin_empty()
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
        session._image_size = tracker.model.image_size
        session._begin_empty()
        return session

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Copy objects, memories and masks; the model and the pixels of frames are shared.

        A video file is opened again. Image features are not copied but computed again.

        Raises:
            SessionError: The session is closed.
            VideoError: The session is on an iterator, which cannot be read twice.
        """
        twin = type(self).__new__(type(self))
        twin.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return twin

    def __copy__(self) -> Self:
        """Copy as `copy.deepcopy` does: two sessions cannot share what both change."""
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        """List what is pickled: all but the model, which must be given again; see `use_model`.

        Videos in memory are inside, those on the disk by their path.
        """
        own = ("_placement", "_image_size", "_said_size", "_unplaced", "_asked_again")
        return {
            "tracker": self._tracker,
            "undo": self._undo,
            **{name: getattr(self, name) for name in own},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        fields = dict(state)
        SessionCore.__init__(self, fields.pop("tracker"))
        self._undo = fields.pop("undo")
        self.__dict__.update(fields)

    def _begin_empty(self) -> None:
        """Nothing has been said yet."""
        self._said_size: tuple[int | None, int | None] = (None, None)
        # prompts in model pixels that came before anyone knew the model, by object and frame
        self._unplaced: dict[tuple[int, int], dict[str, Tensor] | Tensor] = {}
        self._asked_again: list[int] = []  # objects whose answered prompts count once more

    @property
    def processed_frames(self) -> ProcessedFrames | None:
        """Frame -> model input, a live view; None before the first frame of a stream."""
        if isinstance(self.frames, LiveFrames) and not self.frames.num_received:
            return None
        return ProcessedFrames(self)

    @processed_frames.setter
    def processed_frames(self, frames: Mapping[int, Tensor | None] | None) -> None:
        """Put other frames in the place of all; None makes an empty stream.

        Of a stream, frames that are not in the mapping are dropped, and it goes on counting.

        Raises:
            VideoError: The frames are of several shapes.
        """
        if isinstance(frames, ProcessedFrames) and frames.session is self:
            return
        if frames is None:
            self._exchange(PreparedStream(window=self.options.window))
        elif isinstance(self.frames, LiveFrames):
            self._keep_of_stream(self.frames, frames)
        elif not frames:
            ProcessedFrames(self).clear()
        else:
            place = self._placement
            moved = {
                frame: None if values is None else one_frame(values).to(place.storage, place.dtype)
                for frame, values in frames.items()
            }
            side = next((v.shape[-1] for v in moved.values() if v is not None), 0)
            self._exchange(PreparedFrames.of_mapping(moved, self.frames.size or (side, side)))
            self._learn_input_size(side)

    @property
    def inference_device(self) -> torch.device:
        """Where the model is."""
        return self._placement.inference

    @inference_device.setter
    def inference_device(self, device: torch.device | str) -> None:
        """Expect the model on another device."""
        self._placement = replace(self._placement, inference=torch.device(device))

    @property
    def inference_state_device(self) -> torch.device:
        """Where memories are stored."""
        return self._placement.state

    @inference_state_device.setter
    def inference_state_device(self, device: torch.device | str) -> None:
        """Store memories on another device from now on."""
        self._placement = replace(self._placement, state=torch.device(device))
        self._tracker.store_on(self._placement.state)

    @property
    def video_storage_device(self) -> torch.device:
        """Where prepared frames are."""
        return self._placement.storage

    @video_storage_device.setter
    def video_storage_device(self, device: torch.device | str) -> None:
        """Keep prepared frames on another device."""
        self._placement = replace(self._placement, storage=torch.device(device))

    @property
    def dtype(self) -> torch.dtype:
        """Type of prepared frames."""
        return self._placement.dtype

    @dtype.setter
    def dtype(self, dtype: torch.dtype | str) -> None:
        """Prepare frames in another type."""
        self._placement = replace(self._placement, dtype=as_dtype(dtype))

    @property
    def max_vision_features_cache_size(self) -> int:
        """Frames whose image features are kept."""
        return self._tracker.features.size

    @max_vision_features_cache_size.setter
    def max_vision_features_cache_size(self, size: int) -> None:
        """Keep another number of frames."""
        self._tracker.features.size = size

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
        """Add a frame of model input.

        Args:
            pixel_values: `(3, S, S)` or `(1, 3, S, S)`, normalized.
            frame_idx: Its number, where the caller counts; numbers may have gaps, and a frame that
                is there already is replaced. One more than the highest if None.

        Returns:
            Its number.

        Raises:
            FrameError: Its shape is wrong, or the number is negative.

        Differs from transformers: there the next number is the number of frames that are kept, so
            that a new frame replaces another one after frames were left out or deleted.
        """
        values = one_frame(pixel_values).to(self._placement.storage)
        number = None if frame_idx is None else frame_number(frame_idx)
        frames = self.frames
        if isinstance(frames, LiveFrames):
            number = frames.append_pixel_values(values, frame=number)
        else:
            number = self._editable().put(values.to(self._placement.dtype), number)
        self._pixels_changed(number)
        self._learn_input_size(values.shape[-1])
        return number

    def get_frame(self, frame_idx: int) -> Tensor:
        """Read a frame as model input, `(3, S, S)`.

        Raises:
            FrameError: It cannot be had.
        """
        number, place = frame_number(frame_idx), self._placement
        return self.frames.pixel_values(number, place.inference).to(place.dtype)

    def frame_for_view(self, frame: int) -> Tensor:
        """Read a frame for `processed_frames`."""
        place = self._placement
        return self.frames.pixel_values(frame_number(frame), place.storage).to(place.dtype)

    def replace_frame(self, frame: int, pixel_values: Tensor | None) -> None:
        """Put pixels in the place of a frame's; see [`ProcessedFrames`]."""
        if pixel_values is not None:
            self.add_new_frame(pixel_values, frame)
        elif isinstance(self.frames, LiveFrames):
            self.drop_frame(frame)
        else:
            self._editable().drop(frame_number(frame), keep_number=True)
            self._pixels_changed(frame)

    def drop_frame(self, frame: int) -> None:
        """Take a frame out; see [`ProcessedFrames`]."""
        frames = self.frames
        (frames if isinstance(frames, LiveFrames) else self._editable()).drop(frame_number(frame))
        self._pixels_changed(frame)

    def _editable(self) -> PreparedFrames | EditedFrames:
        """Return frames that can be changed one by one."""
        frames = self.frames
        if not isinstance(frames, (PreparedFrames, EditedFrames)):
            frames = self._tracker.frames = EditedFrames(frames, self._known_input_size())
        return frames

    def _exchange(self, frames: Frames) -> None:
        """Read other frames from now on."""
        size = self.known_size
        self._tracker.frames.close()
        self._tracker.frames = frames
        self._tracker.features.clear()
        self._tracker.fingerprint = None
        if isinstance(frames, PreparedStream) and size is not None:
            frames.declare_size(size)
        if isinstance(frames, PreparedStream) and self._image_size is not None:
            frames.pixels = FramePixels(self._image_size, self.options.frame_compat)

    def _keep_of_stream(self, live: LiveFrames, frames: Mapping[int, Tensor | None]) -> None:
        """Leave only some frames of a stream; those with other pixels are replaced."""
        for frame in live.kept:
            if frames.get(frame) is None:
                self.drop_frame(frame)
        for frame, values in frames.items():
            if values is None:
                continue
            if frame not in live.kept or not torch.equal(self.frame_for_view(frame), values):
                self.add_new_frame(values, frame)

    def _pixels_changed(self, frame: int) -> None:
        """Forget what was computed from the pixels of a frame."""
        self._tracker.features.discard(frame)
        self._tracker.fingerprint = None

    def use_model(self, model: Sam2VideoModel) -> None:
        """Use a model from now on, as a session that was unpickled must be told.

        Raises:
            SessionError: The frames are prepared for another input size, the session was pickled
                with another model, or this one cannot track.
        """
        require_video_model(model)
        side = model.image_size
        if self._image_size is not None and self._image_size != side:
            raise SessionError(
                f"the frames of this session are made for an input size of {self._image_size}, and "
                f"the model takes {side}. Use the model's own processor."
            )
        if isinstance(self.frames, LiveFrames) and self.frames.pixels is None:
            self.frames.pixels = FramePixels(
                side, self.options.frame_compat, checkpoint_pixels(model)
            )
        self._tracker.bind(model)
        self._learn_input_size(side)

    def _learn_input_size(self, side: int) -> None:
        """Note the model's input size; the first one that is known counts."""
        if self._image_size is None:
            self._image_size = side

    def _known_input_size(self) -> int:
        if self._image_size is None:
            raise SessionError(
                "nobody knows the model's input size yet. Add a frame or call the model on the "
                "session first."
            )
        return self._image_size

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
        before = frames.size or self._guessed_size()
        frames.declare_size(size)
        if before is not None:
            self._scale_prompts(before, size)

    def _guessed_size(self) -> tuple[int, int] | None:
        """The size that prompts were measured in before the original one was known."""
        return None if self._image_size is None else (self._image_size, self._image_size)

    def _scale_prompts(self, before: tuple[int, int], size: tuple[int, int]) -> None:
        """Keep prompts where they are on the frame, which turns out to have another size."""
        for one in self._tracker.objects.values():
            one.prompts = {f: scaled(given, before, size) for f, given in one.prompts.items()}
            one.rounds = {
                frame: tuple(
                    replace(asked, prompts=scaled(asked.prompts, before, size)) for asked in rounds
                )
                for frame, rounds in one.rounds.items()
            }
