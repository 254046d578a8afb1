"""The inference state of the original: a mapping over a session.

Everything that can be read is computed from the session when it is asked for, so nothing is held
twice. What can be written changes the session.

Suffixes: b = objects (1 here), c = memory channels, h, w = rows and columns.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from sam2_hf.errors import SessionError
from sam2_hf.frames.base import Frames
from sam2_hf.frames.preprocessed import LazyPreparedFrames
from sam2_hf.number_reading import read_whole, shown
from sam2_hf.video.compat.transformers_names import FrameMapping
from sam2_hf.video.compat.transformers_outputs import (
    CONDITIONING,
    TRACKED,
    StoredOutput,
    token_maps,
)
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession

Name = TypeVar("Name", str, int)
View = TypeVar("View")
# the original's name of each tensor of an output -> transformers' name
OUTPUT_NAMES = {
    "maskmem_features": "maskmem_features",
    "maskmem_pos_enc": "maskmem_pos_enc",
    "pred_masks": "pred_masks",
    "obj_ptr": "object_pointer",
    "object_score_logits": "object_score_logits",
}


class VideoState(MutableMapping[str, Any]):
    """A video and what is tracked on it, by the original's names.

    | key | what it is |
    |---|---|
    | `images` | the frames as model input, each read when it is indexed; can be replaced |
    | `num_frames`, `video_height`, `video_width` | of the video; sizes can be set |
    | `device`, `storage_device` | of the model, and of memories |
    | `offload_video_to_cpu`, `offload_state_to_cpu` | as given to `init_state` |
    | `obj_ids`, `obj_id_to_idx`, `obj_idx_to_id` | the objects, in the order they came; copies |
    | `point_inputs_per_obj`, `mask_inputs_per_obj` | index -> frame -> prompts, in model pixels |
    | `output_dict_per_obj` | index -> kind of frame -> frame -> what is remembered |
    | `temp_output_dict_per_obj` | the same, of answers that wait for the next propagation |
    | `frames_tracked_per_obj` | index -> frame -> `{"reverse": ...}` |
    | `cached_features` | frame -> features, of the frames that are kept; `{}` drops them |
    | `constants` | empty |

    A memory that is popped from `output_dict_per_obj` is not attended to any more. Further keys are
    kept as they are given. `clear()` releases video and memories.

    Args:
        session: The session.
        size: `(height, width)` that masks are handed out in and prompts are given in, where that is
            not the size of the frames.
        offload_video_to_cpu: Whether frames that are read by hand come to the CPU.
        offload_state_to_cpu: Whether memories are stored on the CPU.

    Attributes:
        session: The session, for what the original has no name for: masklets, undo, saving.

    Differs: dictionaries are views, so only what the table says can be set.
    """

    def __init__(
        self,
        session: Sam2VideoInferenceSession,
        *,
        size: tuple[int, int] | None = None,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
    ) -> None:
        self.session = session
        self._declared: tuple[int | None, int | None] = size or (None, None)
        self._extra: dict[str, Any] = {
            "offload_video_to_cpu": offload_video_to_cpu,
            "offload_state_to_cpu": offload_state_to_cpu,
            "constants": {},
        }
        self._gone: set[str] = set()
        if offload_state_to_cpu:
            session.inference_state_device = "cpu"

    @property
    def size(self) -> tuple[int, int] | None:
        """`(height, width)` of masks and prompts; None before the first frame of a stream."""
        height, width = self["video_height"], self["video_width"]
        return None if height is None or width is None else (height, width)

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - as in `Mapping`
        if key in self._extra:
            return self._extra[key]
        if key not in _COMPUTED or key in self._gone:
            raise KeyError(key)
        return _COMPUTED[key](self)

    def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401
        """Change the session, or keep what the original has no key for.

        Raises:
            SessionError: It follows from other things, which have to be changed instead.
        """
        if key in _SETTERS:
            _SETTERS[key](self, value)
        elif key in _COMPUTED:
            raise SessionError(f"{key!r} of a state follows from what was asked. {_ADVICE}")
        else:
            self._extra[key] = value

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        if key in self._extra:
            del self._extra[key]
            return
        self._gone.add(key)
        if key == "images":
            self.session.settle()

    def __iter__(self) -> Iterator[str]:
        yield from (key for key in _COMPUTED if key not in self._gone)
        yield from list(self._extra)

    def __len__(self) -> int:
        return len(_COMPUTED) - len(self._gone) + len(self._extra)

    def __contains__(self, key: object) -> bool:
        return key in self._extra or (key in _COMPUTED and key not in self._gone)

    def clear(self) -> None:
        """Release video, memories and masks; nothing is left in the mapping."""
        self.session.close()
        self._extra.clear()
        self._gone.update(_COMPUTED)

    def __repr__(self) -> str:
        ids = self.session.object_ids
        return f"VideoState({self.session.num_frames} frames, objects {list(ids)})"

    def _side(self, axis: int) -> int | None:
        """Look up rows or columns."""
        declared, frames = self._declared[axis], self.session.size
        return declared if declared is not None or frames is None else frames[axis]

    def _declare(self, axis: int, value: object) -> None:
        """Take rows or columns that masks and prompts have from now on; None: the frames' own."""
        number = read_whole(value)
        if value is not None and (number is None or number < 1):
            name = ("video_height", "video_width")[axis]
            raise SessionError(f"{name} is {shown(value)}; it must be a number of pixels, or None.")
        height, width = self._declared
        self._declared = (number, width) if axis == 0 else (height, number)

    def _images(self) -> object:
        """Show the frames; what was set comes back as it was given."""
        frames = self.session.frames
        if isinstance(frames, LazyPreparedFrames):
            return frames.images
        device = "cpu" if self._extra.get("offload_video_to_cpu") else self["device"]
        return StateImages(frames, device, self.session.model.image_size)

    def _set_images(self, images: Any) -> None:  # noqa: ANN401
        """Read other frames from now on; none makes a stream of the video."""
        try:
            count = 0 if images is None else len(images)
        except TypeError:
            count = -1
        if count < 0 or isinstance(images, Mapping | str | bytes):
            raise SessionError(
                f"images is {shown(images)}. Give a tensor (frames, 3, S, S) of normalized frames, "
                "or a sequence that gives each as (3, S, S); for a file or a folder, init_state."
            )
        self.session.processed_frames = images if count else None
        self._gone.discard("images")

    def _set_num_frames(self, value: object) -> None:
        """Accept the number of frames that there are."""
        if read_whole(value) != self["num_frames"]:
            raise SessionError(
                f"num_frames is {shown(value)}, and there are {self['num_frames']} frames. Set "
                'state["images"] to other frames first.'
            )

    def _drop_features(self, features: object) -> None:
        """Forget the features of all frames."""
        if not isinstance(features, Mapping) or features:
            raise SessionError(
                "features cannot be put into a state. Set cached_features to {} to drop those that "
                "are kept."
            )
        self.session.cache.clear_all()

    def _views(
        self, inner: Mapping[int, Any], view: Callable[[Any], Any]
    ) -> "ComputedMapping[int]":
        return ComputedMapping({index: view(one) for index, one in inner.items()})


class StateImages(Sequence[Tensor]):
    """The frames of a state as model input, each decoded when it is asked for.

    Args:
        frames: Where pixels come from.
        device: Where they are wanted.
        side: Rows and columns of the model's input.
    """

    def __init__(self, frames: Frames, device: torch.device | str, side: int) -> None:
        self._frames = frames
        self._device = device
        self._side = side

    def __len__(self) -> int:
        return count_frames(self._frames) or 0

    def __getitem__(self, frame: int | slice) -> Tensor:  # type: ignore[override]  # see below
        """Read one frame, `(3, S, S)`, or those of a slice, `(n, 3, S, S)`."""
        if isinstance(frame, slice):
            numbers = range(*frame.indices(len(self)))
            read = [self._frames.pixel_values(number, self._device) for number in numbers]
            return torch.stack(read) if read else torch.empty(0, *self.shape[1:])
        number = frame + len(self) if frame < 0 else frame
        if not 0 <= number < len(self):
            raise IndexError(f"frame {frame} of {len(self)}")
        return self._frames.pixel_values(number, self._device)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of all frames together."""
        return len(self), 3, self._side, self._side

    def close(self) -> None:
        """Let go of the video; what is tracked stays."""
        self._frames.close()


class ComputedMapping(Mapping[Name, Any], Generic[Name]):
    """A dictionary that follows from other things; writing into it is an error that says so.

    Args:
        values: What is in it.
    """

    def __init__(self, values: Mapping[Name, Any]) -> None:
        self._values: Mapping[Name, Any] = values

    def __getitem__(self, key: Name) -> Any:  # noqa: ANN401 - as in `Mapping`
        return self._values[key]

    def __setitem__(self, key: Name, value: object) -> None:
        raise SessionError(f"{key!r} of this part of a state cannot be set. {_ADVICE}")

    def __delitem__(self, key: Name) -> None:
        raise SessionError(f"{key!r} of this part of a state cannot be removed. {_ADVICE}")

    def __iter__(self) -> Iterator[Name]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self._values)})"


class ReshapedFrames(FrameMapping[View], Generic[View]):
    """Frame -> something under transformers' names, in the original's shape; can be removed.

    Args:
        inner: The view under transformers' names.
        reshape: Brings one entry into the original's shape.
    """

    def __init__(self, inner: MutableMapping[int, Any], reshape: Callable[[Any], View]) -> None:
        self._inner = inner
        self._reshape = reshape

    def __getitem__(self, frame: int) -> View:
        return self._reshape(self._inner[frame])

    def __setitem__(self, frame: int, value: View) -> None:
        raise SessionError(f"frame {frame} of this part of a state cannot be set. {_ADVICE}")

    def __delitem__(self, frame: int) -> None:
        del self._inner[frame]

    def __iter__(self) -> Iterator[int]:
        return iter(self._inner)

    def __len__(self) -> int:
        return len(self._inner)

    def __contains__(self, frame: object) -> bool:
        return frame in self._inner

    def pop(self, frame: int, *default: Any) -> Any:  # noqa: ANN401 - as in `MutableMapping`
        """Remove a frame and return what there was of it, as a dictionary."""
        if frame not in self:
            return super().pop(frame, *default)
        found: Any = self[frame]
        found = dict(found)
        del self[frame]
        return found


class OutputByOriginalNames(Mapping[str, Any]):
    """What is remembered of an object on a frame, by the original's names and in its shapes.

    `maskmem_features` `(1, c, h, w)`, `maskmem_pos_enc` a list of one such map, `pred_masks`
    `(1, 1, h, w)`, `obj_ptr` `(1, d)`, `object_score_logits` `(1, 1)`. Each is looked up when it is
    asked for.

    Args:
        stored: The same under transformers' names.
    """

    def __init__(self, stored: StoredOutput) -> None:
        self._stored = stored

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - tensors, and a list of them
        value = self._stored[OUTPUT_NAMES[key]]
        if key == "maskmem_features":
            return token_maps(value)
        if key == "maskmem_pos_enc":
            return [token_maps(value)]
        return value if key == "pred_masks" else value[:, 0]

    def __iter__(self) -> Iterator[str]:
        there = set(self._stored)
        return (ours for ours, theirs in OUTPUT_NAMES.items() if theirs in there)

    def __len__(self) -> int:
        return len(list(iter(self)))


class KeptFeatures(Mapping[int, Any]):
    """Frame -> `(image, features)`, of the frames whose features are kept.

    The image is `(1, 3, S, S)`; features are `backbone_fpn` and `vision_pos_enc`, three maps
    `(1, c, h, w)` each, finest first.

    Args:
        session: The session.
    """

    def __init__(self, session: Sam2VideoInferenceSession) -> None:
        self._session = session

    def __getitem__(self, frame: int) -> tuple[Tensor, dict[str, list[Tensor]]]:
        found = self._session.cache.get_vision_features(frame)
        if found is None:
            raise KeyError(frame)
        names = {"backbone_fpn": "vision_feats", "vision_pos_enc": "vision_pos_embeds"}
        maps = {
            ours: [token_maps(tokens) for tokens in found[theirs]] for ours, theirs in names.items()
        }
        return self._session.get_frame(frame)[None], maps

    def __iter__(self) -> Iterator[int]:
        return iter(self._session.cache.frames)

    def __len__(self) -> int:
        return len(self._session.cache.frames)

    def clear(self) -> None:
        """Drop all features."""
        self._session.cache.clear_all()


def count_frames(frames: Frames) -> int | None:
    """Count the frames of a video, or those that a stream has brought; None if it is not known."""
    return frames.num_received if frames.is_live else frames.num_frames


def _queued_outputs(state: VideoState) -> ComputedMapping[int]:
    """List the answers to prompts that are not remembered yet, without memories."""
    all_condition = state.session.options.add_all_frames_to_correct_as_cond
    found: dict[int, Any] = {}
    for place, one in enumerate(state.session._tracker.objects.values()):
        kinds: dict[str, dict[int, dict[str, Any]]] = {CONDITIONING: {}, TRACKED: {}}
        for frame, calls in one.queued.items():
            last = calls[-1]
            if last.answer is None:
                continue
            kind = CONDITIONING if last.direction is None or all_condition else TRACKED
            kinds[kind][frame] = {
                "maskmem_features": None,
                "maskmem_pos_enc": None,
                "pred_masks": last.answer.answer.logits_1hw[None],
                "obj_ptr": last.answer.pointer_1d,
                "object_score_logits": last.answer.answer.score_1[None],
            }
        found[place] = ComputedMapping(kinds)
    return ComputedMapping(found)


def _each(inner: Mapping[int, Any], view: Callable[[Any], Any]) -> ComputedMapping[int]:
    """Make a view of what each object has, by its place in the order."""
    return ComputedMapping({index: view(one) for index, one in inner.items()})


def _point_inputs(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take the axis of objects out: `(1, n, 2)` and `(1, n)`."""
    return {name: values[:, 0] for name, values in inputs.items()}


def _points_by_frame(inner: MutableMapping[int, Any]) -> ReshapedFrames[dict[str, Tensor]]:
    return ReshapedFrames(inner, _point_inputs)


def _outputs_by_kind(kinds: Mapping[str, Any]) -> ComputedMapping[str]:
    return ComputedMapping(
        {kind: ReshapedFrames(outputs, OutputByOriginalNames) for kind, outputs in kinds.items()}
    )


_ADVICE = (
    "Change it by the predictor's methods: add_new_points_or_box, add_new_mask, "
    "clear_all_prompts_in_frame, remove_object, reset_state."
)
_COMPUTED: dict[str, Callable[[VideoState], Any]] = {
    "images": VideoState._images,
    "num_frames": lambda state: count_frames(state.session.frames),
    "video_height": lambda state: state._side(0),
    "video_width": lambda state: state._side(1),
    "device": lambda state: state.session.model.device,
    "storage_device": lambda state: state.session.inference_state_device,
    "obj_ids": lambda state: list(state.session.object_ids),
    "obj_id_to_idx": lambda state: OrderedDict(
        (number, place) for place, number in enumerate(state.session.object_ids)
    ),
    "obj_idx_to_id": lambda state: OrderedDict(enumerate(state.session.object_ids)),
    "point_inputs_per_obj": lambda state: _each(
        state.session.point_inputs_per_obj, _points_by_frame
    ),
    "mask_inputs_per_obj": lambda state: state.session.mask_inputs_per_obj,
    "output_dict_per_obj": lambda state: _each(state.session.output_dict_per_obj, _outputs_by_kind),
    "temp_output_dict_per_obj": _queued_outputs,
    "frames_tracked_per_obj": lambda state: state.session.frames_tracked_per_obj,
    "cached_features": lambda state: KeptFeatures(state.session),
}
_SETTERS: dict[str, Callable[[VideoState, Any], None]] = {
    "images": VideoState._set_images,
    "num_frames": VideoState._set_num_frames,
    "video_height": lambda state, value: state._declare(0, value),
    "video_width": lambda state, value: state._declare(1, value),
    "cached_features": VideoState._drop_features,
}
