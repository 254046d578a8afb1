"""What a session's engine works on: frames, model, objects, and where their memories go."""

import copy
from contextlib import suppress
from typing import Any, Self

import torch

from sam2_hf.errors import FrameError, NoPromptError, SessionError
from sam2_hf.frames.open import Frames
from sam2_hf.frames.streams import LiveFrames
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.promptable_model import feature_weights
from sam2_hf.model.weight_fingerprint import WeightWatch, is_same_model, weight_fingerprint
from sam2_hf.video.storage.record_store import RecordStore
from sam2_hf.video.storage.video_fingerprint import (
    Fingerprint,
    require_same_video,
    video_fingerprint,
)

from .bytes_held import BytesHeld
from .compiled_steps import CompiledSteps
from .feature_cache import FeatureCache
from .masklet import MaskletStore
from .memory_bank import MemoryBank
from .memory_policy import MemoryPolicy, MemoryRules
from .session_options import MEMORY_POLICIES, SessionOptions
from .tracked_object import TrackedObject


class TrackerState:
    """Frames, objects and their memories, and the steps that change them.

    Args:
        frames: Where pixels come from.
        options: How to track.
        model: The model; None until the first call of transformers' API brings it.
        state_device: Where memories are stored; where the model is if None.
        history: What has left the device already; nothing if None.
    """

    def __init__(
        self,
        frames: Frames,
        options: SessionOptions,
        model: Sam2VideoModel | None = None,
        state_device: torch.device | str | None = None,
        history: RecordStore | None = None,
    ) -> None:
        self.frames = frames
        self.options = options
        self.objects: dict[int, TrackedObject] = {}
        if history is None:
            history = RecordStore(ram_budget=options.ram_budget, folder=options.spill_folder)
        self.history = history
        self.features = FeatureCache(options.cached_features)
        self.fingerprint: Fingerprint | None = None  # of the video, once it was asked for
        self._is_open = True
        self._model = model
        self._compiled_steps: CompiledSteps | None = None
        self._weights = WeightWatch(waits=False)
        self._state_device = state_device
        self._expected_model = ""  # mark of the model that this was pickled with

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy objects and memories; the model is shared, features are computed again."""
        twin = type(self)(
            copy.deepcopy(self.frames, memo),
            self.options,
            self._model,
            self._state_device,
            copy.deepcopy(self.history, memo),
        )
        twin.objects = copy.deepcopy(self.objects, memo)
        twin.fingerprint = self.fingerprint
        twin._expected_model = self._expected_model
        twin.features.size = self.features.size
        twin._weights = copy.copy(self._weights)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """List what is pickled; of the model only a mark."""
        expected = self._expected_model if self._model is None else model_mark(self._model)
        return {
            "parts": (self.frames, self.options, None, self._state_device, self.history),
            "objects": self.objects,
            "fingerprint": self.fingerprint or video_fingerprint(self.frames),
            "expected_model": expected,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        TrackerState.__init__(self, *state["parts"])
        self.objects = state["objects"]
        self.fingerprint = state["fingerprint"]
        self._expected_model = state["expected_model"]
        require_same_video(self.frames, self.fingerprint or {})

    @property
    def model(self) -> Sam2VideoModel:
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
        return self._model

    def bind(self, model: Sam2VideoModel) -> None:
        """Take a model; features of another one are forgotten.

        Raises:
            SessionError: This was pickled with another model, or what is remembered does not fit.
        """
        if self._expected_model and not is_same_model(self._expected_model, model_mark(model)):
            raise SessionError(
                "this session was pickled with another model: other weights, another size or "
                "another dtype. Give the model it was made with."
            )
        self._expected_model = ""
        if model is not self._model:
            self._require_fit(model)
            self.features.clear()
            self._compiled_steps = None
        self._model = model

    def follow_weights(self) -> None:
        """Forget the features of weights that have changed since, whoever wrote them.

        First prompts of a frame that are not remembered yet are answered again. What is remembered
        stays, and so does the answer to a correction, which began from a mask that was shown.

        This takes about a millisecond on a CPU, see [`WeightWatch`] for what may pass unnoticed. On
        a GPU the host does not wait for values, so a write through `parameter.data` passes there.
        """
        had_weights = self._weights.has_seen
        if self._weights.have_changed(feature_weights(self.model)) and had_weights:
            self.features.clear()
            for one in self.objects.values():
                for frame, rounds in one.rounds.items():
                    with suppress(FrameError):  # of a frame that a stream has dropped
                        self.frames.require(frame)
                        for asked in rounds:
                            asked.reopen()

    def store_on(self, device: torch.device | str) -> None:
        """Store memories elsewhere from now on; those that are stored move when they are read."""
        self._state_device = device
        for one in self.objects.values():
            one.bank.device = device

    @property
    def keeps_window(self) -> bool:
        """Whether old masks go: by option, and in a stream, whose frames are gone by then too."""
        return self.options.keep == "window" or isinstance(self.frames, LiveFrames)

    def _require_fit(self, model: Sam2VideoModel) -> None:
        """Refuse a model of another size where something is remembered already."""
        if self._model is None or not self.conditioning_frames():
            return
        before, now = (
            (
                one.image_size,
                one.mem_dim,
                one.hidden_dim,
            )
            for one in (self._model, model)
        )
        if before != now:
            raise SessionError(
                f"this session was tracked with a model of another size: input, memory and decoder "
                f"channels {before}, and now {now}. Use that model, or call "
                "session.reset_inference_session() first."
            )

    @property
    def compiled_steps(self) -> CompiledSteps:
        """The steps of the model, to be compiled on first use."""
        if self._compiled_steps is None:
            self._compiled_steps = CompiledSteps(self.model, self.options.memory_dtype)
        return self._compiled_steps

    @property
    def rules(self) -> MemoryRules:
        """How far memory reaches, by the model and the options."""
        config, options = self.model.config, self.options
        limit = options.max_cond_frames_in_attn
        return MemoryRules(
            num_memories=self.model.num_maskmem,
            num_pointers=config.max_object_pointers_in_encoder,
            stride=options.memory_temporal_stride_for_eval,
            max_prompted=config.max_cond_frame_num if limit is None else limit,
            clip_times=options.pointer_times == "clip",
        )

    @property
    def policy(self) -> MemoryPolicy:
        """Which memories a frame attends to, by the options."""
        return MEMORY_POLICIES[self.options.memory_policy](self.rules)

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)` of the original frames; of the model's input if nobody knows."""
        side = self.model.image_size
        return self.frames.size or (side, side)

    def object(self, object_id: int) -> TrackedObject:
        """Return an object; a new one if the id is new."""
        if object_id not in self.objects:
            self.history.discard_object(object_id)  # of a removed object of that number
            self.new_object(object_id)
        return self.objects[object_id]

    def new_object(self, object_id: int) -> TrackedObject:
        """Add an object, to which tracked memories may belong already."""
        device = self._model.device if self._model is not None else "cpu"
        bank = MemoryBank(object_id, self.history, self._state_device or device)
        self.objects[object_id] = TrackedObject(object_id, bank)
        return self.objects[object_id]

    def restore_object(self, one: TrackedObject, place: int) -> None:
        """Count an object in again that was removed, at the place it had."""
        if one.object_id not in self.objects:
            objects = list(self.objects.items())
            objects.insert(place, (one.object_id, one))
            self.objects = dict(objects)

    def drop_records(self, one: TrackedObject) -> None:
        """Drop what is kept of a removed object, unless its number is another one's by now."""
        if one.object_id not in self.objects:
            self.history.discard_object(one.object_id)

    def forget(self, object_id: int) -> None:
        """Drop an object and everything that is kept of it."""
        self.objects.pop(object_id, None)
        self.history.discard_object(object_id)

    def masklet_store(self, one: TrackedObject) -> MaskletStore:
        """Return where the masks of an object go."""
        if one.masklet is None:
            one.masklet = MaskletStore(one.object_id, self.history, self.size)
        return one.masklet

    def bytes_held(self) -> BytesHeld:
        """Count what is held; see `SessionCore.bytes_held`."""
        banks = sum(one.bank.device_bytes for one in self.objects.values())
        outputs = sum(one.device_bytes for one in self.objects.values())
        slots = 0 if self._compiled_steps is None else self._compiled_steps.num_bytes
        device = self.features.num_bytes + banks + outputs + slots
        return BytesHeld(device, self.history.bytes_in_ram, self.history.bytes_on_disk)

    def close(self) -> None:
        """Let go of frames and history."""
        self._is_open = False
        self.frames.close()
        self.history.close()
        self.features.clear()
        self._weights = WeightWatch(waits=False)  # which holds weights
        self._compiled_steps = None

    def settle(self) -> None:
        """Let go of everything but the masks."""
        self._is_open = False
        self.frames.close()
        self.features.clear()
        self._weights = WeightWatch(waits=False)  # which holds weights
        self._compiled_steps = None
        for one in self.objects.values():
            one.bank.clear()
            one.rounds.clear()
            one.outputs.clear()

    def require_open(self) -> None:
        """Refuse to track once the video is gone, as when another thread has closed the session.

        Raises:
            SessionError: The session is closed, or settled.
        """
        if not self._is_open:
            raise SessionError(
                "this session is closed, so nothing can be tracked any more. Finish or stop "
                "propagate() before session.close() or session.settle()."
            )

    def conditioning_frames(self, *object_ids: int) -> set[int]:
        """List the frames that objects are tracked from, of all of them if none is named."""
        objects = [self.objects[number] for number in object_ids or self.objects]
        corrections = self.options.add_all_frames_to_correct_as_cond
        return {
            frame
            for one in objects
            for frame in one.conditioning_frames(with_corrections=corrections)
        }

    def require_prompts(self) -> None:
        """Refuse to track what nobody has pointed at.

        Raises:
            NoPromptError: There is no object, or one of them has no prompt.
        """
        with_prompt = [number for number in self.objects if self.conditioning_frames(number)]
        for number in self.objects:
            if number not in with_prompt:
                raise NoPromptError(number, with_prompt)
        if not self.objects:
            raise NoPromptError(None, ())


def model_mark(model: Sam2VideoModel) -> str:
    """Tell models apart, as saved and pickled sessions do."""
    return weight_fingerprint(model.config, model.parameters(), buffers=model.buffers())


def require_video_model(model: object) -> None:
    """Refuse what cannot track. Wrappers of a model, which have its methods, are let through.

    Raises:
        SessionError: It has no memory: it is an image model, or no model.
    """
    if not callable(getattr(model, "encode_memory", None)):
        raise SessionError(
            f"the model of a session is a {type(model).__name__}; a Sam2VideoModel is needed. "
            "Load one with Sam2VideoModel.from_pretrained, which reads the same checkpoints."
        )
