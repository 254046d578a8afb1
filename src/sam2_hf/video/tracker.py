"""Tracker of a session: decodes prompts, encodes memories and segments frames.

The session's methods decide what runs when.

Suffixes: b = objects, d = decoder channels, n = points, h, w = rows and columns, S = input size of
the model.
"""

import weakref
from collections.abc import Container
from contextlib import suppress
from functools import partial

import torch
from torch import Tensor

from sam2_hf.errors import FrameError, OutputError
from sam2_hf.frames.base import Frames
from sam2_hf.frames.host_copies import HostCopies
from sam2_hf.masks import resize_masks, suppress_overlaps
from sam2_hf.model.outputs import FrameMemory
from sam2_hf.model.prompt_encoder import Prompts
from sam2_hf.results.found_object import Origin
from sam2_hf.video.policies.composition import ComposedPolicy
from sam2_hf.video.policies.memory_policy import MemoryPolicy, MemoryRules, TrackingStep
from sam2_hf.video.storage.record_store import RecordStore

from .frame_encoder import FrameEncoder, sized_model
from .frame_result import FrameOutput, FrameResult, read_frame, split_by_object
from .latency_budget import LatencyBudget
from .masklet import MaskletStore
from .memory_bank import NOTHING_MORE
from .object_registry import BytesHeld, ObjectRegistry
from .prompts import FramePrompts
from .propagation import FrameRequest
from .reviewed_tracking import KeptMasks, TrackedFrame, track_and_review
from .session_options import MEMORY_POLICIES, SessionOptions
from .tracked_object import PromptedOutput, QueuedPrompts, TrackedObject
from .tracking import NO_PROMPTS, decode_views, gather_memories, track_step, view
from .tracking_model import TrackingModel

Corrections = set[tuple[int, int]]  # frame and object id
MAX_PREVIOUS_LOGIT = 32.0  # earlier mask logits are clamped to +-this for the decoder


class Tracker:
    """Tracking steps on an encoder's frames and a registry's objects.

    Args:
        frames: The source of pixels.
        options: Session options.
        model: The model; None until the first call of transformers' API provides it.
        state_device: Device of memories; that of the model if None.
        store: Offloaded records; empty if None.
        image_size: Input size of the frames; that of the model if None.

    Attributes:
        encoder: Frames, model, and cached image features.
        registry: The objects and their records.
        objects: Object id -> object of the registry, in order of creation.
        latency: Time that the frames of a stream have taken.
    """

    def __init__(
        self,
        frames: Frames,
        options: SessionOptions,
        model: TrackingModel | None = None,
        *,
        state_device: torch.device | str | None = None,
        store: RecordStore | None = None,
        image_size: int | None = None,
    ) -> None:
        self.options = options
        model = None if model is None else sized_model(model, options)
        self.encoder = FrameEncoder(frames, options, model, image_size)
        self.latency = LatencyBudget()
        self.registry = ObjectRegistry(options, store)
        self.objects = self.registry.objects
        self._state_device = state_device

    @property
    def frames(self) -> Frames:
        """The source of pixels."""
        return self.encoder.frames

    @property
    def model(self) -> TrackingModel:
        """The model; raises if there is none, see [`FrameEncoder.model`]."""
        return self.encoder.model

    @property
    def memory_device(self) -> torch.device | str:
        """Device for memories of new objects."""
        device = self.model.device if self.encoder.has_model else "cpu"
        return self._state_device or device

    @property
    def rules(self) -> MemoryRules:
        """Limits of memory, from the model and the options."""
        model, options = self.encoder.model, self.options
        config, limit = model.config, options.max_cond_frames_in_attn
        return MemoryRules(
            num_memories=model.num_maskmem,
            num_pointers=config.max_object_pointers_in_encoder,
            stride=options.memory_temporal_stride_for_eval,
            max_prompted=config.max_cond_frame_num if limit is None else limit,
            clip_times=options.pointer_times == "clip",
        )

    @property
    def policy(self) -> MemoryPolicy:
        """The memory policy that the options select."""
        name = self.options.memory_policy
        if name in MEMORY_POLICIES:
            return MEMORY_POLICIES[name](self.rules)
        return ComposedPolicy(*(MEMORY_POLICIES[part](self.rules) for part in name.split("+")))

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)` of the original frames; of the model's input if unknown."""
        return self.encoder.frames.size or (self.encoder.model.image_size,) * 2

    def bind(self, model: TrackingModel) -> None:
        """Set the model; see [`FrameEncoder.bind`]."""
        registry = self.registry
        has_memories = registry.has_references or bool(registry.conditioning_frames())
        self.encoder.bind(sized_model(model, self.options), must_fit=has_memories)

    def use_options(self, options: SessionOptions) -> None:
        """Set new options; see [`VideoSession.use_options`]."""
        self.options.require_same_fixed(options)
        self.options = options
        self.registry.use_options(options)

    def follow_weights(self) -> None:
        """React to changed weights; see [`FrameEncoder.follow_weights`].

        Queued initial prompts are decoded again. Memories stay, and so do answers to corrections,
        which started from a mask already shown.
        """
        if not self.encoder.follow_weights():
            return
        for obj in self.objects.values():
            for frame, calls in obj.queued.items():
                with suppress(FrameError):  # for a frame that a stream has dropped
                    self.frames.require(frame)
                    for queued in calls:
                        queued.reopen()

    def store_on(self, device: torch.device | str) -> None:
        """Set the device of memories; existing ones move when read."""
        self._state_device = device
        self.registry.store_on(device)

    def masklet_store(self, obj: TrackedObject) -> MaskletStore:
        """Return the masklet store of an object."""
        if obj.masklet is None:
            obj.masklet = MaskletStore(obj.object_id, self.registry.store, self.size)
        return obj.masklet

    def bytes_held(self) -> BytesHeld:
        """Count memory usage; see [`VideoSession.bytes_held`]."""
        return self.registry.bytes_held(also_on_device=self.encoder.num_bytes)

    def close(self) -> None:
        """Release frames and records."""
        self.encoder.close()
        self.registry.store.close()

    def release_inputs(self) -> None:
        """Release everything but the masks."""
        self.encoder.close()
        self.registry.release_inputs()

    @torch.no_grad()
    def segment(self, request: FrameRequest) -> tuple[FrameResult, OutputError | None]:
        """Segment a frame: prompted objects keep their output, the others are tracked.

        Args:
            request: The frame and how to segment it.

        Returns:
            The masks, and the error if the disk is full; the frame is stored anyway.

        Raises:
            FrameError: The frame is not available.
        """
        # Decode: answers that are there already are kept, all other objects are tracked.
        policy, device = self.policy, self.encoder.model.device
        asked = request.chosen(self.objects)
        known = self._known_outputs(asked, request)
        prompted = [obj for obj in asked if obj.object_id in known]
        tracked = [
            obj
            for obj in asked
            if obj.object_id not in known and (obj.bank.prompted or obj.bank.references)
        ]
        outputs = {number: output.to(device) for number, output in known.items()}
        found = self._track(tracked, request, policy) if tracked else []
        outputs |= {obj.object_id: output for obj, output, _, _ in found}

        # Send to the host: the next step can read memories already; records and masks set out.
        copies = HostCopies()
        staged = [
            (obj, obj.bank.stage(memory, output, copies, more))
            for obj, output, memory, more in found
            if request.remember and request.leaves_trace
        ]
        result = self.result(request.frame, outputs).start_host_copy(copies)
        try:
            # Meanwhile a GPU encodes the next frame.
            self._encode_ahead(request.ahead)
        finally:
            # Store: this frame is kept even if the line above fails.
            copies.wait()
            result = result.finish_host_copy()
            write_error = self._store(request, policy, result, staged, [*prompted, *tracked])
        return result, write_error

    def _known_outputs(
        self, asked: list[TrackedObject], request: FrameRequest
    ) -> dict[int, FrameOutput]:
        """Collect existing outputs, by object."""
        found = {}
        for obj in asked:
            output = obj.state(request.frame).output
            if output is None and obj.object_id in request.corrected:
                output = obj.bank.output(request.frame)
            if output is not None:
                found[obj.object_id] = output
        return found

    def _track(
        self, tracked: list[TrackedObject], request: FrameRequest, policy: MemoryPolicy
    ) -> list[TrackedFrame]:
        """Track objects on a frame; return the output and, if requested, the memory of each."""
        encoder, model = self.encoder, self.encoder.model
        step = TrackingStep(request.frame, request.direction, encoder.frames.num_frames)
        features = encoder.encode(step.frame)
        banks = [obj.bank for obj in tracked]
        extra = {"dynamic_multimask_via_stability": self.options.dynamic_multimask_via_stability}
        spatial: Tensor | None = None
        kept: KeptMasks | None = None
        if policy.reviews:
            kept = track_and_review(model, features, banks, step, policy, **extra)
            masks = kept.masks
        elif self.options.compile:
            masks, spatial = encoder.compiled_steps.track(features, banks, step, policy, **extra)
        else:
            masks = track_step(model, features, banks, NO_PROMPTS, step, policy, **extra)
        outputs = split_by_object(masks, self.options.fill_hole_area)
        memories: list[FrameMemory] | list[None] = [None] * len(outputs)
        every = self.options.every_kth_memory
        is_kept = every == 1 or any(obj.needs_memory(step, every) for obj in tracked)
        if request.remember and request.leaves_trace and is_kept:
            if spatial is None or self.options.non_overlap_masks_for_mem_enc:
                logits_b1hw = self._without_overlaps(masks.logits_b1hw, step.frame)
                spatial = model.encode_memory(features, logits_b1hw, masks.score_b1, binarize=False)
            memories = self._memories(step.frame, spatial, masks.pointer_bd, masks.score_b1)
        if kept is not None:
            return kept.by_object(tracked, outputs, memories)
        return list(zip(tracked, outputs, memories, [NOTHING_MORE] * len(outputs), strict=True))

    def _encode_ahead(self, frame: int | None) -> None:
        """Start encoding a frame on a GPU; on a CPU this would gain nothing."""
        if frame is not None and self.encoder.model.device.type == "cuda":
            with suppress(Exception):  # it is raised again when the frame is processed
                self.encoder.encode(frame)

    def _store(
        self,
        request: FrameRequest,
        policy: MemoryPolicy,
        result: FrameResult,
        staged: list[tuple[TrackedObject, dict[str, Tensor]]],
        objects: list[TrackedObject],
    ) -> OutputError | None:
        """Store memories and masks of a frame; return the first error of a full disk."""
        frame, direction, frames = request.frame, request.direction, self.encoder.frames
        following = TrackingStep(
            frame + (1 if direction == "forward" else -1), direction, frames.num_frames
        )
        # masks of a stream are dropped too, as its frames are gone
        keeps_window = self.options.keep == "window" or frames.is_live
        errors: list[OutputError] = []
        for obj, record in staged:
            try:
                obj.bank.commit(frame, record)
            except OutputError as error:
                errors.append(error)
        for obj in objects:
            is_prompted = obj.state(frame).output is not None
            if request.leaves_trace and (request.passes_prompted or not is_prompted):
                obj.directions[frame] = direction
            needed = obj.bank.evict(following, policy)
            scores = result.iou[obj.object_id], result.object_score[obj.object_id]
            try:
                self.masklet_store(obj).put(frame, result.masks[obj.object_id], *scores)
            except OutputError as error:
                errors.append(error)
            if keeps_window:
                obj.trim_to_window(frame, max(self.options.window, policy.reach), needed)
            if is_prompted and request.leaves_trace:
                self._forget_around_prompt(obj, frame)
        return errors[0] if errors else None

    def _forget_around_prompt(self, obj: TrackedObject, frame: int) -> None:
        """Drop tracked memories near a prompted frame if the options say so.

        Source: sam2/sam2_video_predictor.py:956-976 @ 2b90b9f.
        """
        if not self.options.clear_non_cond_mem_around_input:
            return
        reach = self.options.memory_temporal_stride_for_eval * self.rules.num_memories
        for near in range(frame - reach, frame + reach + 1):
            obj.bank.forget(near)

    def result(self, frame: int, outputs: dict[int, FrameOutput]) -> FrameResult:
        """Combine outputs, in order of objects."""
        return FrameResult.of_outputs(
            frame,
            {object_id: outputs[object_id] for object_id in self.objects if object_id in outputs},
            self.size,
            frozenset(n for n, obj in self.objects.items() if obj.state(frame).prompts is not None),
            non_overlapping=self.options.non_overlap_masks,
            origin=Origin("", partial(read_frame, weakref.ref(self.frames), frame)),
        )

    def _without_overlaps(self, logits_b1hw: Tensor, frame: int) -> Tensor:
        """Assign each pixel to one object if the options ask for it in memories."""
        if not self.options.non_overlap_masks_for_mem_enc:
            return logits_b1hw
        others = [obj.state(frame).output for obj in self.objects.values()]
        prompted = [
            other.logits_1hw[None].to(logits_b1hw.device) for other in others if other is not None
        ]
        side = self.model.image_size  # enlarged first, to avoid gaps
        enlarged = resize_masks(torch.cat([logits_b1hw, *prompted]), (side, side))
        return suppress_overlaps(enlarged)[: len(logits_b1hw)]

    def _memories(
        self, frame: int, spatial_bx: Tensor, pointer_bd: Tensor, score_b1: Tensor
    ) -> list[FrameMemory]:
        """Split the memories of a frame by object, copied so that each can be freed."""
        parts = (spatial_bx.to(self.options.memory_dtype), pointer_bd, score_b1)
        return [
            FrameMemory(frame, *[part[row : row + 1].clone() for part in parts])
            for row in range(len(spatial_bx))
        ]

    @torch.no_grad()
    def queue_prompts(self, obj: TrackedObject, frame: int, prompts: FramePrompts) -> None:
        """Queue the prompts of a frame after another call; nothing is decoded yet.

        Source: sam2/sam2_video_predictor.py:225-258 @ 2b90b9f.
        Differs: without conditioning frames, as after `clear`, there is no memory, and the frame
            becomes one. The original fails there.
        """
        queued = QueuedPrompts(prompts)
        if obj.bank.prompted or obj.bank.references:
            queued.direction = obj.directions.get(frame)
        if prompts.mask_hw is None:
            if queued.direction is not None:
                step = TrackingStep(frame, queued.direction, self.frames.num_frames)
                queued.memory_inputs = gather_memories(obj.bank, step, self.policy)
            if self.options.prev_sam_mask_logits and not obj.state(frame).queued:
                queued.previous_output = obj.remembered_output(frame)
        obj.add(frame, queued)

    @torch.no_grad()
    def answer_prompts(self, obj: TrackedObject, frame: int) -> FrameOutput | None:
        """Decode the queued prompts of a frame; return the newest output, or None.

        Source: sam2/sam2_video_predictor.py:225-292 and 326-380 @ 2b90b9f.
        """
        previous: FrameOutput | None = None
        calls = obj.state(frame).queued
        for queued in calls:
            if queued.answer is None:  # one at a time: an unreadable frame loses none
                start = queued.previous_output or previous
                queued.set_answer(self._decode_prompts(frame, queued, start), start)
            if queued.answer is not None and self.options.prev_sam_mask_logits:
                previous = queued.answer.answer
        if calls:
            obj.update(frame, queued=calls[-1:])
        newest = obj.last_output(frame)
        return None if newest is None else newest.to(self.model.device)

    def answer_all_prompts(self, to_come: Container[int] = ()) -> None:
        """Decode all queued prompts, except those on future frames of a live stream.

        Args:
            to_come: Further frames to skip.

        Raises:
            FrameError: A frame is not available.
        """
        self.follow_weights()
        for obj in self.objects.values():
            for frame in obj.queued:
                if frame not in to_come and not self.frames.may_come(frame):
                    self.answer_prompts(obj, frame)

    @torch.no_grad()
    def consolidate_prompts(self, to_come: Container[int] = ()) -> Corrections:
        """Decode all queued prompts, then encode their memories.

        Prompts on future frames of a live stream stay queued.

        Args:
            to_come: Further frames whose prompts stay queued.

        Returns:
            Corrections that count as tracked instead of making a conditioning frame.

        Raises:
            FrameError: A prompted frame is not available.

        Source: sam2/sam2_video_predictor.py:469-540 @ 2b90b9f.
        Differs: outputs on one frame are encoded in one call of the memory encoder.
        """
        self.answer_all_prompts(to_come)
        queued = {frame for obj in self.objects.values() for frame in obj.queued}
        corrections: Corrections = set()
        for frame in sorted(queued):
            if frame not in to_come and not self.frames.may_come(frame):
                corrections |= self._consolidate(frame)
        return corrections

    def _decode_prompts(
        self, frame: int, queued: QueuedPrompts, previous: FrameOutput | None
    ) -> PromptedOutput:
        """Run the decoder on the prompts of one call, starting from the previous mask."""
        model, prompts = self.encoder.model, queued.prompts
        features = self.encoder.encode(frame)
        if prompts.mask_hw is not None:
            masks = model.use_mask_as_output(features, prompts.mask_hw[None, None].to(model.device))
        else:
            points_n2, labels_n = prompts.model_points(self.size, model.image_size)
            logits_11hw = None
            if previous is not None:
                logits_11hw = previous.logits_1hw[None].to(model.device)
                logits_11hw = logits_11hw.clamp(-MAX_PREVIOUS_LOGIT, MAX_PREVIOUS_LOGIT)
            memory_inputs = None if queued.memory_inputs is None else [queued.memory_inputs]
            masks = decode_views(
                model,
                view(model, features, memory_inputs),
                Prompts(
                    points_n2[None, None].to(model.device),
                    labels_n[None, None].to(model.device),
                    masks_bphw=logits_11hw,
                ),
                dynamic_multimask_via_stability=self.options.dynamic_multimask_via_stability,
            )
        return PromptedOutput.of(masks, self.options)

    def _consolidate(self, frame: int) -> Corrections:
        """Encode memories of a frame's decoded prompts; return which count as tracked."""
        memories = self.queued_memories(frame)
        for number, memory in memories.items():
            self._remember_prompted(self.objects[number], memory)
        return {(frame, n) for n in memories if self.objects[n].state(frame).output is None}

    def queued_memories(self, frame: int) -> dict[int, FrameMemory]:
        """Encode the memories of a frame's decoded prompts by object; they stay queued."""
        calls = {
            number: obj.state(frame).queued[-1]
            for number, obj in self.objects.items()
            if obj.state(frame).queued
        }
        answers = [call.answer for call in calls.values() if call.answer is not None]
        model, side = self.encoder.model, self.encoder.model.image_size
        logits_b1hw = torch.cat([answer.logits_for_memory(side) for answer in answers])
        if self.options.non_overlap_masks_for_mem_enc:
            logits_b1hw = suppress_overlaps(logits_b1hw)
        score_b1 = torch.stack([answer.answer.score_1 for answer in answers])
        features = self.encoder.encode(frame)
        binarize = self.options.binarize_mask_from_pts_for_mem_enc
        spatial = model.encode_memory(features, logits_b1hw, score_b1, binarize=binarize)
        pointer_bd = torch.cat([answer.pointer_1d for answer in answers])
        memories = self._memories(frame, spatial, pointer_bd, score_b1)
        return dict(zip(calls, memories, strict=True))

    def _remember_prompted(self, obj: TrackedObject, memory: FrameMemory) -> None:
        """Store the memory of a prompted frame; a correction may count as tracked."""
        frame = memory.frame
        queued = obj.state(frame).queued[-1]
        obj.update(frame, queued=())
        if queued.answer is None:
            return
        answer = queued.answer.answer
        if queued.direction is None or self.options.add_all_frames_to_correct_as_cond:
            obj.update(frame, output=answer.to(obj.bank.device))
            obj.bank.remember_prompted(memory)
        elif obj.state(frame).output is None:
            obj.bank.remember(memory, answer)
        self._forget_around_prompt(obj, frame)
