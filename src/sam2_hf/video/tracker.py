"""The engine of a session: answers prompts, remembers, segments frame after frame.

It knows frames, objects and memories, and no user: the session's verbs decide what happens when.

Suffixes: b = objects, d = decoder channels, h, w = rows and columns, S = input size of the model.
"""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sam2_hf.errors import OutputError, SessionError
from sam2_hf.frames.host_copies import HostCopies
from sam2_hf.masks import TRACKED_HOLE_MARGIN, fill_holes, resize_masks, suppress_overlaps
from sam2_hf.model.outputs import FrameFeatures, FrameMemory, ObjectMasks

from .frame_result import FrameOutput, FrameResult
from .memory_policy import Direction, TrackingStep
from .tracked_object import TrackedObject
from .tracker_state import TrackerState
from .tracking import NO_PROMPTS, track_step


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """One step of tracking.

    Attributes:
        frame: Which frame.
        direction: Which way time runs.
        remember: Whether tracked objects leave a memory.
        leaves_trace: Whether the visit changes what is remembered at all; going backward from the
            first frame, which the original leaves out, it does not.
        passes_prompted: Whether a prompted frame counts as tracked from now on, so that a later
            click on it is a correction; under transformers' names it does not.
        corrected: Objects whose correction on this frame has just been remembered as if it had been
            tracked; they keep it this time.
        ahead: The frame that comes next, if that is known: a GPU encodes it while the host
            writes down the masks of this one.
    """

    frame: int
    direction: Direction = "forward"
    remember: bool = True
    passes_prompted: bool = True
    leaves_trace: bool = True
    corrected: frozenset[int] = frozenset()
    ahead: int | None = None

    def keeping(self, corrections: Collection[tuple[int, int]]) -> "FrameRequest":
        """Return this visit with the corrections of its frame, out of pairs (frame, object)."""
        corrected = frozenset(one for frame, one in corrections if frame == self.frame)
        return replace(self, corrected=corrected)


class Tracker(TrackerState):
    """The steps: encode a frame, segment it for every object, keep what came out."""

    def image_features(self, frame: int) -> FrameFeatures:
        """Encode a frame, or take its features from the cache."""

        def encode() -> FrameFeatures:
            if self.model.training:
                raise SessionError(
                    "the model is in train mode, which drops out at random. Call model.eval()."
                )
            device, dtype = self.model.device, self.model.dtype
            pixels = self.frames.pixel_values(frame, device)[None].to(dtype)
            if self.options.compile:
                return self.compiled_steps.encode(pixels)
            return self.model.encode_image(pixels)

        return self.features.get(frame, encode)

    @torch.no_grad()
    def segment(self, visit: FrameRequest, full: list[OutputError] | None = None) -> FrameResult:
        """Segment a frame: prompted objects keep their answer, the others are tracked.

        Args:
            visit: Which frame, and how.
            full: Takes what no disk took, instead of raising it.

        Raises:
            FrameError: The frame cannot be had.
            OutputError: The disk is full; the frame is tracked and stored all the same.
        """
        frame, device = visit.frame, self.model.device
        known = self._known_outputs(visit)
        prompted = [one for one in self.objects.values() if one.object_id in known]
        tracked = [
            one for one in self.objects.values() if one.object_id not in known and one.bank.prompted
        ]
        outputs = {number: output.to(device) for number, output in known.items()}
        found = self._track(tracked, visit) if tracked else []
        outputs |= {one.object_id: output for one, output, _ in found}
        copies = HostCopies()
        records = [
            (one, one.bank.stage(memory, output, copies))
            for one, output, memory in found
            if memory is not None
        ]
        result = self.result(frame, outputs).start_host_copy(copies)
        not_written: list[OutputError] = []
        try:
            self._encode_ahead(visit.ahead)
        finally:  # whatever interrupts that, this frame is kept
            copies.wait()
            result = result.finish_host_copy()
            for one, record in records:
                with _noted(not_written):
                    one.bank.commit(frame, record)
            for one in (*prompted, *tracked):
                self._leave(one, visit, result, not_written)
        if full is not None:
            full += not_written
        elif not_written:  # only now: every object of the frame is stored
            raise not_written[0]
        return result

    def _known_outputs(self, visit: FrameRequest) -> dict[int, FrameOutput]:
        """Gather the answers that are there already, by object."""
        found = {}
        for one in self.objects.values():
            output = one.outputs.get(visit.frame)
            if output is None and one.object_id in visit.corrected:
                output = one.bank.output(visit.frame)
            if output is not None:
                found[one.object_id] = output
        return found

    def _leave(
        self, one: TrackedObject, visit: FrameRequest, result: FrameResult, full: list[OutputError]
    ) -> None:
        """Note that an object has been seen on a frame, and keep its mask."""
        is_prompted = visit.frame in one.outputs
        if visit.leaves_trace and (visit.passes_prompted or not is_prompted):
            one.directions[visit.frame] = visit.direction
        self._retire(one, visit.frame, visit.direction)
        self._keep_mask(one, result, full)
        if is_prompted and visit.leaves_trace and self.options.clear_non_cond_mem_around_input:
            self.forget_around(one, visit.frame)

    def result(self, frame: int, outputs: dict[int, FrameOutput]) -> FrameResult:
        """Put answers together, in the order in which the objects came."""
        return FrameResult.of_outputs(
            frame,
            {object_id: outputs[object_id] for object_id in self.objects if object_id in outputs},
            self.size,
            frozenset(one.object_id for one in self.objects.values() if frame in one.prompts),
            non_overlapping=self.options.non_overlap_masks,
        )

    def _track(
        self, tracked: list[TrackedObject], visit: FrameRequest
    ) -> list[tuple[TrackedObject, FrameOutput, FrameMemory | None]]:
        """Track objects on a frame: of each the answer and, if wanted, what to remember of it."""
        now = TrackingStep(visit.frame, visit.direction, self.frames.num_frames)
        features = self.image_features(now.frame)
        banks = [one.bank for one in tracked]
        fallback = self.options.dynamic_multimask_via_stability
        spatial: Tensor | None = None
        if self.options.compile:
            masks, spatial = self.compiled_steps.track(
                features, banks, now, self.policy, dynamic_multimask_via_stability=fallback
            )
        else:
            masks = track_step(
                self.model,
                features,
                banks,
                NO_PROMPTS,
                now,
                self.policy,
                dynamic_multimask_via_stability=fallback,
            )
        outputs = self.outputs(masks)
        if not (visit.remember and visit.leaves_trace):
            return [(one, output, None) for one, output in zip(tracked, outputs, strict=True)]
        if spatial is None or self.options.non_overlap_masks_for_mem_enc:
            logits_b1hw = self._apart(masks.logits_b1hw, now.frame)
            spatial = self.model.encode_memory(
                features, logits_b1hw, masks.score_b1, binarize=False
            )
        memories = self.memories(now.frame, spatial, masks.pointer_bd, masks.score_b1)
        return list(zip(tracked, outputs, memories, strict=True))

    def _encode_ahead(self, frame: int | None) -> None:
        """Tell a GPU to encode a frame; a CPU would do one thing after the other."""
        if frame is not None and self.model.device.type == "cuda":
            with contextlib.suppress(Exception):  # it comes up again when its turn comes
                self.image_features(frame)

    def _apart(self, logits_b1hw: Tensor, frame: int) -> Tensor:
        """Leave each pixel to one object where memory wants it so, prompted ones included."""
        if not self.options.non_overlap_masks_for_mem_enc:
            return logits_b1hw
        others = [one.outputs[frame] for one in self.objects.values() if frame in one.outputs]
        prompted = [other.logits_1hw[None].to(logits_b1hw.device) for other in others]
        side = self.model.image_size  # enlarged first, or a gap would open
        enlarged = resize_masks(torch.cat([logits_b1hw, *prompted]), (side, side))
        return suppress_overlaps(enlarged)[: len(logits_b1hw)]

    def memories(
        self, frame: int, spatial_bx: Tensor, pointer_bd: Tensor, score_b1: Tensor
    ) -> list[FrameMemory]:
        """Part the memories of a frame by object; copies, so that each is freed by itself."""
        parts = (spatial_bx.to(self.options.memory_dtype), pointer_bd, score_b1)
        rows = (slice(row, row + 1) for row in range(len(spatial_bx)))
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
            one.trim_to_window(result.frame, max(self.options.window, self.policy.reach))

    def _retire(self, one: TrackedObject, frame: int, direction: Direction) -> None:
        """Let memories leave the device that the next frame cannot read."""
        step = 1 if direction == "forward" else -1
        one.bank.evict(TrackingStep(frame + step, direction, self.frames.num_frames), self.policy)

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
