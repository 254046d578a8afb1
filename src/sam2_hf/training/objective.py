"""Sam2VideoForTraining: loss of clips and true masks, with simulated prompts.

Suffixes: b = clips (in features, masks and memories: objects of all clips), o = objects of a clip,
n = objects of all clips, t = frames, c = memory channels (64), d = decoder channels (256), h, w =
rows and columns, S = input size of the model.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from sam2_hf.errors import DataError
from sam2_hf.model.mask_losses import Labels, LossRules, MaskLosses, mask_losses, read_labels
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import FrameFeatures, FrameMemory, ObjectMasks
from sam2_hf.video.policies.memory_policy import MemoryPolicy, MemoryRules, Sam2Policy, TrackingStep
from sam2_hf.video.tracking import condition_on_memories, decode_views

from .click_sampling import draw_numbers
from .dense_objective import DenseObjective
from .prompt_simulation import PromptSchedule, SimulatedUser
from .training_output import TrainingOutput


class ClipMemories:
    """Memories of all objects of a batch, which share prompted frames.

    Nothing is evicted: gradients flow back through every memory of a clip.
    """

    def __init__(self) -> None:
        self.references: tuple[FrameMemory, ...] = ()
        self.prompted: dict[int, FrameMemory] = {}
        self._tracked: dict[int, FrameMemory] = {}

    def remember(self, memory: FrameMemory, *, prompted: bool) -> None:
        """Add the memory of a frame."""
        kept = self.prompted if prompted else self._tracked
        kept[memory.frame] = memory

    def score(self, frame: int) -> float | None:
        """Return the mean object score on a frame, logits; None without a memory of it."""
        memory = self.prompted.get(frame) or self._tracked.get(frame)
        return None if memory is None else float(memory.score_b1.mean())

    def iou(self, frame: int) -> float | None:
        """Return None: the policy of training reads no predicted IoU."""

    def notes(self, frame: int, policy: str) -> None:
        """Return None: the policy of training leaves no notes."""

    def spatial_bx(self, frame: int) -> Tensor | None:
        """Return the spatial memory of a tracked frame; None if there is none."""
        memory = self._tracked.get(frame)
        return None if memory is None else memory.spatial_bx

    def pointer_bd(self, frame: int) -> Tensor | None:
        """Return the object pointer of a tracked frame; None if there is none."""
        memory = self._tracked.get(frame)
        return None if memory is None else memory.pointer_bd


CLIP_DIMENSIONS = LABEL_DIMENSIONS = 5


@dataclass(frozen=True, slots=True, eq=False)
class FrameAnswer:
    """Result of one frame.

    Attributes:
        masks: Masks after the last prompt.
        losses: Sum over the masks after each prompt.
        iou_n: IoU of the last masks with the true ones.
        first_iou_n: The same for the first masks.
        present_n: Whether the objects are visible.
    """

    masks: ObjectMasks
    losses: MaskLosses
    iou_n: Tensor
    first_iou_n: Tensor
    present_n: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """An additional loss of photos, on the same encoding.

    Attributes:
        dense: The dense objective of the same model.
        weight: Weight of its loss.
    """

    dense: DenseObjective
    weight: float


class Sam2VideoForTraining(nn.Module):
    """Loss of clips and true masks: the model with a simulated user.

    Frames are encoded in one batch; then objects of all clips are prompted, corrected and tracked
    together, by the two halves of the `track_step` of inference. Photos are clips of one frame,
    without memory.

    With several processes `DistributedDataParallel` needs `find_unused_parameters=True`: a step
    reaches only the parameters that its prompts use (no memory in photos, no mask prompts after
    clicks, the head of the best mask only), and `no_memory_positional_encoding` is never read.

    Works with transformers' `Trainer`, with rows of `clips` and `labels`; evaluate with
    `prediction_loss_only=True`, and save `objective.model`.

    Attributes:
        click_s: Seconds spent on finding clicks, since it was last reset to 0.

    Args:
        model: The model to train.
        schedule: Simulated prompts.
        rules: Losses of masks.
        beside: Additional loss of photos; None for prompts only.

    Source: training/model/sam2.py @ 2b90b9f.
    Differs: objects that are visible on no frame of a clip are dropped; the memory of the frame
        that is segmented last, which is never read, is not encoded.
    """

    def __init__(
        self,
        model: Sam2VideoModel,
        schedule: PromptSchedule | None = None,
        rules: LossRules | None = None,
        beside: Beside | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.beside = beside
        self.schedule = schedule or PromptSchedule()
        self.rules = rules or LossRules()
        self.click_s = 0.0

    def forward(
        self,
        clips: Tensor,
        labels: Tensor,
        seeds: Tensor | None = None,
        plan_seed: int | None = None,
        num_objects: float | None = None,
    ) -> TrainingOutput:
        """Compute the loss of a batch of clips.

        Args:
            clips: Normalized frames, `(b, t, 3, S, S)`; t = 1 for photos.
            labels: True masks, `(b, o, t, S, S)`, bool. Clips with fewer objects
                are padded with empty masks.
            seeds: One for each clip, `(b,)` int64, which determines its clicks; None uses torch's
                global generator.
            plan_seed: Seed of the prompt plan of the whole batch; None uses torch's global
                generator. Equal for parts of one batch.
            num_objects: Divisor of losses; by default the number of objects of this batch. For a
                batch split over processes, pass the mean over them.

        Raises:
            DataError: Shapes do not match, or no frame has an object.
        """
        clip_n, truth_nthw = self._objects(clips, labels)
        num_frames = clips.shape[1]
        listed = len(clip_n)
        times_n = self._times(clip_n, num_frames)
        clip_n, truth_nthw = (
            rows_n.repeat_interleave(times_n, dim=0) for rows_n in (clip_n, truth_nthw)
        )
        per_clip = clip_n.bincount(minlength=len(clips)).tolist()
        user = self._user(truth_nthw, per_clip, seeds, plan_seed, _is_repeated(times_n))
        features = self.model.encode_image(clips.flatten(0, 1))
        memories = ClipMemories()
        answers: dict[int, FrameAnswer] = {}
        for frame in user.plan.order:
            own = _rows(features, clip_n * num_frames + frame)
            answers[frame] = self._segment(own, user, memories, frame)
            if frame != user.plan.order[-1]:
                self._remember(own, user, memories, frame, answers[frame].masks)
        in_time = [answers[frame] for frame in range(num_frames)]
        prompted = (num_objects or listed) * len(clip_n) / listed
        output = self._output(in_time, clip_n, max(prompted, 1.0))
        if self.beside is not None and num_frames == 1:
            more = self.beside.dense.compare(features, labels, seeds, plan_seed)
            output.loss = output["loss"] + self.beside.weight * more["loss"]
        return output

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Enable gradient checkpointing; called by transformers' `Trainer`."""
        self.model.activation_checkpointing_enable(**options)

    @property
    def memory_rules(self) -> MemoryRules:
        """Memory rules of training.

        Source: sam2/modeling/sam2_base.py:531-607 @ 2b90b9f, where `self.training` is checked.
        """
        config = self.model.config
        return MemoryRules(
            num_memories=self.model.num_maskmem,
            num_pointers=config.max_object_pointers_in_encoder,
            max_prompted=config.max_cond_frame_num,
            past_pointers_only=False,
            clip_times=True,
        )

    @property
    def memory_policy(self) -> MemoryPolicy:
        """Memory policy of training: that of the original."""
        return Sam2Policy(self.memory_rules)

    def _objects(self, clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """List the objects visible on any frame: their clips `(n,)` and true masks."""
        side = self.model.image_size
        fits = clips.dim() == CLIP_DIMENSIONS and labels.dim() == LABEL_DIMENSIONS
        if not fits or clips.shape[1] != labels.shape[2] or len(clips) != len(labels):
            raise DataError(
                f"clips {tuple(clips.shape)} and labels {tuple(labels.shape)} do not match: give "
                "(clips, frames, 3, side, side) and (clips, objects, frames, side, side)."
            )
        if clips.shape[-2:] != (side, side) or labels.shape[-2:] != (side, side):
            raise DataError(
                f"clips {tuple(clips.shape)} and labels {tuple(labels.shape)} are not of the "
                f"model's input size, {side} by {side} pixels. Resize both to it."
            )
        labels = labels.bool()
        is_there_bo = labels.flatten(2).any(dim=2)
        clip_n, object_n = is_there_bo.nonzero(as_tuple=True)
        if not len(clip_n):
            raise DataError(
                "there is no object on any frame of the batch. Leave such clips out of the data."
            )
        return clip_n, labels[clip_n, object_n]

    def _times(self, clip_n: Tensor, num_frames: int) -> Tensor:
        """Return how often each object is prompted, so that photos get `photo_prompts`."""
        wanted = self.schedule.photo_prompts
        if num_frames > 1 or not wanted:
            return torch.ones_like(clip_n)
        per_clip = clip_n.bincount(minlength=1)[clip_n]
        return (wanted + per_clip - 1) // per_clip

    def _user(
        self,
        truth_nthw: Tensor,
        per_clip: list[int],
        seeds: Tensor | None,
        plan_seed: int | None,
        repeated_n: Tensor,
    ) -> SimulatedUser:
        """Draw the prompts."""
        num_frames = truth_nthw.shape[1]
        generator = None if plan_seed is None else torch.Generator().manual_seed(plan_seed)
        plan = self.schedule.plan(num_frames, generator)
        numbers_ntk4 = draw_numbers(
            per_clip,
            None if seeds is None else seeds.tolist(),
            (num_frames, self.schedule.prompts_per_frame),
            truth_nthw.device,
        )
        return SimulatedUser(self.schedule, plan, truth_nthw, numbers_ntk4, repeated_n)

    def _segment(
        self, features: FrameFeatures, user: SimulatedUser, memories: ClipMemories, frame: int
    ) -> FrameAnswer:
        """Prompt or track a frame, correct it, and compute the losses of all masks."""
        labels = read_labels(user.truth_nthw[:, frame], self.rules)
        first = user.plan.first_prompt(frame)
        if first is not None and first.kind == "mask":
            return self._adopt(features, user.truth_nthw[:, frame], labels)
        step = TrackingStep(frame, num_frames=user.plan.num_frames)
        known = [memories] if first is None else None
        views = condition_on_memories(self.model, features, known, step, self.memory_policy)
        with self._clicking():
            prompts = user.first_prompts(first)
        masks = decode_views(self.model, views, prompts)
        losses, first_iou_n = self._compare(masks, labels)
        iou_n = first_iou_n
        for index in range(len(user.plan.corrections_on(frame))):
            with self._clicking():
                prompts = user.corrected(frame, index, prompts, masks)
            masks = decode_views(self.model, views, prompts)
            more, iou_n = self._compare(masks, labels)
            losses = losses + more
        return FrameAnswer(masks, losses, iou_n, first_iou_n, labels.present_b1[:, 0] > 0)

    @contextmanager
    def _clicking(self) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.click_s += time.perf_counter() - begun

    def _adopt(self, features: FrameFeatures, truth_nhw: Tensor, labels: Labels) -> FrameAnswer:
        """Adopt given masks, which have no loss."""
        masks = self.model.use_mask_as_output(features, truth_nhw[:, None].float())
        with torch.no_grad():
            losses, iou_n = self._compare(masks, labels)
        return FrameAnswer(masks, losses, iou_n, iou_n, labels.present_b1[:, 0] > 0)

    def _compare(self, masks: ObjectMasks, labels: Labels) -> tuple[MaskLosses, Tensor]:
        """Compute the losses of some masks, and the true IoU of the best ones."""
        full = masks.full_logits_b1hw
        logits = masks.candidates_bmhw if full is None else full
        predicted_bm = masks.candidate_iou_bm
        losses, iou_bm = mask_losses(logits, predicted_bm, masks.score_b1, labels, self.rules)
        return losses, iou_bm.gather(1, predicted_bm.argmax(dim=1, keepdim=True))[:, 0]

    def _remember(
        self,
        features: FrameFeatures,
        user: SimulatedUser,
        memories: ClipMemories,
        frame: int,
        masks: ObjectMasks,
    ) -> None:
        """Encode the memory of a frame."""
        logits = masks.logits_b1hw if masks.full_logits_b1hw is None else masks.full_logits_b1hw
        spatial = self.model.encode_memory(features, logits, masks.score_b1, binarize=False)
        memory = FrameMemory(frame, spatial, masks.pointer_bd, masks.score_b1)
        memories.remember(memory, prompted=user.plan.is_prompted(frame))

    def _output(
        self, answers: list[FrameAnswer], clip_n: Tensor, num_objects: float
    ) -> TrainingOutput:
        """Assemble the output from the results of all frames, in temporal order."""
        summed = sum((answer.losses for answer in answers[1:]), start=answers[0].losses)
        losses = summed.divided(num_objects)
        masks = [answer.masks for answer in answers]
        return TrainingOutput(
            loss=losses.total(self.rules),
            focal=losses.focal.detach(),
            dice=losses.dice.detach(),
            iou=losses.iou.detach(),
            object_score=losses.object_score.detach(),
            logits_tohw=torch.stack([of_frame.logits_b1hw[:, 0].detach() for of_frame in masks]),
            iou_to=torch.stack([answer.iou_n for answer in answers]),
            first_iou_to=torch.stack([answer.first_iou_n for answer in answers]),
            predicted_iou_to=torch.stack([of_frame.iou_b1[:, 0].detach() for of_frame in masks]),
            present_to=torch.stack([answer.present_n for answer in answers]),
            clip_o=clip_n,
        )


def _is_repeated(times_n: Tensor) -> Tensor:
    """Mark repetitions of an object after its first occurrence."""
    repeated_n = torch.ones(int(times_n.sum()), dtype=torch.bool, device=times_n.device)
    repeated_n[times_n.cumsum(0) - times_n] = False
    return repeated_n


def _rows(features: FrameFeatures, rows_n: Tensor) -> FrameFeatures:
    """Select the frame of every object."""
    maps = (getattr(features, field.name) for field in fields(features))
    return FrameFeatures(*(map_bchw.index_select(0, rows_n) for map_bchw in maps))
