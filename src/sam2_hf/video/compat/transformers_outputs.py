"""Dictionaries of transformers' session, as live views of ours.

Writing to a view changes the session: a popped memory is no longer attended to.

Suffixes: b = objects (1 here), c = memory channels, d = decoder channels, h, w = rows and columns.
"""

import math
import operator
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, SupportsIndex

import torch
from torch import Tensor
from torch.nn import functional

from sam2_hf.errors import SessionError
from sam2_hf.model.outputs import FrameFeatures, FrameMemory
from sam2_hf.model.position_encoding import sine_table
from sam2_hf.video.frame_encoder import FeatureCache
from sam2_hf.video.frame_result import FrameOutput
from sam2_hf.video.tracked_object import TrackedObject

from .transformers_names import FrameMapping

CONDITIONING, TRACKED = "cond_frame_outputs", "non_cond_frame_outputs"
# our name of each tensor -> transformers' name
STORED = {
    "logits": "pred_masks",
    "pointer": "object_pointer",
    "score": "object_score_logits",
    "spatial": "maskmem_features",
    "iou": "iou_scores",
}
COMPUTED = ("high_res_masks", "maskmem_pos_enc")
OUTPUT_KEYS = (*STORED.values(), *COMPUTED)


@dataclass(frozen=True, slots=True)
class OutputPlace:
    """Devices, dtype and scale of stored and returned outputs.

    Attributes:
        inference: Device of small returned tensors.
        state: Device of large ones.
        memory_dtype: Dtype of spatial memories.
        scale: Model pixels per cell of a mask.
    """

    inference: torch.device
    state: torch.device
    memory_dtype: torch.dtype
    scale: int = 4


class StoredOutput(MutableMapping[str, Tensor]):
    """Stored output of an object on one frame, under transformers' names.

    Keys: `pred_masks` `(1, 1, h, w)`, `object_pointer` `(1, 1, 256)`, `object_score_logits` and
    `iou_scores` `(1, 1, 1)`, `maskmem_features` `(hw, 1, 64)`; computed on access and not stored:
    `high_res_masks` `(1, 1, S, S)` and `maskmem_pos_enc` `(hw, 1, 64)`.

    Args:
        obj: The object.
        frame: The frame.
        place: Devices and dtype of tensors.
        prompted: Whether it is a conditioning frame.
    """

    def __init__(
        self, obj: TrackedObject, frame: int, place: OutputPlace, *, prompted: bool
    ) -> None:
        self._obj = obj
        self._frame = frame
        self._place = place
        self._prompted = prompted

    def __getitem__(self, key: str) -> Tensor:
        record = self._record()
        if key == "high_res_masks":
            logits_11hw = record["logits"][None].float()
            size = [self._place.scale * cells for cells in logits_11hw.shape[-2:]]
            return functional.interpolate(logits_11hw, size, mode="bilinear").to(self._place.state)
        if key == "maskmem_pos_enc":
            _, channels, height, width = record["spatial"].shape
            table = sine_table(height, width, channels, self._place.state, torch.float32)
            return _to_tokens(table)
        for name, theirs in STORED.items():
            if key == theirs:
                return self._exported(name, record[name])
        raise KeyError(key)

    def __setitem__(self, key: str, value: Tensor | None) -> None:
        """Replace a tensor; None drops it."""
        if value is None:
            del self[key]
        elif key in COMPUTED:
            raise SessionError(
                f"{key} is computed on access, so it cannot be set. "
                "Set pred_masks or maskmem_features."
            )
        else:
            name = _our_name(key)
            like = self._record().get(name)
            self._write(self._record() | {name: _imported(name, value, like, self._place)})

    def __delitem__(self, key: str) -> None:
        if key in COMPUTED:
            return  # not stored
        name, record = _our_name(key), self._record()
        if name not in record:
            raise KeyError(key)
        if self._prompted:
            raise SessionError(
                f"{key} of conditioning frame {self._frame} cannot be dropped by itself. Remove "
                f"the whole frame: {CONDITIONING}.pop({self._frame})."
            )
        self._write({ours: value for ours, value in record.items() if ours != name})

    def __iter__(self) -> Iterator[str]:
        record = self._record()
        yield from (theirs for ours, theirs in STORED.items() if ours in record)
        if "logits" in record:
            yield "high_res_masks"
        if "spatial" in record:
            yield "maskmem_pos_enc"

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, key: object) -> bool:
        return key in list(iter(self))

    def clear(self) -> None:
        """Drop the frame."""
        forget_output(self._obj, self._frame, prompted=self._prompted)

    def __repr__(self) -> str:
        return f"StoredOutput(frame {self._frame}: {', '.join(self)})"

    def _record(self) -> dict[str, Tensor]:
        """Look up all tensors, under our names."""
        obj, frame = self._obj, self._frame
        if not self._prompted:
            return obj.bank.record(frame) or {}
        memory, output = obj.bank.prompted.get(frame), obj.state(frame).output
        if memory is None or output is None:
            return {}
        own = {"spatial": memory.spatial_bx, "pointer": memory.pointer_bd}
        answer = {"logits": output.logits_1hw, "iou": output.iou_1, "score": output.score_1}
        return own | answer

    def _write(self, record: dict[str, Tensor]) -> None:
        store_record(self._obj, self._frame, record, prompted=self._prompted)

    def _exported(self, name: str, value: Tensor) -> Tensor:
        if name == "spatial":
            return _to_tokens(value).to(self._place.state)
        if name == "logits":
            return value[None].to(self._place.state)
        return value.reshape(1, 1, -1).to(self._place.inference)


class FrameOutputs(FrameMapping[StoredOutput]):
    """Frame -> stored output of an object: conditioning frames, or tracked ones.

    Args:
        obj: The object.
        place: Devices and dtype of tensors.
        prompted: Whether to show conditioning frames.
    """

    def __init__(self, obj: TrackedObject, place: OutputPlace, *, prompted: bool) -> None:
        self._obj = obj
        self._place = place
        self._prompted = prompted

    def __getitem__(self, frame: int) -> StoredOutput:
        if frame not in self:
            raise KeyError(frame)
        return StoredOutput(self._obj, frame, self._place, prompted=self._prompted)

    def __setitem__(self, frame: int, output: Mapping[str, Tensor | None]) -> None:
        """Store an output, such as one read from a view."""
        record = {
            _our_name(key): value
            for key, value in output.items()
            if key not in COMPUTED and value is not None
        }
        needed = {"logits", "pointer", "score", "spatial"}
        if missing := sorted(STORED[name] for name in needed - record.keys()):
            raise SessionError(
                f"the output of frame {frame} lacks {', '.join(missing)}. Give all of "
                f"{', '.join(sorted(STORED[name] for name in needed))}."
            )
        record.setdefault("iou", torch.zeros(1))
        taken = {name: _imported(name, value, None, self._place) for name, value in record.items()}
        store_record(self._obj, frame, taken, prompted=self._prompted)

    def __delitem__(self, frame: int) -> None:
        if frame not in self:
            raise KeyError(frame)
        forget_output(self._obj, frame, prompted=self._prompted)

    def __iter__(self) -> Iterator[int]:
        return iter(self._frames())

    def __len__(self) -> int:
        return len(self._frames())

    def __contains__(self, frame: object) -> bool:
        if self._prompted:
            return frame in self._obj.bank.prompted and frame in self._obj.outputs
        return isinstance(frame, SupportsIndex) and self._obj.bank.remembers(operator.index(frame))

    def pop(self, frame: int, *default: Any) -> Any:  # noqa: ANN401 - as in `MutableMapping`
        """Remove a frame and return its output as a dictionary."""
        if frame not in self:
            return super().pop(frame, *default)
        output = dict(self[frame])
        del self[frame]
        return output

    def popitem(self) -> tuple[int, Any]:
        """Remove the last frame and return it with its output."""
        if not self:
            raise KeyError("there is no output")
        frame = list(self)[-1]
        return frame, self.pop(frame)

    def _frames(self) -> list[int]:
        obj = self._obj
        if self._prompted:
            outputs = obj.outputs
            return [frame for frame in obj.bank.prompted if frame in outputs]
        return obj.bank.tracked


class FramesTracked(FrameMapping[Mapping[str, bool]]):
    """Frame -> `{"reverse": ...}`, for the frames that an object was tracked on.

    Args:
        obj: The object.
    """

    def __init__(self, obj: TrackedObject) -> None:
        self._obj = obj

    def __getitem__(self, frame: int) -> Mapping[str, bool]:
        return MappingProxyType({"reverse": self._obj.directions[frame] == "backward"})

    def __setitem__(self, frame: int, how: Mapping[str, bool]) -> None:
        self._obj.directions[frame] = "backward" if how["reverse"] else "forward"

    def __delitem__(self, frame: int) -> None:
        del self._obj.directions[frame]

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._obj.directions))

    def __len__(self) -> int:
        return len(self._obj.directions)


class VisionFeatures:
    """Cached image features of a session, in the format of transformers' cache.

    Args:
        features: The session's feature cache.
        place: Devices and dtype of tensors.
    """

    def __init__(self, features: FeatureCache, place: OutputPlace) -> None:
        self._features = features
        self.inference_device = place.inference
        self.inference_state_device = place.state

    @property
    def max_vision_features_cache_size(self) -> int:
        """Number of frames to cache."""
        return self._features.size

    @max_vision_features_cache_size.setter
    def max_vision_features_cache_size(self, size: int) -> None:
        """Set the number of frames to cache."""
        self._features.size = size

    @property
    def frames(self) -> list[int]:
        """The cached frames."""
        return self._features.frames

    def cache_vision_features(self, frame_idx: int, features: Mapping[str, Any]) -> None:
        """Cache the features of a frame.

        Args:
            frame_idx: The frame.
            features: `vision_feats`, three maps `(hw, 1, c)`, finest first, as
                `get_vision_features` returns them. Positions are computed.

        Raises:
            SessionError: The maps have other shapes.
        """
        maps = [token_maps(tokens) for tokens in features.get("vision_feats", ())]
        if len(maps) != 3:
            raise SessionError(
                f"vision_feats holds {len(maps)} maps; it must be three: (hw, 1, c), finest first."
            )
        self._features.put(
            frame_idx,
            FrameFeatures(*(feature_map.to(self.inference_device) for feature_map in maps)),
        )

    def get_vision_features(self, frame_idx: int) -> dict[str, list[Tensor]] | None:
        """Look up the features of a frame; None if not cached."""
        found = self._features.look_up(frame_idx)
        if found is None:
            return None
        maps = (found.fine_bchw, found.coarse_bchw, found.embedding_bchw)
        channels, device = found.embedding_bchw.shape[1], self.inference_device
        tables = (
            sine_table(map_bchw.shape[-2], map_bchw.shape[-1], channels, device, map_bchw.dtype)
            for map_bchw in maps
        )
        return {
            "vision_feats": [_to_tokens(map_bchw).to(device) for map_bchw in maps],
            "vision_pos_embeds": [_to_tokens(table) for table in tables],
        }

    def clear_all(self) -> None:
        """Clear the cache."""
        self._features.clear()


def output_views(obj: TrackedObject, place: OutputPlace) -> Mapping[str, FrameOutputs]:
    """Make the views of `output_dict_per_obj` for one object."""
    return MappingProxyType(
        {
            CONDITIONING: FrameOutputs(obj, place, prompted=True),
            TRACKED: FrameOutputs(obj, place, prompted=False),
        }
    )


def look_up_output(outputs: FrameOutputs, frame: int, key: str) -> Tensor | None:
    """Look up a tensor of an output; None if there is none.

    Raises:
        SessionError: There is no such key.
    """
    if key not in OUTPUT_KEYS:
        raise SessionError(f"there is no output {key!r}. Choose from: {', '.join(OUTPUT_KEYS)}.")
    output = outputs.get(frame)
    return None if output is None or key not in output else output[key]


def store_output(
    outputs: FrameOutputs,
    frame: int,
    key: str | None,
    value: Tensor | Mapping[str, Tensor | None] | None,
) -> None:
    """Store an output, or one tensor of it; see [`Sam2VideoInferenceSession.store_output`].

    Args:
        outputs: Outputs of an object, of conditioning or tracked frames.
        frame: The frame.
        key: Which tensor to replace; None for a whole output.
        value: The tensor, or a mapping.

    Raises:
        SessionError: There is no such key, or something is missing.
    """
    if key is not None:
        if frame not in outputs:
            raise SessionError(
                f"there is no output of frame {frame} whose {key} could be "
                "replaced. Store a whole output first, as output_value without a key."
            )
        outputs[frame][key] = value  # type: ignore[assignment]
    elif isinstance(value, Mapping):
        outputs[frame] = value
    else:
        raise SessionError("output_value must be a mapping where output_key is not given.")


def store_record(
    obj: TrackedObject, frame: int, record: dict[str, Tensor], *, prompted: bool
) -> None:
    """Store an output in our format, replacing one of the same kind."""
    if not prompted:
        obj.bank.put_back(frame, record)
        return
    memory = FrameMemory(frame, record["spatial"], record["pointer"], record["score"][None])
    output = FrameOutput(record["logits"], record["iou"], record["score"])
    obj.bank.prompted[frame] = memory.to(obj.bank.device)
    obj.update(frame, output=output.to(obj.bank.device))


def forget_output(obj: TrackedObject, frame: int, *, prompted: bool) -> None:
    """Delete the stored output of an object on a frame; its mask stays in the masklet."""
    if prompted:
        obj.bank.prompted.pop(frame, None)
        obj.update(frame, output=None)
    else:
        obj.bank.forget(frame)


def _our_name(key: str) -> str:
    for ours, theirs in STORED.items():
        if key == theirs:
            return ours
    raise SessionError(f"there is no output {key!r}. Choose from: {', '.join(OUTPUT_KEYS)}.")


def _imported(name: str, value: Tensor, like: Tensor | None, place: OutputPlace) -> Tensor:
    """Convert a tensor from transformers' format to ours.

    Raises:
        SessionError: Its shape differs from that of the replaced tensor.
    """
    value = torch.as_tensor(value).detach()
    if name == "spatial":
        found = token_maps(value).to(place.memory_dtype)
    elif name == "pointer":
        found = value.reshape(1, -1)
    else:
        found = value.float().reshape((1, *value.shape[2:]) if name == "logits" else (-1,))
    if like is not None and found.shape != like.shape:
        raise SessionError(
            f"{STORED[name]} has the shape {tuple(value.shape)}, which is not that of the other "
            "frames. Give what another frame of this session has."
        )
    return found.clone()


def _to_tokens(maps_bchw: Tensor) -> Tensor:
    return maps_bchw.flatten(2).permute(2, 0, 1)


def token_maps(tokens_nbc: Tensor) -> Tensor:
    """Reshape tokens to a square grid, `(b, c, h, w)`.

    Raises:
        SessionError: They are not a square grid.
    """
    cells = tokens_nbc.shape[0] if tokens_nbc.ndim == 3 else 0
    side = math.isqrt(cells)
    if not side or side * side != cells:
        raise SessionError(
            f"a map has the shape {tuple(tokens_nbc.shape)}; it must be (hw, 1, c), a square grid."
        )
    return tokens_nbc.permute(1, 2, 0).reshape(*tokens_nbc.shape[1:], side, side)
