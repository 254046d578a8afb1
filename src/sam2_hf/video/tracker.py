"""The engine of a session: answers prompts, remembers, segments frame after frame.

It knows frames, objects and memories, and no user: the session's verbs decide what happens when.

Suffixes: b = objects, d = decoder channels, h, w = rows and columns, S = input size of the model.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from sam2_hf.errors import NoPromptError, OutputError, SessionError
from sam2_hf.masks import TRACKED_HOLE_MARGIN, fill_holes, keep_apart
from sam2_hf.model.frame_memory import FrameFeatures, FrameMemory
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import ObjectMasks

from .bytes_held import BytesHeld
from .feature_cache import FeatureCache
from .frame_result import FrameOutput, FrameResult
from .frames import Frames
from .history import History
from .masklet import MaskletStore
from .memory_bank import MemoryBank
from .memory_selection import Direction, MemoryRules, Moment
from .session_options import SessionOptions
from .tracked_object import TrackedObject
from .tracking import NO_PROMPTS, track_step


class Tracker:
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
        history: History | None = None,
    ) -> None:
        self.frames = frames
        self.options = options
        self.objects: dict[int, TrackedObject] = {}
        if history is None:
            history = History(ram_budget=options.ram_budget, folder=options.spill_folder)
        self.history = history
        self.features = FeatureCache(options.cached_features)
        # by option, and in a stream, whose frames cannot be had again either
        self.keeps_window = options.keep == "window" or frames.num_frames is None
        self._model = model
        self._state_device = state_device

    @property
    def model(self) -> Sam2VideoModel:
        """The model.

        Raises:
            SessionError: There is none yet.
        """
        if self._model is None:
            raise SessionError(
                "this session has no model yet. Open it with "
                "Sam2VideoInferenceSession.open(video, model), or call model(session, ...)."
            )
        return self._model

    def bind(self, model: Sam2VideoModel) -> None:
        """Take a model; features of another one are forgotten."""
        if model is not self._model:
            self.features.clear()
        self._model = model

    @property
    def rules(self) -> MemoryRules:
        """How far memory reaches, by the model's config and the options."""
        config, options = self.model.config, self.options
        limit = options.max_cond_frames_in_attn
        return MemoryRules(
            num_memories=config.num_maskmem,
            num_pointers=config.max_object_pointers_in_encoder,
            stride=options.memory_temporal_stride_for_eval,
            max_prompted=config.max_cond_frame_num if limit is None else limit,
            clip_times=options.pointer_times == "clip",
        )

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)` of the original frames; of the model's input if nobody knows."""
        side = self.model.prompt_encoder.image_size
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

    def take_back(self, one: TrackedObject, place: int) -> None:
        """Count an object in again that was removed, at the place it had."""
        if one.object_id not in self.objects:
            objects = list(self.objects.items())
            objects.insert(place, (one.object_id, one))
            self.objects = dict(objects)

    def let_go(self, one: TrackedObject) -> None:
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
        device = self.features.num_bytes + banks + outputs
        return BytesHeld(device, self.history.bytes_in_ram, self.history.bytes_on_disk)

    def close(self) -> None:
        """Let go of frames and history."""
        self.frames.close()
        self.history.close()
        self.features.clear()

    def settle(self) -> None:
        """Let go of everything but the masks."""
        self.frames.close()
        self.features.clear()
        for one in self.objects.values():
            one.bank.clear()
            one.outputs.clear()

    def image_features(self, frame: int) -> FrameFeatures:
        """Encode a frame, or take its features from the cache."""

        def encode() -> FrameFeatures:
            pixels = self.frames.pixel_values(frame)[None]
            return self.model.encode_image(pixels.to(self.model.device, self.model.dtype))

        return self.features.get(frame, encode)

    @torch.no_grad()
    def segment(self, frame: int, direction: Direction, *, remember: bool = True) -> FrameResult:
        """Segment a frame: prompted objects keep their answer, the others are tracked.

        Raises:
            FrameError: The frame cannot be had.
            OutputError: The disk is full; the frame is tracked and stored all the same.
        """
        prompted = [one for one in self.objects.values() if frame in one.outputs]
        tracked = [
            one for one in self.objects.values() if frame not in one.outputs and one.bank.prompted
        ]
        device = self.model.device
        outputs = {one.object_id: one.outputs[frame].to(device) for one in prompted}
        full: list[OutputError] = []
        if tracked:
            now = Moment(frame, direction, self.frames.num_frames)
            outputs |= self._track(tracked, now, full if remember else None)
        result = self.result(frame, outputs)
        for one in (*prompted, *tracked):
            one.directions[frame] = direction
            self._retire(one, frame, direction)
            self._keep_mask(one, result, full)
            if frame in one.outputs and self.options.clear_non_cond_mem_around_input:
                self.forget_around(one, frame)
        if full:  # only now: every object of the frame is stored
            raise full[0]
        return result

    def result(self, frame: int, outputs: dict[int, FrameOutput]) -> FrameResult:
        """Put answers together, in the order in which the objects came."""
        return FrameResult.of_outputs(
            frame,
            {object_id: outputs[object_id] for object_id in self.objects if object_id in outputs},
            self.size,
            frozenset(one.object_id for one in self.objects.values() if frame in one.prompts),
            non_overlapping=self.options.non_overlap_masks,
        )

    def require_prompts(self) -> None:
        """Refuse to track what nobody has pointed at.

        Raises:
            NoPromptError: There is no object, or one of them has no prompt.
        """
        with_prompt = [one.object_id for one in self.objects.values() if one.has_prompts]
        for one in self.objects.values():
            if not one.has_prompts:
                raise NoPromptError(one.object_id, with_prompt)
        if not self.objects:
            raise NoPromptError(None, ())

    def _track(
        self, tracked: list[TrackedObject], now: Moment, full: list[OutputError] | None
    ) -> dict[int, FrameOutput]:
        """Track objects on a frame; remember what was found, and note in `full` what no disk took.

        With None for `full` nothing is remembered.
        """
        features = self.image_features(now.frame)
        banks = [one.bank for one in tracked]
        masks = track_step(self.model, features, banks, NO_PROMPTS, now, self.rules)
        outputs = self.outputs(masks)
        if full is not None:
            logits_b1hw = masks.logits_b1hw
            if self.options.non_overlap_masks_for_mem_enc:
                logits_b1hw = keep_apart(logits_b1hw)
            spatial = self.model.encode_memory(
                features, logits_b1hw, masks.score_b1, binarize=False
            )
            memories = self.memories(now.frame, spatial, masks.pointer_bd, masks.score_b1)
            for one, memory, output in zip(tracked, memories, outputs, strict=True):
                with _noted(full):
                    one.bank.remember(memory, output)
        return {one.object_id: output for one, output in zip(tracked, outputs, strict=True)}

    def memories(
        self, frame: int, spatial_bchw: Tensor, pointer_bd: Tensor, score_b1: Tensor
    ) -> list[FrameMemory]:
        """Part the memories of a frame by object; copies, so that each is freed by itself."""
        parts = (spatial_bchw.to(self.options.memory_dtype), pointer_bd, score_b1)
        rows = (slice(row, row + 1) for row in range(len(spatial_bchw)))
        return [FrameMemory(frame, *(part[row].clone() for part in parts)) for row in rows]

    def outputs(self, masks: ObjectMasks) -> list[FrameOutput]:
        """Close small holes and part the answers by object."""
        logits_bhw = fill_holes(
            masks.logits_b1hw[:, 0], self.options.fill_hole_area, margin=TRACKED_HOLE_MARGIN
        )
        return [
            FrameOutput(logits_bhw[row : row + 1].clone(), masks.iou_b1[row], masks.score_b1[row])
            for row in range(len(logits_bhw))
        ]

    def _keep_mask(self, one: TrackedObject, result: FrameResult, full: list[OutputError]) -> None:
        """Keep the mask of an object on a frame, and drop what lies outside the window."""
        number = one.object_id
        scores = result.iou[number], result.object_score[number]
        with _noted(full):
            self.masklet_store(one).put(result.frame, result.masks[number], *scores)
        if self.keeps_window:
            one.keep_near(result.frame, max(self.options.window, self.rules.reach))

    def _retire(self, one: TrackedObject, frame: int, direction: Direction) -> None:
        """Let memories leave the device that the next frame cannot read."""
        step = 1 if direction == "forward" else -1
        one.bank.retire(Moment(frame + step, direction, self.frames.num_frames), self.rules)

    def forget_around(self, one: TrackedObject, frame: int) -> None:
        """Drop tracked memories near a prompted frame, which may show what was corrected.

        Source: sam2/sam2_video_predictor.py:956-976 @ 2b90b9f.
        """
        reach = self.options.memory_temporal_stride_for_eval * self.rules.num_memories
        for near in range(frame - reach, frame + reach + 1):
            one.bank.forget(near)


@contextlib.contextmanager
def _noted(full: list[OutputError]) -> Iterator[None]:
    """Go on after a disk turned out to be full; what it did not take stays in RAM."""
    try:
        yield
    except OutputError as error:
        full.append(error)
