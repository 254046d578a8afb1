"""Frames of a session as model input, for transformers' API.

Suffixes: S = rows and columns of the model's input.
"""

from collections.abc import Collection, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sam2_hf.errors import SessionError
from sam2_hf.frames.base import EditableFrames, Frames, frame_number
from sam2_hf.frames.preprocessed import (
    EditedFrames,
    LazyPreparedFrames,
    PreparedFrames,
    TensorSequence,
    one_frame,
)
from sam2_hf.frames.preprocessing import FramePixels
from sam2_hf.frames.streams import LiveFrames
from sam2_hf.video.session_lock import SessionLock, one_thread_at_a_time
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.tracker import Tracker

from .transformers_inputs import ModelInputPrompts
from .transformers_names import Placement
from .transformers_prompts import scaled

# by number, or a sequence that is read frame by frame; None for an empty stream
NewFrames = Mapping[int, Tensor | None] | TensorSequence | None


class ProcessedFrames(MutableMapping[int, Tensor | None]):
    """Live view of frames as model input, read on access.

    A deleted frame can no longer be tracked or prompted; its masks stay. A frame set to None keeps
    its number and frees its pixels.

    Args:
        inputs: The frames of a session.
    """

    def __init__(self, inputs: "ModelInputFrames") -> None:
        self.inputs = inputs

    def __getitem__(self, frame: int) -> Tensor | None:
        if frame not in self:
            raise KeyError(frame)
        return self.inputs.stored(frame) if self.inputs.frames.has_pixels(frame) else None

    def __setitem__(self, frame: int, pixel_values: Tensor | None) -> None:
        self.inputs.replace(frame, pixel_values)

    def __delitem__(self, frame: int) -> None:
        if frame not in self:
            raise KeyError(frame)
        self.inputs.drop(frame)

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._numbers()))

    def __len__(self) -> int:
        return len(self._numbers())

    def __contains__(self, frame: object) -> bool:
        return frame in self._numbers()

    def clear(self) -> None:
        """Drop every frame without reading it."""
        for frame in self:
            self.inputs.drop(frame)

    def copy(self) -> dict[int, Tensor | None]:
        """Read every frame into a dictionary, as `dict.copy` does."""
        return dict(self)

    def __repr__(self) -> str:
        return f"ProcessedFrames({len(self)} frames)"

    def _numbers(self) -> Collection[int]:
        frames = self.inputs.frames
        if frames.num_frames is None and not frames.is_live:
            raise SessionError("the number of frames of the iterator is not known yet.")
        return frames.numbers


@dataclass(slots=True)
class _DeclaredSize:
    """Size of the original frames as declared by the caller, possibly one number of two."""

    height: int | None = None
    width: int | None = None


@one_thread_at_a_time(but=("frames",))
class ModelInputFrames:
    """The frames of a session as model input `(3, S, S)`.

    Args:
        tracker: The session's tracker, which reads the frames.
        place: Devices and dtype of tensors.
        prompts: The session's prompts in model pixels, placed once the input size is known.
        lock: The session's.
    """

    def __init__(
        self, tracker: Tracker, place: Placement, prompts: ModelInputPrompts, lock: SessionLock
    ) -> None:
        self.lock = lock
        self._tracker = tracker
        self._place = place
        self._prompts = prompts
        self._declared = _DeclaredSize()

    @property
    def frames(self) -> Frames:
        """The source of pixels."""
        return self._tracker.frames

    def view(self) -> ProcessedFrames | None:
        """Return a view of all frames; None before the first frame of a stream."""
        return None if self.frames.num_received == 0 else ProcessedFrames(self)

    def stored(self, frame: int) -> Tensor:
        """Read a frame on the storage device.

        Raises:
            FrameError: The frame is not available.
        """
        values = self.frames.pixel_values(frame_number(frame), self._place.storage)
        return values.to(self._place.dtype)

    def for_model(self, frame: int) -> Tensor:
        """Read a frame on the model's device.

        Raises:
            FrameError: The frame is not available.
        """
        values = self.frames.pixel_values(frame_number(frame), self._place.inference)
        return values.to(self._place.dtype)

    def add(self, pixel_values: Tensor, frame: int | None = None) -> int:
        """Add a frame; see [`Sam2VideoInferenceSession.add_new_frame`]."""
        values = one_frame(pixel_values).to(self._place.storage)
        number = None if frame is None else frame_number(frame)
        if not self.frames.is_live:  # a stream keeps float32
            values = values.to(self._place.dtype)
        number = self._editable().put(values, number)
        self._tracker.encoder.pixels_changed(number)
        self._learn_input_size(values.shape[-1])
        return number

    def replace(self, frame: int, pixel_values: Tensor | None) -> None:
        """Replace the pixels of a frame; None frees them and keeps the number."""
        if pixel_values is not None:
            self.add(pixel_values, frame)
        else:
            self.drop(frame, keep_number=True)

    def drop(self, frame: int, *, keep_number: bool = False) -> None:
        """Delete a frame; its masks stay."""
        self._editable().drop(frame_number(frame), keep_number=keep_number)
        self._tracker.encoder.pixels_changed(frame)

    def replace_all(self, frames: NewFrames) -> None:
        """Replace all frames; None makes an empty stream.

        A stream drops frames that are not in the mapping and continues counting. A sequence is read
        frame by frame, on demand.

        Raises:
            VideoError: The frames differ in shape.
        """
        if isinstance(frames, ProcessedFrames) and frames.inputs is self:
            return
        if frames is None:
            self._exchange(LiveFrames(self._tracker.options.window, declares_size=True))
        elif not isinstance(frames, Mapping):
            side = self._tracker.encoder.image_size
            size = self.frames.size or (side or 1, side or 1)
            self._exchange(LazyPreparedFrames(frames, size, side))
        elif self.frames.is_live:
            self._keep_of_stream(frames)
        elif not frames:
            ProcessedFrames(self).clear()
        else:
            moved = {
                frame: None
                if values is None
                else one_frame(values).to(self._place.storage, self._place.dtype)
                for frame, values in frames.items()
            }
            side = next((v.shape[-1] for v in moved.values() if v is not None), 0)
            self._exchange(PreparedFrames.of_mapping(moved, self.frames.size or (side, side)))
            self._learn_input_size(side)

    @property
    def height(self) -> int | None:
        """Rows of the original frames; None if unknown yet."""
        known = self.frames.known_size
        return self._declared.height if known is None else known[0]

    @property
    def width(self) -> int | None:
        """Columns of the original frames; None if unknown yet."""
        known = self.frames.known_size
        return self._declared.width if known is None else known[1]

    def declare_height(self, height: int | None) -> None:
        """Declare the number of rows; see `declare_size`."""
        self.declare_size(height, self._declared.width)

    def declare_width(self, width: int | None) -> None:
        """Declare the number of columns; see `declare_size`."""
        self.declare_size(self._declared.height, width)

    def declare_size(self, height: int | None, width: int | None) -> None:
        """Set the original size if unknown; refuse a different one otherwise.

        It takes effect once both numbers are declared.

        Raises:
            SessionError: It differs from the known size or that of existing masks.
        """
        self._declared = _DeclaredSize(height, width)
        if height is None or width is None:
            return
        size, frames = (int(height), int(width)), self.frames
        if frames.size == size and frames.known_size == size:
            return
        side = self._tracker.encoder.image_size
        # the frame size of existing prompts
        before = frames.size or (None if side is None else (side, side))
        has_masks = any(obj.masklet is not None for obj in self._tracker.objects.values())
        if has_masks or not frames.declare_size(size):
            raise SessionError(
                f"the frames are {frames.size} (height, width), they cannot be {size} any "
                "more. Say their size before anything is tracked, or leave it out."
            )
        if before is not None:
            self._scale_prompts(before, size)

    def _scale_prompts(self, before: tuple[int, int], size: tuple[int, int]) -> None:
        """Rescale prompts to the actual frame size."""
        for obj in self._tracker.objects.values():
            for frame, prompts in obj.prompts.items():
                queued = tuple(
                    replace(call, prompts=scaled(call.prompts, before, size))
                    for call in obj.state(frame).queued
                )
                obj.update(frame, prompts=scaled(prompts, before, size), queued=queued)

    def _editable(self) -> EditableFrames:
        """Return frames that can be edited one by one."""
        encoder = self._tracker.encoder
        if isinstance(encoder.frames, EditableFrames):
            return encoder.frames
        if encoder.image_size is None:
            raise SessionError(
                "the model's input size is not known yet. Add a frame or call the model on the "
                "session first."
            )
        edited = encoder.frames = EditedFrames(encoder.frames, encoder.image_size)
        return edited

    def _exchange(self, frames: Frames) -> None:
        """Replace the source of frames."""
        size, encoder = self.frames.known_size, self._tracker.encoder
        encoder.exchange_frames(frames)
        if size is not None:
            frames.declare_size(size)
        if (side := encoder.image_size) is not None:
            frames.use_preprocessing(lambda: FramePixels(side, self._tracker.options.frame_compat))

    def _keep_of_stream(self, frames: Mapping[int, Tensor | None]) -> None:
        """Keep only some frames of a stream; replace those with new pixels."""
        for frame in self.frames.numbers:
            if frames.get(frame) is None:
                self.drop(frame)
        for frame, values in frames.items():
            if values is None:
                continue
            if frame not in self.frames.numbers or not torch.equal(self.stored(frame), values):
                self.add(values, frame)

    def _learn_input_size(self, side: int) -> None:
        """Set the model's input size when first known, and place waiting prompts."""
        encoder = self._tracker.encoder
        if encoder.image_size is None:
            encoder.image_size = side
        self._prompts.place_all()


def prepared_frames(video: Tensor | None, options: SessionOptions, place: Placement) -> Frames:
    """Make frames from the argument of transformers' constructor.

    Args:
        video: `(frames, 3, S, S)`; None for a live stream.
        options: Session options.
        place: Devices and dtype of tensors.

    Raises:
        VideoError: The shape is wrong.
    """
    if video is None:
        return LiveFrames(options.window, value_range=options.value_range, declares_size=True)
    return PreparedFrames(video.to(place.storage, place.dtype))
