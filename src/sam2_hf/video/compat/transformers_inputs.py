"""Prompts of a session in model pixels, for transformers' API.

Suffixes: n = points, 2 = x and y, S = rows and columns of the model's input.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor

from sam2_hf.frames.base import frame_number
from sam2_hf.geometry import to_image_pixels
from sam2_hf.video.prompts import FramePrompts, read_mask
from sam2_hf.video.session import VideoSession
from sam2_hf.video.session_lock import SessionLock, one_thread_at_a_time
from sam2_hf.video.tracker import Tracker

from .transformers_names import FrameMapping, PerObject, Placement, WrittenThrough
from .transformers_prompts import check_near_frame, frame_prompts, points_and_labels

PointInputs = dict[str, Tensor]
Inputs = TypeVar("Inputs")


@one_thread_at_a_time(but=())
class ModelInputPrompts:
    """Prompts of the objects of a session, in model pixels.

    Prompts added before the input size is known are deferred.

    Args:
        session: The session, which keeps prompts in pixels of the original frames.
        tracker: Its tracker.
        place: Devices and dtype of tensors.
        lock: The session's.
    """

    def __init__(
        self, session: VideoSession, tracker: Tracker, place: Placement, lock: SessionLock
    ) -> None:
        self.lock = lock
        self._session = session
        self._tracker = tracker
        self._place = place
        # deferred prompts, by object and frame
        self._unplaced: dict[tuple[int, int], PointInputs | Tensor] = {}
        self._requeued: list[int] = []  # objects whose consumed prompts are queued again

    def add_points(self, object_id: int, frame: int, inputs: PointInputs) -> None:
        """Replace the prompts on a frame with clicks and corners of a box.

        Args:
            object_id: The object.
            frame: The frame.
            inputs: `point_coords` `(1, 1, n, 2)` and `point_labels` `(1, 1, n)`.

        Raises:
            PromptError: They cannot be read as clicks and a box.
        """
        points_n2, labels_n = points_and_labels(inputs)
        side = self._tracker.encoder.image_size
        if side is None:
            self._unplaced[object_id, self._require_promptable(frame)] = dict(inputs)
            return
        what = self._describe(object_id)
        size = self._session.frames.known_size or (side, side)
        points_n2 = to_image_pixels(points_n2.detach().cpu(), size, side)
        prompts = frame_prompts(points_n2, labels_n.detach().cpu(), None, what)
        check_near_frame(prompts, size, what)
        self._session.put_prompts(frame, object_id, prompts)

    def add_mask(self, object_id: int, frame: int, inputs: Tensor) -> None:
        """Replace the prompts on a frame with a mask.

        Args:
            object_id: The object.
            frame: The frame.
            inputs: `(1, 1, h, w)`, booleans, probabilities or logits; see [`read_mask`].

        Raises:
            PromptError: It is not a single mask.
        """
        side = self._tracker.encoder.image_size
        if side is None:
            self._unplaced[object_id, self._require_promptable(frame)] = inputs
            return
        mask = read_mask(inputs, None, side, self._describe(object_id), as_transformers=True)
        self._session.put_prompts(frame, object_id, FramePrompts().with_mask(mask))

    def remove(self, object_id: int, frame: int, *, masks: bool) -> None:
        """Remove the prompts on a frame if they are a mask, or if they are not."""
        unplaced = self._unplaced.get((object_id, frame))
        if unplaced is not None and isinstance(unplaced, Tensor) == masks:
            del self._unplaced[object_id, frame]
        prompts = self._tracker.objects[object_id].state(frame).prompts
        if prompts is not None and (prompts.mask_hw is not None) == masks:
            self._session.clear(frame, object_id)

    def of_object(self, object_id: int, *, masks: bool) -> dict[int, PointInputs | Tensor]:
        """List the prompts of an object by frame, in transformers' format.

        Args:
            object_id: The object.
            masks: Whether to list masks, or clicks and boxes.
        """
        found: dict[int, PointInputs | Tensor] = {
            frame: inputs
            for (number, frame), inputs in self._unplaced.items()
            if number == object_id and isinstance(inputs, Tensor) == masks
        }
        obj, side = self._tracker.objects[object_id], self._tracker.encoder.image_size
        if side is None:
            return found
        place = self._place
        for frame, prompts in obj.prompts.items():
            if masks and prompts.mask_hw is not None:
                found[frame] = prompts.mask_hw[None, None].to(place.inference, place.dtype)
            elif not masks and prompts.mask_hw is None:
                size = self._session.frames.known_size or (side, side)
                points, labels = prompts.model_points(size, side)
                found[frame] = {
                    "point_coords": points[None, None].to(place.inference),
                    "point_labels": labels[None, None].to(place.inference, torch.int32),
                }
        return found

    def per_object(self, *, masks: bool) -> PerObject["PromptInputs[Any]"]:
        """Return a view of all objects: index -> frame -> prompts.

        Args:
            masks: Whether to show masks, or clicks and boxes.
        """
        return PerObject(
            lambda: list(self._tracker.objects.values()),
            lambda obj: PromptInputs(self, obj.object_id, masks=masks),
        )

    def place_all(self) -> None:
        """Add the deferred prompts to the session."""
        unplaced, self._unplaced = self._unplaced, {}
        for (object_id, frame), inputs in unplaced.items():
            if object_id not in self._tracker.objects:
                continue
            if isinstance(inputs, Tensor):
                self.add_mask(object_id, frame, inputs)
            else:
                self.add_points(object_id, frame, inputs)

    def new_ids(self) -> list[int]:
        """List objects with queued prompts; changes to the list write through."""
        waiting = {*(object_id for object_id, _ in self._unplaced), *self._requeued}
        return WrittenThrough(
            (
                number
                for number, obj in self._tracker.objects.items()
                if obj.queued or number in waiting
            ),
            self.set_new_ids,
        )

    def set_new_ids(self, object_ids: list[int]) -> None:
        """Queue the prompts of objects; see [`Sam2VideoInferenceSession.obj_with_new_inputs`]."""
        for number, obj in self._tracker.objects.items():
            if number not in object_ids:
                obj.withdraw()
            elif not obj.queued and number not in self._requeued:
                self._requeued.append(number)
        self._requeued = [number for number in self._requeued if number in object_ids]

    def requeue(self, frames: Iterable[int]) -> None:
        """Requeue the prompts on some frames of objects chosen by `set_new_ids`."""
        frames = set(frames)
        for object_id in list(self._requeued):
            obj = self._tracker.objects.get(object_id)
            if obj is None:
                continue
            prompts = obj.prompts
            known = frames & prompts.keys()
            for frame in known:
                obj.update(frame, queued=(), output=None)
                obj.bank.prompted.pop(frame, None)
                self._tracker.queue_prompts(obj, frame, prompts[frame])
            if known:
                self._requeued.remove(object_id)

    def clear(self) -> None:
        """Drop deferred prompts; all objects are removed."""
        self._unplaced.clear()
        self._requeued.clear()

    def _require_promptable(self, frame: int) -> int:
        """Refuse a frame that is neither available nor still to come; return its number."""
        number, frames = frame_number(frame), self._session.frames
        if not frames.may_come(number):
            frames.require(number)
        return number

    def _describe(self, object_id: int) -> str:
        return f"object number {list(self._tracker.objects).index(object_id)}"


class PromptInputs(FrameMapping[Inputs], Generic[Inputs]):
    """Frame -> prompts of an object, in model pixels; a live view.

    Args:
        prompts: The prompts of a session.
        object_id: The object.
        masks: Whether to show masks, or clicks and boxes.
    """

    def __init__(self, prompts: ModelInputPrompts, object_id: int, *, masks: bool) -> None:
        self._prompts = prompts
        self._object_id = object_id
        self._masks = masks

    def __getitem__(self, frame: int) -> Inputs:
        return self._current()[frame]

    def __setitem__(self, frame: int, inputs: Inputs) -> None:
        if self._masks:
            self._prompts.add_mask(self._object_id, frame, inputs)  # type: ignore[arg-type]
        else:
            self._prompts.add_points(self._object_id, frame, inputs)  # type: ignore[arg-type]

    def __delitem__(self, frame: int) -> None:
        if frame not in self._current():
            raise KeyError(frame)
        self._prompts.remove(self._object_id, frame, masks=self._masks)

    def __iter__(self) -> Iterator[int]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def _current(self) -> dict[int, Inputs]:
        return cast(dict[int, Inputs], self._prompts.of_object(self._object_id, masks=self._masks))
