"""Sam2VideoForTraining: clips and true masks in, loss out, prompted by a simulated user.

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
from sam2_hf.video.memory_policy import MemoryPolicy, MemoryRules, Sam2Policy, TrackingStep
from sam2_hf.video.tracking import condition_on_memories, decode_views

from .click_sampling import draw_numbers
from .dense_objective import DenseObjective
from .prompt_simulation import PromptSchedule, SimulatedUser
from .training_output import TrainingOutput


class ClipMemories:
    """Memories of all objects of a batch, which are prompted together and so remember alike.

    Nothing ever leaves it: gradients flow back through every memory of a clip.
    """

    def __init__(self) -> None:
        self.prompted: dict[int, FrameMemory] = {}
        self._tracked: dict[int, FrameMemory] = {}

    def remember(self, memory: FrameMemory, *, prompted: bool) -> None:
        """Keep what is known about a frame."""
        kept = self.prompted if prompted else self._tracked
        kept[memory.frame] = memory

    def score(self, frame: int) -> float | None:
        """Average the objects' scores on a frame, logits; None if nothing is known of it."""
        memory = self.prompted.get(frame) or self._tracked.get(frame)
        return None if memory is None else float(memory.score_b1.mean())

    def spatial_bx(self, frame: int) -> Tensor | None:
        """Look up the spatial memory of a tracked frame; None if there is none."""
        memory = self._tracked.get(frame)
        return None if memory is None else memory.spatial_bx

    def pointer_bd(self, frame: int) -> Tensor | None:
        """Look up the object pointer of a tracked frame; None if there is none."""
        memory = self._tracked.get(frame)
        return None if memory is None else memory.pointer_bd


CLIP_DIMENSIONS = LABEL_DIMENSIONS = 5


@dataclass(frozen=True, slots=True, eq=False)
class FrameAnswer:
    """What came out on one frame.

    Attributes:
        masks: The answer to the last prompt.
        losses: Sum over the answers to all prompts.
        iou_n: IoU of the last answer with the true masks.
        first_iou_n: The same of the first answer.
        present_n: Whether the objects are there.
    """

    masks: ObjectMasks
    losses: MaskLosses
    iou_n: Tensor
    first_iou_n: Tensor
    present_n: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """What photos are learned from beside prompts, on the same encoding.

    Attributes:
        dense: The dense objective of the same model.
        weight: Of its loss.
    """

    dense: DenseObjective
    weight: float


class Sam2VideoForTraining(nn.Module):
    """Clips and true masks in, loss out: the model with its simulated user.

    Frames are encoded in one batch; then objects of all clips are prompted, corrected and tracked
    together, by the two halves of the `track_step` of inference. Photos are clips of one frame, and
    have no memory.

    Several processes: a step reaches only what its prompts make use of (no memory in photos, no
    mask prompts after clicks, the best mask's head alone), and `no_memory_positional_encoding` is
    never read, so `DistributedDataParallel` needs `find_unused_parameters=True`.

    transformers' `Trainer` takes it as it is, with rows of `clips` and `labels`; evaluate with
    `prediction_loss_only=True`, and save `objective.model`, which loads by itself.

    Attributes:
        click_s: Seconds spent on finding where to click, since it was last set to 0.

    Args:
        model: The model that learns.
        schedule: How the user prompts.
        rules: How masks are compared with the true ones.
        beside: What photos are learned from besides; None for prompts alone.

    Source: training/model/sam2.py @ 2b90b9f.
    Differs: objects that are on no frame of a clip are left out; the memory of the frame that is
        segmented last, which nothing reads, is not encoded.
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
            labels: True masks, `(b, o, t, S, S)`, bool. Clips with fewer objects than others are
                filled up with empty masks.
            seeds: One for each clip, `(b,)` int64: where it is clicked depends on nothing else.
                Without them, torch's global generator decides.
            plan_seed: Decides what is prompted how, for the whole batch; torch's global generator
                does without it. Parts of one batch need the same.
            num_objects: What losses are divided by; the number of objects of this batch if None.
                Where a batch is split over processes, give the mean over them.

        Raises:
            DataError: Shapes do not fit, or there is no object on any frame.
        """
        clip_n, truth_nthw = self._objects(clips, labels)
        num_frames = clips.shape[1]
        listed = len(clip_n)
        times_n = self._times(clip_n, num_frames)
        clip_n, truth_nthw = (one.repeat_interleave(times_n, dim=0) for one in (clip_n, truth_nthw))
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
        """Trade time for memory; called by transformers' `Trainer`, with the model's arguments."""
        self.model.activation_checkpointing_enable(**options)

    @property
    def memory_rules(self) -> MemoryRules:
        """How far memory reaches in training.

        Source: sam2/modeling/sam2_base.py:531-607 @ 2b90b9f, where `self.training` is asked.
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
        """Which memories a frame of a clip attends to: those of the original."""
        return Sam2Policy(self.memory_rules)

    def _objects(self, clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """List the objects that are on any frame: their clips `(n,)` and true masks."""
        side = self.model.image_size
        fits = clips.dim() == CLIP_DIMENSIONS and labels.dim() == LABEL_DIMENSIONS
        if not fits or clips.shape[1] != labels.shape[2] or len(clips) != len(labels):
            raise DataError(
                f"clips {tuple(clips.shape)} and labels {tuple(labels.shape)} do not fit: give "
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
        """Tell how often each object is prompted, so that photos get `photo_prompts`."""
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
        """Draw what is prompted and where."""
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
        """Prompt or track a frame, correct it, and compare every answer with the true masks."""
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
        """Believe given masks; nothing is learned from comparing them with themselves."""
        masks = self.model.use_mask_as_output(features, truth_nhw[:, None].float())
        with torch.no_grad():
            losses, iou_n = self._compare(masks, labels)
        return FrameAnswer(masks, losses, iou_n, iou_n, labels.present_b1[:, 0] > 0)

    def _compare(self, masks: ObjectMasks, labels: Labels) -> tuple[MaskLosses, Tensor]:
        """Compute the losses of one answer, and the true IoU of its best masks."""
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
        """Put the loss together; answers in the order of time."""
        summed = sum((one.losses for one in answers[1:]), start=answers[0].losses)
        losses = summed.divided(num_objects)
        masks = [one.masks for one in answers]
        return TrainingOutput(
            loss=losses.total(self.rules),
            focal=losses.focal.detach(),
            dice=losses.dice.detach(),
            iou=losses.iou.detach(),
            object_score=losses.object_score.detach(),
            logits_tohw=torch.stack([one.logits_b1hw[:, 0].detach() for one in masks]),
            iou_to=torch.stack([one.iou_n for one in answers]),
            first_iou_to=torch.stack([one.first_iou_n for one in answers]),
            predicted_iou_to=torch.stack([one.iou_b1[:, 0].detach() for one in masks]),
            present_to=torch.stack([one.present_n for one in answers]),
            clip_o=clip_n,
        )


def _is_repeated(times_n: Tensor) -> Tensor:
    """Mark all but the first of each object's repetitions."""
    repeated_n = torch.ones(int(times_n.sum()), dtype=torch.bool, device=times_n.device)
    repeated_n[times_n.cumsum(0) - times_n] = False
    return repeated_n


def _rows(features: FrameFeatures, rows_n: Tensor) -> FrameFeatures:
    """Give every object the frame it is on."""
    maps = (getattr(features, field.name) for field in fields(features))
    return FrameFeatures(*(one.index_select(0, rows_n) for one in maps))
