"""Frame encoder of a session: image features, computed once for all objects and cached.

Suffixes: b = frames (1 here), c = channels, h, w = rows and columns.
"""

import copy
import operator
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Self, cast
from weakref import WeakKeyDictionary, ref

from sam2_hf.errors import SessionError
from sam2_hf.frames.base import Frames
from sam2_hf.model.checkpoints.weight_fingerprint import (
    WeightWatch,
    is_same_model,
    weight_fingerprint,
)
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import FrameFeatures
from sam2_hf.model.promptable_model import feature_weights
from sam2_hf.video.storage.video_fingerprint import (
    Fingerprint,
    require_same_video,
    video_fingerprint,
)

from .compiled_steps import CompiledSteps
from .session_options import SessionOptions
from .tracking_model import FrozenModel, TrackingModel


class FrameEncoder:
    """Video and model of a session, both replaceable.

    Args:
        frames: Where pixels come from.
        options: How to track.
        model: The model; None until the first call of transformers' API provides it.
        image_size: Input size of the frames; that of the model if None.

    Attributes:
        frames: Where pixels come from; see `exchange_frames`.
        image_size: Input size of the model; None if unknown yet.
        features: The feature cache.
        fingerprint: Fingerprint of the video, once requested.
    """

    def __init__(
        self,
        frames: Frames,
        options: SessionOptions,
        model: TrackingModel | None = None,
        image_size: int | None = None,
    ) -> None:
        if image_size is None and model is not None:
            image_size = model.image_size
        self.frames = frames
        self.image_size = image_size
        self.features = FeatureCache(options.cached_features)
        self.fingerprint: Fingerprint | None = None
        self._options = options
        self._is_open = True
        self._model, self._twin = model, _twin_of(model)
        self._is_frozen = isinstance(model, FrozenModel)
        self._compiled_steps: CompiledSteps | None = None
        self._weights = WeightWatch(waits=False)
        self._expected_model = ""  # fingerprint of the model that this was pickled with

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the frames; the model is shared, features are recomputed."""
        frames = copy.deepcopy(self.frames, memo)
        twin = type(self)(frames, self._options, self._model, self.image_size)
        twin.fingerprint = self.fingerprint
        twin.features.size = self.features.size
        twin._is_open = self._is_open
        twin._expected_model = self._expected_model
        twin._weights = copy.copy(self._weights)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle; of the model only a fingerprint."""
        expected = self._expected_model if self._model is None else model_mark(self._model)
        return {
            "arguments": (self.frames, self._options, None, self.image_size),
            "fingerprint": self.fingerprint or video_fingerprint(self.frames),
            "cached": self.features.size,
            "is_open": self._is_open,
            "expected_model": expected,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        FrameEncoder.__init__(self, *state["arguments"])
        self.fingerprint = state["fingerprint"]
        self.features.size = state["cached"]
        self._is_open = state["is_open"]
        self._expected_model = state["expected_model"]
        require_same_video(self.frames, self.fingerprint or {})

    @property
    def model(self) -> TrackingModel:
        """The model.

        Raises:
            SessionError: There is none yet.
        """
        if self._model is None:
            raise SessionError(
                "this session has no model yet. Open it with "
                "Sam2VideoInferenceSession.open(video, model), call model(session, ...), or give "
                "one that was unpickled its model with session.use_model(model)."
            )
        if self._twin is not None:
            self._twin.follow()
        return self._model

    @property
    def has_model(self) -> bool:
        """Whether there is a model yet."""
        return self._model is not None

    def bind(self, model: TrackingModel, *, must_fit: bool) -> None:
        """Set the model; features of another one are dropped.

        Args:
            model: The model.
            must_fit: Whether it has to read memories of the previous model.

        Raises:
            SessionError: This was pickled with another model, or the memories do not fit.
        """
        if self._expected_model and not is_same_model(self._expected_model, model_mark(model)):
            raise SessionError(
                "this session was pickled with another model: other weights, another size or "
                "another dtype. Give the model it was made with."
            )
        self._expected_model = ""
        if model is not self._model:
            if must_fit and self._model is not None:
                _require_same_sizes(self._model, model)
            self.features.clear()
            self._compiled_steps = None
            self._is_frozen = isinstance(model, FrozenModel)
        self._model, self._twin = model, _twin_of(model)

    def require_input_size(self, model: TrackingModel) -> None:
        """Refuse a model whose input size differs from that of the frames.

        Raises:
            SessionError: It differs.
        """
        side = model.image_size
        if self.image_size is not None and self.image_size != side:
            raise SessionError(
                f"the frames of this session are made for an input size of {self.image_size}, and "
                f"the model takes {side}. Use the model's own processor."
            )

    @property
    def compiled_steps(self) -> CompiledSteps:
        """The model's steps, compiled on first use.

        Raises:
            SessionError: The model is not a PyTorch module, or pools its memories.
        """
        if self._is_frozen:
            raise SessionError("compile=True is for PyTorch models; graphs are compiled already.")
        if self._compiled_steps is None:
            model = cast(Sam2VideoModel, self.model)
            if getattr(model.config, "memory_attention_pooling", "none") != "none":
                raise SessionError(
                    "memory attention of this EfficientTAM pools its memories from the second on, "
                    "which a graph cannot decide. Leave compile=True out."
                )
            self._compiled_steps = CompiledSteps(model, self._options.memory_dtype)
        return self._compiled_steps

    def encode(self, frame: int) -> FrameFeatures:
        """Encode a frame, or return its cached features.

        Raises:
            FrameError: The frame is not available.
            SessionError: The model is in train mode.
        """

        def encode() -> FrameFeatures:
            model = self.model
            if model.training:
                raise SessionError(
                    "the model is in training mode, where dropout is random. Call model.eval()."
                )
            pixels = self.frames.pixel_values(frame, model.device)[None].to(model.dtype)
            if self._options.compile:
                return self.compiled_steps.encode(pixels)
            return model.encode_image(pixels)

        return self.features.get(frame, encode)

    def follow_weights(self) -> bool:
        """Drop the features if weights have changed.

        This takes about a millisecond on a CPU; see [`WeightWatch`] for changes it may miss. On a
        GPU values are not compared, which would synchronize, so writes through `parameter.data` are
        missed.

        Returns:
            Whether they have changed since the last call.
        """
        if self._is_frozen:
            return False
        had_weights = self._weights.has_seen
        weights = feature_weights(cast(Sam2VideoModel, self.model))
        have_changed = self._weights.have_changed(weights) and had_weights
        if have_changed:
            self.features.clear()
        return have_changed

    def exchange_frames(self, frames: Frames) -> None:
        """Replace the frames and close the previous ones."""
        self.frames.close()
        self.frames = frames
        self.features.clear()
        self.fingerprint = None

    def pixels_changed(self, frame: int) -> None:
        """Drop results computed from the pixels of a frame."""
        self.features.discard(frame)
        self.fingerprint = None

    def require_open(self) -> None:
        """Refuse to track after the session is closed, maybe by another thread.

        Raises:
            SessionError: The session is closed, or settled.
        """
        if not self._is_open:
            raise SessionError(
                "this session is closed, so nothing can be tracked any more. Finish or stop "
                "propagate() before session.close() or session.settle()."
            )

    def close(self) -> None:
        """Release video, features and weights."""
        self._is_open = False
        self.frames.close()
        self.features.clear()
        self._weights = WeightWatch(waits=False)  # it holds weights
        self._compiled_steps = None

    @property
    def num_bytes(self) -> int:
        """Bytes of features and of memory slots of compiled steps."""
        slots = 0 if self._compiled_steps is None else self._compiled_steps.num_bytes
        return self.features.num_bytes + slots


class FeatureCache:
    """LRU cache of the features of a few frames.

    Args:
        size: Number of frames.

    Attributes:
        size: Number of frames; a change applies when the next frame is encoded.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._features: OrderedDict[int, FrameFeatures] = OrderedDict()

    @property
    def frames(self) -> list[int]:
        """The frames with cached features."""
        return list(self._features)

    def get(self, frame: int, encode: Callable[[], FrameFeatures]) -> FrameFeatures:
        """Return the features of a frame, encoding it if not cached."""
        if frame not in self._features:
            self._make_room()  # first, so that two are never held at once
            self._features[frame] = encode()
        self._features.move_to_end(frame)
        return self._features[frame]

    def look_up(self, frame: int) -> FrameFeatures | None:
        """Return the features of a frame if cached."""
        return self._features.get(frame)

    def put(self, frame: int, features: FrameFeatures) -> None:
        """Add features to the cache."""
        self._features.pop(frame, None)
        self._make_room()
        self._features[frame] = features

    def discard(self, frame: int) -> None:
        """Drop a frame whose pixels have changed."""
        self._features.pop(frame, None)

    def clear(self) -> None:
        """Drop everything, as for another model."""
        self._features.clear()

    def _make_room(self) -> None:
        while self._features and len(self._features) >= self.size:
            self._features.popitem(last=False)

    @property
    def num_bytes(self) -> int:
        """Bytes of the cached features."""
        return sum(
            tensor.nbytes
            for features in self._features.values()
            for tensor in (features.fine_bchw, features.coarse_bchw, features.embedding_bchw)
        )


def model_mark(model: TrackingModel) -> str:
    """Fingerprint of a model for saved and pickled sessions."""
    if isinstance(model, FrozenModel):
        return model.fingerprint
    module = cast(Sam2VideoModel, model)
    return weight_fingerprint(module.config, module.parameters(), buffers=module.buffers())


class SizedTwin:
    """A model for another input size, which follows what is set on the original later.

    The two share modules and weights. What else a model holds, such as its train mode, is copied
    whenever any of it is set on the original; until then the twin keeps what was set on itself.

    Args:
        original: The model.
        image_size: Input size of the twin.

    Attributes:
        model: The twin.
    """

    def __init__(self, original: Sam2VideoModel, image_size: int) -> None:
        self.model = original.at_image_size(image_size)
        self._original = ref(original)
        self._image_size = image_size
        self._seen = _parts_of(original)

    def follow(self) -> None:
        """Copy what was set on the original since the last call."""
        original = self._original()
        if original is None:
            return
        parts = _parts_of(original)
        if len(parts) != len(self._seen) or any(map(operator.is_not, parts, self._seen)):
            self._seen = parts
            self.model.__dict__.update(vars(original.at_image_size(self._image_size)))


def _parts_of(model: Sam2VideoModel) -> list[object]:
    """List modules, settings and the config's entries of a model, to be compared by identity."""
    return [*vars(model).values(), *model._modules.values(), *vars(model.config).values()]


_TWINS: WeakKeyDictionary[Sam2VideoModel, dict[int, SizedTwin]] = WeakKeyDictionary()
# by the twin's model, which its values must not keep alive
_TWIN_OF: WeakKeyDictionary[Sam2VideoModel, ref[SizedTwin]] = WeakKeyDictionary()


def sized_model(model: TrackingModel, options: SessionOptions) -> TrackingModel:
    """Return the model for the input size of the options; always the same one.

    Raises:
        SessionError: The model's input size cannot be changed.
    """
    side = options.image_size
    if side is None or side == model.image_size:
        return model
    if not isinstance(model, Sam2VideoModel):
        raise SessionError(
            f"image_size={side} is for PyTorch models; this one takes {model.image_size} pixels."
        )
    twins = _TWINS.setdefault(model, {})
    if side not in twins:
        try:
            twins[side] = SizedTwin(model, side)
        except ValueError as error:
            raise SessionError(str(error)) from error
        _TWIN_OF[twins[side].model] = ref(twins[side])
    twins[side].follow()
    return twins[side].model


def _twin_of(model: TrackingModel | None) -> SizedTwin | None:
    """Return the twin that a model is; None if it is none."""
    found = _TWIN_OF.get(model) if isinstance(model, Sam2VideoModel) else None
    return None if found is None else found()


def require_video_model(model: object) -> None:
    """Refuse a model that cannot track. Wrappers of a model, which have its methods, are accepted.

    Raises:
        SessionError: It is not a video model.
    """
    if not callable(getattr(model, "encode_memory", None)):
        raise SessionError(
            f"the model of a session is a {type(model).__name__}; a Sam2VideoModel is needed. "
            "Load one with Sam2VideoModel.from_pretrained, which reads the same checkpoints."
        )


def _require_same_sizes(before: TrackingModel, after: TrackingModel) -> None:
    """Refuse a model that cannot read another one's memories.

    Raises:
        SessionError: Its sizes differ.
    """
    sizes_before, sizes_after = (
        (
            model.image_size,
            model.memory_shape,
            model.hidden_dim,
        )
        for model in (before, after)
    )
    if sizes_before != sizes_after:
        raise SessionError(
            f"this session was tracked with a model of another size: input, memory and decoder "
            f"channels {sizes_before}, and now {sizes_after}. Use that model, or call "
            "session.reset_inference_session() first."
        )
